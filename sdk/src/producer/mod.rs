//! Sends messages of many tasks in few requests: fills batches by count, bytes and time, keeps the
//! order within message groups, tells every sender what became of its message, and makes senders
//! wait when the service cannot keep up.
//!
//! `batcher.rs` decides what goes out together and `delivery.rs` what an answer means, both without
//! clock or client; `driver.rs` is the task around them.

mod batcher;
mod delivery;
mod driver;
mod error;
mod outgoing;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Client, Error, SendMessageBatch, actions::batches::SendMessageBatchReply, waits::WAIT_MAX,
};

pub use delivery::Sent;
pub use error::SendError;
pub use outgoing::Outgoing;

use batcher::Limits;
use driver::{Accepted, Driver};

/// What one request may weigh at most, in bytes. Source: facts sheet, 9.
const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How many messages one request may have at most.
const BATCH_MESSAGES_MAX: usize = 10;

/// Sends to one queue, for as many tasks as like to. Cheap to clone; all clones are one producer.
///
/// [`send`](Self::send) waits until the service has the message; [`enqueue`](Self::enqueue) only
/// until there is room for it, and has the answer later. A future that is dropped takes nothing
/// back: what was taken is sent. When the last clone is dropped, what was taken is still sent in the
/// background; [`close`](Self::close) waits for it.
///
/// **Order.** On a FIFO queue, messages of one group are enqueued in the order in which they were
/// taken: while some are under way, or wait to be sent again, later ones of the group wait. Two
/// things are left to the sender. A message that is refused for good does not hold back those after
/// it. And the service goes on after an entry of a batch that it fails with, so of messages of one
/// group *in one batch* a later one may overtake the one that is sent again;
/// [`max_batch_messages(1)`](ProducerBuilder::max_batch_messages) rules that out.
///
/// **Twice.** A request without an answer is repeated, so a standard queue may have a message
/// twice, as it may anyway. A FIFO queue drops the second one by its deduplication id.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use stanchion_sdk::{Client, Outgoing, Producer};
///
/// let client = Client::from_env().await?;
/// let producer = Producer::builder(client, "orders.fifo").build();
/// let sent = producer.send(Outgoing::new("one").group("customer-7").dedup_id("order-1")).await?;
/// println!("{}", sent.message_id);
/// producer.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Producer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    accepted: mpsc::UnboundedSender<Accepted>,
    room: Arc<Room>,
    ordered: bool,
    generate_dedup_ids: bool,
    delivery_timeout: Duration,
    /// Told to send what it has and end.
    closing: CancellationToken,
    /// It has ended.
    closed: CancellationToken,
}

/// What is left of the bounds. A permit is taken when a message is, and put back with its answer.
#[derive(Debug)]
struct Room {
    messages: Semaphore,
    bytes: Semaphore,
    bytes_max: u32,
}

/// How a [`Producer`] is to work.
#[derive(Clone, Debug)]
pub struct ProducerBuilder {
    client: Client,
    queue_url: String,
    limits: Limits,
    buffered_messages: usize,
    buffered_bytes: u32,
    delivery_timeout: Duration,
    generate_dedup_ids: bool,
}

impl ProducerBuilder {
    /// Messages in one request: 1 to 10, by default 10.
    #[must_use]
    pub fn max_batch_messages(mut self, messages: usize) -> Self {
        self.limits.batch_messages = messages.clamp(1, BATCH_MESSAGES_MAX);
        self
    }

    /// Bytes in one request, as [`Outgoing::size`] counts: at most and by default 1 MiB. A message
    /// that is larger goes alone, and the service decides.
    #[must_use]
    pub fn max_batch_bytes(mut self, bytes: usize) -> Self {
        self.limits.batch_bytes = bytes.clamp(1, BATCH_BYTES_MAX);
        self
    }

