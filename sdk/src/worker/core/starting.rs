//! What a handler could begin with, and in which order. Messages of a group go one after the other:
//! a group is busy from the start of a handler until its messages are decided on.

use std::{
    collections::{VecDeque, hash_map::Entry},
    sync::Arc,
};

use super::{Arrival, Core, Effect, Job, JobId, Life, QueueId, Ticket, Time, holding::Phase};

/// A queue, and the name of a group in it.
pub(super) type GroupKey = (QueueId, Arc<str>);

/// Messages of one group that are in the worker's hands.
#[derive(Debug, Default)]
pub(super) struct Group {
    /// Those that no handler has begun with, in order.
    line: VecDeque<Ticket>,
    /// Whether a handler is at work.
    running: bool,
    /// Messages on their way to the dead-letter queue: when one does not arrive there, it comes
    /// before the rest.
    leaving: usize,
    /// Whether it stands in `ready`.
    queued: bool,
}

/// Something a handler could begin with.
#[derive(Debug)]
pub(super) struct Ready {
    since: Time,
    what: What,
}

#[derive(Debug, PartialEq, Eq)]
enum What {
    Message(Ticket),
    Group(Arc<str>),
}

impl Group {
    /// The part of the capacity that it takes. Messages behind one of their own group take none: no
    /// slot could have them.
    fn weight(&self, batch: usize) -> usize {
        if self.running { 0 } else { self.line.len().min(batch) }
    }

    fn may_start(&self) -> bool {
        !self.running && self.leaving == 0 && !self.line.is_empty()
    }
}

impl Core {
    /// Messages came in. When nothing new is begun they go back at once.
    pub(super) fn take_in(&mut self, now: Time, queue: QueueId, messages: Vec<Arrival>) {
        let tickets: Vec<Ticket> = messages.iter().map(|message| message.ticket).collect();
        let is_open = self.life == Life::Running;
        for Arrival { ticket, group } in messages {
            self.hold(now, ticket, queue, group.clone());
            match group {
                _ if !is_open => {}
                Some(group) => self.in_group((queue, group), now, |found| {
                    found.line.push_back(ticket);
                }),
                None => {
                    self.waiting += 1;
                    let what = What::Message(ticket);
                    self.queues[queue].ready.push_back(Ready { since: now, what });
                }
            }
        }
        if !is_open {
            self.hand_back(now, tickets);
        }
    }

    pub(super) fn start_jobs(&mut self, now: Time) {
        while self.jobs.len() < self.settings.slots {
            let Some(queue) = self.next_queue(now) else { return };
            let (group, tickets) = self.take_ready(queue, now);
            let job = JobId(self.id());
            for ticket in &tickets {
                self.begin(*ticket);
            }
            self.effects.push(Effect::Start { job, queue, tickets: tickets.clone() });
            self.jobs.insert(job, Job { tickets, group });
        }
    }

    /// When a batch that is not full has waited long enough.
    pub(super) fn next_start(&self) -> Option<Time> {
        // With no slot free the end of a handler is what is waited for.
        if self.settings.batch == 1 || self.jobs.len() >= self.settings.slots {
            return None;
        }
        let first = self.queues.iter().filter_map(|queue| queue.ready.front());
        first.map(|ready| ready.since + self.settings.batch_linger).min()
    }

    /// A handler of the group is over.
    pub(super) fn free_group(&mut self, key: GroupKey, now: Time) {
        self.in_group(key, now, |group| group.running = false);
    }

    /// A message of the group goes to the dead-letter queue: the rest waits until it is there.
    pub(super) fn hold_group(&mut self, key: GroupKey, now: Time) {
        self.in_group(key, now, |group| group.leaving += 1);
    }

    /// It is there, or will not get there.
    pub(super) fn let_group_go(&mut self, key: GroupKey, now: Time) {
        self.in_group(key, now, |group| group.leaving -= 1);
    }

    /// A message of the group will come again, and before the rest: so the rest goes back as well,
    /// from the last to the first.
    pub(super) fn hand_back_rest(&mut self, key: GroupKey, now: Time) {
        let mut rest = VecDeque::new();
        self.in_group(key, now, |group| rest = std::mem::take(&mut group.line));
        self.hand_back(now, rest.into());
    }

