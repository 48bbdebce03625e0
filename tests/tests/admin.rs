//! Actions of our own beside those of SQS.

mod peek;
mod stats;
