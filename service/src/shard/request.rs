//! What reaches a shard, and what it answers with.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, oneshot, watch};

use super::at_rest::Rewrapped;
use super::directory::AccessChange;
use super::groups::ViewedGroups;
use super::handle::{Change, Check, Pause, QueueInfo, Tags};
use super::queue_stats::Glance;
use crate::engine::command::{Command, Outcome, Receipt};
use crate::engine::queue::Counters;
use crate::engine::view::View;
use crate::error::Error;
use crate::model::attributes::QueueSettings;
use crate::model::fifo::{GroupHash, Seq};
use crate::model::queue::{AccountId, QueueId, QueueKey, Slot};
use crate::model::task::{MoveTask, TaskId};
use crate::store::keys::OutboxKey;

/// Where an answer goes. Nobody may be there any more.
pub type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// Something for a shard to do. Queues go by name and are resolved when it is done.
pub enum Request {
    /// A command for one queue. Boxed, because a mailbox has room for thousands.
    Apply(Box<Apply>),
    /// Create a queue, or find the one that is there.
    Create {
        /// Its name.
        key: QueueKey,
        /// Its settings.
        settings: Box<QueueSettings>,
        /// Its tags.
        tags: Tags,
        /// Whether an existing one will do.
        check: Check,
        /// The operator wants it: a name that was deleted a moment ago need not rest.
        declared: bool,
        /// The queue.
        reply: Reply<Arc<QueueInfo>>,
    },
    /// Change a queue's settings or tags.
    Update {
        /// Which queue.
        key: QueueKey,
        /// What to change.
        change: Change,
        /// The changed queue.
        reply: Reply<Arc<QueueInfo>>,
    },
    /// Pause a queue, or let it go on.
    Pause {
        /// Which queue.
        key: QueueKey,
        /// What to pause.
        change: Pause,
        /// The changed queue.
        reply: Reply<Arc<QueueInfo>>,
    },
    /// Change users and access keys: for the shard of the server's own rows.
    Access {
        /// What to change.
        change: AccessChange,
        /// When it is in force.
        reply: Reply<()>,
    },
    /// Delete every queue of the shard, and whatever else belongs to clients.
    Reset {
        /// When everything is gone.
        reply: Reply<()>,
    },
    /// Delete a queue.
    Delete {
        /// Which queue.
        key: QueueKey,
        /// When it is gone.
        reply: Reply<()>,
    },
    /// Empty a queue.
    Purge {
        /// Which queue.
        key: QueueKey,
        /// When it is empty.
        reply: Reply<()>,
    },
    /// Count a queue's messages.
    Count {
        /// Which queue.
        key: QueueKey,
        /// Messages by state.
        reply: Reply<Counters>,
    },
    /// Say about a queue what somebody must know who reads its rows.
    View {
        /// Which queue.
        key: QueueKey,
        /// Its identity, where the reader has begun already.
        queue: Option<QueueId>,
        /// From which number on.
        from: Seq,
        /// Whether to tell of later messages too.
        tail: bool,
        /// The view.
        reply: Reply<Viewed>,
    },
    /// Say about a queue's groups what their rows do not.
    ViewGroups {
        /// Which queue.
        key: QueueKey,
        /// Its identity.
        queue: QueueId,
        /// From which group on.
        from: GroupHash,
        /// At most so many.
        max: usize,
        /// The view.
        reply: Reply<ViewedGroups>,
    },
    /// Look at queues of this shard, briefly.
    Glance {
        /// Which.
        keys: Vec<QueueKey>,
        /// Those that are there.
        reply: Reply<Vec<Glance>>,
    },
    /// Put the data keys of some of the shard's queues under the master keys that are to seal them.
    Rewrap {
        /// Which queues: from here on.
        from: usize,
        /// How far that came.
        reply: Reply<Rewrapped>,
    },
    /// Messages that were handed out but never reached anybody.
    Release {
        /// From which queue.
        key: QueueKey,
        /// Its identity: if that has changed, they are gone.
        queue: QueueId,
        /// Which messages.
        receipts: Vec<Receipt>,
    },
    /// Something about message move tasks.
    Task(TaskRequest),
    /// Outbox rows that may be addressed to queues of this shard. Only a hint: the rows say.
    Arrivals(Vec<OutboxKey>),
    /// Look again: the clock was moved, polls shall end, or the shard shall stop.
    Look,
}

