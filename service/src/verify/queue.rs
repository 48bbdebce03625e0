//! The rows of one queue against each other. `model/rows.rs` says what each is for.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Rows, check_payload};
use super::{Reading, Report};
use crate::model::fifo::{GroupHash, Seq};
use crate::model::queue::{Generation, QueueKey, Slot};
use crate::model::rows::{
    DeliveryRow, GroupRow, HintRow, Lane, LinePlace, MessageHead, MessageRow, Place, RowKey,
};
use crate::store::codec::{Value, decode, read_receive};
use crate::store::keys::{
    KeyRange, all_groups_range, all_members_range, all_timers_range, deliveries_range, hint_key,
    messages_range, parse_row_key, row_key, whole_line_range,
};
use crate::store::values::QueueRow;
use crate::store::{Snapshot, StoreError};

/// One queue.
struct Check<'a> {
    store: &'a dyn Snapshot,
    slot: Slot,
    generation: Generation,
    name: &'a QueueKey,
    fifo: bool,
    hint: HintRow,
    reading: &'a Reading,
    report: &'a mut Report,
}

/// Messages that were never received, as their rows say.
#[derive(Debug, Default)]
struct Waiting {
    /// Main lane; FIFO: whose delay by the queue has ended.
    fresh: u64,
    /// FIFO: who wait for it.
    held_back: u64,
    /// With a delay of their own, ended or not.
    timed: u64,
    /// Of all of these, those that are indexed by group.
    grouped: u64,
}

/// Holds the rows of a queue against each other.
pub(super) fn check(
    store: &dyn Snapshot,
    slot: Slot,
    name: &QueueKey,
    row: &QueueRow,
    reading: &Reading,
    report: &mut Report,
) {
    let generation = row.generation;
    let hint = store.get(&hint_key(slot, generation)).and_then(|row| row.map(decode).transpose());
    let Some(hint) = report.read(hint) else { return };
    let fifo = row.settings.fifo.is_some();
    let hint = hint.unwrap_or_default();
    let mut check = Check { store, slot, generation, name, fifo, hint, reading, report };
    let done = check.all();
    check.report.read(done);
}

impl<'a> Check<'a> {
    /// An error ends the look at this queue: what cannot be read cannot be counted either.
    fn all(&mut self) -> Result<(), StoreError> {
        let (waiting, held) = self.messages()?;
        self.timers(&waiting)?;
        let in_line = self.groups(&waiting, &held)?;
        self.line(in_line)
    }

    fn fault(&mut self, what: impl FnOnce() -> String) {
        let name = self.name;
        self.report.fault(|| format!("{name}: {}", what()));
    }

    fn expect_count(&mut self, what: &str, counted: u64, noted: u64) {
        if counted != noted {
            self.fault(|| format!("{what}: there are {counted}, and {noted} are noted"));
        }
    }

