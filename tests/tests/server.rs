//! The process: how it starts, refuses to start and stops, what it does when the disk is full or
//! fails, the HTTP and the TLS that it speaks, and what nobody gets too much of.

mod disk;
mod http;
mod limits;
mod start;
mod stop;
mod tls;
