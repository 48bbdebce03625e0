//! What a shard promises, shown on a store in memory with a clock that stands still.

mod access;
mod at_rest;
mod due;
mod idle;
mod moves;
mod operations;
mod operators;
mod peeks;
mod polls;
mod queues;
mod random;
mod served;
mod tasks;
mod turns;
mod world;