    fn rows<V: Value>(
        &self,
        range: KeyRange,
    ) -> impl Iterator<Item = Result<(RowKey, V), StoreError>> + use<'a, V> {
        let space = range.from.space;
        Rows::new(self.store, range).map(move |row| {
            let (key, value) = row?;
            let (_, _, key) = parse_row_key(space, &key)?;
            Ok((key, decode(value)?))
        })
    }

    fn get<V: Value>(&self, key: RowKey) -> Result<Option<V>, StoreError> {
        let row = self.store.get(&row_key(self.slot, self.generation, &key))?;
        row.map(decode).transpose()
    }

    /// What is in flight or returned.
    fn deliveries(&mut self) -> Result<BTreeMap<Seq, DeliveryRow>, StoreError> {
        let mut deliveries = BTreeMap::new();
        for row in Rows::new(self.store, deliveries_range(self.slot, self.generation)) {
            let (key, value) = row?;
            let (_, receive) = read_receive(&key, value)?;
            for (seq, row) in receive {
                self.report.counts.received += 1;
                if deliveries.insert(seq, row).is_some() {
                    self.fault(|| format!("message {seq} was given out last by two receives"));
                }
            }
        }
        Ok(deliveries)
    }

    /// Messages with their deliveries, both lanes at once, in the order of their numbers. Answers
    /// what was never received, and the groups of what was.
    fn messages(&mut self) -> Result<(Waiting, BTreeSet<GroupHash>), StoreError> {
        let (slot, generation) = (self.slot, self.generation);
        let lane = |lane| {
            self.rows::<MessageRow>(messages_range(slot, generation, lane, Seq::MIN)).peekable()
        };
        let mut lanes = [lane(Lane::Main), lane(Lane::Delayed)];
        let hint = self.hint;
        let mut deliveries = self.deliveries()?;
        let received = deliveries.len() as u64;
        let held = deliveries.values().filter_map(|row| row.group).collect();
        let mut waiting = Waiting::default();
        loop {
            let heads = lanes.each_mut().map(|lane| lane.peek().map(number));
            let main_first = match heads {
                [Some(main), Some(delayed)] => main <= delayed,
                [main, _] => main.is_some(),
            };
            let message = lanes[usize::from(!main_first)].next().transpose()?;
            let Some((RowKey::Message(place), row)) = message else { break };
            self.report.counts.rows += 1;
            let own = |delivery: &&DeliveryRow| delivery.lane == place.lane;
            let delivery = match deliveries.get(&place.seq).filter(own) {
                Some(_) => deliveries.remove(&place.seq),
                None => None,
            };
            if delivery.is_none() && self.may_remain(place) {
                continue;
            }
            self.report.counts.messages += 1;
            self.message(place, &row, delivery, &mut waiting)?;
        }
        if let Some(noted) = hint.held {
            self.expect_count("messages that were received", received, noted);
        }
        for seq in deliveries.keys() {
            self.fault(|| format!("message {seq} was received, and is not there"));
        }
        let fresh = hint.fresh_count;
        self.expect_count("messages that were never received", waiting.fresh, fresh);
        if self.fifo {
            self.expect_count("messages that are delayed", waiting.held_back, hint.delayed_count);
        }
        Ok((waiting, held))
    }

    /// Whether this may be the row of a message that is gone.
    fn may_remain(&self, place: Place) -> bool {
        let remains = self.hint.cleared..self.hint.fresh;
        !self.fifo && place.lane == Lane::Main && remains.contains(&place.seq)
    }

    fn message(
        &mut self,
        place: Place,
        row: &MessageRow,
        delivery: Option<DeliveryRow>,
        waiting: &mut Waiting,
    ) -> Result<(), StoreError> {
        if let Err(error) = check_payload(row, self.reading) {
            self.fault(|| format!("{place:?}: {error}"));
        }
        if self.hint.next_seq <= place.seq {
            self.fault(|| format!("{place:?} has a number that is still to be given"));
        }
        if self.fifo && (row.head.group.is_none() || place.lane == Lane::Delayed) {
            self.fault(|| format!("{place:?} is no message of a FIFO queue"));
        }
        match delivery {
            Some(delivery) => {
                let copied = (row.head.group, row.head.retained_from);
                if copied != (delivery.group, delivery.retained_from) {
                    self.fault(|| format!("{place:?} and its delivery differ"));
                }
                Ok(())
            }
            None => self.waiting(place, &row.head, waiting),
        }
    }

    /// A message that was never received can be found by a receive.
    fn waiting(
        &mut self,
        place: Place,
        head: &MessageHead,
        waiting: &mut Waiting,
    ) -> Result<(), StoreError> {
        let (hint, seq) = (self.hint, place.seq);
        let start = match (place.lane, self.fifo) {
            (Lane::Main, false) => hint.fresh,
            _ => hint.low,
        };
        if seq < start {
            self.fault(|| format!("{place:?} lies before {start}, where the look begins"));
        }
        match (place.lane, head.due_at) {
            (Lane::Main, _) if !self.fifo || hint.delayed_count == 0 || seq < hint.undelayed => {
                waiting.fresh += 1;
            }
            (Lane::Main, _) => waiting.held_back += 1,
            (Lane::Delayed, Some(due_at)) => {
                waiting.timed += 1;
                match self.get::<Option<GroupHash>>(RowKey::Timer(due_at, seq))? {
                    Some(group) if group == head.group => {}
                    _ => self.fault(|| format!("{place:?} has no timer")),
                }
            }
            (Lane::Delayed, None) => {
                self.fault(|| format!("{place:?} is delayed, and nobody knows until when"));
            }
        }
        let indexed = self.fifo || hint.fair_from.is_some_and(|from| from <= seq);
        if place.lane == Lane::Main && indexed {
            waiting.grouped += 1;
            let group = head.group.unwrap_or(GroupHash::UNGROUPED);
            if self.get::<()>(RowKey::Member(group, seq))?.is_none() {
                self.fault(|| format!("{place:?} is missing in its group"));
            }
        }
        Ok(())
    }

    /// One timer for each delayed message that was never received: each message's is there, so
    /// their numbers tell whether there are others.
    fn timers(&mut self, waiting: &Waiting) -> Result<(), StoreError> {
        let hint = self.hint;
        let (mut ended, mut running) = (0, 0);
        for row in self.rows::<Option<GroupHash>>(all_timers_range(self.slot, self.generation)) {
            let RowKey::Timer(due_at, seq) = row?.0 else { continue };
            if (due_at, seq) < hint.timers_from {
                self.fault(|| format!("the timer of {seq} lies before where the look begins"));
            }
            *(if (due_at, seq) <= hint.due_cursor { &mut ended } else { &mut running }) += 1;
        }
        self.expect_count("timers", ended + running, waiting.timed);
        if !self.fifo {
            self.expect_count("messages whose delay has ended", ended, hint.due_count);
            self.expect_count("messages that are delayed", running, hint.delayed_count);
        }
        Ok(())
    }

    /// Groups and their members, both in the order of groups. Answers how many stand in line.
    fn groups(&mut self, waiting: &Waiting, held: &BTreeSet<GroupHash>) -> Result<u64, StoreError> {
        let groups = self.rows::<GroupRow>(all_groups_range(self.slot, self.generation));
        let members = self.rows::<()>(all_members_range(self.slot, self.generation));
        let mut members = members.peekable();
        let (mut all, mut in_line) = (0, 0);
        for row in groups {
            let (RowKey::Group(group), row) = row? else { continue };
            let mut own = 0;
            while let Some(member) = members.next_if(|member| group_of(member) <= group) {
                match group_of(&member) == group {
                    true => own += 1,
                    false => self.fault(|| format!("{:?} has no group", member.map(|m| m.0))),
                }
                all += 1;
            }
            if own != row.fresh {
                self.fault(|| format!("{group:?} has {own} messages, and notes {}", row.fresh));
            }
            // A group of a FIFO queue that was received from waits until that is settled.
            let should_stand = own > 0 && !(self.fifo && held.contains(&group));
            if row.place.is_some() != should_stand {
                self.fault(|| format!("{group:?} stands in line or not, and should not or should"));
            }
            if let Some(place) = row.place {
                in_line += 1;
                self.place(group, place)?;
            }
        }
        for stray in members {
            stray?;
            all += 1;
        }
        self.expect_count("messages in groups", all, waiting.grouped);
        Ok(in_line)
    }

    fn place(&mut self, group: GroupHash, place: LinePlace) -> Result<(), StoreError> {
        if place < self.hint.line_from {
            self.fault(|| format!("{group:?} stands before where the line begins"));
        }
        if self.get::<GroupHash>(RowKey::Line(place))? != Some(group) {
            self.fault(|| format!("{group:?} is not where it should stand in line"));
        }
        Ok(())
    }

    /// One place for each group that stands in line: each group's is there, so their number tells
    /// whether there are others.
    fn line(&mut self, in_line: u64) -> Result<(), StoreError> {
        let range = whole_line_range(self.slot, self.generation);
        let mut places = 0;
        for row in self.rows::<GroupHash>(range) {
            row?;
            places += 1;
        }
        self.expect_count("places in line", places, in_line);
        let noted = self.hint.line_count;
        self.expect_count("groups in line", in_line, noted);
        Ok(())
    }
}

/// The number of a message's row; zero for what does not read, so that it is met at once.
fn number<V>(row: &Result<(RowKey, V), StoreError>) -> Seq {
    row.as_ref().map_or(Seq::MIN, |(key, _)| seq_of(key))
}

fn seq_of(key: &RowKey) -> Seq {
    match *key {
        RowKey::Message(place) => place.seq,
        RowKey::Timer(_, seq) | RowKey::Member(_, seq) => seq,
        RowKey::Receive(_) | RowKey::Group(_) | RowKey::Line(_) | RowKey::Dedup(_) => Seq::MIN,
    }
}

/// The group of a member; the first of all for what does not read, so that it is met at once.
fn group_of(row: &Result<(RowKey, ()), StoreError>) -> GroupHash {
    match row {
        Ok((RowKey::Member(group, _), ())) => *group,
        _ => GroupHash(0),
    }
}
