//! SIGKILL in a loop under load. Senders and receivers of a standard and of a FIFO queue report
//! everything to the [`Audit`]; after the last restart the queues are emptied, and whatever was
//! acknowledged must have been there.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Context;
use crate::audit::{Audit, BREACHES, Key, Order, Reception};
use crate::aws::{BATCH, Bodies, Client, Counters, Random, Receive};
use crate::process::Server;
use crate::report::{Bound, Report};

/// Kills at scale 1, and the fewest at any.
const KILLS: std::ops::RangeInclusive<u64> = 10..=300;

/// A server lives this long under load, in milliseconds.
const LIFE_MS: std::ops::Range<u64> = 100..900;

const STANDARD_SENDERS: usize = 8;
const STANDARD_RECEIVERS: usize = 12;
const FIFO_SENDERS: usize = 4;
const FIFO_RECEIVERS: usize = 8;

/// FIFO groups of one sender.
const GROUPS: usize = 16;

/// Senders rest while more than this waits to be received.
const BACKLOG_MAX: usize = 20_000;

/// Of both queues. What a receiver held when the server died comes back after this.
const VISIBILITY: Duration = Duration::from_secs(10);

/// A delete counts as one with the latest receipt handle only this long after its receive.
const HANDLE_FRESH: Duration = Duration::from_secs(8);

/// How long the queues may take until they are empty.
const DRAIN_PATIENCE: Duration = Duration::from_secs(60);

/// What all clients share.
struct Shared {
    audit: Mutex<Audit>,
    /// Where the server is; `None` between a kill and the next start, and at the end for good.
    address: watch::Receiver<Option<SocketAddr>>,
    refusals: AtomicUsize,
    first_refusal: Mutex<Option<String>>,
    seed: AtomicU64,
}

impl Shared {
    fn audit(&self) -> MutexGuard<'_, Audit> {
        self.audit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to the server, once there is one; `None` when there will be none any more.
    async fn connect(&self) -> Option<Client> {
        let mut address = self.address.clone();
        loop {
            let current = *address.wait_for(Option::is_some).await.ok()?;
            if let Ok(client) = Client::open(current?).await {
                return Some(client);
            }
            // It was killed at this moment.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A broken connection is what a kill looks like; an answer that refuses is not.
    fn failed(&self, error: &io::Error) {
        if error.kind() == io::ErrorKind::Other {
            self.refusals.fetch_add(1, Relaxed);
            let mut first = self.first_refusal.lock().unwrap_or_else(PoisonError::into_inner);
            first.get_or_insert_with(|| error.to_string());
        }
    }

    fn bodies(&self) -> Bodies {
        Bodies::new(self.seed.fetch_add(1, Relaxed))
    }
}

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    let kills = ((*KILLS.end() as f64 * context.scale) as u64).clamp(*KILLS.start(), *KILLS.end());
    let launch = context.place.stanchiond("kills", &[]);
    let mut server = Server::start(&launch).await?;
    let mut client = Client::open(server.address()).await?;
    let visibility = VISIBILITY.as_secs().to_string();
    let attributes = json!({ "VisibilityTimeout": visibility });
    let standard: Arc<str> = client.create_queue("standard", attributes).await?.into();
    let attributes = json!({ "VisibilityTimeout": visibility, "FifoQueue": "true" });
    let fifo: Arc<str> = client.create_queue("strict.fifo", attributes).await?.into();

    let (announce, address) = watch::channel(Some(server.address()));
    let shared = Arc::new(Shared {
        audit: Mutex::new(Audit::new()),
        address,
        refusals: AtomicUsize::new(0),
        first_refusal: Mutex::new(None),
        seed: AtomicU64::new(context.seed),
    });
    let (stop, stopped) = watch::channel(false);
    let mut senders = JoinSet::new();
    for _ in 0..STANDARD_SENDERS {
        senders.spawn(send_any(Arc::clone(&shared), Arc::clone(&standard), stopped.clone()));
    }
    for _ in 0..FIFO_SENDERS {
        senders.spawn(send_in_order(Arc::clone(&shared), Arc::clone(&fifo), stopped.clone()));
    }
    let mut receivers = JoinSet::new();
    for (url, count) in [(&standard, STANDARD_RECEIVERS), (&fifo, FIFO_RECEIVERS)] {
        for _ in 0..count {
            receivers.spawn(receive_and_delete(Arc::clone(&shared), Arc::clone(url)));
        }
    }

    let mut random = Random::new(context.seed);
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        let life_ms = LIFE_MS.start + random.bits() % (LIFE_MS.end - LIFE_MS.start);
        tokio::time::sleep(Duration::from_millis(life_ms)).await;
        server.kill()?;
        let _ = announce.send(None); // Fails when all clients have ended.
        server = Server::start(&launch).await?;
        slowest = slowest.max(server.ready_after());
        let _ = announce.send(Some(server.address()));
    }
    let _ = stop.send(true);
    while senders.join_next().await.is_some() {}
    shared.audit().drain_began();
    let left = until_empty(server.address(), &[&standard, &fifo]).await?;
    receivers.shutdown().await;
    drop(server);

