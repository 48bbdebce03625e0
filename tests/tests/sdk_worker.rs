//! The SDK's worker against the real server, which is killed and started again in the middle.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use rustix::process::{Signal, getpid, kill_process};
use stanchion_sdk::{
    Client, CreateQueue, GetQueueAttributes, Message, ReceiveMessage, SendMessageBatch,
    SendMessageBatchEntry,
    worker::{Backoff, BoxError, Delivery, Outcome, Permanent, Source, Worker},
};
use stanchion_tests::{Server, process::PATIENCE, relay::Relay};
use tokio_util::sync::CancellationToken;

/// A client that does not give up while a server is started again.
fn client(endpoint: &str) -> Client {
    Client::builder().endpoint(endpoint).unsigned().build().expect("nothing is missing")
}

async fn create(client: &Client, name: &str, attributes: &[(&str, &str)]) -> String {
    let mut request = CreateQueue::new(name);
    for (name, value) in attributes {
        request.attributes.insert((*name).into(), (*value).into());
    }
    if name.ends_with(".fifo") {
        request.attributes.insert("FifoQueue".into(), "true".into());
    }
    client.create_queue(request).await.expect("the queue is created").queue_url
}

/// Sends bodies, into the groups that `group` names.
async fn send(client: &Client, queue: &str, bodies: &[String], group: fn(&str) -> Option<String>) {
    for bodies in bodies.chunks(10) {
        let entries = bodies.iter().enumerate().map(|(place, body)| {
            let mut entry = SendMessageBatchEntry::new(place.to_string(), body);
            entry.message_group_id = group(body);
            entry.message_deduplication_id = group(body).map(|_| body.clone());
            entry
        });
        let request = SendMessageBatch::new(queue, entries.collect::<Vec<_>>());
        let reply = client.send_message_batch(request).await.expect("the messages are accepted");
        assert_eq!(reply.failed, []);
    }
}

/// How many messages a queue has: available, in flight, delayed.
async fn counters(client: &Client, queue: &str) -> [String; 3] {
    let reply = client.get_queue_attributes(GetQueueAttributes::all(queue)).await;
    let attributes = reply.expect("the queue has attributes").attributes;
    ["", "NotVisible", "Delayed"]
        .map(|which| attributes[&format!("ApproximateNumberOfMessages{which}")].clone())
}

async fn receive(client: &Client, queue: &str) -> Vec<Message> {
    let request = ReceiveMessage::new(queue).max(10).wait(Duration::from_secs(20));
    client.receive_message(request).await.expect("the service answers").messages
}

