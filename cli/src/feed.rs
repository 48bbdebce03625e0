//! Sends any number of messages: read one after the other, sent in batches, several at once, with
//! never more than a few batches in memory. A FIFO group keeps its order, because it keeps its lane.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::time::Duration;

use stanchion_sdk::{BatchFailure, Client, Error, SendMessageBatch};
use tokio::sync::{mpsc, watch};

use crate::interrupt::Interrupt;
use crate::line::Line;

/// Messages of a batch.
const BATCH: usize = 10;

/// Bytes of a batch, with room for what belongs to it beside the messages.
const BATCH_BYTES: usize = (1 << 20) - (16 << 10);

/// Messages that wait for a lane.
const WAITING: usize = 2 * BATCH;

/// How long a batch that is not full waits for more: input that trickles is sent as it comes.
const LINGER: Duration = Duration::from_millis(5);

/// Attempts at a message that the server failed at, beside those that the client makes of a batch.
const ATTEMPTS: u32 = 5;

/// What was read: a message, or a line that is none, as it is and why.
pub(crate) type Read = Result<Line, (String, String)>;

/// What happens on the way.
#[derive(Debug)]
pub(crate) enum Event {
    /// So many were sent.
    Sent(u64),
    /// The server refused this one.
    Refused(Box<Line>),
    /// This line is no message.
    Unreadable {
        /// As it was read.
        line: String,
        /// What is wrong with it.
        why: String,
    },
    /// Not tried: the feed has stopped.
    Left(Box<Line>),
    /// Nothing goes any more, for this reason. Comes once.
    Broken(Error),
}

/// How to send.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    /// Where from.
    pub(crate) client: Client,
    /// Where to.
    pub(crate) queue: Arc<str>,
    /// Batches at once.
    pub(crate) lanes: usize,
    /// Read on when stopped, to say what is left.
    pub(crate) says_what_is_left: bool,
}

impl Feed {
    /// Begins; the events end when everything was read and answered. `interrupt` stops it.
    pub(crate) fn start(
        self,
        lines: impl Iterator<Item = Read> + Send + 'static,
        mut interrupt: Interrupt,
    ) -> mpsc::Receiver<Event> {
        let (events, told) = mpsc::channel(WAITING);
        let stop = Stop(Arc::new(watch::Sender::new(false)));
        let (lanes, inputs): (Vec<_>, Vec<_>) =
            (0..self.lanes.max(1)).map(|_| mpsc::channel(WAITING)).unzip();
        for lines in inputs {
            let lane = Lane {
                client: self.client.clone(),
                queue: self.queue.clone(),
                stop: stop.clone(),
                lines,
                held: None,
                to_the_end: self.says_what_is_left,
                events: events.clone(),
            };
            tokio::spawn(lane.run());
        }
        let fifo = crate::queues::is_fifo(&self.queue);
        let asked = stop.clone();
        tokio::spawn(async move {
            interrupt.asked().await;
            asked.set();
        });
        // A thread of its own that nobody waits for: standard input may never say anything again. So
        // it does not keep the events from ending either.
        let events = events.downgrade();
        let to_the_end = self.says_what_is_left;
        std::thread::spawn(move || read(lines, &lanes, &events, &stop, fifo, to_the_end));
        told
    }
}

/// Whether to stop.
#[derive(Clone, Debug)]
struct Stop(Arc<watch::Sender<bool>>);

impl Stop {
    /// Says whether it was the first to say so.
    fn set(&self) -> bool {
        !self.0.send_replace(true)
    }

    fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    async fn wait(&self) {
        // It does not end before it is dropped, which it is not while we have it.
        let _ = self.0.subscribe().wait_for(|stop| *stop).await;
    }
}

fn read(
    lines: impl Iterator<Item = Read>,
    lanes: &[mpsc::Sender<Line>],
    events: &mpsc::WeakSender<Event>,
    stop: &Stop,
    fifo: bool,
    to_the_end: bool,
) {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let mut count = 0;
    for line in lines {
        if stop.is_set() && !to_the_end {
            return;
        }
        let gone = match line {
            Ok(line) => {
                let place = match &line.group {
                    Some(group) if fifo => hasher.hash_one(group) as usize,
                    _ => count / BATCH,
                };
                count += 1;
                lanes[place % lanes.len()].blocking_send(line).is_err()
            }
            Err((line, why)) => events.upgrade().is_none_or(|events| {
                events.blocking_send(Event::Unreadable { line, why }).is_err()
            }),
        };
        // Nobody is there any more.
        if gone {
            return;
        }
    }
}

/// Sends one batch after the other.
struct Lane {
    client: Client,
    queue: Arc<str>,
    stop: Stop,
    lines: mpsc::Receiver<Line>,
    /// Did not fit into the last batch.
    held: Option<Line>,
    /// Takes what is left when stopped.
    to_the_end: bool,
    events: mpsc::Sender<Event>,
}

