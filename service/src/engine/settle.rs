//! What a receipt handle can do: delete, change the visibility, give back. Section 5.3 of the facts
//! sheet says which handle may do what.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use crate::engine::command::{Context, Effects, EntryError, Outcome, Receipt, Step};
use crate::engine::line::Ledger;
use crate::engine::queue::{Queue, done, sync};
use crate::engine::reader::Reader;
use crate::limits;
use crate::model::fifo::GroupHash;
use crate::model::rows::{DeliveryRow, Lane, MessageRow, Place, RowKey, Write};
use crate::model::time::{Millis, Timestamp};

impl Queue {
    pub(super) fn delete(
        &mut self,
        receipts: &mut Vec<Receipt>,
        context: &mut Context<'_>,
    ) -> Step {
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        let leaving = receipts.iter().map(|receipt| receipt.place);
        let leaving: Vec<Place> = leaving.filter(|place| self.was_handed_out(*place)).collect();
        let leaving = leaving.into_iter();
        let mut unreceived = self.load_for_removal(leaving, &mut reader, &mut ledger);
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }

        let mut results = Vec::with_capacity(receipts.len());
        for receipt in std::mem::take(receipts) {
            let Place { seq, .. } = receipt.place;
            let Some(row) = self.deliveries.get(seq).copied() else {
                // Taken out: the same handle may come twice.
                if let Some(row) = unreceived.remove(&receipt.place) {
                    self.discard_fresh(receipt.place, &row, &mut ledger, context.effects);
                }
                results.push(Ok(()));
                continue;
            };
            // FIFO: only the latest handle, and only while its timeout runs. Standard: any handle
            // ever issued deletes (facts sheet, 15.1).
            let latest = row.nonce == receipt.nonce && self.deliveries.is_in_flight(seq);
            if self.is_fifo() && !latest {
                results.push(Err(EntryError::Expired));
                continue;
            }
            self.discard_received(receipt.place, row, &mut ledger, context.effects);
            results.push(Ok(()));
        }
        ledger.close(&mut context.effects.writes);
        if context.effects.removed > 0 {
            sync(context.effects);
        }
        Step::Done(Ok(Outcome::Done(results)))
    }

    pub(super) fn change_visibility(
        &mut self,
        changes: &mut Vec<(Receipt, Millis)>,
        context: &mut Context<'_>,
    ) -> Step {
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        let places = changes.iter().map(|(receipt, _)| receipt.place);
        let places = places.filter(|place| !self.deliveries.contains(place.seq));
        let places = places.filter(|place| self.was_handed_out(*place));
        let places: Vec<Place> = places.collect();
        let unreceived = self.load_for_removal(places.into_iter(), &mut reader, &mut ledger);
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }
        let mut results = Vec::with_capacity(changes.len());
        for (receipt, visibility) in std::mem::take(changes) {
            let seq = receipt.place.seq;
            results.push(match self.deliveries.get(seq).copied() {
                // Available: success, without effect.
                None if unreceived.contains_key(&receipt.place) => Ok(()),
                None => Err(EntryError::Gone),
                Some(row) if self.is_fifo() && row.nonce != receipt.nonce => {
                    Err(EntryError::Expired)
                }
                Some(_) if !self.deliveries.is_in_flight(seq) => Ok(()),
                Some(row) if is_beyond_limit(&row, visibility, context.now) => {
                    Err(EntryError::BeyondLimit)
                }
                Some(row) => {
                    self.hide_until(receipt.place, row, visibility, context);
                    Ok(())
                }
            });
        }
        Step::Done(Ok(Outcome::Done(results)))
    }

    pub(super) fn release(
        &mut self,
        receipts: &mut Vec<Receipt>,
        context: &mut Context<'_>,
    ) -> Step {
        for receipt in std::mem::take(receipts) {
            let row = self.deliveries.get(receipt.place.seq).copied();
            if let Some(row) = row.filter(|row| row.nonce == receipt.nonce) {
                self.hide_until(receipt.place, row, Millis(0), context);
            }
        }
        done()
    }

    /// Sets the end of a visibility timeout: now + the span; available at once when it is zero.
    fn hide_until(
        &mut self,
        place: Place,
        mut row: DeliveryRow,
        span: Millis,
        context: &mut Context<'_>,
    ) {
        row.visible_at = context.now.plus(span);
        row.attempt = None;
        self.deliveries.put(place.seq, row, context.now);
        if self.is_fifo()
            && let Some(group) = row.group
        {
            self.refresh_ready(group);
        }
    }

    /// Loads what the removal of these messages needs: the group rows of FIFO groups that are let
    /// go by it, and the rows of messages that were never received as far as this queue knows.
    pub(super) fn load_for_removal(
        &self,
        places: impl Iterator<Item = Place>,
        reader: &mut Reader<'_>,
        ledger: &mut Ledger,
    ) -> BTreeMap<Place, MessageRow> {
        let mut unreceived = BTreeMap::new();
        let mut by_group: BTreeMap<GroupHash, BTreeSet<_>> = BTreeMap::new();
        for place in places {
            match self.deliveries.get(place.seq) {
                Some(row) => {
                    if let Some(group) = row.group.filter(|_| self.is_fifo()) {
                        by_group.entry(group).or_default().insert(place.seq);
                    }
                }
                None if self.may_be_unreceived(place) => {
                    if let Some(Some(row)) = reader.message(place) {
                        let group = match self.is_fifo() {
                            true => row.head.group,
                            false => self.indexed_group(place.seq, row.head.group),
                        };
                        if let Some(group) = group.filter(|_| place.lane == Lane::Main) {
                            ledger.load(reader, group);
                        }
                        unreceived.insert(place, row.clone());
                    }
                }
                None => {}
            }
        }
        for (group, leaving) in by_group {
            if self.is_let_go(group, &leaving) {
                ledger.load(reader, group);
            }
        }
        unreceived
    }

    /// Whether a handle may lead to this place. To one that was never received too, as far as this
    /// queue knows: a receive that a power cut undid has told its caller a handle. Receives of FIFO
    /// queues are always on the disk, so theirs cannot be undone.
    fn was_handed_out(&self, place: Place) -> bool {
        !self.is_fifo() || self.deliveries.contains(place.seq)
    }

    /// Whether a message that has no delivery may be there. Where not, its row may be there still.
    pub(super) fn may_be_unreceived(&self, place: Place) -> bool {
        let fifo = self.is_fifo() && place.lane == Lane::Main;
        let delayed = !self.is_fifo() && place.lane == Lane::Delayed;
        let ahead = fifo || delayed || self.window.fresh() <= place.seq;
        ahead && place.seq < self.next_seq
    }

    /// Removes a message that is in flight or returned.
    pub(super) fn discard_received(
        &mut self,
        place: Place,
        row: DeliveryRow,
        ledger: &mut Ledger,
        effects: &mut Effects,
    ) {
        self.deliveries.remove(place.seq);
        let place = Place { lane: row.lane, ..place };
        self.drop_row(place, effects);
        if self.is_fifo()
            && let Some(group) = row.group
        {
            self.release_member(group, place.seq);
            if ledger.holds(group) || self.held.contains_key(&group) {
                self.settle_group(group, ledger, effects);
            }
        }
    }

    /// Removes a message that was never received.
    pub(super) fn discard_fresh(
        &mut self,
        place: Place,
        row: &MessageRow,
        ledger: &mut Ledger,
        effects: &mut Effects,
    ) {
        let seq = place.seq;
        match (row.head.due_at.filter(|_| place.lane == Lane::Delayed), self.is_fifo()) {
            (Some(due_at), _) => {
                if (due_at, seq) <= self.due_cursor {
                    self.due.take(due_at, seq);
                    self.due_count = self.due_count.saturating_sub(1);
                } else {
                    self.delayed_count = self.delayed_count.saturating_sub(1);
                }
                effects.writes.push(Write::Remove(RowKey::Timer(due_at, seq)));
            }
            (None, true) => {
                self.lift_grouped(seq, row.head.group, ledger, effects);
                if let Some(group) = row.head.group {
                    self.settle_group(group, ledger, effects);
                }
            }
            (None, false) => drop(self.lift_fresh(seq, row.head.group, ledger, effects)),
        }
        self.drop_row(place, effects);
    }
}

/// Whether hiding a message for `span` from now on ends more than twelve hours after its receive:
/// an extension does not restart that clock (facts sheet, 5.4).
fn is_beyond_limit(row: &DeliveryRow, span: Millis, now: Timestamp) -> bool {
    row.received_at.plus(Millis::from_secs(limits::IN_FLIGHT_S_MAX)) < now.plus(span)
}
