//! Queues that nobody uses any more: those with `Stanchion.ExpireAfterIdle` are deleted when they
//! have been idle for so long, as DeleteQueue would.
//!
//! A use is a command of a client, a message that comes from another queue, a change of the queue, a
//! creation that finds it there, and a long poll for as long as it waits. A command writes down when that was and no more: whether
//! a queue has been idle is looked at when it may have been. Uses are not stored, so a start is one.

use super::core::ShardCore;
use super::turn::Turn;
use crate::model::time::Timestamp;

/// Queues one turn looks at: they may run out by the thousand, with the process that made them.
const LOOKED_AT_PER_TURN_MAX: usize = 256;

impl ShardCore {
    /// Somebody uses a queue.
    pub(super) fn use_of(&mut self, index: usize, now: Timestamp) {
        if let Some(hosted) = &mut self.queues[index] {
            hosted.used_at = now;
        }
    }

    /// Sees to it that a queue is looked at when it may have been idle for long enough.
    pub(super) fn expect_idle(&mut self, index: usize) {
        let Some(hosted) = &mut self.queues[index] else { return };
        let span = hosted.info.settings.expire_after_idle();
        let due = span.map(|span| hosted.used_at.plus(span));
        let old = std::mem::replace(&mut hosted.idle_due, due);
        if let Some(old) = old {
            self.idle.remove(&(old, index));
        }
        self.idle.extend(due.map(|due| (due, index)));
    }

    /// When a queue is to be looked at; `None` also while the clock is in doubt: then nothing ends.
    pub(super) fn idle_due_at(&self) -> Option<Timestamp> {
        let (due, _) = self.idle.first()?;
        self.options.time.doubt().is_none().then_some(*due)
    }

    /// Deletes queues that have been idle for long enough. One that is somebody's dead-letter queue
    /// is in use: it is there for what has not gone wrong yet.
    pub(super) fn delete_idle(&mut self, turn: &mut Turn) {
        if self.idle_due_at().is_none_or(|due| turn.now < due) {
            return;
        }
        let due = self.idle.range(..=(turn.now, usize::MAX)).map(|(_, index)| *index);
        let mut idle = Vec::new();
        for index in due.take(LOOKED_AT_PER_TURN_MAX).collect::<Vec<_>>() {
            if self.waiters.any(index) {
                self.use_of(index, turn.now);
            }
            // It may have been used since.
            self.expect_idle(index);
            if let Some(hosted) = &self.queues[index]
                && hosted.idle_due.is_some_and(|due| due <= turn.now)
            {
                idle.push((hosted.info.slot, index, hosted.info.key.clone()));
            }
        }
        // Queues of one slot are taken out of the catalogue together.
        idle.sort_unstable();
        let sources = self.options.catalogue.sources_of(idle.iter().map(|(_, _, key)| key));
        for (_, index, key) in idle {
            if sources.contains_key(&key) {
                self.use_of(index, turn.now);
                self.expect_idle(index);
            } else if self.delete(turn, &key).is_ok() {
                self.stats().queues_idle_deleted.add(1);
                tracing::info!(
                    queue = %key.name,
                    account = key.account.as_str(),
                    region = key.region.as_str(),
                    "deleted a queue that nobody used for as long as it says"
                );
            }
        }
    }
}
