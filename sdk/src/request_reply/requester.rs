//! The side that asks.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{CORRELATION_ID, EXPIRE_AFTER_IDLE, REPLY_TO, pending::Pending};
use crate::{
    Client, CreateQueue, DeleteMessageBatch, Error, Message, Outgoing, Producer, ReceiveMessage,
    SendError, actions::queues::DeleteQueue,
};

/// How long one receive waits for replies. Source: facts sheet, 5.6.
const POLL: Duration = Duration::from_secs(20);

/// The pause after a receive that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// A reply that was received by an answer that got lost comes again soon, while somebody waits for it.
const REPLY_VISIBILITY_S: u64 = 3;

/// How long the service keeps a message, and Stanchion a queue that nobody uses, in seconds. Source:
/// facts sheet, 3.1.
const KEPT_S: RangeInclusive<u64> = 60..=14 * 24 * 60 * 60;

/// Sends requests to one queue and waits for their replies. Cheap to clone; all clones share a reply
/// queue.
///
/// The reply queue is made when the requester is built, with a name nobody else has. At Stanchion it
/// has the attribute `Stanchion.ExpireAfterIdle`, so the server deletes it when the requester is gone
/// without a word; where that attribute is not known, as at Amazon, queues stay and only
/// [`close`](Self::close) deletes it. The requester polls it all the time, which keeps it; should it
/// be deleted nevertheless, it is made again.
///
/// A request may reach the replier twice, like any message. A second reply is dropped, and so is one
/// that comes after its time.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use stanchion_sdk::{Client, request_reply::Requester};
///
/// let requester = Requester::builder(Client::from_env().await?, "prices").build().await?;
/// let reply = requester.request("what does it cost?").await?;
/// println!("{}", reply.body);
/// requester.close().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Requester {
    client: Client,
    requests: Producer,
    reply_queue_url: Arc<str>,
    pending: Pending,
    room: Arc<Semaphore>,
    timeout: Duration,
    poller: Arc<Poller>,
}

/// The task that receives replies; it ends with the last requester.
#[derive(Debug)]
struct Poller {
    stop: CancellationToken,
    tracker: TaskTracker,
}

/// Why there is no reply.
#[derive(Clone, Debug, Error)]
pub enum RequestError {
    /// None came in time, or there was no room for the request in time. A replier may have got the
    /// request all the same.
    #[error("no reply within {0:?}")]
    Timeout(Duration),
    /// The request was not sent.
    #[error("the request was not sent")]
    Send(#[source] SendError),
    /// The requester is closed.
    #[error("the requester is closed")]
    Closed,
}

impl From<SendError> for RequestError {
    fn from(error: SendError) -> RequestError {
        match error {
            SendError::Closed => RequestError::Closed,
            error => RequestError::Send(error),
        }
    }
}

/// How a [`Requester`] is to work.
#[derive(Clone, Debug)]
pub struct RequesterBuilder {
    client: Client,
    request_queue_url: String,
    reply_queue_prefix: String,
    idle_expiry: Duration,
    timeout: Duration,
    max_in_flight: usize,
}

impl RequesterBuilder {
    /// What the name of the reply queue begins with, by default `replies`; a hyphen and 36 characters
    /// follow.
    #[must_use]
    pub fn reply_queue_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.reply_queue_prefix = prefix.into();
        self
    }

    /// After how long Stanchion deletes a reply queue that nobody polls any more, in whole seconds,
    /// from a minute to 14 days and by default 5 minutes.
    #[must_use]
    pub fn idle_expiry(mut self, expiry: Duration) -> Self {
        self.idle_expiry = expiry;
        self
    }

    /// How long to wait for a reply, from the call on, by default 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many requests may wait for replies at the same time, by default 1,000; further ones wait
    /// for room.
    #[must_use]
    pub fn max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Makes the reply queue and begins to poll it.
    ///
    /// # Errors
    /// When the queue cannot be made.
    pub async fn build(self) -> Result<Requester, Error> {
        let (queue, reply_queue_url) = self.make_reply_queue().await?;
        let requests = Producer::builder(self.client.clone(), self.request_queue_url)
            // Requests are waited for: they share a batch only with those that come while one is
            // under way.
            .linger(Duration::ZERO)
            .delivery_timeout(self.timeout)
            .generate_dedup_ids()
            .build();
        let stop = CancellationToken::new();
        let pending = Pending::default();
        let tracker = TaskTracker::new();
        let replies = Replies {
            client: self.client.clone(),
            queue,
            queue_url: reply_queue_url.clone(),
            pending: pending.clone(),
        };
        tracker.spawn(replies.run(stop.clone()));
        tracker.close();
        Ok(Requester {
            client: self.client,
            requests,
            reply_queue_url: reply_queue_url.into(),
            pending,
            room: Arc::new(Semaphore::new(self.max_in_flight)),
            timeout: self.timeout,
            poller: Arc::new(Poller { stop, tracker }),
        })
    }

