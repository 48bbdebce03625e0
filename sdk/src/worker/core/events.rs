//! Everything that can go into the core and come out of it.

use std::{sync::Arc, time::Duration};

/// A moment: the time since the worker began.
pub(crate) type Time = Duration;

/// One message as it was received once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ticket(pub(crate) u64);

/// One call of the handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobId(pub(crate) u64);

/// One request for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ReceiveId(pub(crate) u64);

/// One of the worker's queues: its place in the settings.
pub(crate) type QueueId = usize;

/// What happened.
#[derive(Debug)]
pub(crate) enum Event {
    /// A receive was answered.
    Received { receive: ReceiveId, messages: Vec<Arrival> },
    /// A receive got no answer, or a refusal.
    ReceiveFailed { receive: ReceiveId },
    /// The handler is over; one decision for each message of the job, in its order.
    Handled { job: JobId, decisions: Vec<Decision> },
    /// Deletes, releases and dead-letterings were answered.
    Settled { results: Vec<(Ticket, Answer)> },
    /// Extensions were answered.
    Extended { results: Vec<(Ticket, Answer)> },
    /// Receive no more, and hand back what no handler has begun with.
    Pause,
    /// Receive again.
    Resume,
    /// Receive no more, finish what has begun, then end.
    Stop,
    /// The same, but handlers are dropped.
    StopNow,
    /// Time went by.
    Tick,
}

/// A message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// A number no other arrival has.
    pub(crate) ticket: Ticket,
    /// The group it must keep its place in. None on a standard queue.
    pub(crate) group: Option<Arc<str>>,
}

/// What is to become of a message after its handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is done.
    Delete,
    /// It is available again after this time.
    Release(Duration),
    /// It goes to the dead-letter queue; where that is refused it is available after the fallback.
    DeadLetter { fallback: Duration },
    /// Nothing is done with it.
    Ignore,
}

/// How the server took one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is done.
    Done,
    /// The receipt handle is not good any more: the message is not ours.
    Lost,
    /// It will be refused again.
    Refused,
    /// Nobody knows; asking again may help.
    Failed,
}

/// How a message left the worker's hands. Each one does exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Ending {
    /// Deleted.
    Deleted,
    /// Available again, at once or later.
    Released,
    /// In the dead-letter queue.
    DeadLettered,
    /// Its handler said to leave it alone.
    Ignored,
    /// Its time ran out, or the server said that it is not ours.
    Lost,
    /// The worker ended before it could be settled; it comes back when its time runs out.
    Abandoned,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Ask for at most `max` messages, waiting `wait` for the first.
    Receive { receive: ReceiveId, queue: QueueId, max: usize, wait: Duration },
    /// Wait no longer for a receive.
    Abandon { receive: ReceiveId },
    /// Call the handler.
    Start { job: JobId, queue: QueueId, tickets: Vec<Ticket> },
    /// Drop the handler; it is over when `Handled` says so.
    Abort { job: JobId },
    /// Hide these messages for so many seconds from now on.
    Extend { queue: QueueId, entries: Vec<(Ticket, u32)> },
    /// Make these messages available after so many seconds, in this order.
    Release { queue: QueueId, entries: Vec<(Ticket, u32)> },
    /// Delete these messages.
    Delete { queue: QueueId, tickets: Vec<Ticket> },
    /// Send a message to the dead-letter queue.
    DeadLetter { queue: QueueId, ticket: Ticket },
    /// A message has left.
    Ended { ticket: Ticket, ending: Ending },
    /// All is over.
    Finished,
}