    let audit = std::mem::take(&mut *shared.audit());
    let findings = audit.finish();
    report.count("kills", kills as f64, "", Bound::None);
    report.time("slowest restart", slowest.as_secs_f64(), "s", Bound::None);
    let sends = findings.sends_acknowledged as f64;
    report.count("messages acknowledged", sends, "", Bound::AtLeast(kills as f64));
    report.count("deletes acknowledged", findings.deletes_acknowledged as f64, "", Bound::None);
    report.count("receptions", findings.receptions as f64, "", Bound::None);
    for (breach, what) in BREACHES {
        let count = findings.count(breach) as f64;
        report.count(format!("messages {what}"), count, "", Bound::Exactly(0.0));
        for Key { stream, number } in findings.examples(breach) {
            report.note(format!("{what}: message {number} of stream {stream}"));
        }
    }
    report.count("messages counted at the end", left as f64, "", Bound::Exactly(0.0));
    let refusals = shared.refusals.load(Relaxed) as f64;
    report.count("requests refused", refusals, "", Bound::Exactly(0.0));
    if let Some(refusal) =
        shared.first_refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    {
        report.note(format!("The first refusal: {refusal}"));
    }
    report.note(format!("Seed {}.", context.seed));
    Ok(())
}

/// Waits until all counters are zero; returns their sum, which is something else when the
/// patience ended first.
async fn until_empty(address: SocketAddr, urls: &[&str]) -> io::Result<u64> {
    let mut client = Client::open(address).await?;
    let started = Instant::now();
    loop {
        let mut left = 0;
        for url in urls {
            let Counters { available, in_flight, delayed } = client.counters(url).await?;
            left += available + in_flight + delayed;
        }
        if left == 0 || DRAIN_PATIENCE < started.elapsed() {
            return Ok(left);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Batches to the standard queue. What was not answered is not repeated: it may be there or not.
async fn send_any(shared: Arc<Shared>, url: Arc<str>, stopped: watch::Receiver<bool>) {
    let stream = shared.audit().stream(Order::Any);
    let mut bodies = shared.bodies();
    while let Some(mut client) = shared.connect().await {
        loop {
            if *stopped.borrow() {
                return;
            }
            rest_while_behind(&shared).await;
            let keys: Vec<Key> = {
                let mut audit = shared.audit();
                (0..BATCH).map(|_| audit.send_attempted(stream)).collect()
            };
            let entries = keys.iter().enumerate().map(
                |(id, &key)| json!({ "Id": id.to_string(), "MessageBody": body(key, &mut bodies) }),
            );
            let input = json!({ "QueueUrl": &*url, "Entries": Value::from_iter(entries) });
            match client.call("SendMessageBatch", &input).await {
                Ok(reply) => successful(&reply)
                    .filter_map(|id| keys.get(id))
                    .for_each(|&key| shared.audit().send_acknowledged(key)),
                Err(error) => {
                    shared.failed(&error);
                    break;
                }
            }
        }
    }
}

/// Batches to the FIFO queue, one message of each group in them. What was not answered is sent
/// again with the same deduplication id, before anything else goes into its group.
async fn send_in_order(shared: Arc<Shared>, url: Arc<str>, stopped: watch::Receiver<bool>) {
    let streams: Vec<usize> = (0..GROUPS).map(|_| shared.audit().stream(Order::Strict)).collect();
    let mut open: Vec<Option<Key>> = vec![None; GROUPS];
    let mut bodies = shared.bodies();
    let mut turn = 0;
    while let Some(mut client) = shared.connect().await {
        loop {
            if *stopped.borrow() {
                return;
            }
            rest_while_behind(&shared).await;
            turn += 1;
            let chosen: Vec<usize> = (0..BATCH).map(|at| (turn * BATCH + at) % GROUPS).collect();
            let mut entries = Vec::new();
            for (id, &group) in chosen.iter().enumerate() {
                let stream = streams[group];
                let key = *open[group].get_or_insert_with(|| shared.audit().send_attempted(stream));
                entries.push(json!({
                    "Id": id.to_string(),
                    "MessageBody": body(key, &mut bodies),
                    "MessageGroupId": format!("group-{stream}"),
                    "MessageDeduplicationId": format!("{stream}-{}", key.number),
                }));
            }
            let input = json!({ "QueueUrl": &*url, "Entries": entries });
            match client.call("SendMessageBatch", &input).await {
                Ok(reply) => {
                    for &group in successful(&reply).filter_map(|id| chosen.get(id)) {
                        if let Some(key) = open[group].take() {
                            shared.audit().send_acknowledged(key);
                        }
                    }
                }
                Err(error) => {
                    shared.failed(&error);
                    break;
                }
            }
        }
    }
}

/// Receives ten and deletes them. A delete that was not answered is repeated after the restart,
/// while its receipt handles are fresh.
async fn receive_and_delete(shared: Arc<Shared>, url: Arc<str>) {
    let ask = Receive { messages_max: BATCH, wait_s: 1, visibility_s: None };
    let mut held: Option<Held> = None;
    while let Some(mut client) = shared.connect().await {
        loop {
            let outcome = match held.as_ref() {
                None => receive(&shared, &mut client, &url, ask).await.map(|new| held = new),
                Some(messages) => {
                    delete(&shared, &mut client, &url, messages).await.map(|()| held = None)
                }
            };
            if let Err(error) = outcome {
                shared.failed(&error);
                break;
            }
        }
        held = held.filter(|messages| messages.since.elapsed() < HANDLE_FRESH);
    }
}

/// What a receiver has to delete.
struct Held {
    since: Instant,
    messages: Vec<(Key, Value)>,
}

async fn receive(
    shared: &Shared,
    client: &mut Client,
    url: &str,
    ask: Receive,
) -> io::Result<Option<Held>> {
    let began = shared.audit().receive_attempted();
    let since = Instant::now();
    let received = client.receive(url, ask).await?;
    let mut reply = Vec::with_capacity(received.len());
    let mut messages = Vec::with_capacity(received.len());
    for message in &received {
        let reception = reception(message).ok_or_else(|| {
            io::Error::other(format!("a message that nobody sent was received: {message}"))
        })?;
        messages.push((reception.key, message["ReceiptHandle"].clone()));
        reply.push(reception);
    }
    shared.audit().received(began, &reply);
    // A long poll counts from its end, which is later: to be on the safe side it does not here.
    Ok((!messages.is_empty()).then_some(Held { since, messages }))
}

async fn delete(shared: &Shared, client: &mut Client, url: &str, held: &Held) -> io::Result<()> {
    let mut entries = Vec::with_capacity(held.messages.len());
    for (id, (key, handle)) in held.messages.iter().enumerate() {
        shared.audit().delete_attempted(*key);
        entries.push(json!({ "Id": id.to_string(), "ReceiptHandle": handle }));
    }
    let input = json!({ "QueueUrl": url, "Entries": entries });
    let reply = client.call("DeleteMessageBatch", &input).await?;
    if held.since.elapsed() < HANDLE_FRESH {
        for (key, _) in successful(&reply).filter_map(|id| held.messages.get(id)) {
            shared.audit().delete_acknowledged(*key);
        }
    }
    Ok(())
}

async fn rest_while_behind(shared: &Shared) {
    while BACKLOG_MAX < shared.audit().backlog() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The indexes of the entries a batch reply calls successful.
fn successful(reply: &Value) -> impl Iterator<Item = usize> {
    let entries = reply["Successful"].as_array().map_or(&[][..], Vec::as_slice);
    entries.iter().filter_map(|entry| entry["Id"].as_str()?.parse().ok())
}

/// A body of the usual size that begins with its key.
fn body(key: Key, bodies: &mut Bodies) -> String {
    let mut text = format!("{}.{}.", key.stream, key.number);
    let padding = String::from_utf8_lossy(bodies.body());
    text.push_str(&padding[text.len()..]);
    text
}

fn reception(message: &Value) -> Option<Reception> {
    let mut parts = message["Body"].as_str()?.split('.');
    let key = Key { stream: parts.next()?.parse().ok()?, number: parts.next()?.parse().ok()? };
    let message_id = message["MessageId"].as_str()?.replace('-', "");
    let receive_count = message["Attributes"]["ApproximateReceiveCount"].as_str();
    Some(Reception {
        key,
        message_id: u128::from_str_radix(&message_id, 16).ok()?,
        receive_count: receive_count.and_then(|count| count.parse().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_the_journey() {
        let key = Key { stream: 12, number: 345 };
        let message = json!({
            "Body": body(key, &mut Bodies::new(1)),
            "MessageId": "219f8380-5770-4cc2-8c3e-5c715e145f5e",
            "Attributes": { "ApproximateReceiveCount": "3" },
        });
        let reception = reception(&message).unwrap();
        assert_eq!((reception.key, reception.receive_count), (key, Some(3)));
        assert_eq!(message["Body"].as_str().unwrap().len(), crate::aws::BODY_BYTES);
    }
}
