//! The edge as a client sees it, byte for byte: real HTTP on a loopback port, real shards, a store in
//! memory.

mod json;
mod move_tasks;
mod operations;
mod query;
mod rules;
mod server;
