//! Which messages go out together, and when: a pure state machine. It knows no client, no task and no
//! clock; what happened and what time it is are told to it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// When a batch is ready to go, and how many may be under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Messages of one batch.
    pub(super) batch_messages: usize,
    /// Bytes of one batch, counted as [`Outgoing::size`](super::Outgoing::size) counts. A message
    /// that is larger goes alone.
    pub(super) batch_bytes: usize,
    /// How long the first message of a batch waits for others.
    pub(super) linger: Duration,
    /// Batches under way at the same time.
    pub(super) batches_in_flight: usize,
}

/// The message group that a message keeps its place in; empty for one that keeps none. No group of a
/// queue has an empty name.
pub(super) type Lane = Arc<str>;

/// What waits, and which groups are blocked.
#[derive(Debug)]
pub(super) struct Batcher<T> {
    limits: Limits,
    lanes: HashMap<Lane, Waiting<T>>,
    /// The lanes that may be taken from, by the number of their first message: that of the oldest
    /// message comes first, so none is passed over for ever.
    ready: BTreeMap<u64, Ready>,
    ready_messages: usize,
    ready_bytes: usize,
    batches_in_flight: usize,
    /// The number of the next message.
    next: u64,
    in_a_hurry: bool,
}

/// What waits of one lane.
#[derive(Debug)]
struct Waiting<T> {
    messages: VecDeque<Numbered<T>>,
    bytes: usize,
    /// Messages of batches whose fate is not known. Only a lane with a group has any.
    unsettled: usize,
}

#[derive(Debug)]
struct Numbered<T> {
    number: u64,
    bytes: usize,
    since: Instant,
    message: T,
}

#[derive(Debug)]
struct Ready {
    lane: Lane,
    since: Instant,
}

/// One message of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batched<T> {
    /// To be named in [`Batcher::settle`].
    pub(super) lane: Lane,
    /// What was pushed.
    pub(super) message: T,
}

impl<T> Batcher<T> {
    pub(super) fn new(limits: Limits) -> Batcher<T> {
        Batcher {
            limits,
            lanes: HashMap::new(),
            ready: BTreeMap::new(),
            ready_messages: 0,
            ready_bytes: 0,
            batches_in_flight: 0,
            next: 0,
            in_a_hurry: false,
        }
    }

    /// Adds a message, the last one of its lane.
    pub(super) fn push(&mut self, lane: &str, bytes: usize, now: Instant, message: T) {
        let number = self.next;
        self.next += 1;
        let lane = match self.lanes.get_key_value(lane) {
            Some((lane, _)) => lane.clone(),
            None => Lane::from(lane),
        };
        let waiting = self.lanes.entry(lane.clone()).or_default();
        if waiting.unsettled == 0 {
            if waiting.messages.is_empty() {
                self.ready.insert(number, Ready { lane, since: now });
            }
            self.ready_messages += 1;
            self.ready_bytes += bytes;
        }
        waiting.bytes += bytes;
        waiting.messages.push_back(Numbered { number, bytes, since: now, message });
    }

    /// The next batch, in the order in which it must be sent; `None` when it is better to wait. The
    /// groups in it are blocked until each of their messages was [settled](Self::settle).
    pub(super) fn take(&mut self, now: Instant) -> Option<Vec<Batched<T>>> {
        if self.batches_in_flight >= self.limits.batches_in_flight || !self.is_due(now) {
            return None;
        }
        let mut batch = Vec::with_capacity(self.limits.batch_messages.min(self.ready_messages));
        let mut bytes = 0;
        while let Some((number, ready)) = self.ready.pop_first() {
            let taken = self.take_of(&ready.lane, &mut batch, &mut bytes);
            if !taken {
                self.ready.insert(number, ready);
                break;
            }
        }
        self.batches_in_flight += 1;
        Some(batch)
    }

