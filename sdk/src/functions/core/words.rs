//! The words of the state machine: the rules, what can go in and what can come out.

use std::time::Duration;

use bytes::Bytes;

use crate::functions::event::Held;
use crate::functions::{FunctionError, InvokeError};

/// The numbers that decisions depend on.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// How long an invocation may take.
    pub(crate) timeout: Duration,
    /// How long a process may take until it asks for its first event.
    pub(crate) init_timeout: Duration,
    /// How long a process may have nothing to do before it is stopped.
    pub(crate) idle_timeout: Duration,
    pub(crate) batch_size: usize,
    /// How long a message may wait for others to fill the batch.
    pub(crate) window: Duration,
    pub(crate) processes_min: usize,
    pub(crate) processes_max: usize,
    pub(crate) reports_failures: bool,
    /// None is a host that only takes events by hand.
    pub(crate) queue: Option<QueueRules>,
}

/// What decisions depend on in a queue.
#[derive(Clone, Debug)]
pub(crate) struct QueueRules {
    pub(crate) fifo: bool,
    pub(crate) visibility: Duration,
}

impl Rules {
    /// How long a message may wait for a process. What waits longer would be visible to others before
    /// the function is through with it; but where the queue leaves little time, half of it is there to
    /// be used.
    pub(super) fn patience(&self) -> Option<Duration> {
        let visibility = self.queue.as_ref()?.visibility;
        Some(visibility.saturating_sub(self.timeout).max((visibility + self.window) / 2))
    }
}

/// A process, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ProcessId(pub(crate) u64);

/// An invocation, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InvocationId(pub(crate) u64);

/// An event sent by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// Nothing but that time passed.
    Tick,
    /// A receive that asked for so many messages was answered.
    Received { asked: usize, wanted: Vec<Held>, unwanted: Vec<String> },
    /// A receive that asked for so many messages failed.
    PollFailed { asked: usize },
    /// A process asks for an event.
    Next(ProcessId),
    /// A process answered its invocation.
    Answered(ProcessId, Result<Bytes, FunctionError>),
    /// A process could not be given its event.
    Lost(ProcessId),
    /// A process says that it cannot start.
    InitFailed(ProcessId, FunctionError),
    /// A process ended; how, in words.
    Exited(ProcessId, String),
    /// What became of a batch is on record at the server, or, where it `failed`, may not be.
    Settled { invocation: InvocationId, failed: bool },
    /// Somebody sends an event by hand.
    Invoke(Ticket, Bytes),
    /// Finish what runs, begin nothing new.
    Stop,
    /// End everything.
    StopNow,
}

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    /// Receive up to so many messages.
    Poll(usize),
    /// Give up the receives that wait.
    StopPolling,
    /// Start a process.
    Start(ProcessId),
    /// Give a process an event.
    Invoke { process: ProcessId, invocation: InvocationId, event: Bytes, trace: Option<String> },
    /// Kill a process at once.
    Kill(ProcessId),
    /// Ask a process to end, and kill it if it does not.
    Retire(ProcessId),
    /// Delete what a batch handled, then say [`Input::Settled`].
    Settle { invocation: InvocationId, delete: Vec<String> },
    /// Delete what no filter wants.
    Delete(Vec<String>),
    /// Make messages available to others at once.
    Release(Vec<String>),
    /// Answer who sent an event by hand.
    Reply(Ticket, Result<Bytes, InvokeError>),
    /// An invocation is over.
    Report(Report),
    /// A process did not come to its first event.
    InitError(ProcessId, String),
    /// Work has to wait: all processes that there may be are busy.
    Throttled,
    /// Nothing runs any more.
    Done,
}

/// How an invocation went.
#[derive(Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) process: ProcessId,
    pub(crate) invocation: InvocationId,
    pub(crate) took: Duration,
    pub(crate) error: Option<InvokeError>,
    /// How many messages it handled.
    pub(crate) handled: usize,
    /// How many messages will come again.
    pub(crate) failed: usize,
}
