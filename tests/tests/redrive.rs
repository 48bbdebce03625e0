//! Dead letters: when a message moves, what it keeps, and which redrive policies are refused.

use aws_sdk_sqs::{Client, types::QueueAttributeName};
use stanchion_tests::{
    Server,
    sdk::{self, arn, attribute, client, create, failure, send_to_group},
};

fn policy(target: &str, count: u32) -> String {
    format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":{count}}}"#)
}

/// A source whose messages move to a dead-letter queue after one receive, and that queue.
async fn pair(sqs: &Client, suffix: &str) -> (String, String) {
    let dead = create(sqs, &format!("dead{suffix}"), &[]).await;
    let policy = policy(&arn(sqs, &dead).await, 1);
    let source = create(sqs, &format!("source{suffix}"), &[("RedrivePolicy", &policy)]).await;
    (source, dead)
}

#[tokio::test]
async fn a_message_moves_at_the_receive_that_would_exceed_the_count() {
    let server = Server::start();
    let sqs = client(&server);
    let (source, dead) = pair(&sqs, "").await;
    let id = sdk::send(&sqs, &source, "poison").await;
    let received = sdk::receive_one(&sqs, &source).await;
    sdk::give_back(&sqs, &source, &received).await;
    assert_eq!(sdk::counters(&sqs, &dead).await, [0, 0, 0], "not before the next receive");

    assert_eq!(sdk::receive(&sqs, &source, 0).await.len(), 0);
    let moved = sdk::receive_one(&sqs, &dead).await;
    assert_eq!(moved.message_id(), Some(&*id));
    assert_eq!(sdk::body(&moved), "poison");
    assert_eq!(sdk::system(&moved, "ApproximateReceiveCount"), "2", "the count goes on");
    assert_eq!(sdk::system(&moved, "DeadLetterQueueSourceArn"), arn(&sqs, &source).await);
    assert_eq!(sdk::system(&moved, "SentTimestamp"), sdk::system(&received, "SentTimestamp"));
    assert_eq!(sdk::counters(&sqs, &source).await, [0, 0, 0]);
}

#[tokio::test]
async fn other_messages_are_received_past_a_poisonous_one() {
    let server = Server::start();
    let sqs = client(&server);
    let (source, dead) = pair(&sqs, "").await;
    sdk::send(&sqs, &source, "poison").await;
    let received = sdk::receive_one(&sqs, &source).await;
    sdk::give_back(&sqs, &source, &received).await;
    sdk::send(&sqs, &source, "good").await;
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &source, 0).await), ["good"]);
    assert_eq!(sdk::body(&sdk::receive_one(&sqs, &dead).await), "poison");
}

#[tokio::test]
async fn receive_counts_survive_a_crash() {
    let mut server = Server::start();
    let sqs = client(&server);
    let (source, dead) = pair(&sqs, "").await;
    let id = sdk::send(&sqs, &source, "poison").await;
    let received = sdk::receive_one(&sqs, &source).await;
    sdk::give_back(&sqs, &source, &received).await;
    server.kill();
    server.start_again();
    let sqs = client(&server);
    assert_eq!(sdk::receive(&sqs, &source, 0).await.len(), 0);
    assert_eq!(sdk::receive_one(&sqs, &dead).await.message_id(), Some(&*id));
}

#[tokio::test]
async fn a_fifo_move_frees_the_group_and_renews_the_numbers() {
    let server = Server::start();
    let sqs = client(&server);
    let (source, dead) = pair(&sqs, ".fifo").await;
    send_to_group(&sqs, &dead, "g", "first-in-dead").await;
    send_to_group(&sqs, &source, "g", "poison").await;
    send_to_group(&sqs, &source, "g", "next").await;
    let one = sqs.receive_message().queue_url(&source).send().await.unwrap().messages.unwrap();
    assert_eq!(sdk::bodies(&one), ["poison"]);
    sdk::give_back(&sqs, &source, &one[0]).await;
    assert_eq!(sdk::body(&sdk::receive_one(&sqs, &source).await), "next");

    let messages = sdk::receive(&sqs, &dead, 20).await;
    assert_eq!(sdk::bodies(&messages), ["first-in-dead", "poison"]);
    let moved = &messages[1];
    assert_eq!(sdk::system(moved, "MessageGroupId"), "g");
    assert_eq!(Some(sdk::system(moved, "MessageDeduplicationId")), moved.message_id());
    assert!(
        sdk::system(moved, "SequenceNumber") > sdk::system(&messages[0], "SequenceNumber"),
        "a new number of the target"
    );
}

