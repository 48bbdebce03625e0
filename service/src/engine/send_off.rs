//! Sending messages to another queue on purpose, in two steps: a survey finds the available ones in
//! the order in which they would be received, and changes nothing; then those that shall go are
//! sent off.

use std::collections::BTreeSet;

use crate::engine::command::{
    Context, Departure, Found, Outcome, SendOff, Step, Survey, SurveyFrom, Surveyed,
};
use crate::engine::line::Ledger;
use crate::engine::queue::{Queue, STEP_ROWS_MAX, main_lane, sync};
use crate::engine::reader::Reader;
use crate::limits::RECEIVE_MESSAGES_MAX;
use crate::model::fifo::GroupHash;
use crate::model::rows::{DeliveryRow, Lane, LinePlace, MessageRow, Moved, Place};
use crate::model::time::Timestamp;

/// Rows a survey loads together, because each may be as large as a message can be.
const LOADED_TOGETHER: usize = RECEIVE_MESSAGES_MAX;

/// What a survey has found so far.
struct Finding<'a> {
    survey: &'a Survey,
    found: Vec<Found>,
    bytes: usize,
    /// Messages whose rows are still to be loaded.
    asked: usize,
    /// Whatever was looked at, found or not.
    looked_at: usize,
}

impl Finding<'_> {
    fn has_room(&self) -> bool {
        self.found.len() + self.asked < self.survey.max
            && self.bytes < self.survey.bytes_max
            && self.asked < LOADED_TOGETHER
            && self.looked_at < STEP_ROWS_MAX
    }

    /// A message, `None` while its row is not loaded. One that the store has lost, or that has
    /// expired, is passed over: the sweep will come to it.
    fn add(
        &mut self,
        queue: &Queue,
        place: Place,
        row: Option<Option<&MessageRow>>,
        now: Timestamp,
    ) {
        self.looked_at += 1;
        match row {
            None => self.asked += 1,
            Some(Some(row)) if !queue.is_expired(row.head.retained_from, now) => {
                self.bytes += row.weight();
                self.found.push(Found { place, message: row.clone() });
            }
            Some(_) => {}
        }
    }
}

