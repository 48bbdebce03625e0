//! The queue rules, told as stories of messages and time, and held against a naive model.

mod bench;
mod fair;
mod fifo;
mod model;
mod standard;
mod story;
