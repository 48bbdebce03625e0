//! Digests that clients recompute, and fail on when they differ (facts sheet, 4.6).

use md5::{Digest as _, Md5 as Md5Hasher};
use serde::{Serialize, Serializer};
use sha2::Sha256;

use super::message::{Attribute, AttributeValue, Md5};

/// MD5 of a body's UTF-8 bytes.
pub fn md5_of_body(body: &[u8]) -> Md5 {
    Md5Hasher::digest(body).into()
}

/// MD5 over attributes in ascending order of their names; `None` when there are none, because the
/// member is then absent from the answer.
pub fn md5_of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a str, &'a Attribute)>,
) -> Option<Md5> {
    let mut hasher = None;
    for (name, attribute) in attributes {
        let hasher = hasher.get_or_insert_with(Md5Hasher::new);
        let (transport, value) = match &attribute.value {
            AttributeValue::Text(text) => (1, text.as_bytes()),
            AttributeValue::Binary(bytes) => (2, &bytes[..]),
        };
        update_with_length(hasher, name.as_bytes());
        update_with_length(hasher, attribute.data_type.as_bytes());
        hasher.update([transport]);
        update_with_length(hasher, value);
    }
    hasher.map(|hasher| hasher.finalize().into())
}

/// MD5 over the one system attribute that a sender may give, `AWSTraceHeader`.
pub fn md5_of_trace_header(value: &str) -> Md5 {
    let mut hasher = Md5Hasher::new();
    update_with_length(&mut hasher, b"AWSTraceHeader");
    update_with_length(&mut hasher, b"String");
    hasher.update([1]);
    update_with_length(&mut hasher, value.as_bytes());
    hasher.finalize().into()
}

/// The deduplication id that a body has where the sender names none: its SHA-256 in hex.
pub fn content_deduplication_id(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| digits(*byte)).map(char::from).collect()
}

/// The two lower-case hexadecimal digits of a byte.
pub fn digits(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// An MD5 as answers show it: in lower-case hexadecimal digits, which are written where they go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HexMd5(pub Md5);

impl Serialize for HexMd5 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 2 * size_of::<Md5>()];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&digits(byte));
        }
        serializer.serialize_str(str::from_utf8(&text).map_err(serde::ser::Error::custom)?)
    }
}

fn update_with_length(hasher: &mut Md5Hasher, bytes: &[u8]) {
    // Names, types and values are bounded by the size of a message, far below 4 GiB.
    hasher.update((bytes.len() as u32).to_be_bytes());
    hasher.update(bytes);
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn text(data_type: &str, value: &str) -> Attribute {
        Attribute { data_type: data_type.into(), value: AttributeValue::Text(value.into()) }
    }

    /// The test vectors of the facts sheet, 4.6.
    #[test]
    fn digests_are_those_of_aws() {
        assert_eq!(hex(&md5_of_body(b"hello")), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(
            content_deduplication_id(b"hello"),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        let city = text("String", "Any City");
        let population = text("Number.int", "1250800");
        let greeting = Attribute {
            data_type: "Binary".into(),
            value: AttributeValue::Binary(Bytes::from_static(b"Hello, World!")),
        };
        let cafe = text("String", "née ☕");
        let md5 = |attributes: &[(&'static str, &Attribute)]| {
            hex(&md5_of_attributes(attributes.iter().copied()).unwrap())
        };
        assert_eq!(md5(&[("City", &city)]), "0c32cb5c844c01fbd5b6b434b52cf670");
        assert_eq!(
            md5(&[("City", &city), ("Greeting", &greeting), ("Population", &population)]),
            "0bf4fddaaaeccae7e21f21bc0a1bc2a4"
        );
        assert_eq!(md5(&[("cafe", &cafe)]), "723838cfa389b12a0e6169357e8dfcbc");
        assert_eq!(
            hex(&md5_of_trace_header(
                "Root=1-5e3d83c1-e6a0db584850d61342823d4c;Parent=79e5fb5a1d9a4b1c;Sampled=1"
            )),
            "f9b2735b1e3c61a0ba4babf1c5e1ffda"
        );
    }

    #[test]
    fn no_attributes_have_no_digest() {
        assert_eq!(md5_of_attributes([]), None);
    }
}
