//! Actions of Stanchion's own: what operators need beside SQS. Amazon has none of them.
//!
//! Times are milliseconds since the Unix epoch, on the server's clock.

pub mod access;
pub mod groups;
pub mod messages;
pub mod server;
