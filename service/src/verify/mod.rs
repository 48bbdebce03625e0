//! Holds everything that is stored against what must be true of it: every row decodes, every row
//! belongs to something, and the rows of a queue agree with each other. Reads each row a few times,
//! in order, and remembers no more than a running server does: what is in flight.

mod queue;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use crate::keyring::Keyring;
use crate::keyring::data_key::{DataKey, KeyOwner};
use crate::model::queue::{Generation, QueueKey, Slot};
use crate::model::user::UserKey;
use crate::shard::map::SLOTS;
use crate::store::codec::decode;
use crate::store::keys::transit_key;
use crate::store::values::{QueueRow, TransitKeyRow};
use crate::store::{Snapshot, StoreError};

/// Faults that are told in words; beyond them they are only counted.
const FAULTS_TOLD_MAX: usize = 100;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What is there.
    pub counts: Counts,
    /// What is wrong, in words, as far as there was room.
    pub told: Vec<String>,
    /// How many things are wrong.
    pub faults: u64,
}

/// What is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Queues.
    pub queues: u64,
    /// Messages of theirs, in any state.
    pub messages: u64,
    /// Of those, messages that were received: in flight, or available again.
    pub received: u64,
    /// Messages on their way from one queue to another.
    pub under_way: u64,
    /// Rows in all, those of purged and deleted queues not counted.
    pub rows: u64,
}

impl Report {
    /// Nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.faults == 0
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        self.faults += 1;
        if self.told.len() < FAULTS_TOLD_MAX {
            self.told.push(what());
        }
    }

    /// The value, or its absence as a fault.
    fn read<T>(&mut self, what: Result<T, StoreError>) -> Option<T> {
        what.map_err(|error| self.fault(|| error.to_string())).ok()
    }
}

/// Which generations of a slot somebody knows of.
#[derive(Debug, Default)]
struct Catalogue {
    queues: BTreeMap<Generation, (QueueKey, QueueRow, Reading)>,
    /// Purged or deleted, and not yet reclaimed.
    dead: Vec<Generation>,
    users: BTreeSet<UserKey>,
}

impl Catalogue {
    fn knows(&self, generation: Generation) -> bool {
        self.queues.contains_key(&generation) || self.dead.contains(&generation)
    }
}

/// What reads payloads.
#[derive(Clone, Debug)]
enum Reading {
    /// Those that are sealed take this key; without it there are none.
    With(Option<DataKey>),
    /// The key that is stored does not open, which is told once: what is sealed is passed over.
    Lost,
}

impl Reading {
    fn new(
        sealed: Option<&[u8]>,
        owner: KeyOwner,
        keyring: &Keyring,
        whose: &dyn Display,
        report: &mut Report,
    ) -> Reading {
        match sealed.map(|sealed| DataKey::open(keyring, sealed, owner)).transpose() {
            Ok(key) => Reading::With(key),
            Err(error) => {
                report.fault(|| format!("the key of {whose}: {error}"));
                Reading::Lost
            }
        }
    }
}

/// What the rows of a slot are read with.
#[derive(Clone, Copy)]
struct Keys<'a> {
    keyring: &'a Keyring,
    transit: &'a Reading,
}

/// Looks at everything there is.
pub fn verify(store: &dyn Snapshot, keyring: &Keyring) -> Report {
    let mut report = Report::default();
    let row =
        store.get(&transit_key()).and_then(|row| row.map(decode::<TransitKeyRow>).transpose());
    let row = report.read(row).flatten();
    let sealed = row.as_ref().map(|row| &*row.0);
    let whose = "messages under way";
    let transit = Reading::new(sealed, KeyOwner::Transit, keyring, &whose, &mut report);
    for slot in (0..SLOTS).map(|slot| Slot(slot as u8)) {
        let catalogue =
            rows::check_state(store, slot, Keys { keyring, transit: &transit }, &mut report);
        rows::check_messages_belong(store, slot, &catalogue, &mut report);
        for (key, row, reading) in catalogue.queues.values() {
            queue::check(store, slot, key, row, reading, &mut report);
        }
    }
    report
}
