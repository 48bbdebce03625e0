//! The task of a producer: takes what is accepted, has the batcher make batches of it, sends them, and
//! hands out the answers.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    task::{Id, JoinError, JoinSet},
    time,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Room,
    batcher::{Batcher, Limits},
    delivery::{Delivery, Entry, Progress, Sent},
    error::SendError,
    outgoing::Outgoing,
};
use crate::{Error, SendMessageBatch, actions::batches::SendMessageBatchReply, waits::until};

/// How many messages are taken in one go.
const TAKEN_MAX: usize = 256;

/// A message that room was found for.
#[derive(Debug)]
pub(super) struct Accepted {
    /// The group that it keeps its place in, if it does.
    pub(super) lane: Option<String>,
    pub(super) bytes: usize,
    pub(super) message: Outgoing,
    pub(super) accepted_at: Instant,
    pub(super) give_up_at: Instant,
    pub(super) answer: oneshot::Sender<Result<Sent, SendError>>,
}

/// Whom to tell, and what room to give back.
#[derive(Debug)]
struct Ticket {
    bytes: usize,
    answer: oneshot::Sender<Result<Sent, SendError>>,
}

type Answer = Result<SendMessageBatchReply, Error>;

pub(super) struct Driver<S> {
    batcher: Batcher<Waiting>,
    queue_url: String,
    input: mpsc::UnboundedReceiver<Accepted>,
    room: Arc<Room>,
    send: S,
    requests: JoinSet<Answer>,
    /// What each request is about. It stays here, so that a request that panics loses nobody.
    deliveries: HashMap<Id, Delivery<Ticket>>,
}

/// What the batcher holds of a message; it has the lane itself.
#[derive(Debug)]
struct Waiting {
    message: Outgoing,
    give_up_at: Instant,
    ticket: Ticket,
}

impl<S, F> Driver<S>
where
    S: Fn(SendMessageBatch) -> F,
    F: Future<Output = Answer> + Send + 'static,
{
    pub(super) fn new(
        limits: Limits,
        queue_url: String,
        input: mpsc::UnboundedReceiver<Accepted>,
        room: Arc<Room>,
        send: S,
    ) -> Driver<S> {
        Driver {
            batcher: Batcher::new(limits),
            queue_url,
            input,
            room,
            send,
            requests: JoinSet::new(),
            deliveries: HashMap::new(),
        }
    }

    /// Runs until all producers are gone or `closing` is told, and everything taken has its answer.
    /// `closed` says so when it is dropped.
    pub(super) async fn run(mut self, closing: CancellationToken, closed: DropGuard) {
        let mut open = true;
        let mut taken = Vec::new();
        loop {
            while let Some(batch) = self.batcher.take(Instant::now()) {
                let entries = batch.into_iter().map(|batched| Entry {
                    lane: batched.lane,
                    message: batched.message.message,
                    give_up_at: batched.message.give_up_at,
                    ticket: batched.message.ticket,
                });
                self.launch(Delivery::new(entries.collect()), Duration::ZERO);
            }
            if !open && self.batcher.is_idle() {
                break;
            }
            let deadline = self.batcher.deadline();
            tokio::select! {
                count = self.input.recv_many(&mut taken, TAKEN_MAX), if open => {
                    if count == 0 {
                        open = false;
                        self.batcher.hurry();
                    }
                    for accepted in taken.drain(..) {
                        self.accept(accepted);
                    }
                }
                Some(ended) = self.requests.join_next_with_id() => self.ended(ended),
                () = until(deadline), if deadline.is_some() => {}
                () = closing.cancelled(), if open && !self.input.is_closed() => {
                    // What was sent to us before is still received.
                    self.input.close();
                    self.batcher.hurry();
                }
            }
        }
        drop(closed);
    }

    fn accept(&mut self, accepted: Accepted) {
        let Accepted { lane, bytes, message, accepted_at, give_up_at, answer } = accepted;
        let waiting = Waiting { message, give_up_at, ticket: Ticket { bytes, answer } };
        self.batcher.push(lane.as_deref().unwrap_or_default(), bytes, accepted_at, waiting);
    }

    /// Sends what a delivery has left, after a pause.
    fn launch(&mut self, delivery: Delivery<Ticket>, pause: Duration) {
        let answer = (self.send)(delivery.request(&self.queue_url));
        let task = self.requests.spawn(async move {
            if !pause.is_zero() {
                time::sleep(pause).await;
            }
            answer.await
        });
        self.deliveries.insert(task.id(), delivery);
    }

    fn ended(&mut self, ended: Result<(Id, Answer), JoinError>) {
        let (id, answer) = match ended {
            Ok((id, answer)) => (id, Some(answer)),
            Err(error) => (error.id(), None),
        };
        let mut delivery =
            self.deliveries.remove(&id).expect("every request is about a delivery, and ends once");
        // Nothing is known of a request that panicked: as if its answer mentioned no message.
        let answer = answer.unwrap_or_else(|| Ok(SendMessageBatchReply::default()));
        let Progress { settled, again_after } =
            delivery.settle(answer, Instant::now(), fastrand::f64());
        for (entry, result) in settled {
            self.batcher.settle(&entry.lane);
            self.room.leave(entry.ticket.bytes);
            // Who no longer waits for the answer does not want it.
            let _ = entry.ticket.answer.send(result);
        }
        match again_after {
            Some(pause) => self.launch(delivery, pause),
            None => self.batcher.finish_batch(),
        }
    }
}
