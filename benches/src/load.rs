//! Closed-loop load: many connections, one request in flight on each.
//!
//! A [`Work`] is what one connection repeats; [`run`] repeats it until a [`Stop`]. A refused
//! request ends the run with an error: a figure for a server that answers 503 would mean nothing.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::aws::{self, Bodies, DeleteBatch, Receive, SendTemplate};
use crate::http::Connection;
use crate::process::{Server, metric};

/// A run together with what it cost the server.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What the clients saw.
    pub measured: Measured,
    /// Processor time of the server per request, in microseconds.
    pub cpu_us_per_request: f64,
    /// Processor time of the server per message, in microseconds.
    pub cpu_us_per_message: f64,
    /// Context switches of the server per request.
    pub switches_per_request: f64,
    /// Syncs per second, when the server counts them.
    pub syncs_per_s: Option<f64>,
    /// Commands in one turn on average, when the server counts them.
    pub commands_per_turn: Option<f64>,
}

impl Sample {
    /// Weighs a server while a run loads it.
    pub async fn take(
        server: &Server,
        run: impl Future<Output = io::Result<Measured>>,
    ) -> io::Result<Sample> {
        let (metrics, usage) = (server.metrics().await, server.usage()?);
        let measured = run.await?;
        let (metrics_after, usage_after) = (server.metrics().await, server.usage()?);
        let grown = |name| metrics_after.since(&metrics, name);
        let cpu_us = (usage_after.cpu_s - usage.cpu_s) * 1e6;
        let switches = usage_after.switches.saturating_sub(usage.switches) as f64;
        let requests = measured.requests.max(1) as f64;
        let per_turn = |commands: f64| Some(commands / grown(metric::TURNS)?.max(1.0));
        Ok(Sample {
            cpu_us_per_request: cpu_us / requests,
            cpu_us_per_message: cpu_us / measured.messages.max(1) as f64,
            switches_per_request: switches / requests,
            syncs_per_s: grown(metric::SYNCS).map(|count| count / measured.elapsed.as_secs_f64()),
            commands_per_turn: grown(metric::TURN_COMMANDS).and_then(per_turn),
            measured,
        })
    }
}

/// Longest time in microseconds that a histogram tells apart.
const LATENCY_US_MAX: u64 = 120_000_000;

/// How long a run may outlast its own limit before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// Rest after an empty receive, so that an empty queue is not a busy loop.
const EMPTY_REST: Duration = Duration::from_millis(1);

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub enum Stop {
    /// After this time.
    After(Duration),
    /// When exactly this many messages were sent, or at least this many received; fails when that
    /// takes longer than `within`.
    Messages {
        /// How many.
        count: u64,
        /// Until when.
        within: Duration,
    },
}

/// What a run saw.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Requests answered.
    pub requests: u64,
    /// Messages sent, or received and deleted.
    pub messages: u64,
    /// From the first request to the last reply.
    pub elapsed: Duration,
    /// Of single requests, in microseconds.
    pub latency_us: Histogram<u64>,
}

impl Measured {
    /// Messages per second.
    pub fn messages_per_s(&self) -> f64 {
        self.messages as f64 / self.elapsed.as_secs_f64()
    }

    /// A latency in milliseconds, by quantile (0.5 is the median).
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latency_us.value_at_quantile(quantile) as f64 / 1000.0
    }
}

/// A new, empty latency histogram, in microseconds with an error of 1 %.
pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_US_MAX, 2).expect("the bounds are constants")
}

/// A connection that times what it calls.
#[derive(Debug)]
pub struct Worker {
    connection: Connection,
    requests: u64,
    latency_us: Histogram<u64>,
}

impl Worker {
    /// Connects.
    pub async fn open(address: SocketAddr) -> io::Result<Worker> {
        let connection = Connection::open(address).await?;
        Ok(Worker { connection, requests: 0, latency_us: histogram() })
    }

    /// Sends a request and returns the reply's body; anything but 200 is an error.
    pub async fn call(&mut self, request: &[u8]) -> io::Result<&[u8]> {
        let started = Instant::now();
        let response = self.connection.call(request).await?;
        self.latency_us.saturating_record(started.elapsed().as_micros() as u64);
        self.requests += 1;
        match response.status {
            200 => Ok(response.body),
            status => Err(aws::refusal("a request", status, response.body)),
        }
    }
}

