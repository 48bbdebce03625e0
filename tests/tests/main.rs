//! The promises, one module each; every test starts a server of its own on an empty folder.

mod conformance;
mod durability;
mod fifo;
mod redrive;
