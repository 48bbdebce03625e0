//! Queues that the configuration file declares: there when the server is, as the file says. What the
//! file does not say about them stays as it is, and no queue is ever deleted on account of it.

pub mod bring_about;
pub mod parse;
