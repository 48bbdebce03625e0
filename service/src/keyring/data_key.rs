//! What messages are sealed with: a key of each queue, itself sealed under a master key. So a
//! rotation of master keys touches a row for each queue, and no message.

use std::sync::Arc;

use super::{KeyError, Keyring};
use crate::cipher::Cipher;
use crate::env::os_random;
use crate::model::queue::{QueueId, Slot};

/// Whose a data key is. It opens for nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOwner {
    /// A queue, by its identity.
    Queue(Slot, QueueId),
    /// Messages on their way from one queue to another, which may outlive the one and never come to
    /// the other.
    Transit,
}

impl KeyOwner {
    fn purpose(self) -> Vec<u8> {
        match self {
            KeyOwner::Queue(slot, id) => {
                [b"data key of a queue ".as_slice(), &[slot.0], &id.0.to_be_bytes()].concat()
            }
            KeyOwner::Transit => b"data key of what is under way".to_vec(),
        }
    }
}

/// A data key, ready for use, and as it is stored.
#[derive(Clone, Debug)]
pub struct DataKey {
    sealed: Arc<[u8]>,
    cipher: Arc<Cipher>,
}

/// What is stored says it all.
impl PartialEq for DataKey {
    fn eq(&self, other: &DataKey) -> bool {
        self.sealed == other.sealed
    }
}

impl Eq for DataKey {}

impl DataKey {
    /// A new key, sealed under the master key of that id.
    pub fn new(keyring: &Keyring, under: &str, owner: KeyOwner) -> DataKey {
        let key = os_random();
        let sealed = keyring.seal_under(under, &owner.purpose(), &key);
        DataKey { sealed: sealed.into(), cipher: Arc::new(Cipher::new(&key)) }
    }

    /// A key as it was stored.
    pub fn open(keyring: &Keyring, sealed: &[u8], owner: KeyOwner) -> Result<DataKey, KeyError> {
        let key = keyring.open(&owner.purpose(), sealed)?;
        let key = key.as_slice().try_into().map_err(|_| KeyError::Malformed)?;
        Ok(DataKey { sealed: sealed.into(), cipher: Arc::new(Cipher::new(key)) })
    }

    /// The same key sealed under another master key; `None` where it is under that already.
    pub fn rewrap(
        &self,
        keyring: &Keyring,
        under: &str,
        owner: KeyOwner,
    ) -> Result<Option<DataKey>, KeyError> {
        let again = keyring.rewrap_under(under, &owner.purpose(), &self.sealed)?;
        let cipher = &self.cipher;
        Ok(again.map(|sealed| DataKey { sealed: sealed.into(), cipher: Arc::clone(cipher) }))
    }

    /// As it is stored.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    /// What seals and opens messages.
    pub fn cipher(&self) -> &Arc<Cipher> {
        &self.cipher
    }
}
