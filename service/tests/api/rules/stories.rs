//! Rules that take time or several calls to show, as a client sees them (facts sheet, 3.8, 4.5, 5.3,
//! 5.4 and 9).

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

/// A call with more than the headers it must have.
const TRACED: &str = "Content-Type: application/x-amz-json-1.0\r\n\
                      X-Amz-Target: AmazonSQS.SendMessage\r\nX-Amzn-Trace-Id: Root=1-header\r\n";

fn handle(messages: &[Value]) -> String {
    messages[0]["ReceiptHandle"].as_str().unwrap().to_string()
}

#[tokio::test]
async fn a_trace_header_is_kept_and_one_that_is_sent_as_an_attribute_wins() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let own = json!({"AWSTraceHeader": {"DataType": "String", "StringValue": "Root=1-attribute"}});
    for (system, expected) in [(json!({}), "Root=1-header"), (own, "Root=1-attribute")] {
        let send = json!({"QueueUrl": "q", "MessageBody": "x", "MessageSystemAttributes": system});
        let sent = server.post(TRACED, &send.to_string()).await.body;
        // Only what was sent as an attribute has a digest: clients work it out from what they sent.
        let is_digested = sent.contains("MD5OfMessageSystemAttributes");
        assert_eq!(is_digested, expected == "Root=1-attribute", "{sent}");
        let ask = json!({"QueueUrl": "q", "MessageSystemAttributeNames": ["AWSTraceHeader"]});
        let received = server.ok("ReceiveMessage", ask).await;
        assert_eq!(received["Messages"][0]["Attributes"], json!({"AWSTraceHeader": expected}));
    }
    server.end().await;
}

#[tokio::test]
async fn on_a_standard_queue_every_handle_of_a_message_does_something() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    server.ok("SendMessage", json!({"QueueUrl": "q", "MessageBody": "x"})).await;
    let first = handle(&server.receive("q").await);
    let change = |handle: &str, seconds: u32| json!({"QueueUrl": "q", "ReceiptHandle": handle, "VisibilityTimeout": seconds});

    // After its timeout: success, without effect.
    server.clock.advance(Duration::from_secs(30));
    server.ok("ChangeMessageVisibility", change(&first, 100)).await;
    let second = handle(&server.receive("q").await);
    assert_ne!(first, second);
    // The older one applies to the newer receive.
    server.ok("ChangeMessageVisibility", change(&first, 0)).await;
    assert_eq!(server.receive("q").await.len(), 1);
    // The twelve hours begin anew with every receive.
    server.clock.advance(Duration::from_secs(29));
    server.ok("ChangeMessageVisibility", change(&second, 43_171)).await;
    let beyond = server.error("ChangeMessageVisibility", change(&second, 43_172)).await;
    assert!(beyond.3.ends_with("is beyond the limit [43200 seconds]"), "{beyond:?}");
    // Any deletes, also twice in one batch.
    let entries = json!([{"Id": "a", "ReceiptHandle": first}, {"Id": "b", "ReceiptHandle": first}]);
    assert!(server.failed("DeleteMessageBatch", "q", entries).await.is_empty());
    server.clock.advance(Duration::from_secs(43_200));
    assert!(server.receive("q").await.is_empty());
    server.end().await;
}

#[tokio::test]
async fn changed_attributes_apply_to_what_they_say() {
    let server = Server::start(&[]).await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:dead";
    server.create("dead", json!({})).await;
    server.create("q", json!({"VisibilityTimeout": "10"})).await;
    let set = async |attributes: Value| {
        server.ok("SetQueueAttributes", json!({"QueueUrl": "q", "Attributes": attributes})).await;
    };
    let send = json!({"QueueUrl": "q", "MessageBody": "x"});
    server.ok("SendMessage", send.clone()).await;
    assert_eq!(server.receive("q").await.len(), 1);

    // A timeout holds for later receives, a delay and a size for later sends.
    set(json!({"VisibilityTimeout": "1000", "DelaySeconds": "900", "MaximumMessageSize": "1024"}))
        .await;
    server.clock.advance(Duration::from_secs(10));
    assert_eq!(server.receive("q").await.len(), 1, "hidden for 10 seconds as it was received");
    server.clock.advance(Duration::from_secs(10));
    assert!(server.receive("q").await.is_empty(), "hidden for 1000 seconds now");

    // Receives from before a redrive policy count.
    set(json!({"RedrivePolicy":
        json!({"deadLetterTargetArn": arn, "maxReceiveCount": 2}).to_string()}))
    .await;
    server.clock.advance(Duration::from_secs(1000));
    assert!(server.receive("q").await.is_empty());
    assert_eq!(server.receive("dead").await.len(), 1);

    // Retention holds for what is there.
    server.ok("SendMessage", with(&send, json!({"DelaySeconds": 0}))).await;
    server.clock.advance(Duration::from_secs(61));
    set(json!({"MessageRetentionPeriod": "60"})).await;
    assert!(server.receive("q").await.is_empty());
    server.end().await;
}

#[tokio::test]
async fn timestamps_tell_of_creation_and_of_changed_attributes() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let url = json!({"QueueUrl": "q"});
    for (action, members, modified) in [
        ("TagQueue", json!({"Tags": {"a": "b"}}), "1700000000"),
        ("SetQueueAttributes", json!({"Attributes": {"DelaySeconds": "0"}}), "1700000000"),
        ("SetQueueAttributes", json!({"Attributes": {"DelaySeconds": "1"}}), "1700000003"),
        (
            "AddPermission",
            json!({"Label": "l", "AWSAccountIds": ["111122223333"], "Actions": ["*"]}),
            "1700000004",
        ),
        ("RemovePermission", json!({"Label": "l"}), "1700000005"),
    ] {
        server.clock.advance(Duration::from_secs(1));
        server.ok(action, with(&url, members)).await;
        let names = json!({"AttributeNames": ["CreatedTimestamp", "LastModifiedTimestamp"]});
        assert_eq!(
            server.ok("GetQueueAttributes", with(&url, names)).await["Attributes"],
            json!({"CreatedTimestamp": "1700000000", "LastModifiedTimestamp": modified}),
            "{action}"
        );
    }
    server.end().await;
}

#[tokio::test]
async fn a_poll_on_a_queue_that_is_deleted_ends() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let poll = json!({"QueueUrl": "q", "WaitTimeSeconds": 20});
    let (answer, ()) = tokio::join!(server.error("ReceiveMessage", poll), async {
        while !server.shards.stats().iter().any(|shard| shard.parked_polls.get() == 1) {
            tokio::task::yield_now().await;
        }
        server.ok("DeleteQueue", json!({"QueueUrl": "q"})).await;
    });
    assert_eq!(answer.1, "com.amazonaws.sqs#QueueDoesNotExist");
    let again = server.error("DeleteQueue", json!({"QueueUrl": "q"})).await;
    assert_eq!(again.1, "com.amazonaws.sqs#QueueDoesNotExist");
    server.end().await;
}
