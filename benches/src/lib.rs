//! Measuring Stanchion from outside: the server is a child process, reached over loopback HTTP.
//!
//! Nothing here names a type of the server. The wire, the command line and `/metrics` are the
//! contract, so what is measured is what a user gets.
//!
//! In reading order: [`http`] moves bytes, [`aws`] writes and reads SQS requests, [`load`] repeats
//! them on many connections, [`process`] starts servers and weighs them, [`place`] says where they
//! are and put their data, [`report`] holds figures
//! against bounds, [`scenarios`] are the promises, [`audit`] knows what may not happen.

pub mod audit;
pub mod aws;
pub mod http;
pub mod load;
pub mod place;
pub mod process;
pub mod report;
pub mod scenarios;
