//! A queue on a table of typed rows: the engine with nothing around it.

use std::collections::{BTreeMap, BTreeSet};

use stanchion_service::engine::command::{
    Answer, Command, Context, Departure, Due, Effects, Incoming, Loaded, Need, Outcome, Rng, Step,
};
use stanchion_service::engine::queue::Queue;
use stanchion_service::error::Error;
use stanchion_service::model::attributes::QueueSettings;
use stanchion_service::model::fifo::{DedupHash, GroupHash, Seq};
use stanchion_service::model::message::MessageId;
use stanchion_service::model::rows::{
    DedupKey, DedupRow, DeliveryRow, GroupRow, HintRow, Lane, LinePlace, MessageRow, Place,
    ReceiveId, ReceiveRow, RowKey, Write,
};
use stanchion_service::model::time::{Millis, Timestamp};

/// The rows of one queue, as a store would hold them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) messages: BTreeMap<Place, MessageRow>,
    pub(crate) receives: BTreeMap<ReceiveId, ReceiveRow>,
    pub(crate) timers: BTreeMap<(Timestamp, Seq), Option<GroupHash>>,
    pub(crate) groups: BTreeMap<GroupHash, GroupRow>,
    pub(crate) members: BTreeSet<(GroupHash, Seq)>,
    pub(crate) line: BTreeMap<LinePlace, GroupHash>,
    pub(crate) dedup: BTreeMap<DedupKey, DedupRow>,
    pub(crate) hint: HintRow,
}

impl Rows {
    pub(crate) fn write(&mut self, write: Write) {
        match write {
            Write::Message(place, row) => drop(self.messages.insert(place, row)),
            Write::Receive(receive, row) => drop(self.receives.insert(receive, row)),
            Write::Timer(due_at, seq, group) => drop(self.timers.insert((due_at, seq), group)),
            Write::Group(group, row) => drop(self.groups.insert(group, row)),
            Write::Member(group, seq) => drop(self.members.insert((group, seq))),
            Write::Line(place, group) => drop(self.line.insert(place, group)),
            Write::Dedup(key, row) => drop(self.dedup.insert(key, row)),
            Write::Remove(key) => match key {
                RowKey::Message(place) => drop(self.messages.remove(&place)),
                RowKey::Receive(receive) => drop(self.receives.remove(&receive)),
                RowKey::Timer(due_at, seq) => drop(self.timers.remove(&(due_at, seq))),
                RowKey::Group(group) => drop(self.groups.remove(&group)),
                RowKey::Member(group, seq) => drop(self.members.remove(&(group, seq))),
                RowKey::Line(place) => drop(self.line.remove(&place)),
                RowKey::Dedup(key) => drop(self.dedup.remove(&key)),
            },
            Write::Clear(from, to) => {
                let place = |seq| Place { lane: Lane::Main, seq };
                self.messages.retain(|at, _| !(place(from)..place(to)).contains(at));
            }
        }
    }

    /// What was received and is not gone; each message once.
    pub(crate) fn deliveries(&self) -> BTreeMap<Seq, DeliveryRow> {
        let rows = self.receives.values().flatten().copied();
        let count = rows.clone().count();
        let deliveries: BTreeMap<_, _> = rows.collect();
        assert_eq!(deliveries.len(), count, "a message that was given out last twice");
        deliveries
    }

    /// Messages that are not gone: what was received and has no delivery is.
    pub(crate) fn alive(&self) -> usize {
        let (fresh, deliveries) = (self.hint.fresh, self.deliveries());
        let alive = |place: &&Place| {
            let received = deliveries.get(&place.seq).is_some_and(|row| row.lane == place.lane);
            place.lane == Lane::Delayed || fresh <= place.seq || received
        };
        self.messages.keys().filter(alive).count()
    }

