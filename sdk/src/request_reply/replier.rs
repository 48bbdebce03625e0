//! The side that answers.

use std::{fmt::Display, sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{sync::Semaphore, task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use super::{CORRELATION_ID, REPLY_TO};
use crate::{Client, DeleteMessage, Error, Message, Outgoing, ReceiveMessage};

/// How long one receive waits for requests. Source: facts sheet, 5.6.
const POLL: Duration = Duration::from_secs(20);

/// The pause after a receive that failed.
const PAUSE: Duration = Duration::from_millis(500);

/// How many messages one receive has at most.
const RECEIVE_MAX: u32 = 10;

/// Sends replies to requests.
///
/// [`run`](Self::run) answers the requests of a queue; [`reply`](Self::reply) answers one that
/// was received by other means, such as a worker, which keeps long requests from coming again. The
/// reply goes wherever the request says: who lets strangers send requests gives the replier's
/// credentials no more than `sqs:SendMessage` on reply queues.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use stanchion_sdk::{Client, Message, Outgoing, request_reply::Replier};
/// use tokio_util::sync::CancellationToken;
///
/// let replier = Replier::builder(Client::from_env().await?).concurrency(16).build();
/// let stop = CancellationToken::new();
/// replier
///     .run("prices", stop, |request: Message| async move {
///         Ok::<_, std::io::Error>(Outgoing::new(format!("re: {}", request.body)))
///     })
///     .await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Replier {
    client: Client,
    concurrency: usize,
}

/// How a [`Replier`] is to work.
#[derive(Clone, Debug)]
pub struct ReplierBuilder(Replier);

/// Why a request has no reply.
#[derive(Clone, Debug, Error)]
pub enum ReplyError {
    /// The message does not say which request it is, or where to reply to.
    #[error("the message is no request")]
    NoRequest,
    /// The reply queue is gone, and with it who asked.
    #[error("nobody waits for the reply any more")]
    RequesterGone,
    /// The reply was not sent.
    #[error("the reply was not sent")]
    Send(#[source] Error),
}

impl ReplierBuilder {
    /// How many requests are handled at the same time, by default 10.
    #[must_use]
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.0.concurrency = requests.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// The replier.
    pub fn build(self) -> Replier {
        self.0
    }
}

impl Replier {
    /// A replier that receives and sends with `client`.
    pub fn builder(client: Client) -> ReplierBuilder {
        ReplierBuilder(Replier { client, concurrency: 10 })
    }

    /// Sends the reply to one request. The reply may have nine attributes of its own. The request
    /// itself remains to be deleted.
    ///
    /// # Errors
    /// [`ReplyError`].
    pub async fn reply(
        &self,
        request: &Message,
        reply: impl Into<Outgoing>,
    ) -> Result<(), ReplyError> {
        let id = request.attribute(CORRELATION_ID).ok_or(ReplyError::NoRequest)?;
        let reply_to = request.attribute(REPLY_TO).ok_or(ReplyError::NoRequest)?;
        let mut reply = reply.into().attribute(CORRELATION_ID, id);
        if let Some(header) = request.trace_header()
            && reply.message_system_attributes.is_empty()
        {
            reply = reply.trace_header(header);
        }
        match self.client.send_message(reply.to_queue(reply_to)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_queue_missing() => Err(ReplyError::RequesterGone),
            Err(error) => Err(ReplyError::Send(error)),
        }
    }

    /// Answers the requests of a queue until `stop` is cancelled, then finishes those it has.
    ///
    /// A request is deleted when its reply is sent. When the handler fails or panics, or the reply
    /// cannot be sent, the request comes again after the visibility timeout of its queue, which must
    /// be longer than a handler takes. So does a message that is no request, which no handler sees,
    /// until the queue's redrive policy removes it. A request whose requester is gone is deleted.
    pub async fn run<H, F, R, E>(
        &self,
        request_queue_url: impl Into<String>,
        stop: CancellationToken,
        handler: H,
    ) where
        H: Fn(Message) -> F + Send + Sync + 'static,
        F: Future<Output = Result<R, E>> + Send + 'static,
        R: Into<Outgoing> + Send + 'static,
        E: Display + Send + 'static,
    {
        let queue_url: Arc<str> = request_queue_url.into().into();
        let handler = Arc::new(handler);
        let mut handling = JoinSet::new();
        let polling = async {
            loop {
                while handling.try_join_next().is_some() {}
                // No more is received than can be handled at once.
                while handling.len() >= self.concurrency {
                    handling.join_next().await;
                }
                let free = u32::try_from(self.concurrency - handling.len()).unwrap_or(u32::MAX);
                let receive =
                    ReceiveMessage::new(&*queue_url).max(free.min(RECEIVE_MAX)).wait(POLL);
                match self.client.receive_message(receive).await {
                    Ok(received) => {
                        for request in received.messages {
                            let one =
                                self.clone().handle(queue_url.clone(), handler.clone(), request);
                            handling.spawn(one);
                        }
                    }
                    Err(error) => {
                        tracing::warn!(%error, queue = &*queue_url, "requests cannot be received");
                        time::sleep(PAUSE).await;
                    }
                }
            }
        };
        // What a receive brings that is broken off here comes again after its visibility timeout.
        stop.run_until_cancelled(polling).await;
        while handling.join_next().await.is_some() {}
    }

    async fn handle<H, F, R, E>(self, queue_url: Arc<str>, handler: Arc<H>, request: Message)
    where
        H: Fn(Message) -> F,
        F: Future<Output = Result<R, E>>,
        R: Into<Outgoing>,
        E: Display,
    {
        if !is_request(&request) {
            tracing::warn!(id = request.message_id, "a message is no request");
            return;
        }
        let replied = match handler(request.clone()).await {
            Ok(reply) => self.reply(&request, reply).await,
            Err(error) => {
                tracing::warn!(%error, id = request.message_id, "a request failed");
                return;
            }
        };
        if let Err(error) = &replied {
            tracing::warn!(%error, id = request.message_id, "a request has no reply");
        }
        if matches!(replied, Err(ReplyError::Send(_))) {
            return;
        }
        let delete = DeleteMessage::new(&*queue_url, &request.receipt_handle);
        if let Err(error) = self.client.delete_message(delete).await {
            tracing::warn!(%error, id = request.message_id, "a request was not deleted");
        }
    }
}

fn is_request(message: &Message) -> bool {
    [CORRELATION_ID, REPLY_TO].iter().all(|name| message.attribute(name).is_some())
}
