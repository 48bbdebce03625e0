//! `stanchion bench`: how fast a queue is, and whether it loses or doubles anything.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use hdrhistogram::Histogram;
use serde::Serialize;
use stanchion_sdk::actions::queues::DeleteQueue;
use stanchion_sdk::{
    Client, CreateQueue, DeleteMessageBatch, Error, ReceiveMessage, SendMessageBatch,
    SendMessageBatchEntry,
};

use crate::args::Global;
use crate::context::Target;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{Output, Record};
use crate::progress;
use crate::queues::{Depth, attributes};
use crate::units::{parse_duration, parse_size, show_bytes, show_count};

/// The longest time that is measured, in microseconds: what takes longer counts as that.
const LONGEST_US: u64 = 300_000_000;

/// How long messages that were sent may stay away before they count as lost.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages in flight are not to come back before they are deleted.
const VISIBILITY_SECONDS: u32 = 3_600;

/// Between two messages of a sender of `long-poll`: so that a poll waits.
const LONG_POLL_PAUSE: Duration = Duration::from_millis(50);

/// The largest body that there is, in bytes.
const SIZE_MAX: u64 = 1 << 20;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Scenario {
    /// Send
    Send,
    /// Receive and delete what was sent before
    Receive,
    /// Send, receive and delete at the same time
    Cycle,
    /// Wait for messages that come one by one: the time from the send to the receive
    LongPoll,
}

/// Measure how fast the server is
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion bench send
  stanchion bench cycle --connections 64 --size 4KiB --duration 30s
  stanchion bench receive --messages 200000 -o json
  stanchion bench cycle --queue-name bench.fifo

The queue is made for it and deleted afterwards. Every message has a number, so that those that are
lost or come twice are found; then the exit code is 1.")]
pub(crate) struct Bench {
    /// What to do
    #[arg(value_enum)]
    scenario: Scenario,
    /// Requests at once, of each kind
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    connections: u16,
    /// Messages of a request
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u8).range(1..=10))]
    batch: u8,
    /// Size of a body, at most 1MiB; that of a request counts too
    #[arg(long, value_name = "SIZE", default_value = "1KiB", value_parser = parse_body_size)]
    size: u64,
    /// How long
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// How many messages `receive` is given
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    messages: u64,
    /// What to call the queue; it must not exist
    #[arg(long, value_name = "NAME")]
    queue_name: Option<String>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

fn parse_body_size(text: &str) -> Result<u64, String> {
    let size = parse_size(text)?;
    Some(size).filter(|size| *size <= SIZE_MAX).ok_or_else(|| "a body has at most 1MiB".into())
}

/// What came out. Times are in milliseconds.
#[derive(Debug, Serialize)]
struct Measured {
    scenario: Scenario,
    connections: u16,
    batch: u8,
    size_bytes: u64,
    seconds: f64,
    sent: u64,
    received: u64,
    messages_per_second: f64,
    megabytes_per_second: f64,
    errors: u64,
    lost: u64,
    duplicates: u64,
    latencies: Vec<Latency>,
}

/// How long something took.
#[derive(Debug, Serialize)]
struct Latency {
    what: &'static str,
    count: u64,
    mean_ms: f64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

impl Latency {
    fn of(what: &'static str, times: &Histogram<u64>) -> Latency {
        let ms = |us: u64| us as f64 / 1e3;
        Latency {
            what,
            count: times.len(),
            mean_ms: times.mean() / 1e3,
            p50_ms: ms(times.value_at_quantile(0.5)),
            p90_ms: ms(times.value_at_quantile(0.9)),
            p99_ms: ms(times.value_at_quantile(0.99)),
            p999_ms: ms(times.value_at_quantile(0.999)),
            max_ms: ms(times.max()),
        }
    }
}

impl Record for Latency {
    const COLUMNS: &'static [&'static str] =
        &["TIME OF", "COUNT", "MEAN", "P50", "P90", "P99", "P99.9", "MAX"];

    fn row(&self) -> Vec<String> {
        let times =
            [self.mean_ms, self.p50_ms, self.p90_ms, self.p99_ms, self.p999_ms, self.max_ms];
        let shown = times.map(|ms| format!("{ms:.2} ms"));
        [self.what.to_owned(), show_count(self.count)].into_iter().chain(shown).collect()
    }
}

