//! Digests that the server answers with, computed here once more: what was stored is what was sent.

use md5::{Digest as _, Md5};

use crate::message::MessageAttributes;

/// Holds an MD5 that the server gave against our own.
pub(crate) fn check(what: &str, given: Option<&str>, ours: Option<String>) -> Result<(), String> {
    // Where one of them is absent there is nothing to compare: some servers leave them out.
    match (given, ours) {
        (Some(given), Some(ours)) if !given.eq_ignore_ascii_case(&ours) => {
            Err(format!("the MD5 of {what} is {ours} here and {given} there"))
        }
        _ => Ok(()),
    }
}

/// Of a body's bytes.
pub(crate) fn of_body(body: &str) -> String {
    hex(&Md5::digest(body))
}

/// Of attributes in the order of their names, as AWS defines it; none has none.
pub(crate) fn of_attributes(attributes: &MessageAttributes) -> Option<String> {
    if attributes.is_empty() {
        return None;
    }
    let mut hasher = Md5::new();
    for (name, attribute) in attributes {
        let (transport, value) = match (&attribute.string_value, &attribute.binary_value) {
            (_, Some(bytes)) => (2, bytes.as_slice()),
            (text, None) => (1, text.as_deref().unwrap_or_default().as_bytes()),
        };
        for (before, part) in [
            (None, name.as_bytes()),
            (None, attribute.data_type.as_bytes()),
            (Some(transport), value),
        ] {
            hasher.update(before.as_slice());
            // What is longer does not fit into a message.
            hasher.update((part.len() as u32).to_be_bytes());
            hasher.update(part);
        }
    }
    Some(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageAttribute;

    #[test]
    fn digests_are_those_of_aws() {
        assert_eq!(of_body("hello"), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(of_attributes(&MessageAttributes::new()), None);
        let city = ("City".to_owned(), MessageAttribute::from("Any City"));
        let one = MessageAttributes::from([city.clone()]);
        assert_eq!(of_attributes(&one).unwrap(), "0c32cb5c844c01fbd5b6b434b52cf670");
        let mut population = MessageAttribute::number(1_250_800);
        population.data_type = "Number.int".into();
        let three = MessageAttributes::from([
            city,
            ("Population".into(), population),
            ("Greeting".into(), MessageAttribute::binary("Hello, World!")),
        ]);
        assert_eq!(of_attributes(&three).unwrap(), "0bf4fddaaaeccae7e21f21bc0a1bc2a4");
    }

    #[test]
    fn only_a_digest_that_differs_is_refused() {
        assert!(check("x", Some("AB"), Some("ab".into())).is_ok());
        assert!(check("x", None, Some("ab".into())).is_ok());
        assert!(check("x", Some("cd"), Some("ab".into())).is_err());
    }
}
