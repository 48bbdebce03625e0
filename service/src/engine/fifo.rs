//! Sending to and receiving from a FIFO queue.
//!
//! A group with nothing in flight or returned stands in line, on disk. One that was received from
//! is held, in memory, until everything that was received is settled; it may go on when its oldest
//! message is not in flight.
//!
//! Differs from AWS: the line is looked through to its end, so a backlog of one group, however long,
//! hides no other.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::command::{Accepted, Context, Effects, Incoming, Need, Outcome, Receive, Step};
use crate::engine::line::Ledger;
use crate::engine::queue::{Queue, READ_AHEAD_ROWS, Room, STEP_ROWS_MAX, main_lane, sync};
use crate::engine::reader::Reader;
use crate::engine::standard::{Candidate, Origin, Verdict, delivered};
use crate::limits::RECEIVE_MESSAGES_MAX;
use crate::model::attributes::DeduplicationScope;
use crate::model::fifo::{AttemptHash, DedupHash, GroupHash, Seq};
use crate::model::rows::{
    DedupBucket, DedupKey, DedupRow, Lane, LinePlace, MessageHead, MessageRow, Write,
};
use crate::model::time::{Millis, Timestamp};

/// How long a receive attempt id is remembered. Source: facts sheet, 5.7.
const ATTEMPT_WINDOW: Millis = Millis(5 * 60 * 1000);

/// What is known of a group that was received from.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// In flight or returned.
    pub(super) members: BTreeSet<Seq>,
    /// Its entry among the ready, when it has one.
    ready_at: Option<Timestamp>,
}

impl Held {
    /// How many messages these are, and the first of them.
    pub(super) fn extent(&self) -> (usize, Option<Seq>) {
        (self.members.len(), self.members.first().copied())
    }
}

/// Messages chosen for a receive, and how far the line was read.
#[derive(Default)]
struct Choice {
    candidates: Vec<Candidate>,
    /// Groups in line that were looked at, in order.
    line: Vec<(LinePlace, GroupHash)>,
    /// Groups in line whose first message still waits for the queue's delay, and that message.
    early: Vec<(GroupHash, Seq)>,
    given: usize,
    given_fresh: usize,
}

impl Queue {
    pub(super) fn plan_send_fifo(&self, messages: &[Incoming], now: Timestamp) -> Vec<Need> {
        let mut needs = Vec::new();
        for message in messages {
            needs.push(Need::Group(group_of(message)));
            needs.extend(self.dedup_keys(message, now).map(Need::Dedup));
        }
        needs
    }

    /// Under which keys an earlier send with the same id would be found, and under which this one
    /// is remembered: the first.
    fn dedup_keys(
        &self,
        message: &Incoming,
        now: Timestamp,
    ) -> impl Iterator<Item = DedupKey> + use<> {
        let scope = match self.scope_in_force(now) {
            DeduplicationScope::Queue => GroupHash::UNGROUPED,
            DeduplicationScope::MessageGroup => group_of(message),
        };
        let current = DedupBucket::of(now);
        let previous = DedupBucket(current.0.saturating_sub(1));
        message
            .dedup
            .into_iter()
            .flat_map(move |id| [current, previous].map(|bucket| DedupKey { bucket, scope, id }))
    }

    fn scope_in_force(&self, now: Timestamp) -> DeduplicationScope {
        match (self.former_scope, self.settings.fifo) {
            (Some((former, until)), _) if now < until => former,
            (_, Some(fifo)) => fifo.deduplication_scope,
            (_, None) => DeduplicationScope::Queue,
        }
    }

    pub(super) fn send_fifo(
        &mut self,
        messages: &mut Vec<Incoming>,
        context: &mut Context<'_>,
    ) -> Step {
        let now = context.now;
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        let mut originals = Vec::with_capacity(messages.len());
        for message in messages.iter() {
            ledger.load(&mut reader, group_of(message));
            let mut original: Option<DedupRow> = None;
            for key in self.dedup_keys(message, now) {
                let found = reader.dedup(key).flatten().copied();
                let valid = |row: &DedupRow| now < row.accepted_at.plus(DedupBucket::WINDOW);
                original = original.or(found.filter(valid));
            }
            originals.push(original);
        }
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }

