//! The queue rules, as a pure state machine: no I/O, no clock, no randomness, no async.
//!
//! A [`Queue`](queue::Queue) holds what the store cannot answer quickly: what is in flight, what
//! came back, the cursors and the counters. A command is applied with the moment it happens at, a
//! source of random numbers and the rows that were loaded for it; out come an outcome and the row
//! changes to commit. What it lacks it asks for, and changes nothing until it has it.

pub mod command;
mod deliveries;
mod fair;
mod fifo;
pub mod groups;
mod line;
mod moves;
pub mod queue;
mod reader;
mod remains;
mod remove;
mod retention;
mod send_off;
mod settle;
mod standard;
pub mod view;
mod window;
