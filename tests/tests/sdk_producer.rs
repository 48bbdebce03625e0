//! The SDK's producer, typed messages, request and reply, large payloads and trace context, against
//! the real server.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use object_store::{ObjectStore, memory::InMemory};
use serde::{Deserialize, Serialize};
use stanchion_sdk::{
    Client, CreateQueue, DeadLetterError, DeadLetters, DeleteMessageBatch, GetQueueAttributes,
    Message, Outgoing, Producer, ReceiveMessage, TraceContext, TypedQueue,
    actions::{own::server::PauseQueue, queues::DeleteQueue},
    dead_letter::DEATH_REASON,
    large_payloads::{LargePayloads, plain_handle},
    request_reply::{Replier, RequestError, Requester},
};
use stanchion_tests::{Server, process::PATIENCE, sdk};
use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

fn client_at(endpoint: &str) -> Client {
    Client::builder()
        .endpoint(endpoint)
        .region("us-east-1")
        .credentials(sdk::ROOT_KEY, sdk::ROOT_SECRET)
        .build()
        .expect("the settings are legal")
}

fn client(server: &Server) -> Client {
    client_at(&server.url())
}

async fn create(client: &Client, name: &str, attributes: &[(&str, &str)]) -> String {
    let mut request = CreateQueue::new(name);
    for (name, value) in attributes {
        request = request.attribute(*name, *value);
    }
    client.create_queue(request).await.expect("the queue is created").queue_url
}

/// A queue whose dead letters go to another; the URLs of both.
async fn create_with_dead_letters(client: &Client) -> [String; 2] {
    let dead = create(client, "dead", &[]).await;
    let request = GetQueueAttributes::all(&dead);
    let found = client.get_queue_attributes(request).await.expect("the queue exists").attributes;
    let arn = &found["QueueArn"];
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":5}}"#);
    [create(client, "orders", &[("RedrivePolicy", &policy)]).await, dead]
}

async fn receive(client: &Client, url: &str) -> Vec<Message> {
    let request = ReceiveMessage::new(url).max(10);
    client.receive_message(request).await.expect("the service answers").messages
}

/// Receives and deletes until `count` messages have been seen; in the order in which they came.
async fn drain(client: &Client, url: &str, count: usize) -> Vec<Message> {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    while seen.len() < count {
        assert!(Instant::now() < deadline, "{} of {count} came", seen.len());
        let request = ReceiveMessage::new(url).max(10).wait(Duration::from_secs(1));
        let came = client.receive_message(request).await.expect("the service answers").messages;
        if !came.is_empty() {
            let handles = came.iter().map(|message| &message.receipt_handle);
            let deleted = client.delete_message_batch(DeleteMessageBatch::new(url, handles)).await;
            assert_eq!(deleted.expect("the service answers").failed, []);
        }
        seen.extend(came);
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_twenty_tasks_send_arrives_once_each() {
    let server = Server::start();
    let client = client(&server);
    let url = create(&client, "q", &[]).await;
    let producer = Producer::builder(client.clone(), &url).build();
    let mut tasks = JoinSet::new();
    for task in 0..20 {
        let producer = producer.clone();
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for number in 0..500 {
                let body = format!("{task}-{number}");
                ids.push((producer.send(body.as_str()).await.unwrap().message_id, body));
            }
            ids
        });
    }
    let sent: BTreeMap<String, String> = tasks.join_all().await.into_iter().flatten().collect();
    producer.close().await;
    let came = drain(&client, &url, 20 * 500).await;
    let came: BTreeMap<String, String> =
        came.into_iter().map(|message| (message.message_id, message.body)).collect();
    assert_eq!(came.len(), 20 * 500);
    assert_eq!(came, sent);
    assert_eq!(receive(&client, &url).await.len(), 0);
}

