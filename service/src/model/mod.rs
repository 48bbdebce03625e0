//! The vocabulary: types whose constructors parse. Nothing here acts, and nothing here knows a
//! protocol, a store or a clock.

pub mod attributes;
pub mod calendar;
pub mod caller;
pub mod digest;
pub mod fifo;
pub mod filter;
pub mod json_path;
pub mod md5_lanes;
pub mod message;
pub mod policy;
pub mod queue;
pub mod receipt;
pub mod redrive;
pub mod rows;
pub mod task;
pub mod time;
pub mod user;
