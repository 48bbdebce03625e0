//! Drives engines: a thread, a channel, a slice of the store. Knows neither HTTP nor AWS codes.

pub mod handle;
pub mod stats;
