//! The rules of the worker, as a pure state machine: what happened goes in with the time it happened
//! at, what is to be done comes out. It knows no client, no clock and no randomness, and it never
//! sees a message: a ticket stands for each.
//!
//! Nothing is deleted but by [`Decision::Delete`], which only a handler says.

mod events;
mod holding;
mod receiving;
mod settings;
mod settling;
mod starting;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

pub(crate) use events::{
    Answer, Arrival, Decision, Effect, Ending, Event, JobId, QueueId, ReceiveId, Ticket, Time,
};
pub(crate) use settings::{BATCH_MAX, HOLD_MAX, QueueSettings, Settings};

use holding::Held;
use receiving::Receiving;
use settings::RECEIVE_GRACE;
use settling::Outgoing;
use starting::{Group, GroupKey, Ready};

/// One worker. Same settings and events: same effects.
#[derive(Debug)]
pub(crate) struct Core {
    settings: Settings,
    life: Life,
    queues: Vec<Queue>,
    /// Every message in the worker's hands.
    held: HashMap<Ticket, Held>,
    /// When to look at a held message next; at most one entry for each.
    timers: BTreeSet<(Time, Ticket)>,
    /// Looked up by key only: the order of a hash map must not show.
    groups: HashMap<GroupKey, Group>,
    jobs: BTreeMap<JobId, Job>,
    receives: BTreeMap<ReceiveId, Receive>,
    /// The part of the capacity that messages take which no handler has begun with.
    waiting: usize,
    /// The part that receives under way may bring.
    asked: usize,
    /// Messages whose handler is over.
    settling: usize,
    /// Since when there have been credits, too few for a receive.
    credit_since: Option<Time>,
    next_id: u64,
    effects: Vec<Effect>,
}

/// One queue's part.
#[derive(Debug)]
struct Queue {
    /// Messages and groups that a handler could begin with, in order.
    ready: VecDeque<Ready>,
    receiving: Receiving,
    outgoing: Outgoing,
}

/// A call of the handler that is under way.
#[derive(Debug)]
struct Job {
    tickets: Vec<Ticket>,
    group: Option<GroupKey>,
}

/// A receive that is under way.
#[derive(Debug)]
struct Receive {
    queue: QueueId,
    asked: usize,
}

/// Where the worker is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Running,
    Paused,
    /// Handlers may finish until the deadline; receives are given up after their grace.
    Draining {
        grace: Option<Time>,
        deadline: Time,
    },
    /// Handlers have been dropped; what is left is settled until the deadline.
    Stopping {
        deadline: Time,
    },
    Finished,
}

impl Core {
    /// A worker that has done nothing yet.
    pub(crate) fn new(settings: Settings) -> Core {
        let queues = settings.queues.iter().map(|_| Queue {
            ready: VecDeque::new(),
            receiving: Receiving::default(),
            outgoing: Outgoing::default(),
        });
        Core {
            queues: queues.collect(),
            settings,
            life: Life::Running,
            held: HashMap::new(),
            timers: BTreeSet::new(),
            groups: HashMap::new(),
            jobs: BTreeMap::new(),
            receives: BTreeMap::new(),
            waiting: 0,
            asked: 0,
            settling: 0,
            credit_since: None,
            next_id: 0,
            effects: Vec::new(),
        }
    }

    /// Takes one event. `now` never goes back.
    pub(crate) fn apply(&mut self, now: Time, event: Event) -> Vec<Effect> {
        if self.life == Life::Finished {
            return Vec::new();
        }
        // What ran out before the event counts before it: an answer that comes too late is too late.
        self.wake(now);
        match event {
            Event::Received { receive, messages } => self.received(now, receive, messages),
            Event::ReceiveFailed { receive } => self.receive_failed(now, receive),
            Event::Handled { job, decisions } => self.handled(now, job, decisions),
            Event::Settled { results } => self.settled(now, results),
            Event::Extended { results } => self.extended(now, results),
            Event::Pause => self.pause(now),
            Event::Resume => self.resume(),
            Event::Stop => self.stop(now),
            Event::StopNow => self.stop_now(now),
            Event::Tick => {}
        }
        self.keep_deadlines(now);
        self.start_jobs(now);
        self.flush(now);
        self.ask(now);
        self.finish_if_empty();
        std::mem::take(&mut self.effects)
    }

    /// When the next [`Event::Tick`] has something to do.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let life = match self.life {
            Life::Draining { grace, deadline } => Some(grace.unwrap_or(deadline).min(deadline)),
            Life::Stopping { deadline } => Some(deadline),
            Life::Running | Life::Paused | Life::Finished => None,
        };
        let own = [timer, life, self.next_ask(), self.next_start(), self.next_flush()];
        own.into_iter().flatten().min()
    }

    /// Whether [`Effect::Finished`] was said.
    pub(crate) fn is_finished(&self) -> bool {
        self.life == Life::Finished
    }

    /// Messages in its hands.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.held.len()
    }

    /// How much of the capacity is taken or promised.
    fn used(&self) -> usize {
        self.jobs.len() * self.settings.batch + self.waiting + self.asked
    }

    fn pause(&mut self, now: Time) {
        if self.life == Life::Running {
            self.life = Life::Paused;
            self.hand_back_all(now);
        }
    }

    fn resume(&mut self) {
        if self.life == Life::Paused {
            self.life = Life::Running;
        }
    }

    fn stop(&mut self, now: Time) {
        if matches!(self.life, Life::Running | Life::Paused) {
            let deadline = now + self.settings.drain;
            self.life = Life::Draining { grace: Some(now + RECEIVE_GRACE), deadline };
            self.hand_back_all(now);
        }
    }

    fn stop_now(&mut self, now: Time) {
        if matches!(self.life, Life::Stopping { .. }) {
            return;
        }
        self.life = Life::Stopping { deadline: now + self.settings.stop };
        self.hand_back_all(now);
        self.abandon_receives();
        let jobs = self.jobs.keys();
        self.effects.extend(jobs.map(|job| Effect::Abort { job: *job }));
    }

    fn keep_deadlines(&mut self, now: Time) {
        match self.life {
            Life::Draining { deadline, .. } if deadline <= now => self.stop_now(now),
            Life::Draining { grace: Some(grace), deadline } if grace <= now => {
                self.life = Life::Draining { grace: None, deadline };
                self.abandon_receives();
            }
            Life::Stopping { deadline } if deadline <= now => {
                let mut left: Vec<Ticket> = self.held.keys().copied().collect();
                left.sort_unstable();
                for ticket in left {
                    self.end(ticket, Ending::Abandoned);
                }
                self.jobs.clear();
                self.receives.clear();
            }
            _ => {}
        }
    }

    fn finish_if_empty(&mut self) {
        let stops = matches!(self.life, Life::Draining { .. } | Life::Stopping { .. });
        if stops && self.held.is_empty() && self.jobs.is_empty() && self.receives.is_empty() {
            self.life = Life::Finished;
            self.effects.push(Effect::Finished);
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn group_key(&self, ticket: Ticket) -> Option<GroupKey> {
        let held = self.held.get(&ticket)?;
        let group: &Arc<str> = held.group.as_ref()?;
        Some((held.queue, group.clone()))
    }
}
