//! AWS JSON 1.0 on the wire: what no SDK would send, and what SDKs do not show of the answer.

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use stanchion_tests::{Server, http, http::Answer};

async fn call(server: &Server, action: &str, body: Value) -> Answer {
    http::call(server.address(), action, body.to_string()).await
}

async fn queue(server: &Server) -> String {
    let created = call(server, "CreateQueue", json!({"QueueName": "q"})).await;
    created.json()["QueueUrl"].as_str().expect("the queue is created").to_owned()
}

#[tokio::test]
async fn every_answer_carries_a_request_id() {
    let server = Server::start();
    let good = call(&server, "ListQueues", json!({})).await;
    let bad = call(&server, "GetQueueUrl", json!({"QueueName": "q"})).await;
    assert_eq!((good.status, bad.status), (200, 400));
    for answer in [&good, &bad] {
        assert_eq!(answer.header("x-amzn-requestid").len(), 36);
        assert_eq!(answer.header("content-type"), "application/x-amz-json-1.0");
        assert_ne!(answer.header("date"), "");
    }
    assert_ne!(good.header("x-amzn-requestid"), bad.header("x-amzn-requestid"));
}

#[tokio::test]
async fn errors_name_their_type_and_their_query_code() {
    let server = Server::start();
    let url = queue(&server).await;
    for (action, body, kind, query, status) in [
        (
            "GetQueueUrl",
            json!({"QueueName": "r"}),
            "com.amazonaws.sqs#QueueDoesNotExist",
            "AWS.SimpleQueueService.NonExistentQueue;Sender",
            400,
        ),
        (
            "ReceiveMessage",
            json!({"QueueUrl": url, "MaxNumberOfMessages": 11}),
            "com.amazon.coral.service#InvalidParameterValueException",
            "InvalidParameterValue;Sender",
            400,
        ),
        (
            "SendMessage",
            json!({"QueueUrl": url}),
            "com.amazon.coral.service#MissingRequiredParameterException",
            "MissingParameter;Sender",
            400,
        ),
        (
            "DeleteMessage",
            json!({"QueueUrl": url, "ReceiptHandle": "x"}),
            "com.amazonaws.sqs#ReceiptHandleIsInvalid",
            "ReceiptHandleIsInvalid;Sender",
            404,
        ),
        (
            "MakeCoffee",
            json!({}),
            "com.amazon.coral.service#UnknownOperationException",
            "InvalidAction;Sender",
            400,
        ),
        (
            "SendMessage",
            json!({"QueueUrl": url, "MessageBody": 1}),
            "com.amazon.coral.service#SerializationException",
            "MalformedInput;Sender",
            400,
        ),
        (
            "SendMessage",
            json!({"QueueUrl": url, "MessageBody": {"a": 1}}),
            "com.amazon.coral.service#SerializationException",
            "MalformedInput;Sender",
            400,
        ),
    ] {
        let answer = call(&server, action, body.clone()).await;
        assert_eq!(answer.status, status, "{action} {body}");
        assert_eq!(answer.json()["__type"], kind, "{action} {body}");
        assert_eq!(answer.header("x-amzn-query-error"), query, "{action} {body}");
    }
}

#[tokio::test]
async fn broken_bodies_are_refused_and_the_server_lives() {
    let server = Server::start();
    for body in ["", "{", "[]", "null", "\"a\"", "{\"QueueName\":", "\u{0}", "{}{}"] {
        let answer = http::call(server.address(), "CreateQueue", body).await;
        assert_eq!(answer.status, 400, "{body:?}");
    }
    let not_utf8: &'static [u8] = b"{\"QueueName\":\"\xff\"}";
    let answer = http::call(server.address(), "CreateQueue", not_utf8).await;
    assert_eq!(answer.status, 400);
    let deep = "[".repeat(100_000);
    let answer = http::call(server.address(), "CreateQueue", deep).await;
    assert_eq!(answer.status, 400);
    assert_eq!(http::get(server.address(), "/health").await.status, 200);
}

#[tokio::test]
async fn null_and_absent_mean_the_same_and_unknown_members_are_ignored() {
    let server = Server::start();
    let url = queue(&server).await;
    let body = json!({"QueueUrl": url, "MessageBody": "m", "DelaySeconds": null,
        "MessageAttributes": null, "MessageGroupId": null, "Colour": {"deep": [1]}});
    assert_eq!(call(&server, "SendMessage", body).await.status, 200);
    let missing = call(&server, "SendMessage", json!({"QueueUrl": url, "MessageBody": null})).await;
    assert_eq!(missing.error_type(), "MissingRequiredParameterException");
    assert_eq!(missing.message(), "The request must contain the parameter MessageBody.");
}

#[tokio::test]
async fn empty_lists_are_left_out() {
    let server = Server::start();
    assert_eq!(call(&server, "ListQueues", json!({})).await.json(), json!({}));
    let url = queue(&server).await;
    assert_eq!(call(&server, "ReceiveMessage", json!({"QueueUrl": url})).await.json(), json!({}));
    let names = call(&server, "GetQueueAttributes", json!({"QueueUrl": url})).await;
    assert_eq!(names.json(), json!({}));
    let entries = json!([{"Id": "a", "MessageBody": "m"}]);
    let sent = call(&server, "SendMessageBatch", json!({"QueueUrl": url, "Entries": entries}));
    assert_eq!(sent.await.json().get("Failed"), None);
    let gone = call(&server, "DeleteQueue", json!({"QueueUrl": url})).await;
    assert_eq!((gone.status, gone.json()), (200, Value::Null));
}

#[tokio::test]
async fn either_name_of_the_system_attribute_list_works() {
    let server = Server::start();
    let url = queue(&server).await;
    call(&server, "SendMessage", json!({"QueueUrl": url, "MessageBody": "m"})).await;
    for list in ["AttributeNames", "MessageSystemAttributeNames"] {
        let body = json!({"QueueUrl": url, "VisibilityTimeout": 0, list: ["SentTimestamp"]});
        let received = call(&server, "ReceiveMessage", body).await.json();
        let attributes = received["Messages"][0]["Attributes"].as_object().unwrap();
        assert_eq!(attributes.keys().collect::<Vec<_>>(), ["SentTimestamp"], "{list}");
    }
}

#[tokio::test]
async fn a_call_may_be_posted_to_any_path() {
    let server = Server::start();
    queue(&server).await;
    let request = Request::post("/000000000000/q")
        .header("host", "queues.example")
        .header("content-type", "application/x-amz-json-1.0; charset=utf-8")
        .header("x-amz-target", "AmazonSQS.GetQueueUrl")
        .body(Full::new(Bytes::from_static(b"{\"QueueName\":\"q\"}")))
        .unwrap();
    let answer = http::send(server.address(), request).await;
    assert_eq!(
        answer.json()["QueueUrl"],
        "http://queues.example/000000000000/q",
        "the URL is built from the host the client used"
    );
}

#[tokio::test]
async fn the_region_of_the_signature_selects_the_queues() {
    let server = Server::start();
    queue(&server).await;
    let request = Request::post("/")
        .header("host", server.address().to_string())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.GetQueueUrl")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/sqs/aws4_request, \
             SignedHeaders=host, Signature=0",
        )
        .body(Full::new(Bytes::from_static(b"{\"QueueName\":\"q\"}")))
        .unwrap();
    let answer = http::send(server.address(), request).await;
    assert_eq!(answer.error_type(), "QueueDoesNotExist");
    assert!(server.says("there is one in us-east-1"), "the log gives a hint");
}
