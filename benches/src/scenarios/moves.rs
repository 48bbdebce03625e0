//! A move task of a million messages, killed on the way: nothing is lost and nothing doubled, and
//! whoever sends meanwhile hardly notices.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::Context;
use crate::aws::{BATCH, Bodies, Client, Receive};
use crate::load::histogram;
use crate::process::Server;
use crate::report::{Bound, Report};

/// Messages at scale 1.
const MESSAGES: u64 = 1_000_000;

/// Clients that fill the source, and that empty the destination.
const CLIENTS: u64 = 16;

/// How far the task is at each kill, in quarters.
const KILLS: [u64; 3] = [1, 2, 3];

/// Between two looks at the task.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How often each message was received, by its number.
type Received = Arc<Vec<AtomicU8>>;

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    // Of four shards, the source and the destination are on different ones.
    for (shards, when) in [("1", "one shard: "), ("4", "across shards: ")] {
        run_with(context, report, shards, when).await?;
        context.place.discard("moves")?;
    }
    report.note(format!("Seed {}.", context.seed));
    Ok(())
}

async fn run_with(
    context: &Context,
    report: &mut Report,
    shards: &str,
    when: &str,
) -> io::Result<()> {
    let count = context.messages(MESSAGES);
    let launch = context.place.stanchiond("moves", &["--shards", shards]);
    let mut server = Server::start(&launch).await?;
    let mut client = Client::open(server.address()).await?;
    let dead = client.create_queue("dead-letters", json!({})).await?;
    let source = client.attribute(&dead, "QueueArn").await?;
    let policy = json!({ "deadLetterTargetArn": source, "maxReceiveCount": 1 }).to_string();
    let there = client.create_queue("there", json!({ "RedrivePolicy": policy })).await?;
    let destination = client.attribute(&there, "QueueArn").await?;
    let beside = client.create_queue("beside", json!({})).await?;

    let started = Instant::now();
    let mut senders = JoinSet::new();
    let next = Arc::new(AtomicU64::new(0));
    for seed in 0..CLIENTS {
        let (address, url, next) = (server.address(), dead.clone(), Arc::clone(&next));
        senders.spawn(send(address, url, next, count, context.seed + seed));
    }
    while let Some(sent) = senders.join_next().await {
        sent.map_err(io::Error::other)??;
    }
    let rate = count as f64 / started.elapsed().as_secs_f64();
    report.time(format!("{when}sent at"), rate, "messages/s", Bound::None);

    let start = json!({ "SourceArn": source, "DestinationArn": destination });
    // The server closes a connection that was idle for so long.
    let mut client = Client::open(server.address()).await?;
    client.call("StartMessageMoveTask", &start).await?;
    let started = Instant::now();
    let mut latency_us = histogram();
    let mut kills = KILLS.iter().map(|quarter| count * quarter / 4).peekable();
    let mut killed = 0;
    let mut bodies = Bodies::new(context.seed);
    let task = loop {
        let task = look(&mut client, &source).await?;
        if task["Status"] != "RUNNING" {
            break task;
        }
        let moved = task["ApproximateNumberOfMessagesMoved"].as_u64().unwrap_or_default();
        if kills.next_if(|at| *at <= moved).is_some() {
            killed += 1;
            server.kill()?;
            server = Server::start(&launch).await?;
            client = Client::open(server.address()).await?;
        }
        let body = String::from_utf8_lossy(bodies.body());
        let sending = Instant::now();
        let message = json!({ "QueueUrl": beside, "MessageBody": body });
        client.call("SendMessage", &message).await?;
        let took_us = sending.elapsed().as_micros() as u64;
        latency_us.saturating_record(took_us.max(1));
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let rate = count as f64 / started.elapsed().as_secs_f64();
    report.time(format!("{when}moved at, restarts included"), rate, "messages/s", Bound::None);
    let quantile = |q| latency_us.value_at_quantile(q) as f64 / 1000.0;
    report.time(format!("{when}a send beside the task, p50"), quantile(0.5), "ms", Bound::None);
    report.time(format!("{when}a send beside the task, p99"), quantile(0.99), "ms", Bound::None);
    report.count(format!("{when}kills on the way"), f64::from(killed), "", Bound::AtLeast(1.0));
    if task["Status"] != "COMPLETED" {
        return Err(io::Error::other(format!("the task did not complete: {task}")));
    }
    let moved = task["ApproximateNumberOfMessagesMoved"].as_f64().unwrap_or_default();
    report.count(
        format!("{when}moved, by the task's own count"),
        moved,
        "",
        Bound::Exactly(count as f64),
    );
    let left = client.counters(&dead).await?.available as f64;
    report.count(format!("{when}left in the source"), left, "", Bound::Exactly(0.0));
    let arrived = client.counters(&there).await?.available as f64;
    report.count(format!("{when}in the destination"), arrived, "", Bound::Exactly(count as f64));

    let received: Received = Arc::new((0..count).map(|_| AtomicU8::new(0)).collect());
    let strangers = Arc::new(AtomicU64::new(0));
    let mut receivers = JoinSet::new();
    for _ in 0..CLIENTS {
        let (address, url) = (server.address(), there.clone());
        receivers.spawn(drain(address, url, Arc::clone(&received), Arc::clone(&strangers)));
    }
    while let Some(drained) = receivers.join_next().await {
        drained.map_err(io::Error::other)??;
    }
    let times = |wanted: fn(u8) -> bool| {
        received.iter().filter(|times| wanted(times.load(Relaxed))).count() as f64
    };
    report.count(format!("{when}lost"), times(|times| times == 0), "", Bound::Exactly(0.0));
    report.count(format!("{when}doubled"), times(|times| times > 1), "", Bound::Exactly(0.0));
    report.count(
        format!("{when}never sent"),
        strangers.load(Relaxed) as f64,
        "",
        Bound::Exactly(0.0),
    );
    Ok(())
}

/// The newest task of a source.
async fn look(client: &mut Client, source: &str) -> io::Result<Value> {
    let mut listed = client.call("ListMessageMoveTasks", &json!({ "SourceArn": source })).await?;
    Ok(listed["Results"][0].take())
}

/// Sends batches of messages that begin with their number, until all are sent.
async fn send(
    address: SocketAddr,
    url: String,
    next: Arc<AtomicU64>,
    count: u64,
    seed: u64,
) -> io::Result<()> {
    let mut client = Client::open(address).await?;
    let mut bodies = Bodies::new(seed);
    loop {
        let first = next.fetch_add(BATCH as u64, Relaxed);
        if count <= first {
            return Ok(());
        }
        let entries = (first..first + BATCH as u64).map(|number| {
            let mut body = format!("{number}.");
            let padding = String::from_utf8_lossy(bodies.body());
            body.push_str(&padding[body.len()..]);
            json!({ "Id": number.to_string(), "MessageBody": body })
        });
        let input = json!({ "QueueUrl": url, "Entries": Value::from_iter(entries) });
        let reply = client.call("SendMessageBatch", &input).await?;
        if !reply["Failed"].is_null() {
            return Err(io::Error::other(format!("a send failed: {reply}")));
        }
    }
}

/// Receives and deletes until nothing is available, and counts what comes.
async fn drain(
    address: SocketAddr,
    url: String,
    received: Received,
    strangers: Arc<AtomicU64>,
) -> io::Result<()> {
    let mut client = Client::open(address).await?;
    // Nothing may come back while this goes on.
    let ask = Receive { messages_max: BATCH, visibility_s: Some(43_200), wait_s: 0 };
    loop {
        let messages = client.receive(&url, ask).await?;
        if messages.is_empty() {
            return Ok(());
        }
        let mut entries = Vec::with_capacity(messages.len());
        for (id, message) in messages.iter().enumerate() {
            let number = message["Body"].as_str().and_then(|body| body.split('.').next());
            let number = number.and_then(|number| number.parse::<usize>().ok());
            match number.and_then(|number| received.get(number)) {
                Some(times) => drop(times.fetch_add(1, Relaxed)),
                None => drop(strangers.fetch_add(1, Relaxed)),
            }
            entries
                .push(json!({ "Id": id.to_string(), "ReceiptHandle": message["ReceiptHandle"] }));
        }
        let input = json!({ "QueueUrl": url, "Entries": entries });
        client.call("DeleteMessageBatch", &input).await?;
    }
}
