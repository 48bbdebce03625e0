//! Which queues keep their messages encrypted, and with which keys.
//!
//! A queue's messages are sealed with that queue's data key and no other. So one that goes to another
//! queue is opened and sealed anew on its way, by the shards; what lies in the outbox, which may
//! outlive its source and never come to its target, is sealed with a key of the server. A key is
//! needed no longer than its queue, and with a queue's row the means to read any of its messages are
//! gone.

use std::sync::Arc;

use bytes::Bytes;

use super::core::ShardCore;
use super::handle::QueueInfo;
use super::map::SLOTS;
use super::start::{StartError, load};
use super::turn::Turn;
use crate::cipher::Cipher;
use crate::keyring::Keyring;
use crate::keyring::data_key::{DataKey, KeyOwner};
use crate::model::queue::Slot;
use crate::store::codec::{decode, encode};
use crate::store::keys::{parse_queue_key, queues_range, transit_key};
use crate::store::payload::{is_sealed, sealed, unsealed};
use crate::store::values::{QueueRow, TransitKeyRow};
use crate::store::{Batch, Durability, Op, Store, StoreError};

/// Queues that one turn of a rotation looks at.
const REWRAPPED_PER_TURN_MAX: usize = 1_000;

/// What shards need to keep messages encrypted; shared by all of them.
#[derive(Debug)]
pub struct AtRest {
    keyring: Arc<Keyring>,
    /// `None` as long as nothing is encrypted.
    transit: Option<DataKey>,
}

/// How far a rotation came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewrapped {
    /// Keys that are now under another master key.
    pub keys: u64,
    /// Where to go on, if there is more.
    pub(super) next: Option<usize>,
}

impl AtRest {
    /// Opens the keys that are stored, and makes those that are missing: of queues from before there
    /// were master keys. Fails, with nothing changed, when a master key is missing or wrong.
    pub fn lay(store: &dyn Store, keyring: Arc<Keyring>) -> Result<AtRest, StartError> {
        let mut at_rest = AtRest { transit: read_transit_key(store, &keyring)?, keyring };
        for slot in slots() {
            at_rest.check_slot(store, slot)?;
        }
        if at_rest.keyring.seals_messages() {
            if at_rest.transit.is_none() {
                let key =
                    DataKey::new(&at_rest.keyring, at_rest.keyring.current(), KeyOwner::Transit);
                write_transit_key(store, &key)?;
                at_rest.transit = Some(key);
            }
            for slot in slots() {
                at_rest.make_missing(store, slot)?;
            }
        }
        Ok(at_rest)
    }

    /// The master keys.
    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    fn check_slot(&self, store: &dyn Store, slot: Slot) -> Result<(), StartError> {
        for (key, value) in load(store, queues_range(slot))? {
            let (_, name) = parse_queue_key(&key.bytes)?;
            QueueInfo::from_row(slot, name, decode(value)?, &self.keyring)?;
        }
        Ok(())
    }

    fn make_missing(&self, store: &dyn Store, slot: Slot) -> Result<(), StoreError> {
        let mut ops = Vec::new();
        for (key, value) in load(store, queues_range(slot))? {
            let mut row: QueueRow = decode(value)?;
            if row.data_key.is_none() && row.settings.is_encrypted() {
                let under = self.master_key_of(row.settings.kms_key_id.as_deref());
                let made = DataKey::new(&self.keyring, under, KeyOwner::Queue(slot, row.id));
                row.data_key = Some(made.sealed().to_vec());
                ops.push(Op::Put(key, encode(&row)));
            }
        }
        if ops.is_empty() {
            return Ok(());
        }
        store.commit(Batch { ops }, Durability::Synced)
    }

