//! Expiry of old messages. It is enforced whenever a message would be handed out; this sweep drops
//! the rest, oldest first, in bounded steps, so that counters and disk follow.

use crate::engine::command::Effects;
use crate::engine::line::Ledger;
use crate::engine::queue::{Queue, READ_AHEAD_ROWS, STEP_ROWS_MAX};
use crate::engine::reader::Reader;
use crate::model::fifo::{GroupHash, Seq};
use crate::model::rows::{DeliveryRow, Lane, MessageRow, Place};
use crate::model::time::{Millis, Timestamp};

/// Where the sweep is, and when it goes on.
#[derive(Debug)]
pub(super) struct Sweep {
    /// Nothing is alive below, in the main lane of a FIFO queue or the delayed lane of a standard
    /// one. (The main lane of a standard queue begins where its fresh messages do.)
    low: Seq,
    /// Messages may be older than their neighbours: all must be looked at.
    mixed_ages: bool,
    /// Nothing expires before.
    next: Timestamp,
    /// How many rows to look at: few until something turns out to have expired.
    page: usize,
    /// A pass over all messages that is under way: where it is, and the oldest it met.
    pass: Option<Pass>,
}

#[derive(Clone, Copy, Debug)]
struct Pass {
    lane: Lane,
    from: Seq,
    oldest: Timestamp,
}

/// Rows the first look takes.
const FIRST_PAGE: usize = 4;

impl Sweep {
    pub(super) fn resume(low: Seq, mixed_ages: bool, now: Timestamp) -> Sweep {
        Sweep { low, mixed_ages, next: now, page: FIRST_PAGE, pass: None }
    }

    pub(super) fn low(&self) -> Seq {
        self.low
    }

    pub(super) fn mixed_ages(&self) -> bool {
        self.mixed_ages
    }

    /// A message arrived that expires at `expiry`.
    pub(super) fn added(&mut self, expiry: Timestamp) {
        self.next = self.next.min(expiry);
    }

    /// A message arrived that may be older than those before it.
    pub(super) fn mix_ages(&mut self) {
        self.mixed_ages = true;
    }

    /// Look again: the rules have changed.
    pub(super) fn soon(&mut self, now: Timestamp) {
        self.next = self.next.min(now);
    }

    /// When there may be something to do.
    pub(super) fn next(&self) -> Option<Timestamp> {
        (self.next < Timestamp::MAX).then_some(self.next)
    }
}

/// A message that has expired.
type Expired = (Place, Result<DeliveryRow, MessageRow>);

impl Queue {
    /// One step of the sweep: at most a page of rows and a thousand deliveries.
    pub(super) fn sweep_expired(
        &mut self,
        reader: &mut Reader<'_>,
        now: Timestamp,
        effects: &mut Effects,
    ) {
        if self.sweep.next().is_none_or(|next| now < next) || self.total() == 0 {
            return;
        }
        let mut expired: Vec<Expired> = Vec::new();
        let mut oldest = self.expired_deliveries(now, &mut expired);
        let new = Pass { lane: Lane::Main, from: Seq::MIN, oldest: Timestamp::MAX };
        let pass = self.sweep.pass.unwrap_or(new);
        let start = self.lane_start(pass.lane);
        // What lies before the start is gone, though its row may be there.
        let from = pass.from.max(start);
        let unreceived = self.fresh_count + self.due_count + self.delayed_count;
        let (mut next_pass, mut seen) = (None, None);
        if unreceived > 0 && expired.len() < STEP_ROWS_MAX {
            let page = self.sweep.page;
            let Some((rows, next)) = reader.messages(pass.lane, from, page) else { return };
            let look = self.look_at(rows, pass.lane, now, &mut expired);
            oldest = oldest.min(look.oldest);
            // In an orderly lane the first that stays ends the look; behind it all are younger.
            let lane_done = next.is_none() || (look.stays && !self.sweep.mixed_ages);
            next_pass = match (lane_done, pass.lane) {
                (false, lane) => Some((lane, next.unwrap_or(self.next_seq))),
                (true, Lane::Main)
                    if !self.is_fifo() && self.due_count + self.delayed_count > 0 =>
                {
                    Some((Lane::Delayed, self.lane_start(Lane::Delayed)))
                }
                (true, _) => None,
            };
            seen = Some((look, next));
        }
        let mut ledger = Ledger::default();
        for (place, what) in &expired {
            if let Some(group) = self.group_to_settle(*place, what) {
                ledger.load(reader, group);
            }
        }
        if !reader.is_complete() {
            return;
        }

        if let Some((look, next)) = seen
            && from == start
        {
            self.move_start(pass.lane, &look, next);
        }
        let more = expired.len() >= STEP_ROWS_MAX;
        self.sweep.page = if expired.is_empty() { FIRST_PAGE } else { READ_AHEAD_ROWS };
        self.drop_expired(expired, ledger, effects);
        let oldest = oldest.min(pass.oldest);
        self.sweep.pass = next_pass.map(|(lane, from)| Pass { lane, from, oldest });
        self.sweep.next = match self.sweep.pass.is_some() || more {
            true => now,
            false => self.next_sweep(oldest, now),
        };
        if self.total() == 0 {
            self.sweep.mixed_ages = false;
        }
    }