impl Queue {
    /// Finds available messages. What is in flight or delayed is not among them, nor what waits
    /// behind something of its group that is in flight.
    pub(super) fn survey(&mut self, survey: &Survey, context: &mut Context<'_>) -> Step {
        let mut reader = Reader::new(context.loaded);
        let mut finding = Finding { survey, found: Vec::new(), bytes: 0, asked: 0, looked_at: 0 };
        let next = match self.is_fifo() {
            true => self.survey_groups(&mut finding, &mut reader, context.now),
            false => self.survey_standard(&mut finding, &mut reader, context),
        };
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }
        Step::Done(Ok(Outcome::Surveyed(Surveyed { found: finding.found, next })))
    }

    /// Returned messages, then those never received, then those whose own delay has ended.
    fn survey_standard(
        &mut self,
        finding: &mut Finding<'_>,
        reader: &mut Reader<'_>,
        context: &Context<'_>,
    ) -> Option<SurveyFrom> {
        let Survey { before, due_by, .. } = *finding.survey;
        let now = context.now;
        for (_, seq) in self.deliveries.returned_in_order().filter(|(_, seq)| *seq < before) {
            if !finding.has_room() {
                break;
            }
            let place = self.place_of_delivery(seq);
            finding.add(self, place, reader.message(place), now);
        }
        let mut at = 0;
        while finding.has_room()
            && let Some((seq, _)) = self.peek_fresh(&mut at, reader, context.window_room)
            && seq < before
        {
            finding.add(self, main_lane(seq), Some(self.window.row(at)), now);
            at += 1;
        }
        let mut at = 0;
        // In the order in which delays end: all that had ended then come first.
        while finding.has_room()
            && let Some(due_at) = self.peek_due(at, reader, context.window_room)
            && due_at <= due_by
            && let Some(due) = self.due.get(at)
        {
            let place = Place { lane: Lane::Delayed, seq: due.seq };
            finding.add(self, place, Some(due.row.as_ref()), now);
            at += 1;
        }
        (!finding.has_room()).then_some(SurveyFrom::Start)
    }

    /// Groups that were received from and may go on, then those in line; each from its oldest
    /// message on. Answers where to go on: at the first group that was not gone through.
    fn survey_groups(
        &mut self,
        finding: &mut Finding<'_>,
        reader: &mut Reader<'_>,
        now: Timestamp,
    ) -> Option<SurveyFrom> {
        let mut line_from = match finding.survey.from {
            SurveyFrom::Line(from) => from,
            from => {
                let mut from = from;
                let after = |from| match from {
                    SurveyFrom::Ready(after) => Some(after),
                    _ => None,
                };
                while let Some(key) = self.ready_after(after(from)) {
                    if !self.survey_held(key.1, finding, reader, now) {
                        return Some(from);
                    }
                    from = SurveyFrom::Ready(key);
                }
                self.line.from
            }
        };
        loop {
            let rows = finding.survey.max;
            let (groups, exhausted) = reader.line(line_from, self.undelayed, rows)?;
            if let Some(&(first, _)) = groups.first()
                && line_from <= self.line.from
            {
                // Nobody stands before it: the next survey need not look there.
                self.line.from = self.line.from.max(first);
            }
            for &(place, group) in groups {
                finding.looked_at += 1;
                if !self.survey_fresh(group, finding, reader, now) {
                    return Some(SurveyFrom::Line(place));
                }
                line_from = LinePlace { seq: place.seq, round: place.round + 1 };
            }
            if exhausted || groups.is_empty() {
                return None;
            }
        }
    }

    /// What of a held group is available: returned messages up to the first that is in flight, and
    /// when there is none, its fresh ones. `false` when there was no room for all.
    fn survey_held(
        &self,
        group: GroupHash,
        finding: &mut Finding<'_>,
        reader: &mut Reader<'_>,
        now: Timestamp,
    ) -> bool {
        finding.looked_at += 1;
        let members = self.held.get(&group).map(|held| &held.members);
        for &seq in members.into_iter().flatten() {
            if self.deliveries.is_in_flight(seq) || finding.survey.before <= seq {
                return true;
            }
            if !finding.has_room() {
                return false;
            }
            finding.add(self, main_lane(seq), reader.message(main_lane(seq)), now);
        }
        self.survey_fresh(group, finding, reader, now)
    }

    /// Never-received messages of a group, as far as the queue's delay allows. `false` when there
    /// was no room for all.
    fn survey_fresh(
        &self,
        group: GroupHash,
        finding: &mut Finding<'_>,
        reader: &mut Reader<'_>,
        now: Timestamp,
    ) -> bool {
        if !finding.has_room() {
            return false;
        }
        let rows = finding.survey.max;
        let Some(members) = reader.members(group, rows) else {
            // Count on one message, so that as many groups are loaded at once.
            finding.asked += 1;
            return true;
        };
        for &seq in members {
            if self.undelayed <= seq || finding.survey.before <= seq {
                return true;
            }
            if !finding.has_room() {
                return false;
            }
            finding.add(self, main_lane(seq), reader.message(main_lane(seq)), now);
        }
        members.len() < rows
    }

    /// Sends messages off, as far as they are in one of the states that the errand names: their rows
    /// go, and departures say where they were. The shard writes the other half into the same batch.
    pub(super) fn send_off(&mut self, errand: &mut SendOff, context: &mut Context<'_>) -> Step {
        let now = context.now;
        let mut reader = Reader::new(context.loaded);
        let mut ledger = Ledger::default();
        let mut seen = BTreeSet::new();
        let mut leaving = Vec::new();
        for &place in &errand.places {
            let received = self.deliveries.get(place.seq);
            let is_asked = errand
                .nonce
                .is_none_or(|nonce| received.is_some_and(|received| received.nonce == nonce));
            let stays = |state| !errand.states.contains(state);
            let is_gone = received.is_none() && !self.may_be_unreceived(place);
            if !seen.insert(place)
                || !is_asked
                || is_gone
                || self.state_of(place, None).is_some_and(stays)
            {
                continue;
            }
            let row = match self.window.get(place) {
                Some(row) => Some(Some(row)),
                None => reader.message(place),
            };
            let Some(Some(row)) = row.map(|row| row.cloned()) else { continue };
            let gone = self.is_expired(row.head.retained_from, now);
            if gone || self.state_of(place, Some(&row.head)).is_none_or(stays) {
                continue;
            }
            let group = match self.is_fifo() {
                true => row.head.group,
                false if place.lane == Lane::Main && !self.deliveries.contains(place.seq) => {
                    self.indexed_group(place.seq, row.head.group)
                }
                false => None,
            };
            if let Some(group) = group {
                ledger.load(&mut reader, group);
            }
            leaving.push((place, row));
        }
        if !reader.is_complete() {
            return Step::More(reader.missing());
        }

        let mut left = Vec::with_capacity(leaving.len());
        for (place, message) in leaving {
            left.push(place);
            let delivery = self.deliveries.get(place.seq).copied();
            match delivery {
                Some(row) => self.discard_received(place, row, &mut ledger, context.effects),
                None => self.discard_fresh(place, &message, &mut ledger, context.effects),
            }
            let delivery = delivery.unwrap_or_else(|| never_received(place, &message, context));
            let moved = Moved {
                source_arn: String::new(),
                dead_letter: errand.dead_letter,
                receive_count: delivery.receive_count,
                moved_at: now,
                reason: errand.reason.clone(),
                redrives: Moved::redrives_after(message.moved.as_deref(), errand.dead_letter),
            };
            context.effects.departures.push(Departure { message, place, delivery, moved });
        }
        ledger.close(&mut context.effects.writes);
        if !left.is_empty() {
            sync(context.effects);
        }
        Step::Done(Ok(Outcome::SentOff(left)))
    }
}

/// The delivery of a message that had none, should it have to come back: it will be available, and
/// its next receive the first.
fn never_received(place: Place, message: &MessageRow, context: &mut Context<'_>) -> DeliveryRow {
    let now = context.now;
    DeliveryRow {
        lane: place.lane,
        visible_at: now,
        received_at: now,
        receive_count: 0,
        first_received_at: now,
        nonce: context.rng.next_u64(),
        retained_from: message.head.retained_from,
        group: message.head.group,
        attempt: None,
    }
}
