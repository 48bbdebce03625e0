//! Sending to and receiving from a standard queue.
//!
//! Fresh messages are not indexed in memory: they are a range of keys, read ahead through a window.
//! Messages with a delay of their own are another range, read ahead in the order in which their
//! timers ran out. Returned ones are in memory, ordered by when they became available.

use crate::engine::command::{
    Accepted, Context, Delivered, Due, Effects, Incoming, Outcome, Receive, Step,
};
use crate::engine::line::Ledger;
use crate::engine::queue::{Queue, Room, STEP_ROWS_MAX, main_lane, read_ahead_rows, sync};
use crate::engine::reader::Reader;
use crate::engine::window::Window;
use crate::error::Error;
use crate::limits::DELAY_S_MAX;
use crate::model::fifo::{AttemptHash, GroupHash, Seq};
use crate::model::rows::{
    DeliveryRow, Lane, LinePlace, MessageHead, MessageRow, Place, RowKey, Write,
};
use crate::model::time::{Millis, Timestamp};

/// A message a receive has come upon.
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) origin: Origin,
    pub(super) verdict: Verdict,
    pub(super) group: Option<GroupHash>,
    /// Absent when it waits in the window to be taken out, or when the store has lost it.
    pub(super) row: Option<MessageRow>,
}

/// Where a candidate was.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Received before, available again.
    Returned,
    /// Never received.
    Fresh,
    /// Never received; its own delay ended then.
    Due(Timestamp),
}

/// What becomes of a candidate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Handed out.
    Deliver,
    /// Past its retention.
    Expire,
    /// Received often enough: off to the dead-letter queue.
    Depart,
}

impl Queue {
    pub(super) fn send_standard(
        &mut self,
        messages: &mut Vec<Incoming>,
        context: &mut Context<'_>,
    ) -> Step {
        let queue_delay = self.settings.delay();
        let delay = |message: &Incoming| message.delay.unwrap_or(queue_delay);
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        if self.fair_from.is_some() || messages.iter().any(|message| message.group.is_some()) {
            for message in messages.iter().filter(|message| delay(message) == Millis(0)) {
                ledger.load(&mut reader, message.group.unwrap_or(GroupHash::UNGROUPED));
            }
        }
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }

