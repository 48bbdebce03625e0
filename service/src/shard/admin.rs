//! Queues come, change and go: the catalogue's part of a turn.
//!
//! Differs from AWS: everything here is in force when it is answered. There a deletion, a purge or
//! a changed attribute may take a minute, a changed retention a quarter of an hour.

use std::sync::Arc;

use super::core::ShardCore;
use super::handle::{Change, Check, Pause, QueueInfo, Tags};
use super::hosted::{Churn, Hosted};
use super::rows::TurnRows;
use super::turn::{Answered, Turn};
use crate::engine::queue::Queue;
use crate::error::Error;
use crate::model::attributes::QueueSettings;
use crate::model::fifo::Seq;
use crate::model::queue::{Generation, Paused, QueueId, QueueKey};
use crate::model::rows::{HintRow, ReceiveId, ReceiveRow};
use crate::model::time::{Millis, Timestamp};
use crate::store::codec::encode;
use crate::store::keys::{dead_key, queue_key, slot_of, tombstone_key};
use crate::store::values::{DeadRow, TombstoneRow};
use crate::store::{Op, StoreError};

/// Between the deletion of a queue and the next of its name, and between two purges (facts sheet,
/// 3.7).
const REST: Millis = Millis::from_secs(60);

impl ShardCore {
    /// Creates a queue, or lets `check` look at the one that is there.
    pub(super) fn create(
        &mut self,
        turn: &mut Turn,
        key: QueueKey,
        settings: QueueSettings,
        tags: Tags,
        check: Check,
        declared: bool,
    ) -> Result<Arc<QueueInfo>, Error> {
        if let Some(index) = self.resolve(&key, None)
            && let Some(hosted) = &self.queues[index]
        {
            check(&hosted.info)?;
            let info = Arc::clone(&hosted.info);
            // Whoever asks for it is about to use it.
            self.use_of(index, turn.now);
            return Ok(info);
        }
        self.forget_tombstones(turn);
        if !declared && self.tombstones.contains_key(&key) {
            return Err(Error::QueueDeletedRecently);
        }
        let mut info = QueueInfo {
            slot: slot_of(&key),
            key,
            id: QueueId(self.fresh_id()),
            generation: Generation(self.fresh_id()),
            settings,
            tags,
            created_at: turn.now,
            modified_at: turn.now,
            purged_at: None,
            paused: Paused::default(),
            data_key: None,
        };
        info.data_key = self.options.at_rest.data_key_for(&info);
        let info = Arc::new(info);
        let queue = self.open_queue(&info, HintRow::default(), Vec::new(), Seq::MIN, turn.now);
        let index = self.host(Hosted::new(Arc::clone(&info), queue, turn.now));
        self.touch(turn, index);
        record(turn, &info);
        Ok(info)
    }

    /// Changes settings and tags; when `change` fails, nothing.
    pub(super) fn update(
        &mut self,
        turn: &mut Turn,
        key: &QueueKey,
        change: Change,
    ) -> Result<Arc<QueueInfo>, Error> {
        let (index, mut info) = self.copy_info(key)?;
        change(&mut info.settings, &mut info.tags)?;
        if let Some(hosted) = &mut self.queues[index]
            && info.settings != hosted.info.settings
        {
            info.modified_at = turn.now;
            info.data_key = self.options.at_rest.data_key_for(&info);
            hosted.queue.configure(info.settings.clone(), turn.now);
        }
        Ok(self.describe(turn, index, info))
    }

    /// Holds up what clients do to a queue, or lets it go on: then those who wait are served in this
    /// turn.
    pub(super) fn pause(
        &mut self,
        turn: &mut Turn,
        key: &QueueKey,
        change: Pause,
    ) -> Result<Arc<QueueInfo>, Error> {
        let (index, mut info) = self.copy_info(key)?;
        info.paused = Paused {
            receive: change.receive.unwrap_or(info.paused.receive),
            send: change.send.unwrap_or(info.paused.send),
        };
        Ok(self.describe(turn, index, info))
    }

    /// Has a queue be what is said of it, here, in the store and in the catalogue.
    pub(super) fn describe(
        &mut self,
        turn: &mut Turn,
        index: usize,
        info: QueueInfo,
    ) -> Arc<QueueInfo> {
        self.touch(turn, index);
        let info = Arc::new(info);
        if let Some(hosted) = &mut self.queues[index] {
            hosted.describe(Arc::clone(&info));
            hosted.used_at = turn.now;
        }
        self.expect_idle(index);
        record(turn, &info);
        info
    }

    /// Deletes a queue; what is left of it is reclaimed behind.
    pub(super) fn delete(&mut self, turn: &mut Turn, key: &QueueKey) -> Result<(), Error> {
        let index = self.resolve(key, None).ok_or(Error::QueueDoesNotExist)?;
        let hosted = self.queues[index].take().ok_or(Error::QueueDoesNotExist)?;
        let slot = hosted.info.slot;
        self.evict(turn, index, hosted);
        if self.options.sixty_second_rules {
            self.forget_tombstones(turn);
            let row = TombstoneRow { deleted_at: turn.now };
            turn.ops.push(Op::Put(tombstone_key(slot, key), encode(&row)));
            self.tombstones.insert(key.clone(), turn.now);
        }
        Ok(())
    }

