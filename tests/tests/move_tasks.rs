//! Message move tasks: through the SDK, in order, and across SIGKILL.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aws_sdk_sqs::{
    Client,
    types::{
        DeleteMessageBatchRequestEntry, ListMessageMoveTasksResultEntry, Message,
        SendMessageBatchRequestEntry,
    },
};
use stanchion_tests::{
    Server,
    process::PATIENCE,
    sdk::{self, arn, client, create, send_to_group},
};

/// A dead-letter queue, and its source.
async fn pair(sqs: &Client, suffix: &str) -> (String, String) {
    let dead = create(sqs, &format!("dead{suffix}"), &[]).await;
    let target = arn(sqs, &dead).await;
    let policy = format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":1}}"#);
    let source = create(sqs, &format!("source{suffix}"), &[("RedrivePolicy", &policy)]).await;
    (dead, source)
}

/// The newest task of a source.
async fn last_task(sqs: &Client, source_arn: &str) -> ListMessageMoveTasksResultEntry {
    let listed = sqs.list_message_move_tasks().source_arn(source_arn).send().await;
    let mut results = listed.expect("tasks are listed").results.expect("there is a task");
    assert_eq!(results.len(), 1, "one unless asked for more");
    results.remove(0)
}

/// The newest task of a source, once it is over.
async fn finished(sqs: &Client, source_arn: &str) -> ListMessageMoveTasksResultEntry {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let task = last_task(sqs, source_arn).await;
        if !matches!(task.status(), Some("RUNNING" | "CANCELLING")) {
            return task;
        }
        assert!(Instant::now() < deadline, "the task never ends: {task:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Receives and deletes until nothing is available.
async fn drain(sqs: &Client, url: &str) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let messages = sdk::receive(sqs, url, 0).await;
        if messages.is_empty() {
            return all;
        }
        let mut delete = sqs.delete_message_batch().queue_url(url);
        for (id, message) in messages.iter().enumerate() {
            let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
            let entry = entry.receipt_handle(sdk::handle(message)).build();
            delete = delete.entries(entry.expect("id and handle are given"));
        }
        let deleted = delete.send().await.expect("the messages are deleted");
        assert!(deleted.failed().is_empty(), "{deleted:?}");
        all.extend(messages);
    }
}

#[tokio::test]
async fn dead_letters_go_back_to_their_source_without_being_told_where() {
    let server = Server::start();
    let sqs = client(&server);
    let (dead, source) = pair(&sqs, "").await;
    let mut sent = BTreeSet::new();
    for body in ["one", "two", "three"] {
        sent.insert(sdk::send(&sqs, &source, body).await);
        let received = sdk::receive_one(&sqs, &source).await;
        sdk::give_back(&sqs, &source, &received).await;
        assert_eq!(sdk::receive(&sqs, &source, 0).await.len(), 0);
    }
    assert_eq!(sdk::counters(&sqs, &dead).await, [3, 0, 0]);
    let from = arn(&sqs, &dead).await;
    let started = sqs.start_message_move_task().source_arn(&from).send().await;
    assert!(started.expect("it starts").task_handle().is_some());
    let task = finished(&sqs, &from).await;
    assert_eq!(task.status(), Some("COMPLETED"));
    assert_eq!(task.approximate_number_of_messages_moved(), 3);
    assert_eq!(task.approximate_number_of_messages_to_move(), Some(3));
    assert_eq!((task.task_handle(), task.destination_arn()), (None, None));
    let received = drain(&sqs, &source).await;
    let mut bodies = sdk::bodies(&received);
    bodies.sort_unstable();
    assert_eq!(bodies, ["one", "three", "two"]);
    for message in &received {
        // A new message.
        assert!(message.message_id().is_some_and(|id| !sent.contains(id)));
        assert_eq!(sdk::system(message, "ApproximateReceiveCount"), "1");
        assert_eq!(sdk::system(message, "DeadLetterQueueSourceArn"), "");
    }
}

#[tokio::test]
async fn groups_keep_their_order() {
    // So many that the two queues have different ones.
    let server = Server::start_with(&["--shards", "16"]);
    let sqs = client(&server);
    let (dead, source) = pair(&sqs, ".fifo").await;
    for number in 0..120 {
        send_to_group(&sqs, &dead, &format!("g{}", number % 4), &format!("{number:03}")).await;
    }
    let (from, to) = (arn(&sqs, &dead).await, arn(&sqs, &source).await);
    let start = sqs.start_message_move_task().source_arn(&from).destination_arn(to);
    start.send().await.expect("it starts");
    assert_eq!(finished(&sqs, &from).await.approximate_number_of_messages_moved(), 120);
    let mut groups: BTreeMap<String, Vec<Message>> = BTreeMap::new();
    for message in drain(&sqs, &source).await {
        let group = sdk::system(&message, "MessageGroupId").to_owned();
        groups.entry(group).or_default().push(message);
    }
    assert_eq!(groups.len(), 4);
    for messages in groups.values() {
        assert_eq!(messages.len(), 30);
        assert!(sdk::bodies(messages).is_sorted(), "{:?}", sdk::bodies(messages));
        // The id it was sent with.
        let first = &messages[0];
        assert_eq!(sdk::system(first, "MessageDeduplicationId"), sdk::body(first));
    }
}

#[tokio::test]
async fn a_task_outlives_sigkill_and_loses_and_doubles_nothing() {
    const MESSAGES: usize = 1_500;
    // In one shard, and across shards.
    for shards in ["1", "16"] {
        let mut server = Server::start_with(&["--shards", shards]);
        let mut sqs = client(&server);
        let (dead, source) = pair(&sqs, "").await;
        let (from, to) = (arn(&sqs, &dead).await, arn(&sqs, &source).await);
        for first in (0..MESSAGES).step_by(10) {
            let mut send = sqs.send_message_batch().queue_url(&dead);
            for number in first..first + 10 {
                let entry = SendMessageBatchRequestEntry::builder().id(number.to_string());
                let entry = entry.message_body(number.to_string()).build();
                send = send.entries(entry.expect("id and body are given"));
            }
            let answer = send.send().await.expect("the messages are accepted");
            assert_eq!(answer.successful().len(), 10);
        }
        let start = sqs.start_message_move_task().source_arn(&from).destination_arn(to);
        // Slow enough to be killed on the way.
        start.max_number_of_messages_per_second(500).send().await.expect("it starts");
        let mut kills = 0;
        let task = loop {
            let task = last_task(&sqs, &from).await;
            if task.status() != Some("RUNNING") {
                break task;
            }
            if task.approximate_number_of_messages_moved() >= 150 * (kills + 1) {
                server.kill();
                server.start_again();
                sqs = client(&server);
                kills += 1;
            }
        };
        assert_eq!(task.status(), Some("COMPLETED"), "after {kills} kills");
        assert_eq!(task.approximate_number_of_messages_moved(), MESSAGES as i64);
        assert!(kills > 0, "the task was over before the first kill");
        assert_eq!(sdk::counters(&sqs, &dead).await, [0, 0, 0]);
        assert_eq!(sdk::counters(&sqs, &source).await, [MESSAGES as u64, 0, 0]);
        let received = drain(&sqs, &source).await;
        assert_eq!(received.len(), MESSAGES, "each message once");
        let bodies: BTreeSet<&str> = sdk::bodies(&received).into_iter().collect();
        assert_eq!(bodies.len(), MESSAGES, "each of them");
    }
}
