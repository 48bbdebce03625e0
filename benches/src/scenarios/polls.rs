//! Idle long polls cost next to nothing, and a send wakes exactly the one that has waited longest.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Context;
use crate::aws::{self, Client, Receive};
use crate::http::Connection;
use crate::load::{self, Cycles, Stop};
use crate::process::{Server, metric, raise_open_files};
use crate::report::{Bound, Report};

/// Polls at scale 1, and the fewest at any: with fewer, noise outweighs the memory of a poll.
const POLLS: std::ops::RangeInclusive<usize> = 1_000..=10_000;

/// Polls on one queue.
const POLLS_PER_QUEUE: usize = 100;

/// Sends that wake somebody.
const SENDS_MAX: usize = 20;

/// Open files besides the polls.
const OTHER_FILES: u64 = 200;

/// How long after a send a second, wrong, wake-up is looked for.
const STRAGGLER: Duration = Duration::from_millis(20);

/// How long the server is waited for to read all polls: none must end while they are watched.
const PARKING_MAX: Duration = Duration::from_secs(5);

const CPU_PERCENT_MAX: f64 = 1.0;
const KIB_PER_POLL_MAX: f64 = 20.0;
/// "Within milliseconds", for the median from the send leaving to the poll's reply.
const WAKE_MS_MAX: f64 = 5.0;

/// A poll that was answered.
struct Answer {
    poll: usize,
    at: Instant,
    messages: usize,
}

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    let polls = (*POLLS.end() as f64 * context.scale) as usize;
    let polls = polls.clamp(*POLLS.start(), *POLLS.end());
    if raise_open_files() < polls as u64 + OTHER_FILES {
        let reason = format!("{polls} polls need a hard limit of that many open files");
        return Err(io::Error::other(reason));
    }
    // Long enough to be all parked, watched, and woken before the first one ends by itself.
    let (wait_s, watch) = match context.scale {
        small if small < 0.1 => (12, Duration::from_secs(4)),
        _ => (20, Duration::from_secs(10)),
    };
    let queues = polls / POLLS_PER_QUEUE;
    let server = Server::start(&context.place.stanchiond("polls", &[])).await?;
    let address = server.address();
    let mut client = Client::open(address).await?;
    let mut urls = Vec::new();
    for queue in 0..queues {
        urls.push(client.create_queue(&format!("q{queue}"), json!({})).await?);
    }
    let stop = Stop::After(Duration::from_millis(300));
    load::run(address, 8, stop, |seed| Cycles::new(address, &urls[0], seed)).await?;
    drain(&mut client, &urls[0]).await?;

    let resident = server.usage()?.resident_bytes;
    let began = Instant::now();
    let (answered, mut answers) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    let ask = Receive { messages_max: 1, wait_s, visibility_s: None };
    for poll in 0..polls {
        // The first poll of every queue is there long before the second.
        if poll == queues {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        let mut connection = Connection::open(address).await?;
        connection.send(&aws::receive(address, &urls[poll % queues], ask)).await?;
        let answered = answered.clone();
        tasks.spawn(async move {
            let response = connection.response().await?;
            let at = Instant::now();
            if response.status != 200 {
                return Err(aws::refusal("a long poll", response.status, response.body));
            }
            let messages = aws::receipt_handles(response.body).count();
            let _ = answered.send(Answer { poll, at, messages }); // Nobody listens at the end.
            Ok(connection)
        });
    }
    park(&server, polls).await;
    let before = server.usage()?;
    tokio::time::sleep(watch).await;
    let after = server.usage()?;
    let cpu_percent = (after.cpu_s - before.cpu_s) / watch.as_secs_f64() * 100.0;
    let switches = after.switches.saturating_sub(before.switches) as f64 / watch.as_secs_f64();
    let kib = after.resident_bytes.saturating_sub(resident) as f64 / 1024.0 / polls as f64;
    report.count("long polls", polls as f64, "", Bound::None);
    report.time("processor while idle", cpu_percent, "%", Bound::AtMost(CPU_PERCENT_MAX));
    report.time("context switches while idle", switches, "/s", Bound::None);
    report.count("memory per poll", kib, "KiB", Bound::AtMost(KIB_PER_POLL_MAX));
    let early = drain_channel(&mut answers) as f64;
    report.count("polls answered while idle", early, "", Bound::Exactly(0.0));

    let sends = queues.min(SENDS_MAX);
    let (mut woken, mut rightly, mut wake_us) = (0, 0, load::histogram());
    for (queue, url) in urls.iter().enumerate().take(sends) {
        let sent = Instant::now();
        client.call("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "wake up" })).await?;
        let patience = Duration::from_secs(5);
        if let Ok(Some(answer)) = tokio::time::timeout(patience, answers.recv()).await {
            wake_us.saturating_record((answer.at - sent).as_micros() as u64);
            woken += 1;
            rightly += usize::from(answer.poll == queue && answer.messages == 1);
        }
        tokio::time::sleep(STRAGGLER).await;
        woken += drain_channel(&mut answers);
    }
    let in_time = began.elapsed() < Duration::from_secs(u64::from(wait_s));
    if !in_time {
        report.note("The machine was so slow that polls ended before the sends.");
    }
    let expected = Bound::Exactly(sends as f64);
    report.count(format!("polls woken by {sends} sends"), woken as f64, "", expected);
    report.count("of these first in line, with one message", rightly as f64, "", expected);
    let wake_ms = |quantile| wake_us.value_at_quantile(quantile) as f64 / 1000.0;
    report.time("send to wake-up, p50", wake_ms(0.5), "ms", Bound::AtMost(WAKE_MS_MAX));
    report.time("send to wake-up, slowest", wake_ms(1.0), "ms", Bound::None);

    let mut empty = 0;
    let patience = Duration::from_secs(u64::from(wait_s)) + Duration::from_secs(30);
    let rest = tokio::time::timeout(patience, async {
        drop(answered);
        while let Some(answer) = answers.recv().await {
            empty += usize::from(answer.messages == 0);
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome.map_err(io::Error::other)??;
        }
        Ok::<(), io::Error>(())
    });
    rest.await.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "polls did not end"))??;
    let expected = Bound::Exactly((polls - sends) as f64);
    report.count("polls that ended empty", empty as f64, "", expected);
    Ok(())
}

/// Waits until the server has read all polls, and for a moment more.
async fn park(server: &Server, polls: usize) {
    let began = Instant::now();
    let parked = async || server.metrics().await.get(metric::PARKED_POLLS);
    while parked().await != Some(polls as f64) && began.elapsed() < PARKING_MAX {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
}

/// Takes what is there; returns how many.
fn drain_channel(answers: &mut mpsc::UnboundedReceiver<Answer>) -> usize {
    std::iter::from_fn(|| answers.try_recv().ok()).count()
}

/// Deletes what the warm-up left behind, so that no poll finds it.
async fn drain(client: &mut Client, url: &str) -> io::Result<()> {
    let ask = Receive { messages_max: aws::BATCH, ..Receive::default() };
    loop {
        let messages = client.receive(url, ask).await?;
        if messages.is_empty() {
            return Ok(());
        }
        for message in messages {
            let input = json!({ "QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"] });
            client.call("DeleteMessage", &input).await?;
        }
    }
}