/// Something about the message move tasks of a source.
pub enum TaskRequest {
    /// Start one.
    Start {
        /// The queue to move messages from.
        source: QueueKey,
        /// Where to; `None`: each message to the queue it died in.
        destination: Option<QueueKey>,
        /// Messages per second, 1 to 500.
        rate: Option<u16>,
        /// Which task it is.
        reply: Reply<TaskId>,
    },
    /// Stop one.
    Cancel {
        /// Its source.
        source: QueueKey,
        /// Which.
        task: TaskId,
        /// How many messages it has moved.
        reply: Reply<u64>,
    },
    /// List them.
    List {
        /// Their source.
        source: QueueKey,
        /// At most so many.
        max: usize,
        /// The newest first.
        reply: Reply<Vec<(TaskId, MoveTask)>>,
    },
    /// Count the active ones of this shard.
    Count {
        /// Whose.
        account: AccountId,
        /// How many.
        reply: Reply<u64>,
    },
}

/// A queue as somebody sees it who reads its rows.
pub struct Viewed {
    /// The queue.
    pub info: Arc<QueueInfo>,
    /// What its rows do not say.
    pub view: View,
    /// Tells the number that the next message gets, whenever that changes; ends with the queue.
    pub arrivals: Option<watch::Receiver<Seq>>,
}

/// A command for one queue.
pub struct Apply {
    /// Which queue.
    pub key: QueueKey,
    /// Its identity, when the command speaks of messages of one certain queue: if another one has
    /// the name by now, the queue does not exist.
    pub queue: Option<QueueId>,
    /// What to do.
    pub command: Command,
    /// For a receive that may wait.
    pub patience: Option<Patience>,
    /// The outcome.
    pub reply: Reply<Parcel>,
}

/// How long a receive may wait.
pub struct Patience {
    /// On the boot clock.
    pub until: Duration,
    /// Its share of the bound on parked polls.
    pub permit: Option<OwnedSemaphorePermit>,
}

/// An outcome on its way to the request's task. Messages in a parcel that nobody opens go back to
/// their queue.
pub struct Parcel {
    /// The slot of the queue that answered.
    pub slot: Slot,
    /// The queue that answered.
    pub queue: QueueId,
    key: QueueKey,
    outcome: Option<Outcome>,
    way_back: Option<SyncSender<Request>>,
}

impl Parcel {
    pub(super) fn new(
        info: &QueueInfo,
        outcome: Outcome,
        way_back: Option<SyncSender<Request>>,
    ) -> Parcel {
        let (slot, queue, key) = (info.slot, info.id, info.key.clone());
        Parcel { slot, queue, key, outcome: Some(outcome), way_back }
    }

    /// What came out.
    pub fn open(mut self) -> Outcome {
        self.outcome.take().expect("a parcel is full until it is opened, which uses it up")
    }

    /// What takes its messages back; `None` when there are none.
    pub(super) fn into_release(mut self) -> Option<Request> {
        self.release()
    }

    fn release(&mut self) -> Option<Request> {
        let Some(Outcome::Received(messages)) = self.outcome.take() else { return None };
        if messages.is_empty() {
            return None;
        }
        let receipts = messages
            .iter()
            .map(|message| Receipt { place: message.place, nonce: message.nonce })
            .collect();
        Some(Request::Release { key: self.key.clone(), queue: self.queue, receipts })
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Some(release) = self.release()
            && let Some(way_back) = &self.way_back
        {
            // When even this fails the messages come back after their visibility timeout.
            let _ = way_back.try_send(release);
        }
    }
}
