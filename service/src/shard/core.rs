//! One shard, without its thread: queues, waiters, outbox, and [`ShardCore::step`], which is one
//! turn. A plain struct with plain functions, so that a simulation can drive many of them, one step
//! at a time, and end their process between any two.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use super::at_rest::AtRest;
use super::catalogue::Catalogue;
use super::directory::Directory;
use super::engine_time::EngineTime;
use super::hosted::{Act, Around, Hosted};
use super::map::ShardMap;
use super::outbox::Outbox;
use super::rates::Flow;
use super::reclaim::Reclaim;
use super::request::{Apply, Parcel, Reply, Request};
use super::stats::ShardStats;
use super::tasks::Tasks;
use super::turn::{Answered, Leaving, Turn};
use super::waiters::{Waiter, Waiters};
use crate::engine::command::{Command, Effects, Outcome};
use crate::env::SeededRng;
use crate::error::Error;
use crate::model::fifo::Seq;
use crate::model::queue::{Paused, QueueId, QueueKey};
use crate::model::time::Timestamp;
use crate::store::values::TurnRow;
use crate::store::{Store, StoreError};

/// Long polls of one queue that one turn serves; the next turn goes on.
const SERVED_PER_TURN_MAX: usize = 256;

/// Row changes after which a turn expires no further queue; the next turn goes on.
const EXPIRY_WRITES_MAX: usize = 10_000;

/// What a shard is made of.
pub struct CoreOptions {
    /// Which shard this is.
    pub shard: usize,
    /// Who owns which slot.
    pub map: ShardMap,
    /// Where rows are; shared by all shards.
    pub store: Arc<dyn Store>,
    /// The clock; shared by all shards.
    pub time: Arc<EngineTime>,
    /// Which queues there are; shared by all shards.
    pub catalogue: Arc<Catalogue>,
    /// The numbers of all shards.
    pub stats: Arc<[Arc<ShardStats>]>,
    /// Wait for the disk before answering what must not be lost.
    pub sync: bool,
    /// The number of this start, new for every start: sequence numbers and ids begin with it.
    pub epoch: u32,
    /// Receipt nonces.
    pub rng: SeededRng,
    /// Messages a queue may have in flight.
    pub in_flight_max: usize,
    /// Users and access keys.
    pub directory: Arc<Directory>,
    /// Bytes the read-ahead windows of this shard may hold together.
    pub window_bytes_max: usize,
    /// `strict` limits: 60 seconds between deletion and creation, and between purges.
    pub sixty_second_rules: bool,
    /// Polls are answered at once.
    pub draining: Arc<AtomicBool>,
    /// The shard's own mailbox, for messages that reached nobody; a simulation has none.
    pub way_back: Option<SyncSender<Request>>,
    /// What keeps messages encrypted; shared by all shards.
    pub at_rest: Arc<AtRest>,
}

/// When a shard has something to do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At once.
    Now,
    /// After so long, in real time.
    In(Duration),
    /// Not before somebody asks.
    Never,
}

/// One shard.
pub struct ShardCore {
    pub(super) options: CoreOptions,
    /// Vacant places are used again, lowest first.
    pub(super) queues: Vec<Option<Hosted>>,
    pub(super) vacant: BTreeSet<usize>,
    pub(super) names: HashMap<QueueKey, usize>,
    pub(super) waiters: Waiters,
    pub(super) outbox: Outbox,
    pub(super) tasks: Tasks,
    pub(super) reclaim: Reclaim,
    /// When queues were deleted, under [`CoreOptions::sixty_second_rules`].
    pub(super) tombstones: HashMap<QueueKey, Timestamp>,
    pub(super) deadlines: BTreeSet<(Timestamp, usize)>,
    /// When queues may have been idle for long enough to be deleted.
    pub(super) idle: BTreeSet<(Timestamp, usize)>,
    /// Work left over for the next turn.
    pub(super) leftover: Vec<Request>,
    /// Queues with waiters that this turn could not serve all.
    pub(super) unserved: Vec<usize>,
    /// The last turn that was committed.
    pub(super) last: TurnRow,
    pub(super) latest: Timestamp,
    /// Counts up within this start: the low 40 bits of ids and outbox numbers.
    pub(super) last_id: u64,
    pub(super) held: usize,
    pub(super) window_bytes: usize,
}

