//! PeekMessages: what is in a queue, without touching it.

use aws_sdk_sqs::types::MessageAttributeValue;
use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    http::{Answer, admin, admin_done},
    sdk::{self, client, create},
};

async fn peek(server: &Server, input: Value) -> Answer {
    admin(server.address(), "PeekMessages", input).await
}

/// The messages of a page.
async fn page(server: &Server, input: Value) -> Vec<Value> {
    let page = admin_done(server.address(), "PeekMessages", input).await;
    page["Messages"].as_array().cloned().expect("there is always a list")
}

fn bodies(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|message| message["Body"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_message_looks_as_it_will_be_received_and_nothing_happens_to_it() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let attribute =
        MessageAttributeValue::builder().data_type("String").string_value("red").build().unwrap();
    let send = sqs.send_message().queue_url(&url).message_body("hello");
    let sent = send.message_attributes("color", attribute).send().await.unwrap();

    for _ in 0..3 {
        let messages = page(&server, json!({ "QueueUrl": url })).await;
        let message = &messages[0];
        assert_eq!(message["MessageId"], json!(sent.message_id()));
        assert_eq!(message["MD5OfBody"], json!(sent.md5_of_message_body()));
        assert_eq!(message["MD5OfMessageAttributes"], json!(sent.md5_of_message_attributes()));
        assert_eq!(message["MessageAttributes"]["color"]["StringValue"], "red");
        assert_eq!(message["State"], "Available");
        assert_eq!(message["Attributes"]["ApproximateReceiveCount"], "0");
        for absent in ["ReceiptHandle", "VisibleAt", "DelayedUntil"] {
            assert_eq!(message[absent], Value::Null, "{absent}");
        }
        assert_eq!(message["Attributes"]["ApproximateFirstReceiveTimestamp"], Value::Null);
    }
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 0, 0]);
    let received = sdk::receive_one(&sqs, &url).await;
    assert_eq!(sdk::system(&received, "ApproximateReceiveCount"), "1");

    let messages = page(&server, json!({ "QueueUrl": url })).await;
    assert_eq!(messages[0]["State"], "InFlight");
    assert!(messages[0]["VisibleAt"].as_u64().is_some());
    let sent_at = sdk::system(&received, "SentTimestamp");
    assert_eq!(messages[0]["Attributes"]["SentTimestamp"], json!(sent_at));
    sdk::delete(&sqs, &url, &received).await;
    assert_eq!(page(&server, json!({ "QueueUrl": url })).await, [Value::Null; 0]);
}

#[tokio::test]
async fn pages_follow_each_other_over_a_restart_and_end_in_a_tail() {
    let mut server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    for body in ["1", "2", "3"] {
        sdk::send(&sqs, &url, body).await;
    }
    let first = peek(&server, json!({ "QueueUrl": url, "MaxResults": 2 })).await.json();
    assert_eq!(bodies(first["Messages"].as_array().unwrap()), ["1", "2"]);
    server.kill();
    server.start_again();
    let token = &first["NextToken"];
    let rest = peek(&server, json!({ "QueueUrl": url, "NextToken": token })).await.json();
    assert_eq!(bodies(rest["Messages"].as_array().unwrap()), ["3"]);
    assert_eq!(rest["NextToken"], Value::Null);

    let sqs = client(&server);
    let tail = json!({ "QueueUrl": url, "NextToken": rest["TailToken"], "WaitTimeSeconds": 20 });
    let (waited, _) = tokio::join!(peek(&server, tail), sdk::send(&sqs, &url, "4"));
    assert_eq!(bodies(waited.json()["Messages"].as_array().unwrap()), ["4"]);
}

#[tokio::test]
async fn filters_narrow_and_what_is_wrong_is_refused() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    for body in [r#"{"order":{"id":7}}"#, r#"{"order":{"id":8}}"#, "no json"] {
        sdk::send(&sqs, &url, body).await;
    }
    let found = async |filter: Value| {
        let messages = page(&server, json!({ "QueueUrl": url, "Filter": filter })).await;
        bodies(&messages).join(" ")
    };
    let eight = r#"{"order":{"id":8}}"#;
    assert_eq!(found(json!({ "BodyContains": "json" })).await, "no json");
    assert_eq!(found(json!({ "JsonPath": "$.order.id", "JsonEquals": 8 })).await, eight);
    assert_eq!(found(json!({ "States": ["InFlight"] })).await, "");
    assert_eq!(found(json!({ "MaxReceiveCount": 0, "BodyContains": "8" })).await, eight);
    assert_eq!(found(json!({ "MinAgeSeconds": 3600 })).await, "");

    for (input, error) in [
        (json!({}), "MissingRequiredParameterException"),
        (json!({ "QueueUrl": "nowhere" }), "QueueDoesNotExist"),
        (json!({ "QueueUrl": url, "MaxResults": 101 }), "InvalidParameterValueException"),
        (json!({ "QueueUrl": url, "NextToken": "x" }), "InvalidParameterValueException"),
        (json!({ "QueueUrl": url, "WaitTimeSeconds": 21 }), "InvalidParameterValueException"),
        (json!({ "QueueUrl": url, "Filter": { "Body": "x" } }), "InvalidParameterValueException"),
        (json!({ "QueueUrl": url, "Filter": "x" }), "SerializationException"),
        (
            json!({ "QueueUrl": url, "NextToken": "x", "StartFrom": "Now" }),
            "InvalidParameterCombinationException",
        ),
    ] {
        let answer = peek(&server, input.clone()).await;
        assert_eq!((answer.status, &*answer.error_type()), (400, error), "{input}");
    }
}
