//! Random commands, held against a naive model that keeps every message in one list.

use std::collections::BTreeMap;

use proptest::prelude::*;

use stanchion_service::engine::command::{
    Command, Delivered, EntryError, Outcome, Receipt, Receive, Removal, SendOff, Survey,
    SurveyFrom, Surveyed,
};
use stanchion_service::model::attributes::{QueueSettings, RedrivePolicy};
use stanchion_service::model::fifo::Seq;
use stanchion_service::model::filter::States;
use stanchion_service::model::message::MessageState;
use stanchion_service::model::queue::{QueueKey, QueueKind};
use stanchion_service::model::rows::{Lane, Place};
use stanchion_service::model::time::{Millis, Timestamp};

use crate::bench::{Bench, incoming};

/// What a test does, step by step.
#[derive(Clone, Debug)]
enum Step {
    Send { group: Option<u8>, dedup: u8, delay_s: Option<u8>, count: u8 },
    Receive { max: usize, visibility_s: Option<u8> },
    Delete { handle: prop::sample::Index },
    Change { handle: prop::sample::Index, span_s: u8 },
    SendOff { max: usize, take: usize },
    Remove { at: prop::sample::Index, count: usize, states: u8 },
    Transfer { at: prop::sample::Index, count: usize, states: u8 },
    Wait { millis: u32 },
    Restart,
    Clear,
    ForgetWindow,
}

fn step() -> impl Strategy<Value = Step> {
    let delay = prop::option::weighted(0.3, 0..30u8);
    prop_oneof![
        4 => (prop::option::weighted(0.5, 0..4u8), 0..20u8, delay, 1..4u8)
            .prop_map(|(group, dedup, delay_s, count)| Step::Send { group, dedup, delay_s, count }),
        6 => (1..=10usize, prop::option::weighted(0.6, 0..40u8))
            .prop_map(|(max, visibility_s)| Step::Receive { max, visibility_s }),
        4 => any::<prop::sample::Index>().prop_map(|handle| Step::Delete { handle }),
        2 => (any::<prop::sample::Index>(), 0..60u8)
            .prop_map(|(handle, span_s)| Step::Change { handle, span_s }),
        2 => (1..8usize, 0..12usize).prop_map(|(max, take)| Step::SendOff { max, take }),
        2 => (any::<prop::sample::Index>(), 1..4usize, 0..16u8)
            .prop_map(|(at, count, states)| Step::Remove { at, count, states }),
        1 => (any::<prop::sample::Index>(), 1..4usize, 0..16u8)
            .prop_map(|(at, count, states)| Step::Transfer { at, count, states }),
        4 => (0..25_000u32).prop_map(|millis| Step::Wait { millis }),
        1 => Just(Step::Restart),
        1 => Just(Step::Clear),
        1 => Just(Step::ForgetWindow),
    ]
}

/// How a test's queue is set up.
#[derive(Clone, Debug)]
struct Setup {
    kind: QueueKind,
    grouped: bool,
    delay_s: u32,
    retention_s: u32,
    max_receives: Option<u32>,
    page: usize,
    window_room: usize,
}

fn setup() -> impl Strategy<Value = Setup> {
    let kind = prop_oneof![Just(QueueKind::Standard), Just(QueueKind::Fifo)];
    let delay = prop_oneof![3 => Just(0u32), 1 => 1..20u32];
    let page = prop_oneof![Just(usize::MAX), 1..5usize];
    let room = prop_oneof![Just(1usize << 20), Just(0), Just(500)];
    (kind, any::<bool>(), delay, 60..300u32, prop::option::of(1..4u32), page, room).prop_map(
        |(kind, grouped, delay_s, retention_s, max_receives, page, window_room)| Setup {
            kind,
            grouped,
            delay_s,
            retention_s,
            max_receives,
            page,
            window_room,
        },
    )
}

/// A message as the model sees it.
#[derive(Clone, Debug)]
struct Message {
    name: String,
    group: Option<String>,
    sent_at: u64,
    due_at: u64,
    receives: u32,
    /// Zero while it was never received.
    visible_at: u64,
    latest: Option<Receipt>,
    place: Option<Place>,
}

impl Message {
    fn state(&self, now: u64) -> MessageState {
        match () {
            () if self.is_in_flight(now) => MessageState::InFlight,
            () if self.is_delayed(now) => MessageState::Delayed,
            () if self.receives > 0 => MessageState::Returned,
            () => MessageState::Available,
        }
    }

