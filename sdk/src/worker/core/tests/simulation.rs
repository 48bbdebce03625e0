//! A worker and a server of queues, in simulated time: answers are slow or never come, handlers
//! succeed, fail, hang or give up, and the worker is paused and stopped in the middle. An auditor
//! holds what happens against what was promised; a failure names its seed.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;

use super::*;

/// A message as the server has it.
#[derive(Debug)]
struct Stored {
    queue: QueueId,
    group: Option<Arc<str>>,
    hidden_until: Time,
    /// The receive that counts, and when it was.
    receipt: Option<Ticket>,
    received: Time,
    gone: bool,
    /// Some handler said that it is done, or to be a dead letter.
    decided: bool,
}

/// What will happen to the worker or the server.
#[derive(Debug)]
enum Due {
    /// A receive is looked at by the server, until it has something or its wait is over.
    Poll { receive: ReceiveId, queue: QueueId, max: usize, until: Time },
    /// The server carries something out.
    Carry { effect: Effect },
    /// The worker hears of something.
    Hear(Event),
    /// A handler ends.
    End { job: JobId },
}

struct World {
    rng: Rng,
    core: Core,
    settings: Settings,
    now: Time,
    due: BTreeMap<(Time, u64), Due>,
    sequence: u64,
    tickets: u64,
    stored: Vec<Stored>,
    /// Which message a ticket is of.
    of: BTreeMap<Ticket, usize>,
    running: BTreeMap<JobId, (QueueId, Vec<Ticket>)>,
    ended: BTreeMap<Ticket, Ending>,
    may_delete: BTreeSet<Ticket>,
    abandoned: BTreeSet<ReceiveId>,
    /// How many in a hundred requests get no answer, and handlers fail.
    trouble: u32,
    finished: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::with_seed(seed);
        let queues = rng.usize(1..4);
        let queues: Vec<QueueSettings> =
            (0..queues).map(|_| queue(rng.u32(1..4), rng.i32(0..2), rng.bool())).collect();
        let settings = Settings {
            slots: rng.usize(queues.len()..12),
            prefetch: if rng.bool() { 0 } else { rng.usize(0..12) },
            batch: if rng.bool() { 1 } else { rng.usize(1..11) },
            batch_linger: ms(rng.u64(0..2_000)),
            visibility: s(rng.u64(10..40)),
            hold: s(rng.u64(60..200)),
            queues,
            ..settings(1, false)
        };
        let mut stored = Vec::new();
        for _ in 0..rng.usize(20..150) {
            let queue = rng.usize(0..settings.queues.len());
            let group = settings.queues[queue].fifo.then(|| Arc::from(rng.u8(0..5).to_string()));
            let nothing = (s(0), s(0));
            stored.push(Stored {
                queue,
                group,
                hidden_until: nothing.0,
                receipt: None,
                received: nothing.1,
                gone: false,
                decided: false,
            });
        }
        World {
            core: Core::new(settings.clone()),
            settings,
            now: s(0),
            due: BTreeMap::new(),
            sequence: 0,
            tickets: 0,
            stored,
            of: BTreeMap::new(),
            running: BTreeMap::new(),
            ended: BTreeMap::new(),
            may_delete: BTreeSet::new(),
            abandoned: BTreeSet::new(),
            trouble: if rng.bool() { 0 } else { rng.u32(0..30) },
            finished: false,
            rng,
        }
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.sequence += 1;
        self.due.insert((self.now + after, self.sequence), due);
    }

    fn latency(&mut self) -> Duration {
        ms(self.rng.u64(1..300))
    }

    fn is_trouble(&mut self) -> bool {
        self.rng.u32(0..100) < self.trouble
    }

    /// One event, and what the worker wants then.
    fn hear(&mut self, event: Event) {
        let effects = self.core.apply(self.now, event);
        // A batch that is not full takes a slot for more than it has.
        let half_empty = self.settings.slots * (self.settings.batch - 1);
        let capacity = self.settings.capacity() + half_empty;
        assert!(self.core.used() <= capacity, "more is held or asked for than there is room for");
        for effect in effects {
            self.perform(effect);
        }
        let next = self.core.next_deadline();
        assert!(next.is_none_or(|next| next > self.now), "a tick that changes nothing: {next:?}");
        assert_eq!(self.core.is_finished(), self.finished);
    }

    fn perform(&mut self, effect: Effect) {
        assert!(!self.finished, "it had said that it is over: {effect:?}");
        match effect {
            Effect::Receive { receive, queue, max, wait } => {
                assert!(max > 0 && max <= BATCH_MAX);
                let latency = self.latency();
                let until = self.now + latency + wait;
                self.later(latency, Due::Poll { receive, queue, max, until });
            }
            Effect::Abandon { receive } => {
                self.abandoned.insert(receive);
            }
            Effect::Start { job, queue, tickets } => self.start(job, queue, tickets),
            Effect::Abort { job } => {
                // One in three does not hear.
                if self.rng.u8(0..3) > 0 {
                    let decisions = vec![NOW; self.running[&job].1.len()];
                    self.running.remove(&job);
                    self.later(ms(1), Due::Hear(Event::Handled { job, decisions }));
                }
            }
            Effect::Ended { ticket, ending } => {
                assert_eq!(self.ended.insert(ticket, ending), None, "{ticket:?} ends twice");
                let is_gone = self.stored[self.of[&ticket]].gone;
                assert!(is_gone || !matches!(ending, Ending::Deleted | Ending::DeadLettered));
            }
            Effect::Finished => self.finished = true,
            Effect::Delete { .. }
            | Effect::Release { .. }
            | Effect::Extend { .. }
            | Effect::DeadLetter { .. } => {
                let latency = self.latency();
                self.later(latency, Due::Carry { effect });
            }
        }
    }

    fn start(&mut self, job: JobId, queue: QueueId, tickets: Vec<Ticket>) {
        assert!(self.running.len() < self.settings.slots, "a slot too many");
        assert!((1..=self.settings.batch).contains(&tickets.len()));
        for (place, ticket) in tickets.iter().enumerate() {
            assert!(!self.ended.contains_key(ticket));
            let message = self.of[ticket];
            let Some(group) = self.stored[message].group.clone() else { continue };
            let of_group = |one: &Ticket| {
                let stored = &self.stored[self.of[one]];
                stored.queue == queue && stored.group.as_ref() == Some(&group)
            };
            let mut others = self.running.values().flat_map(|(_, tickets)| tickets);
            assert!(!others.any(of_group), "two of a group at once");
            let before: Vec<usize> = tickets[..place].iter().map(|one| self.of[one]).collect();
            let earlier = self.stored[..message].iter().enumerate();
            let mut earlier =
                earlier.filter(|(_, one)| one.queue == queue && one.group.as_ref() == Some(&group));
            let in_order = earlier.all(|(at, one)| one.gone || one.decided || before.contains(&at));
            assert!(in_order, "something of the group comes before {message}");
        }
        self.running.insert(job, (queue, tickets));
        let after = match self.rng.u8(0..20) {
            0 => s(self.rng.u64(10..300)),
            1..5 => s(self.rng.u64(1..10)),
            _ => ms(self.rng.u64(0..500)),
        };
        self.later(after, Due::End { job });
    }

    fn end(&mut self, job: JobId) {
        let Some((_, tickets)) = self.running.remove(&job) else { return };
        let mut decisions = Vec::new();
        for ticket in &tickets {
            let decision = match self.is_trouble() {
                false => Decision::Delete,
                true => match self.rng.u8(0..6) {
                    0 => Decision::DeadLetter { fallback: s(self.rng.u64(0..9)) },
                    1 => Decision::Ignore,
                    2 => Decision::Release(s(self.rng.u64(0..100_000))),
                    _ => Decision::Release(s(self.rng.u64(0..5))),
                },
            };
            if let Decision::Delete | Decision::DeadLetter { .. } = decision {
                self.may_delete.insert(*ticket);
                // Only where its result counts: what was lost is handled again, in order.
                let message = self.of[ticket];
                self.stored[message].decided |= decision == Decision::Delete;
            }
            decisions.push(decision);
        }
        self.hear(Event::Handled { job, decisions });
    }

    fn poll(&mut self, receive: ReceiveId, queue: QueueId, max: usize, until: Time) {
        if self.abandoned.contains(&receive) {
            return self.hear(Event::ReceiveFailed { receive });
        }
        let found = self.find(queue, max);
        if found.is_empty() && self.now < until {
            return self.later(ms(100), Due::Poll { receive, queue, max, until });
        }
        let mut messages = Vec::new();
        for message in found {
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            self.of.insert(ticket, message);
            let stored = &mut self.stored[message];
            stored.receipt = Some(ticket);
            stored.received = self.now;
            stored.hidden_until = self.now + self.settings.visibility;
            messages.push(Arrival { ticket, group: stored.group.clone() });
        }
        let event = match self.is_trouble() {
            true => Event::ReceiveFailed { receive },
            false => Event::Received { receive, messages },
        };
        let latency = self.latency();
        self.later(latency, Due::Hear(event));
    }

    /// What a server gives out: of a group nothing behind what is in flight.
    fn find(&self, queue: QueueId, max: usize) -> Vec<usize> {
        let mut blocked: BTreeSet<&str> = BTreeSet::new();
        let mut found = Vec::new();
        for (at, stored) in self.stored.iter().enumerate() {
            if stored.queue != queue || stored.gone || found.len() == max {
                continue;
            }
            let group = stored.group.as_deref();
            if stored.hidden_until > self.now {
                blocked.extend(group);
            } else if !group.is_some_and(|group| blocked.contains(group)) {
                found.push(at);
            }
        }
        found
    }

    /// The server does as it was told, or is not reached; its answer comes, or does not.
    fn carry(&mut self, effect: Effect) {
        let is_reached = !self.is_trouble();
        let is_answered = is_reached && !self.is_trouble();
        let is_extension = matches!(effect, Effect::Extend { .. });
        let mut results = Vec::new();
        let mut entries: Vec<(Ticket, Option<u32>)> = Vec::new();
        let mut is_letter = false;
        match effect {
            Effect::Extend { entries: given, .. } | Effect::Release { entries: given, .. } => {
                entries.extend(given.iter().map(|(ticket, seconds)| (*ticket, Some(*seconds))));
            }
            Effect::Delete { tickets, .. } => {
                entries.extend(tickets.iter().map(|ticket| (*ticket, None)));
            }
            Effect::DeadLetter { ticket, .. } => {
                is_letter = true;
                entries.push((ticket, None));
            }
            other => unreachable!("{other:?} is not for the server"),
        }
        for (ticket, seconds) in entries {
            let settings = &self.settings;
            let stored = &mut self.stored[self.of[&ticket]];
            let is_ours = stored.receipt == Some(ticket) && !stored.gone;
            let in_flight = is_ours && stored.hidden_until > self.now;
            let answer = match (in_flight, seconds) {
                _ if !is_reached => Answer::Failed,
                (false, Some(_)) if is_ours => Answer::Done,
                (false, _) => Answer::Lost,
                (true, Some(seconds)) => {
                    stored.hidden_until = self.now + s(u64::from(seconds));
                    let slack = s(1);
                    if is_extension {
                        let cap = stored.received + settings.hold + slack;
                        assert!(stored.hidden_until <= cap, "a heartbeat past the cap");
                    }
                    let cap = stored.received + s(43_200);
                    assert!(stored.hidden_until <= cap, "more than SQS allows");
                    Answer::Done
                }
                (true, None) if is_letter && self.rng.bool() => Answer::Refused,
                (true, None) => {
                    assert!(self.may_delete.contains(&ticket), "no handler said so");
                    stored.gone = true;
                    Answer::Done
                }
            };
            results.push((ticket, if is_answered { answer } else { Answer::Failed }));
        }
        let event = match is_extension {
            true => Event::Extended { results },
            false => Event::Settled { results },
        };
        let latency = self.latency();
        self.later(latency, Due::Hear(event));
    }

    /// Goes on until something is true, or `end`.
    fn run(&mut self, end: Time, mut until: impl FnMut(&World) -> bool) {
        while !until(self) {
            let tick = self.core.next_deadline();
            let first = self.due.first_key_value().map(|(key, _)| *key);
            let next = [tick, first.map(|(at, _)| at)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = next;
            match first.filter(|(at, _)| *at == next) {
                None => self.hear(Event::Tick),
                Some(key) => match self.due.remove(&key) {
                    Some(Due::Poll { receive, queue, max, until }) => {
                        self.poll(receive, queue, max, until);
                    }
                    Some(Due::Carry { effect }) => self.carry(effect),
                    Some(Due::Hear(event)) => self.hear(event),
                    Some(Due::End { job }) => self.end(job),
                    None => {}
                },
            }
        }
    }
}

