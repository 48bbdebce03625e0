//! The process: how it starts, refuses to start and stops, what it does when the disk is full or
//! fails, and the HTTP it speaks.

mod disk;
mod http;
mod start;
mod stop;
