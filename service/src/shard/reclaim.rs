//! Gives back the space of what is gone: generations that were purged or deleted, deduplication
//! rows past their window, rows of deleted messages, and the room that these still take on the disk.
//! Everything here is bounded per step and comes after the answers; no promise rests on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::core::ShardCore;
use super::hosted::{Churn, Hosted};
use crate::model::fifo::Seq;
use crate::model::queue::{Generation, QueueKind, Slot};
use crate::model::rows::{DedupBucket, Lane};
use crate::model::time::Timestamp;
use crate::store::keys::{
    KeyRange, dead_key, dedup_before_range, deliveries_range, generation_ranges, messages_range,
    timers_range,
};
use crate::store::{Durability, Key, Limit, Op, StoreError};

/// Generations with more rows than one step may remove go by range delete.
const STEP_LIMIT: Limit = Limit { rows: 1_000, bytes: 1024 * 1024 };

/// Generations one step removes.
const STEP_GENERATIONS_MAX: usize = 32;

/// Between two steps.
const STEP_EVERY: Duration = Duration::from_millis(20);

/// Range deletes are dear in thousands (`storage.md`): one batch of them at most so often.
const RANGE_DELETES_EVERY: Duration = Duration::from_secs(60);

/// Generations one such batch deletes.
const RANGE_DELETED_MAX: usize = 32;

/// How often deduplication rows are looked after, while there are any.
const DEDUP_EVERY: Duration = Duration::from_secs(60);

/// Removed messages (of a KiB) whose rows a busy queue leaves where readers come by.
const UNCLEARED_AMID_MAX: u64 = 10_000;

/// The same where no reader ever comes again, for all queues together. There, tables go as a whole,
/// cleared or not. Rare, because a range delete beside new messages makes a table that overlaps all
/// others, and RocksDB merges what it would only have renamed.
const UNCLEARED_MAX: u64 = 2_000_000;

/// The rows of its removed messages go when nothing was done to a queue for so long.
const CLEAR_AFTER: Duration = Duration::from_secs(1);

/// Removed messages (of a KiB) that make a compaction worth its while.
const REMOVED_MIN: u64 = 10_000;

/// Removed messages (of a KiB) after which a busy queue is compacted too.
const REMOVED_BUSY: u64 = 1_000_000;

/// A queue that nothing was done to for so long is idle.
const IDLE_AFTER: Duration = Duration::from_secs(10);

/// Ranges of keys whose space is to be given back, off the shard's thread.
#[derive(Debug, Default)]
pub struct Compaction {
    /// Nothing in them is of use to anybody, as commits before say.
    pub dead: Vec<KeyRange>,
    /// Much in them was removed.
    pub mixed: Vec<KeyRange>,
}

/// What there is to reclaim.
#[derive(Default)]
pub(super) struct Reclaim {
    dead: VecDeque<(Slot, Generation)>,
    /// Dead, and too big for one step.
    large: Vec<(Slot, Generation)>,
    range_deletes_at: Duration,
    /// Slots that may hold deduplication rows.
    dedup: BTreeMap<Slot, Buckets>,
    /// Queues that may have rows of removed messages.
    uncleared: BTreeSet<usize>,
    /// Queues with enough removed messages.
    churned: BTreeSet<usize>,
    compactions: VecDeque<Compaction>,
    due_at: Option<Duration>,
}

/// Which buckets of a slot may hold rows.
#[derive(Clone, Copy)]
struct Buckets {
    /// Everything before it was dropped.
    oldest: DedupBucket,
    newest: DedupBucket,
}

impl Reclaim {
    /// When the next step is due, on the boot clock.
    pub(super) fn due_at(&self) -> Option<Duration> {
        self.due_at
    }

    /// Takes on a generation nobody reads any more.
    pub(super) fn bury(&mut self, slot: Slot, generation: Generation, boot: Duration) {
        self.dead.push_back((slot, generation));
        self.wake_at(boot + STEP_EVERY);
    }

    /// Takes on a slot that may hold deduplication rows.
    pub(super) fn expect_dedup(&mut self, slot: Slot, now: Timestamp, boot: Duration) {
        let newest = DedupBucket::of(now);
        let new = Buckets { oldest: DedupBucket(0), newest };
        self.dedup.entry(slot).or_insert(new).newest = newest;
        self.wake_at(boot + DEDUP_EVERY);
    }

