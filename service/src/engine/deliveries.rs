//! The messages that were received and not deleted: in flight, or returned.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::fifo::{AttemptHash, GroupHash, Seq};
use crate::model::rows::DeliveryRow;
use crate::model::time::Timestamp;

/// All delivery rows of a queue, ordered the three ways they are asked for. Memory grows with what
/// is in flight or returned, and with nothing else.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    rows: BTreeMap<Seq, DeliveryRow>,
    /// In flight, by the end of their visibility timeout.
    hidden: BTreeSet<(Timestamp, Seq)>,
    /// Available again, by when they became so.
    returned: BTreeSet<(Timestamp, Seq)>,
    /// In flight by group: what makes a group noisy. Groups with none are absent.
    hidden_by_group: BTreeMap<GroupHash, u32>,
    /// FIFO: which messages a receive attempt got.
    attempts: BTreeMap<AttemptHash, BTreeSet<Seq>>,
}

impl Deliveries {
    /// Adds a delivery, or replaces it. Hidden when its timeout lies ahead, returned otherwise.
    pub(super) fn put(&mut self, seq: Seq, row: DeliveryRow, now: Timestamp) {
        self.remove(seq);
        self.rows.insert(seq, row);
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

    pub(super) fn remove(&mut self, seq: Seq) -> Option<DeliveryRow> {
        let row = self.rows.remove(&seq)?;
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
        Some(row)
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
            let row = self.rows[&seq];
            self.leave_group(&row);
            ended.push((seq, row));
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
        self.rows.get(&seq)
    }

    pub(super) fn contains(&self, seq: Seq) -> bool {
        self.rows.contains_key(&seq)
    }

    /// Received, and its timeout has not ended.
    pub(super) fn is_in_flight(&self, seq: Seq) -> bool {
        self.rows.get(&seq).is_some_and(|row| self.hidden.contains(&(row.visible_at, seq)))
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
        self.rows.len()
    }

    /// In `seq` order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Seq, &DeliveryRow)> + '_ {
        self.rows.iter().map(|(&seq, row)| (seq, row))
    }

    /// In `seq` order, from one on.
    pub(super) fn range(&self, from: Seq) -> impl Iterator<Item = (Seq, &DeliveryRow)> + '_ {
        self.rows.range(from..).map(|(&seq, row)| (seq, row))
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
