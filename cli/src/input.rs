//! What commands read: files, standard input, and pairs on the command line.

use std::io::Read as _;

use serde_json::Value;

use crate::failure::Failure;

/// What is read of a file that is small, and read whole.
const BYTES_MAX: u64 = 64 << 20;

/// `NAME=VALUE`.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// Reads a text file, or standard input for `-`.
pub(crate) fn read_text(file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().take(BYTES_MAX).read_to_string(&mut text),
        file => std::fs::File::open(file)
            .and_then(|open| open.take(BYTES_MAX).read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::failed(format!("{file}: {error}")))?;
    Ok(text)
}

/// Reads a file, or standard input for `-`, which must hold a policy.
pub(crate) fn read_policy(file: &str) -> Result<Value, Failure> {
    let text = read_text(file)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::failed(format!("{file}: no policy in JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_a_name_and_a_value() {
        assert_eq!(parse_pair("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(parse_pair("a="), Ok(("a".into(), String::new())));
        assert!(parse_pair("a").is_err() && parse_pair("=b").is_err());
    }
}