impl Lane {
    async fn run(mut self) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                return;
            }
            self.deliver(batch).await;
        }
    }

    async fn tell(&self, event: Event) {
        // Who has stopped listening wants to know nothing more.
        let _ = self.events.send(event).await;
    }

    /// A batch, an empty one at the end.
    async fn gather(&mut self) -> Vec<Line> {
        let first = match self.held.take() {
            Some(line) => Some(line),
            None => tokio::select! {
                line = self.lines.recv() => line,
                () = self.stop.wait(), if !self.to_the_end => {
                    self.lines.close();
                    self.lines.recv().await
                }
            },
        };
        let Some(first) = first else { return Vec::new() };
        let mut size = first.size();
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(Some(line)) = tokio::time::timeout(LINGER, self.lines.recv()).await
        {
            size += line.size();
            if size > BATCH_BYTES {
                self.held = Some(line);
                break;
            }
            batch.push(line);
        }
        batch
    }

    async fn deliver(&self, batch: Vec<Line>) {
        let mut batches = VecDeque::from([(batch, 1)]);
        while let Some((batch, attempt)) = batches.pop_front() {
            if self.stop.is_set() {
                for line in batch {
                    self.tell(Event::Left(line.into())).await;
                }
                continue;
            }
            match self.send(batch).await {
                Sent::Answered { again } if again.is_empty() => {}
                Sent::Answered { again } => {
                    tokio::time::sleep(LINGER * 20 * (1 << attempt)).await;
                    let (exhausted, again) = match attempt < ATTEMPTS {
                        true => (Vec::new(), again),
                        false => (again, Vec::new()),
                    };
                    for line in exhausted {
                        self.tell(Event::Refused(line.into())).await;
                    }
                    if !again.is_empty() {
                        batches.push_front((again, attempt + 1));
                    }
                }
                // Which of them is at fault is found one by one, in order.
                Sent::Malformed(batch) => {
                    for line in batch.into_iter().rev() {
                        batches.push_front((vec![line], attempt));
                    }
                }
                Sent::Broken(batch, error) => {
                    if self.stop.set() {
                        self.tell(Event::Broken(error)).await;
                    }
                    batches.push_front((batch, attempt));
                }
            }
        }
    }

    async fn send(&self, batch: Vec<Line>) -> Sent {
        let mut sending = Vec::with_capacity(batch.len());
        let mut entries = Vec::with_capacity(batch.len());
        for mut line in batch {
            match line.entry(sending.len().to_string()) {
                Ok(entry) => {
                    entries.push(entry);
                    sending.push(line);
                }
                Err(why) => {
                    line.error = Some(why);
                    self.tell(Event::Refused(line.into())).await;
                }
            }
        }
        if entries.is_empty() {
            return Sent::Answered { again: Vec::new() };
        }
        let request = SendMessageBatch { queue_url: self.queue.to_string(), entries };
        let reply = match self.client.send_message_batch(request).await {
            Ok(reply) => reply,
            Err(error) if is_about_messages(&error) => {
                if sending.len() > 1 {
                    return Sent::Malformed(sending);
                }
                for mut line in sending {
                    line.error = Some(error.to_string());
                    self.tell(Event::Refused(line.into())).await;
                }
                return Sent::Answered { again: Vec::new() };
            }
            Err(error) => return Sent::Broken(sending, error),
        };
        self.tell(Event::Sent(reply.successful.len() as u64)).await;
        let mut again = Vec::new();
        let failure = |place: usize, failed: &[BatchFailure]| {
            failed.iter().find(|failure| failure.id == place.to_string()).cloned()
        };
        for (place, mut line) in sending.into_iter().enumerate() {
            let Some(failure) = failure(place, &reply.failed) else { continue };
            let message = failure.message.unwrap_or_default();
            line.error = Some(format!("{}: {message}", failure.code));
            match failure.sender_fault {
                true => self.tell(Event::Refused(line.into())).await,
                false => again.push(line),
            }
        }
        Sent::Answered { again }
    }
}

/// How a batch went.
enum Sent {
    /// The server did what it could; these may go better next time.
    Answered { again: Vec<Line> },
    /// The server took offence at the batch as a whole, because of one of these.
    Malformed(Vec<Line>),
    /// No batch will go any more.
    Broken(Vec<Line>, Error),
}

/// Whether the server refused what was in the batch, and not whoever sends or where to.
fn is_about_messages(error: &Error) -> bool {
    const OF_MESSAGES: &[&str] = &[
        "BatchRequestTooLong",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "InvalidParameterCombination",
        "MissingParameter",
        "MissingRequiredParameterException",
        "UnsupportedOperation",
        "ValidationError",
        "ValidationException",
    ];
    error.code().is_some_and(|code| OF_MESSAGES.contains(&code))
}
