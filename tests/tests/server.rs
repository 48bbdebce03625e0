//! The process: how it starts, refuses to start and stops, and the HTTP it speaks.

mod http;
mod start;
mod stop;