impl ShardCore {
    /// One turn: expiry first, then requests in their order, then waiters and moves, then the
    /// commit, then the answers. An error is final: the shard may not be used again, and whoever
    /// waits for an answer gets none.
    pub fn step(&mut self, requests: Vec<Request>) -> Result<(), StoreError> {
        let now = self.now();
        let mut turn = Turn::new(now, self.options.time.boot());
        self.expire(&mut turn)?;
        self.delete_idle(&mut turn);
        let leftover = std::mem::take(&mut self.leftover);
        turn.commands = (leftover.len() + requests.len()) as u64;
        self.prefetch(&mut turn, &requests)?;
        for request in leftover.into_iter().chain(requests) {
            self.handle(&mut turn, request)?;
        }
        self.rescan_outbox(turn.boot)?;
        self.work_on_tasks(&mut turn)?;
        self.settle(&mut turn)?;
        self.end_polls(&mut turn);
        self.commit(&mut turn)?;
        self.answer(turn);
        self.tidy()
    }

    /// When there is something to do without a request.
    pub fn wake(&self) -> Wake {
        if !self.leftover.is_empty() || !self.unserved.is_empty() {
            return Wake::Now;
        }
        let boot = self.options.time.boot();
        let deadline = self.deadlines.first().map(|(due, _)| *due);
        let due = [deadline, self.tasks.due_at(), self.idle_due_at()];
        let due = due.into_iter().flatten().map(|due| self.options.time.until(due));
        let real = [self.waiters.next_deadline(), self.reclaim.due_at(), self.outbox.due_at()];
        let real = real.into_iter().flatten().map(|at| at.saturating_sub(boot));
        match real.chain(due).min() {
            None => Wake::Never,
            Some(Duration::ZERO) => Wake::Now,
            Some(span) => Wake::In(span),
        }
    }

    /// The present; never earlier than the last time it was asked for.
    pub(super) fn now(&mut self) -> Timestamp {
        self.latest = self.latest.max(self.options.time.now());
        self.latest
    }

    /// The shard's numbers.
    pub fn stats(&self) -> &ShardStats {
        &self.options.stats[self.options.shard]
    }

