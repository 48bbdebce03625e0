//! Looking into a queue without touching it: pages of messages as they are, and the tail of what
//! arrives.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::core::ShardCore;
use super::handle::Shards;
use super::request::{Request, Viewed};
use super::walk::{Cursor, Found, Keep, Walk, Wanted};
use crate::error::Error;
use crate::model::fifo::Seq;
use crate::model::filter::Filter;
use crate::model::message::PeekedMessage;
use crate::model::queue::{QueueId, QueueKey};
use crate::model::time::{Millis, Timestamp};
use crate::store::StoreError;
use crate::store::keys::slot_of;

/// What is in flight or returned comes from the shard's own thread, so many at a time: some twenty
/// microseconds of its time.
pub(super) const VIEW_DELIVERIES_MAX: usize = 500;

/// Rows one call looks at.
const CALL_ROWS_MAX: usize = 20_000;

/// How long one call looks.
const CALL_TIME_MAX: Duration = Duration::from_millis(40);

/// A look into a queue.
#[derive(Clone, Debug)]
pub struct Peek {
    /// Which messages to show.
    pub filter: Filter,
    /// Where to begin.
    pub start: Start,
    /// At most so many messages.
    pub max: usize,
    /// Stops after the message that reaches so many bytes.
    pub bytes_max: usize,
    /// How long to wait, at the end of the queue, for a first one that is to be shown.
    pub wait: Millis,
}

/// Where a look begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the oldest message.
    Oldest,
    /// With the next that arrives.
    Now,
    /// Where the page ended that came with this token.
    Token(String),
}

/// What a look has shown.
#[derive(Clone, Debug)]
pub struct Peeked<T> {
    /// In the order of their arrival, those sent with a delay of their own behind the others.
    pub messages: Vec<T>,
    /// Where to go on.
    pub token: String,
    /// Whether there was nothing more; the token then is for what arrives later.
    pub at_end: bool,
}

/// What somebody wants to see of a message. Made where the rows are read, so that whoever serves
/// other requests need not do it.
pub trait Show: Send + 'static {
    /// Makes it.
    fn show(message: PeekedMessage) -> Self;
}

/// A message that is shown.
struct Shown<T> {
    message: T,
    /// Bytes of its row.
    bytes: usize,
}

impl<T: Show> Keep for Shown<T> {
    fn keep(found: Found) -> Shown<T> {
        Shown { message: T::show(found.peeked), bytes: found.bytes }
    }

    fn weight(&self) -> usize {
        self.bytes
    }
}

/// How far a walk through a queue came in one call.
pub(super) struct Walked<K> {
    pub(super) found: Vec<K>,
    pub(super) queue: QueueId,
    pub(super) cursor: Cursor,
    pub(super) at_end: bool,
}

impl<K> Walked<K> {
    pub(super) fn token(&self) -> String {
        self.cursor.to_token(self.queue)
    }
}

impl Shards {
    /// Shows messages of a queue as they are: nothing changes, and there are no handles. The work of
    /// a call is bounded, so a page may be empty although there is more behind it.
    ///
    /// Fails with `InvalidParameter` for a token that is none of this queue's, and with
    /// `ServiceUnavailable` when too many look or wait.
    pub async fn peek<T: Show>(&self, key: &QueueKey, peek: Peek) -> Result<Peeked<T>, Error> {
        let Peek { filter, start, max, bytes_max, wait } = peek;
        let walked = self.walk::<Shown<T>>(key, self.wanted(filter, max, bytes_max), start, wait);
        let walked = walked.await?;
        let (token, at_end) = (walked.token(), walked.at_end);
        let messages = walked.found.into_iter().map(|shown| shown.message).collect();
        Ok(Peeked { messages, token, at_end })
    }

    pub(super) fn wanted(&self, filter: Filter, max: usize, bytes_max: usize) -> Arc<Wanted> {
        let group = filter.group.as_deref().map(|group| self.inner.ids.group(group));
        Arc::new(Wanted { filter, group, max, bytes_max })
    }

