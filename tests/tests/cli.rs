//! The command line: the real program against the real server.

mod bench;
mod consume;
mod context;
mod dead_letters;
mod doctor;
mod failures;
mod function;
mod messages;
mod queue;
mod server;
mod top;
mod transfer;
mod walk;
