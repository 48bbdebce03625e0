//! What becomes of messages after their handlers: deletions and releases in batches, dead letters, and
//! another try where an answer is missing.

use std::{collections::VecDeque, time::Duration};

use super::{
    Answer, BATCH_MAX, Core, Decision, Effect, Ending, HOLD_MAX, JobId, Life, Ticket, Time,
    holding::Phase, receiving::pause,
};

/// What is to be done with a message, and how far that is.
#[derive(Debug)]
pub(super) struct Settling {
    pub(super) action: Action,
    /// Whether the server is being asked.
    pub(super) under_way: bool,
    /// When to ask again.
    pub(super) retry: Option<Time>,
    failures: u32,
}

/// What the server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Delete,
    /// Available after this time.
    Release(Duration),
    DeadLetter {
        fallback: Duration,
    },
}

/// What waits to be sent, of one queue. An entry whose message has left meanwhile is passed over.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    deletions: Lingering,
    releases: Lingering,
    /// A FIFO queue has one release under way at a time, so that their order is kept.
    releasing: bool,
    pub(super) extensions: Vec<(Ticket, u32)>,
}

/// Entries that wait for others, and since when the first one does.
#[derive(Debug, Default)]
struct Lingering {
    tickets: VecDeque<Ticket>,
    since: Time,
}

impl Lingering {
    fn push(&mut self, now: Time, ticket: Ticket) {
        if self.tickets.is_empty() {
            self.since = now;
        }
        self.tickets.push_back(ticket);
    }

    fn due(&self, linger: Duration) -> Option<Time> {
        (!self.tickets.is_empty()).then_some(self.since + linger)
    }

    /// Up to ten entries, when there are ten or the first has waited long enough.
    fn take(&mut self, now: Time, linger: Duration) -> Option<Vec<Ticket>> {
        let is_due = self.due(linger).is_some_and(|at| at <= now);
        if !is_due && self.tickets.len() < BATCH_MAX {
            return None;
        }
        Some(self.tickets.drain(..self.tickets.len().min(BATCH_MAX)).collect())
    }
}

impl Core {
    pub(super) fn handled(&mut self, now: Time, job: JobId, decisions: Vec<Decision>) {
        let Some(job) = self.jobs.remove(&job) else { return };
        let mut in_order = true;
        let mut back = Vec::new();
        for (ticket, decision) in job.tickets.into_iter().zip(decisions) {
            // Lost meanwhile: the result is dropped.
            if !self.held.contains_key(&ticket) {
                in_order = false;
                continue;
            }
            match decision {
                Decision::Delete => self.settle(now, ticket, Action::Delete),
                Decision::DeadLetter { fallback } => {
                    if let Some(key) = self.group_key(ticket) {
                        self.hold_group(key, now);
                    }
                    self.settle(now, ticket, Action::DeadLetter { fallback });
                }
                Decision::Release(after) => {
                    in_order = false;
                    back.push((ticket, after));
                }
                Decision::Ignore => {
                    in_order = false;
                    self.end(ticket, Ending::Ignored);
                }
            }
        }
        if let Some(key) = job.group {
            if !in_order {
                self.hand_back_rest(key.clone(), now);
            }
            self.free_group(key, now);
        }
        for (ticket, after) in back.into_iter().rev() {
            self.settle(now, ticket, Action::Release(after));
        }
    }

    /// Makes messages available at once, from the last to the first: while the first is in flight
    /// nobody gets those of its group behind it.
    pub(super) fn hand_back(&mut self, now: Time, tickets: Vec<Ticket>) {
        for ticket in tickets.into_iter().rev() {
            self.settle(now, ticket, Action::Release(Duration::ZERO));
        }
    }

    pub(super) fn settled(&mut self, now: Time, results: Vec<(Ticket, Answer)>) {
        for (ticket, answer) in results {
            let key = self.group_key(ticket);
            let Some(held) = self.held.get_mut(&ticket) else { continue };
            let queue = held.queue;
            let ours_until = held.ours_until;
            let Phase::Settling(settling) = &mut held.phase else { continue };
            settling.under_way = false;
            let action = settling.action;
            if let Action::Release(_) = action {
                self.queues[queue].outgoing.releasing = false;
            }
            match (action, answer) {
                (Action::Delete, Answer::Done) => self.end(ticket, Ending::Deleted),
                (Action::Release(_), Answer::Done) => self.end(ticket, Ending::Released),
                (Action::DeadLetter { .. }, Answer::Done) => {
                    self.end(ticket, Ending::DeadLettered);
                    if let Some(key) = key {
                        self.let_group_go(key, now);
                    }
                }
                (Action::DeadLetter { fallback }, Answer::Refused) => {
                    settling.action = Action::Release(fallback);
                    held.beat = None;
                    if let Some(key) = key {
                        self.hand_back_rest(key.clone(), now);
                        self.let_group_go(key, now);
                    }
                    self.enqueue(now, ticket);
                }
                (_, Answer::Failed) if ours_until > now => {
                    settling.retry = Some(now + pause(settling.failures));
                    settling.failures += 1;
                }
                (Action::Release(_), Answer::Failed) => self.lose(ticket, now, Ending::Released),
                (_, Answer::Lost | Answer::Refused | Answer::Failed) => {
                    self.lose(ticket, now, Ending::Lost);
                }
            }
            self.arm(ticket);
        }
    }