    /// Takes note of what a turn did to a queue.
    pub(super) fn note(&mut self, index: usize, hosted: &Hosted, now: Timestamp) {
        if hosted.rows.writes_dedup() {
            self.expect_dedup(hosted.info.slot, now, hosted.touched_at);
        }
        if hosted.uncleared.messages > 0 {
            self.expect_remains(index, hosted.touched_at);
        }
        if hosted.uncompacted.size() >= REMOVED_MIN && self.churned.insert(index) {
            self.wake_at(hosted.touched_at + IDLE_AFTER);
        }
    }

    /// Whether a queue has left enough rows of removed messages where they are.
    pub(super) fn has_to_clear(&self, hosted: &Hosted) -> bool {
        let size = hosted.uncleared.size();
        let share = UNCLEARED_MAX / self.uncleared.len().max(1) as u64;
        let amid = || hosted.queue.remains_amid() >= UNCLEARED_AMID_MAX;
        size >= UNCLEARED_AMID_MAX && (size >= share || amid())
    }

    /// Takes on a queue that may have rows of removed messages.
    pub(super) fn expect_remains(&mut self, index: usize, boot: Duration) {
        if self.uncleared.insert(index) {
            self.wake_at(boot + CLEAR_AFTER);
        }
    }

    /// A queue is gone.
    pub(super) fn forget(&mut self, index: usize) {
        self.uncleared.remove(&index);
        self.churned.remove(&index);
    }

    fn wake_at(&mut self, at: Duration) {
        self.due_at = Some(self.due_at.map_or(at, |old| old.min(at)));
    }
}

impl ShardCore {
    /// The next ranges whose space is to be given back to the disk.
    pub fn take_compaction(&mut self) -> Option<Compaction> {
        self.reclaim.compactions.pop_front()
    }

    /// Nobody had time for it: offer it again later.
    pub fn compact_later(&mut self, compaction: Compaction) {
        self.reclaim.compactions.push_front(compaction);
        self.reclaim.wake_at(self.options.time.boot() + STEP_EVERY * 50);
    }

    /// One step, when it is due.
    pub(super) fn tidy(&mut self) -> Result<(), StoreError> {
        let boot = self.options.time.boot();
        if self.reclaim.due_at.is_none_or(|at| boot < at) {
            return Ok(());
        }
        self.reclaim.due_at = None;
        let more = self.clear_idle_queues(boot)?;
        if more {
            self.reclaim.wake_at(boot + STEP_EVERY);
        }
        match self.tidy_rows(boot) {
            Err(StoreError::Unavailable(_)) => {}
            result => result?,
        }
        self.look_for_idle_queues(boot);
        if !self.reclaim.dead.is_empty() {
            self.reclaim.wake_at(boot + STEP_EVERY);
        }
        if !self.reclaim.large.is_empty() {
            self.reclaim.wake_at(self.reclaim.range_deletes_at.max(boot + STEP_EVERY));
        }
        if !self.reclaim.dedup.is_empty() {
            self.reclaim.wake_at(boot + DEDUP_EVERY);
        }
        if !self.reclaim.uncleared.is_empty() {
            self.reclaim.wake_at(boot + CLEAR_AFTER);
        }
        if !self.reclaim.churned.is_empty() {
            self.reclaim.wake_at(boot + IDLE_AFTER);
        }
        Ok(())
    }

    /// Removes the rows of removed messages where nobody is at work. `true` when there are more.
    fn clear_idle_queues(&mut self, boot: Duration) -> Result<bool, StoreError> {
        let (now, mut ops) = (self.now(), Vec::new());
        let mut more = false;
        for index in self.reclaim.uncleared.clone() {
            let Some(hosted) = &mut self.queues[index] else { continue };
            if boot < hosted.touched_at + CLEAR_AFTER {
                continue;
            }
            if ops.len() >= STEP_LIMIT.rows {
                more = true;
                break;
            }
            match hosted.clear() {
                true => drop(self.reclaim.uncleared.remove(&index)),
                false => more = true,
            }
            self.finish_queue(index, now, &mut ops);
        }
        self.commit_ops(ops, Durability::Buffered, now)?;
        Ok(more)
    }