        let now = context.now;
        let mut room = context.window_room;
        let mut results = Vec::with_capacity(messages.len());
        for message in std::mem::take(messages) {
            let delay = delay(&message);
            let due_at = (delay > Millis(0)).then(|| now.plus(delay));
            let (id, group) = (message.id, message.group);
            let row = MessageRow {
                head: MessageHead::sent(now, due_at, group),
                payload: message.payload,
                moved: None,
            };
            let seq = match due_at {
                None => self.enqueue_fresh(row, &mut ledger, &mut room, context),
                Some(due_at) => self.enqueue_delayed(row, due_at, context),
            };
            results.push(Ok(Accepted { id, seq, duplicate: false }));
        }
        ledger.close(&mut context.effects.writes);
        sync(context.effects);
        Step::Done(Ok(Outcome::Sent(results)))
    }

    /// Adds a message to the end of the main lane. In a fair queue its group must be in the ledger.
    pub(super) fn enqueue_fresh(
        &mut self,
        row: MessageRow,
        ledger: &mut Ledger,
        room: &mut usize,
        context: &mut Context<'_>,
    ) -> Seq {
        let seq = self.take_seq();
        let writes = &mut context.effects.writes;
        if self.fair_from.is_none() && row.head.group.is_some() {
            self.fair_from = Some(seq);
        }
        if self.fair_from.is_some() {
            let group = row.head.group.unwrap_or(GroupHash::UNGROUPED);
            ledger.add(group, seq, writes);
            if !ledger.is_in_line(group) {
                ledger.join(group, LinePlace { seq, round: 0 }, &mut self.line, writes);
            }
        }
        self.sweep.added(row.head.retained_from.plus(self.settings.retention()));
        let before = self.window.bytes();
        self.window.sent(seq, &row, *room);
        *room = room.saturating_sub(self.window.bytes() - before);
        self.fresh_count += 1;
        writes.push(Write::Message(Place { lane: Lane::Main, seq }, row));
        seq
    }

    fn enqueue_delayed(
        &mut self,
        mut row: MessageRow,
        due_at: Timestamp,
        context: &mut Context<'_>,
    ) -> Seq {
        let seq = self.take_seq();
        // A delay longer than any of SQS may outlast the retention, which then counts from its end.
        if due_at.since(context.now) > Millis::from_secs(DELAY_S_MAX) {
            row.head.retained_from = due_at;
            self.sweep.mix_ages();
        }
        self.window.skip(seq);
        self.sweep.added(row.head.retained_from.plus(self.settings.retention()));
        self.delayed_count += 1;
        self.next_due = Some(self.next_due.map_or(due_at, |next| next.min(due_at)));
        context.effects.writes.push(Write::Timer(due_at, seq, row.head.group));
        context.effects.writes.push(Write::Message(Place { lane: Lane::Delayed, seq }, row));
        seq
    }

    // Differs from AWS: a short poll looks at all there is, not at what a sample of servers has; and
    // a message that was received often keeps its place in the order.
    pub(super) fn receive_standard(
        &mut self,
        receive: &Receive,
        context: &mut Context<'_>,
    ) -> Step {
        self.calm_down(context.now);
        let room = self.room();
        if room.in_flight == 0 {
            return Step::Done(match receive.patient {
                true => Ok(Outcome::Received(Vec::new())),
                false => Err(Error::OverLimit("Too many messages in flight.".into())),
            });
        }
        let mut reader = Reader::new(context.loaded);
        let candidates = match self.noisy.is_empty() {
            true => self.choose_in_order(receive.max, room, &mut reader, context),
            false => self.choose_fairly(receive.max, room, &mut reader, context),
        };
        let mut ledger = Ledger::default();
        for candidate in candidates.iter().filter(|c| c.origin == Origin::Fresh) {
            if let Some(group) = self.indexed_group(candidate.place.seq, candidate.group) {
                ledger.load(&mut reader, group);
            }
        }
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }

        let visibility = self.visibility(receive.visibility);
        let mut given_out = Vec::with_capacity(candidates.len());
        let mut served = Vec::new();
        for mut candidate in candidates {
            let previous = self.lift(&mut candidate, &mut ledger, context);
            match (candidate.verdict, candidate.row) {
                (Verdict::Deliver, Some(row)) => {
                    self.returned_next = candidate.origin != Origin::Returned;
                    if candidate.origin == Origin::Fresh {
                        served.extend(self.indexed_group(candidate.place.seq, candidate.group));
                    }
                    let place = candidate.place;
                    given_out.push(self.hand_out(place, row, previous, visibility, None, context));
                    self.note_noise(candidate.group, context.now);
                }
                (Verdict::Depart, Some(row)) => {
                    self.depart(candidate.place, row, previous, context);
                }
                _ => self.drop_expired_row(candidate.place, context.effects),
            }
        }
        if !self.noisy.is_empty() {
            self.rotate(&served, &mut ledger, context.effects);
        }
        ledger.close(&mut context.effects.writes);
        Step::Done(Ok(Outcome::Received(given_out)))
    }

    /// Chooses messages: returned and fresh ones in turn, so that a message that always comes back
    /// cannot starve the rest; among the fresh, those that became available first.
    fn choose_in_order(
        &mut self,
        max: usize,
        room: Room,
        reader: &mut Reader<'_>,
        context: &Context<'_>,
    ) -> Vec<Candidate> {
        let mut chosen: Vec<Candidate> = Vec::with_capacity(max);
        let (mut given, mut given_fresh) = (0, 0);
        let (mut fresh_at, mut due_at) = (0, 0);
        let mut last_returned = None;
        let mut returned_next = self.returned_next;
        while given < max.min(room.in_flight) && chosen.len() < STEP_ROWS_MAX {
            let (mut fresh, mut due) = (None, None);
            if given_fresh < room.held {
                fresh = self.peek_fresh(&mut fresh_at, reader, context.window_room);
                due = self.peek_due(due_at, reader, context.window_room);
            }
            let back = self.deliveries.returned_after(last_returned);
            let due_first = match (fresh, due) {
                (Some((_, sent_at)), Some(ended_at)) => ended_at < sent_at,
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let candidate = match (back, fresh, due) {
                (Some(key), fresh, due) if returned_next || (fresh.is_none() && due.is_none()) => {
                    last_returned = Some(key);
                    returned_next = false;
                    self.judge_returned(key.1, reader, context)
                }
                (_, _, Some(_)) if due_first => {
                    given_fresh += 1;
                    returned_next = true;
                    let due = self.due.get(due_at).cloned();
                    due_at += 1;
                    due.map(|due| self.judge_due(due, context.now))
                }
                (_, Some((seq, _)), _) => {
                    given_fresh += 1;
                    returned_next = true;
                    let head = self.window.row(fresh_at).map(|row| &row.head);
                    let candidate = self.judge_fresh(seq, head, None, context.now);
                    fresh_at += 1;
                    Some(candidate)
                }
                _ => break,
            };
            match candidate {
                // Its row is on the way; go on as if it were to be handed out.
                None => given += 1,
                Some(candidate) => {
                    given += usize::from(candidate.verdict == Verdict::Deliver);
                    chosen.push(candidate);
                }
            }
        }
        chosen
    }

    /// The fresh message at index `at` of the window or the next after it, and when it was sent;
    /// `at` is moved on to it. Reads ahead when the window ends before the queue does.
    pub(super) fn peek_fresh(
        &mut self,
        at: &mut usize,
        reader: &mut Reader<'_>,
        room: usize,
    ) -> Option<(Seq, Timestamp)> {
        loop {
            while *at < self.window.slots() {
                if let Some(row) = self.window.row(*at) {
                    return Some((self.window.seq(*at), row.head.sent_at));
                }
                *at += 1;
            }
            if self.window.next() >= self.next_seq || self.fresh_count == 0 {
                return None;
            }
            let rows = read_ahead_rows(room);
            let (found, next) = reader.messages(Lane::Main, self.window.next(), rows)?;
            let deliveries = &self.deliveries;
            // Rows of messages that were received out of turn are still there.
            let fresh = found.iter().filter(|(seq, _)| !deliveries.contains(*seq));
            self.window.extend(fresh.map(|(seq, row)| (*seq, row)), next.unwrap_or(self.next_seq));
        }
    }

    /// When the delay of the message at index `at` of the due ones ended. Reads ahead like
    /// [`Queue::peek_fresh`].
    pub(super) fn peek_due(
        &mut self,
        at: usize,
        reader: &mut Reader<'_>,
        room: usize,
    ) -> Option<Timestamp> {
        while at >= self.due.len() {
            let unread = self.due_count > self.due.len() as u64;
            if !unread || self.due.next() > self.due_cursor {
                return None;
            }
            let (found, exhausted) =
                reader.due(self.due.next(), self.due_cursor, read_ahead_rows(room))?;
            let last = found.last().filter(|_| !exhausted);
            let last = last.map_or(self.due_cursor, |due| (due.due_at, due.seq));
            self.due.extend(found, after(last));
        }
        self.due.get(at).map(|due| due.due_at)
    }

    /// Counts the timers that have run out, a page at a time: their messages are available.
    pub(super) fn count_due(&mut self, reader: &mut Reader<'_>, now: Timestamp) {
        if self.next_due.is_none_or(|next| now < next) {
            return;
        }
        let page = reader.timers(after(self.due_cursor), STEP_ROWS_MAX);
        let Some((timers, exhausted)) = page else { return };
        // With none ahead on this page, the next page begins with one that is due no earlier.
        self.next_due = (!exhausted).then_some(now);
        for &(due_at, seq) in timers {
            if now < due_at {
                self.next_due = Some(due_at);
                return;
            }
            self.due_cursor = (due_at, seq);
            self.due_count += 1;
            self.delayed_count = self.delayed_count.saturating_sub(1);
        }
    }

    pub(super) fn judge_returned(
        &self,
        seq: Seq,
        reader: &mut Reader<'_>,
        context: &Context<'_>,
    ) -> Option<Candidate> {
        let delivery = self.deliveries.get(seq)?;
        let place = Place { lane: delivery.lane, seq };
        let row = reader.message(place)?.cloned();
        // Differs from AWS: perhaps; nobody says what it does with a message whose target is gone.
        // Here it is delivered on, whatever its count.
        let poisoned = |max: u32| context.dead_letter_target && delivery.receive_count >= max;
        let verdict = if row.is_none() || self.is_expired(delivery.retained_from, context.now) {
            Verdict::Expire
        } else if self.settings.redrive.as_ref().is_some_and(|r| poisoned(r.max_receive_count)) {
            Verdict::Depart
        } else {
            Verdict::Deliver
        };
        Some(Candidate { place, origin: Origin::Returned, verdict, group: delivery.group, row })
    }

    pub(super) fn judge_due(&self, due: Due, now: Timestamp) -> Candidate {
        let Due { due_at, seq, group, row } = due;
        let place = Place { lane: Lane::Delayed, seq };
        let verdict = self.judge(row.as_ref().map(|row| &row.head), now);
        Candidate { place, origin: Origin::Due(due_at), verdict, group, row }
    }

    pub(super) fn judge_fresh(
        &self,
        seq: Seq,
        head: Option<&MessageHead>,
        row: Option<MessageRow>,
        now: Timestamp,
    ) -> Candidate {
        let verdict = self.judge(head, now);
        let group = head.and_then(|head| head.group);
        Candidate { place: main_lane(seq), origin: Origin::Fresh, verdict, group, row }
    }

    fn judge(&self, head: Option<&MessageHead>, now: Timestamp) -> Verdict {
        match head {
            Some(head) if !self.is_expired(head.retained_from, now) => Verdict::Deliver,
            _ => Verdict::Expire,
        }
    }

    /// The group under which a message of the main lane is indexed, in a fair queue.
    pub(super) fn indexed_group(&self, seq: Seq, group: Option<GroupHash>) -> Option<GroupHash> {
        let indexed = self.fair_from.is_some_and(|from| from <= seq);
        indexed.then_some(group.unwrap_or(GroupHash::UNGROUPED))
    }

    /// Takes a candidate out of where it was, with its counters and index rows, and its message from
    /// there if it came without; returns the delivery it had.
    fn lift(
        &mut self,
        candidate: &mut Candidate,
        ledger: &mut Ledger,
        context: &mut Context<'_>,
    ) -> Option<DeliveryRow> {
        let seq = candidate.place.seq;
        match candidate.origin {
            Origin::Returned => self.deliveries.remove(seq),
            Origin::Fresh => {
                let row = self.lift_fresh(seq, candidate.group, ledger, context.effects);
                candidate.row = candidate.row.take().or(row);
                None
            }
            Origin::Due(due_at) => {
                self.due.take(due_at, seq);
                self.due_count = self.due_count.saturating_sub(1);
                context.effects.writes.push(Write::Remove(RowKey::Timer(due_at, seq)));
                None
            }
        }
    }

    /// Takes a never-received message of that group out of the main lane; returns what the window
    /// had of it.
    pub(super) fn lift_fresh(
        &mut self,
        seq: Seq,
        group: Option<GroupHash>,
        ledger: &mut Ledger,
        effects: &mut Effects,
    ) -> Option<MessageRow> {
        let row = self.window.take(seq);
        self.fresh_count = self.fresh_count.saturating_sub(1);
        if self.fresh_count == 0 {
            // What lies before the end was received or is gone.
            self.window = Window::starting_at(self.next_seq);
        }
        if let Some(group) = self.indexed_group(seq, group) {
            let writes = &mut effects.writes;
            ledger.take(group, seq, writes);
            if ledger.fresh(group) == 0 {
                ledger.leave(group, &mut self.line, writes);
                self.noisy.remove(&group);
            }
        }
        row
    }

    /// Hands a message out: a new delivery, a new nonce.
    pub(super) fn hand_out(
        &mut self,
        place: Place,
        row: MessageRow,
        previous: Option<DeliveryRow>,
        visibility: Millis,
        attempt: Option<(AttemptHash, u8)>,
        context: &mut Context<'_>,
    ) -> Delivered {
        let now = context.now;
        let delivery = DeliveryRow {
            lane: place.lane,
            visible_at: now.plus(visibility),
            received_at: now,
            receive_count: previous.map_or(0, |row| row.receive_count).saturating_add(1),
            // One that came back from a queue it could not go to may never have been received.
            first_received_at: previous
                .filter(|row| row.receive_count > 0)
                .map_or(now, |row| row.first_received_at),
            nonce: context.rng.next_u64(),
            retained_from: row.head.retained_from,
            group: row.head.group,
            attempt,
        };
        self.deliveries.put(place.seq, delivery, now);
        delivered(place, &delivery, row)
    }

    /// Removes the row of a message that is past its retention.
    pub(super) fn drop_expired_row(&mut self, place: Place, effects: &mut Effects) {
        effects.expired += 1;
        self.drop_row(place, effects);
    }
}

/// What the caller gets of a delivery.
pub(super) fn delivered(place: Place, delivery: &DeliveryRow, message: MessageRow) -> Delivered {
    let head = &message.head;
    Delivered {
        place,
        nonce: delivery.nonce,
        receive_count: head.earlier_receives.saturating_add(delivery.receive_count),
        first_received_at: head.earlier_first_received_at.unwrap_or(delivery.first_received_at),
        message,
    }
}

/// The first timer after a cursor.
pub(super) fn after((due_at, seq): (Timestamp, Seq)) -> (Timestamp, Seq) {
    match seq {
        Seq::MAX => (due_at.plus(Millis(1)), Seq::MIN),
        seq => (due_at, seq.next()),
    }
}