impl Record for Measured {
    const COLUMNS: &'static [&'static str] =
        &["Seconds", "Sent", "Received", "Messages/s", "MB/s", "Errors", "Lost", "Duplicates"];

    fn row(&self) -> Vec<String> {
        vec![
            format!("{:.1}", self.seconds),
            show_count(self.sent),
            show_count(self.received),
            show_count(self.messages_per_second as u64),
            format!("{:.1}", self.megabytes_per_second),
            show_count(self.errors),
            show_count(self.lost),
            show_count(self.duplicates),
        ]
    }
}

/// Runs it.
pub(crate) async fn run(bench: Bench, global: &Global, output: &Output) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    let client = &target.client;
    let mark = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let name = bench.queue_name.clone();
    let name = name.unwrap_or_else(|| format!("stanchion-bench-{mark}-{}", std::process::id()));
    let Bench { scenario, connections, .. } = bench;
    if bench.dry_run {
        let record = serde_json::json!({"queue": name, "scenario": scenario});
        let sentence =
            format!("Would make {name}, load it with {connections} connections, and delete it");
        return output.done(&sentence, &record);
    }
    let create = CreateQueue::new(&name).attribute("VisibilityTimeout", VISIBILITY_SECONDS);
    if client.get_queue_url(stanchion_sdk::GetQueueUrl::new(&name)).await.is_ok() {
        return Err(Failure::Usage(format!("{name} exists: it would be deleted afterwards")));
    }
    let queue = client.create_queue(create).await?.queue_url;
    let interrupt = Interrupt::listen()?;
    let done = measure(client, &queue, &bench, interrupt, output).await;
    let deleted = client.delete_queue(DeleteQueue { queue_url: queue }).await;
    let result = done?;
    deleted?;
    if output.is_human() {
        output.line(&format!(
            "{connections} connections, batches of {}, bodies of {}",
            result.batch,
            show_bytes(result.size_bytes)
        ))?;
        output.item(&result)?;
        output.line("")?;
        output.list(&result.latencies, "")?;
    } else {
        output.item(&result)?;
    }
    match (result.lost, result.duplicates) {
        (0, 0) => Ok(()),
        (lost, twice) => {
            Err(Failure::failed(format!("{lost} messages were lost and {twice} came twice")))
        }
    }
}

async fn measure(
    client: &Client,
    queue: &str,
    bench: &Bench,
    interrupt: Interrupt,
    output: &Output,
) -> Result<Measured, Failure> {
    let shared = Arc::new(Shared {
        client: client.clone(),
        queue: queue.to_owned(),
        fifo: crate::queues::is_fifo(queue),
        batch: match bench.scenario {
            Scenario::LongPoll => 1,
            _ => bench.batch,
        },
        // The number and the time of the send have to fit.
        filler: "x".repeat(usize::try_from(bench.size).unwrap_or(0).saturating_sub(HEADER)),
        next: AtomicU64::new(0),
        ledger: Mutex::default(),
        errors: AtomicU64::new(0),
        last_error: Mutex::default(),
        sending: AtomicBool::new(false),
        interrupt,
        bar: progress::messages("done", None),
    });
    let connections = usize::from(bench.connections);
    let forever = Instant::now() + Duration::from_secs(1 << 30);
    if bench.scenario == Scenario::Receive {
        output.note(&format!("Sending {} messages first", show_count(bench.messages)));
        shared
            .all(connections, |shared| shared.send(forever, bench.messages, Duration::ZERO))
            .await;
        shared.bar.set_position(0);
    }
    let began = Instant::now();
    let until = began + bench.duration;
    let times = match bench.scenario {
        Scenario::Send => {
            let send = shared.all(connections, |s| s.send(until, u64::MAX, Duration::ZERO)).await;
            vec![("send", send)]
        }
        Scenario::Receive => {
            let (receive, delete, _) = shared.receive_all(connections, Duration::ZERO).await;
            vec![("receive", receive), ("delete", delete)]
        }
        Scenario::Cycle | Scenario::LongPoll => {
            let pause = match bench.scenario {
                Scenario::LongPoll => LONG_POLL_PAUSE,
                _ => Duration::ZERO,
            };
            shared.sending.store(true, Ordering::Relaxed);
            let senders = async {
                let send = shared.all(connections, |s| s.send(until, u64::MAX, pause)).await;
                shared.sending.store(false, Ordering::Relaxed);
                send
            };
            let wait = Duration::from_secs(1);
            let (send, (receive, delete, end_to_end)) =
                tokio::join!(senders, shared.receive_all(connections, wait));
            match bench.scenario {
                // How long a poll took says how long there was nothing.
                Scenario::LongPoll => vec![("send", send), ("end to end", end_to_end)],
                _ => vec![
                    ("send", send),
                    ("receive", receive),
                    ("delete", delete),
                    ("end to end", end_to_end),
                ],
            }
        }
    };
    shared.bar.finish_and_clear();
    let seconds = shared.busy_until().saturating_duration_since(began).as_secs_f64().max(1e-6);
    let errors = shared.errors.load(Ordering::Relaxed);
    if let Some(error) = shared.last_error.lock().unwrap_or_else(PoisonError::into_inner).take() {
        let failure = Failure::from(error);
        match shared.ledger().sent {
            0 => return Err(failure),
            _ => output.note(&format!("{errors} requests failed, such as: {failure}")),
        }
    }
    // A copy: nobody waits for it while this waits for the server.
    let ledger = shared.ledger().clone();
    let received = match bench.scenario {
        Scenario::Send => 0,
        _ => ledger.received,
    };
    let messages = if received > 0 { received } else { ledger.sent };
    let rate = messages as f64 / seconds;
    Ok(Measured {
        scenario: bench.scenario,
        connections: bench.connections,
        batch: shared.batch,
        size_bytes: bench.size.max(HEADER as u64),
        seconds,
        sent: ledger.sent,
        received,
        messages_per_second: rate,
        megabytes_per_second: rate * bench.size.max(HEADER as u64) as f64 / 1e6,
        errors,
        lost: match bench.scenario {
            Scenario::Send => shared.missing_in_queue(ledger.sent).await?,
            _ if shared.interrupt.is_asked() => 0,
            _ => ledger.sent.saturating_sub(ledger.received),
        },
        duplicates: ledger.duplicates,
        latencies: times.iter().map(|(what, times)| Latency::of(what, times)).collect(),
    })
}

