//! AWS Signature Version 4, from the server's side: what a request says it is signed with, what
//! should have been signed, and whether it was. Pure: the time comes in, and nothing is remembered
//! but keys that were derived before. Source: facts sheet, 11.

pub mod canonical;
pub mod derived;
pub mod read;
#[cfg(test)]
mod tests;
pub mod verify;

use hyper::header::HeaderMap;

/// What of a request is signed: all of it, as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// In upper case.
    pub method: &'a str,
    /// As on the request line, escapes and all.
    pub path: &'a str,
    /// As on the request line, after the `?`.
    pub query: &'a str,
    /// All of them.
    pub headers: &'a HeaderMap,
    /// `:authority` of HTTP/2, which stands for the header `Host`.
    pub authority: Option<&'a str>,
    /// To the last byte.
    pub body: &'a [u8],
}
