//! What a worker is made of.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::{
    Layer, Service, ServiceExt as _, service_fn,
    util::{MapErr, MapResponse, ServiceFn},
};

use super::core::{BATCH_MAX, Core, HOLD_MAX, QueueSettings, Settings};
use super::handler::{Many, One, Serve};
use super::{
    Backoff, BoxError, Delivery, Drained, Outcome, Permanent, Worker, WorkerMetrics, handle::Wish,
};
use crate::Client;
use crate::waits::WAIT_MAX;

/// A queue that a worker takes messages from. A URL or a name becomes one by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    url: String,
    weight: u32,
    priority: i32,
}

impl Source {
    /// A queue, by its URL or its name. A name that ends in `.fifo` is a FIFO queue's, whose groups
    /// are kept in order.
    pub fn new(url: impl Into<String>) -> Source {
        Source { url: url.into(), weight: 1, priority: 0 }
    }

    /// Its share of what is received, beside those of other queues of its priority: 1 to 1,000, by
    /// default 1.
    pub fn weight(mut self, weight: u32) -> Source {
        self.weight = weight;
        self
    }

    /// Strict priority: nothing is received from it while a queue of a higher one has messages. 0 by
    /// default.
    pub fn priority(mut self, priority: i32) -> Source {
        self.priority = priority;
        self
    }
}

impl<T: Into<String>> From<T> for Source {
    fn from(url: T) -> Source {
        Source::new(url)
    }
}

/// Why a worker cannot be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// It has no queue.
    #[error("a worker needs a queue")]
    NoQueue,
    /// It may handle nothing.
    #[error("concurrency and batch size are at least 1, and a batch has at most {BATCH_MAX}")]
    NoRoom,
    /// Every queue needs a place to receive into.
    #[error(
        "{queues} queues need room for as many messages: raise the concurrency or the prefetch"
    )]
    TooManyQueues {
        /// How many there are.
        queues: usize,
    },
    /// The visibility timeout must leave time for a heartbeat, and SQS allows 12 hours.
    #[error("the visibility timeout lies between 2 seconds and 12 hours")]
    Visibility,
    /// A weight is out of range.
    #[error("a weight lies between 1 and 1,000")]
    Weight,
}

/// Makes a [`Worker`].
#[derive(Debug)]
#[must_use = "a builder does nothing by itself"]
pub struct WorkerBuilder<H> {
    handler: H,
    parts: Parts,
}

/// Everything but the handler.
#[derive(Debug)]
struct Parts {
    client: Client,
    sources: Vec<Source>,
    slots: usize,
    prefetch: usize,
    batch_linger: Duration,
    visibility: Duration,
    hold: Duration,
    wait: Duration,
    linger: Duration,
    drain: Duration,
    stop: Duration,
    policy: Policy,
    stop_on: CancellationToken,
    metrics: Arc<WorkerMetrics>,
}

/// What is made of handlers that fail.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    pub(super) backoff: Backoff,
    pub(super) timeout: Option<Duration>,
    pub(super) is_permanent: fn(&BoxError) -> bool,
}

/// What stands for the handler until there is one.
#[derive(Clone, Copy, Debug)]
pub struct NoHandler;

/// A function as a handler.
pub type FnHandler<F, O, E> =
    MapErr<MapResponse<ServiceFn<F>, fn(O) -> Outcome>, fn(E) -> BoxError>;

impl WorkerBuilder<NoHandler> {
    pub(super) fn new(client: Client) -> WorkerBuilder<NoHandler> {
        let parts = Parts {
            client,
            sources: Vec::new(),
            slots: 10,
            prefetch: 0,
            batch_linger: Duration::ZERO,
            visibility: Duration::from_secs(30),
            hold: HOLD_MAX,
            wait: Duration::from_secs(20),
            linger: Duration::from_millis(20),
            drain: Duration::from_secs(20),
            stop: Duration::from_secs(5),
            policy: Policy {
                backoff: Backoff::default(),
                timeout: None,
                is_permanent: |error| error.is::<Permanent>(),
            },
            stop_on: CancellationToken::new(),
            metrics: Arc::default(),
        };
        WorkerBuilder { handler: NoHandler, parts }
    }

    /// Handles messages one by one with an async function of [`Delivery`]. It returns an
    /// [`Outcome`], or `()` for [`Outcome::Done`]; an error is a failure.
    pub fn handler<F, Fut, O, E>(self, handler: F) -> WorkerBuilder<One<FnHandler<F, O, E>>>
    where
        F: FnMut(Delivery) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<O, E>> + Send + 'static,
        O: Into<Outcome>,
        E: Into<BoxError>,
    {
        let into_outcome: fn(O) -> Outcome = O::into;
        let into_error: fn(E) -> BoxError = E::into;
        self.service(service_fn(handler).map_response(into_outcome).map_err(into_error))
    }

