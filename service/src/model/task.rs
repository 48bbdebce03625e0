//! A message move task: everything that is remembered about one. Source: facts sheet, 8.5.

use super::fifo::Seq;
use super::queue::QueueKey;
use super::time::{Millis, Timestamp};

/// Which task. Unique within a slot and never reused; a later one has a larger number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskStatus {
    /// It moves messages.
    Running,
    /// Nothing more leaves; what has left is still under way.
    Cancelling,
    /// It was stopped. What was moved stays moved.
    Cancelled,
    /// Everything it set out to move has arrived.
    Completed,
    /// It could not go on.
    Failed(TaskFailure),
}

/// Why a task could not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskFailure {
    /// The queue that the next message has to go to does not exist, or may not take it.
    NoSuchQueue,
    /// No destination was given, and the next message does not say where it came from.
    UnknownSource,
    /// It ran for longer than [`MoveTask::RUNTIME_MAX`].
    TookTooLong,
}

/// A task as its row has it. Its source is in the row's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoveTask {
    /// How far it is.
    pub status: TaskStatus,
    /// Where messages go; `None`: each to the queue it died in.
    pub destination: Option<QueueKey>,
    /// Messages per second, 1 to 500; `None`: as fast as it goes.
    pub rate: Option<u16>,
    /// When it was started.
    pub started_at: Timestamp,
    /// The first sequence number that the source gave after the start: what came later stays, or
    /// messages that fail again and again would keep a task busy for ever.
    pub before: Seq,
    /// Messages that left the source.
    pub moved: u64,
    /// Messages that were available at the start, and those that became so since and were moved.
    pub to_move: u64,
}

impl MoveTask {
    /// The longest a task may run (facts sheet, 12).
    pub const RUNTIME_MAX: Millis = Millis::from_secs(36 * 60 * 60);

    /// Whether it is still at work: a source has one such task at the most.
    pub fn is_active(&self) -> bool {
        matches!(self.status, TaskStatus::Running | TaskStatus::Cancelling)
    }
}
