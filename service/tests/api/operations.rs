//! What operators do beside SQS, as they see it.

use serde_json::json;

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