    /// Answers a read as a store would. Of bulky rows it gives `page` at the most, however many
    /// were asked for.
    pub(crate) fn answer(&self, need: &Need, page: usize) -> Answer {
        match *need {
            Need::Message(place) => Answer::Message(self.messages.get(&place).cloned()),
            Need::Messages { lane, from, rows } => {
                let range = Place { lane, seq: from }..=Place { lane, seq: Seq::MAX };
                let mut all = self.messages.range(range).map(|(at, row)| (at.seq, row.clone()));
                let found: Vec<_> = all.by_ref().take(rows.min(page)).collect();
                Answer::Messages(found, all.next().map(|(seq, _)| seq))
            }
            Need::Timers { from, rows } => {
                let mut all = self.timers.range(from..).map(|(&timer, _)| timer);
                let found: Vec<_> = all.by_ref().take(rows.min(page)).collect();
                Answer::Timers(found, all.next().is_none())
            }
            Need::Due { from, until, rows } => {
                let mut all = self.timers.range(from..=until).map(|(&(due_at, seq), &group)| {
                    let row = self.messages.get(&Place { lane: Lane::Delayed, seq }).cloned();
                    Due { due_at, seq, group, row }
                });
                let found: Vec<_> = all.by_ref().take(rows.min(page)).collect();
                Answer::Due(found, all.next().is_none())
            }
            Need::Group(group) => Answer::Group(self.groups.get(&group).copied()),
            Need::Members { group, from, rows } => {
                let mut all = self.members.range((group, from)..=(group, Seq::MAX));
                let found: Vec<_> = all.by_ref().take(rows).map(|&(_, seq)| seq).collect();
                Answer::Members(found, all.next().is_none())
            }
            Need::Line { from, before, rows } => {
                let end = LinePlace { seq: before, round: 0 };
                let mut all = self.line.range(from..end.max(from));
                let found: Vec<_> =
                    all.by_ref().take(rows).map(|(&at, &group)| (at, group)).collect();
                Answer::Line(found, all.next().is_none())
            }
            Need::Dedup(key) => Answer::Dedup(self.dedup.get(&key).copied()),
        }
    }
}

/// A seeded source of nonces (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct TestRng(pub(crate) u64);

impl Rng for TestRng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// A queue, its rows, a clock that stands still until it is moved.
pub(crate) struct Bench {
    pub(crate) queue: Queue,
    pub(crate) rows: Rows,
    pub(crate) now: Timestamp,
    pub(crate) rng: TestRng,
    pub(crate) dead_letter_target: bool,
    pub(crate) departed: Vec<Departure>,
    /// Rows the store gives at once.
    pub(crate) page: usize,
    pub(crate) window_room: usize,
    epoch: u32,
}

impl Bench {
    pub(crate) fn new(settings: QueueSettings) -> Bench {
        let now = Timestamp(1_000_000_000);
        let first = Seq::first_of_epoch(1);
        Bench {
            queue: Queue::open(settings, HintRow::default(), Vec::new(), first, now),
            rows: Rows::default(),
            now,
            rng: TestRng(7),
            dead_letter_target: true,
            departed: Vec::new(),
            page: usize::MAX,
            window_room: 1 << 20,
            epoch: 1,
        }
    }

