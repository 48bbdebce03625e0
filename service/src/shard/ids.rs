//! The ids users choose, as keyed hashes: what enters keys and memory instead of their text.

use std::hash::Hasher;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::model::fifo::{AttemptHash, DedupHash, GroupHash};

/// Hashes ids with a key of this data folder. Stored in keys, so these functions may never change.
#[derive(Clone)]
pub(super) struct IdHasher {
    key: [u8; 16],
}

impl IdHasher {
    /// Derives the key from the server's secret.
    pub(super) fn derive(secret: &[u8]) -> IdHasher {
        // HMAC hashes a key that is too long and pads one that is too short.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length of key will do");
        mac.update(b"stanchion ids in keys 1");
        let mut key = [0; 16];
        key.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        IdHasher { key }
    }

    pub(super) fn group(&self, id: &str) -> GroupHash {
        // Zero stands for no group.
        GroupHash(self.hash(b'g', id).max(1))
    }

    pub(super) fn dedup(&self, id: &str) -> DedupHash {
        DedupHash(self.hash(b'd', id))
    }

    pub(super) fn attempt(&self, id: &str) -> AttemptHash {
        AttemptHash(self.hash(b'a', id) as u64)
    }

    fn hash(&self, kind: u8, id: &str) -> u128 {
        let mut hasher = SipHasher13::new_with_key(&self.key);
        hasher.write(&[kind]);
        hasher.write(id.as_bytes());
        hasher.finish128().as_u128()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_has_another_hash_for_each_kind_and_each_secret() {
        let ids = IdHasher::derive(b"secret");
        let other = IdHasher::derive(b"other");
        assert_eq!(ids.group("a"), IdHasher::derive(b"secret").group("a"));
        assert_ne!(ids.group("a"), other.group("a"));
        assert_ne!(ids.group("a").0, ids.dedup("a").0);
        assert_ne!(ids.dedup("a").0 as u64, ids.attempt("a").0);
    }

    #[test]
    fn hashes_are_what_they_were_when_the_first_folder_was_written() {
        let ids = IdHasher::derive(b"secret");
        assert_eq!(ids.group("g").0, 247313684768800275236334029540636103720);
    }
}