/// What one connection repeats.
pub trait Work: Send + 'static {
    /// Messages that every step sends, claimed before it so that a run sends exactly its count;
    /// zero for work that finds out how many messages there were.
    fn claim(&self) -> u64;

    /// One round; returns the messages done. `first` is the number of the first claimed message.
    fn step(
        &mut self,
        worker: &mut Worker,
        first: u64,
    ) -> impl Future<Output = io::Result<u64>> + Send;
}

/// Shared by the connections of a run.
#[derive(Debug)]
struct Budget {
    count: u64,
    deadline: Instant,
    claimed: AtomicU64,
    done: AtomicU64,
}

/// Runs `connections` copies of a work and adds up what they saw.
pub async fn run<W: Work>(
    address: SocketAddr,
    connections: usize,
    stop: Stop,
    mut make: impl FnMut(usize) -> W,
) -> io::Result<Measured> {
    let (count, within) = match stop {
        Stop::After(time) => (u64::MAX, time),
        Stop::Messages { count, within } => (count, within),
    };
    let mut workers = Vec::with_capacity(connections);
    for number in 0..connections {
        workers.push((Worker::open(address).await?, make(number)));
    }
    let started = Instant::now();
    let budget = Arc::new(Budget {
        count,
        deadline: started + within,
        claimed: AtomicU64::new(0),
        done: AtomicU64::new(0),
    });
    let mut tasks = JoinSet::new();
    for (worker, work) in workers {
        tasks.spawn(repeat(worker, work, Arc::clone(&budget)));
    }
    let mut measured =
        Measured { requests: 0, messages: 0, elapsed: Duration::ZERO, latency_us: histogram() };
    let gather = async {
        while let Some(worker) = tasks.join_next().await {
            let worker = worker.map_err(io::Error::other)??;
            measured.requests += worker.requests;
            measured.latency_us += worker.latency_us;
        }
        Ok::<(), io::Error>(())
    };
    tokio::time::timeout(within + PATIENCE, gather).await.map_err(|_| stuck(&budget))??;
    measured.elapsed = started.elapsed();
    measured.messages = budget.done.load(Relaxed);
    if matches!(stop, Stop::Messages { .. }) && measured.messages < count {
        return Err(stuck(&budget));
    }
    Ok(measured)
}

async fn repeat<W: Work>(
    mut worker: Worker,
    mut work: W,
    budget: Arc<Budget>,
) -> io::Result<Worker> {
    let claim = work.claim();
    while Instant::now() < budget.deadline && budget.done.load(Relaxed) < budget.count {
        let first = budget.claimed.fetch_add(claim, Relaxed);
        if budget.count.saturating_sub(first) < claim {
            break;
        }
        let done = work.step(&mut worker, first).await?;
        budget.done.fetch_add(done, Relaxed);
    }
    Ok(worker)
}

fn stuck(budget: &Budget) -> io::Error {
    let done = budget.done.load(Relaxed);
    io::Error::new(io::ErrorKind::TimedOut, format!("the load was stuck after {done} messages"))
}

/// Sends: single messages, or batches.
#[derive(Debug)]
pub struct Sends {
    template: SendTemplate,
    bodies: Bodies,
    groups: Option<u64>,
}

impl Sends {
    /// SendMessage, or with `batched` SendMessageBatch of ten.
    pub fn new(address: SocketAddr, queue_url: &str, batched: bool, seed: usize) -> Sends {
        let template = match batched {
            true => SendTemplate::batch(address, queue_url, None),
            false => SendTemplate::single(address, queue_url),
        };
        Sends { template, bodies: Bodies::new(seed as u64), groups: None }
    }

    /// SendMessageBatch of ten with `DelaySeconds`.
    pub fn delayed(address: SocketAddr, queue_url: &str, delay_s: u32, seed: usize) -> Sends {
        let template = SendTemplate::batch(address, queue_url, Some(delay_s));
        Sends { template, bodies: Bodies::new(seed as u64), groups: None }
    }