    /// Asks again where it is time to.
    pub(super) fn retry(&mut self, now: Time, ticket: Ticket) {
        let Some(held) = self.held.get_mut(&ticket) else { return };
        let Phase::Settling(settling) = &mut held.phase else { return };
        if settling.retry.is_some_and(|at| at <= now) {
            settling.retry = None;
            self.enqueue(now, ticket);
        }
    }

    /// Puts a message where its action is taken from.
    pub(super) fn enqueue(&mut self, now: Time, ticket: Ticket) {
        let Some(held) = self.held.get_mut(&ticket) else { return };
        let Phase::Settling(settling) = &mut held.phase else { return };
        let queue = held.queue;
        let outgoing = &mut self.queues[queue].outgoing;
        match settling.action {
            Action::Delete => outgoing.deletions.push(now, ticket),
            // Its extension is under way, and would undo it: `extended` comes back to it.
            Action::Release(_) if held.extending.is_some() => {}
            Action::Release(_) => outgoing.releases.push(now, ticket),
            Action::DeadLetter { .. } => {
                settling.under_way = true;
                self.effects.push(Effect::DeadLetter { queue, ticket });
            }
        }
    }

    /// Sends what is full or has waited long enough.
    pub(super) fn flush(&mut self, now: Time) {
        let linger = self.linger();
        for queue in 0..self.queues.len() {
            while let Some(tickets) = self.queues[queue].outgoing.deletions.take(now, linger) {
                let tickets: Vec<Ticket> =
                    tickets.into_iter().filter(|ticket| self.send(*ticket).is_some()).collect();
                if !tickets.is_empty() {
                    self.effects.push(Effect::Delete { queue, tickets });
                }
            }
            while let Some(entries) = self.take_releases(now, queue) {
                self.effects.push(Effect::Release { queue, entries });
            }
            let extensions = std::mem::take(&mut self.queues[queue].outgoing.extensions);
            for entries in extensions.chunks(BATCH_MAX) {
                self.effects.push(Effect::Extend { queue, entries: entries.to_vec() });
            }
        }
    }

    pub(super) fn next_flush(&self) -> Option<Time> {
        let linger = self.linger();
        let outgoing = self.queues.iter().map(|queue| &queue.outgoing);
        let due = outgoing.flat_map(|outgoing| {
            let releases = (!outgoing.releasing).then(|| outgoing.releases.due(linger)).flatten();
            [outgoing.deletions.due(linger), releases]
        });
        due.flatten().min()
    }

    fn take_releases(&mut self, now: Time, queue: usize) -> Option<Vec<(Ticket, u32)>> {
        let is_fifo = self.settings.queues[queue].fifo;
        loop {
            if self.queues[queue].outgoing.releasing {
                return None;
            }
            let linger = if is_fifo { Duration::ZERO } else { self.linger() };
            let tickets = self.queues[queue].outgoing.releases.take(now, linger)?;
            let mut entries = Vec::with_capacity(tickets.len());
            for ticket in tickets {
                if let Some(Action::Release(after)) = self.send(ticket) {
                    entries.push((ticket, self.release_seconds(now, ticket, after)));
                }
            }
            if !entries.is_empty() {
                self.queues[queue].outgoing.releasing = is_fifo;
                return Some(entries);
            }
        }
    }

    /// A message is decided on.
    fn settle(&mut self, now: Time, ticket: Ticket, action: Action) {
        let Some(held) = self.held.get_mut(&ticket) else { return };
        let settling = Settling { action, under_way: false, retry: None, failures: 0 };
        held.phase = Phase::Settling(settling);
        if let Action::Release(_) = action {
            held.beat = None;
        }
        self.settling += 1;
        self.enqueue(now, ticket);
        self.arm(ticket);
    }

    /// Marks a message as being asked for, and says with what. None when it has left.
    fn send(&mut self, ticket: Ticket) -> Option<Action> {
        let held = self.held.get_mut(&ticket)?;
        let Phase::Settling(settling) = &mut held.phase else { return None };
        settling.under_way = true;
        let action = settling.action;
        self.arm(ticket);
        Some(action)
    }

    /// Whole seconds, rounded up, and never beyond what SQS allows from the receive on.
    fn release_seconds(&self, now: Time, ticket: Ticket, after: Duration) -> u32 {
        let received = self.held.get(&ticket).map_or(now, |held| held.received);
        let most = (received + HOLD_MAX).saturating_sub(now);
        let after = after.min(most);
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        u32::try_from(seconds.min(most.as_secs())).unwrap_or(u32::MAX)
    }

    /// Nobody waits for more when the worker is about to end.
    fn linger(&self) -> Duration {
        match self.life {
            Life::Running | Life::Paused => self.settings.linger,
            Life::Draining { .. } | Life::Stopping { .. } | Life::Finished => Duration::ZERO,
        }
    }
}
