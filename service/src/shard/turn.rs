//! What a turn gathers, and its end: one commit, and only then the answers.

use std::sync::Arc;
use std::time::Duration;

use super::at_rest::Rewrapped;
use super::core::ShardCore;
use super::directory::Entries;
use super::groups::ViewedGroups;
use super::handle::QueueInfo;
use super::queue_stats::Glance;
use super::request::{Parcel, Reply, Request, Viewed};
use crate::engine::command::Departure;
use crate::engine::queue::Counters;
use crate::error::Error;
use crate::model::queue::{Generation, QueueKey, Slot};
use crate::model::task::{MoveTask, TaskId};
use crate::model::time::Timestamp;
use crate::store::codec::encode;
use crate::store::keys::{hint_key, turn_key};
use crate::store::values::TurnRow;
use crate::store::{Batch, Durability, Op, StoreError};

/// One pass of a shard's loop.
pub(super) struct Turn {
    pub(super) now: Timestamp,
    pub(super) boot: Duration,
    /// Requests it took.
    pub(super) commands: u64,
    /// Row changes so far, over all queues.
    pub(super) writes: usize,
    /// Queues that take part, each once.
    pub(super) touched: Vec<usize>,
    /// Changes that are nobody's rows: catalogue, outbox, tasks, dead generations.
    pub(super) ops: Vec<Op>,
    /// Something in it must be on the disk before anybody is answered.
    pub(super) sync: bool,
    /// Messages that left a queue and are not yet anywhere else.
    pub(super) departures: Vec<Leaving>,
    /// What the catalogue will say after the commit.
    pub(super) published: Vec<(Slot, QueueKey, Option<Arc<QueueInfo>>)>,
    /// What the directory will say after the commit.
    pub(super) access: Option<Entries>,
    /// Generations that this turn gives up.
    pub(super) dead: Vec<(Slot, Generation)>,
    /// What to tell whom after the commit.
    pub(super) answers: Vec<Answered>,
    /// Receives that need nothing of this turn but their own changes, which need no sync: what
    /// others wait for does not hold them up.
    pub(super) unsynced: Vec<(Reply<Parcel>, Parcel)>,
}

/// A message on its way.
pub(super) struct Leaving {
    /// The queue it left.
    pub(super) source: Arc<QueueInfo>,
    /// The queue it goes to.
    pub(super) target: QueueKey,
    pub(super) departure: Departure,
}

/// An answer and where it goes.
pub(super) enum Answered {
    Parcel(Reply<Parcel>, Result<Parcel, Error>),
    Info(Reply<Arc<QueueInfo>>, Result<Arc<QueueInfo>, Error>),
    Unit(Reply<()>, Result<(), Error>),
    Counters(Reply<Counters>, Result<Counters, Error>),
    Started(Reply<TaskId>, Result<TaskId, Error>),
    Number(Reply<u64>, Result<u64, Error>),
    Tasks(Reply<Vec<(TaskId, MoveTask)>>, Result<Vec<(TaskId, MoveTask)>, Error>),
    View(Reply<Viewed>, Result<Viewed, Error>),
    Groups(Reply<ViewedGroups>, Result<ViewedGroups, Error>),
    Glances(Reply<Vec<Glance>>, Vec<Glance>),
    Rewrapped(Reply<Rewrapped>, Rewrapped),
}

impl Turn {
    pub(super) fn new(now: Timestamp, boot: Duration) -> Turn {
        Turn {
            now,
            boot,
            commands: 0,
            writes: 0,
            touched: Vec::new(),
            ops: Vec::new(),
            sync: false,
            departures: Vec::new(),
            published: Vec::new(),
            access: None,
            dead: Vec::new(),
            answers: Vec::new(),
            unsynced: Vec::new(),
        }
    }
}

impl ShardCore {
    /// Commits what the turn gathered, as one batch, and makes it known inside the process. Where
    /// somebody waits for the disk and somebody need not, the latter are answered in between.
    pub(super) fn commit(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        let mut ops = std::mem::take(&mut turn.ops);
        // Catalogue, outbox and dead generations concern everybody.
        let answer_some = turn.sync && ops.is_empty() && !turn.unsynced.is_empty();
        let touched = std::mem::take(&mut turn.touched);
        for &index in &touched {
            self.finish_queue(index, turn.now, &mut ops);
        }
        let synced = turn.sync && !answer_some;
        let durability = if synced { Durability::Synced } else { Durability::Buffered };
        let wrote = self.commit_ops(ops, durability, turn.now)?;
        if answer_some {
            self.answer_unsynced(turn);
            self.sync()?;
        }
        for index in touched {
            self.tell_of_arrivals(index);
        }
        // A map of all queues of a slot is replaced: not once for each of them, where it is all.
        let mut published = std::mem::take(&mut turn.published).into_iter().peekable();
        while let Some((slot, key, info)) = published.next() {
            let more = std::iter::from_fn(|| published.next_if(|(next, ..)| *next == slot));
            let more = more.map(|(_, key, info)| (key, info));
            self.options.catalogue.publish(slot, std::iter::once((key, info)).chain(more));
        }
        if let Some(entries) = turn.access.take() {
            self.options.directory.publish(entries);
        }
        for (slot, generation) in turn.dead.drain(..) {
            self.reclaim.bury(slot, generation, turn.boot);
        }
        self.bound_windows();
        self.note_levels();
        if wrote || turn.commands > 0 {
            self.stats().turns.add(1);
        }
        if turn.commands > 0 {
            self.stats().turn_sizes.observe(turn.commands);
        }
        Ok(())
    }

