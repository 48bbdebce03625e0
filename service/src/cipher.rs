//! How bytes are sealed: nobody reads them, or changes them unnoticed, without the key.
//!
//! AES-256-GCM with the longer nonce of XAES-256-GCM (<https://c2sp.org/XAES-256-GCM>): each sealing
//! has a key of its own, which AES itself derives from half of the nonce. A nonce of plain GCM is so
//! short that, drawn at random, it is good for 2^32 sealings with one key: days of a busy queue. This
//! one is good for 2^80.

use aes::Aes256Enc;
use aes::cipher::generic_array::GenericArray;
use aes::cipher::{BlockEncrypt, KeyInit};
use aes_gcm::{AeadInPlace, Aes256Gcm};

use crate::env;

/// The length of a key, in bytes.
pub const KEY_BYTES: usize = 32;

/// How much longer something becomes by being sealed: by what [`Cipher::seal`] answers.
pub const TRAILER_BYTES: usize = NONCE_BYTES + TAG_BYTES;

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// A key, ready for use. Never shown.
#[derive(Clone)]
pub struct Cipher {
    block: Aes256Enc,
    /// K1 of CMAC: what keeps the derived keys apart from everything else AES is asked for.
    mask: u128,
}

/// It was sealed with another key or under another heading, or it was changed since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not what was sealed with this key")]
pub struct NotAuthentic;

impl Cipher {
    /// Makes a key ready.
    pub fn new(key: &[u8; KEY_BYTES]) -> Cipher {
        let block = Aes256Enc::new(GenericArray::from_slice(key));
        let zero = encrypt(&block, 0);
        let carry = if zero >> 127 == 1 { 0x87 } else { 0 };
        Cipher { block, mask: (zero << 1) ^ carry }
    }

    /// Seals `text` where it is, under a heading that stays readable and must be the same when it is
    /// opened. Answers what opening needs.
    pub fn seal(&self, heading: &[u8], text: &mut [u8]) -> [u8; TRAILER_BYTES] {
        self.seal_with(env::nonce(), heading, text)
    }

    /// Opens `text` where it is. On an error it is as it was.
    pub fn open(
        &self,
        heading: &[u8],
        text: &mut [u8],
        trailer: &[u8; TRAILER_BYTES],
    ) -> Result<(), NotAuthentic> {
        let (nonce, tag) = trailer.split_at(NONCE_BYTES);
        let (half, rest) = nonce.split_at(NONCE_BYTES / 2);
        let (rest, tag) = (GenericArray::from_slice(rest), GenericArray::from_slice(tag));
        let opened = self.derive(half).decrypt_in_place_detached(rest, heading, text, tag);
        opened.map_err(|_| NotAuthentic)
    }

    fn seal_with(
        &self,
        nonce: [u8; NONCE_BYTES],
        heading: &[u8],
        text: &mut [u8],
    ) -> [u8; TRAILER_BYTES] {
        let (half, rest) = nonce.split_at(NONCE_BYTES / 2);
        let tag = self
            .derive(half)
            .encrypt_in_place_detached(GenericArray::from_slice(rest), heading, text)
            .expect("what is sealed is far smaller than 64 GiB");
        let mut trailer = [0; TRAILER_BYTES];
        trailer[..NONCE_BYTES].copy_from_slice(&nonce);
        trailer[NONCE_BYTES..].copy_from_slice(&tag);
        trailer
    }

    /// The key of one sealing.
    fn derive(&self, half: &[u8]) -> Aes256Gcm {
        let mut context = [0; 12];
        context.copy_from_slice(half);
        Aes256Gcm::new(GenericArray::from_slice(&self.derive_key(b'X', &context)))
    }

    /// A key that follows from this one: by CMAC in counter mode (NIST SP 800-108), as those of
    /// sealings do, which have the label `X`.
    pub fn derive_key(&self, label: u8, context: &[u8; 12]) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        for (counter, part) in (1u8..).zip(key.chunks_exact_mut(16)) {
            let mut block = [0; 16];
            block[..4].copy_from_slice(&[0, counter, label, 0]);
            block[4..].copy_from_slice(context);
            let derived = encrypt(&self.block, u128::from_be_bytes(block) ^ self.mask);
            part.copy_from_slice(&derived.to_be_bytes());
        }
        key
    }
}

impl std::fmt::Debug for Cipher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cipher(…)")
    }
}

fn encrypt(aes: &Aes256Enc, block: u128) -> u128 {
    let mut block = GenericArray::from(block.to_be_bytes());
    aes.encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of the specification.
    #[test]
    fn it_is_xaes_256_gcm() {
        for (key, heading, sealed) in [
            (1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (
                3,
                "c2sp.org/XAES-256-GCM",
                "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d",
            ),
        ] {
            let cipher = Cipher::new(&[key; KEY_BYTES]);
            let mut text = *b"XAES-256-GCM";
            let nonce = *b"ABCDEFGHIJKLMNOPQRSTUVWX";
            let trailer = cipher.seal_with(nonce, heading.as_bytes(), &mut text);
            assert_eq!(hex(&text) + &hex(&trailer[NONCE_BYTES..]), sealed);
            assert_eq!(trailer[..NONCE_BYTES], nonce);
        }
    }

    #[test]
    fn whatever_is_changed_is_refused_and_left_alone() {
        let cipher = Cipher::new(&[7; KEY_BYTES]);
        let mut text = *b"a body";
        let trailer = cipher.seal(b"heading", &mut text);
        assert_ne!(text, *b"a body");
        for at in 0..text.len() {
            let mut flipped = text;
            flipped[at] ^= 1;
            let before = flipped;
            assert_eq!(cipher.open(b"heading", &mut flipped, &trailer), Err(NotAuthentic));
            assert_eq!(flipped, before);
        }
        for at in 0..trailer.len() {
            let mut flipped = trailer;
            flipped[at] ^= 1;
            assert_eq!(cipher.open(b"heading", &mut text, &flipped), Err(NotAuthentic));
        }
        let other = Cipher::new(&[8; KEY_BYTES]);
        assert_eq!(other.open(b"heading", &mut text, &trailer), Err(NotAuthentic));
        assert_eq!(cipher.open(b"Heading", &mut text, &trailer), Err(NotAuthentic));
        cipher.open(b"heading", &mut text, &trailer).unwrap();
        assert_eq!(text, *b"a body");
    }

    #[test]
    fn the_same_text_is_never_sealed_alike() {
        let cipher = Cipher::new(&[7; KEY_BYTES]);
        let [mut first, mut second] = [*b"twice the same text"; 2];
        let trailers = [cipher.seal(b"", &mut first), cipher.seal(b"", &mut second)];
        assert_ne!(trailers[0], trailers[1]);
        assert_ne!(first, second);
    }

    #[test]
    fn a_key_that_follows_is_another_for_each_label_context_and_key() {
        let [cipher, other] = [[7; KEY_BYTES], [8; KEY_BYTES]].map(|key| Cipher::new(&key));
        let key = cipher.derive_key(b'S', b"for sessions");
        assert_eq!(key, cipher.derive_key(b'S', b"for sessions"));
        assert_ne!(key, cipher.derive_key(b'X', b"for sessions"));
        assert_ne!(key, cipher.derive_key(b'S', b"for anything"));
        assert_ne!(key, other.derive_key(b'S', b"for sessions"));
        assert_ne!(key[..16], key[16..]);
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", Cipher::new(&[7; KEY_BYTES])), "Cipher(…)");
    }
}
