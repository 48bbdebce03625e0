//! What somebody must know of a queue who reads its rows beside it: the cursors, and what is in
//! flight or returned. The rows say the rest.

use std::collections::BTreeMap;

use crate::engine::queue::Queue;
use crate::model::fifo::Seq;
use crate::model::message::MessageState;
use crate::model::rows::{DeliveryRow, Lane, MessageHead, Place};
use crate::model::time::{Millis, Timestamp};

/// A queue at one moment, as far as its rows do not say it.
#[derive(Clone, Debug)]
pub struct View {
    /// The moment.
    pub now: Timestamp,
    /// Of messages before this number it says everything; of later ones nothing.
    pub until: Seq,
    /// The number that the next message gets; `until`, unless that was too far.
    pub end: Seq,
    /// What is in flight or returned, from the number on that was asked for, up to `until`.
    pub deliveries: BTreeMap<Seq, ViewedDelivery>,
    main_start: Seq,
    delayed_start: Seq,
    cursors: Cursors,
    /// Messages retained from then on or earlier have expired.
    expired: Option<Timestamp>,
}

/// A message that is in flight or returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewedDelivery {
    /// Its row.
    pub row: DeliveryRow,
    /// Its visibility timeout has not ended.
    pub in_flight: bool,
}

/// Which messages that were never received are delayed.
#[derive(Clone, Copy, Debug)]
enum Cursors {
    /// Those with a delay of their own that is due after this.
    Standard { due: (Timestamp, Seq) },
    /// Those from this number on; all have the queue's delay.
    Fifo { undelayed: Seq, delay: Millis },
}

impl View {
    /// Where to look for messages of a lane that are not among the deliveries: before it there are
    /// none.
    pub fn start(&self, lane: Lane) -> Seq {
        match lane {
            Lane::Main => self.main_start,
            Lane::Delayed => self.delayed_start,
        }
    }

    /// Whether there is nothing behind `until`.
    pub fn is_whole(&self) -> bool {
        self.until == self.end
    }

    /// Where a message is in its life.
    pub fn state(&self, place: Place, head: &MessageHead) -> MessageState {
        match self.deliveries.get(&place.seq) {
            Some(ViewedDelivery { in_flight: true, .. }) => MessageState::InFlight,
            Some(_) => MessageState::Returned,
            None => self.cursors.state(place, head),
        }
    }

    /// When a message's delay or its visibility timeout ends, while it runs.
    pub fn hidden_until(&self, place: Place, head: &MessageHead) -> Option<Timestamp> {
        match self.state(place, head) {
            MessageState::Available | MessageState::Returned => None,
            MessageState::InFlight => self.deliveries.get(&place.seq).map(|it| it.row.visible_at),
            MessageState::Delayed => match self.cursors {
                Cursors::Standard { .. } => head.due_at,
                Cursors::Fifo { delay, .. } => Some(head.sent_at.plus(delay)),
            },
        }
    }

    /// Whether a message is past its retention: still stored, but never handed out again.
    pub fn is_expired(&self, head: &MessageHead) -> bool {
        self.expired.is_some_and(|expired| head.retained_from <= expired)
    }
}

impl Cursors {
    /// Where a message is that was never received.
    fn state(self, place: Place, head: &MessageHead) -> MessageState {
        let delayed = match self {
            Cursors::Standard { due } => {
                place.lane == Lane::Delayed
                    && head.due_at.is_some_and(|due_at| due < (due_at, place.seq))
            }
            Cursors::Fifo { undelayed, .. } => undelayed <= place.seq,
        };
        if delayed { MessageState::Delayed } else { MessageState::Available }
    }
}

impl Queue {
    /// The queue for somebody who reads its rows from a number on. Looks at no more than so many
    /// deliveries; where there are more, the view ends before them.
    pub fn view(&self, from: Seq, deliveries_max: usize, now: Timestamp) -> View {
        let mut rows = self.deliveries.range(from);
        let viewed = |(seq, row): (Seq, &DeliveryRow)| {
            (seq, ViewedDelivery { row: *row, in_flight: self.deliveries.is_in_flight(seq) })
        };
        let deliveries = rows.by_ref().take(deliveries_max).map(viewed).collect();
        let low = self.sweep.low();
        View {
            now,
            until: rows.next().map_or(self.next_seq, |(seq, _)| seq),
            end: self.next_seq,
            deliveries,
            main_start: if self.is_fifo() { low } else { self.window.fresh() },
            delayed_start: if self.is_fifo() { self.next_seq } else { low },
            cursors: self.cursors(),
            expired: self.expired(now),
        }
    }

    /// Where a message is in its life. `head` is that of a message that was never received; without
    /// it, and without a delivery, there is none.
    pub(super) fn state_of(
        &self,
        place: Place,
        head: Option<&MessageHead>,
    ) -> Option<MessageState> {
        match self.deliveries.get(place.seq) {
            Some(row) if row.lane != place.lane => None,
            Some(_) if self.deliveries.is_in_flight(place.seq) => Some(MessageState::InFlight),
            Some(_) => Some(MessageState::Returned),
            None => head.map(|head| self.cursors().state(place, head)),
        }
    }

    fn cursors(&self) -> Cursors {
        match self.is_fifo() {
            true => Cursors::Fifo { undelayed: self.undelayed, delay: self.settings.delay() },
            false => Cursors::Standard { due: self.due_cursor },
        }
    }
}
