//! The edge: HTTP in, HTTP out. Bytes become typed values here once; nothing below knows a protocol,
//! and nothing here outlives its request.

pub mod action;
mod activity;
pub mod admission;
mod authenticate;
mod body;
pub mod call;
pub mod connections;
mod converse;
pub mod door;
pub mod error_table;
mod forwarded;
mod on_use;
pub mod protocol;
pub mod respond;
pub mod server;
pub mod sqs;
pub mod stanchion;
pub mod sts;
#[cfg(test)]
mod test_world;
pub mod throttle;
pub mod tls;
