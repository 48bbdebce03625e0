//! What one shard counts about itself: plain atomics, written by the shard's thread with relaxed
//! order, read by whoever scrapes `/metrics`. `metrics.rs` gives each its public name.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The numbers of one shard since the process started. Counters only grow; levels say how it is at
/// the end of the last turn.
#[derive(Debug, Default)]
pub struct ShardStats {
    /// Messages accepted by sends; FIFO duplicates not counted.
    pub sent: Counter,
    /// FIFO: sends dropped as duplicates.
    pub duplicates: Counter,
    /// Messages handed out.
    pub received: Counter,
    /// Receives answered with nothing, after their wait.
    pub empty_receives: Counter,
    /// Deletes by a handle that is valid, and by operators.
    pub deleted: Counter,
    /// Messages dropped because their retention ended.
    pub expired: Counter,
    /// Messages that left a queue of this shard for its dead-letter queue.
    pub dead_lettered: Counter,
    /// Messages that left a queue of this shard for another, and not as dead letters.
    pub moved: Counter,
    /// Receives that would have dead-lettered a message whose target cannot be resolved.
    pub dead_letter_stuck: Counter,
    /// Queues deleted because nobody used them for as long as they say.
    pub queues_idle_deleted: Counter,
    /// Passes of the shard's loop that did something.
    pub turns: Counter,
    /// Commits that waited for the disk.
    pub syncs: Counter,
    /// Nanoseconds spent in commits, synced or not.
    pub commit_ns: Counter,
    /// Commands a turn took together.
    pub turn_sizes: TurnSizes,
    /// Queues of this shard.
    pub queues: Level,
    /// Messages in flight and returned ones: what the shard holds in memory.
    pub held: Level,
    /// Bytes in the read-ahead windows of its queues.
    pub window_bytes: Level,
    /// Long polls that wait.
    pub parked_polls: Level,
    /// Messages on their way to another queue.
    pub outbox: Level,
    /// Message move tasks at work.
    pub move_tasks: Level,
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A number that says how it is at present.
#[derive(Debug, Default)]
pub struct Level(AtomicU64);

impl Level {
    /// Says how it is.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    /// It rises.
    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    /// It falls.
    pub fn sub(&self, by: u64) {
        self.0.fetch_sub(by, Relaxed);
    }

    /// Reads it.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// How many turns took up to 1, 2, 4, … 512 commands, and how many took more.
#[derive(Debug, Default)]
pub struct TurnSizes {
    buckets: [AtomicU64; TurnSizes::BOUNDS.len() + 1],
    sum: AtomicU64,
}

impl TurnSizes {
    /// Upper bounds of the buckets, inclusive; one more bucket takes the rest.
    pub const BOUNDS: [u64; 10] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

    /// Notes one turn.
    pub fn observe(&self, commands: u64) {
        let bucket = Self::BOUNDS.partition_point(|bound| *bound < commands);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(commands, Relaxed);
    }

    /// Turns per bucket, in the order of [`TurnSizes::BOUNDS`], then the rest.
    pub fn buckets(&self) -> [u64; Self::BOUNDS.len() + 1] {
        std::array::from_fn(|index| self.buckets[index].load(Relaxed))
    }

    /// Commands of all turns.
    pub fn sum(&self) -> u64 {
        self.sum.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_counts_in_the_first_bucket_that_holds_it() {
        let sizes = TurnSizes::default();
        for commands in [1, 2, 3, 4, 512, 513, 100_000] {
            sizes.observe(commands);
        }
        assert_eq!(sizes.buckets(), [1, 1, 2, 0, 0, 0, 0, 0, 0, 1, 2]);
        assert_eq!(sizes.sum(), 1 + 2 + 3 + 4 + 512 + 513 + 100_000);
    }
}