    /// Handles messages one by one with a tower service. It is cloned for each message.
    pub fn service<S>(self, service: S) -> WorkerBuilder<One<S>>
    where
        S: Service<Delivery>,
    {
        WorkerBuilder { handler: One { service }, parts: self.parts }
    }

    /// Handles up to `size` (1 to 10) messages at once with an async function, which returns an
    /// [`Outcome`] for each, in their order. One that is missing is a failure of its message, an error
    /// one of all. A batch has messages of one queue; of a FIFO queue of one group, in order, and the
    /// function is to leave what comes after a failure.
    pub fn batch_handler<F, Fut, E>(
        self,
        size: usize,
        handler: F,
    ) -> WorkerBuilder<Many<ServiceFn<F>>>
    where
        F: FnMut(Vec<Delivery>) -> Fut + Clone + Send + 'static,
        Fut: Future<Output = Result<Vec<Outcome>, E>> + Send + 'static,
        E: Into<BoxError>,
    {
        self.batch_service(size, service_fn(handler))
    }

    /// The same, with a tower service.
    pub fn batch_service<S>(self, size: usize, service: S) -> WorkerBuilder<Many<S>>
    where
        S: Service<Vec<Delivery>>,
    {
        WorkerBuilder { handler: Many { service, size }, parts: self.parts }
    }
}

impl<S> WorkerBuilder<One<S>> {
    /// Puts a tower layer around the handler, and around the layers given before.
    pub fn layer<L: Layer<S>>(self, layer: L) -> WorkerBuilder<One<L::Service>> {
        let handler = One { service: layer.layer(self.handler.service) };
        WorkerBuilder { handler, parts: self.parts }
    }
}

impl<S> WorkerBuilder<Many<S>> {
    /// Puts a tower layer around the handler, and around the layers given before.
    pub fn layer<L: Layer<S>>(self, layer: L) -> WorkerBuilder<Many<L::Service>> {
        let Many { service, size } = self.handler;
        let handler = Many { service: layer.layer(service), size };
        WorkerBuilder { handler, parts: self.parts }
    }
}

impl<H> WorkerBuilder<H> {
    /// Takes messages from this queue as well.
    pub fn queue(mut self, queue: impl Into<Source>) -> Self {
        self.parts.sources.push(queue.into());
        self
    }

    /// How many handlers run at once: 10 by default.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.parts.slots = handlers;
        self
    }

    /// How many messages are received beyond what handlers are free for: none by default. They wait
    /// here, hidden from other workers; that pays where handlers are shorter than a receive.
    pub fn prefetch(mut self, messages: usize) -> Self {
        self.parts.prefetch = messages;
        self
    }

    /// How long a batch that is not full waits for more: not at all by default.
    pub fn batch_linger(mut self, linger: Duration) -> Self {
        self.parts.batch_linger = linger;
        self
    }

    /// How long messages are hidden, by the receive and by each heartbeat: 30 seconds by default, in
    /// whole seconds from 2 on. What a worker held that died comes again after this time.
    pub fn visibility(mut self, visibility: Duration) -> Self {
        self.parts.visibility = visibility;
        self
    }

    /// How long heartbeats keep a message, from its receive on: by default, and at most, the 12 hours
    /// of SQS.
    pub fn hold_at_most(mut self, hold: Duration) -> Self {
        self.parts.hold = hold;
        self
    }

    /// How long a poll waits for a message: 20 seconds by default, which is the most.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.parts.wait = wait;
        self
    }

    /// How long deletions and releases wait for others, to be one request: 20 ms by default.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.parts.linger = linger;
        self
    }

    /// How long a message stays away that failed.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.parts.policy.backoff = backoff;
        self
    }

    /// How long a handler may take; then it is dropped, and its message has failed. No limit by
    /// default.
    pub fn handler_timeout(mut self, timeout: Duration) -> Self {
        self.parts.policy.timeout = Some(timeout);
        self
    }

    /// Which errors no retry helps against: their messages go to the dead-letter queue. By default
    /// those that are [`Permanent`].
    pub fn permanent_if(mut self, is_permanent: fn(&BoxError) -> bool) -> Self {
        self.parts.policy.is_permanent = is_permanent;
        self
    }

    /// How long handlers may go on after the first stop: 20 seconds by default.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.parts.drain = timeout;
        self
    }

    /// How long everything may take after the second: 5 seconds by default.
    pub fn stop_timeout(mut self, timeout: Duration) -> Self {
        self.parts.stop = timeout;
        self
    }

    /// Stops the worker, as [`WorkerHandle::stop`](super::WorkerHandle::stop) does, when this token is
    /// cancelled.
    pub fn stop_on(mut self, token: CancellationToken) -> Self {
        self.parts.stop_on = token;
        self
    }

    /// Counts and measures into these figures, rather than into its own.
    pub fn metrics(mut self, metrics: Arc<WorkerMetrics>) -> Self {
        self.parts.metrics = metrics;
        self
    }
}

