//! What the SDK does with a server, beside what the load generator does with the same one: producer,
//! worker, heartbeats, requests with replies, functions.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use stanchion_sdk::functions::FunctionHost;
use stanchion_sdk::message::Message;
use stanchion_sdk::producer::{Outgoing, Producer};
use stanchion_sdk::request_reply::{Replier, Requester};
use stanchion_sdk::worker::{BoxError, Delivery, Worker};
use stanchion_sdk::{Client, CreateQueue};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::aws;
use crate::load::{self, Drains, Sample, Sends, Stop, histogram};
use crate::process::Server;
use crate::report::{Bound, Report};

/// Messages sent, and handled, at scale 1.
const MESSAGES: u64 = 1_000_000;
/// As large as those of the load generator.
const BODY_BYTES: usize = 1_024;
/// Tasks that send at the same time, and handlers that run at the same time.
const TASKS: u64 = 256;
const CONNECTIONS: usize = 64;

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    let count = context.messages(MESSAGES);
    let server = Server::start(&context.place.stanchiond("sdk", &[])).await?;
    let address = server.address();
    let client = client(address)?;
    limits(context, report, &server, count).await?;
    let queue = create(&client, "worked").await?;
    let rate = produce(&client, &queue, count).await?;
    report.time("producer, 256 tasks, signed", rate, "messages/s", Bound::None);
    let (rate, handled) = work(&client, &queue, count, Pace::AtOnce).await?;
    report.time("worker, handlers that do nothing, signed", rate, "messages/s", Bound::None);
    report.count("messages handled", handled as f64, "", Bound::AtLeast(count as f64));
    heartbeats(context, report, &client).await?;
    requests(context, report, &client).await?;
    functions(context, report, &client).await?;
    drop(server);
    context.place.discard("sdk")
}

fn client(address: SocketAddr) -> io::Result<Client> {
    let builder = Client::builder().endpoint(format!("http://{address}"));
    // The server takes any key: signing costs what it costs.
    builder.credentials("AKIDBENCH", "secret").build().map_err(io::Error::other)
}

async fn create(client: &Client, name: &str) -> io::Result<String> {
    let created = client.create_queue(CreateQueue::new(name)).await.map_err(io::Error::other)?;
    Ok(created.queue_url)
}

/// What the load generator does, which signs nothing and reads next to nothing.
async fn limits(
    context: &Context,
    report: &mut Report,
    server: &Server,
    count: u64,
) -> io::Result<()> {
    let address = server.address();
    let url = aws::Client::open(address).await?.create_queue("limit", json!({})).await?;
    let stop = Stop::Messages { count, within: context.patience(Duration::from_secs(600)) };
    let sends = load::run(address, CONNECTIONS, stop, |seed| Sends::new(address, &url, true, seed));
    let sends = Sample::take(server, sends).await?;
    report.sample("the server's own limit: batches of 10", &sends);
    let drains = load::run(address, CONNECTIONS, stop, |_| Drains::new(address, &url));
    let drains = Sample::take(server, drains).await?;
    report.sample("the server's own limit: receive 10 + delete 10", &drains);
    Ok(())
}