/// A worker's whole life.
fn live(seed: u64) {
    let mut world = World::new(seed);
    world.hear(Event::Tick);
    if world.rng.bool() {
        let pause = s(world.rng.u64(0..60));
        world.run(pause, |_| false);
        world.hear(Event::Pause);
        world.run(pause + s(50), |_| false);
        world.hear(Event::Resume);
    }
    if world.trouble == 0 && world.rng.bool() {
        let end = world.now + s(40_000);
        world.run(end, |world| world.stored.iter().all(|stored| stored.gone));
        assert!(world.stored.iter().all(|stored| stored.gone), "nothing happens any more");
    } else {
        let end = world.now + s(world.rng.u64(0..500));
        world.run(end, |_| false);
    }
    let stopped = world.now;
    world.hear(Event::Stop);
    if world.rng.bool() {
        let end = stopped + ms(world.rng.u64(0..30_000));
        world.run(end, |world| world.finished);
        world.hear(Event::StopNow);
    }
    world.run(stopped + s(60), |world| world.finished);
    assert!(world.finished, "a drain always ends");
    let bound = world.settings.drain + world.settings.stop;
    assert!(world.now <= stopped + bound, "and in time");
    assert_eq!(world.ended.len(), world.of.keys().filter(|one| world.was_heard(**one)).count());
}

impl World {
    /// Whether the worker was told of a receive: its answer may have been lost, or come too late.
    fn was_heard(&self, ticket: Ticket) -> bool {
        self.ended.contains_key(&ticket) || self.core.held.contains_key(&ticket)
    }
}

#[test]
fn whatever_happens_the_promises_hold() {
    let seeds = match std::env::var("STANCHION_SEED").ok().and_then(|text| text.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..400,
    };
    for seed in seeds {
        let result = std::panic::catch_unwind(|| live(seed));
        if let Err(panic) = result {
            // The seed goes into what a failing test shows.
            #[expect(clippy::print_stderr, reason = "a failure names its seed")]
            {
                eprintln!("STANCHION_SEED={seed}");
            }
            std::panic::resume_unwind(panic);
        }
    }
}