    /// Loads the single rows that commands will ask for, all at once.
    fn prefetch(&mut self, turn: &mut Turn, requests: &[Request]) -> Result<(), StoreError> {
        let mut places = Vec::new();
        let mut keys = Vec::new();
        for request in requests {
            let Request::Apply(apply) = request else { continue };
            let Some(&index) = self.names.get(&apply.key) else { continue };
            let Some(hosted) = &self.queues[index] else { continue };
            for need in hosted.queue.plan(&apply.command, turn.now) {
                if let Some(key) = hosted.rows.single(&need) {
                    places.push((index, need));
                    keys.push(key);
                }
            }
        }
        // One alone is as well read when it is needed.
        if keys.len() < 2 {
            return Ok(());
        }
        let values = match self.options.store.multi_get(&keys) {
            Ok(values) => values,
            // The commands will find out one by one.
            Err(StoreError::Unavailable(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        for ((index, need), value) in places.into_iter().zip(values) {
            self.touch(turn, index);
            if let Some(hosted) = &mut self.queues[index] {
                hosted.rows.prefetch(need, value);
            }
        }
        Ok(())
    }

    fn expire(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        let due: Vec<usize> =
            self.deadlines.range(..=(turn.now, usize::MAX)).map(|(_, index)| *index).collect();
        for index in due {
            if turn.writes > EXPIRY_WRITES_MAX {
                break;
            }
            // Its outcome is nothing, and there is nobody to tell of an error.
            let _ = self.perform(turn, index, Act::Expire)?;
        }
        // Those with waiters that the last turn left behind get their chance.
        for index in std::mem::take(&mut self.unserved) {
            self.touch(turn, index);
        }
        Ok(())
    }

    fn handle(&mut self, turn: &mut Turn, request: Request) -> Result<(), StoreError> {
        match request {
            Request::Apply(apply) => self.apply(turn, *apply)?,
            // Differs from AWS: what a client that is gone was to receive comes back at once, not
            // when its visibility timeout ends.
            Request::Release { key, queue, receipts } => {
                if let Some(index) = self.resolve(&key, Some(queue)) {
                    let mut command = Command::Release(receipts);
                    // When it cannot be done now, the messages come back by themselves.
                    let _ = self.try_perform(turn, index, &mut command)?;
                }
            }
            Request::Task(request) => self.handle_task(turn, request),
            Request::Arrivals(keys) => self.arrive(turn, keys)?,
            Request::Create { key, settings, tags, check, declared, reply } => {
                let result = self.create(turn, key, *settings, tags, check, declared);
                turn.answers.push(Answered::Info(reply, result));
            }
            Request::Update { key, change, reply } => {
                let result = self.update(turn, &key, change);
                turn.answers.push(Answered::Info(reply, result));
            }
            Request::Pause { key, change, reply } => {
                let result = self.pause(turn, &key, change);
                turn.answers.push(Answered::Info(reply, result));
            }
            Request::Access { change, reply } => self.change_access(turn, change, reply),
            Request::Reset { reply } => {
                let result = self.reset(turn)?;
                turn.answers.push(Answered::Unit(reply, result));
            }
            Request::Delete { key, reply } => {
                let result = self.delete(turn, &key);
                turn.answers.push(Answered::Unit(reply, result));
            }
            Request::Purge { key, reply } => {
                let result = self.purge(turn, &key);
                turn.answers.push(Answered::Unit(reply, result));
            }
            Request::Count { key, reply } => {
                let index = self.resolve(&key, None);
                let counters = index.and_then(|index| self.queues[index].as_ref());
                let result = counters.map(|hosted| hosted.queue.counters());
                let result = result.ok_or(Error::QueueDoesNotExist);
                turn.answers.push(Answered::Counters(reply, result));
            }
            Request::View { key, queue, from, tail, reply } => {
                let result = self.view(turn.now, &key, queue, from, tail);
                turn.answers.push(Answered::View(reply, result));
            }
            Request::ViewGroups { key, queue, from, max, reply } => {
                let result = self.view_groups(turn.now, &key, queue, from, max);
                turn.answers.push(Answered::Groups(reply, result));
            }
            Request::Glance { keys, reply } => {
                let glances = self.glance(turn.now, turn.boot, &keys);
                turn.answers.push(Answered::Glances(reply, glances));
            }
            Request::Rewrap { from, reply } => {
                let rewrapped = self.rewrap(turn, from);
                turn.answers.push(Answered::Rewrapped(reply, rewrapped));
            }
            Request::Look => {}
        }
        Ok(())
    }

    fn apply(&mut self, turn: &mut Turn, apply: Apply) -> Result<(), StoreError> {
        let Apply { key, queue, mut command, patience, reply } = apply;
        let Some(index) = self.resolve(&key, queue) else {
            turn.answers.push(Answered::Parcel(reply, Err(Error::QueueDoesNotExist)));
            return Ok(());
        };
        let paused = self.paused(index);
        self.use_of(index, turn.now);
        let receive = match &command {
            Command::Receive(receive) => Some(*receive),
            Command::Send(_) if paused.send => {
                turn.answers.push(Answered::Parcel(reply, Err(Error::QueuePaused)));
                return Ok(());
            }
            _ => None,
        };
        if receive.is_some() {
            // Messages given to nobody would hide for nothing.
            if reply.is_closed() {
                return Ok(());
            }
            // First come, first served.
            self.serve(turn, index)?;
        }
        let result = match receive {
            Some(_) if paused.receive => Ok(Outcome::Received(Vec::new())),
            _ => self.try_perform(turn, index, &mut command)?,
        };
        let draining = self.options.draining.load(Ordering::Acquire);
        match (result, receive, patience) {
            (Ok(Outcome::Received(messages)), Some(receive), Some(patience))
                if messages.is_empty() && !draining && turn.boot < patience.until =>
            {
                self.waiters.park(index, Waiter { receive, patience, reply });
            }
            (result, ..) => self.send_back(turn, index, reply, result),
        }
        Ok(())
    }

    fn paused(&self, index: usize) -> Paused {
        self.queues[index].as_ref().map_or(Paused::default(), |hosted| hosted.info.paused)
    }

    /// Serves waiters and moves messages until neither has anything left to do.
    fn settle(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        let mut changed = turn.touched.clone();
        loop {
            for index in changed {
                self.serve(turn, index)?;
            }
            if turn.departures.is_empty() {
                return Ok(());
            }
            changed = self.depart(turn)?;
        }
    }

    /// Gives a queue's messages to those who wait for them, in their order.
    pub(super) fn serve(&mut self, turn: &mut Turn, index: usize) -> Result<(), StoreError> {
        for _ in 0..SERVED_PER_TURN_MAX {
            let Some(hosted) = &self.queues[index] else { return Ok(()) };
            let idle = !self.waiters.any(index) || !hosted.queue.has_work();
            if idle || hosted.info.paused.receive {
                return Ok(());
            }
            let Some((ticket, waiter)) = self.waiters.take_first(index) else { return Ok(()) };
            let mut command = Command::Receive(waiter.receive);
            match self.try_perform(turn, index, &mut command)? {
                Ok(Outcome::Received(messages)) if messages.is_empty() => {
                    self.waiters.put_back(index, ticket, waiter);
                    return Ok(());
                }
                result => self.send_back(turn, index, waiter.reply, result),
            }
        }
        self.unserved.push(index);
        Ok(())
    }

    fn end_polls(&mut self, turn: &mut Turn) {
        let ended = if self.options.draining.load(Ordering::Acquire) {
            self.end_tails();
            self.waiters.take_all()
        } else {
            std::iter::from_fn(|| self.waiters.take_due(turn.boot)).collect()
        };
        for (index, waiter) in ended {
            self.use_of(index, turn.now);
            self.send_back(turn, index, waiter.reply, Ok(Outcome::Received(Vec::new())));
        }
    }

    /// Puts an outcome among the turn's answers.
    fn send_back(
        &mut self,
        turn: &mut Turn,
        index: usize,
        reply: Reply<Parcel>,
        result: Result<Outcome, Error>,
    ) {
        if let Ok(Outcome::Received(messages)) = &result {
            match messages.len() {
                0 => self.stats().empty_receives.add(1),
                count => self.stats().received.add(count as u64),
            }
        }
        let way_back = match &result {
            Ok(Outcome::Received(messages)) if !messages.is_empty() => {
                self.options.way_back.clone()
            }
            _ => None,
        };
        let Some(hosted) = &self.queues[index] else {
            turn.answers.push(Answered::Parcel(reply, Err(Error::QueueDoesNotExist)));
            return;
        };
        let waits = hosted.waits_for_the_turn(&result);
        match result.map(|outcome| Parcel::new(&hosted.info, outcome, way_back)) {
            Ok(parcel) if !waits => turn.unsynced.push((reply, parcel)),
            result => turn.answers.push(Answered::Parcel(reply, result)),
        }
    }

    /// Like [`ShardCore::perform`], but a store that is busy fails the command alone.
    pub(super) fn try_perform(
        &mut self,
        turn: &mut Turn,
        index: usize,
        command: &mut Command,
    ) -> Result<Result<Outcome, Error>, StoreError> {
        self.use_of(index, turn.now);
        match self.perform(turn, index, Act::Apply(command)) {
            Err(StoreError::Unavailable(why)) => {
                tracing::warn!(why, "the store is busy");
                Ok(Err(Error::ServiceUnavailable("The store is busy.".into())))
            }
            result => result,
        }
    }

    /// Makes a queue act, and takes up what it does beside the outcome.
    pub(super) fn perform(
        &mut self,
        turn: &mut Turn,
        index: usize,
        act: Act<'_>,
    ) -> Result<Result<Outcome, Error>, StoreError> {
        self.touch(turn, index);
        let (receives, deletes) = match &act {
            Act::Apply(Command::Receive(_)) => (true, false),
            Act::Apply(Command::Delete(_) | Command::Remove(_)) => (false, true),
            _ => (false, false),
        };
        let errand_to = match &act {
            Act::Apply(Command::SendOff(errand)) => Some(errand.target.clone()),
            _ => None,
        };
        let window_room = self.options.window_bytes_max.saturating_sub(self.window_bytes);
        let stats = &self.options.stats[self.options.shard];
        let target = match &self.queues[index] {
            _ if errand_to.is_some() => errand_to,
            Some(hosted) if receives && hosted.info.settings.redrive.is_some() => {
                let target = hosted.dead_letter.clone();
                let target = target.filter(|target| self.takes_from(target, &hosted.info));
                if target.is_none() {
                    stats.dead_letter_stuck.add(1);
                }
                target
            }
            _ => None,
        };
        let Some(hosted) = &mut self.queues[index] else {
            return Ok(Err(Error::QueueDoesNotExist));
        };
        let written = hosted.rows.len();
        let mut effects = Effects::default();
        let around = Around {
            store: &*self.options.store,
            now: turn.now,
            rng: &mut self.options.rng,
            dead_letter_target: target.is_some(),
            window_room,
            effects: &mut effects,
        };
        let result = hosted.perform(act, around)?;
        let window_bytes = hosted.queue.window_bytes();
        self.window_bytes = self.window_bytes + window_bytes - hosted.window_bytes;
        hosted.window_bytes = window_bytes;
        turn.sync |= effects.sync;
        turn.writes += hosted.rows.len() - written;
        stats.expired.add(effects.expired);
        stats.duplicates.add(effects.duplicates);
        let dead = effects.departures.iter().filter(|departure| departure.moved.dead_letter);
        let dead = dead.count() as u64;
        stats.dead_lettered.add(dead);
        stats.moved.add(effects.departures.len() as u64 - dead);
        match &result {
            Ok(Outcome::Sent(results)) => {
                let new = results.iter().flatten().filter(|accepted| !accepted.duplicate);
                let new = new.count();
                stats.sent.add(new as u64);
                hosted.rates.add(turn.boot, Flow::Sent, new);
            }
            // The shard counts those that reach somebody.
            Ok(Outcome::Received(messages)) => {
                hosted.rates.add(turn.boot, Flow::Received, messages.len());
            }
            Ok(Outcome::Done(results)) if deletes => {
                let deleted = results.iter().filter(|result| result.is_ok()).count();
                stats.deleted.add(deleted as u64);
                hosted.rates.add(turn.boot, Flow::Deleted, deleted);
            }
            _ => {}
        }
        if let Some(target) = target {
            for mut departure in effects.departures {
                // The engine does not know what its queue is called.
                departure.moved.source_arn = hosted.info.key.arn();
                let source = Arc::clone(&hosted.info);
                turn.departures.push(Leaving { source, target: target.clone(), departure });
            }
        }
        Ok(result)
    }

    /// Notes that a queue takes part in this turn.
    pub(super) fn touch(&mut self, turn: &mut Turn, index: usize) {
        if let Some(hosted) = &mut self.queues[index]
            && !hosted.in_turn
        {
            hosted.in_turn = true;
            hosted.turn_began_at = hosted.queue.next_seq();
            hosted.touched_at = turn.boot;
            turn.touched.push(index);
        }
    }

    /// A queue by name, and by identity where that matters.
    pub(super) fn resolve(&self, key: &QueueKey, queue: Option<QueueId>) -> Option<usize> {
        let index = *self.names.get(key)?;
        let hosted = self.queues[index].as_ref()?;
        (queue.is_none() || queue == Some(hosted.info.id)).then_some(index)
    }

    /// An id that was never given before, in any start; larger than all before.
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_fresh_id()
    }

    /// The last such id, or one that is smaller than all to come.
    pub(super) fn last_fresh_id(&self) -> u64 {
        Seq::first_of_epoch(self.options.epoch).0 | self.last_id
    }
}