    fn is_in_flight(&self, now: u64) -> bool {
        self.receives > 0 && now < self.visible_at
    }

    fn is_delayed(&self, now: u64) -> bool {
        self.receives == 0 && now < self.due_at
    }
}

struct World {
    setup: Setup,
    bench: Bench,
    /// In order of arrival.
    messages: Vec<Message>,
    handles: Vec<(String, Receipt)>,
    dedup: BTreeMap<String, (u64, String)>,
    sent: usize,
}

impl World {
    fn new(setup: Setup) -> World {
        let mut settings = QueueSettings::new(setup.kind);
        settings.delay_s = setup.delay_s;
        settings.retention_s = setup.retention_s;
        settings.redrive = setup.max_receives.map(|max_receive_count| RedrivePolicy {
            dead_letter_target_arn: "arn:aws:sqs:us-east-1:000000000000:dead".to_owned(),
            max_receive_count,
        });
        let mut bench = Bench::new(settings);
        bench.page = setup.page;
        bench.window_room = setup.window_room;
        World {
            setup,
            bench,
            messages: Vec::new(),
            handles: Vec::new(),
            dedup: BTreeMap::new(),
            sent: 0,
        }
    }

    fn now(&self) -> u64 {
        self.bench.now.0
    }

    fn is_fifo(&self) -> bool {
        self.setup.kind == QueueKind::Fifo
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Send { group, dedup, delay_s, count } => self.send(group, dedup, delay_s, count),
            Step::Receive { max, visibility_s } => self.receive(max, visibility_s),
            Step::Delete { handle } => self.delete(handle),
            Step::Change { handle, span_s } => self.change(handle, span_s),
            Step::SendOff { max, take } => self.send_off(max, take),
            Step::Remove { at, count, states } => self.remove(at, count, states),
            Step::Transfer { at, count, states } => self.transfer(at, count, states),
            Step::Wait { millis } => self.bench.now = Timestamp(self.now() + u64::from(millis)),
            Step::Restart => self.bench.restart(),
            Step::Clear => drop(self.bench.clear()),
            Step::ForgetWindow => self.bench.queue.drop_window(),
        }
        self.bench.expire();
        let (now, retention) = (self.now(), u64::from(self.setup.retention_s) * 1000);
        self.messages.retain(|message| now < message.sent_at + retention);
        self.compare_counters();
    }

    fn compare_counters(&self) {
        let now = self.now();
        let count = |test: &dyn Fn(&&Message) -> bool| self.messages.iter().filter(test).count();
        let counters = self.bench.queue.counters();
        let delayed = count(&|message| message.is_delayed(now));
        let in_flight = count(&|message| message.is_in_flight(now));
        assert_eq!(counters.delayed, delayed as u64, "delayed");
        assert_eq!(counters.in_flight, in_flight as u64, "in flight");
        assert_eq!(counters.available as usize, self.messages.len() - delayed - in_flight);
    }

    fn send(&mut self, group: Option<u8>, dedup: u8, delay_s: Option<u8>, count: u8) {
        let fifo = self.is_fifo();
        let group = group.filter(|_| self.setup.grouped || fifo);
        let group = group.or(fifo.then_some(0)).map(|group| format!("g{group}"));
        let delay_s = delay_s.filter(|_| !fifo).map(u64::from);
        let delay = delay_s.unwrap_or(u64::from(self.setup.delay_s)) * 1000;
        let mut batch = Vec::new();
        let mut expected = Vec::new();
        for nth in 0..count {
            self.sent += 1;
            let name = format!("m{}", self.sent);
            let id = fifo.then(|| format!("d{}", dedup + nth / 2));
            batch.push(incoming(&name, group.as_deref(), id.as_deref(), delay_s.map(|s| s * 1000)));
            let now = self.now();
            let first = id.as_ref().and_then(|id| self.dedup.get(id));
            if let Some((_, first)) = first.filter(|(at, _)| now < at + 300_000) {
                expected.push(first.clone());
                continue;
            }
            if let Some(id) = id {
                self.dedup.insert(id, (now, name.clone()));
            }
            expected.push(name.clone());
            self.messages.push(Message {
                name,
                group: group.clone(),
                sent_at: now,
                due_at: now + delay,
                receives: 0,
                visible_at: 0,
                latest: None,
                place: None,
            });
        }
        let Ok(Outcome::Sent(results)) = self.bench.apply(Command::Send(batch)) else { panic!() };
        let lane = if !fifo && delay > 0 { Lane::Delayed } else { Lane::Main };
        let seqs = results.iter().flatten().filter(|sent| !sent.duplicate).map(|sent| sent.seq);
        let new = self.messages.iter_mut().filter(|message| message.place.is_none());
        for (message, seq) in new.zip(seqs) {
            message.place = Some(Place { lane, seq });
        }
        let accepted = results.into_iter().map(|result| {
            let id = result.expect("sent").id.0;
            String::from_utf8_lossy(&id).trim_end_matches('\0').to_owned()
        });
        assert_eq!(accepted.collect::<Vec<_>>(), expected);
    }

    fn is_poison(&self, message: &Message) -> bool {
        self.setup.max_receives.is_some_and(|max| message.receives >= max)
    }

    /// What a receive could hand out, in order within each group for FIFO; and what it would send
    /// away on the way there.
    fn deliverable(&self) -> (Vec<String>, Vec<String>) {
        let now = self.now();
        let (mut deliver, mut depart) = (Vec::new(), Vec::new());
        let mut blocked = Vec::new();
        for message in &self.messages {
            if self.is_fifo() && blocked.contains(&message.group) {
                continue;
            }
            if message.is_in_flight(now) || message.is_delayed(now) {
                blocked.push(message.group.clone());
            } else if message.receives > 0 && self.is_poison(message) {
                depart.push(message.name.clone());
            } else {
                deliver.push(message.name.clone());
            }
        }
        (deliver, depart)
    }

    fn receive(&mut self, max: usize, visibility_s: Option<u8>) {
        let (deliver, depart) = self.deliverable();
        let visibility = visibility_s.map(|s| Millis(u64::from(s) * 1000));
        let receive = Receive { max, visibility, attempt: None, patient: false };
        let Ok(Outcome::Received(given)) = self.bench.apply(Command::Receive(receive)) else {
            panic!("a receive failed")
        };
        let departed: Vec<String> =
            self.bench.departed.drain(..).map(|d| name(&d.message)).collect();
        for gone in &departed {
            assert!(depart.contains(gone), "{gone} departed");
            self.messages.retain(|message| message.name != *gone);
        }
        assert_eq!(given.len(), max.min(deliver.len()), "of {deliver:?}");
        if given.len() < max {
            assert_eq!(departed.len(), depart.len(), "all poison was met");
        }
        self.check_order(&given, &deliver);
        let until = self.now() + visibility.map_or(30_000, |span| span.0);
        for delivered in given {
            let name = name(&delivered.message);
            assert!(deliver.contains(&name), "{name} was not deliverable");
            let receipt = Receipt { place: delivered.place, nonce: delivered.nonce };
            let message = self.messages.iter_mut().find(|m| m.name == name).expect("alive");
            message.receives += 1;
            message.visible_at = until;
            message.latest = Some(receipt);
            assert_eq!(delivered.receive_count, message.receives);
            self.handles.push((name, receipt));
        }
    }

    fn check_order(&self, given: &[Delivered], deliver: &[String]) {
        let find = |name: &str| self.messages.iter().find(|m| m.name == name).expect("alive");
        let given: Vec<&Message> = given.iter().map(|d| find(&name(&d.message))).collect();
        if self.is_fifo() {
            // Of each group, the oldest that may go.
            let mut taken = BTreeMap::<_, Vec<&str>>::new();
            for message in &given {
                taken.entry(&message.group).or_default().push(&message.name);
            }
            for (group, names) in taken {
                let mut own = deliver.iter().map(|name| find(name)).filter(|m| m.group == *group);
                for name in names {
                    assert_eq!(own.next().map(|m| m.name.as_str()), Some(name), "in {group:?}");
                }
            }
            return;
        }
        if self.setup.grouped {
            return;
        }
        // Of the fresh, those that became available first; of the returned as well.
        for fresh in [true, false] {
            let since = |m: &&Message| if fresh { m.due_at } else { m.visible_at };
            let kind = |m: &&Message| (m.receives == 0) == fresh;
            let taken: Vec<u64> = given.iter().copied().filter(kind).map(|m| since(&m)).collect();
            assert!(taken.is_sorted(), "out of order: {taken:?}");
            let left = deliver.iter().map(|name| find(name)).filter(kind);
            let left = left.filter(|m| !given.iter().any(|g| g.name == m.name));
            if let (Some(last), Some(first)) = (taken.last(), left.map(|m| since(&m)).min()) {
                assert!(*last <= first, "one that waited longer was left behind");
            }
        }
    }

    /// Sends available messages off, `max` at a time, as long as there are any and fewer than
    /// `take` have gone.
    fn send_off(&mut self, max: usize, take: usize) {
        let (all, next) = self.survey(SurveyFrom::Start, 1000);
        assert_eq!(next, None);
        let (deliver, depart) = self.deliverable();
        let mut available: Vec<String> = deliver.into_iter().chain(depart).collect();
        available.sort();
        let mut found: Vec<String> = all.into_iter().map(|(_, name)| name).collect();
        found.sort();
        assert_eq!(found, available);

        let mut gone = Vec::new();
        let mut from = Some(SurveyFrom::Start);
        while let Some(start) = from.filter(|_| gone.len() < take) {
            let (found, next) = self.survey(start, max);
            assert!(found.len() <= max && (next != from || !found.is_empty()));
            let (places, names): (Vec<_>, Vec<_>) = found.into_iter().unzip();
            let target = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:there").unwrap();
            let errand = SendOff::of_available(places, target, "why".to_owned());
            let outcome = self.bench.apply(Command::SendOff(errand));
            assert!(matches!(outcome, Ok(Outcome::SentOff(left)) if left.len() == names.len()));
            gone.extend(names);
            from = next;
        }
        let departed = std::mem::take(&mut self.bench.departed);
        let departed: Vec<String> = departed.iter().map(|d| name(&d.message)).collect();
        assert_eq!(departed, gone);
        let group_of = |name: &String| {
            let message = self.messages.iter().find(|message| message.name == *name);
            message.map(|message| message.group.clone())
        };
        if self.is_fifo() {
            // Of each group the oldest went, in their order.
            for message in &self.messages {
                let group = Some(message.group.clone());
                let own = gone.iter().filter(|name| group_of(name) == group);
                let mut all = self.messages.iter().filter(|m| m.group == message.group);
                assert!(own.into_iter().all(|name| all.next().is_some_and(|m| m.name == *name)));
            }
        }
        self.messages.retain(|message| !gone.contains(&message.name));
    }

    fn survey(
        &mut self,
        from: SurveyFrom,
        max: usize,
    ) -> (Vec<(Place, String)>, Option<SurveyFrom>) {
        let (before, due_by) = (Seq::MAX, Timestamp::MAX);
        let survey = Survey { from, max, bytes_max: usize::MAX, before, due_by };
        match self.bench.apply(Command::Survey(survey)) {
            Ok(Outcome::Surveyed(Surveyed { found, next })) => {
                (found.iter().map(|found| (found.place, name(&found.message))).collect(), next)
            }
            other => panic!("{other:?}"),
        }
    }

    fn delete(&mut self, handle: prop::sample::Index) {
        if self.handles.is_empty() {
            return;
        }
        let (name, receipt) = handle.get(&self.handles).clone();
        let now = self.now();
        let at = self.messages.iter().position(|message| message.name == name);
        let expected = match at.map(|at| &self.messages[at]) {
            Some(m) if self.is_fifo() && (m.latest != Some(receipt) || !m.is_in_flight(now)) => {
                Err(EntryError::Expired)
            }
            _ => Ok(()),
        };
        if let (Some(at), Ok(())) = (at, expected) {
            self.messages.remove(at);
        }
        assert_eq!(one(self.bench.apply(Command::Delete(vec![receipt]))), expected);
    }

    /// Some messages that follow each other, the first of them twice, and a set of states.
    fn choose(
        &self,
        at: prop::sample::Index,
        count: usize,
        states: u8,
    ) -> Option<(Vec<Message>, States)> {
        let from = (!self.messages.is_empty()).then(|| at.index(self.messages.len()))?;
        let chosen = self.messages.iter().skip(from).take(count);
        let chosen = chosen.chain(&self.messages[from..=from]).cloned().collect();
        let all = MessageState::ALL.into_iter();
        Some((chosen, all.filter(|state| states & 1 << *state as u8 != 0).collect()))
    }

    /// Sends some to another queue, if their states are among these.
    fn transfer(&mut self, at: prop::sample::Index, count: usize, states: u8) {
        let Some((chosen, states)) = self.choose(at, count, states) else { return };
        let now = self.now();
        let target = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:other");
        let places = chosen.iter().map(|message| message.place.expect("it was sent")).collect();
        let target = target.expect("a queue's name");
        let errand = SendOff { states, ..SendOff::of_available(places, target, "why".to_owned()) };
        let Ok(Outcome::SentOff(left)) = self.bench.apply(Command::SendOff(errand)) else {
            panic!("it failed")
        };
        let departed: Vec<String> =
            self.bench.departed.drain(..).map(|d| name(&d.message)).collect();
        let leaves = |message: &&Message| states.contains(message.state(now));
        let mut expected: Vec<String> =
            chosen.iter().filter(leaves).map(|message| message.name.clone()).collect();
        // Once, though it was named twice.
        if expected.len() > 1 && expected.first() == expected.last() {
            expected.pop();
        }
        assert_eq!((&departed, left.len()), (&expected, departed.len()));
        self.messages.retain(|message| !departed.contains(&message.name));
    }

    /// Deletes some that follow each other, the first of them twice, if their states are among
    /// these.
    fn remove(&mut self, at: prop::sample::Index, count: usize, states: u8) {
        let Some((chosen, states)) = self.choose(at, count, states) else { return };
        let now = self.now();
        let places = chosen.iter().map(|message| message.place.expect("it was sent")).collect();
        let removal = Removal { places, states };
        let Ok(Outcome::Done(results)) = self.bench.apply(Command::Remove(removal)) else {
            panic!("a removal failed")
        };
        for (message, result) in chosen.iter().zip(results) {
            let at = self.messages.iter().position(|alive| alive.name == message.name);
            let at = at.filter(|_| states.contains(message.state(now)));
            assert_eq!(result, at.map(drop).ok_or(EntryError::Gone), "{}", message.name);
            if let Some(at) = at {
                self.messages.remove(at);
            }
        }
    }

    fn change(&mut self, handle: prop::sample::Index, span_s: u8) {
        if self.handles.is_empty() {
            return;
        }
        let (name, receipt) = handle.get(&self.handles).clone();
        let (now, fifo) = (self.now(), self.is_fifo());
        let message = self.messages.iter_mut().find(|message| message.name == name);
        let expected = match message {
            None => Err(EntryError::Gone),
            Some(m) if fifo && m.latest != Some(receipt) => Err(EntryError::Expired),
            Some(m) => {
                if m.is_in_flight(now) {
                    m.visible_at = now + u64::from(span_s) * 1000;
                }
                Ok(())
            }
        };
        let change = (receipt, Millis(u64::from(span_s) * 1000));
        assert_eq!(one(self.bench.apply(Command::ChangeVisibility(vec![change]))), expected);
    }
}