/// What stands before the filler of a body: a number, and when it was sent in microseconds.
const HEADER: usize = 34;

/// What was sent and received.
#[derive(Clone, Debug, Default)]
struct Ledger {
    sent: u64,
    received: u64,
    duplicates: u64,
    /// A bit for each number.
    seen: Vec<u64>,
    last: Option<Instant>,
}

impl Ledger {
    fn see(&mut self, number: u64) {
        let word = usize::try_from(number / 64).unwrap_or(usize::MAX);
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let bit = 1 << (number % 64);
        match self.seen[word] & bit {
            0 => self.received += 1,
            _ => self.duplicates += 1,
        }
        self.seen[word] |= bit;
    }
}

/// What all tasks work with.
struct Shared {
    client: Client,
    queue: String,
    fifo: bool,
    batch: u8,
    filler: String,
    next: AtomicU64,
    /// Locked for the moment of counting a batch.
    ledger: Mutex<Ledger>,
    errors: AtomicU64,
    last_error: Mutex<Option<Error>>,
    sending: AtomicBool,
    interrupt: Interrupt,
    bar: indicatif::ProgressBar,
}

type Times = Histogram<u64>;

fn times() -> Times {
    let times = Histogram::new_with_bounds(1, LONGEST_US, 3);
    times.expect("the bounds are constants that the library allows")
}

fn measured(times: &mut Times, began: Instant) {
    times
        .saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(LONGEST_US).max(1));
}

fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(0)
}

