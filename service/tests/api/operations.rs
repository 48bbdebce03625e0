//! What operators do beside SQS, as they see it.

use serde_json::{Value, json};

use crate::server::Server;

#[tokio::test]
async fn a_store_in_memory_has_no_checkpoints() {
    let server = Server::start(&[]).await;
    for (action, input) in [
        ("Checkpoint", json!({})),
        ("ListCheckpoints", json!({})),
        ("DeleteCheckpoint", json!({"Name": "a"})),
    ] {
        let (status, shape, _, text) = server.admin(action, input).await.error();
        assert_eq!((status, &*shape), (400, "com.amazonaws.sqs#UnsupportedOperation"), "{action}");
        assert!(text.contains("in memory"), "{text}");
    }
}

#[tokio::test]
async fn a_checkpoint_has_a_name_that_any_disk_takes() {
    let server = Server::start(&[]).await;
    for name in ["", ".", "../../etc", "a/b", "ä"] {
        for action in ["Checkpoint", "DeleteCheckpoint"] {
            let (status, _, query, text) =
                server.admin(action, json!({"Name": name})).await.error();
            assert_eq!((status, &*query), (400, "InvalidParameterValue;Sender"), "{name}: {text}");
        }
    }
    let (_, _, query, _) = server.admin("DeleteCheckpoint", json!({})).await.error();
    assert_eq!(query, "MissingParameter;Sender");
}

#[tokio::test]
async fn a_queue_that_is_named_is_there_where_that_is_configured() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let template = "create_queues_on_use = true\n[template]\nvisibility_timeout = 7\ntags.a = 'b'";
    std::fs::write(file.path(), template).unwrap();
    let server = Server::start(&["--config", file.path().to_str().unwrap()]).await;
    let url = server.ok("GetQueueUrl", json!({"QueueName": "asked"})).await;
    assert_eq!(url["QueueUrl"], "http://sqs.test:1234/000000000000/asked");
    server.ok("SendMessage", json!({"QueueUrl": "sent", "MessageBody": "m"})).await;
    assert_eq!(server.receive("sent").await.len(), 1);
    let fifo = json!({"QueueUrl": "http://x/000000000000/line.fifo", "MessageBody": "m",
        "MessageGroupId": "g", "MessageDeduplicationId": "d"});
    server.ok("SendMessage", fifo).await;
    let listed = server.ok("ListQueues", json!({})).await;
    assert_eq!(listed["QueueUrls"].as_array().unwrap().len(), 3);
    let all = json!({"QueueUrl": "sent", "AttributeNames": ["All"]});
    let attributes = server.ok("GetQueueAttributes", all).await;
    assert_eq!(attributes["Attributes"]["VisibilityTimeout"], "7");
    let tags = server.ok("ListQueueTags", json!({"QueueUrl": "sent"})).await;
    assert_eq!(tags["Tags"], json!({"a": "b"}));

    // What no queue can be called, or is somebody else's, is not made; nor is what is to go.
    for (action, input) in [
        ("SendMessage", json!({"QueueUrl": "a b", "MessageBody": "m"})),
        ("GetQueueUrl", json!({"QueueName": "q", "QueueOwnerAWSAccountId": "111111111111"})),
        ("ReceiveMessage", json!({"QueueUrl": "http://x/111111111111/q"})),
        ("DeleteQueue", json!({"QueueUrl": "gone"})),
    ] {
        let (_, shape, ..) = server.error(action, input).await;
        assert_eq!(shape, "com.amazonaws.sqs#QueueDoesNotExist", "{action}");
    }
    let (_, _, query, _) = server.error("SendMessage", json!({"QueueUrl": 7})).await;
    assert_eq!(query, "MalformedInput;Sender");
}

#[tokio::test]
async fn a_queue_that_is_named_is_not_made_otherwise() {
    let server = Server::start(&[]).await;
    let (_, shape, ..) = server.error("GetQueueUrl", json!({"QueueName": "q"})).await;
    assert_eq!(shape, "com.amazonaws.sqs#QueueDoesNotExist");
}

async fn paused(server: &Server) -> Value {
    let asked = json!({"QueueUrl": "q", "AttributeNames": ["Stanchion.Paused"]});
    server.ok("GetQueueAttributes", asked).await["Attributes"]["Stanchion.Paused"].clone()
}