fn one(outcome: Result<Outcome, stanchion_service::error::Error>) -> Result<(), EntryError> {
    match outcome {
        Ok(Outcome::Done(results)) => results[0],
        other => panic!("{other:?}"),
    }
}

fn name(message: &stanchion_service::model::rows::MessageRow) -> String {
    String::from_utf8(message.payload.to_vec()).expect("a name")
}

proptest! {
    #[test]
    fn a_queue_does_what_the_naive_model_does(
        setup in setup(),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let mut world = World::new(setup);
        for step in steps {
            world.run(step);
        }
    }
}

/// A handle of a receive that a power cut undid leads to a message that was never received. It may
/// come twice in one batch.
#[test]
fn a_handle_of_an_undone_receive_deletes_its_message_once() {
    let mut bench = Bench::new(QueueSettings::new(QueueKind::Standard));
    let batch = ["m1", "m2", "m3"].map(|name| incoming(name, None, None, None)).to_vec();
    let Ok(Outcome::Sent(sent)) = bench.apply(Command::Send(batch)) else { panic!() };
    let seq = sent[1].as_ref().expect("sent").seq;
    let receipt = Receipt { place: Place { lane: Lane::Main, seq }, nonce: 1 };
    bench.apply(Command::Delete(vec![receipt, receipt])).expect("deleted");
    assert_eq!(bench.queue.counters().available, 2);
}
