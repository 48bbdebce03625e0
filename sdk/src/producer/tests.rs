//! The producer around a service that the tests play.

use std::sync::Mutex;

use futures_util::FutureExt;
use tokio::task::JoinSet;

use super::*;
use crate::{BatchFailure, actions::batches::SendMessageBatchResult};

/// Answers requests when the test says so, and remembers their bodies.
#[derive(Clone)]
struct Service {
    /// One permit lets one request through.
    gate: Arc<Semaphore>,
    seen: Arc<Mutex<Vec<Vec<String>>>>,
    /// Bodies that fail once each, by the service's fault.
    failing: Arc<Mutex<Vec<&'static str>>>,
}

impl Service {
    fn open() -> Service {
        Service::with_permits(Semaphore::MAX_PERMITS)
    }

    fn shut() -> Service {
        Service::with_permits(0)
    }

    fn with_permits(permits: usize) -> Service {
        let gate = Arc::new(Semaphore::new(permits));
        Service { gate, seen: Arc::default(), failing: Arc::default() }
    }

    fn let_through(&self, requests: usize) {
        self.gate.add_permits(requests);
    }

    fn seen(&self) -> Vec<Vec<String>> {
        self.seen.lock().unwrap().clone()
    }

    /// What it has seen when everything that is under way has come as far as it can, which on one
    /// thread it has after a few turns.
    async fn seen_at_last(&self, requests: usize) -> Vec<Vec<String>> {
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.seen().len(), requests);
        self.seen()
    }

    async fn answer(self, request: SendMessageBatch) -> Result<SendMessageBatchReply, Error> {
        let bodies = request.entries.iter().map(|entry| entry.message_body.clone()).collect();
        self.seen.lock().unwrap().push(bodies);
        self.gate.acquire().await.unwrap().forget();
        let mut reply = SendMessageBatchReply::default();
        for entry in request.entries {
            assert_ne!(entry.message_body, "panic", "as asked");
            let mut failing = self.failing.lock().unwrap();
            match failing.iter().position(|body| *body == entry.message_body) {
                Some(place) => {
                    failing.remove(place);
                    reply.failed.push(BatchFailure {
                        id: entry.id,
                        code: "InternalError".into(),
                        message: None,
                        sender_fault: false,
                    });
                }
                None => reply.successful.push(SendMessageBatchResult {
                    id: entry.id,
                    message_id: format!("id of {}", entry.message_body),
                    ..SendMessageBatchResult::default()
                }),
            }
        }
        Ok(reply)
    }

    fn start(&self, builder: ProducerBuilder) -> Producer {
        let service = self.clone();
        builder.build_over(move |request| service.clone().answer(request))
    }
}

/// Lingers for ever: a batch goes when it is full, or when the producer closes.
fn builder(queue: &str) -> ProducerBuilder {
    let client = Client::builder().endpoint("http://127.0.0.1:1").unsigned().build().unwrap();
    Producer::builder(client, queue).linger(Duration::from_secs(3600))
}

fn grouped(group: &str, body: &str) -> Outgoing {
    Outgoing::new(body).group(group)
}

#[tokio::test]
async fn every_sender_gets_the_answer_to_the_own_message() {
    let service = Service::open();
    let producer = service.start(builder("q").linger(Duration::ZERO));
    let mut tasks = JoinSet::new();
    for task in 0..20 {
        let producer = producer.clone();
        tasks.spawn(async move {
            for number in 0..50 {
                let body = format!("{task}-{number}");
                let sent = producer.send(body.clone()).await.unwrap();
                assert_eq!(sent.message_id, format!("id of {body}"));
            }
        });
    }
    tasks.join_all().await;
    let mut bodies: Vec<String> = service.seen().concat();
    bodies.sort_unstable();
    bodies.dedup();
    assert_eq!(bodies.len(), 1000);
}

#[tokio::test]
async fn a_full_batch_does_not_wait() {
    let service = Service::open();
    let producer = service.start(builder("q").max_batch_messages(2));
    let first = producer.enqueue("a").await.unwrap();
    producer.send("b").await.unwrap();
    first.await.unwrap();
    assert_eq!(service.seen(), [["a", "b"]]);
}

#[tokio::test]
async fn who_sends_more_than_there_is_room_for_waits() {
    let service = Service::shut();
    let builder = builder("q").linger(Duration::ZERO).max_buffered_messages(2);
    let producer = service.start(builder);
    let first = producer.enqueue("a").await.unwrap();
    let second = producer.enqueue("b").await.unwrap();
    let mut third = Box::pin(producer.enqueue("c"));
    assert!((&mut third).now_or_never().is_none());
    service.let_through(2);
    let (first, second) = (first.await, second.await);
    assert!(first.is_ok() && second.is_ok());
    service.let_through(1);
    third.await.unwrap().await.unwrap();
}

#[tokio::test]
async fn room_is_counted_in_bytes_too_and_a_giant_has_it_to_itself() {
    let service = Service::shut();
    let builder = builder("q").linger(Duration::ZERO).max_buffered_bytes(10);
    let producer = service.start(builder);
    let first = producer.enqueue("12345").await.unwrap();
    let giant = "larger than all the room there is";
    let mut second = Box::pin(producer.enqueue(giant));
    assert!((&mut second).now_or_never().is_none());
    service.let_through(1);
    first.await.unwrap();
    let second = second.await.unwrap();
    let mut third = Box::pin(producer.enqueue("x"));
    assert!((&mut third).now_or_never().is_none());
    service.let_through(2);
    second.await.unwrap();
    third.await.unwrap().await.unwrap();
    assert_eq!(service.seen(), [["12345"], [giant], ["x"]]);
}

