//! What commands read: files, standard input, and pairs on the command line.

use std::io::{IsTerminal as _, Read as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;

use crate::failure::Failure;
use crate::units::show_bytes;

/// What is read of a file that is small, and read whole.
const BYTES_MAX: u64 = 64 << 20;

/// `NAME=VALUE`.
pub(crate) fn parse_pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.into(), value.into())),
        _ => Err("expected NAME=VALUE".into()),
    }
}

/// Reads a text file, or standard input for `-`. Fails where it is longer than what is read of one: half
/// a file is another file.
pub(crate) fn read_text(file: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = match file {
        "-" => std::io::stdin().take(BYTES_MAX + 1).read_to_string(&mut text),
        file => std::fs::File::open(file)
            .and_then(|open| open.take(BYTES_MAX + 1).read_to_string(&mut text)),
    };
    read.map_err(|error| Failure::failed(format!("{file}: {error}")))?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Failure::failed(format!("{file}: longer than {}", show_bytes(BYTES_MAX))));
    }
    Ok(text)
}

/// Reads a secret from standard input; on a terminal asks for it, and does not show what is typed.
pub(crate) fn read_secret(question: &str) -> Result<String, Failure> {
    let stdin = std::io::stdin();
    let mut secret = String::new();
    if !stdin.is_terminal() {
        stdin.take(1 << 12).read_to_string(&mut secret)?;
        return Ok(secret.trim().to_owned());
    }
    let shown = tcgetattr(&stdin).map_err(std::io::Error::from)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(std::io::Error::from)?;
    let mut stderr = std::io::stderr();
    let asked = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let read = asked.and_then(|()| stdin.read_line(&mut secret));
    tcsetattr(&stdin, OptionalActions::Now, &shown).map_err(std::io::Error::from)?;
    read?;
    Ok(secret.trim().to_owned())
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
