//! The text that a signature is made of: the same for the client and for us, whatever has been
//! rewritten on the way without changing its meaning. Source: facts sheet, 11.2.

use std::borrow::Cow;
use std::fmt::Write as _;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};

use super::Request;
use super::read::{ALGORITHM, Signature, parameters};
use crate::model::calendar::Moment;

/// What most canonical requests fit into.
const TYPICAL_BYTES: usize = 1024;

/// All but `A-Z a-z 0-9 - _ . ~` is escaped.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// In a path the slashes stay.
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Which parameters of the URL are signed, beside those that have nothing to do with the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionToken {
    /// The session token as well.
    Signed,
    /// Not the session token, which was added after the signing.
    Appended,
}

/// The canonical request. `body_hash` is that of the body, in hexadecimal digits.
pub fn canonical_request(
    request: &Request<'_>,
    signature: &Signature<'_>,
    token: SessionToken,
    body_hash: &str,
) -> Vec<u8> {
    let mut text = Vec::with_capacity(TYPICAL_BYTES);
    let mut line = |part: &[u8]| {
        text.extend_from_slice(part);
        text.push(b'\n');
    };
    line(request.method.as_bytes());
    line(path(request.path).as_bytes());
    line(query(request.query, token).as_bytes());
    for name in signature.signed_headers.split(';') {
        write_header(&mut text, request, name);
    }
    text.push(b'\n');
    text.extend_from_slice(signature.signed_headers.as_bytes());
    text.push(b'\n');
    text.extend_from_slice(body_hash.as_bytes());
    text
}

/// The text that is signed: an extract of the canonical request, for a moment and a scope.
pub fn string_to_sign(at: Moment, scope: &str, canonical: &[u8]) -> String {
    format!("{ALGORITHM}\n{at}\n{scope}\n{}", sha256_hex(canonical))
}

/// The digest, in 64 hexadecimal digits of lower case.
pub fn sha256_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The path without dots and doubled slashes, and with what is escaped already escaped once more.
fn path(path: &str) -> Cow<'_, str> {
    let is_plain = !path.contains("//") && !path.contains("/.") && path.starts_with('/');
    let path = if is_plain { Cow::Borrowed(path) } else { without_dots(path).into() };
    if path.bytes().all(|byte| is_unreserved(byte) || byte == b'/') {
        return path;
    }
    percent_encode(path.as_bytes(), RESERVED_IN_PATH).to_string().into()
}

fn without_dots(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    let is_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    let end = if is_folder && !segments.is_empty() { "/" } else { "" };
    format!("/{}{end}", segments.join("/"))
}

/// The parameters, escaped in one way and sorted. A plus is a plus: what a form means by it is not
/// what was signed.
fn query(query: &str, token: SessionToken) -> String {
    let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = parameters(query)
        .filter(|(name, _)| match *name {
            "X-Amz-Signature" => false,
            "X-Amz-Security-Token" => token == SessionToken::Signed,
            _ => true,
        })
        .map(|(name, value)| (escaped(name), escaped(value)))
        .collect();
    pairs.sort_unstable();
    let mut text = String::with_capacity(query.len());
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(&name);
        text.push('=');
        text.push_str(&value);
    }
    text
}

/// A name or a value escaped as is canonical, however it was escaped before.
fn escaped(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_unreserved) {
        return text.into();
    }
    let plain: Cow<'_, [u8]> = percent_decode_str(text).into();
    percent_encode(&plain, RESERVED).to_string().into()
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

/// One line: the name, and the values that came under it.
fn write_header(text: &mut Vec<u8>, request: &Request<'_>, name: &str) {
    text.extend_from_slice(name.as_bytes());
    text.push(b':');
    match request.authority {
        Some(authority) if name == "host" => text.extend_from_slice(authority.as_bytes()),
        _ => {
            // A name that is none has no values.
            for (at, value) in request.headers.get_all(name).iter().enumerate() {
                if at > 0 {
                    text.push(b',');
                }
                write_folded(text, value.as_bytes());
            }
        }
    }
    text.push(b'\n');
}

/// A value without blanks around it, and with one where there are several.
fn write_folded(text: &mut Vec<u8>, value: &[u8]) {
    let value = value.trim_ascii();
    let mut last = b'x';
    for byte in value {
        if (*byte, last) != (b' ', b' ') {
            text.push(*byte);
        }
        last = *byte;
    }
}