    fn tidy_rows(&mut self, boot: Duration) -> Result<(), StoreError> {
        let mut ops = Vec::new();
        // Small ones several at a time: tests make and delete queues by the hundred.
        for _ in 0..STEP_GENERATIONS_MAX {
            let Some(&(slot, generation)) = self.reclaim.dead.front() else { break };
            let before = ops.len();
            let all = self.rows_of(slot, generation, &mut ops)?;
            if !all && before > 0 {
                // There may be room for it in the next step.
                ops.truncate(before);
                break;
            }
            self.reclaim.dead.pop_front();
            if all {
                ops.push(Op::Delete(dead_key(slot, generation)));
            } else {
                ops.clear();
                self.reclaim.large.push((slot, generation));
            }
        }
        if !self.reclaim.large.is_empty() && self.reclaim.range_deletes_at <= boot {
            self.reclaim.range_deletes_at = boot + RANGE_DELETES_EVERY;
            let count = self.reclaim.large.len().min(RANGE_DELETED_MAX);
            for (slot, generation) in self.reclaim.large.drain(..count) {
                let ranges = generation_ranges(slot, generation);
                let delete =
                    |range: &KeyRange| Op::DeleteRange(range.from.clone(), range.to.clone());
                ops.extend(ranges.iter().map(delete));
                ops.push(Op::Delete(dead_key(slot, generation)));
                self.reclaim.compactions.push_back(Compaction { dead: ranges, mixed: Vec::new() });
            }
        }
        let now = self.now();
        self.drop_dedup(now, &mut ops);
        self.commit_ops(ops, Durability::Buffered, now)?;
        Ok(())
    }

    /// Collects removals of a generation's rows; `false` when they are too many for one step.
    fn rows_of(
        &self,
        slot: Slot,
        generation: Generation,
        ops: &mut Vec<Op>,
    ) -> Result<bool, StoreError> {
        for range in generation_ranges(slot, generation) {
            let rows = STEP_LIMIT.rows.saturating_sub(ops.len()).max(1);
            let limit = Limit { rows, ..STEP_LIMIT };
            let page = self.options.store.scan(&range.from, &range.to, limit)?;
            if page.next.is_some() {
                return Ok(false);
            }
            let space = range.from.space;
            ops.extend(page.rows.into_iter().map(|(bytes, _)| Op::Delete(Key { space, bytes })));
        }
        Ok(true)
    }

    /// Drops the buckets nothing can be found in any more: all but the present one and the last.
    fn drop_dedup(&mut self, now: Timestamp, ops: &mut Vec<Op>) {
        let present = DedupBucket::of(now);
        let oldest = DedupBucket(present.0.saturating_sub(1));
        self.reclaim.dedup.retain(|slot, buckets| {
            if buckets.oldest < oldest {
                let range = dedup_before_range(*slot, oldest);
                ops.push(Op::DeleteRange(range.from, range.to));
                buckets.oldest = oldest;
            }
            oldest <= buckets.newest
        });
    }

    fn look_for_idle_queues(&mut self, boot: Duration) {
        let queues = &mut self.queues;
        let compactions = &mut self.reclaim.compactions;
        self.reclaim.churned.retain(|index| {
            let Some(hosted) = &mut queues[*index] else { return false };
            let idle = hosted.touched_at + IDLE_AFTER <= boot;
            if !idle && hosted.uncompacted.size() < REMOVED_BUSY {
                return true;
            }
            compactions.push_back(removed_rows(hosted, idle));
            hosted.uncompacted = Churn::default();
            false
        });
    }
}

/// Where a queue's removed rows lie: below its cursors, and anywhere in an idle queue that has few
/// others.
fn removed_rows(hosted: &Hosted, idle: bool) -> Compaction {
    let (slot, generation) = (hosted.info.slot, hosted.info.generation);
    let counters = hosted.queue.counters();
    let hint = hosted.queue.hint();
    let below = |lane, end| KeyRange {
        from: messages_range(slot, generation, lane, Seq::MIN).from,
        to: messages_range(slot, generation, lane, end).from,
    };
    let (mut dead, mut mixed) = (Vec::new(), vec![deliveries_range(slot, generation)]);
    match hosted.info.kind() {
        QueueKind::Fifo => mixed.push(below(Lane::Main, hint.low)),
        QueueKind::Standard => {
            dead.push(below(Lane::Main, hosted.queue.first_alive()));
            mixed.push(below(Lane::Main, hint.cleared));
            mixed.push(below(Lane::Delayed, hint.low));
            let start = (Timestamp::default(), Seq::MIN);
            mixed.push(timers_range(slot, generation, start, hint.timers_from));
        }
    }
    let messages = counters.available + counters.in_flight + counters.delayed;
    if idle && messages <= hosted.uncompacted.messages {
        mixed = generation_ranges(slot, generation);
    }
    Compaction { dead, mixed }
}
