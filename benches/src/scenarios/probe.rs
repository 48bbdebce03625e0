//! Receive latency on a queue with a past, beside a queue of 1,000 messages on the same server.
//!
//! Both queues are asked in turn, so whatever disturbs the machine disturbs both. Every message
//! received is deleted and replaced: the queues stay as long as they are.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::aws::{self, Bodies, DeleteBatch, Receive, SendTemplate};
use crate::load::{self, Sends, Stop};
use crate::process::{Server, metric};
use crate::report::{Bound, Report};

/// Messages in the queue that is compared with.
pub(super) const SMALL: u64 = 1_000;

/// Receives of ten on each queue.
const ROUNDS: u64 = 300;

/// Receives of ten whose reads from the store are counted.
const COUNTED_ROUNDS: u64 = 50;

/// How much slower than on the small queue a receive may be.
const RATIO_MAX: f64 = 1.5;

/// Keys that a message may cost on average from its send to its delete; a FIFO queue looks up its
/// deduplication id, its group and its place in line. Generous towards read-ahead, which fetches
/// more than one receive takes; a scan over what is gone would cost thousands.
const KEYS_PER_MESSAGE_MAX: f64 = 20.0;

/// A queue under test.
#[derive(Debug, Clone)]
pub(super) struct Probed {
    pub(super) url: String,
    /// For a FIFO queue: how many groups, and the number of the next message.
    pub(super) groups: Option<u64>,
    pub(super) next_number: u64,
}

impl Probed {
    pub(super) fn standard(url: String) -> Probed {
        Probed { url, groups: None, next_number: 0 }
    }

    /// Sends messages that are available at once.
    pub(super) async fn fill(&mut self, server: &Server, count: u64) -> io::Result<()> {
        let (address, url) = (server.address(), &self.url);
        let stop = Stop::Messages { count, within: Duration::from_secs(120) };
        match self.groups {
            None => load::run(address, 4, stop, |seed| Sends::new(address, url, true, seed)).await,
            Some(groups) => {
                load::run(address, 4, stop, |seed| Sends::fifo(address, url, groups, seed)).await
            }
        }?;
        self.next_number += count;
        Ok(())
    }
}

/// Measures both queues and adds the figures, each named `{when}…`.
pub(super) async fn compare(
    server: &Server,
    report: &mut Report,
    when: &str,
    small: &mut Probed,
    probed: &mut Probed,
) -> io::Result<()> {
    let mut prober = Prober::open(server).await?;
    let started = Instant::now();
    prober.round(probed).await?;
    let first_ms = started.elapsed().as_secs_f64() * 1000.0;
    report.time(format!("{when}first receive, delete and send"), first_ms, "ms", Bound::None);

    let (mut small_us, mut probed_us) = (load::histogram(), load::histogram());
    for _ in 0..ROUNDS {
        small_us.saturating_record(prober.round(small).await?);
        probed_us.saturating_record(prober.round(probed).await?);
    }
    let ms = |times: &Histogram<u64>, quantile| times.value_at_quantile(quantile) as f64 / 1000.0;
    let (p50_small, p50) = (ms(&small_us, 0.5), ms(&probed_us, 0.5));
    let of_small = format!("{when}receive of 10, p50, on a queue of {SMALL}");
    report.time(of_small, p50_small, "ms", Bound::None);
    report.time(
        format!("{when}receive of 10, p50"),
        p50,
        "ms",
        Bound::AtMost(RATIO_MAX * p50_small),
    );
    report.time(format!("{when}receive of 10, p99"), ms(&probed_us, 0.99), "ms", Bound::None);
    let short = prober.short as f64;
    report.count(format!("{when}receives that were not full"), short, "", Bound::Exactly(0.0));

    let before = server.metrics().await;
    for _ in 0..COUNTED_ROUNDS {
        prober.round(probed).await?;
    }
    let after = server.metrics().await;
    let messages = (COUNTED_ROUNDS * aws::BATCH as u64) as f64;
    for (name, what) in [(metric::KEYS_READ, "keys read"), (metric::TOMBSTONES, "tombstones")] {
        if let Some(count) = after.since(&before, name) {
            let bound = Bound::AtMost(KEYS_PER_MESSAGE_MAX);
            report.count(format!("{when}{what} per message"), count / messages, "", bound);
        }
    }
    Ok(())
}

/// Receives from a queue under test, one after the other.
pub(super) struct Prober {
    worker: load::Worker,
    bodies: Bodies,
    /// Receives that brought fewer than ten messages.
    short: u64,
    address: std::net::SocketAddr,
}

impl Prober {
    pub(super) async fn open(server: &Server) -> io::Result<Prober> {
        let address = server.address();
        let worker = load::Worker::open(address).await?;
        Ok(Prober { worker, bodies: Bodies::new(1), short: 0, address })
    }

    /// Receives ten, deletes them, sends ten; returns how long the receive took, in microseconds.
    pub(super) async fn round(&mut self, queue: &mut Probed) -> io::Result<u64> {
        let ask = Receive { messages_max: aws::BATCH, ..Receive::default() };
        let receive = aws::receive(self.address, &queue.url, ask);
        let mut delete = DeleteBatch::new(self.address, &queue.url);
        let started = Instant::now();
        let reply = self.worker.call(&receive).await?;
        let took_us = started.elapsed().as_micros() as u64;
        let mut received = 0;
        if let Some((delete, messages)) = delete.of(reply) {
            received = messages;
            self.worker.call(delete).await?;
        }
        if received < aws::BATCH as u64 {
            self.short += 1;
        }
        let (address, url) = (self.address, &queue.url);
        match queue.groups {
            None => {
                let mut send = SendTemplate::batch(address, url, None);
                self.worker.call(send.next(&mut self.bodies)).await?;
            }
            Some(groups) => {
                let mut send = SendTemplate::fifo_batch(address, url);
                let send = send.next_fifo(&mut self.bodies, queue.next_number, groups);
                self.worker.call(send).await?;
            }
        }
        queue.next_number += aws::BATCH as u64;
        Ok(took_us)
    }
}

/// The attributes of a FIFO queue, or of a standard one.
pub(super) fn attributes(is_fifo: bool) -> Value {
    match is_fifo {
        true => json!({ "FifoQueue": "true" }),
        false => json!({}),
    }
}
