//! Which queue is asked for how many messages. A receive takes credits: places that are free for what
//! it may bring.
//!
//! With one queue every receive is a long poll. With several, a queue that was found empty has one
//! long poll for one message, so that it holds one credit and not all; one that has messages is asked
//! without waiting, until it is found empty.

use std::{cmp::Reverse, time::Duration};

use super::{
    Arrival, BATCH_MAX, Core, Effect, Life, QueueId, Receive, ReceiveId, Time,
    settings::{CREDIT_LINGER, PAUSE_MAX, RECEIVES_MAX, SETTLING_MAX},
};

/// What is known of a queue from its receives.
#[derive(Debug)]
pub(super) struct Receiving {
    /// Receives under way.
    under_way: usize,
    /// How many there may be: more while they come back full, one when they come back empty.
    parallel: usize,
    /// Whether the last one found nothing.
    idle: bool,
    /// How much it has been asked for, divided by its weight. The least goes next.
    share: u64,
    /// Receives that failed in a row, and until when none is tried.
    failures: u32,
    pause: Option<Time>,
}

/// A share is counted in parts, so that a weight divides it evenly enough.
const SHARE: u64 = 1 << 20;

impl Default for Receiving {
    fn default() -> Receiving {
        Receiving { under_way: 0, parallel: 1, idle: false, share: 0, failures: 0, pause: None }
    }
}

impl Core {
    pub(super) fn received(&mut self, now: Time, receive: ReceiveId, messages: Vec<Arrival>) {
        let Some(Receive { queue, asked }) = self.close(receive) else { return };
        let got = messages.len();
        let was_idle = self.queues[queue].receiving.idle;
        let unit = SHARE / u64::from(self.settings.queues[queue].weight);
        let state = &mut self.queues[queue].receiving;
        state.failures = 0;
        state.idle = got == 0;
        state.share -= unit * (asked.saturating_sub(got)) as u64;
        state.parallel = match got {
            0 => 1,
            got if got >= asked => (state.parallel * 2).min(RECEIVES_MAX),
            got if got * 2 < asked => state.parallel.saturating_sub(1).max(1),
            _ => state.parallel,
        };
        if was_idle && got > 0 {
            self.catch_up(queue);
        }
        self.take_in(now, queue, messages);
    }

    pub(super) fn receive_failed(&mut self, now: Time, receive: ReceiveId) {
        let Some(Receive { queue, .. }) = self.close(receive) else { return };
        let state = &mut self.queues[queue].receiving;
        state.parallel = 1;
        state.pause = Some(now + pause(state.failures));
        state.failures += 1;
    }

    /// They are answered all the same: an answer that was under way already brings messages.
    pub(super) fn abandon_receives(&mut self) {
        let receives = self.receives.keys();
        self.effects.extend(receives.map(|receive| Effect::Abandon { receive: *receive }));
    }

    /// Sends as many receives as there are credits for.
    pub(super) fn ask(&mut self, now: Time) {
        if self.life != Life::Running {
            self.credit_since = None;
            return;
        }
        for state in self.queues.iter_mut().map(|queue| &mut queue.receiving) {
            state.pause = state.pause.filter(|until| *until > now);
        }
        while let Some((queue, max, wait)) = self.next_receive(now) {
            let receive = ReceiveId(self.id());
            self.asked += max;
            let unit = SHARE / u64::from(self.settings.queues[queue].weight);
            let state = &mut self.queues[queue].receiving;
            state.under_way += 1;
            state.share += unit * max as u64;
            self.receives.insert(receive, Receive { queue, asked: max });
            self.effects.push(Effect::Receive { receive, queue, max, wait });
            self.credit_since = None;
        }
    }

    pub(super) fn next_ask(&self) -> Option<Time> {
        if self.life != Life::Running {
            return None;
        }
        let pauses = self.queues.iter().filter_map(|queue| queue.receiving.pause).min();
        let credit = self.credit_since.map(|since| since + CREDIT_LINGER);
        [pauses, credit].into_iter().flatten().min()
    }

    /// The receive that is due now, if there is one.
    fn next_receive(&mut self, now: Time) -> Option<(QueueId, usize, Duration)> {
        let credits = self.settings.capacity().saturating_sub(self.used());
        if credits == 0 || self.settling >= SETTLING_MAX {
            self.credit_since = None;
            return None;
        }
        let mut candidates = self.candidates();
        let alone = self.queues.len() == 1;
        if !alone {
            let idle = |queue: &&QueueId| self.queues[**queue].receiving.idle;
            let unasked = |queue: &&QueueId| self.queues[**queue].receiving.under_way == 0;
            if let Some(queue) = candidates.iter().filter(idle).find(unasked) {
                return Some((*queue, 1, self.settings.wait));
            }
            candidates.retain(|queue| !idle(&queue));
        }
        let full = self.settings.capacity().min(BATCH_MAX);
        let max = credits.min(BATCH_MAX);
        let ripe = self.credit_since.is_some_and(|since| since + CREDIT_LINGER <= now);
        // Whose turn it is. What is too little for that one is not for the others either, or those
        // with the smaller shares would live on it.
        let turn = candidates.into_iter().find(|queue| {
            let state = &self.queues[*queue].receiving;
            state.under_way < state.parallel
        });
        let Some(queue) = turn else {
            self.credit_since = None;
            return None;
        };
        let is_asked = self.queues[queue].receiving.under_way > 0;
        if max == full || (!is_asked && (ripe || max * 2 >= full)) {
            let wait = if alone { self.settings.wait } else { Duration::ZERO };
            return Some((queue, max, wait));
        }
        self.credit_since = (!is_asked).then(|| self.credit_since.unwrap_or(now));
        None
    }

    /// The queues that may be asked: those of the highest priority, and of the next ones for as long
    /// as all above are empty; within a priority the one that is furthest behind its share first.
    fn candidates(&self) -> Vec<QueueId> {
        let priority = |queue: &QueueId| self.settings.queues[*queue].priority;
        let is_open = |queue: &QueueId| self.queues[*queue].receiving.pause.is_none();
        let open = || (0..self.queues.len()).filter(is_open);
        let busy = open().filter(|queue| !self.queues[*queue].receiving.idle);
        let lowest = busy.map(|queue| priority(&queue)).max().unwrap_or(i32::MIN);
        let mut candidates: Vec<QueueId> =
            open().filter(|queue| priority(queue) >= lowest).collect();
        candidates.sort_by_key(|queue| {
            (Reverse(priority(queue)), self.queues[*queue].receiving.share, *queue)
        });
        candidates
    }

    /// A queue that was empty has no claim to what it did not ask for meanwhile.
    fn catch_up(&mut self, queue: QueueId) {
        let others = (0..self.queues.len()).filter(|other| *other != queue);
        let busy = others.filter(|other| !self.queues[*other].receiving.idle);
        let least = busy.map(|other| self.queues[other].receiving.share).min();
        let state = &mut self.queues[queue].receiving;
        state.share = state.share.max(least.unwrap_or(0));
    }

    fn close(&mut self, receive: ReceiveId) -> Option<Receive> {
        let closed = self.receives.remove(&receive)?;
        self.asked -= closed.asked;
        self.queues[closed.queue].receiving.under_way -= 1;
        Some(closed)
    }
}

/// The pause after so many failures before this one.
pub(super) fn pause(failures: u32) -> Duration {
    Duration::from_millis(200 << failures.min(6)).min(PAUSE_MAX)
}
