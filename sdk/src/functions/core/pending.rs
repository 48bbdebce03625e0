//! Messages that were received and wait for a process, and how they become batches.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::functions::event::{EVENT_OVERHEAD, Held, PAYLOAD_BYTES_MAX};

/// Messages in the order in which they came. What it holds is bounded by what is asked for.
#[derive(Debug)]
pub(super) struct Pending {
    batch_size: usize,
    window: Duration,
    records: VecDeque<Held>,
    bytes: usize,
    /// FIFO groups of which a function has messages, or whose results are not settled.
    locked: BTreeSet<String>,
}

/// What fits into one batch.
#[derive(Clone, Copy, Debug, Default)]
struct Filling {
    records: usize,
    bytes: usize,
}

impl Filling {
    /// A first record always fits: one that is larger than an event may be would never be handled.
    fn takes(&mut self, held: &Held, batch_size: usize) -> bool {
        let bytes = self.bytes + held.size();
        let fits = self.records < batch_size && EVENT_OVERHEAD + bytes <= PAYLOAD_BYTES_MAX;
        if !fits && self.records > 0 {
            return false;
        }
        *self = Filling { records: self.records + 1, bytes };
        true
    }
}

impl Pending {
    pub(super) fn new(batch_size: usize, window: Duration) -> Pending {
        let (records, locked) = (VecDeque::new(), BTreeSet::new());
        Pending { batch_size, window, records, bytes: 0, locked }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The size of all records together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, held: Held) {
        self.bytes += held.size();
        self.records.push_back(held);
    }

    /// How many batches could be sent now, each to a process of its own.
    pub(super) fn due(&self, now: Instant) -> usize {
        let (mut due, mut filling) = (0, Filling::default());
        let mut oldest = None;
        let mut groups = BTreeSet::new();
        for held in self.records.iter().filter(|held| self.is_free(held)) {
            if !filling.takes(held, self.batch_size) {
                due += 1;
                filling = Filling::default();
                filling.takes(held, self.batch_size);
                oldest = None;
            }
            oldest.get_or_insert(held.received_at);
            groups.extend(held.group.as_deref());
        }
        let is_last_due = filling.records >= self.batch_size
            || oldest.is_some_and(|oldest| oldest + self.window <= now);
        due += usize::from(is_last_due);
        // A group is with one process at a time.
        if groups.is_empty() { due } else { due.min(groups.len()) }
    }

    /// The next batch, if one is due. Its groups are locked until [`unlock`](Self::unlock).
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<Held>> {
        if self.due(now) == 0 {
            return None;
        }
        let mut filling = Filling::default();
        let mut is_full = false;
        let (mut batch, mut kept) = (Vec::new(), VecDeque::with_capacity(self.records.len()));
        for held in std::mem::take(&mut self.records) {
            is_full = is_full || (self.is_free(&held) && !filling.takes(&held, self.batch_size));
            if is_full || !self.is_free(&held) {
                kept.push_back(held);
            } else {
                self.bytes -= held.size();
                batch.push(held);
            }
        }
        self.records = kept;
        self.locked.extend(batch.iter().filter_map(|held| held.group.clone()));
        Some(batch)
    }

    /// The results of a batch are settled: its groups go on.
    pub(super) fn unlock<'a>(&mut self, groups: impl IntoIterator<Item = &'a String>) {
        for group in groups {
            self.locked.remove(group);
        }
    }

    /// Takes out the messages of groups that must not go on, and returns their handles.
    pub(super) fn take_groups(&mut self, groups: &BTreeSet<String>) -> Vec<String> {
        self.take_if(|held| held.group.as_ref().is_some_and(|group| groups.contains(group)))
    }

    /// Takes out everything and returns the handles.
    pub(super) fn take_all(&mut self) -> Vec<String> {
        self.take_if(|_| true)
    }

    /// Forgets messages that have waited for so long: others will have them soon.
    pub(super) fn expire(&mut self, now: Instant, patience: Duration) -> usize {
        self.take_if(|held| held.received_at + patience <= now).len()
    }

    fn take_if(&mut self, unwanted: impl Fn(&Held) -> bool) -> Vec<String> {
        let mut taken = Vec::new();
        // Most often there is nothing to do, and then nothing moves.
        if self.records.iter().any(&unwanted) {
            for held in std::mem::take(&mut self.records) {
                if unwanted(&held) {
                    self.bytes -= held.size();
                    taken.push(held.receipt_handle);
                } else {
                    self.records.push_back(held);
                }
            }
        }
        taken
    }

    /// When a batch may become due, or a message be forgotten, without anything else happening.
    pub(super) fn deadlines(&self, patience: Duration) -> impl Iterator<Item = Instant> {
        let oldest = self.records.iter().map(|held| held.received_at).min();
        // A window may begin with any message: the ones before it may fill a batch, or be locked.
        let windows = self.records.iter().map(|held| held.received_at + self.window);
        windows.chain(oldest.map(|oldest| oldest + patience))
    }

    fn is_free(&self, held: &Held) -> bool {
        held.group.as_ref().is_none_or(|group| !self.locked.contains(group))
    }
}