    /// What is done after a `kill -9`: the rows are there, the memory is not.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
        let receives = self.rows.receives.clone().into_iter().collect();
        let settings = self.queue.settings().clone();
        let first = Seq::first_of_epoch(self.epoch);
        self.queue = Queue::open(settings, self.rows.hint, receives, first, self.now);
    }

    /// Applies one command, after what time asks for; then checks that memory and rows agree.
    pub(crate) fn apply(&mut self, command: Command) -> Result<Outcome, Error> {
        self.expire();
        let result = self.drive(|queue, context, command| queue.apply(command, context), command);
        self.audit();
        result
    }

    /// Lets time do its work.
    pub(crate) fn expire(&mut self) {
        let mut steps = 0;
        while self.queue.next_deadline().is_some_and(|deadline| deadline <= self.now) {
            let nothing = Command::Delete(Vec::new());
            self.drive(|queue, context, _| queue.expire(context), nothing).expect("expiry");
            steps += 1;
            assert!(steps < 100_000, "expiry never ends");
        }
    }

    /// Removes rows of messages that are gone, as far as one step goes. `false` when there are more.
    pub(crate) fn clear(&mut self) -> bool {
        let mut writes = Vec::new();
        let all = self.queue.clear(&mut writes);
        for write in writes {
            self.rows.write(write);
        }
        self.rows.hint = self.queue.hint();
        self.audit();
        all
    }

    fn drive(
        &mut self,
        run: impl Fn(&mut Queue, &mut Context<'_>, &mut Command) -> Step,
        mut command: Command,
    ) -> Result<Outcome, Error> {
        let mut loaded = Loaded::default();
        for need in self.queue.plan(&command, self.now) {
            loaded.0.insert(need, self.rows.answer(&need, self.page));
        }
        for _ in 0..10_000 {
            let mut effects = Effects::default();
            let mut context = Context {
                now: self.now,
                loaded: &loaded,
                rng: &mut self.rng,
                dead_letter_target: self.dead_letter_target,
                window_room: self.window_room,
                effects: &mut effects,
            };
            let before = self.queue.hint();
            match run(&mut self.queue, &mut context, &mut command) {
                Step::Done(result) => {
                    for write in effects.writes {
                        self.rows.write(write);
                    }
                    self.rows.hint = self.queue.hint();
                    self.departed.extend(effects.departures);
                    return result;
                }
                Step::More(needs) => {
                    assert!(effects.writes.is_empty(), "asked for more after writing");
                    assert_eq!(before.next_seq, self.queue.hint().next_seq);
                    for need in needs {
                        let fresh = loaded.0.insert(need, self.rows.answer(&need, self.page));
                        assert!(fresh.is_none(), "asked again for {need:?}");
                    }
                }
            }
        }
        panic!("asks for more without end");
    }

    /// Memory, counters and rows must tell one story.
    pub(crate) fn audit(&self) {
        let counters = self.queue.counters();
        let rows = &self.rows;
        let total = counters.available + counters.in_flight + counters.delayed;
        let fifo = self.queue.settings().fifo.is_some();
        let stored = if fifo { rows.messages.len() } else { rows.alive() };
        assert_eq!(total, stored as u64, "messages: {counters:?}");
        let deliveries = rows.deliveries();
        assert_eq!(self.queue.held(), deliveries.len(), "deliveries");
        for (seq, row) in &deliveries {
            let place = Place { lane: row.lane, seq: *seq };
            assert!(rows.messages.contains_key(&place), "a delivery without a message: {seq:?}");
        }
        for &(due_at, seq) in rows.timers.keys() {
            let row = &rows.messages[&Place { lane: Lane::Delayed, seq }];
            assert_eq!(row.head.due_at, Some(due_at));
            assert!(!deliveries.contains_key(&seq), "a timer of a received message");
        }
        let mut fresh = BTreeMap::<GroupHash, u64>::new();
        for (group, _) in &rows.members {
            *fresh.entry(*group).or_default() += 1;
        }
        for (group, row) in &rows.groups {
            assert_eq!(row.fresh, fresh.remove(group).unwrap_or(0), "members of {group:?}");
            if let Some(place) = row.place {
                assert_eq!(rows.line.get(&place), Some(group), "place of {group:?}");
                assert!(rows.hint.line_from <= place, "the line starts after {group:?}");
            }
        }
        assert!(fresh.is_empty(), "members of unknown groups: {fresh:?}");
        assert_eq!(rows.line.len() as u64, rows.hint.line_count, "groups in line");
        let placed = rows.groups.values().filter(|row| row.place.is_some()).count();
        assert_eq!(rows.line.len(), placed, "places without a group");
    }
}

/// A message of that name.
pub(crate) fn incoming(
    name: &str,
    group: Option<&str>,
    dedup: Option<&str>,
    delay: Option<u64>,
) -> Incoming {
    let mut id = [0; 16];
    for (at, byte) in name.bytes().take(16).enumerate() {
        id[at] = byte;
    }
    Incoming {
        id: MessageId(id),
        payload: name.as_bytes().to_vec().into(),
        delay: delay.map(Millis),
        group: group.map(|group| GroupHash(hash(group))),
        dedup: dedup.map(|dedup| DedupHash(hash(dedup))),
    }
}

/// Distinct for distinct short texts.
pub(crate) fn hash(text: &str) -> u128 {
    text.bytes().fold(1, |hash, byte| (hash << 8) | u128::from(byte))
}
