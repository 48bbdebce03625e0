//! Actions of our own beside those of SQS.

mod cleanup;
mod moves;
mod peek;
mod stats;
