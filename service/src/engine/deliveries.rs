//! The messages that were received and not deleted: in flight, or returned.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crate::limits;
use crate::model::fifo::{AttemptHash, GroupHash, Seq};
use crate::model::rows::{DeliveryRow, ReceiveId, ReceiveRow, RowKey, Write};
use crate::model::time::Timestamp;

/// All deliveries of a queue, ordered the three ways they are asked for. Memory grows with what is
/// in flight or returned, and with nothing else.
///
/// On the disk the messages of one receive share a row, for most are received together and deleted
/// together. Which rows have to be written follows from what is done here.
#[derive(Debug)]
pub(super) struct Deliveries {
    /// In which receive a message is found.
    places: BTreeMap<Seq, ReceiveId>,
    /// As they are on the disk, but for those in `changed`. None is empty.
    receives: BTreeMap<ReceiveId, ReceiveRow>,
    /// In flight, by the end of their visibility timeout.
    hidden: BTreeSet<(Timestamp, Seq)>,
    /// Available again, by when they became so.
    returned: BTreeSet<(Timestamp, Seq)>,
    /// In flight by group: what makes a group noisy. Groups with none are absent.
    hidden_by_group: BTreeMap<GroupHash, u32>,
    /// FIFO: which messages a receive attempt got.
    attempts: BTreeMap<AttemptHash, BTreeSet<Seq>>,
    /// The receive that new deliveries belong to.
    receive: ReceiveId,
    /// Receives whose rows are not what is here, in no order, some more than once.
    changed: Vec<ReceiveId>,
}

impl Deliveries {
    /// Those of a queue as its rows have them. `first` and all later ids of receives are unused.
    pub(super) fn open(
        rows: Vec<(ReceiveId, ReceiveRow)>,
        first: ReceiveId,
        now: Timestamp,
    ) -> Deliveries {
        let mut deliveries = Deliveries {
            places: BTreeMap::new(),
            receives: BTreeMap::new(),
            hidden: BTreeSet::new(),
            returned: BTreeSet::new(),
            hidden_by_group: BTreeMap::new(),
            attempts: BTreeMap::new(),
            receive: first,
            changed: Vec::new(),
        };
        for (receive, rows) in rows {
            for (seq, row) in rows {
                deliveries.add(receive, seq, row, now);
            }
        }
        deliveries
    }

    /// Adds a delivery, to the present receive, or replaces it where it is. Hidden when its timeout
    /// lies ahead, returned otherwise.
    pub(super) fn put(&mut self, seq: Seq, row: DeliveryRow, now: Timestamp) {
        let receive = self.take(seq).map_or(self.receive, |(receive, _)| receive);
        self.add(receive, seq, row, now);
        self.note_change(receive);
    }

    /// Removes a delivery.
    pub(super) fn remove(&mut self, seq: Seq) -> Option<DeliveryRow> {
        let (receive, row) = self.take(seq)?;
        self.note_change(receive);
        Some(row)
    }

    fn note_change(&mut self, receive: ReceiveId) {
        if self.changed.last() != Some(&receive) {
            self.changed.push(receive);
        }
    }

    /// Ends the present receive: what is received from now on belongs to another. Adds the rows
    /// that have changed.
    pub(super) fn close(&mut self, writes: &mut Vec<Write>) {
        if self.changed.is_empty() {
            return;
        }
        self.changed.sort_unstable();
        self.changed.dedup();
        for receive in self.changed.drain(..) {
            writes.push(match self.receives.get_mut(&receive) {
                None => Write::Remove(RowKey::Receive(receive)),
                Some(row) => {
                    // Many receives of which one message is left must not cost what all had.
                    if 2 * row.len() <= row.capacity() {
                        row.shrink_to_fit();
                    }
                    Write::Receive(receive, row.clone())
                }
            });
        }
        if self.receives.contains_key(&self.receive) {
            self.receive = ReceiveId(self.receive.0 + 1);
        }
    }

    fn add(&mut self, receive: ReceiveId, seq: Seq, row: DeliveryRow, now: Timestamp) {
        self.places.insert(seq, receive);
        let new = || ReceiveRow::with_capacity(limits::RECEIVE_MESSAGES_MAX);
        self.receives.entry(receive).or_insert_with(new).push((seq, row));
        if now < row.visible_at {
            self.hidden.insert((row.visible_at, seq));
            if let Some(group) = row.group {
                *self.hidden_by_group.entry(group).or_default() += 1;
            }
        } else {
            self.returned.insert((row.visible_at, seq));
        }
        if let Some((attempt, _)) = row.attempt {
            self.attempts.entry(attempt).or_default().insert(seq);
        }
    }

