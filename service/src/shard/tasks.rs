//! Message move tasks. The shard of the source owns a task: it takes small steps between turns, and
//! each step is in one batch with the messages that leave and the task's row, so that a restart goes
//! on where the last turn ended.
//!
//! A task takes its next step when everything it sent has arrived. So what is under way is bounded,
//! nothing overtakes, and a task that is over has nothing under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::core::ShardCore;
use super::handle::QueueInfo;
use super::request::TaskRequest;
use super::turn::{Answered, Turn};
use crate::engine::command::{Command, Found, Outcome, SendOff, Survey, SurveyFrom, Surveyed};
use crate::error::Error;
use crate::limits::{MOVE_TASK_RATE_MAX, MOVE_TASKS_LISTED_MAX};
use crate::model::queue::{QueueId, QueueKey, Slot};
use crate::model::rows::{MessageRow, Place};
use crate::model::task::{MoveTask, TaskFailure, TaskId, TaskStatus};
use crate::model::time::{Millis, Timestamp};
use crate::store::codec::encode;
use crate::store::keys::{OutboxKey, TaskKey, outbox_from_range, task_key};
use crate::store::{Key, Limit, Op, StoreError};

/// What one step moves at the most: a few milliseconds of work.
const STEP_MESSAGES_MAX: usize = 100;

/// No message joins a step that has reached this.
const STEP_BYTES_MAX: usize = 1024 * 1024;

/// Steps a second of a task with a rate, as far as the rate allows.
const STEPS_PER_S: u16 = 10;

// A step of the highest rate is not cut short.
const _: () = assert!((MOVE_TASK_RATE_MAX / STEPS_PER_S) as usize <= STEP_MESSAGES_MAX);

/// Between two steps of a task without a rate: the rest of the time is everybody else's.
const STEP_EVERY: Millis = Millis(10);

/// Before another look at what has not arrived, and after a store that was busy.
const LOOK_AGAIN: Millis = Millis(2);

/// How much of a delay a task makes up for.
const CATCH_UP: Millis = Millis(100);

/// What moved messages remember.
const REASON: &str = "message move task";

/// The tasks of a shard.
#[derive(Default)]
pub(super) struct Tasks {
    /// Queues that have or had one.
    sources: BTreeMap<QueueKey, Source>,
    /// When each active task goes on.
    due: BTreeSet<(Timestamp, QueueKey)>,
}

/// The tasks of one source.
struct Source {
    slot: Slot,
    id: QueueId,
    /// The latest ones, the oldest first. Only the last can be active.
    tasks: VecDeque<(TaskId, MoveTask)>,
    /// Of the active task.
    progress: Progress,
}

/// What is known of an active task beside its row; a restart begins anew.
struct Progress {
    next_at: Timestamp,
    from: SurveyFrom,
    /// Something was found since the survey began at the start.
    found: bool,
    /// What it has sent off and may be under way has larger outbox numbers.
    sent_after: u64,
}

/// How a step ended.
enum Next {
    /// There is more to do, after a while.
    After(Millis),
    /// That was all.
    Ended(TaskStatus),
}

impl Source {
    fn is_active(&self) -> bool {
        self.tasks.back().is_some_and(|(_, task)| task.is_active())
    }

    fn key_of(&self, task: TaskId) -> Key {
        task_key(&TaskKey { slot: self.slot, source: self.id, task })
    }

    /// Writes the last task.
    fn put_last(&self) -> Option<Op> {
        let (id, task) = self.tasks.back()?;
        Some(Op::Put(self.key_of(*id), encode(task)))
    }
}

impl Progress {
    fn starting_at(next_at: Timestamp) -> Progress {
        Progress { next_at, from: SurveyFrom::Start, found: false, sent_after: 0 }
    }

    /// Goes on with the survey, or begins a new one that may find what this one has come too early
    /// for.
    fn go_on(&mut self, next: Option<SurveyFrom>, found: bool) {
        (self.from, self.found) = match next {
            Some(next) => (next, self.found || found),
            None => (SurveyFrom::Start, false),
        };
    }
}

impl Tasks {
    /// Takes on a task that an earlier process left, in the order of their ids.
    pub(super) fn resume(&mut self, info: &QueueInfo, id: TaskId, task: MoveTask, now: Timestamp) {
        let source = self.source(info, now);
        let active = task.is_active();
        source.tasks.push_back((id, task));
        if active {
            self.due.insert((now, info.key.clone()));
        }
    }

    /// When the next step is due, on the engine's clock.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many are active.
    pub(super) fn active(&self) -> usize {
        self.due.len()
    }

    /// A queue is gone, and its tasks with it. Answers what to remove.
    pub(super) fn forget(&mut self, key: &QueueKey) -> Vec<Op> {
        let Some(source) = self.sources.remove(key) else { return Vec::new() };
        self.due.remove(&(source.progress.next_at, key.clone()));
        let row = |(id, _): &(TaskId, MoveTask)| Op::Delete(source.key_of(*id));
        source.tasks.iter().map(row).collect()
    }

