//! What a handler is given.

use std::{fmt, slice, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::message::Message;

/// A message as it was received by this worker.
#[derive(Clone)]
pub struct Delivery {
    /// The queue, as the worker was given it.
    pub queue: Arc<str>,
    /// The message.
    pub message: Arc<Message>,
    pub(super) lost: CancellationToken,
}

impl Delivery {
    /// A message that was received by other means, or made up for a test.
    pub fn new(queue: impl Into<Arc<str>>, message: Message) -> Delivery {
        let message = Arc::new(message);
        Delivery { queue: queue.into(), message, lost: CancellationToken::new() }
    }

    /// Cancelled when the message is not the worker's any more: its visibility timeout ran out, so
    /// somebody else may be handling it, and whatever the handler says will be dropped. On a FIFO
    /// queue the handler is dropped as well.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.message.message_id;
        f.debug_struct("Delivery").field("queue", &self.queue).field("message_id", id).finish()
    }
}

/// What layers can ask of a request, be it one message or a batch.
pub trait Work {
    /// The messages, at least one.
    fn deliveries(&self) -> &[Delivery];
}

impl Work for Delivery {
    fn deliveries(&self) -> &[Delivery] {
        slice::from_ref(self)
    }
}

impl Work for Vec<Delivery> {
    fn deliveries(&self) -> &[Delivery] {
        self
    }
}