    fn take(&mut self, seq: Seq) -> Option<(ReceiveId, DeliveryRow)> {
        let receive = self.places.remove(&seq)?;
        let Entry::Occupied(mut rows) = self.receives.entry(receive) else { return None };
        let at = rows.get().iter().position(|(other, _)| *other == seq)?;
        let (_, row) = rows.get_mut().swap_remove(at);
        if rows.get().is_empty() {
            rows.remove();
        }
        if self.hidden.remove(&(row.visible_at, seq)) {
            self.leave_group(&row);
        } else {
            self.returned.remove(&(row.visible_at, seq));
        }
        if let Some((attempt, _)) = row.attempt
            && let Some(seqs) = self.attempts.get_mut(&attempt)
        {
            seqs.remove(&seq);
            if seqs.is_empty() {
                self.attempts.remove(&attempt);
            }
        }
        Some((receive, row))
    }

    /// Ends the visibility timeouts that are over at `now`, at most `max` of them.
    pub(super) fn end_timeouts(&mut self, now: Timestamp, max: usize) -> Vec<(Seq, DeliveryRow)> {
        let mut ended = Vec::new();
        while ended.len() < max
            && let Some(&(visible_at, seq)) = self.hidden.first()
            && visible_at <= now
        {
            self.hidden.pop_first();
            self.returned.insert((visible_at, seq));
            if let Some(row) = self.get(seq).copied() {
                self.leave_group(&row);
                ended.push((seq, row));
            }
        }
        ended
    }

    fn leave_group(&mut self, row: &DeliveryRow) {
        if let Some(group) = row.group
            && let Some(count) = self.hidden_by_group.get_mut(&group)
        {
            *count -= 1;
            if *count == 0 {
                self.hidden_by_group.remove(&group);
            }
        }
    }

    pub(super) fn get(&self, seq: Seq) -> Option<&DeliveryRow> {
        self.row(*self.places.get(&seq)?, seq)
    }

    fn row(&self, receive: ReceiveId, seq: Seq) -> Option<&DeliveryRow> {
        let (_, row) = self.receives.get(&receive)?.iter().find(|(other, _)| *other == seq)?;
        Some(row)
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.places.contains_key(&seq)
    }

    /// Received, and its timeout has not ended.
    pub(super) fn is_in_flight(&self, seq: Seq) -> bool {
        self.get(seq).is_some_and(|row| self.hidden.contains(&(row.visible_at, seq)))
    }

    pub(super) fn in_flight(&self) -> usize {
        self.hidden.len()
    }

    pub(super) fn returned(&self) -> usize {
        self.returned.len()
    }

    /// Returned messages, the one that has waited longest first.
    pub(super) fn returned_in_order(&self) -> impl Iterator<Item = (Timestamp, Seq)> + '_ {
        self.returned.iter().copied()
    }

    /// The returned message after `last` in that order; the first of all after `None`.
    pub(super) fn returned_after(
        &self,
        last: Option<(Timestamp, Seq)>,
    ) -> Option<(Timestamp, Seq)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = last.map_or(Unbounded, Excluded);
        self.returned.range((from, Unbounded)).next().copied()
    }

    pub(super) fn first_timeout(&self) -> Option<Timestamp> {
        self.hidden.first().map(|&(visible_at, _)| visible_at)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// In `seq` order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, &DeliveryRow)> + '_ {
        self.range(Seq::MIN)
    }

    /// In `seq` order, from one on.
    pub(super) fn range(&self, from: Seq) -> impl Iterator<Item = (Seq, &DeliveryRow)> + '_ {
        let row = |(&seq, &receive)| Some((seq, self.row(receive, seq)?));
        self.places.range(from..).filter_map(row)
    }

    pub(super) fn in_flight_of(&self, group: GroupHash) -> u32 {
        self.hidden_by_group.get(&group).copied().unwrap_or(0)
    }

    /// Groups that have something in flight, from one on, in the order of their hashes.
    pub(super) fn groups_in_flight(&self, from: GroupHash) -> impl Iterator<Item = GroupHash> + '_ {
        self.hidden_by_group.range(from..).map(|(&group, _)| group)
    }

    /// The messages a receive attempt still holds, in `seq` order.
    pub(super) fn of_attempt(&self, attempt: AttemptHash) -> Vec<Seq> {
        self.attempts.get(&attempt).map(|s| s.iter().copied().collect()).unwrap_or_default()
    }
}