    fn source(&mut self, info: &QueueInfo, now: Timestamp) -> &mut Source {
        self.sources.entry(info.key.clone()).or_insert_with(|| Source {
            slot: info.slot,
            id: info.id,
            tasks: VecDeque::new(),
            progress: Progress::starting_at(now),
        })
    }

    /// Has an active task go on at another time.
    fn reschedule(&mut self, key: &QueueKey, at: Timestamp) {
        let Some(source) = self.sources.get_mut(key) else { return };
        let old = std::mem::replace(&mut source.progress.next_at, at);
        self.due.remove(&(old, key.clone()));
        self.due.insert((at, key.clone()));
    }
}

impl ShardCore {
    pub(super) fn handle_task(&mut self, turn: &mut Turn, request: TaskRequest) {
        match request {
            TaskRequest::Start { source, destination, rate, reply } => {
                let result = self.start_task(turn, &source, destination, rate);
                turn.answers.push(Answered::Started(reply, result));
            }
            TaskRequest::Cancel { source, task, reply } => {
                let result = self.cancel_task(turn, &source, task);
                turn.answers.push(Answered::Number(reply, result));
            }
            TaskRequest::List { source, max, reply } => {
                let result = match self.resolve(&source, None) {
                    None => Err(Error::QueueDoesNotExist),
                    Some(_) => Ok(self.list_tasks(&source, max)),
                };
                turn.answers.push(Answered::Tasks(reply, result));
            }
            TaskRequest::Count { account, reply } => {
                let own = self.tasks.due.iter().filter(|(_, key)| key.account == account);
                turn.answers.push(Answered::Number(reply, Ok(own.count() as u64)));
            }
        }
    }

    fn start_task(
        &mut self,
        turn: &mut Turn,
        key: &QueueKey,
        destination: Option<QueueKey>,
        rate: Option<u16>,
    ) -> Result<TaskId, Error> {
        let index = self.resolve(key, None).ok_or(Error::QueueDoesNotExist)?;
        let id = TaskId(self.fresh_id());
        let hosted = self.queues[index].as_ref().ok_or(Error::QueueDoesNotExist)?;
        let source = self.tasks.source(&hosted.info, turn.now);
        if source.is_active() {
            return Err(Error::MoveTaskIsRunning);
        }
        let task = MoveTask {
            status: TaskStatus::Running,
            destination,
            rate,
            started_at: turn.now,
            before: hosted.queue.next_seq(),
            moved: 0,
            to_move: hosted.queue.counters().available,
        };
        source.tasks.push_back((id, task));
        source.progress = Progress::starting_at(turn.now);
        turn.ops.extend(source.put_last());
        while source.tasks.len() > MOVE_TASKS_LISTED_MAX
            && let Some((old, _)) = source.tasks.pop_front()
        {
            turn.ops.push(Op::Delete(source.key_of(old)));
        }
        turn.sync = true;
        self.tasks.due.insert((turn.now, key.clone()));
        Ok(id)
    }

    fn cancel_task(&mut self, turn: &mut Turn, key: &QueueKey, task: TaskId) -> Result<u64, Error> {
        let source = self.tasks.sources.get_mut(key).ok_or(Error::MoveTaskDoesNotExist)?;
        let known = source.tasks.iter_mut().find(|(id, _)| *id == task);
        let (_, task) = known.ok_or(Error::MoveTaskDoesNotExist)?;
        if task.status != TaskStatus::Running {
            return Err(Error::MoveTaskIsOver);
        }
        task.status = TaskStatus::Cancelling;
        let moved = task.moved;
        // Only the last one can be running.
        turn.ops.extend(source.put_last());
        turn.sync = true;
        self.tasks.reschedule(key, turn.now);
        Ok(moved)
    }

    fn list_tasks(&self, key: &QueueKey, max: usize) -> Vec<(TaskId, MoveTask)> {
        let source = self.tasks.sources.get(key);
        let newest_first = source.into_iter().flat_map(|source| source.tasks.iter().rev());
        newest_first.take(max).cloned().collect()
    }

    /// One step of the task that has waited longest. Other tasks, and whoever asks for something,
    /// have their turn before the next.
    pub(super) fn work_on_tasks(&mut self, turn: &mut Turn) -> Result<(), StoreError> {
        let Some((at, key)) = self.tasks.due.first().cloned() else { return Ok(()) };
        if turn.now < at {
            return Ok(());
        }
        self.tasks.due.pop_first();
        // Away while it works, so that the rest of the shard is free to be used.
        let Some(mut source) = self.tasks.sources.remove(&key) else { return Ok(()) };
        let Source { id, tasks, progress, .. } = &mut source;
        if let (Some(index), Some((_, task))) = (self.resolve(&key, Some(*id)), tasks.back_mut()) {
            let (status, moved) = (task.status, task.moved);
            match self.step_task(turn, index, task, progress)? {
                Next::After(pause) => {
                    let late = Timestamp(turn.now.0.saturating_sub(CATCH_UP.0));
                    progress.next_at = at.max(late).plus(pause);
                    self.tasks.due.insert((progress.next_at, key.clone()));
                }
                Next::Ended(status) => task.status = status,
            }
            if (task.status, task.moved) != (status, moved) {
                turn.ops.extend(source.put_last());
            }
        }
        self.tasks.sources.insert(key, source);
        Ok(())
    }

