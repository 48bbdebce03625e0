//! Carries out what the core says: with the client, with tokio, and with the handler.

use std::{
    any::Any,
    collections::HashMap,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::builder::Policy;
use super::calls::Remote;
use super::core::{
    Answer, Arrival, Core, Decision, Effect, Ending, Event, JobId, QueueId, ReceiveId, Settings,
    Ticket,
};
use super::handle::{Stop, Wish};
use super::handler::Serve;
use super::outcome::clean_reason;
use super::{BoxError, Delivery, Drained, Outcome, Worker, WorkerMetrics};
use crate::waits::until;
use crate::{Error, Message};

/// A worker at work.
pub(super) struct Driver {
    core: Core,
    settings: Settings,
    queues: Vec<Arc<Remote>>,
    handler: Box<dyn Serve>,
    policy: Policy,
    metrics: Arc<WorkerMetrics>,
    began: Instant,
    /// Everything under way; each tells what came of it.
    tasks: JoinSet<Report>,
    /// What gives up a receive.
    receives: HashMap<ReceiveId, CancellationToken>,
    jobs: HashMap<JobId, Job>,
    held: HashMap<Ticket, Held>,
    tickets: u64,
    abandoned: usize,
}

/// A call of the handler.
struct Job {
    tickets: Vec<Ticket>,
    began: Instant,
    /// Drops the handler.
    drop: CancellationToken,
}

/// A message in the worker's hands.
struct Held {
    delivery: Delivery,
    received: Instant,
    /// When its handler was over.
    decided: Option<Instant>,
    /// Why it is to be a dead letter.
    reason: Option<String>,
    /// What drops its handler when it is lost: of FIFO queues, where nobody else may begin while it
    /// runs.
    drop: Option<CancellationToken>,
}

/// What came of something that was under way.
enum Report {
    Received {
        receive: ReceiveId,
        queue: QueueId,
        result: Result<Vec<Message>, Error>,
        took: Duration,
    },
    Abandoned(ReceiveId),
    Handled {
        job: JobId,
        end: End,
    },
    Settled(Vec<(Ticket, Answer)>),
    Extended(Vec<(Ticket, Answer)>),
}

/// How a handler ended.
enum End {
    Outcomes(Vec<Outcome>),
    Error(BoxError),
    Panic(String),
    TimedOut,
    /// The worker dropped it.
    Dropped,
}

impl Driver {
    pub(super) fn new(worker: Worker) -> Driver {
        let client = worker.client;
        let remote = |url| Arc::new(Remote::new(client.clone(), url));
        Driver {
            core: worker.core,
            settings: worker.settings,
            queues: worker.urls.into_iter().map(remote).collect(),
            handler: worker.handler,
            policy: worker.policy,
            metrics: worker.metrics,
            began: Instant::now(),
            tasks: JoinSet::new(),
            receives: HashMap::new(),
            jobs: HashMap::new(),
            held: HashMap::new(),
            tickets: 0,
            abandoned: 0,
        }
    }

    pub(super) async fn run(
        mut self,
        mut wishes: watch::Receiver<Wish>,
        stop_on: CancellationToken,
    ) -> Drained {
        let mut heard = Wish::default();
        let wish = *wishes.borrow_and_update();
        self.tell(Event::Tick);
        self.heed(&mut heard, wish);
        while !self.core.is_finished() {
            let deadline = self.core.next_deadline().map(|at| (self.began + at).into_std());
            tokio::select! {
                Some(report) = self.tasks.join_next() => {
                    self.hear(report);
                    while let Some(report) = self.tasks.try_join_next() {
                        self.hear(report);
                    }
                }
                // The sender lives in this worker's handle, which `Worker::run` keeps.
                Ok(()) = wishes.changed() => {
                    let wish = *wishes.borrow_and_update();
                    self.heed(&mut heard, wish);
                }
                () = stop_on.cancelled(), if heard.stop == Stop::Not => {
                    let wish = Wish { stop: Stop::Drained, ..heard };
                    self.heed(&mut heard, wish);
                }
                // Without a deadline something is under way, or somebody has to wish for something.
                () = until(deadline), if deadline.is_some() => self.tell(Event::Tick),
            }
        }
        // What does not hear of its end is left behind.
        self.tasks.abort_all();
        Drained { abandoned: self.abandoned }
    }

    /// Tells the core what is wished for that was not before.
    fn heed(&mut self, heard: &mut Wish, wish: Wish) {
        if wish.stop > heard.stop {
            heard.stop = wish.stop;
            self.tell(if wish.stop == Stop::Now { Event::StopNow } else { Event::Stop });
        }
        if wish.is_paused != heard.is_paused {
            heard.is_paused = wish.is_paused;
            self.tell(if wish.is_paused { Event::Pause } else { Event::Resume });
        }
    }

    fn tell(&mut self, event: Event) {
        for effect in self.core.apply(self.began.elapsed(), event) {
            self.perform(effect);
        }
    }

    fn hear(&mut self, report: Result<Report, JoinError>) {
        // Handlers' panics are caught where they happen, and only a runtime that ends aborts tasks.
        let report = match report.map_err(JoinError::try_into_panic) {
            Ok(report) => report,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            Err(Err(_)) => return,
        };
        match report {
            Report::Received { receive, queue, result, took } => {
                self.received(receive, queue, result, took);
            }
            Report::Abandoned(receive) => {
                self.receives.remove(&receive);
                self.tell(Event::ReceiveFailed { receive });
            }
            Report::Handled { job, end } => self.handled(job, end),
            Report::Settled(results) => self.tell(Event::Settled { results }),
            Report::Extended(results) => {
                let done = results.iter().filter(|(_, answer)| *answer == Answer::Done).count();
                self.metrics.heartbeats.add(done as u64);
                self.tell(Event::Extended { results });
            }
        }
    }

    fn received(
        &mut self,
        receive: ReceiveId,
        queue: QueueId,
        result: Result<Vec<Message>, Error>,
        took: Duration,
    ) {
        self.receives.remove(&receive);
        let messages = match result {
            Ok(messages) => messages,
            Err(error) => {
                self.metrics.receive_failures.add(1);
                tracing::warn!(queue = &*self.queues[queue].url, %error, "a receive failed");
                return self.tell(Event::ReceiveFailed { receive });
            }
        };
        self.metrics.receives.add(1);
        self.metrics.received.add(messages.len() as u64);
        self.metrics.held.add(messages.len() as u64);
        if !messages.is_empty() {
            self.metrics.receive.record(took);
        }
        let is_fifo = self.settings.queues[queue].fifo;
        let now = SystemTime::now();
        let received = Instant::now();
        let mut arrivals = Vec::with_capacity(messages.len());
        for message in messages {
            if let Some(waited) = message.sent_at().and_then(|at| now.duration_since(at).ok()) {
                self.metrics.time_in_queue.record(waited);
            }
            self.tickets += 1;
            let ticket = Ticket(self.tickets);
            let group = message.group().filter(|_| is_fifo).map(Arc::from);
            arrivals.push(Arrival { ticket, group });
            let delivery = Delivery {
                queue: self.queues[queue].url.clone(),
                message: Arc::new(message),
                lost: CancellationToken::new(),
            };
            let held = Held { delivery, received, decided: None, reason: None, drop: None };
            self.held.insert(ticket, held);
        }
        self.tell(Event::Received { receive, messages: arrivals });
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Receive { receive, queue, max, wait } => {
                self.receive(receive, queue, max, wait);
            }
            Effect::Abandon { receive } => {
                if let Some(give_up) = self.receives.get(&receive) {
                    give_up.cancel();
                }
            }
            Effect::Start { job, queue, tickets } => self.start(job, queue, tickets),
            Effect::Abort { job } => {
                if let Some(job) = self.jobs.get(&job) {
                    job.drop.cancel();
                }
            }
            Effect::Extend { queue, entries } => {
                let (remote, entries) = (self.queues[queue].clone(), self.handles(entries));
                let span = tracing::debug_span!("extend", queue = &*remote.url);
                let task = async move { Report::Extended(remote.hide(entries).await) };
                self.tasks.spawn(task.instrument(span));
            }
            Effect::Release { queue, entries } => {
                let (remote, entries) = (self.queues[queue].clone(), self.handles(entries));
                let span = tracing::debug_span!("release", queue = &*remote.url);
                let task = async move { Report::Settled(remote.hide(entries).await) };
                self.tasks.spawn(task.instrument(span));
            }
            Effect::Delete { queue, tickets } => {
                let remote = self.queues[queue].clone();
                let entries = self.handles(tickets.into_iter().map(|ticket| (ticket, 0)).collect());
                let entries = entries.into_iter().map(|(ticket, handle, _)| (ticket, handle));
                let entries = entries.collect();
                let span = tracing::debug_span!("delete", queue = &*remote.url);
                let task = async move { Report::Settled(remote.delete(entries).await) };
                self.tasks.spawn(task.instrument(span));
            }
            Effect::DeadLetter { queue, ticket } => {
                let Some(held) = self.held.get(&ticket) else { return };
                let (remote, message) = (self.queues[queue].clone(), held.delivery.message.clone());
                let reason = held.reason.clone().unwrap_or_default();
                let span = tracing::debug_span!("dead_letter", queue = &*remote.url);
                let task = async move {
                    Report::Settled(vec![(ticket, remote.dead_letter(&message, &reason).await)])
                };
                self.tasks.spawn(task.instrument(span));
            }
            Effect::Ended { ticket, ending } => self.ended(ticket, ending),
            Effect::Finished => {}
        }
    }

    fn receive(&mut self, receive: ReceiveId, queue: QueueId, max: usize, wait: Duration) {
        let give_up = CancellationToken::new();
        self.receives.insert(receive, give_up.clone());
        let (remote, visibility) = (self.queues[queue].clone(), self.settings.visibility);
        let span = tracing::debug_span!("receive", queue = &*remote.url, max);
        let task = async move {
            let began = Instant::now();
            tokio::select! {
                biased;
                result = remote.receive(max, wait, visibility) => {
                    Report::Received { receive, queue, result, took: began.elapsed() }
                }
                () = give_up.cancelled() => Report::Abandoned(receive),
            }
        };
        self.tasks.spawn(task.instrument(span));
    }

    fn start(&mut self, job: JobId, queue: QueueId, tickets: Vec<Ticket>) {
        let drop = CancellationToken::new();
        let began = Instant::now();
        let mut deliveries = Vec::with_capacity(tickets.len());
        for ticket in &tickets {
            // The core starts what it holds, and it holds what is here.
            let Some(held) = self.held.get_mut(ticket) else { continue };
            self.metrics.wait.record(began - held.received);
            if self.settings.queues[queue].fifo {
                held.drop = Some(drop.clone());
            }
            deliveries.push(held.delivery.clone());
        }
        self.metrics.running.add(tickets.len() as u64);
        let work = AssertUnwindSafe(self.handler.serve(deliveries)).catch_unwind();
        let limit = self.policy.timeout;
        self.jobs.insert(job, Job { tickets, began, drop: drop.clone() });
        self.tasks.spawn(async move {
            let work = async move {
                let end = match limit {
                    Some(limit) => timeout(limit, work).await,
                    None => Ok(work.await),
                };
                match end {
                    Ok(Ok(Ok(outcomes))) => End::Outcomes(outcomes),
                    Ok(Ok(Err(error))) => End::Error(error),
                    Ok(Err(panic)) => End::Panic(panic_text(&*panic)),
                    Err(_) => End::TimedOut,
                }
            };
            tokio::select! {
                biased;
                end = work => Report::Handled { job, end },
                () = drop.cancelled() => Report::Handled { job, end: End::Dropped },
            }
        });
    }

    fn handled(&mut self, id: JobId, end: End) {
        let Some(job) = self.jobs.remove(&id) else { return };
        self.metrics.running.sub(job.tickets.len() as u64);
        self.metrics.handle.record(job.began.elapsed());
        let end = self.judge(end);
        let mut outcomes = match end {
            Judged::Outcomes(outcomes) => outcomes.into_iter().map(Some).collect(),
            Judged::All(outcome) => vec![Some(outcome); job.tickets.len()],
            Judged::Failed => Vec::new(),
        };
        outcomes.resize(job.tickets.len(), None);
        let decided = Instant::now();
        let mut decisions = Vec::with_capacity(job.tickets.len());
        for (ticket, outcome) in job.tickets.iter().zip(outcomes) {
            let Some(held) = self.held.get_mut(ticket) else {
                // Whose time ran out; said when it did.
                decisions.push(Decision::Ignore);
                continue;
            };
            held.decided = Some(decided);
            let count = held.delivery.message.receive_count();
            let after = || self.policy.backoff.delay(count, fastrand::f64());
            decisions.push(match outcome {
                None => Decision::Release(after()),
                Some(Outcome::Done) => Decision::Delete,
                Some(Outcome::Retry(after)) => Decision::Release(after),
                Some(Outcome::Ignore) => Decision::Ignore,
                Some(Outcome::DeadLetter(reason)) => {
                    held.reason = Some(clean_reason(&reason));
                    Decision::DeadLetter { fallback: after() }
                }
            });
        }
        self.tell(Event::Handled { job: id, decisions });
    }

    /// What the end of a handler means, counted and said.
    fn judge(&self, end: End) -> Judged {
        match end {
            End::Outcomes(outcomes) => {
                self.metrics.handled.add(1);
                Judged::Outcomes(outcomes)
            }
            End::Error(error) => {
                self.metrics.handled.add(1);
                self.metrics.errors.add(1);
                let is_permanent = (self.policy.is_permanent)(&error);
                tracing::warn!(%error, is_permanent, "a handler failed");
                match is_permanent {
                    true => Judged::All(Outcome::DeadLetter(error.to_string())),
                    false => Judged::Failed,
                }
            }
            End::Panic(text) => {
                self.metrics.panics.add(1);
                tracing::error!(panic = text, "a handler panicked");
                Judged::Failed
            }
            End::TimedOut => {
                self.metrics.timeouts.add(1);
                tracing::warn!(limit = ?self.policy.timeout, "a handler took too long");
                Judged::Failed
            }
            End::Dropped => Judged::All(Outcome::Retry(Duration::ZERO)),
        }
    }

    fn ended(&mut self, ticket: Ticket, ending: Ending) {
        let Some(held) = self.held.remove(&ticket) else { return };
        let metrics = &self.metrics;
        metrics.held.sub(1);
        match ending {
            Ending::Deleted => {
                metrics.deleted.add(1);
                if let Some(decided) = held.decided {
                    metrics.delete.record(decided.elapsed());
                }
            }
            Ending::Released => metrics.released.add(1),
            Ending::DeadLettered => metrics.dead_lettered.add(1),
            Ending::Ignored => {}
            Ending::Abandoned => self.abandoned += 1,
            Ending::Lost => {
                metrics.lost.add(1);
                let Delivery { queue, message, .. } = &held.delivery;
                tracing::warn!(
                    queue = &**queue,
                    message_id = message.message_id,
                    "a message is not ours any more: what its handler says is dropped"
                );
            }
        }
        if let Ending::Lost | Ending::Abandoned = ending {
            held.delivery.lost.cancel();
            if let Some(drop) = held.drop {
                drop.cancel();
            }
        }
    }

    fn handles(&self, entries: Vec<(Ticket, u32)>) -> Vec<(Ticket, String, u32)> {
        let handle = |(ticket, seconds)| {
            let held: &Held = self.held.get(&ticket)?;
            Some((ticket, held.delivery.message.receipt_handle.clone(), seconds))
        };
        entries.into_iter().filter_map(handle).collect()
    }
}