        let mut results = Vec::with_capacity(messages.len());
        // Ids that this very call uses twice.
        let mut accepted: BTreeMap<(GroupHash, DedupHash), DedupRow> = BTreeMap::new();
        for (message, original) in std::mem::take(messages).into_iter().zip(originals) {
            let key = self.dedup_keys(&message, now).next();
            let twin = key.and_then(|key| accepted.get(&(key.scope, key.id)).copied());
            if let Some(row) = original.or(twin) {
                context.effects.duplicates += 1;
                results.push(Ok(Accepted { id: row.message_id, seq: row.seq, duplicate: true }));
                continue;
            }
            let id = message.id;
            let row = MessageRow {
                head: MessageHead::sent(now, None, Some(group_of(&message))),
                payload: message.payload,
                moved: None,
            };
            let seq = self.enqueue_grouped(row, &mut ledger, context.effects);
            if let Some(key) = key {
                let row = DedupRow { message_id: id, seq, accepted_at: now };
                accepted.insert((key.scope, key.id), row);
                context.effects.writes.push(Write::Dedup(key, row));
            }
            results.push(Ok(Accepted { id, seq, duplicate: false }));
        }
        ledger.close(&mut context.effects.writes);
        sync(context.effects);
        Step::Done(Ok(Outcome::Sent(results)))
    }

    /// Adds a message to the end of its group, whose row must be in the ledger.
    pub(super) fn enqueue_grouped(
        &mut self,
        row: MessageRow,
        ledger: &mut Ledger,
        effects: &mut Effects,
    ) -> Seq {
        let seq = self.take_seq();
        let group = row.head.group.unwrap_or(GroupHash::UNGROUPED);
        if self.settings.delay_s > 0 || self.delayed_count > 0 {
            if self.delayed_count == 0 {
                self.undelayed = seq;
                self.undelayed_sent_at = Some(row.head.sent_at);
            }
            self.delayed_count += 1;
        } else {
            self.fresh_count += 1;
            self.undelayed = seq.next();
        }
        ledger.add(group, seq, &mut effects.writes);
        if !ledger.is_in_line(group) && !self.held.contains_key(&group) {
            let place = LinePlace { seq, round: 0 };
            ledger.join(group, place, &mut self.line, &mut effects.writes);
        }
        self.sweep.added(row.head.retained_from.plus(self.settings.retention()));
        effects.writes.push(Write::Message(main_lane(seq), row));
        seq
    }

    pub(super) fn receive_fifo(&mut self, receive: &Receive, context: &mut Context<'_>) -> Step {
        if let Some(attempt) = receive.attempt
            && let Some(step) = self.repeat(attempt, receive, context)
        {
            return step;
        }
        let room = self.room();
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        let choice = self.choose_groups(receive.max, room, &mut reader, &mut ledger, context);
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }

        let visibility = self.visibility(receive.visibility);
        let attempt = receive.attempt.map(|attempt| {
            let given = choice.candidates.iter().filter(|c| c.verdict == Verdict::Deliver);
            // A receive gives ten messages at most.
            (attempt, given.count() as u8)
        });
        let mut given = Vec::new();
        let mut touched = BTreeSet::new();
        for candidate in choice.candidates {
            let seq = candidate.place.seq;
            let group = candidate.group;
            touched.extend(group);
            let previous = match candidate.origin {
                Origin::Returned => self.deliveries.remove(seq),
                _ => {
                    self.lift_grouped(seq, group, &mut ledger, context.effects);
                    None
                }
            };
            if let Some(group) = group {
                self.release_member(group, seq);
            }
            match (candidate.verdict, candidate.row) {
                (Verdict::Deliver, Some(row)) => {
                    self.returned_next = candidate.origin != Origin::Returned;
                    let place = candidate.place;
                    given.push(self.hand_out(place, row, previous, visibility, attempt, context));
                    if let Some(group) = group {
                        self.hold_member(group, seq);
                    }
                }
                (Verdict::Depart, Some(row)) => {
                    self.depart(candidate.place, row, previous, context);
                }
                _ => self.drop_expired_row(candidate.place, context.effects),
            }
        }
        for (group, first) in choice.early {
            ledger.leave(group, &mut self.line, &mut context.effects.writes);
            let place = LinePlace { seq: first, round: 0 };
            ledger.join(group, place, &mut self.line, &mut context.effects.writes);
        }
        for group in touched {
            self.settle_group(group, &mut ledger, context.effects);
        }
        self.advance_line(&choice.line, &mut ledger);
        ledger.close(&mut context.effects.writes);
        Step::Done(Ok(Outcome::Received(given)))
    }

    /// Fills the batch from one group after another: held groups that may go on and groups in line
    /// take turns.
    fn choose_groups(
        &mut self,
        max: usize,
        room: Room,
        reader: &mut Reader<'_>,
        ledger: &mut Ledger,
        context: &Context<'_>,
    ) -> Choice {
        let quota = max.min(room.in_flight);
        let mut choice = Choice::default();
        let mut ready_after = None;
        let mut line_from = self.line.from;
        let mut line_page = [].iter().copied();
        let mut line_ended = false;
        let mut ready_next = self.returned_next;
        while choice.given < quota && choice.candidates.len() < STEP_ROWS_MAX {
            let ready = self.ready_after(ready_after);
            if let Some(key) = ready
                && (ready_next || line_ended)
            {
                ready_after = Some(key);
                ready_next = false;
                self.choose_held(key.1, quota, room, reader, ledger, context, &mut choice);
                continue;
            }
            ready_next = true;
            let next = line_page.next().or_else(|| {
                if line_ended || choice.line.len() >= STEP_ROWS_MAX {
                    line_ended = true;
                    return None;
                }
                let page = reader.line(line_from, self.undelayed, RECEIVE_MESSAGES_MAX);
                let (found, exhausted) = page.unwrap_or((&[], true));
                line_ended = exhausted;
                if let Some((place, _)) = found.last() {
                    line_from = LinePlace { seq: place.seq, round: place.round + 1 };
                } else {
                    line_ended = true;
                }
                line_page = found.iter().copied();
                line_page.next()
            });
            match next {
                Some((place, group)) => {
                    choice.line.push((place, group));
                    if choice.given_fresh < room.held {
                        let _loaded = ledger.load(reader, group);
                        self.choose_fresh(group, quota, room, reader, context.now, &mut choice);
                    }
                }
                None if ready.is_none() => break,
                None => {}
            }
        }
        choice
    }

    /// The held group behind `last` that may go on; the first of all after `None`.
    pub(super) fn ready_after(
        &self,
        last: Option<(Timestamp, GroupHash)>,
    ) -> Option<(Timestamp, GroupHash)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = last.map_or(Unbounded, Excluded);
        self.ready.range((from, Unbounded)).next().copied()
    }

    /// Takes what a held group may give: its returned messages up to the first that is in flight,
    /// and when there is none, its fresh ones.
    #[allow(
        clippy::too_many_arguments,
        reason = "one step of one receive; a struct would only rename them"
    )]
    fn choose_held(
        &self,
        group: GroupHash,
        quota: usize,
        room: Room,
        reader: &mut Reader<'_>,
        ledger: &mut Ledger,
        context: &Context<'_>,
        choice: &mut Choice,
    ) {
        ledger.load(reader, group);
        let Some(held) = self.held.get(&group) else { return };
        for &seq in &held.members {
            if choice.given >= quota || self.deliveries.is_in_flight(seq) {
                return;
            }
            match self.judge_returned(seq, reader, context) {
                None => choice.given += 1,
                Some(candidate) => {
                    choice.given += usize::from(candidate.verdict == Verdict::Deliver);
                    choice.candidates.push(candidate);
                }
            }
        }
        self.choose_fresh(group, quota, room, reader, context.now, choice);
    }

    /// Takes never-received messages of a group, oldest first, as far as the queue's delay allows.
    fn choose_fresh(
        &self,
        group: GroupHash,
        quota: usize,
        room: Room,
        reader: &mut Reader<'_>,
        now: Timestamp,
        choice: &mut Choice,
    ) {
        let Some(members) = reader.members(group, RECEIVE_MESSAGES_MAX) else {
            // Not loaded yet: count on one message, so that as many groups are loaded at once.
            choice.given += 1;
            return;
        };
        for (at, &seq) in members.iter().enumerate() {
            if choice.given >= quota || choice.given_fresh >= room.held {
                return;
            }
            if self.undelayed <= seq {
                if at == 0 && !self.held.contains_key(&group) {
                    choice.early.push((group, seq));
                }
                return;
            }
            choice.given_fresh += 1;
            match reader.message(main_lane(seq)) {
                None => choice.given += 1,
                Some(row) => {
                    let head = row.map(|row| &row.head);
                    let mut candidate = self.judge_fresh(seq, head, row.cloned(), now);
                    candidate.group = Some(group);
                    choice.given += usize::from(candidate.verdict == Verdict::Deliver);
                    choice.candidates.push(candidate);
                }
            }
        }
    }

    /// A repeated receive attempt: the same messages, the same handles, hidden anew; `None` when
    /// the attempt is unknown, or something of it was deleted or changed since.
    fn repeat(
        &mut self,
        attempt: AttemptHash,
        receive: &Receive,
        context: &mut Context<'_>,
    ) -> Option<Step> {
        let now = context.now;
        let seqs = self.deliveries.of_attempt(attempt);
        let whole = !seqs.is_empty()
            && seqs.iter().all(|&seq| {
                self.deliveries.get(seq).is_some_and(|row| {
                    row.attempt == Some((attempt, seqs.len() as u8))
                        && now < row.received_at.plus(ATTEMPT_WINDOW)
                        && !self.is_expired(row.retained_from, now)
                })
            });
        if !whole {
            // From now on the id means the receive that follows.
            for seq in seqs {
                if let Some(mut row) = self.deliveries.get(seq).copied() {
                    row.attempt = None;
                    self.deliveries.put(seq, row, now);
                }
            }
            return None;
        }
        let mut reader = Reader::new(context.loaded);
        let rows: Vec<_> = seqs.iter().map(|&seq| reader.message(main_lane(seq))).collect();
        if !reader.is_complete() {
            return Some(Step::More(reader.missing()));
        }
        let visible_at = now.plus(self.visibility(receive.visibility));
        let mut given = Vec::new();
        for (seq, message) in seqs.into_iter().zip(rows) {
            let (Some(Some(message)), Some(mut row)) = (message, self.deliveries.get(seq).copied())
            else {
                continue;
            };
            row.visible_at = visible_at;
            self.deliveries.put(seq, row, now);
            given.push(delivered(main_lane(seq), &row, message.clone()));
            if let Some(group) = row.group {
                self.refresh_ready(group);
            }
        }
        sync(context.effects);
        Some(Step::Done(Ok(Outcome::Received(given))))
    }

    /// Takes a never-received message out of its group and the counters.
    pub(super) fn lift_grouped(
        &mut self,
        seq: Seq,
        group: Option<GroupHash>,
        ledger: &mut Ledger,
        effects: &mut Effects,
    ) {
        if seq < self.undelayed {
            self.fresh_count = self.fresh_count.saturating_sub(1);
        } else {
            self.delayed_count = self.delayed_count.saturating_sub(1);
            self.undelayed_sent_at = None;
            if self.delayed_count == 0 {
                self.undelayed = self.next_seq;
            }
        }
        ledger.take(group.unwrap_or(GroupHash::UNGROUPED), seq, &mut effects.writes);
    }

    /// Puts a group where it belongs after something of it was received, deleted or dropped: held
    /// while anything is in flight or returned, in line while it has fresh messages only, nowhere
    /// when it is empty. Its row must be in the ledger, unless something of it is still held.
    pub(super) fn settle_group(
        &mut self,
        group: GroupHash,
        ledger: &mut Ledger,
        effects: &mut Effects,
    ) {
        if self.held.contains_key(&group) {
            if ledger.holds(group) {
                ledger.leave(group, &mut self.line, &mut effects.writes);
            }
            self.refresh_ready(group);
        } else if ledger.fresh(group) == 0 {
            ledger.leave(group, &mut self.line, &mut effects.writes);
        } else if !ledger.is_in_line(group) {
            let place = self.line.end(self.newest_undelayed());
            ledger.join(group, place, &mut self.line, &mut effects.writes);
        }
    }

    /// Whether deleting `leaving` from a group leaves nothing of it in flight or returned: its row
    /// is needed then.
    pub(super) fn is_let_go(&self, group: GroupHash, leaving: &BTreeSet<Seq>) -> bool {
        self.held.get(&group).is_none_or(|held| held.members.is_subset(leaving))
    }

    /// A message of a held group is no longer in flight or returned.
    pub(super) fn release_member(&mut self, group: GroupHash, seq: Seq) {
        let Some(held) = self.held.get_mut(&group) else { return };
        held.members.remove(&seq);
        if held.members.is_empty()
            && let Some(Held { ready_at: Some(ready_at), .. }) = self.held.remove(&group)
        {
            self.ready.remove(&(ready_at, group));
        }
    }

    /// A message of a group is in flight or returned.
    pub(super) fn hold_member(&mut self, group: GroupHash, seq: Seq) {
        self.held.entry(group).or_default().members.insert(seq);
    }

    /// Works out whether a held group may go on: its oldest message is not in flight.
    pub(super) fn refresh_ready(&mut self, group: GroupHash) {
        let Some(held) = self.held.get_mut(&group) else { return };
        let first = held.members.first().copied();
        let ready_at = first
            .filter(|&seq| !self.deliveries.is_in_flight(seq))
            .and_then(|seq| self.deliveries.get(seq))
            .map(|row| row.visible_at);
        if let Some(old) = std::mem::replace(&mut held.ready_at, ready_at) {
            self.ready.remove(&(old, group));
        }
        if let Some(ready_at) = ready_at {
            self.ready.insert((ready_at, group));
        }
    }

    /// Moves the start of the line past the groups that have left it.
    fn advance_line(&mut self, looked_at: &[(LinePlace, GroupHash)], ledger: &mut Ledger) {
        for &(place, group) in looked_at {
            if !ledger.holds(group) || ledger.place(group) == Some(place) {
                self.line.from = place;
                return;
            }
            self.line.from = LinePlace { seq: place.seq, round: place.round + 1 };
        }
    }

    /// Ends the queue's delay for messages that have waited long enough, a page at a time.
    pub(super) fn end_queue_delays(&mut self, reader: &mut Reader<'_>, now: Timestamp) {
        if self.next_queue_delay_end().is_none_or(|end| now < end) {
            return;
        }
        let page = reader.messages(Lane::Main, self.undelayed, READ_AHEAD_ROWS);
        let Some((rows, next)) = page else { return };
        self.undelayed_sent_at = None;
        for (seq, row) in rows {
            if now < row.head.sent_at.plus(self.settings.delay()) {
                self.undelayed_sent_at = Some(row.head.sent_at);
                return;
            }
            self.undelayed = seq.next();
            self.delayed_count = self.delayed_count.saturating_sub(1);
            self.fresh_count += 1;
        }
        if next.is_none() {
            self.undelayed = self.next_seq;
            self.delayed_count = 0;
        }
    }

    /// When the next message has waited long enough; at once while that is not known.
    pub(super) fn next_queue_delay_end(&self) -> Option<Timestamp> {
        if self.delayed_count == 0 {
            return None;
        }
        let known = self.undelayed_sent_at.map(|sent_at| sent_at.plus(self.settings.delay()));
        Some(known.unwrap_or_default())
    }
}

/// Every message of a FIFO queue has a group.
fn group_of(message: &Incoming) -> GroupHash {
    message.group.unwrap_or(GroupHash::UNGROUPED)
}
