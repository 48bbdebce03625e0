//! Long polls that wait for a message, or for the end of their patience.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::request::{Parcel, Patience, Reply};
use crate::engine::command::Receive;

/// A receive that waits.
pub(super) struct Waiter {
    pub(super) receive: Receive,
    pub(super) patience: Patience,
    pub(super) reply: Reply<Parcel>,
}

/// Its place: arrival order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket(u64);

/// Waiters by queue, first come first served, and by deadline. A client that hangs up stays until
/// it is chosen or its time is over, which is twenty seconds at most.
#[derive(Default)]
pub(super) struct Waiters {
    queues: HashMap<usize, BTreeMap<Ticket, Waiter>>,
    deadlines: BTreeSet<(Duration, Ticket, usize)>,
    next: u64,
}

impl Waiters {
    /// Puts a waiter at the end of its queue's line.
    pub(super) fn park(&mut self, queue: usize, waiter: Waiter) {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.put_back(queue, ticket, waiter);
    }

    /// Puts a waiter back into its old place.
    pub(super) fn put_back(&mut self, queue: usize, ticket: Ticket, waiter: Waiter) {
        self.deadlines.insert((waiter.patience.until, ticket, queue));
        self.queues.entry(queue).or_default().insert(ticket, waiter);
    }

    /// Takes the first waiter of a queue that is still there.
    pub(super) fn take_first(&mut self, queue: usize) -> Option<(Ticket, Waiter)> {
        loop {
            let (ticket, waiter) = self.queues.get_mut(&queue)?.pop_first()?;
            self.deadlines.remove(&(waiter.patience.until, ticket, queue));
            if !waiter.reply.is_closed() {
                return Some((ticket, waiter));
            }
        }
    }

    /// Takes a waiter whose time is over.
    pub(super) fn take_due(&mut self, boot: Duration) -> Option<(usize, Waiter)> {
        let (until, ticket, queue) = *self.deadlines.first()?;
        if until > boot {
            return None;
        }
        self.deadlines.pop_first();
        let line = self.queues.get_mut(&queue)?;
        let waiter = line.remove(&ticket);
        if line.is_empty() {
            self.queues.remove(&queue);
        }
        waiter.map(|waiter| (queue, waiter))
    }

    /// Takes all waiters of a queue, in their order.
    pub(super) fn take_queue(&mut self, queue: usize) -> Vec<Waiter> {
        let line = self.queues.remove(&queue).unwrap_or_default();
        for (ticket, waiter) in &line {
            self.deadlines.remove(&(waiter.patience.until, *ticket, queue));
        }
        line.into_values().collect()
    }

    /// Takes all waiters, by queue.
    pub(super) fn take_all(&mut self) -> Vec<(usize, Waiter)> {
        self.deadlines.clear();
        let mut queues: Vec<_> = std::mem::take(&mut self.queues).into_iter().collect();
        queues.sort_unstable_by_key(|(queue, _)| *queue);
        queues
            .into_iter()
            .flat_map(|(queue, line)| line.into_values().map(move |waiter| (queue, waiter)))
            .collect()
    }

    /// Whether anybody waits for a queue.
    pub(super) fn any(&self, queue: usize) -> bool {
        self.queues.get(&queue).is_some_and(|line| !line.is_empty())
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.deadlines.len()
    }

    /// When the next one's time is over, on the boot clock.
    pub(super) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(until, _, _)| *until)
    }
}
