//! Receipt handles: what one receive of one message is called outside. Opaque and sealed, so that a
//! forged or foreign one is refused without a look-up.

use std::hash::Hasher as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use siphasher::sip128::{Hasher128 as _, SipHasher24};
use subtle::ConstantTimeEq as _;

use super::fifo::Seq;
use super::queue::{QueueId, Slot};
use super::rows::{Lane, Place};
use crate::error::Error;

/// What a handle says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptHandle {
    /// Where the queue's rows are; with `queue` the queue's identity.
    pub slot: Slot,
    /// Which queue.
    pub queue: QueueId,
    /// Which message.
    pub place: Place,
    /// Which receive of it.
    pub nonce: u64,
}

/// In base64 this reads `AQEB`, as handles on AWS do (facts sheet, 5.2).
const MAGIC: [u8; 3] = [1, 1, 1];
const KEY_ID: u8 = 1;
const BODY_BYTES: usize = 3 + 1 + 1 + 8 + 1 + 8 + 8;
const MAC_BYTES: usize = 16;
const BYTES: usize = BODY_BYTES + MAC_BYTES;

/// The key that seals handles; derived from the secret in the data folder. The seal is SipHash-2-4
/// with 128 bits: made for short texts under a secret key, and a fifth of the work of HMAC-SHA-256,
/// which twenty handles of a batch would notice.
#[derive(Clone)]
pub struct ReceiptKey(SipHasher24);

impl ReceiptKey {
    /// Derives the key from a server's secret.
    pub fn derive(secret: &[u8]) -> ReceiptKey {
        // HMAC hashes a key that is too long and pads one that is too short.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("any length of key will do");
        mac.update(b"stanchion receipt handles 2");
        let mut key = [0; 16];
        key.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        ReceiptKey(SipHasher24::new_with_key(&key))
    }

    fn mac(&self, body: &[u8]) -> [u8; MAC_BYTES] {
        let mut hasher = self.0;
        hasher.write(body);
        hasher.finish128().as_bytes()
    }

    /// The handle's text: base64 that begins with `AQEB`.
    pub fn seal(&self, handle: &ReceiptHandle) -> String {
        let mut bytes = [0; BYTES];
        let (body, seal) = bytes.split_at_mut(BODY_BYTES);
        body[..3].copy_from_slice(&MAGIC);
        body[3] = KEY_ID;
        body[4] = handle.slot.0;
        body[5..13].copy_from_slice(&handle.queue.0.to_be_bytes());
        body[13] = match handle.place.lane {
            Lane::Main => 0,
            Lane::Delayed => 1,
        };
        body[14..22].copy_from_slice(&handle.place.seq.0.to_be_bytes());
        body[22..].copy_from_slice(&handle.nonce.to_be_bytes());
        seal.copy_from_slice(&self.mac(body));
        STANDARD.encode(bytes)
    }

    /// What a handle says, for the queue it is used on.
    ///
    /// Fails with `ReceiptHandleIsInvalid` when this server did not write it, and with
    /// `ReceiptHandleOfAnotherQueue` when it did, for another queue. A queue deleted and created
    /// again is another queue.
    pub fn open(&self, text: &str, slot: Slot, queue: QueueId) -> Result<ReceiptHandle, Error> {
        let handle =
            self.read(text).ok_or_else(|| Error::ReceiptHandleIsInvalid(text.to_owned()))?;
        if (handle.slot, handle.queue) != (slot, queue) {
            return Err(Error::ReceiptHandleOfAnotherQueue(text.to_owned()));
        }
        Ok(handle)
    }

    fn read(&self, text: &str) -> Option<ReceiptHandle> {
        // Room for what a handle with a few bytes too many would decode to.
        let mut bytes = [0; BYTES + 3];
        let length = STANDARD.decode_slice(text, &mut bytes).ok()?;
        let bytes = bytes.get(..length).filter(|bytes| bytes.len() == BYTES)?;
        let (body, seal) = bytes.split_at(BODY_BYTES);
        // Compares in constant time.
        if !bool::from(self.mac(body).ct_eq(seal)) {
            return None;
        }
        let number = |at: usize| {
            let mut number = [0; 8];
            number.copy_from_slice(&body[at..at + 8]);
            u64::from_be_bytes(number)
        };
        let lane = if body[13] == 0 { Lane::Main } else { Lane::Delayed };
        Some(ReceiptHandle {
            slot: Slot(body[4]),
            queue: QueueId(number(5)),
            place: Place { lane, seq: Seq(number(14)) },
            nonce: number(22),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HANDLE: ReceiptHandle = ReceiptHandle {
        slot: Slot(200),
        queue: QueueId(7),
        place: Place { lane: Lane::Delayed, seq: Seq(1 << 40 | 5) },
        nonce: u64::MAX - 1,
    };

    #[test]
    fn a_handle_opens_to_what_was_sealed_and_looks_like_aws() {
        let key = ReceiptKey::derive(b"secret");
        let text = key.seal(&HANDLE);
        assert!(text.starts_with("AQEB"), "{text}");
        assert_eq!(key.open(&text, HANDLE.slot, HANDLE.queue), Ok(HANDLE));
    }

    #[test]
    fn a_handle_of_another_queue_is_told_from_garbage() {
        let key = ReceiptKey::derive(b"secret");
        let text = key.seal(&HANDLE);
        let other = Err(Error::ReceiptHandleOfAnotherQueue(text.clone()));
        assert_eq!(key.open(&text, HANDLE.slot, QueueId(8)), other);
        assert_eq!(key.open(&text, Slot(1), HANDLE.queue), other);
        for garbage in ["", "AQEB", "not base64 at all!", &text[4..], &format!("{text}AAAA")] {
            let refused = Err(Error::ReceiptHandleIsInvalid(garbage.to_owned()));
            assert_eq!(key.open(garbage, HANDLE.slot, HANDLE.queue), refused);
        }
    }

    #[test]
    fn a_handle_with_any_bit_flipped_or_of_another_server_is_garbage() {
        let key = ReceiptKey::derive(b"secret");
        let sealed = STANDARD.decode(key.seal(&HANDLE)).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut forged = sealed.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            let text = STANDARD.encode(forged);
            let refused = Err(Error::ReceiptHandleIsInvalid(text.clone()));
            assert_eq!(key.open(&text, HANDLE.slot, HANDLE.queue), refused);
        }
        let foreign = ReceiptKey::derive(b"another").seal(&HANDLE);
        assert!(key.open(&foreign, HANDLE.slot, HANDLE.queue).is_err());
    }
}