    /// The data key that a queue is to have: its own, if it has one, under the master key that its
    /// settings name.
    pub(super) fn data_key_for(&self, info: &QueueInfo) -> Option<DataKey> {
        let kms_key_id = info.settings.kms_key_id.as_deref();
        if let Some(id) = kms_key_id
            && let Err(why) = self.keyring.answering_to(id)
        {
            tracing::warn!(queue = %info.key, "KmsMasterKeyId {id:?}: {why}");
        }
        let owner = KeyOwner::Queue(info.slot, info.id);
        let under = self.master_key_of(kms_key_id);
        match &info.data_key {
            // It was opened at the start, so its master key is there.
            Some(key) => {
                let again = key.rewrap(&self.keyring, under, owner).ok().flatten();
                Some(again.unwrap_or_else(|| key.clone()))
            }
            None if self.keyring.seals_messages() && info.settings.is_encrypted() => {
                Some(DataKey::new(&self.keyring, under, owner))
            }
            None => None,
        }
    }

    /// A payload as it lies in the outbox.
    pub(super) fn send_off(&self, payload: Bytes, source: &QueueInfo) -> Bytes {
        match is_sealed(&payload) {
            true => sealed(unsealed(payload, source.cipher()), self.transit_cipher()),
            false => payload,
        }
    }

    /// A payload as it was before it lay in the outbox, with nothing sealed.
    pub(super) fn take_in(&self, payload: Bytes) -> Bytes {
        unsealed(payload, self.transit_cipher())
    }

    fn transit_cipher(&self) -> Option<&Cipher> {
        self.transit.as_ref().map(|key| &**key.cipher())
    }

    fn master_key_of(&self, kms_key_id: Option<&str>) -> &str {
        let named = kms_key_id.and_then(|id| self.keyring.answering_to(id).ok());
        named.unwrap_or(self.keyring.current())
    }
}

impl QueueInfo {
    /// What its messages are sealed with, if they are.
    pub(super) fn sealing(&self) -> Option<&Cipher> {
        self.cipher().filter(|_| self.settings.is_encrypted())
    }

    /// What opens its messages, those too that came when it was set otherwise.
    pub(super) fn cipher(&self) -> Option<&Cipher> {
        self.data_key.as_ref().map(|key| &**key.cipher())
    }
}

impl ShardCore {
    /// Puts the data keys of some queues under the master keys that are to seal them.
    pub(super) fn rewrap(&mut self, turn: &mut Turn, from: usize) -> Rewrapped {
        let until = self.queues.len().min(from + REWRAPPED_PER_TURN_MAX);
        let mut keys = 0;
        for index in from..until {
            let Some(hosted) = &self.queues[index] else { continue };
            let data_key = self.options.at_rest.data_key_for(&hosted.info);
            if data_key != hosted.info.data_key {
                self.describe(
                    turn,
                    index,
                    QueueInfo { data_key, ..QueueInfo::clone(&hosted.info) },
                );
                keys += 1;
            }
        }
        Rewrapped { keys, next: (until < self.queues.len()).then_some(until) }
    }
}

/// Puts the key of what is under way under the current master key; answers how many keys that were.
pub(super) fn rewrap_transit_key(store: &dyn Store, keyring: &Keyring) -> Result<u64, StartError> {
    let Some(key) = read_transit_key(store, keyring)? else { return Ok(0) };
    let again = key.rewrap(keyring, keyring.current(), KeyOwner::Transit);
    match again.map_err(|error| StartError::key("messages under way", error))? {
        None => Ok(0),
        Some(again) => write_transit_key(store, &again).map(|()| 1).map_err(StartError::from),
    }
}

fn read_transit_key(store: &dyn Store, keyring: &Keyring) -> Result<Option<DataKey>, StartError> {
    let Some(row) = store.get(&transit_key())? else { return Ok(None) };
    let TransitKeyRow(sealed) = decode(row)?;
    let opened = DataKey::open(keyring, &sealed, KeyOwner::Transit);
    opened.map(Some).map_err(|error| StartError::key("messages under way", error))
}

fn write_transit_key(store: &dyn Store, key: &DataKey) -> Result<(), StoreError> {
    let row = TransitKeyRow(key.sealed().to_vec());
    store.commit(Batch { ops: vec![Op::Put(transit_key(), encode(&row))] }, Durability::Synced)
}

fn slots() -> impl Iterator<Item = Slot> {
    (0..SLOTS).map(|slot| Slot(slot as u8))
}
