//! The promises, one module each; every test starts a server of its own on an empty folder.

mod clients;
mod conformance;
mod durability;
mod fifo;
mod hostile;
mod networking;
mod readme;
mod redrive;
mod server;