    /// When [`take`](Self::take) will have a batch although nothing happens; `None` when it never
    /// will.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let may_go = self.batches_in_flight < self.limits.batches_in_flight;
        let (_, oldest) = self.ready.first_key_value().filter(|_| may_go)?;
        Some(oldest.since + self.limits.linger)
    }

    /// The fate of one message of a batch is known.
    pub(super) fn settle(&mut self, lane: &Lane) {
        let Some(waiting) = self.lanes.get_mut(lane).filter(|_| !lane.is_empty()) else {
            return;
        };
        waiting.unsettled -= 1;
        if waiting.unsettled > 0 {
            return;
        }
        let Some(first) = waiting.messages.front() else {
            self.lanes.remove(lane);
            return;
        };
        self.ready.insert(first.number, Ready { lane: lane.clone(), since: first.since });
        self.ready_messages += waiting.messages.len();
        self.ready_bytes += waiting.bytes;
    }

    /// All messages of a batch have been settled.
    pub(super) fn finish_batch(&mut self) {
        self.batches_in_flight -= 1;
    }

    /// From now on nothing waits for company.
    pub(super) fn hurry(&mut self) {
        self.in_a_hurry = true;
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.batches_in_flight == 0 && self.ready.is_empty()
    }

    fn is_due(&self, now: Instant) -> bool {
        let Some((_, oldest)) = self.ready.first_key_value() else {
            return false;
        };
        self.in_a_hurry
            || self.ready_messages >= self.limits.batch_messages
            || self.ready_bytes >= self.limits.batch_bytes
            || now >= oldest.since + self.limits.linger
    }

    /// Moves as much of a lane into the batch as there is room for; `false` when there was none.
    ///
    /// A lane is emptied before the next one is begun, rather than each giving one message: so fewer
    /// groups are blocked by a batch, and more batches can be under way.
    fn take_of(&mut self, lane: &Lane, batch: &mut Vec<Batched<T>>, bytes: &mut usize) -> bool {
        let waiting = self.lanes.get_mut(lane).expect("a lane that is ready has messages");
        let ordered = !lane.is_empty();
        let before = (waiting.messages.len(), waiting.bytes);
        while let Some(first) = waiting.messages.front() {
            let fits = *bytes + first.bytes <= self.limits.batch_bytes || batch.is_empty();
            if !fits || batch.len() == self.limits.batch_messages {
                break;
            }
            let first = waiting.messages.pop_front().expect("it was just looked at");
            *bytes += first.bytes;
            waiting.bytes -= first.bytes;
            batch.push(Batched { lane: lane.clone(), message: first.message });
        }
        let taken = before.0 - waiting.messages.len();
        if taken == 0 {
            return false;
        }
        if ordered {
            // The rest is not ready any more either.
            waiting.unsettled = taken;
            self.ready_messages -= before.0;
            self.ready_bytes -= before.1;
            return true;
        }
        self.ready_messages -= taken;
        self.ready_bytes -= before.1 - waiting.bytes;
        match waiting.messages.front() {
            Some(first) => {
                let ready = Ready { lane: lane.clone(), since: first.since };
                self.ready.insert(first.number, ready);
            }
            None => drop(self.lanes.remove(lane)),
        }
        true
    }
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting { messages: VecDeque::new(), bytes: 0, unsettled: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINGER: Duration = Duration::from_millis(5);

    /// A batcher whose time is what the test says.
    struct Bench {
        batcher: Batcher<&'static str>,
        start: Instant,
        now: Instant,
    }

    impl Bench {
        fn new() -> Bench {
            let now = Instant::now();
            let limits = Limits {
                batch_messages: 3,
                batch_bytes: 100,
                linger: LINGER,
                batches_in_flight: 2,
            };
            Bench { batcher: Batcher::new(limits), start: now, now }
        }

        /// Pushes messages of one byte: `g:a` is `a` of group `g`, `a` is of none.
        fn push(&mut self, messages: &[&'static str]) {
            for message in messages {
                self.push_sized(message, 1);
            }
        }

        fn push_sized(&mut self, message: &'static str, bytes: usize) {
            let (lane, _) = message.split_once(':').unwrap_or_default();
            self.batcher.push(lane, bytes, self.now, message);
        }

        fn at_ms(&mut self, ms: u64) {
            self.now = self.start + Duration::from_millis(ms);
        }

        fn take(&mut self) -> Option<Vec<&'static str>> {
            let batch = self.batcher.take(self.now)?;
            Some(batch.into_iter().map(|batched| batched.message).collect())
        }

        fn finish(&mut self, lanes: &[&str]) {
            for lane in lanes {
                self.batcher.settle(&Lane::from(*lane));
            }
            self.batcher.finish_batch();
        }

        fn deadline_ms(&self) -> Option<u128> {
            self.batcher.deadline().map(|at| (at - self.start).as_millis())
        }
    }

    #[test]
    fn a_batch_goes_when_it_is_full_and_not_before() {
        let mut bench = Bench::new();
        bench.push(&["a", "b"]);
        assert_eq!(bench.take(), None);
        bench.push(&["c", "d"]);
        assert_eq!(bench.take(), Some(vec!["a", "b", "c"]));
        assert_eq!(bench.take(), None);
    }

    #[test]
    fn a_batch_goes_when_its_first_message_has_waited_long_enough() {
        let mut bench = Bench::new();
        assert_eq!(bench.deadline_ms(), None);
        bench.push(&["a"]);
        bench.at_ms(3);
        bench.push(&["b"]);
        assert_eq!(bench.deadline_ms(), Some(5));
        bench.at_ms(4);
        assert_eq!(bench.take(), None);
        bench.at_ms(5);
        assert_eq!(bench.take(), Some(vec!["a", "b"]));
        assert_eq!(bench.deadline_ms(), None);
    }

    #[test]
    fn a_batch_is_full_by_bytes_as_well() {
        let mut bench = Bench::new();
        bench.push_sized("a", 60);
        assert_eq!(bench.take(), None);
        bench.push_sized("b", 41);
        assert_eq!(bench.take(), Some(vec!["a"]));
        bench.push_sized("c", 59);
        assert_eq!(bench.take(), Some(vec!["b", "c"]), "exactly as many as may be");
    }

    #[test]
    fn what_is_larger_than_a_batch_may_be_goes_alone() {
        let mut bench = Bench::new();
        bench.push_sized("a", 1000);
        bench.push(&["b"]);
        assert_eq!(bench.take(), Some(vec!["a"]));
        assert_eq!(bench.take(), None);
    }

    #[test]
    fn no_more_batches_are_under_way_than_may_be() {
        let mut bench = Bench::new();
        bench.push(&["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        assert_eq!(bench.take(), Some(vec!["1", "2", "3"]));
        assert_eq!(bench.take(), Some(vec!["4", "5", "6"]));
        assert_eq!(bench.take(), None);
        assert_eq!(bench.deadline_ms(), None, "time alone changes nothing");
        bench.finish(&[]);
        assert_eq!(bench.take(), Some(vec!["7", "8", "9"]));
    }

    #[test]
    fn a_group_under_way_blocks_its_later_messages_and_no_others() {
        let mut bench = Bench::new();
        bench.push(&["g:1", "g:2", "g:3", "g:4", "h:1"]);
        assert_eq!(bench.take(), Some(vec!["g:1", "g:2", "g:3"]));
        bench.at_ms(5);
        assert_eq!(bench.take(), Some(vec!["h:1"]));
        bench.push(&["g:5"]);
        bench.finish(&["h"]);
        bench.at_ms(50);
        assert_eq!(bench.take(), None);
        bench.batcher.settle(&Lane::from("g"));
        bench.batcher.settle(&Lane::from("g"));
        assert_eq!(bench.take(), None, "one of three is not settled");
        bench.finish(&["g"]);
        assert_eq!(bench.take(), Some(vec!["g:4", "g:5"]));
    }

    #[test]
    fn blocked_messages_do_not_count_towards_fullness() {
        let mut bench = Bench::new();
        bench.push(&["g:1", "g:2", "g:3", "g:4", "g:5"]);
        bench.take();
        bench.push(&["h:1"]);
        assert_eq!(bench.take(), None);
        bench.push(&["h:2", "i:1"]);
        assert_eq!(bench.take(), Some(vec!["h:1", "h:2", "i:1"]));
    }

    #[test]
    fn the_group_with_the_oldest_message_goes_first() {
        let mut bench = Bench::new();
        bench.push(&["g:1", "h:1", "g:2", "h:2"]);
        assert_eq!(bench.take(), Some(vec!["g:1", "g:2", "h:1"]));
        bench.push(&["g:3", "i:1", "j:1"]);
        bench.finish(&["g", "g", "h"]);
        assert_eq!(bench.take(), Some(vec!["h:2", "g:3", "i:1"]));
    }

    #[test]
    fn a_released_group_has_waited_since_its_message_came() {
        let mut bench = Bench::new();
        bench.push(&["g:1"]);
        bench.at_ms(5);
        bench.take();
        bench.push(&["g:2"]);
        bench.at_ms(20);
        bench.finish(&["g"]);
        assert_eq!(bench.deadline_ms(), Some(10));
        assert_eq!(bench.take(), Some(vec!["g:2"]));
    }

    #[test]
    fn in_a_hurry_nothing_waits_for_company() {
        let mut bench = Bench::new();
        bench.push(&["a", "g:1"]);
        bench.batcher.hurry();
        assert_eq!(bench.take(), Some(vec!["a", "g:1"]));
        assert!(!bench.batcher.is_idle());
        bench.finish(&["", "g"]);
        assert!(bench.batcher.is_idle());
    }

    #[test]
    fn nothing_is_kept_of_a_group_that_is_through() {
        let mut bench = Bench::new();
        bench.push(&["g:1", "h:1", "a"]);
        bench.take();
        bench.finish(&["g", "h", ""]);
        assert!(bench.batcher.lanes.is_empty() && bench.batcher.ready.is_empty());
        assert_eq!((bench.batcher.ready_messages, bench.batcher.ready_bytes), (0, 0));
    }

    /// Whatever is pushed and however it is answered: everything goes out once, in order of its group,
    /// no batch is too large, and no group is in two batches.
    #[test]
    fn random_histories_keep_the_rules() {
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let start = Instant::now();
            let limits = Limits {
                batch_messages: 10,
                batch_bytes: 100,
                linger: LINGER,
                batches_in_flight: 3,
            };
            let mut batcher = Batcher::new(limits);
            let mut now = start;
            let (mut pushed, mut under_way, mut out) = (0_u32, Vec::new(), Vec::new());
            while out.len() < 300 {
                now += Duration::from_millis(random.u64(0..3));
                if pushed < 300 {
                    let lane = ["", "g", "h", "i"][random.usize(0..4)];
                    let bytes = random.usize(1..40);
                    batcher.push(lane, bytes, now, (Lane::from(lane), bytes, pushed));
                    pushed += 1;
                } else {
                    batcher.hurry();
                }
                while let Some(batch) = batcher.take(now) {
                    let size: usize = batch.iter().map(|batched| batched.message.1).sum();
                    assert!(!batch.is_empty() && batch.len() <= 10 && size <= 100, "seed {seed}");
                    for Batched { lane, .. } in batch.iter().filter(|one| !one.lane.is_empty()) {
                        let elsewhere = under_way
                            .iter()
                            .flatten()
                            .any(|other: &Batched<(Lane, usize, u32)>| other.lane == *lane);
                        assert!(!elsewhere, "seed {seed}: {lane} twice");
                    }
                    out.extend(batch.iter().map(|batched| batched.message.clone()));
                    under_way.push(batch);
                }
                if !under_way.is_empty() && random.bool() {
                    let batch = under_way.swap_remove(random.usize(0..under_way.len()));
                    for batched in &batch {
                        batcher.settle(&batched.lane);
                    }
                    batcher.finish_batch();
                }
            }
            for lane in ["", "g", "h", "i"] {
                let of_lane = out.iter().filter(|(of, ..)| **of == *lane);
                assert!(of_lane.is_sorted_by_key(|(_, _, number)| *number), "seed {seed}: {lane}");
            }
            assert_eq!(out.len(), 300, "seed {seed}");
        }
    }
}