    /// Deletes every queue of this shard, what has left them and is nowhere else yet, and the memory
    /// of names that were deleted.
    pub(super) fn reset(&mut self, turn: &mut Turn) -> Result<Result<(), Error>, StoreError> {
        match self.drop_outbox(turn) {
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!(why, "the store is busy");
                return Ok(Err(Error::ServiceUnavailable("The store is busy.".into())));
            }
            dropped => dropped?,
        }
        let mut indices: Vec<usize> = self.names.values().copied().collect();
        // Queues of one slot are taken out of the catalogue together.
        indices.sort_unstable_by_key(|index| {
            self.queues[*index].as_ref().map(|hosted| hosted.info.slot)
        });
        for index in indices {
            if let Some(hosted) = self.queues[index].take() {
                self.evict(turn, index, hosted);
            }
        }
        for (key, _) in self.tombstones.drain() {
            turn.ops.push(Op::Delete(tombstone_key(slot_of(&key), &key)));
        }
        turn.sync = true;
        Ok(Ok(()))
    }

    /// Lets go of a queue that was taken from its place.
    fn evict(&mut self, turn: &mut Turn, index: usize, hosted: Hosted) {
        self.names.remove(&hosted.info.key);
        self.vacant.insert(index);
        if let Some(deadline) = hosted.deadline {
            self.deadlines.remove(&(deadline, index));
        }
        if let Some(due) = hosted.idle_due {
            self.idle.remove(&(due, index));
        }
        self.held -= hosted.held;
        self.window_bytes -= hosted.window_bytes;
        self.reclaim.forget(index);
        for waiter in self.waiters.take_queue(index) {
            turn.answers.push(Answered::Parcel(waiter.reply, Err(Error::QueueDoesNotExist)));
        }
        let info = &hosted.info;
        turn.ops.push(Op::Delete(queue_key(info.slot, &info.key)));
        turn.ops.extend(self.tasks.forget(&info.key));
        bury(turn, info);
        turn.published.push((info.slot, info.key.clone(), None));
    }

    /// Empties a queue: it goes on under a new generation.
    pub(super) fn purge(&mut self, turn: &mut Turn, key: &QueueKey) -> Result<(), Error> {
        let (index, mut info) = self.copy_info(key)?;
        let resting = |at: Timestamp| turn.now < at.plus(REST);
        if self.options.sixty_second_rules && info.purged_at.is_some_and(resting) {
            return Err(Error::PurgeQueueInProgress { queue: key.name.to_string() });
        }
        bury(turn, &info);
        info.generation = Generation(self.fresh_id());
        info.purged_at = Some(turn.now);
        self.touch(turn, index);
        let used = self.queues[index].as_ref().map(|hosted| hosted.queue.hint().next_seq);
        // A handle from before the purge must not fit a message from after it.
        let used = used.unwrap_or(Seq::MIN);
        let queue = self.open_queue(&info, HintRow::default(), Vec::new(), used, turn.now);
        let info = Arc::new(info);
        if let Some(hosted) = &mut self.queues[index] {
            self.window_bytes -= std::mem::take(&mut hosted.window_bytes);
            hosted.uncleared = Churn::default();
            hosted.uncompacted = Churn::default();
            hosted.hint = queue.hint();
            hosted.queue = queue;
            hosted.rows = TurnRows::new(info.slot, info.generation);
            hosted.describe(Arc::clone(&info));
            hosted.used_at = turn.now;
        }
        record(turn, &info);
        Ok(())
    }

    /// Gives a queue a place in this shard.
    pub(super) fn host(&mut self, hosted: Hosted) -> usize {
        let key = hosted.info.key.clone();
        let index = match self.vacant.pop_first() {
            Some(index) => {
                self.queues[index] = Some(hosted);
                index
            }
            None => {
                self.queues.push(Some(hosted));
                self.queues.len() - 1
            }
        };
        self.names.insert(key, index);
        self.expect_idle(index);
        index
    }

    /// A queue's engine as its rows left it. Numbers given from now on are new, and at least
    /// `used`.
    pub(super) fn open_queue(
        &self,
        info: &QueueInfo,
        hint: HintRow,
        deliveries: Vec<(ReceiveId, ReceiveRow)>,
        used: Seq,
        now: Timestamp,
    ) -> Queue {
        let first_seq = Seq::first_of_epoch(self.options.epoch).max(used);
        let mut queue = Queue::open(info.settings.clone(), hint, deliveries, first_seq, now);
        queue.set_in_flight_max(self.options.in_flight_max);
        if self.options.time.doubt().is_some() {
            queue.suspend_expiry(true, now);
        }
        queue
    }

    fn copy_info(&self, key: &QueueKey) -> Result<(usize, QueueInfo), Error> {
        let index = self.resolve(key, None).ok_or(Error::QueueDoesNotExist)?;
        let hosted = self.queues[index].as_ref().ok_or(Error::QueueDoesNotExist)?;
        Ok((index, QueueInfo::clone(&hosted.info)))
    }

    /// Names that have rested long enough may be used again.
    fn forget_tombstones(&mut self, turn: &mut Turn) {
        let (now, ops) = (turn.now, &mut turn.ops);
        self.tombstones.retain(|key, deleted_at| {
            let resting = now < deleted_at.plus(REST);
            if !resting {
                ops.push(Op::Delete(tombstone_key(slot_of(key), key)));
            }
            resting
        });
    }
}

/// Writes a queue's catalogue row, and has it published after the commit.
fn record(turn: &mut Turn, info: &Arc<QueueInfo>) {
    let row = encode(&info.to_row());
    turn.ops.push(Op::Put(queue_key(info.slot, &info.key), row));
    turn.published.push((info.slot, info.key.clone(), Some(Arc::clone(info))));
    turn.sync = true;
}

/// Gives up a queue's present generation.
fn bury(turn: &mut Turn, info: &QueueInfo) {
    let row = DeadRow { since: turn.now };
    turn.ops.push(Op::Put(dead_key(info.slot, info.generation), encode(&row)));
    turn.dead.push((info.slot, info.generation));
    turn.sync = true;
}
