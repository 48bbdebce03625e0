//! Ids as those of IAM look: a prefix that says of what kind they are, and letters and digits.

use sha2::{Digest, Sha256};

use crate::env;
use crate::model::queue::AccountId;

/// Of RFC 4648, in which AWS writes its ids.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// How the access keys of sessions begin.
pub const SESSION_KEY_PREFIX: &str = "ASIA";

/// A new access key id of a session: 20 characters.
pub fn session_key_id() -> String {
    let random: [u8; 10] = env::os_random();
    SESSION_KEY_PREFIX.to_owned() + &base32(&random)
}

/// The id of a role: 21 characters, the same on every node and after every start.
pub fn role_id(account: &AccountId, name: &str) -> String {
    let digest = Sha256::digest(["role", account.as_str(), name].join("/"));
    let mut id = "AROA".to_owned() + &base32(&digest[..11]);
    id.truncate(21);
    id
}

/// Five bits for each character; what is left over at the end is left out.
fn base32(bytes: &[u8]) -> String {
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let bits: Vec<u8> = bits.collect();
    let character = |five: &[u8]| {
        let index = five.iter().fold(0, |index, bit| index << 1 | usize::from(*bit));
        char::from(BASE32[index])
    };
    bits.chunks_exact(5).map(character).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_32_is_that_of_the_rfc() {
        assert_eq!(base32(b"fooba"), "MZXW6YTB");
        assert_eq!(base32(&[0xff; 10]), "7".repeat(16));
    }

    #[test]
    fn ids_look_like_those_of_aws() {
        let (first, second) = (session_key_id(), session_key_id());
        assert_eq!((first.len(), &first[..4]), (20, "ASIA"));
        assert_ne!(first, second);
        let account = |text| AccountId::parse(text).unwrap();
        let id = role_id(&account("000000000000"), "orders");
        assert_eq!((id.len(), &id[..4]), (21, "AROA"));
        assert_eq!(id, role_id(&account("000000000000"), "orders"));
        assert_ne!(id, role_id(&account("000000000001"), "orders"));
        assert_ne!(id, role_id(&account("000000000000"), "order"));
    }
}
