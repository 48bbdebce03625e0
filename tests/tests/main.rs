//! The promises, one module each; every test starts a server of its own on an empty folder.

mod access;
mod access_keys;
mod admin;
mod at_rest;
mod auth;
mod backup;
mod cli;
mod clients;
mod conformance;
mod declared;
mod durability;
mod fifo;
mod hostile;
mod load;
mod move_tasks;
mod networking;
mod operations;
mod readme;
mod redrive;
mod sdk_worker;
mod server;
mod sts;
mod threat_model;