    /// The reply queue as it can be made again, and its URL.
    async fn make_reply_queue(&self) -> Result<(CreateQueue, String), Error> {
        let legal = |time: Duration| time.as_secs().clamp(*KEPT_S.start(), *KEPT_S.end());
        let lasting = CreateQueue::new(format!("{}-{}", self.reply_queue_prefix, Uuid::new_v4()))
            .attribute("MessageRetentionPeriod", legal(self.timeout))
            .attribute("VisibilityTimeout", REPLY_VISIBILITY_S);
        if !self.client.is_amazon() {
            let expiring = lasting.clone().attribute(EXPIRE_AFTER_IDLE, legal(self.idle_expiry));
            match self.client.create_queue(expiring.clone()).await {
                Err(error) if error.code() == Some("InvalidAttributeName") => {}
                Err(error) => return Err(error),
                Ok(reply) => return Ok((expiring, reply.queue_url)),
            }
        }
        let queue_url = self.client.create_queue(lasting.clone()).await?.queue_url;
        Ok((lasting, queue_url))
    }
}

impl Requester {
    /// A requester that sends to the queue with a URL.
    pub fn builder(client: Client, request_queue_url: impl Into<String>) -> RequesterBuilder {
        RequesterBuilder {
            client,
            request_queue_url: request_queue_url.into(),
            reply_queue_prefix: "replies".into(),
            idle_expiry: Duration::from_secs(300),
            timeout: Duration::from_secs(30),
            max_in_flight: 1000,
        }
    }

    /// Sends a request and waits for its reply. The request may have eight attributes of its own. A
    /// future that is dropped no longer waits; the request may be handled nevertheless.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn request(&self, request: impl Into<Outgoing>) -> Result<Message, RequestError> {
        let replied = self.request_within(request.into());
        match time::timeout(self.timeout, replied).await {
            Ok(replied) => replied,
            Err(_) => Err(RequestError::Timeout(self.timeout)),
        }
    }

    async fn request_within(&self, request: Outgoing) -> Result<Message, RequestError> {
        let _room: OwnedSemaphorePermit =
            self.room.clone().acquire_owned().await.map_err(|_| RequestError::Closed)?;
        let mut place = self.pending.enter();
        let request = request
            .attribute(CORRELATION_ID, place.id.to_string())
            .attribute(REPLY_TO, &*self.reply_queue_url);
        let sent = self.requests.enqueue(request).await?;
        // The reply may be here before the answer that the request was taken.
        tokio::select! {
            biased;
            reply = &mut place.reply => reply.map_err(|_| RequestError::Closed),
            Err(error) = sent => Err(error.into()),
            () = self.poller.stop.cancelled() => Err(RequestError::Closed),
        }
    }

    /// The queue that replies come to.
    pub fn reply_queue_url(&self) -> &str {
        &self.reply_queue_url
    }

    /// Sends and waits for nothing more, and deletes the reply queue. Requests that still wait get
    /// [`RequestError::Closed`].
    ///
    /// # Errors
    /// When the queue cannot be deleted. At Stanchion it goes later by itself.
    pub async fn close(&self) -> Result<(), Error> {
        self.room.close();
        self.poller.stop.cancel();
        self.requests.close().await;
        self.poller.tracker.wait().await;
        let delete = DeleteQueue { queue_url: self.reply_queue_url.to_string() };
        match self.client.delete_queue(delete).await {
            Err(error) if !error.is_queue_missing() => Err(error),
            _ => Ok(()),
        }
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Receives replies and hands them to who waits.
struct Replies {
    client: Client,
    queue: CreateQueue,
    queue_url: String,
    pending: Pending,
}

impl Replies {
    async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.poll()).await;
    }

    async fn poll(self) {
        let mut handled = Vec::new();
        loop {
            // What came last is deleted while the next receive is under way already.
            let receive = ReceiveMessage::new(&self.queue_url).max(10).wait(POLL);
            let (received, ()) =
                tokio::join!(self.client.receive_message(receive), self.delete(handled));
            handled = match received {
                Ok(received) => received.messages.into_iter().map(|m| self.settle(m)).collect(),
                Err(error) => {
                    self.recover(error).await;
                    Vec::new()
                }
            };
        }
    }

    /// Hands a reply over; returns its receipt handle.
    fn settle(&self, reply: Message) -> String {
        let handle = reply.receipt_handle.clone();
        let id = reply.attribute(CORRELATION_ID).unwrap_or_default().to_owned();
        if !self.pending.settle(&id, reply) {
            tracing::debug!(id, "a reply that nobody waits for");
        }
        handle
    }

    async fn delete(&self, handles: Vec<String>) {
        if handles.is_empty() {
            return;
        }
        let request = DeleteMessageBatch::new(&self.queue_url, handles);
        // What is not deleted comes again, and nobody waits for it.
        if let Err(error) = self.client.delete_message_batch(request).await {
            tracing::debug!(%error, "replies were not deleted");
        }
    }

    async fn recover(&self, error: Error) {
        tracing::warn!(%error, queue = self.queue_url, "replies cannot be received");
        if error.is_queue_missing()
            && let Err(error) = self.client.create_queue(self.queue.clone()).await
        {
            tracing::warn!(%error, queue = self.queue_url, "the reply queue cannot be made again");
        }
        time::sleep(PAUSE).await;
    }
}
