//! What is left of messages that are gone. A message of the main lane of a standard queue that was
//! received is alive exactly as long as it has a delivery, and nobody looks before `fresh` for any
//! other. So its row need not go with it: rows go later, many at once, for the price of one.

use crate::engine::command::Effects;
use crate::engine::queue::{Queue, STEP_ROWS_MAX};
use crate::model::fifo::Seq;
use crate::model::rows::{DeliveryRow, Lane, Place, RowKey, Write};

/// Neighbours from this many on are cleared as a range; fewer one by one. A range costs every later
/// read a little, until it is compacted.
const RANGE_MIN: u64 = 1_000;

impl Queue {
    /// A message is gone, its delivery and its place in the order too; removes its row, unless that
    /// is left to [`Queue::clear`].
    pub(super) fn drop_row(&mut self, place: Place, effects: &mut Effects) {
        effects.removed += 1;
        let remains = !self.is_fifo()
            && place.lane == Lane::Main
            && (self.cleared..self.window.fresh()).contains(&place.seq);
        if !remains {
            effects.writes.push(Write::Remove(RowKey::Message(place)));
        }
    }

    /// Standard: before this number no message of the main lane is alive, or ever will be.
    pub fn first_alive(&self) -> Seq {
        let received = self.deliveries.iter().find(is_main).map(|(seq, _)| seq);
        received.unwrap_or(Seq::MAX).min(self.window.fresh())
    }

    /// How many rows of messages that are gone somebody who looks through the queue may come by at
    /// most: those that have a living message before them, of any lane, for that one is found at once.
    pub fn remains_amid(&self) -> u64 {
        let oldest = self.deliveries.iter().next().map(|(seq, _)| seq);
        let span = oldest.map_or(0, |seq| self.window.fresh().0.saturating_sub(seq.0));
        span.saturating_sub(self.deliveries.len() as u64)
    }

    /// Removes rows of messages that are gone: a bounded number. `false` when there are more. Leaves
    /// the last alone, among which most may still be in flight: they will be gone together.
    pub fn clear(&mut self, writes: &mut Vec<Write>) -> bool {
        let alive = self.deliveries.len() as u64;
        let end = Seq(self.window.fresh().0.saturating_sub(2 * alive));
        if self.is_fifo() || end <= self.cleared {
            return true;
        }
        let alive = self.deliveries.range(self.cleared).take_while(|(seq, _)| *seq < end);
        let mut alive = alive.filter(is_main).map(|(seq, _)| seq);
        for _ in 0..STEP_ROWS_MAX {
            if self.cleared == end || STEP_ROWS_MAX <= writes.len() {
                break;
            }
            let next = alive.next();
            let (from, to) = (self.cleared, next.unwrap_or(end));
            if to.0 - from.0 < RANGE_MIN {
                let place = |number| Place { lane: Lane::Main, seq: Seq(number) };
                let remove = |number| Write::Remove(RowKey::Message(place(number)));
                writes.extend((from.0..to.0).map(remove));
            } else {
                writes.push(Write::Clear(from, to));
            }
            self.cleared = next.map_or(end, Seq::next);
        }
        self.cleared == end
    }
}

fn is_main((_, row): &(Seq, &DeliveryRow)) -> bool {
    row.lane == Lane::Main
}