    fn step_task(
        &mut self,
        turn: &mut Turn,
        index: usize,
        task: &mut MoveTask,
        progress: &mut Progress,
    ) -> Result<Next, StoreError> {
        let failed = |why| Ok(Next::Ended(TaskStatus::Failed(why)));
        if !self.has_arrived(index, progress.sent_after)? {
            return Ok(Next::After(LOOK_AGAIN));
        }
        if task.status == TaskStatus::Cancelling {
            return Ok(Next::Ended(TaskStatus::Cancelled));
        }
        if MoveTask::RUNTIME_MAX <= turn.now.since(task.started_at) {
            return failed(TaskFailure::TookTooLong);
        }
        let survey = Survey {
            from: progress.from,
            max: task.rate.map_or(STEP_MESSAGES_MAX, |rate| usize::from(rate / STEPS_PER_S).max(1)),
            bytes_max: STEP_BYTES_MAX,
            before: task.before,
            due_by: task.started_at,
        };
        let surveyed = self.try_perform(turn, index, &mut Command::Survey(survey))?;
        let Ok(Outcome::Surveyed(Surveyed { found, next })) = surveyed else {
            return Ok(Next::After(LOOK_AGAIN));
        };
        if found.is_empty() && next.is_none() && !progress.found {
            return Ok(Next::Ended(TaskStatus::Completed));
        }
        progress.sent_after = self.last_fresh_id();
        let mut left = 0;
        for part in self.by_target(index, task, &found) {
            let (target, places) = match part {
                Ok(part) => part,
                // Where there is nothing before it.
                Err(why) if left == 0 => return failed(why),
                Err(_) => break,
            };
            let reason = REASON.into();
            let errand = SendOff::of_available(places, target, reason);
            match self.try_perform(turn, index, &mut Command::SendOff(errand))? {
                Ok(Outcome::SentOff(places)) => left += places.len(),
                _ => break,
            }
        }
        task.moved += left as u64;
        task.to_move = task.to_move.max(task.moved);
        // What did not leave is found again from the same place.
        if left == found.len() {
            progress.go_on(next, left > 0);
        }
        Ok(Next::After(pause(task.rate, left)))
    }

    /// Whether nothing that left a queue after a number was given is under way any more.
    fn has_arrived(&self, index: usize, sent_after: u64) -> Result<bool, StoreError> {
        let Some(hosted) = &self.queues[index] else { return Ok(true) };
        let (slot, source) = (hosted.info.slot, hosted.info.id);
        let range = outbox_from_range(&OutboxKey { slot, source, number: sent_after });
        match self.options.store.scan(&range.from, &range.to, Limit { rows: 1, bytes: 1 }) {
            Ok(page) => Ok(page.rows.is_empty()),
            Err(StoreError::Unavailable(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Messages with the queue they go to, neighbours together, up to the first that has nowhere
    /// to go.
    fn by_target(
        &self,
        index: usize,
        task: &MoveTask,
        found: &[Found],
    ) -> Vec<Result<(QueueKey, Vec<Place>), TaskFailure>> {
        let Some(hosted) = &self.queues[index] else { return Vec::new() };
        let mut parts: Vec<Result<(QueueKey, Vec<Place>), TaskFailure>> = Vec::new();
        for Found { place, message } in found {
            match target_of(task, message) {
                Ok(target) if !self.takes_from(&target, &hosted.info) => {
                    parts.push(Err(TaskFailure::NoSuchQueue));
                    break;
                }
                Ok(target) => match parts.last_mut() {
                    Some(Ok((last, places))) if *last == target => places.push(*place),
                    _ => parts.push(Ok((target, vec![*place]))),
                },
                Err(why) => {
                    parts.push(Err(why));
                    break;
                }
            }
        }
        parts
    }
}

/// Where a task's message goes.
fn target_of(task: &MoveTask, message: &MessageRow) -> Result<QueueKey, TaskFailure> {
    if let Some(destination) = &task.destination {
        return Ok(destination.clone());
    }
    let death = message.moved.as_deref().filter(|moved| moved.dead_letter);
    let source = death.and_then(|death| QueueKey::parse_arn(&death.source_arn));
    source.ok_or(TaskFailure::UnknownSource)
}

/// How long a task rests after so many messages.
fn pause(rate: Option<u16>, left: usize) -> Millis {
    match rate {
        Some(rate) if left > 0 => Millis((left as u64 * 1000).div_ceil(rate.max(1).into())),
        _ => STEP_EVERY,
    }
}