async fn produce(client: &Client, queue: &str, count: u64) -> io::Result<f64> {
    let producer = Arc::new(Producer::builder(client.clone(), queue).build());
    let body = "x".repeat(BODY_BYTES);
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (producer, body) = (producer.clone(), body.clone());
        let share = count / TASKS + u64::from(task < count % TASKS);
        tasks.spawn(async move {
            for _ in 0..share {
                producer.send(Outgoing::new(body.clone())).await?;
            }
            Ok::<_, stanchion_sdk::producer::SendError>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(io::Error::other)?.map_err(io::Error::other)?;
    }
    producer.close().await;
    Ok(count as f64 / began.elapsed().as_secs_f64())
}

/// How long handlers take.
#[derive(Clone, Copy)]
enum Pace {
    AtOnce,
    /// Each message takes so long, and is hidden for so long at a time.
    Slowly {
        handler: Duration,
        visibility: Duration,
    },
}

/// Handles so many messages. Returns messages a second, and how often a handler ran.
async fn work(client: &Client, queue: &str, count: u64, pace: Pace) -> io::Result<(f64, u64)> {
    let handled = Arc::new(AtomicU64::new(0));
    let stop = CancellationToken::new();
    let handler = {
        let (handled, stop) = (handled.clone(), stop.clone());
        move |_: Delivery| {
            let (handled, stop) = (handled.clone(), stop.clone());
            async move {
                if let Pace::Slowly { handler, .. } = pace {
                    tokio::time::sleep(handler).await;
                }
                if handled.fetch_add(1, Ordering::Relaxed) + 1 >= count {
                    stop.cancel();
                }
                Ok::<(), BoxError>(())
            }
        }
    };
    let visibility = match pace {
        Pace::AtOnce => Duration::from_secs(30),
        Pace::Slowly { visibility, .. } => visibility,
    };
    let worker = Worker::builder(client.clone())
        .queue(queue)
        .concurrency(TASKS as usize)
        .prefetch(TASKS as usize)
        .visibility(visibility)
        .stop_on(stop)
        .handler(handler)
        .build()
        .map_err(io::Error::other)?;
    let began = Instant::now();
    worker.run().await;
    let rate = count as f64 / began.elapsed().as_secs_f64();
    Ok((rate, handled.load(Ordering::Relaxed)))
}

/// Handlers that take two seconds, of messages that are hidden for a minute, and for two seconds at a
/// time.
async fn heartbeats(context: &Context, report: &mut Report, client: &Client) -> io::Result<()> {
    let count = context.messages(10_000);
    let handler = Duration::from_secs(2);
    let mut rates = Vec::new();
    for (name, visibility) in [("unhurried", 60), ("hurried", 2)] {
        let queue = create(client, name).await?;
        produce(client, &queue, count).await?;
        let visibility = Duration::from_secs(visibility);
        let (rate, _) = work(client, &queue, count, Pace::Slowly { handler, visibility }).await?;
        rates.push(rate);
    }
    let [without, with] = rates[..] else { return Ok(()) };
    report.time("worker, handlers of 2 s, no heartbeat needed", without, "messages/s", Bound::None);
    report.time("the same, hidden for 2 s at a time", with, "messages/s", Bound::None);
    report.time("heartbeat overhead", 100.0 * (without / with - 1.0), "%", Bound::None);
    Ok(())
}

async fn requests(context: &Context, report: &mut Report, client: &Client) -> io::Result<()> {
    let questions = create(client, "questions").await?;
    let stop = CancellationToken::new();
    let replier = Replier::builder(client.clone()).build();
    let answering = tokio::spawn({
        let (questions, stop) = (questions.clone(), stop.clone());
        async move {
            let echo = async |request: Message| Ok::<_, std::convert::Infallible>(request.body);
            replier.run(questions, stop, echo).await
        }
    });
    let requester = Requester::builder(client.clone(), questions).build().await;
    let requester = requester.map_err(io::Error::other)?;
    let mut latency = histogram();
    for _ in 0..context.messages(5_000).min(5_000) {
        let began = Instant::now();
        requester.request("ping").await.map_err(io::Error::other)?;
        // Within the histogram's range, or as long as it knows.
        latency.saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1_000.0;
    report.time("request and reply, one at a time, p50", ms(0.5), "ms", Bound::None);
    report.time("request and reply, one at a time, p99", ms(0.99), "ms", Bound::None);
    requester.close().await.map_err(io::Error::other)?;
    stop.cancel();
    answering.await.map_err(io::Error::other)
}

/// Invocations of a function that does nothing, eight processes, batches of ten.
async fn functions(context: &Context, report: &mut Report, client: &Client) -> io::Result<()> {
    let queue = create(client, "invoked").await?;
    let count = context.messages(100_000);
    produce(client, &queue, count).await?;
    let program = context.place.program("noop-function");
    let host = FunctionHost::builder("noop", [Path::new(&program).as_os_str().to_owned()])
        .queue(client.clone(), &queue)
        .batch_size(10)
        .processes(8, 8)
        .start()
        .await
        .map_err(io::Error::other)?;
    let began = Instant::now();
    let deadline = context.patience(Duration::from_secs(600));
    while host.metrics().handled() < count && began.elapsed() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let elapsed = began.elapsed().as_secs_f64();
    report.time(
        "function, 8 processes, batches of 10",
        host.metrics().invocations() as f64 / elapsed,
        "invocations/s",
        Bound::None,
    );
    report.time("the same", count as f64 / elapsed, "messages/s", Bound::None);
    host.stop();
    host.stopped().await;
    Ok(())
}