#[tokio::test]
async fn a_message_stays_when_its_dead_letter_queue_is_gone() {
    let server = Server::start();
    let sqs = client(&server);
    let (source, dead) = pair(&sqs, "").await;
    sdk::send(&sqs, &source, "m").await;
    sqs.delete_queue().queue_url(&dead).send().await.unwrap();
    for count in ["1", "2", "3"] {
        let message = sdk::receive_one(&sqs, &source).await;
        assert_eq!(sdk::system(&message, "ApproximateReceiveCount"), count);
        sdk::give_back(&sqs, &source, &message).await;
    }
}

#[tokio::test]
async fn a_queue_may_be_its_own_dead_letter_queue() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let policy = policy(&arn(&sqs, &url).await, 1);
    let set = sqs.set_queue_attributes().queue_url(&url);
    set.attributes(QueueAttributeName::RedrivePolicy, policy).send().await.unwrap();
    let id = sdk::send(&sqs, &url, "m").await;
    let message = sdk::receive_one(&sqs, &url).await;
    sdk::give_back(&sqs, &url, &message).await;
    assert_eq!(sdk::receive_one(&sqs, &url).await.message_id(), Some(&*id));
}

#[tokio::test]
async fn redrive_policies_are_checked() {
    let server = Server::start();
    let sqs = client(&server);
    let (source, dead) = pair(&sqs, "").await;
    let fifo = create(&sqs, "q.fifo", &[]).await;
    let [dead, fifo] = [arn(&sqs, &dead).await, arn(&sqs, &fifo).await];
    let stored = policy(&dead, 1);
    let absent = policy("arn:aws:sqs:us-east-1:000000000000:absent", 1);
    let prefix =
        |json: &str| format!("Value {json} for parameter RedrivePolicy is invalid. Reason: ");
    for (json, reason) in [
        (r#"{"maxReceiveCount":1}"#, "does not contain mandatory attribute: deadLetterTargetArn."),
        (
            &*format!(r#"{{"deadLetterTargetArn":"{dead}"}}"#),
            "does not contain mandatory attribute: maxReceiveCount.",
        ),
        (&policy(&dead, 0), "Invalid value for maxReceiveCount: 0"),
        (&policy(&dead, 1001), "Invalid value for maxReceiveCount: 1001"),
        (&policy("dead", 1), "Dead-letter target ARN should be fully qualified ARN."),
        (&absent, "Dead letter target does not exist."),
        (&policy(&fifo, 1), ""),
    ] {
        let set = sqs.set_queue_attributes().queue_url(&source);
        let set = set.attributes(QueueAttributeName::RedrivePolicy, json);
        let refused = failure(set.send().await);
        assert_eq!(refused.code, "InvalidParameterValue", "{json}");
        assert!(refused.message.starts_with(&prefix(json)), "{}", refused.message);
        assert!(refused.message.contains(reason), "{}", refused.message);
    }
    assert_eq!(attribute(&sqs, &source, "RedrivePolicy").await, stored, "nothing changed");

    // A count may also be text; it is returned as a number. An empty policy removes it.
    for (given, kept) in [
        (
            &*format!(r#"{{"deadLetterTargetArn":"{dead}","maxReceiveCount":"7"}}"#),
            policy(&dead, 7),
        ),
        ("", String::new()),
    ] {
        let set = sqs.set_queue_attributes().queue_url(&source);
        set.attributes(QueueAttributeName::RedrivePolicy, given).send().await.unwrap();
        assert_eq!(attribute(&sqs, &source, "RedrivePolicy").await, kept);
    }
}

#[tokio::test]
async fn a_dead_letter_queue_may_choose_its_sources() {
    let server = Server::start();
    let sqs = client(&server);
    let allow = r#"{"redrivePermission":"denyAll"}"#;
    let dead = create(&sqs, "dead", &[("RedriveAllowPolicy", allow)]).await;
    let source = create(&sqs, "source", &[]).await;
    let policy = policy(&arn(&sqs, &dead).await, 1);
    let set = || {
        let set = sqs.set_queue_attributes().queue_url(&source);
        set.attributes(QueueAttributeName::RedrivePolicy, &policy).send()
    };
    assert_eq!(failure(set().await).code, "InvalidParameterValue");

    let by_queue = format!(
        r#"{{"redrivePermission":"byQueue","sourceQueueArns":["{}"]}}"#,
        arn(&sqs, &source).await
    );
    let allowed = sqs.set_queue_attributes().queue_url(&dead);
    allowed.attributes(QueueAttributeName::RedriveAllowPolicy, by_queue).send().await.unwrap();
    set().await.unwrap();
}