#[tokio::test]
async fn an_answer_that_nobody_waits_for_gives_its_room_back() {
    let service = Service::open();
    let builder = builder("q").linger(Duration::ZERO).max_buffered_messages(1);
    let producer = service.start(builder);
    for body in ["a", "b", "c"] {
        drop(producer.enqueue(body).await.unwrap());
    }
    producer.close().await;
    assert_eq!(service.seen(), [["a"], ["b"], ["c"]]);
}

#[tokio::test]
async fn closing_sends_what_was_taken_and_takes_no_more() {
    let service = Service::shut();
    let producer = service.start(builder("q").max_buffered_messages(2));
    let first = producer.enqueue("a").await.unwrap();
    let second = producer.enqueue("b").await.unwrap();
    let mut third = Box::pin(producer.enqueue("c"));
    assert!((&mut third).now_or_never().is_none());
    let mut closed = Box::pin(producer.close());
    assert!((&mut closed).now_or_never().is_none());
    assert!(matches!(third.await, Err(SendError::Closed)), "who still waits for room is told");
    service.let_through(1);
    closed.await;
    let answers = (first.now_or_never(), second.now_or_never());
    assert!(matches!(answers, (Some(Ok(_)), Some(Ok(_)))), "{answers:?}");
    assert_eq!(service.seen(), [["a", "b"]]);
    assert!(matches!(producer.send("d").await, Err(SendError::Closed)));
    producer.close().await;
}

#[tokio::test]
async fn a_producer_that_is_dropped_still_sends() {
    let service = Service::open();
    let producer = service.start(builder("q"));
    let pending = producer.enqueue("a").await.unwrap();
    drop(producer);
    assert_eq!(pending.await.unwrap().message_id, "id of a");
}

#[tokio::test]
async fn a_request_that_panics_loses_nobody() {
    let service = Service::open();
    let producer = service.start(builder("q.fifo").linger(Duration::ZERO));
    let lost = producer.send(grouped("g", "panic")).await;
    assert!(matches!(lost, Err(SendError::Unknown)), "{lost:?}");
    producer.send(grouped("g", "next")).await.unwrap();
    producer.close().await;
}

#[tokio::test]
async fn what_fails_is_sent_again_before_later_messages_of_its_group() {
    let service = Service::open();
    service.failing.lock().unwrap().push("g1");
    let producer = service.start(builder("q.fifo").linger(Duration::ZERO).max_batch_messages(1));
    let mut pending = Vec::new();
    for (group, body) in [("g", "g1"), ("g", "g2"), ("h", "h1"), ("g", "g3")] {
        pending.push(producer.enqueue(grouped(group, body)).await.unwrap());
    }
    for pending in pending {
        pending.await.unwrap();
    }
    let mut of_g = service.seen().concat();
    of_g.retain(|body| body.starts_with('g'));
    assert_eq!(of_g, ["g1", "g1", "g2", "g3"]);
}

#[tokio::test]
async fn groups_of_a_standard_queue_keep_no_order() {
    let service = Service::shut();
    let producer = service.start(builder("q").max_batch_messages(1));
    let first = producer.enqueue(grouped("g", "1")).await.unwrap();
    let second = producer.enqueue(grouped("g", "2")).await.unwrap();
    assert_eq!(service.seen_at_last(2).await, [["1"], ["2"]], "neither has its answer");
    service.let_through(2);
    first.await.unwrap();
    second.await.unwrap();
}

#[tokio::test]
async fn a_group_of_a_fifo_queue_waits_for_its_answer() {
    let service = Service::shut();
    let producer = service.start(builder("q.fifo").max_batch_messages(1));
    let first = producer.enqueue(grouped("g", "1")).await.unwrap();
    let second = producer.enqueue(grouped("g", "2")).await.unwrap();
    let other = producer.enqueue(grouped("h", "3")).await.unwrap();
    assert_eq!(service.seen_at_last(2).await, [["1"], ["3"]]);
    service.let_through(3);
    first.await.unwrap();
    second.await.unwrap();
    other.await.unwrap();
}

#[tokio::test]
async fn messages_to_a_fifo_queue_get_an_id_of_their_own_if_asked_for() {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let (service, remembered) = (Service::open(), ids.clone());
    let builder = builder("q.fifo").linger(Duration::ZERO).generate_dedup_ids();
    let producer = builder.build_over(move |request| {
        let entries = request.entries.iter();
        let found = entries.map(|entry| entry.message_deduplication_id.clone().unwrap());
        remembered.lock().unwrap().extend(found);
        service.clone().answer(request)
    });
    producer.send(grouped("g", "1").dedup_id("mine")).await.unwrap();
    producer.send(grouped("g", "2")).await.unwrap();
    let ids = ids.lock().unwrap();
    assert_eq!((ids[0].as_str(), ids[1].len()), ("mine", 36));
}

#[tokio::test]
async fn waits_without_an_end_are_ones() {
    let service = Service::open();
    let patient = builder("q").delivery_timeout(Duration::MAX).linger(Duration::MAX);
    let producer = service.start(patient);
    let pending = producer.enqueue("a").await.unwrap();
    producer.close().await;
    assert_eq!(pending.await.unwrap().message_id, "id of a");
}
