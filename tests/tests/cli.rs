//! The command line: the real program against the real server.

mod context;
mod doctor;
mod failures;
mod queue;
mod server;
