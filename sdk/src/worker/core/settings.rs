//! What a worker is told when it begins.

use std::time::Duration;

/// How many entries a batch may have; also how many messages a receive may ask for.
pub(crate) const BATCH_MAX: usize = 10;

/// How long after its receive a message may be hidden, less than SQS' 43,200 seconds: those began
/// when the server sent the answer, not when it was read here.
pub(crate) const HOLD_MAX: Duration = Duration::from_secs(43_190);

/// Receives at once for one queue.
pub(crate) const RECEIVES_MAX: usize = 16;

/// Messages that wait to be deleted or released, beyond which nothing more is received.
pub(crate) const SETTLING_MAX: usize = 1_000;

/// How long a credit waits for others, so that a receive asks for several messages.
pub(crate) const CREDIT_LINGER: Duration = Duration::from_millis(5);

/// How long receives are waited for when the worker stops. What still waits then waits on an empty
/// queue: one that has messages answers at once.
pub(crate) const RECEIVE_GRACE: Duration = Duration::from_secs(1);

/// The longest pause after failed receives or settlements.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What is the same for all queues.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Handlers at once.
    pub(crate) slots: usize,
    /// Messages to hold beyond what the slots take.
    pub(crate) prefetch: usize,
    /// Messages per call of the handler.
    pub(crate) batch: usize,
    /// How long a message waits for its batch to fill.
    pub(crate) batch_linger: Duration,
    /// How long a receive and each heartbeat hide a message. Whole seconds, at least two.
    pub(crate) visibility: Duration,
    /// How long heartbeats go on, from the receive.
    pub(crate) hold: Duration,
    /// How long a long poll waits.
    pub(crate) wait: Duration,
    /// How long a deletion waits for others.
    pub(crate) linger: Duration,
    /// How long handlers have after the first stop.
    pub(crate) drain: Duration,
    /// How long everything has after the second.
    pub(crate) stop: Duration,
    /// The queues.
    pub(crate) queues: Vec<QueueSettings>,
}

/// What is said of one queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueueSettings {
    /// Its share among queues of the same priority. At least one.
    pub(crate) weight: u32,
    /// Queues of a lower priority wait until those of a higher one are empty.
    pub(crate) priority: i32,
    /// Whether its groups are kept in order.
    pub(crate) fifo: bool,
}

impl Settings {
    /// How many messages the worker has a place for.
    pub(crate) fn capacity(&self) -> usize {
        self.slots * self.batch + self.prefetch
    }

    /// How much earlier than the server a message is taken for lost: its time began when it left the
    /// server, ours when it arrived.
    pub(crate) fn margin(&self) -> Duration {
        (self.visibility / 10).min(Duration::from_secs(1))
    }
}