    /// How long a message waits for others to share a request with, by default 5 ms. With 0 a
    /// message goes at once while fewer than [`max_in_flight`](Self::max_in_flight) requests are
    /// under way, and those that come meanwhile share the next one.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.limits.linger = linger.min(WAIT_MAX);
        self
    }

    /// Requests under way at the same time: at least 1, by default 8.
    #[must_use]
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.limits.batches_in_flight = requests.max(1);
        self
    }

    /// How many messages are held until they have their answers, by default 10,000. Who sends more
    /// waits.
    #[must_use]
    pub fn max_buffered_messages(mut self, messages: usize) -> Self {
        self.buffered_messages = messages.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How many bytes of messages are held until they have their answers, by default 64 MiB. Who
    /// sends more waits; a message that is larger by itself has to wait for all others.
    #[must_use]
    pub fn max_buffered_bytes(mut self, bytes: u32) -> Self {
        let max = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        self.buffered_bytes = bytes.clamp(1, max);
        self
    }

    /// How long a message is tried again after failures that may pass, counted from when it was
    /// taken, by default 2 minutes. With 0 it is tried once. The client's own retries and time-outs
    /// come on top. A FIFO queue knows a repetition for five minutes: what is tried again for longer
    /// can be there twice.
    #[must_use]
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.delivery_timeout = timeout.min(WAIT_MAX);
        self
    }

    /// Gives messages to a FIFO queue that have no deduplication id one of their own, so that a
    /// repeated request cannot double them although the queue does not compare bodies. Do not use it
    /// where the queue shall.
    #[must_use]
    pub fn generate_dedup_ids(mut self) -> Self {
        self.generate_dedup_ids = true;
        self
    }

    /// Starts the producer.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn build(self) -> Producer {
        let client = self.client.clone();
        self.build_over(move |request| {
            let client = client.clone();
            async move { client.send_message_batch(request).await }
        })
    }

    /// The same with something else in the client's place.
    fn build_over<S, F>(self, send: S) -> Producer
    where
        S: Fn(SendMessageBatch) -> F + Send + 'static,
        F: Future<Output = Result<SendMessageBatchReply, Error>> + Send + 'static,
    {
        let (accepted, input) = mpsc::unbounded_channel();
        let room = Arc::new(Room {
            messages: Semaphore::new(self.buffered_messages),
            bytes: Semaphore::new(self.buffered_bytes as usize),
            bytes_max: self.buffered_bytes,
        });
        let shared = Shared {
            accepted,
            room: room.clone(),
            ordered: self.queue_url.ends_with(".fifo"),
            generate_dedup_ids: self.generate_dedup_ids,
            delivery_timeout: self.delivery_timeout,
            closing: CancellationToken::new(),
            closed: CancellationToken::new(),
        };
        let driver = Driver::new(self.limits, self.queue_url, input, room, send);
        tokio::spawn(driver.run(shared.closing.clone(), shared.closed.clone().drop_guard()));
        Producer { shared: Arc::new(shared) }
    }
}

impl Producer {
    /// A producer for a queue, given by its URL.
    pub fn builder(client: Client, queue_url: impl Into<String>) -> ProducerBuilder {
        ProducerBuilder {
            client,
            queue_url: queue_url.into(),
            limits: Limits {
                batch_messages: BATCH_MESSAGES_MAX,
                batch_bytes: BATCH_BYTES_MAX,
                linger: Duration::from_millis(5),
                batches_in_flight: 8,
            },
            buffered_messages: 10_000,
            buffered_bytes: 64 * 1024 * 1024,
            delivery_timeout: Duration::from_secs(120),
            generate_dedup_ids: false,
        }
    }

    /// Sends a message and waits until the service has it.
    ///
    /// # Errors
    /// [`SendError`] says what became of it.
    pub async fn send(&self, message: impl Into<Outgoing>) -> Result<Sent, SendError> {
        self.enqueue(message).await?.await
    }

    /// Has a message sent, and waits only until there is room for it. What became of it, the
    /// returned future knows.
    ///
    /// Messages of one task are taken in the order of its calls.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn enqueue(&self, message: impl Into<Outgoing>) -> Result<Pending, SendError> {
        let mut message = message.into();
        let shared = &*self.shared;
        if shared.ordered && shared.generate_dedup_ids && message.dedup_id.is_none() {
            message.dedup_id = Some(Uuid::new_v4().to_string());
        }
        let bytes = message.size();
        shared.room.enter(bytes).await?;
        let (answer, pending) = oneshot::channel();
        let accepted_at = Instant::now();
        let accepted = Accepted {
            // Only a FIFO queue keeps an order; the groups of a fair queue are about something else.
            lane: if shared.ordered { message.group_id.clone() } else { None },
            bytes,
            message,
            accepted_at,
            give_up_at: accepted_at + shared.delivery_timeout,
            answer,
        };
        shared.accepted.send(accepted).map_err(|_| SendError::Closed)?;
        Ok(Pending(pending))
    }

    /// Takes no more messages, sends at once what was taken, and waits until all of it has its
    /// answers. May be called more than once, on any clone.
    pub async fn close(&self) {
        self.shared.room.close();
        self.shared.closing.cancel();
        self.shared.closed.cancelled().await;
    }
}

/// What became of a message, in the future. Dropped, the message is sent all the same.
#[derive(Debug)]
#[must_use = "this is where failures are told"]
pub struct Pending(oneshot::Receiver<Result<Sent, SendError>>);

impl Future for Pending {
    type Output = Result<Sent, SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.0).poll(context);
        answer.map(|answer| answer.unwrap_or(Err(SendError::Unknown)))
    }
}

impl Room {
    /// Waits for room, and takes it.
    async fn enter(&self, bytes: usize) -> Result<(), SendError> {
        let message = self.messages.acquire().await.map_err(|_| SendError::Closed)?;
        let bytes = self.bytes.acquire_many(self.weight(bytes)).await;
        bytes.map_err(|_| SendError::Closed)?.forget();
        message.forget();
        Ok(())
    }

    fn leave(&self, bytes: usize) {
        self.messages.add_permits(1);
        self.bytes.add_permits(self.weight(bytes) as usize);
    }

    fn close(&self) {
        self.messages.close();
        self.bytes.close();
    }

    /// A message that is larger than all the room takes all of it, or it would wait for ever.
    fn weight(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.bytes_max)
    }
}

#[cfg(test)]
mod tests;
