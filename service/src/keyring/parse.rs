//! Master keys as an operator writes them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::{MasterKey, OperatorKeys};
use crate::cipher::{Cipher, KEY_BYTES};

/// How many keys there may be.
const KEYS_MAX: usize = 1_000;

/// How long an id may be, in bytes; an alias may be as long as AWS lets it be, 256.
const ID_BYTES_MAX: usize = 64;
const ALIAS_BYTES_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    current: String,
    keys: Vec<FileKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileKey {
    id: String,
    secret: String,
    #[serde(default)]
    aliases: BTreeSet<String>,
    #[serde(default)]
    disabled: bool,
}

/// A key in base64. The error says what is wrong, and nothing of the text.
pub fn parse_key(text: &str) -> Result<[u8; KEY_BYTES], String> {
    let key = STANDARD.decode(text.trim()).ok().and_then(|key| key.try_into().ok());
    key.ok_or_else(|| "32 bytes in base64, please, such as `openssl rand -base64 32` makes".into())
}

/// The keys of a file: TOML with `current`, the id of the key that seals, and a list `keys`, each with
/// `id`, `secret` and perhaps `aliases` and `disabled`. The error says what is wrong, and no secret.
pub fn parse_keys(text: &str) -> Result<OperatorKeys, String> {
    // What the parser says of a line it shows with the line.
    let File { current, keys: listed } = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        format!("line {line}: {}", error.message())
    })?;
    if listed.len() > KEYS_MAX {
        return Err(format!("{} keys are too many; {KEYS_MAX} are accepted", listed.len()));
    }
    let mut keys = BTreeMap::new();
    let mut names = BTreeSet::new();
    for FileKey { id, secret, aliases, disabled } in listed {
        if !is_id(&id) {
            return Err(format!(
                "{id:?} is no key id: 1 to {ID_BYTES_MAX} letters, digits, dashes, underscores and \
                 dots, please"
            ));
        }
        if let Some(alias) = aliases.iter().find(|alias| !is_alias(alias)) {
            return Err(format!(
                "{alias:?} is no alias: alias/ and a name, please, and not alias/aws/…"
            ));
        }
        for name in aliases.iter().chain([&id]) {
            if !names.insert(name.clone()) {
                return Err(format!("two keys are called {name}"));
            }
        }
        let key = parse_key(&secret).map_err(|why| format!("the secret of key {id}: {why}"))?;
        keys.insert(id.clone(), MasterKey { id, aliases, disabled, cipher: Cipher::new(&key) });
    }
    match keys.get(&current) {
        Some(key) if key.disabled => {
            Err(format!("current is {current}, and that key is disabled: it seals nothing"))
        }
        Some(_) => Ok(OperatorKeys { keys, current }),
        None => Err(format!("current is {current}, but there is no key of that id")),
    }
}

fn is_id(text: &str) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(legal)
}

/// As AWS KMS has it (CreateAlias): its own are kept apart.
fn is_alias(text: &str) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'/');
    let name = text.strip_prefix("alias/").filter(|name| !name.starts_with("aws/"));
    text.len() <= ALIAS_BYTES_MAX
        && name.is_some_and(|name| !name.is_empty() && name.bytes().all(legal))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";

    #[test]
    fn a_key_is_32_bytes_in_base64() {
        assert_eq!(parse_key(SECRET), Ok([1; KEY_BYTES]));
        assert_eq!(parse_key(&format!("{SECRET}\n")), Ok([1; KEY_BYTES]));
        for text in ["", "AQEB", "no base64", &SECRET.repeat(2)] {
            let error = parse_key(text).unwrap_err();
            assert!(error.contains("32 bytes in base64"), "{error}");
        }
    }

    #[test]
    fn errors_say_what_is_wrong_and_no_secret() {
        let key = |more: &str| format!("[[keys]]\nid = 'a'\nsecret = '{SECRET}'\n{more}\n");
        #[rustfmt::skip]
        let cases = [
            (String::new(),                                        "current"),
            (format!("current = 'b'\n{}", key("")),                "no key of that id"),
            (format!("current = 'a'\n{}{}", key(""), key("")),     "two keys are called a"),
            (format!("current = 'a'\n{}", key("alias = 'x'")),     "line 5: unknown field `alias`"),
            (format!("current = 'a'\n{}", key("aliases = ['x']")), "\"x\" is no alias"),
            (format!("current = 'a'\n{}", key("aliases = ['alias/aws/x']")), "is no alias"),
            (format!("current = 'a'\n{}", key("disabled = true")), "that key is disabled"),
            (key("").replace("'a'", "'a b'").replace("[[", "current = 'a b'\n[["), "no key id"),
            (format!("current = 'a'\n{}", key("").replace("AQ", "A")), "the secret of key a"),
            (format!("current = 'a'\n{}", key("").replace("='", "= ")), "line"),
        ];
        for (file, part) in cases {
            let error = parse_keys(&file).unwrap_err();
            assert!(error.contains(part), "{part} in {error}");
            assert!(!error.contains("AQEB"), "{error}");
        }
        parse_keys(&format!("current = 'a'\n{}", key("aliases = ['alias/x/y']"))).unwrap();
    }
}