impl<H: Serve> WorkerBuilder<H> {
    /// Makes the worker, which does nothing until it is run.
    pub fn build(self) -> Result<Worker, BuildError> {
        let WorkerBuilder { handler, parts } = self;
        let settings = parts.settings(handler.size())?;
        let urls = parts.sources.into_iter().map(|source| source.url.into()).collect();
        let (wish, _) = watch::channel(Wish::default());
        Ok(Worker {
            client: parts.client,
            urls,
            handler: Box::new(handler),
            core: Core::new(settings.clone()),
            settings,
            policy: parts.policy,
            stop_on: parts.stop_on,
            wish: Arc::new(wish),
            metrics: parts.metrics,
        })
    }

    /// Makes the worker and runs it until SIGTERM or SIGINT:
    /// [`Worker::run_until_signal`].
    pub async fn run(self) -> Result<Drained, BuildError> {
        Ok(self.build()?.run_until_signal().await)
    }
}

impl Parts {
    fn settings(&self, batch: usize) -> Result<Settings, BuildError> {
        let queues = self.sources.len();
        let is_weight = |source: &Source| (1..=1_000).contains(&source.weight);
        let visibility = Duration::from_secs(self.visibility.as_secs());
        let refused = match () {
            () if queues == 0 => Some(BuildError::NoQueue),
            () if self.slots == 0 || !(1..=BATCH_MAX).contains(&batch) => Some(BuildError::NoRoom),
            () if self.slots * batch + self.prefetch < queues => {
                Some(BuildError::TooManyQueues { queues })
            }
            () if visibility < Duration::from_secs(2) || visibility > HOLD_MAX => {
                Some(BuildError::Visibility)
            }
            () if !self.sources.iter().all(is_weight) => Some(BuildError::Weight),
            () => None,
        };
        let queue = |source: &Source| QueueSettings {
            weight: source.weight,
            priority: source.priority,
            fifo: source.url.ends_with(".fifo"),
        };
        match refused {
            Some(error) => Err(error),
            None => Ok(Settings {
                slots: self.slots,
                prefetch: self.prefetch,
                batch,
                batch_linger: self.batch_linger.min(WAIT_MAX),
                visibility,
                hold: self.hold.min(HOLD_MAX),
                wait: self.wait.min(Duration::from_secs(20)),
                linger: self.linger.min(WAIT_MAX),
                drain: self.drain.min(WAIT_MAX),
                stop: self.stop.min(WAIT_MAX),
                queues: self.sources.iter().map(queue).collect(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builder() -> WorkerBuilder<NoHandler> {
        let client = Client::builder().endpoint("http://127.0.0.1:1").unsigned();
        Worker::builder(client.build().expect("nothing is missing"))
    }

    async fn nothing(_: Delivery) -> Result<(), BoxError> {
        Ok(())
    }

    #[test]
    fn what_cannot_work_is_said_before_it_runs() {
        let refused = |builder: WorkerBuilder<NoHandler>| builder.handler(nothing).build().err();
        assert_eq!(refused(builder()), Some(BuildError::NoQueue));
        assert_eq!(refused(builder().queue("a").concurrency(0)), Some(BuildError::NoRoom));
        let two = builder().queue("a").queue("b").concurrency(1);
        assert_eq!(refused(two), Some(BuildError::TooManyQueues { queues: 2 }));
        let short = builder().queue("a").visibility(Duration::from_millis(1_900));
        assert_eq!(refused(short), Some(BuildError::Visibility));
        let weight = builder().queue(Source::new("a").weight(0));
        assert_eq!(refused(weight), Some(BuildError::Weight));
        assert_eq!(refused(builder().queue("a")), None);
        let batch = |size| {
            builder()
                .queue("a")
                .batch_handler(size, |_| async { Ok::<Vec<Outcome>, BoxError>(Vec::new()) })
        };
        let endless = batch(10).drain_timeout(Duration::MAX).linger(Duration::MAX).build();
        let settings = endless.expect("a wait has no bound").settings;
        assert!(settings.drain < Duration::MAX && settings.linger < Duration::MAX);
        assert_eq!(batch(11).build().err(), Some(BuildError::NoRoom));
        assert_eq!(batch(10).build().err(), None);
    }
}