    /// SendMessageBatch of ten to a FIFO queue: message `n` of the run goes to group `n % groups`.
    pub fn fifo(address: SocketAddr, queue_url: &str, groups: u64, seed: usize) -> Sends {
        let template = SendTemplate::fifo_batch(address, queue_url);
        Sends { template, bodies: Bodies::new(seed as u64), groups: Some(groups) }
    }
}

impl Work for Sends {
    fn claim(&self) -> u64 {
        self.template.messages()
    }

    async fn step(&mut self, worker: &mut Worker, first: u64) -> io::Result<u64> {
        let request = match self.groups {
            Some(groups) => self.template.next_fifo(&mut self.bodies, first, groups),
            None => self.template.next(&mut self.bodies),
        };
        accept(worker.call(request).await?)?;
        Ok(self.template.messages())
    }
}

/// Receives ten and deletes them in one batch.
#[derive(Debug)]
pub struct Drains {
    receive: Vec<u8>,
    delete: DeleteBatch,
}

impl Drains {
    /// Of one queue.
    pub fn new(address: SocketAddr, queue_url: &str) -> Drains {
        let ask = Receive { messages_max: aws::BATCH, ..Receive::default() };
        let receive = aws::receive(address, queue_url, ask);
        Drains { receive, delete: DeleteBatch::new(address, queue_url) }
    }
}

impl Work for Drains {
    fn claim(&self) -> u64 {
        0
    }

    async fn step(&mut self, worker: &mut Worker, _first: u64) -> io::Result<u64> {
        let Some((delete, messages)) = self.delete.of(worker.call(&self.receive).await?) else {
            tokio::time::sleep(EMPTY_REST).await;
            return Ok(0);
        };
        accept(worker.call(delete).await?)?;
        Ok(messages)
    }
}

/// Receives ten with no visibility timeout, so that they return at once with a higher count: the
/// way of a poison message to its dead-letter queue.
#[derive(Debug)]
pub struct Rejects {
    receive: Vec<u8>,
}

impl Rejects {
    /// Of one queue.
    pub fn new(address: SocketAddr, queue_url: &str) -> Rejects {
        let ask = Receive { messages_max: aws::BATCH, visibility_s: Some(0), wait_s: 0 };
        Rejects { receive: aws::receive(address, queue_url, ask) }
    }
}

impl Work for Rejects {
    fn claim(&self) -> u64 {
        0
    }

    async fn step(&mut self, worker: &mut Worker, _first: u64) -> io::Result<u64> {
        let reply = worker.call(&self.receive).await?;
        let messages = aws::receipt_handles(reply).count() as u64;
        if messages == 0 {
            tokio::time::sleep(EMPTY_REST).await;
        }
        Ok(messages)
    }
}

/// Sends one, receives one, deletes it. The queue is shared, so a connection mostly gets the
/// message of another.
#[derive(Debug)]
pub struct Cycles {
    send: Sends,
    receive: Vec<u8>,
    delete: DeleteBatch,
}

impl Cycles {
    /// On one queue.
    pub fn new(address: SocketAddr, queue_url: &str, seed: usize) -> Cycles {
        let ask = Receive { messages_max: 1, wait_s: 1, visibility_s: None };
        Cycles {
            send: Sends::new(address, queue_url, false, seed),
            receive: aws::receive(address, queue_url, ask),
            delete: DeleteBatch::new(address, queue_url),
        }
    }
}

impl Work for Cycles {
    fn claim(&self) -> u64 {
        1
    }

    async fn step(&mut self, worker: &mut Worker, first: u64) -> io::Result<u64> {
        self.send.step(worker, first).await?;
        match self.delete.of(worker.call(&self.receive).await?) {
            None => Ok(0),
            Some((delete, messages)) => {
                accept(worker.call(delete).await?)?;
                Ok(messages)
            }
        }
    }
}

fn accept(reply: &[u8]) -> io::Result<()> {
    match aws::has_failed_entries(reply) {
        true => Err(aws::refusal("a batch entry", 200, reply)),
        false => Ok(()),
    }
}