    /// Everything that no handler has begun with goes back.
    pub(super) fn hand_back_all(&mut self, now: Time) {
        let mut all: Vec<Ticket> = self
            .held
            .iter()
            .filter(|(_, held)| held.is_waiting())
            .map(|(ticket, _)| *ticket)
            .collect();
        all.sort_unstable();
        for group in self.groups.values_mut() {
            group.line.clear();
            group.queued = false;
        }
        self.groups.retain(|_, group| group.running || group.leaving > 0);
        for queue in &mut self.queues {
            queue.ready.clear();
        }
        self.waiting = 0;
        self.hand_back(now, all);
    }

    /// A message that no handler has begun with is not ours any more.
    pub(super) fn forget_waiting(&mut self, ticket: Ticket, now: Time) {
        match self.group_key(ticket) {
            Some(key) => self.in_group(key, now, |group| group.line.retain(|one| *one != ticket)),
            None => {
                let Some(held) = self.held.get(&ticket) else { return };
                let ready = &mut self.queues[held.queue].ready;
                let before = ready.len();
                ready.retain(|ready| ready.what != What::Message(ticket));
                self.waiting -= before - ready.len();
            }
        }
    }

    /// The queue that a free slot serves next: the highest priority, then who waits longest.
    fn next_queue(&self, now: Time) -> Option<QueueId> {
        let ready = |id: QueueId| {
            let queue = &self.queues[id].ready;
            let first = queue.front()?;
            let enough = matches!(first.what, What::Group(_))
                || queue.len() >= self.settings.batch
                || self.settings.batch == 1
                || first.since + self.settings.batch_linger <= now;
            enough.then_some((-i64::from(self.settings.queues[id].priority), first.since, id))
        };
        (0..self.queues.len()).filter_map(ready).min().map(|(_, _, id)| id)
    }

    /// Takes the messages of the next job off a queue's `ready`, which is not empty.
    fn take_ready(&mut self, queue: QueueId, now: Time) -> (Option<GroupKey>, Vec<Ticket>) {
        let batch = self.settings.batch;
        let ready = &mut self.queues[queue].ready;
        if let Some(Ready { what: What::Group(_), .. }) = ready.front() {
            let Some(Ready { what: What::Group(group), .. }) = ready.pop_front() else {
                unreachable!("the front was just seen")
            };
            let mut tickets = Vec::new();
            self.in_group((queue, group.clone()), now, |found| {
                tickets = found.line.drain(..found.line.len().min(batch)).collect();
                found.queued = false;
                found.running = true;
            });
            return (Some((queue, group)), tickets);
        }
        // A queue has messages or groups, never both.
        let taken = ready.drain(..ready.len().min(batch));
        let messages = taken.filter_map(|ready| match ready.what {
            What::Message(ticket) => Some(ticket),
            What::Group(_) => None,
        });
        let tickets: Vec<Ticket> = messages.collect();
        self.waiting -= tickets.len();
        (None, tickets)
    }

    /// Changes a group, and keeps everything that follows from its state.
    fn in_group(&mut self, key: GroupKey, now: Time, change: impl FnOnce(&mut Group)) {
        let batch = self.settings.batch;
        let (queue, name) = key.clone();
        let mut entry = match self.groups.entry(key) {
            Entry::Occupied(entry) => entry,
            Entry::Vacant(entry) => entry.insert_entry(Group::default()),
        };
        let group = entry.get_mut();
        let before = group.weight(batch);
        change(group);
        self.waiting = self.waiting + group.weight(batch) - before;
        let ready = &mut self.queues[queue].ready;
        if group.may_start() != group.queued {
            group.queued = !group.queued;
            match group.queued {
                true => ready.push_back(Ready { since: now, what: What::Group(name) }),
                false => ready.retain(|ready| ready.what != What::Group(name.clone())),
            }
        }
        if group.line.is_empty() && !group.running && group.leaving == 0 {
            entry.remove();
        }
    }

    fn begin(&mut self, ticket: Ticket) {
        if let Some(held) = self.held.get_mut(&ticket) {
            held.phase = Phase::Running;
        }
    }
}