    /// Walks through a queue, as far as one call goes.
    pub(super) async fn walk<K: Keep + Send + 'static>(
        &self,
        key: &QueueKey,
        wanted: Arc<Wanted>,
        start: Start,
        wait: Millis,
    ) -> Result<Walked<K>, Error> {
        let queue = self.find(key).ok_or(Error::QueueDoesNotExist)?.id;
        let mut cursor = match start {
            Start::Oldest => Cursor::default(),
            Start::Now => Cursor::at(self.view(key, queue, Seq::MAX, false).await?.view.end),
            Start::Token(token) => Cursor::from_token(&token, queue)
                .ok_or_else(|| Error::InvalidParameter("Invalid or expired next token.".into()))?,
        };
        let patience = match wait {
            Millis(0) => None,
            wait => Some((self.inner.poll_permit()?, self.boot() + Duration::from_millis(wait.0))),
        };
        loop {
            let mut walk = Walk::new(Arc::clone(&wanted), cursor, CALL_ROWS_MAX);
            let end = self.walk_once(key, queue, &mut walk, patience.is_some()).await?;
            cursor = walk.cursor;
            let walked =
                Walked { found: walk.found, queue, cursor, at_end: matches!(end, End::Queue(..)) };
            let (End::Queue(seq, arrivals), Some((_, until))) = (end, &patience) else {
                return Ok(walked);
            };
            let left = until.saturating_sub(self.boot());
            if !walked.found.is_empty() || !arrive(seq, arrivals, left).await {
                return Ok(walked);
            }
        }
    }

    /// Walks until it has enough, has done enough, or is at the end.
    async fn walk_once<K: Keep + Send + 'static>(
        &self,
        key: &QueueKey,
        queue: QueueId,
        walk: &mut Walk<K>,
        tail: bool,
    ) -> Result<End, Error> {
        let mut left = CALL_TIME_MAX;
        loop {
            let Viewed { info, view, arrivals } =
                self.view(key, queue, walk.cursor.first(), tail).await?;
            let nothing = Walk::new(Arc::clone(&walk.wanted), walk.cursor, 0);
            let mut work = std::mem::replace(walk, nothing);
            let inner = Arc::clone(&self.inner);
            let (done, view, took) = self
                .inner
                .browser
                .run(move || {
                    // Time spent in line is not its own.
                    let started = inner.time.boot();
                    let took = || inner.time.boot().saturating_sub(started);
                    let result = work.go_on(&*inner.store, &info, &view, &|| left <= took());
                    (result.map(|()| work), view, took())
                })
                .await?;
            *walk = done.map_err(odd_row)?;
            left = left.saturating_sub(took);
            match (walk.is_through(&view), view.is_whole()) {
                (true, true) => return Ok(End::Queue(view.end, arrivals)),
                // One view did not reach far enough.
                (true, false) if !walk.is_over() && left > Duration::ZERO => {}
                _ => return Ok(End::Budget),
            }
        }
    }

    async fn view(
        &self,
        key: &QueueKey,
        queue: QueueId,
        from: Seq,
        tail: bool,
    ) -> Result<Viewed, Error> {
        let (key, queue) = (key.clone(), Some(queue));
        self.ask(slot_of(&key), |reply| Request::View { key, queue, from, tail, reply }).await
    }

    fn boot(&self) -> Duration {
        self.inner.time.boot()
    }
}

/// Why a walk ended.
enum End {
    /// It has enough, or has done enough.
    Budget,
    /// There was nothing behind it; the next message gets this number.
    Queue(Seq, Option<watch::Receiver<Seq>>),
}

/// Waits for a message with this number, so long; `false` when none came.
async fn arrive(seq: Seq, arrivals: Option<watch::Receiver<Seq>>, left: Duration) -> bool {
    let Some(mut arrivals) = arrivals else { return false };
    let arrived = timeout(left, arrivals.wait_for(|next| seq < *next)).await;
    // It ends before its time when the queue is deleted or the server stops: nothing will come.
    matches!(arrived, Ok(Ok(_)))
}

/// A row that would not be read: now, or not at all.
pub(super) fn odd_row(error: StoreError) -> Error {
    match error {
        StoreError::Unavailable(_) => Error::ServiceUnavailable("The store is busy.".into()),
        error => Error::Internal(error.to_string().into()),
    }
}

impl ShardCore {
    /// What somebody must know of a queue who reads its rows.
    pub(super) fn view(
        &mut self,
        now: Timestamp,
        key: &QueueKey,
        queue: Option<QueueId>,
        from: Seq,
        tail: bool,
    ) -> Result<Viewed, Error> {
        let index = self.resolve(key, queue).ok_or(Error::QueueDoesNotExist)?;
        let hosted = self.queues[index].as_mut().ok_or(Error::QueueDoesNotExist)?;
        let view = hosted.queue.view(from, VIEW_DELIVERIES_MAX, now);
        // A server that drains lets nobody wait.
        let tail = tail && !self.options.draining.load(Ordering::Acquire);
        let arrivals = tail.then(|| {
            hosted.arrivals.get_or_insert_with(|| watch::Sender::new(view.end)).subscribe()
        });
        Ok(Viewed { info: Arc::clone(&hosted.info), view, arrivals })
    }

    /// Wakes those who follow the tail of a queue, when something has arrived; forgets them when
    /// they have left.
    pub(super) fn tell_of_arrivals(&mut self, index: usize) {
        let Some(hosted) = &mut self.queues[index] else { return };
        let next = hosted.queue.next_seq();
        hosted.arrivals.take_if(|arrivals| arrivals.is_closed());
        if let Some(arrivals) = &hosted.arrivals {
            arrivals.send_if_modified(|seq| std::mem::replace(seq, next) != next);
        }
    }

    /// Lets those go who follow a tail.
    pub(super) fn end_tails(&mut self) {
        for hosted in self.queues.iter_mut().flatten() {
            hosted.arrivals = None;
        }
    }
}