#[tokio::test]
async fn a_paused_queue_refuses_sends_for_now_and_gives_nothing() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let send = json!({"QueueUrl": "q", "MessageBody": "m"});
    server.ok("SendMessage", send.clone()).await;
    assert_eq!(paused(&server).await, Value::Null);
    let state = server.admin("PauseQueue", json!({"QueueUrl": "q"})).await;
    assert_eq!(state.body, r#"{"Receive":true,"Send":true}"#);
    assert_eq!(paused(&server).await, "both");
    let all = json!({"QueueUrl": "q", "AttributeNames": ["All"]});
    let all = server.ok("GetQueueAttributes", all).await.to_string();
    assert!(!all.contains("Stanchion"), "{all}");
    let throttled = (
        403,
        "com.amazonaws.sqs#RequestThrottled".to_string(),
        "RequestThrottled;Sender".to_string(),
        "The queue is paused and takes no messages at present. Try again later.".to_string(),
    );
    assert_eq!(server.error("SendMessage", send.clone()).await, throttled);
    let entries = json!([{"Id": "a", "MessageBody": "m"}]);
    let batch = json!({"QueueUrl": "q", "Entries": entries});
    assert_eq!(server.error("SendMessageBatch", batch).await, throttled);
    assert_eq!(server.receive("q").await, [] as [Value; 0]);

    let resume = json!({"QueueUrl": "q", "Operation": "Receive"});
    let state = server.admin("ResumeQueue", resume).await;
    assert_eq!(state.body, r#"{"Receive":false,"Send":true}"#);
    assert_eq!(paused(&server).await, "send");
    assert_eq!(server.receive("q").await.len(), 1);
    server.admin("ResumeQueue", json!({"QueueUrl": "q"})).await;
    server.ok("SendMessage", send).await;

    let wrong = json!({"QueueUrl": "q", "Operation": "Delete"});
    let (_, _, query, _) = server.admin("PauseQueue", wrong).await.error();
    assert_eq!(query, "InvalidParameterValue;Sender");
    let (_, shape, ..) = server.admin("PauseQueue", json!({"QueueUrl": "none"})).await.error();
    assert_eq!(shape, "com.amazonaws.sqs#QueueDoesNotExist");
    let strict = Server::start(&["--limits", "strict"]).await;
    strict.create("q", json!({})).await;
    let asked = json!({"QueueUrl": "q", "AttributeNames": ["Stanchion.Paused"]});
    let (_, shape, ..) = strict.error("GetQueueAttributes", asked).await;
    assert_eq!(shape, "com.amazonaws.sqs#InvalidAttributeName");
}

#[tokio::test]
async fn a_reset_deletes_every_queue_of_every_account() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let scope = "Credential=test/20260101/eu-west-1/sqs/aws4_request";
    let elsewhere = format!(
        "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.CreateQueue\r\n\
         Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0\r\n"
    );
    assert_eq!(server.post(&elsewhere, r#"{"QueueName":"q"}"#).await.status, 200);
    server.ok("SendMessage", json!({"QueueUrl": "q", "MessageBody": "m"})).await;
    for _ in 0..2 {
        assert_eq!(server.admin("Reset", json!({})).await.status, 200);
    }
    assert_eq!(server.ok("ListQueues", json!({})).await, json!({}));
    server.create("q", json!({"DelaySeconds": "1"})).await;
    assert_eq!(server.receive("q").await, [] as [Value; 0]);
}

#[tokio::test]
async fn declared_queues_are_there_after_a_reset() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "[queues.declared]\ndelay_seconds = 3").unwrap();
    let server = Server::start(&["--config", file.path().to_str().unwrap()]).await;
    server.create("other", json!({})).await;
    assert_eq!(server.admin("Reset", json!({})).await.status, 200);
    let listed = server.ok("ListQueues", json!({})).await;
    assert_eq!(listed["QueueUrls"], json!(["http://sqs.test:1234/000000000000/declared"]));
    let asked = json!({"QueueUrl": "declared", "AttributeNames": ["DelaySeconds"]});
    let shown = server.ok("GetQueueAttributes", asked).await;
    assert_eq!(shown["Attributes"]["DelaySeconds"], "3");
}