    /// Tells everybody who has not been told.
    pub(super) fn answer(&mut self, mut turn: Turn) {
        self.answer_unsynced(&mut turn);
        for answer in turn.answers {
            match answer {
                Answered::Parcel(reply, result) => self.deliver(reply, result),
                // Who has left need not be told.
                Answered::Info(reply, result) => drop(reply.send(result)),
                Answered::Unit(reply, result) => drop(reply.send(result)),
                Answered::Counters(reply, result) => drop(reply.send(result)),
                Answered::Started(reply, result) => drop(reply.send(result)),
                Answered::Number(reply, result) => drop(reply.send(result)),
                Answered::Tasks(reply, result) => drop(reply.send(result)),
                Answered::View(reply, result) => drop(reply.send(result)),
                Answered::Groups(reply, result) => drop(reply.send(result)),
                Answered::Glances(reply, glances) => drop(reply.send(Ok(glances))),
                Answered::Rewrapped(reply, rewrapped) => drop(reply.send(Ok(rewrapped))),
            }
        }
        if let Some(keys) = self.outbox.take_hints_of(self.options.shard) {
            self.leftover.push(Request::Arrivals(keys));
        }
    }

    fn answer_unsynced(&mut self, turn: &mut Turn) {
        for (reply, parcel) in turn.unsynced.drain(..) {
            self.deliver(reply, Ok(parcel));
        }
    }

    /// Messages for somebody who has left go back in the next turn.
    fn deliver(&mut self, reply: Reply<Parcel>, result: Result<Parcel, Error>) {
        if let Err(Ok(parcel)) = reply.send(result) {
            self.leftover.extend(parcel.into_release());
        }
    }

    /// Waits until the last commit is on the disk.
    fn sync(&mut self) -> Result<(), StoreError> {
        if !self.options.sync {
            return Ok(());
        }
        let start = self.options.time.boot();
        self.options.store.sync()?;
        self.note_commit(start, true);
        Ok(())
    }

    /// Counts the time since `start` as that of a commit.
    fn note_commit(&mut self, start: Duration, synced: bool) {
        let took = self.options.time.boot().saturating_sub(start);
        self.stats().commit_ns.add(took.as_nanos() as u64);
        self.stats().syncs.add(synced.into());
        if synced {
            self.last.synced_up_to = self.last.turn;
        }
    }

    /// Commits changes behind the shard's marker. `false`: there was nothing to commit.
    pub(super) fn commit_ops(
        &mut self,
        mut changes: Vec<Op>,
        durability: Durability,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        if changes.is_empty() {
            return Ok(false);
        }
        let row = TurnRow {
            turn: self.last.turn + 1,
            synced_up_to: self.last.synced_up_to,
            engine_time: self.options.time.doubt().unwrap_or(now),
        };
        // Recovery looks for the marker at the start of the log record.
        let mut ops = Vec::with_capacity(changes.len() + 1);
        ops.push(Op::Put(turn_key(self.options.shard as u16), encode(&row)));
        ops.append(&mut changes);
        let synced = durability == Durability::Synced && self.options.sync;
        let durability = if synced { Durability::Synced } else { Durability::Buffered };
        let start = self.options.time.boot();
        self.options.store.commit(Batch { ops }, durability)?;
        self.last = row;
        self.note_commit(start, synced);
        Ok(true)
    }

    /// Adds a queue's changes to the batch, and puts its deadline and sums in order.
    pub(super) fn finish_queue(&mut self, index: usize, now: Timestamp, ops: &mut Vec<Op>) {
        let Some(hosted) = &mut self.queues[index] else { return };
        hosted.in_turn = false;
        if hosted.rows.len() == 0 {
            hosted.rows.clear();
        } else {
            if self.reclaim.has_to_clear(hosted) {
                hosted.clear();
            }
            self.reclaim.note(index, hosted, now);
            hosted.rows.finish(ops);
        }
        // Cursors also move without a change of rows, as delays end: a start goes on from there.
        let hint = hosted.queue.hint();
        if hint != hosted.hint {
            let key = hint_key(hosted.info.slot, hosted.info.generation);
            ops.push(Op::Put(key, encode(&hint)));
            hosted.hint = hint;
        }
        let deadline = hosted.queue.next_deadline();
        if deadline != hosted.deadline {
            let old = std::mem::replace(&mut hosted.deadline, deadline);
            if let Some(old) = old {
                self.deadlines.remove(&(old, index));
            }
            if let Some(new) = deadline {
                self.deadlines.insert((new, index));
            }
        }
        let held = hosted.queue.held();
        self.held = self.held + held - hosted.held;
        hosted.held = held;
    }

    /// Drops the read-ahead of queues that have rested longest when all of it together has reached
    /// its bound, down to half: so it is rare.
    fn bound_windows(&mut self) {
        if self.window_bytes < self.options.window_bytes_max {
            return;
        }
        let mut holders: Vec<&mut super::hosted::Hosted> =
            self.queues.iter_mut().flatten().filter(|hosted| hosted.window_bytes > 0).collect();
        holders.sort_by_key(|hosted| hosted.touched_at);
        for hosted in holders {
            if self.window_bytes <= self.options.window_bytes_max / 2 {
                return;
            }
            hosted.queue.drop_window();
            self.window_bytes -= hosted.window_bytes;
            hosted.window_bytes = hosted.queue.window_bytes();
            self.window_bytes += hosted.window_bytes;
        }
    }

    pub(super) fn note_levels(&self) {
        let stats = self.stats();
        stats.queues.set(self.names.len() as u64);
        stats.held.set(self.held as u64);
        stats.window_bytes.set(self.window_bytes as u64);
        stats.parked_polls.set(self.waiters.len() as u64);
        stats.move_tasks.set(self.tasks.active() as u64);
    }
}
