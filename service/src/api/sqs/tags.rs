//! Tags of a queue. Source: facts sheet, 12.

use crate::error::Error;
use crate::limits;
use crate::shard::handle::Tags;

/// Whether a queue named `queue` may have these tags.
pub fn check(tags: &Tags, queue: &str) -> Result<(), Error> {
    let refuse = |text: String| Err(Error::InvalidParameter(text.into()));
    if tags.len() > limits::TAGS_MAX {
        return refuse(format!("Too many tags added for queue {queue}."));
    }
    let legal = |c: char| c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c);
    for (key, value) in tags {
        check_key(key)?;
        if value.chars().count() > limits::TAG_VALUE_CHARS_MAX {
            return refuse("Tag values must be between 0 and 256 characters in length.".into());
        }
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return refuse("Tag keys must not start with 'aws:'.".into());
        }
        if !key.chars().chain(value.chars()).all(legal) {
            return refuse(
                "Tag keys and values can only include letters, digits, blanks and _ . : / = + - @"
                    .into(),
            );
        }
    }
    Ok(())
}

/// Whether tags of these keys may be taken off a queue named `queue`.
// Differs from AWS, perhaps: how many keys it takes at once is not known.
pub fn check_keys(keys: &[String], queue: &str) -> Result<(), Error> {
    if keys.len() > limits::TAGS_MAX {
        return Err(Error::InvalidParameter(
            format!("Too many tags removed from queue {queue}.").into(),
        ));
    }
    keys.iter().try_for_each(|key| check_key(key))
}

/// Whether a tag may have this key at all.
fn check_key(key: &str) -> Result<(), Error> {
    match key.chars().count() {
        1..=limits::TAG_KEY_CHARS_MAX => Ok(()),
        _ => Err(key_length()),
    }
}

/// What AWS says of a key that is too short or too long, and of an empty list of them.
pub fn key_length() -> Error {
    Error::InvalidParameter("Tag keys must be between 1 and 128 characters in length.".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legal(pairs: &[(&str, &str)]) -> bool {
        let tags = pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        check(&tags, "q").is_ok()
    }

    #[test]
    fn tags_have_bounded_keys_and_values_of_the_alphabet() {
        assert!(legal(&[("Größe", ""), (&"k".repeat(128), &"v".repeat(256)), ("a b", "x@y=z")]));
        for (key, value) in [
            ("", "v"),
            (&*"k".repeat(129), "v"),
            ("k", &*"v".repeat(257)),
            ("AWS:k", "v"),
            ("k", "#"),
        ] {
            assert!(!legal(&[(key, value)]), "{key}={value}");
        }
    }

    #[test]
    fn a_queue_has_at_most_fifty() {
        let tags = |count| (0..count).map(|n: u32| (n.to_string(), String::new())).collect();
        assert_eq!(check(&tags(50), "q"), Ok(()));
        assert_eq!(
            check(&tags(51), "q").unwrap_err().to_string(),
            "Too many tags added for queue q."
        );
    }
}