/// Waits until something is so.
async fn until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not come about");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a worker has emptied a queue: what a dying server gave out comes again.
async fn until_empty(client: &Client, queue: &str) {
    let deadline = Instant::now() + PATIENCE;
    while counters(client, queue).await != ["0", "0", "0"] {
        assert!(Instant::now() < deadline, "it is not emptied");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What handlers of a FIFO queue saw, and what was wrong with it.
#[derive(Debug, Default)]
struct Seen {
    running: BTreeSet<String>,
    /// The last message of a group that was done.
    done: BTreeMap<String, usize>,
    violations: Vec<String>,
    calls: usize,
}

/// `GROUP-NUMBER`, numbers from 1 on.
fn parse(body: &str) -> (String, usize) {
    let (group, number) = body.split_once('-').expect("a group and a number");
    (group.to_owned(), number.parse().expect("a number"))
}

impl Seen {
    fn begin(&mut self, body: &str) {
        let (group, number) = parse(body);
        self.calls += 1;
        if !self.running.insert(group.clone()) {
            self.violations.push(format!("{body} while another of its group is handled"));
        }
        if number > self.done.get(&group).copied().unwrap_or(0) + 1 {
            self.violations.push(format!("{body} after {:?}", self.done.get(&group)));
        }
    }

    fn end(&mut self, body: &str, is_done: bool) {
        let (group, number) = parse(body);
        self.running.remove(&group);
        if is_done {
            let last = self.done.entry(group).or_default();
            *last = number.max(*last);
        }
    }
}

/// Kills the server whenever the worker has come some way, and starts it again.
async fn kill_on_the_way(server: &mut Server, relay: &Relay, done: impl Fn() -> usize) {
    for kill in 1..=3 {
        let target = kill * 700;
        until(|| done() >= target).await;
        server.kill();
        server.start_again();
        relay.point_to(server.address());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_a_fifo_queue_outlives_its_server() {
    const GROUPS: usize = 20;
    const EACH: usize = 150;
    let mut server = Server::start();
    let relay = Relay::start(server.address()).await;
    let client = client(&relay.url());
    let queue = create(&client, "ordered.fifo", &[("VisibilityTimeout", "60")]).await;
    let bodies: Vec<String> = (1..=EACH)
        .flat_map(|number| (0..GROUPS).map(move |group| format!("{group}-{number}")))
        .collect();
    send(&client, &queue, &bodies, |body| Some(parse(body).0)).await;

    let seen = Arc::new(Mutex::new(Seen::default()));
    let handler = {
        let seen = seen.clone();
        move |delivery: Delivery| {
            let seen = seen.clone();
            async move {
                let body = &delivery.message.body;
                // Guards what the test counts; not held across an await.
                seen.lock().expect("no handler panics").begin(body);
                tokio::task::yield_now().await;
                // One in fifty fails the first time.
                let calls = seen.lock().expect("no handler panics").calls;
                let is_done = delivery.message.receive_count() > 1 || calls % 50 > 0;
                seen.lock().expect("no handler panics").end(body, is_done);
                if is_done { Ok(()) } else { Err("not this time") }
            }
        }
    };
    let worker = Worker::builder(client.clone())
        .queue(&queue)
        .concurrency(8)
        .visibility(Duration::from_secs(4))
        .backoff(Backoff::Fixed(Duration::ZERO))
        .handler(handler)
        .build()
        .expect("nothing is missing");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());

    let done = || seen.lock().expect("no handler panics").done.values().sum::<usize>();
    kill_on_the_way(&mut server, &relay, done).await;
    until(|| done() == GROUPS * EACH).await;
    until_empty(&client, &queue).await;
    handle.stop();
    let drained = running.await.expect("the worker does not panic");
    assert_eq!(drained.abandoned, 0);
    let seen = seen.lock().expect("no handler panics");
    assert_eq!(seen.violations, [""; 0]);
    assert_eq!(seen.running, BTreeSet::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_standard_queues_outlives_its_server() {
    const COUNT: usize = 3_000;
    let mut server = Server::start();
    let relay = Relay::start(server.address()).await;
    let client = client(&relay.url());
    let heavy = create(&client, "heavy", &[]).await;
    let light = create(&client, "light", &[]).await;
    let bodies: Vec<String> = (0..COUNT).map(|number| number.to_string()).collect();
    let (first, second) = bodies.split_at(COUNT / 2);
    send(&client, &heavy, first, |_| None).await;
    send(&client, &light, second, |_| None).await;

    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let worker = Worker::builder(client.clone())
        .queue(Source::new(&heavy).weight(3))
        .queue(Source::new(&light))
        .concurrency(4)
        .prefetch(20)
        .visibility(Duration::from_secs(4))
        .batch_handler(5, {
            let seen = seen.clone();
            move |deliveries: Vec<Delivery>| {
                let seen = seen.clone();
                async move {
                    let mut seen = seen.lock().expect("no handler panics");
                    // A part of a batch may fail.
                    let outcome = |delivery: &Delivery| {
                        let number: usize = delivery.message.body.parse().expect("a number");
                        if number % 100 == 7 && delivery.message.receive_count() == 1 {
                            return Outcome::Retry(Duration::ZERO);
                        }
                        seen.insert(number);
                        Outcome::Done
                    };
                    Ok::<_, BoxError>(deliveries.iter().map(outcome).collect())
                }
            }
        })
        .build()
        .expect("nothing is missing");
    let handle = worker.handle();
    let running = tokio::spawn(worker.run());

    let done = || seen.lock().expect("no handler panics").len();
    kill_on_the_way(&mut server, &relay, done).await;
    until(|| done() == COUNT).await;
    until_empty(&client, &heavy).await;
    until_empty(&client, &light).await;
    handle.stop();
    assert_eq!(running.await.expect("the worker does not panic").abandoned, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_handler_says_is_what_happens() {
    let server = Server::start();
    let client = client(&server.url());
    let dead = create(&client, "dead", &[]).await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:dead";
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"100"}}"#);
    let queue = create(&client, "jobs", &[("RedrivePolicy", &policy)]).await;
    let kinds = ["done", "panic", "slow", "error", "permanent", "dead", "ignore", "retry"];
    let bodies: Vec<String> = kinds.iter().map(|kind| kind.to_string()).collect();
    send(&client, &queue, &bodies, |_| None).await;

    let worker = Worker::builder(client.clone())
        .queue(&queue)
        .visibility(Duration::from_secs(60))
        .backoff(Backoff::Fixed(Duration::ZERO))
        .handler_timeout(Duration::from_millis(200))
        .handler(|delivery: Delivery| async move {
            let first = delivery.message.receive_count() == 1;
            match delivery.message.body.as_str() {
                "panic" if first => panic!("on purpose"),
                "slow" if first => std::future::pending().await,
                "error" if first => Err(BoxError::from("not this time")),
                "permanent" => Err(Permanent::new("no such\ncustomer").into()),
                "dead" => Ok(Outcome::DeadLetter("unknown schema".into())),
                "ignore" => Ok(Outcome::Ignore),
                "retry" if first => Ok(Outcome::Retry(Duration::from_secs(1))),
                _ => Ok(Outcome::Done),
            }
        })
        .build()
        .expect("nothing is missing");
    let handle = worker.handle();
    let metrics = handle.metrics().clone();
    let running = tokio::spawn(worker.run());
    until(|| metrics.deleted.get() == 5 && metrics.dead_lettered.get() == 2).await;
    handle.stop();
    assert_eq!(running.await.expect("the worker does not panic").abandoned, 0);

    let counts = [&metrics.panics, &metrics.timeouts, &metrics.errors, &metrics.lost];
    assert_eq!(counts.map(|counter| counter.get()), [1, 1, 2, 0]);
    assert_eq!(metrics.released.get(), 4, "panic, slow, error and retry came twice");
    assert_eq!(counters(&client, &queue).await, ["0", "1", "0"], "the ignored one is in flight");
    let mut reasons = BTreeMap::new();
    while reasons.len() < 2 {
        for letter in receive(&client, &dead).await {
            let reason = letter.attributes.get("Stanchion.DeathReason").cloned();
            reasons.insert(letter.body, reason.unwrap_or_default());
        }
    }
    assert_eq!(reasons["permanent"], "no such customer");
    assert_eq!(reasons["dead"], "unknown schema");
    assert!(metrics.prometheus(&[]).contains("stanchion_worker_dead_lettered_total 2\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_stop_hands_back_what_handlers_had() {
    let server = Server::start();
    let client = client(&server.url());
    let queue = create(&client, "jobs", &[]).await;
    send(&client, &queue, &["a", "b", "c"].map(String::from), |_| None).await;

    let running_now = Arc::new(AtomicUsize::new(0));
    let worker = Worker::builder(client.clone())
        .queue(&queue)
        .concurrency(1)
        .prefetch(2)
        .handler({
            let running = running_now.clone();
            move |_| {
                running.fetch_add(1, Relaxed);
                std::future::pending::<Result<(), BoxError>>()
            }
        })
        .build()
        .expect("nothing is missing");
    let handle = worker.handle();
    let metrics = handle.metrics().clone();
    let running = tokio::spawn(worker.run());
    until(|| metrics.received.get() == 3 && running_now.load(Relaxed) == 1).await;
    handle.stop();
    until(|| metrics.released.get() == 2).await;
    assert!(!running.is_finished(), "the handler may finish");
    handle.stop_now();
    assert_eq!(running.await.expect("the worker does not panic").abandoned, 0);
    assert_eq!(counters(&client, &queue).await, ["3", "0", "0"], "visible at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_signal_drains_and_the_second_stops() {
    let server = Server::start();
    let client = client(&server.url());
    let queue = create(&client, "jobs", &[]).await;
    send(&client, &queue, &["finishes", "hangs"].map(String::from), |_| None).await;

    let running_now = Arc::new(AtomicUsize::new(0));
    let finish = CancellationToken::new();
    let worker = Worker::builder(client.clone())
        .queue(&queue)
        .drain_timeout(PATIENCE)
        .handler({
            let (running, finish) = (running_now.clone(), finish.clone());
            move |delivery: Delivery| {
                let (running, finish) = (running.clone(), finish.clone());
                async move {
                    running.fetch_add(1, Relaxed);
                    match delivery.message.body.as_str() {
                        "finishes" => finish.cancelled().await,
                        _ => std::future::pending().await,
                    }
                    Ok::<(), BoxError>(())
                }
            }
        })
        .build()
        .expect("nothing is missing");
    let metrics = worker.handle().metrics().clone();
    let running = tokio::spawn(worker.run_until_signal());
    // With handlers at work it has been listening to signals for a while: they do not end this test.
    until(|| running_now.load(Relaxed) == 2).await;
    let signal = |signal| kill_process(getpid(), signal).expect("this process can be signalled");
    signal(Signal::TERM);
    finish.cancel();
    until(|| metrics.deleted.get() == 1).await;
    assert!(!running.is_finished(), "the other may go on");
    signal(Signal::INT);
    assert_eq!(running.await.expect("the worker does not panic").abandoned, 0);
    assert_eq!(counters(&client, &queue).await, ["1", "0", "0"], "visible at once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_longer_than_the_visibility_timeout_keeps_its_message() {
    let server = Server::start();
    let client = client(&server.url());
    let queue = create(&client, "jobs", &[]).await;
    send(&client, &queue, &["long".to_owned()], |_| None).await;

    let worker = Worker::builder(client.clone())
        .queue(&queue)
        .visibility(Duration::from_secs(2))
        .handler(|delivery: Delivery| async move {
            // Twice the timeout and more: the server's clock is the one that counts here.
            assert_eq!(delivery.message.receive_count(), 1);
            tokio::time::sleep(Duration::from_secs(5)).await;
            Ok::<(), BoxError>(())
        })
        .build()
        .expect("nothing is missing");
    let handle = worker.handle();
    let metrics = handle.metrics().clone();
    let running = tokio::spawn(worker.run());
    until(|| metrics.deleted.get() == 1).await;
    handle.stop();
    assert_eq!(running.await.expect("the worker does not panic").abandoned, 0);
    assert!(metrics.heartbeats.get() >= 3, "{}", metrics.heartbeats.get());
    assert_eq!((metrics.received.get(), metrics.lost.get()), (1, 0));
}
