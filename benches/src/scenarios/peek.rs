//! Looking into a long queue is quick, and does not slow those who receive from it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::Context;
use super::probe::{self, Probed, Prober};
use crate::aws::Client;
use crate::load::{self, Sends, Stop};
use crate::process::Server;
use crate::report::{Bound, Report};

/// Connections that fill the queue.
const CONNECTIONS: usize = 64;

/// First pages, each on a connection of its own.
const FIRST_PAGES: usize = 50;

/// The first page of a queue, in milliseconds.
const FIRST_PAGE_MS_MAX: f64 = 50.0;

/// How much slower a receive may be while somebody looks.
const SLOWER_PERCENT_MAX: f64 = 10.0;

/// Stretches of receives without and with somebody who looks, in turn: whatever else disturbs the
/// machine disturbs both.
const STRETCHES: usize = 12;

/// Receives of ten in one stretch.
const ROUNDS: usize = 100;

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    let count = context.messages(10_000_000);
    let launch = context.place.stanchiond("peek", &[]);
    let mut server = Server::start(&launch).await?;
    let mut client = Client::open(server.address()).await?;
    let url = client.create_queue("large", probe::attributes(false)).await?;
    let within = context.patience(Duration::from_secs(1_800));
    let stop = Stop::Messages { count, within };
    let address = server.address();
    load::run(address, CONNECTIONS, stop, |seed| Sends::new(address, &url, true, seed)).await?;
    report.count("messages", count as f64, "", Bound::None);

    server.stop().await?;
    server = Server::start(&launch).await?;
    let mut pages_us = load::histogram();
    let started = Instant::now();
    first_page(server.address(), &url).await?;
    let first = started.elapsed().as_secs_f64() * 1000.0;
    report.time("first page after a start", first, "ms", Bound::AtMost(FIRST_PAGE_MS_MAX));
    for _ in 0..FIRST_PAGES {
        let started = Instant::now();
        first_page(server.address(), &url).await?;
        pages_us.saturating_record(started.elapsed().as_micros() as u64);
    }
    report.time("first page, p50", ms(&pages_us, 0.5), "ms", Bound::None);
    let slowest = ms(&pages_us, 1.0);
    report.time("first page, slowest", slowest, "ms", Bound::AtMost(FIRST_PAGE_MS_MAX));

    let mut queue = Probed::standard(url.clone());
    let mut prober = Prober::open(&server).await?;
    let every = json!({ "QueueUrl": url, "MaxResults": 10 });
    compare(report, "paging", every, &server, &mut prober, &mut queue).await?;
    let none = json!({ "QueueUrl": url, "Filter": { "BodyContains": "what no body contains" } });
    compare(report, "searching in vain", none, &server, &mut prober, &mut queue).await
}

/// Receives with and without somebody who looks: page after page, as fast as they come.
async fn compare(
    report: &mut Report,
    what: &str,
    input: Value,
    server: &Server,
    prober: &mut Prober,
    queue: &mut Probed,
) -> io::Result<()> {
    let looker = Looker::start(server.address(), input)?;
    let (mut alone_us, mut beside_us) = (load::histogram(), load::histogram());
    for stretch in 0..STRETCHES {
        let beside = stretch % 2 == 1;
        looker.looks.store(beside, Relaxed);
        for _ in 0..ROUNDS {
            let took_us = prober.round(queue).await?;
            if beside { &mut beside_us } else { &mut alone_us }.saturating_record(took_us);
        }
    }
    let pages = looker.stop()?;
    let (alone, beside) = (ms(&alone_us, 0.5), ms(&beside_us, 0.5));
    report.time(format!("{what}: receive of 10 alone, p50"), alone, "ms", Bound::None);
    report.time(format!("{what}: receive of 10 beside it, p50"), beside, "ms", Bound::None);
    let slower = (beside / alone - 1.0) * 100.0;
    report.time(format!("{what}: slower by"), slower, "%", Bound::AtMost(SLOWER_PERCENT_MAX));
    report.time(format!("{what}: pages meanwhile"), pages as f64, "", Bound::None);
    Ok(())
}

async fn first_page(address: SocketAddr, url: &str) -> io::Result<()> {
    let mut client = Client::open(address).await?;
    let page = client.call("Stanchion.PeekMessages", &json!({ "QueueUrl": url })).await?;
    match page["Messages"].as_array().map(Vec::len) {
        Some(10) => Ok(()),
        _ => Err(io::Error::other(format!("a first page of ten, not {page}"))),
    }
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1000.0
}

/// Somebody who looks, on a thread of its own, so as not to hold up those who measure.
struct Looker {
    looks: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    pages: Arc<AtomicU64>,
    thread: thread::JoinHandle<io::Result<()>>,
}

impl Looker {
    fn start(address: SocketAddr, input: Value) -> io::Result<Looker> {
        let (looks, ends): (Arc<AtomicBool>, Arc<AtomicBool>) = Default::default();
        let pages: Arc<AtomicU64> = Arc::default();
        let (may_look, shall_end, counted) = (looks.clone(), ends.clone(), pages.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let look = async move {
            let mut client = Client::open(address).await?;
            let mut input = input;
            while !shall_end.load(Relaxed) {
                if !may_look.load(Relaxed) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    continue;
                }
                let page = client.call("Stanchion.PeekMessages", &input).await?;
                // At the end it begins again.
                input["NextToken"] = page["NextToken"].clone();
                counted.fetch_add(1, Relaxed);
            }
            Ok(())
        };
        let thread = thread::spawn(move || runtime.block_on(look));
        Ok(Looker { looks, ends, pages, thread })
    }

    /// Returns how many pages it saw.
    fn stop(self) -> io::Result<u64> {
        self.ends.store(true, Relaxed);
        let ended = self.thread.join().unwrap_or_else(|_| Err(io::Error::other("it panicked")));
        ended.map(|()| self.pages.load(Relaxed))
    }
}
