//! Actions of our own beside those of SQS.

mod cleanup;
mod peek;
mod stats;
