//! What the SDK does with a server, beside what the load generator does with the same one: producer,
//! worker, heartbeats, requests with replies, functions.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::json;
use stanchion_sdk::functions::FunctionHost;
use stanchion_sdk::message::Message;
use stanchion_sdk::producer::{Outgoing, Producer};
use stanchion_sdk::request_reply::{Replier, Requester};
use stanchion_sdk::worker::{BoxError, Delivery, Worker};
use stanchion_sdk::{Client, CreateQueue};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Context;
use crate::aws;
use crate::load::{self, Drains, Sample, Sends, Stop, histogram};
use crate::process::{Server, Usage};
use crate::report::{Bound, Report};

/// Messages sent, and handled, at scale 1.
const MESSAGES: u64 = 1_000_000;
/// As large as those of the load generator.
const BODY_BYTES: usize = 1_024;
/// Tasks that send at the same time, and handlers that run at the same time.
const TASKS: u64 = 256;
const CONNECTIONS: usize = 64;

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    let server = Server::start(&context.place.stanchiond("sdk", &[])).await?;
    limits(context, report, &server, context.messages(MESSAGES)).await?;
    // As services run: on all processors. The load generator is content with one.
    let runtime = Runtime::new()?;
    let outcome = with_sdk(context, report, &server, &runtime).await;
    runtime.shutdown_background();
    outcome?;
    drop(server);
    context.place.discard("sdk")
}

async fn with_sdk(
    context: &Context,
    report: &mut Report,
    server: &Server,
    runtime: &Runtime,
) -> io::Result<()> {
    let count = context.messages(MESSAGES);
    let client = client(server.address())?;
    let producing = {
        let client = client.clone();
        async move {
            let queue = create(&client, "worked").await?;
            let rate = produce(&client, &queue, count).await?;
            Ok((queue, rate))
        }
    };
    let (queue, rate) = on(runtime, producing).await?;
    report.time("producer, 256 tasks, signed", rate, "messages/s", Bound::None);
    let (rate, handled) = on(runtime, work(client.clone(), queue, count, Pace::AtOnce)).await?;
    report.time("worker, handlers that do nothing, signed", rate, "messages/s", Bound::None);
    report.count("messages handled", handled as f64, "", Bound::AtLeast(count as f64));
    heartbeats(context, report, server, runtime, &client).await?;
    let count = context.messages(5_000).min(5_000);
    let latency = on(runtime, requests(client.clone(), count)).await?;
    let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1_000.0;
    report.time("request and reply, one at a time, p50", ms(0.5), "ms", Bound::None);
    report.time("request and reply, one at a time, p99", ms(0.99), "ms", Bound::None);
    let program = context.place.program("noop-function");
    let (count, patience) = (context.messages(100_000), context.patience(Duration::from_secs(600)));
    let (invocations, messages) = on(runtime, functions(client, program, count, patience)).await?;
    let what = "function, 8 processes, batches of 10";
    report.time(what, invocations, "invocations/s", Bound::None);
    report.time("the same", messages, "messages/s", Bound::None);
    Ok(())
}

/// Runs something on the runtime of the SDK.
async fn on<T: Send + 'static>(
    runtime: &Runtime,
    work: impl Future<Output = io::Result<T>> + Send + 'static,
) -> io::Result<T> {
    runtime.spawn(work).await.map_err(io::Error::other)?
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
async fn work(client: Client, queue: String, count: u64, pace: Pace) -> io::Result<(f64, u64)> {
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
    let worker = Worker::builder(client)
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
/// time. How many there are at a time decides the rate; what heartbeats cost is processor time.
async fn heartbeats(
    context: &Context,
    report: &mut Report,
    server: &Server,
    runtime: &Runtime,
    client: &Client,
) -> io::Result<()> {
    let count = context.messages(10_000);
    let handler = Duration::from_secs(2);
    let cases = [("no heartbeat needed", 60), ("hidden for 2 s at a time", 2)];
    let mut costs = Vec::new();
    for (case, visibility) in cases {
        let (client, name) = (client.clone(), format!("slow-{visibility}"));
        let visibility = Duration::from_secs(visibility);
        let queue = on(runtime, {
            let client = client.clone();
            async move {
                let queue = create(&client, &name).await?;
                produce(&client, &queue, count).await?;
                Ok(queue)
            }
        });
        let queue = queue.await?;
        let (own, served) = (Usage::own()?, server.usage()?);
        let pace = Pace::Slowly { handler, visibility };
        let (rate, _) = on(runtime, work(client, queue, count, pace)).await?;
        let per_message =
            |before: Usage, after: Usage| (after.cpu_s - before.cpu_s) * 1_000_000.0 / count as f64;
        let (own, served) = (per_message(own, Usage::own()?), per_message(served, server.usage()?));
        let what = format!("worker, handlers of 2 s, {case}");
        report.time(what.clone(), rate, "messages/s", Bound::None);
        report.time(format!("{what}: worker CPU"), own, "µs/message", Bound::None);
        report.time(format!("{what}: server CPU"), served, "µs/message", Bound::None);
        costs.push(own);
    }
    let [without, with] = costs[..] else { return Ok(()) };
    report.time("heartbeats cost the worker", with - without, "µs CPU/message", Bound::None);
    Ok(())
}

/// How long requests took, in microseconds.
async fn requests(client: Client, count: u64) -> io::Result<Histogram<u64>> {
    let questions = create(&client, "questions").await?;
    let stop = CancellationToken::new();
    let replier = Replier::builder(client.clone()).build();
    let answering = tokio::spawn({
        let (questions, stop) = (questions.clone(), stop.clone());
        async move {
            let echo = async |request: Message| Ok::<_, std::convert::Infallible>(request.body);
            replier.run(questions, stop, echo).await
        }
    });
    let requester = Requester::builder(client, questions).build().await;
    let requester = requester.map_err(io::Error::other)?;
    let mut latency = histogram();
    for _ in 0..count {
        let began = Instant::now();
        requester.request("ping").await.map_err(io::Error::other)?;
        // Within the histogram's range, or as long as it knows.
        latency.saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    requester.close().await.map_err(io::Error::other)?;
    stop.cancel();
    answering.await.map_err(io::Error::other)?;
    Ok(latency)
}

/// Invocations and messages a second of a function that does nothing: eight processes, batches of
/// ten.
async fn functions(
    client: Client,
    program: PathBuf,
    count: u64,
    patience: Duration,
) -> io::Result<(f64, f64)> {
    let queue = create(&client, "invoked").await?;
    produce(&client, &queue, count).await?;
    let host = FunctionHost::builder("noop", [program.into_os_string()])
        .queue(client, &queue)
        .batch_size(10)
        .processes(8, 8)
        .start()
        .await
        .map_err(io::Error::other)?;
    let began = Instant::now();
    while host.metrics().handled() < count && began.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let rates = (host.metrics().invocations() as f64 / elapsed, count as f64 / elapsed);
    host.stop();
    host.stopped().await;
    Ok(rates)
}
