//! Drives engines: a thread, a channel, a slice of the store. Knows neither HTTP nor AWS codes.

mod access;
mod admin;
pub mod at_rest;
mod browser;
pub mod catalogue;
pub mod checkpoints;
pub mod cleanup;
pub mod core;
pub mod directory;
mod driver;
pub mod engine_time;
pub mod free_space;
pub mod groups;
pub mod handle;
mod hosted;
mod ids;
pub mod map;
pub mod messages;
mod outbox;
pub mod peek;
pub mod queue_stats;
pub mod rates;
pub mod reclaim;
pub mod request;
mod rows;
pub mod start;
pub mod stats;
mod tasks;
#[cfg(test)]
mod tests;
mod transfer;
mod turn;
mod waiters;
mod walk;