    /// Collects expired messages among those in flight or returned; answers the age of the oldest
    /// that stays.
    fn expired_deliveries(&self, now: Timestamp, expired: &mut Vec<Expired>) -> Timestamp {
        let mut oldest = Timestamp::MAX;
        for (seq, row) in self.deliveries.iter() {
            if expired.len() >= STEP_ROWS_MAX {
                break;
            }
            if self.is_expired(row.retained_from, now) {
                expired.push((Place { lane: row.lane, seq }, Ok(*row)));
            } else {
                oldest = oldest.min(row.retained_from);
                if !self.sweep.mixed_ages {
                    break;
                }
            }
        }
        oldest
    }

    /// Collects expired messages among rows that were loaded.
    fn look_at(
        &self,
        rows: &[(Seq, MessageRow)],
        lane: Lane,
        now: Timestamp,
        expired: &mut Vec<Expired>,
    ) -> Look {
        let mut look = Look { oldest: Timestamp::MAX, stays: false, alive: None };
        for (seq, row) in rows {
            if self.deliveries.contains(*seq) {
                look.alive = look.alive.or(Some(*seq));
            } else if self.is_expired(row.head.retained_from, now) {
                expired.push((Place { lane, seq: *seq }, Err(row.clone())));
            } else {
                look.alive = look.alive.or(Some(*seq));
                look.oldest = look.oldest.min(row.head.retained_from);
                look.stays = true;
                if !self.sweep.mixed_ages {
                    break;
                }
            }
        }
        look
    }

    fn lane_start(&self, lane: Lane) -> Seq {
        match (lane, self.is_fifo()) {
            (Lane::Main, false) => self.window.fresh(),
            _ => self.sweep.low,
        }
    }

    /// The lane's start moves up to the first row that is alive.
    fn move_start(&mut self, lane: Lane, look: &Look, next: Option<Seq>) {
        let start = look.alive.or(next).unwrap_or(self.next_seq);
        match (lane, self.is_fifo()) {
            (Lane::Main, false) => self.window.advance(start),
            _ => self.sweep.low = self.sweep.low.max(start),
        }
    }

    /// The group whose row changes when this message is dropped.
    fn group_to_settle(
        &self,
        place: Place,
        what: &Result<DeliveryRow, MessageRow>,
    ) -> Option<GroupHash> {
        match (what, self.is_fifo()) {
            (Ok(row), true) => row.group,
            (Err(row), true) => row.head.group,
            (Err(row), false) if place.lane == Lane::Main => {
                self.indexed_group(place.seq, row.head.group)
            }
            _ => None,
        }
    }

    fn drop_expired(&mut self, expired: Vec<Expired>, mut ledger: Ledger, effects: &mut Effects) {
        for (place, what) in expired {
            match what {
                Ok(row) => self.discard_received(place, row, &mut ledger, effects),
                Err(row) => self.discard_fresh(place, &row, &mut ledger, effects),
            }
            effects.expired += 1;
        }
        ledger.close(&mut effects.writes);
    }

    /// When the oldest message that stays expires. Where ages are mixed, a pass looks at every
    /// message, so passes keep a distance that grows with their number: a row a millisecond.
    fn next_sweep(&self, oldest: Timestamp, now: Timestamp) -> Timestamp {
        if oldest == Timestamp::MAX {
            return oldest;
        }
        let expiry = oldest.plus(self.settings.retention());
        match self.sweep.mixed_ages {
            true => expiry.max(now.plus(Millis(self.total().clamp(1_000, 6 * 60 * 60 * 1000)))),
            false => expiry,
        }
    }
}

/// What a page of rows looked like.
struct Look {
    /// When the oldest that stays began to be retained.
    oldest: Timestamp,
    /// One that was never received stays.
    stays: bool,
    /// The first that is alive, received or not.
    alive: Option<Seq>,
}