/// What a handler's end means for its messages.
enum Judged {
    /// One for each; those that are missing have failed.
    Outcomes(Vec<Outcome>),
    /// The same for all.
    All(Outcome),
    /// All have failed, and the back-off says when they come again.
    Failed,
}

/// What was said by who panicked.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("without a text").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake, Waker};

    use super::*;
    use crate::Client;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Alarm(AtomicUsize);

    impl Wake for Alarm {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn nothing(_: Delivery) -> Result<(), BoxError> {
        Ok(())
    }

    #[tokio::test]
    async fn a_worker_without_anything_to_do_sleeps_however_long_it_has_run() {
        let client = Client::builder().endpoint("http://127.0.0.1:1").unsigned().build().unwrap();
        let worker = Worker::builder(client).queue("q").handler(nothing).build().unwrap();
        let handle = worker.handle();
        let wishes = worker.wish.subscribe();
        handle.pause();
        let mut driver = Driver::new(worker);
        driver.core.apply(Duration::ZERO, Event::Pause);
        driver.began -= Duration::from_secs(2 * 3_600);
        let mut run = Box::pin(driver.run(wishes, CancellationToken::new()));
        let alarm = Arc::new(Alarm::default());
        let waker = Waker::from(alarm.clone());
        assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        // One that is always due is woken again as soon as others have had their turn.
        tokio::task::yield_now().await;
        assert_eq!(alarm.0.load(Ordering::Relaxed), 0);
    }
}