impl Shared {
    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        // Nobody panics while counting.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy_until(&self) -> Instant {
        self.ledger().last.unwrap_or_else(Instant::now)
    }

    async fn failed(&self, error: Error) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        // A server that refuses everything is not to be asked as fast as it goes.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    /// Runs this many of a task and adds up their times.
    async fn all<F: Future<Output = Times> + Send + 'static>(
        self: &Arc<Self>,
        count: usize,
        task: impl Fn(Arc<Self>) -> F,
    ) -> Times {
        let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(task(self.clone()))).collect();
        let mut sum = times();
        for task in tasks {
            // One that panicked has nothing to add.
            if let Ok(times) = task.await {
                let _ = sum.add(times);
            }
        }
        sum
    }

    async fn send(self: Arc<Self>, until: Instant, most: u64, pause: Duration) -> Times {
        let mut times = times();
        let batch = u64::from(self.batch);
        while Instant::now() < until && !self.interrupt.is_asked() {
            let first = self.next.fetch_add(batch, Ordering::Relaxed);
            if first >= most {
                break;
            }
            let numbers = first..(first + batch).min(most);
            let entries: Vec<_> = numbers.map(|number| self.entry(number)).collect();
            let count = entries.len() as u64;
            let began = Instant::now();
            let request = SendMessageBatch::new(&self.queue, entries);
            match self.client.send_message_batch(request).await {
                Ok(reply) => {
                    measured(&mut times, began);
                    let sent = count - (reply.failed.len() as u64).min(count);
                    self.errors.fetch_add(count - sent, Ordering::Relaxed);
                    let mut ledger = self.ledger();
                    ledger.sent += sent;
                    ledger.last = Some(Instant::now());
                    drop(ledger);
                    self.bar.inc(sent);
                }
                Err(error) => self.failed(error).await,
            }
            if pause > Duration::ZERO {
                tokio::time::sleep(pause).await;
            }
        }
        times
    }

    fn entry(&self, number: u64) -> SendMessageBatchEntry {
        let body = format!("{number:016} {:016} {}", now_us(), self.filler);
        let entry = SendMessageBatchEntry::new(number.to_string(), body);
        match self.fifo {
            true => entry.group((number % 1_000).to_string()).dedup_id(number.to_string()),
            false => entry,
        }
    }

    /// Receives and deletes until nothing comes any more: the times of receives that found something,
    /// of deletes, and from send to receive.
    async fn receive_all(self: &Arc<Self>, count: usize, wait: Duration) -> (Times, Times, Times) {
        let tasks: Vec<_> = (0..count).map(|_| tokio::spawn(self.clone().receive(wait))).collect();
        let (mut receive, mut delete, mut end_to_end) = (times(), times(), times());
        for task in tasks {
            // One that panicked has nothing to add.
            if let Ok((received, deleted, arrived)) = task.await {
                let _ = (receive.add(received), delete.add(deleted), end_to_end.add(arrived));
            }
        }
        (receive, delete, end_to_end)
    }

    async fn receive(self: Arc<Self>, wait: Duration) -> (Times, Times, Times) {
        let (mut receive, mut delete, mut end_to_end) = (times(), times(), times());
        let mut found = Instant::now();
        while !self.interrupt.is_asked() {
            let sending = self.sending.load(Ordering::Relaxed);
            {
                let ledger = self.ledger();
                let all = ledger.received >= ledger.sent;
                if !sending && (all || found.elapsed() > PATIENCE) {
                    break;
                }
            }
            let request = ReceiveMessage::new(&self.queue).max(self.batch.into()).wait(wait);
            let began = Instant::now();
            let messages = match self.client.receive_message(request).await {
                Ok(reply) => reply.messages,
                Err(error) => {
                    self.failed(error).await;
                    continue;
                }
            };
            if messages.is_empty() {
                if wait.is_zero() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                continue;
            }
            measured(&mut receive, began);
            let now = now_us();
            found = Instant::now();
            for message in &messages {
                let mut parts = message.body.splitn(3, ' ').map(str::parse::<u64>);
                let sent_so_far = self.next.load(Ordering::Relaxed);
                if let (Some(Ok(number)), Some(Ok(sent))) = (parts.next(), parts.next())
                    && number < sent_so_far
                {
                    end_to_end.saturating_record(now.saturating_sub(sent).max(1));
                    self.ledger().see(number);
                }
            }
            let count = messages.len() as u64;
            let handles = messages.into_iter().map(|message| message.receipt_handle);
            let request = DeleteMessageBatch::new(&self.queue, handles);
            let began = Instant::now();
            match self.client.delete_message_batch(request).await {
                Ok(_) => measured(&mut delete, began),
                Err(error) => self.failed(error).await,
            }
            self.ledger().last = Some(Instant::now());
            self.bar.inc(count);
        }
        (receive, delete, end_to_end)
    }

    /// How many of what was sent the queue does not count.
    async fn missing_in_queue(&self, sent: u64) -> Result<u64, Failure> {
        if self.client.is_amazon() {
            // It counts approximately, and late.
            return Ok(0);
        }
        let depth = Depth::of(&attributes(&self.client, &self.queue).await?);
        Ok(sent.saturating_sub(depth.available))
    }
}