/// The server is killed while batches of every group are under way; the producer has to find out what
/// became of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_keep_their_order_when_the_server_is_killed() {
    const GROUPS: usize = 8;
    const EACH: usize = 200;
    // A port that is the same after the restart.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let mut server = Server::start_with(&["--listen", &listen]);
    let client = client_at(&format!("http://{listen}"));
    let url = create(&client, "q.fifo", &[]).await;
    let producer = Producer::builder(client.clone(), &url).build();

    let answered = Arc::new(AtomicUsize::new(0));
    let mut tasks = JoinSet::new();
    for group in 0..GROUPS {
        let (producer, answered) = (producer.clone(), answered.clone());
        tasks.spawn(async move {
            // A few of each group are always on their way.
            let mut pending = std::collections::VecDeque::new();
            for number in 0..EACH {
                let body = format!("{group}-{number}");
                let message = Outgoing::new(&body).group(group.to_string()).dedup_id(body);
                pending.push_back(producer.enqueue(message).await.unwrap());
                if pending.len() == 20 {
                    pending.pop_front().expect("there are some").await.expect("it arrives");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
            for one in pending {
                one.await.expect("it arrives");
            }
        });
    }
    for kills in 1..=3 {
        let deadline = Instant::now() + PATIENCE;
        while answered.load(Ordering::Relaxed) < kills * GROUPS * EACH / 5 {
            assert!(Instant::now() < deadline, "no progress before kill {kills}");
            time::sleep(Duration::from_millis(1)).await;
        }
        server.kill();
        server.start_again();
    }
    tasks.join_all().await;
    producer.close().await;

    let mut came: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for message in drain(&client, &url, GROUPS * EACH).await {
        let group = message.group().expect("every message has a group").to_owned();
        came.entry(group).or_default().push(message.body);
    }
    for group in 0..GROUPS {
        let sent: Vec<String> = (0..EACH).map(|number| format!("{group}-{number}")).collect();
        assert_eq!(came[&group.to_string()], sent);
    }
    assert_eq!(receive(&client, &url).await.len(), 0);
}

#[tokio::test]
async fn a_message_that_spoils_its_batch_is_refused_alone() {
    let server = Server::start();
    let client = client(&server);
    let url = create(&client, "q.fifo", &[]).await;
    let hour = Duration::from_secs(3600);
    let producer =
        Producer::builder(client.clone(), &url).max_batch_messages(3).linger(hour).build();
    let message = |body: &str| Outgoing::new(body).group("g");
    let one = producer.enqueue(message("1").dedup_id("1")).await.unwrap();
    let bad = producer.enqueue(message("no id")).await.unwrap();
    let two = producer.enqueue(message("2").dedup_id("2")).await.unwrap();
    one.await.unwrap();
    assert_eq!(bad.await.unwrap_err().code(), Some("InvalidParameterValueException"));
    two.await.unwrap();
    let bodies: Vec<_> = drain(&client, &url, 2).await.into_iter().map(|m| m.body).collect();
    assert_eq!(bodies, ["1", "2"]);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    number: u64,
}

#[tokio::test]
async fn a_body_that_cannot_be_read_becomes_a_dead_letter() {
    let server = Server::start();
    let client = client(&server);
    let [url, dead] = create_with_dead_letters(&client).await;
    let orders = TypedQueue::<Order>::new(client.clone(), &url);
    client.send_message(Outgoing::new(r#"{"number":"one"}"#).to_queue(&url)).await.unwrap();
    orders.send(&Order { number: 2 }).await.unwrap();

    let mut received = orders.receive(ReceiveMessage::new(&url).max(10)).await.unwrap();
    assert_eq!(received.messages.len(), 1);
    assert_eq!(received.messages[0].value, Order { number: 2 });
    let unreadable = received.unreadable.remove(0);
    unreadable.dead_lettered.unwrap();
    orders.delete(&received.messages[0]).await.unwrap();

    let letter = receive(&client, &dead).await.remove(0);
    assert_eq!(letter.message_id, unreadable.message.message_id);
    let reason = &letter.attributes[DEATH_REASON];
    assert!(reason.contains("Order") && reason.contains("line 1"), "{reason}");
}

#[tokio::test]
async fn without_a_dead_letter_queue_an_unreadable_body_stays() {
    let server = Server::start();
    let client = client(&server);
    let url = create(&client, "q", &[]).await;
    client.send_message(Outgoing::new("no JSON").to_queue(&url)).await.unwrap();
    let orders = TypedQueue::<Order>::new(client.clone(), &url);
    let now = ReceiveMessage::new(&url).visibility(Duration::ZERO);
    for _ in 0..2 {
        let received = orders.receive(now.clone()).await.unwrap();
        let outcome = &received.unreadable[0].dead_lettered;
        assert!(matches!(outcome, Err(DeadLetterError::NoDeadLetterQueue)), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_dead_letter_by_copying_has_all_that_it_was_sent_with() {
    let server = Server::start();
    let client = client(&server);
    let [url, dead] = create_with_dead_letters(&client).await;
    let sent = Outgoing::new("body").attribute("kind", "order").trace_header("Root=1-2-3");
    client.send_message(sent.to_queue(&url)).await.unwrap();
    let message = receive(&client, &url).await.remove(0);
    let dead_letters = DeadLetters::of(client.clone(), &url).by_copying();
    dead_letters.send(&message, "it makes no sense").await.unwrap();

    let letter = receive(&client, &dead).await.remove(0);
    assert_eq!((letter.body.as_str(), letter.attribute("kind")), ("body", Some("order")));
    assert_eq!(letter.attribute(DEATH_REASON), Some("it makes no sense"));
    assert_eq!(letter.trace_header(), Some("Root=1-2-3"));
    assert_eq!(sdk::counters(&sdk::client(&server), &url).await, [0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_gets_its_own_reply() {
    let server = Server::start();
    let (asking, answering) = (client(&server), client(&server));
    let url = create(&asking, "questions", &[]).await;
    let stop = CancellationToken::new();
    let replier = Replier::builder(answering).concurrency(20).build();
    let answers = tokio::spawn({
        let (url, stop) = (url.clone(), stop.clone());
        async move {
            let shout =
                |request: Message| async move { Ok::<_, Infallible>(request.body.to_uppercase()) };
            replier.run(url, stop, shout).await;
        }
    });

    let requester =
        Requester::builder(asking.clone(), &url).timeout(PATIENCE).build().await.unwrap();
    let mut tasks = JoinSet::new();
    for task in 0..50 {
        let requester = requester.clone();
        tasks.spawn(async move {
            for number in 0..5 {
                let reply = requester.request(format!("q{task}-{number}")).await.unwrap();
                assert_eq!(reply.body, format!("Q{task}-{number}"));
            }
        });
    }
    tasks.join_all().await;
    stop.cancel();
    answers.await.unwrap();

    requester.close().await.unwrap();
    assert!(matches!(requester.request("more").await, Err(RequestError::Closed)));
    let gone = asking.receive_message(ReceiveMessage::new(requester.reply_queue_url())).await;
    assert!(gone.unwrap_err().is_queue_missing());
    assert_eq!(receive(&asking, &url).await.len(), 0, "requests are deleted with their replies");
}

#[tokio::test]
async fn a_late_reply_is_dropped() {
    let server = Server::start();
    let client = client(&server);
    let url = create(&client, "questions", &[]).await;
    let soon = Duration::from_millis(50);
    let requester = Requester::builder(client.clone(), &url).timeout(soon).build().await.unwrap();
    let late = requester.request("anybody?").await;
    assert!(matches!(late, Err(RequestError::Timeout(after)) if after == soon), "{late:?}");

    // The request is there nevertheless, and the requester deletes the reply to it unread.
    let request = drain(&client, &url, 1).await.remove(0);
    let replier = Replier::builder(client.clone()).build();
    replier.reply(&request, "here I am").await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    let left = || async {
        let request = GetQueueAttributes::all(requester.reply_queue_url());
        let found = client.get_queue_attributes(request).await.unwrap().attributes;
        let counters = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        counters.iter().any(|name| found[*name] != "0")
    };
    while left().await {
        assert!(Instant::now() < deadline, "the late reply stays");
        time::sleep(Duration::from_millis(5)).await;
    }
    requester.close().await.unwrap();
    let gone = replier.reply(&request, "still here").await;
    assert!(
        matches!(gone, Err(stanchion_sdk::request_reply::ReplyError::RequesterGone)),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_request_that_failed_is_handled_again() {
    let server = Server::start();
    let client = client(&server);
    // What failed is there again at once.
    let url = create(&client, "questions", &[("VisibilityTimeout", "0")]).await;
    let tries = Arc::new(AtomicUsize::new(0));
    let handler = move |_: Message| {
        let tries = tries.fetch_add(1, Ordering::Relaxed);
        async move {
            match tries {
                0 => Err("not yet"),
                _ => Ok("now"),
            }
        }
    };
    let stop = CancellationToken::new();
    let replier = Replier::builder(client.clone()).concurrency(1).build();
    let answers = tokio::spawn({
        let (url, stop) = (url.clone(), stop.clone());
        async move { replier.run(url, stop, handler).await }
    });
    let requester = Requester::builder(client, &url).timeout(PATIENCE).build().await.unwrap();
    assert_eq!(requester.request("ready?").await.unwrap().body, "now");
    stop.cancel();
    answers.await.unwrap();
}

#[tokio::test]
async fn a_reply_queue_that_was_deleted_is_made_again() {
    let server = Server::start();
    let client = client(&server);
    let url = create(&client, "questions", &[]).await;
    let builder = Requester::builder(client.clone(), &url).timeout(PATIENCE);
    let requester = builder.build().await.unwrap();
    let replies = requester.reply_queue_url().to_owned();
    client.delete_queue(DeleteQueue { queue_url: replies.clone() }).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while client.get_queue_attributes(GetQueueAttributes::all(&replies)).await.is_err() {
        assert!(Instant::now() < deadline, "it is not made again");
        time::sleep(Duration::from_millis(5)).await;
    }
    let asking = tokio::spawn(async move { requester.request("still there?").await });
    let request = drain(&client, &url, 1).await.remove(0);
    Replier::builder(client).build().reply(&request, "yes").await.unwrap();
    assert_eq!(asking.await.unwrap().unwrap().body, "yes");
}

#[tokio::test]
async fn a_body_of_three_mebibytes_goes_through_an_object_store() {
    let server = Server::start();
    let client = client(&server);
    let url = create(&client, "films", &[]).await;
    let store = Arc::new(InMemory::new());
    let payloads = LargePayloads::new(store.clone(), "bodies").key_prefix("films/");
    let body = "é".repeat(3 * 512 * 1024);
    let sent = Outgoing::new(&body).attribute("kind", "film");
    payloads.send(&client, &url, sent).await.unwrap();
    payloads.send(&client, &url, Outgoing::new("a small one")).await.unwrap();

    let request = ReceiveMessage::new(&url).max(10);
    let received = payloads.receive(&client, request).await.unwrap();
    assert!(received.failed.is_empty(), "{:?}", received.failed);
    let bodies: BTreeSet<&str> = received.messages.iter().map(|m| m.body.as_str()).collect();
    assert_eq!(bodies, BTreeSet::from([body.as_str(), "a small one"]));
    let large = received.messages.iter().find(|message| message.body == body).unwrap();
    assert_eq!(large.message_attributes.keys().collect::<Vec<_>>(), ["kind"]);
    assert_ne!(plain_handle(&large.receipt_handle), large.receipt_handle);
    assert_eq!(objects(&store).await, 1);
    for message in &received.messages {
        payloads.delete(&client, &url, &message.receipt_handle).await.unwrap();
    }
    assert_eq!(objects(&store).await, 0);
    assert_eq!(sdk::counters(&sdk::client(&server), &url).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_payload_does_not_outlive_a_send_that_was_refused() {
    let server = Server::start();
    let client = client(&server);
    let store = Arc::new(InMemory::new());
    let payloads = LargePayloads::new(store.clone(), "bodies").threshold(0);
    let refused = payloads.send(&client, "no-such-queue", Outgoing::new("body")).await;
    assert!(refused.is_err());
    assert_eq!(objects(&store).await, 0);
}

#[tokio::test]
async fn a_payload_stays_while_a_message_may_point_to_it() {
    let server = Server::start();
    let client = client(&server);
    let url = create(&client, "films", &[]).await;
    let pause = PauseQueue { queue_url: url.clone(), operation: Some("Send".into()) };
    client.pause_queue(pause).await.unwrap();
    let store = Arc::new(InMemory::new());
    let payloads = LargePayloads::new(store.clone(), "bodies").threshold(0);
    // Throttled at last: what became of the attempts before, the client does not say.
    let refused = payloads.send(&client, &url, Outgoing::new("body")).await;
    assert!(refused.is_err());
    assert_eq!(objects(&store).await, 1);
}

async fn objects(store: &InMemory) -> usize {
    let found = store.list_with_delimiter(None).await.expect("memory can be listed");
    let inside = store.list_with_delimiter(Some(&"films".into())).await.expect("as above");
    found.objects.len() + inside.objects.len()
}

#[tokio::test]
async fn a_trace_goes_along_beside_ten_attributes() {
    let server = Server::start();
    let client = client(&server);
    let url = create(&client, "q", &[]).await;
    let context = TraceContext::root(true);
    let mut message = Outgoing::new("body").trace_context(context);
    for number in 0..10 {
        message = message.attribute(format!("a{number}"), "1");
    }
    let producer = Producer::builder(client.clone(), &url).linger(Duration::ZERO).build();
    producer.send(message).await.unwrap();
    let came = receive(&client, &url).await.remove(0);
    assert_eq!(came.message_attributes.len(), 10);
    assert_eq!(came.trace_context(), Some(context));
}
