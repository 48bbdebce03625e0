//! MoveMessages and DeadLetterMessage: to another queue, on purpose.

use serde_json::json;
use stanchion_tests::{
    Server,
    http::{admin, admin_done},
    sdk::{self, arn, client, create},
};

#[tokio::test]
async fn messages_are_moved_and_stay_where_they_went_after_a_crash() {
    let mut server = Server::start();
    let sqs = client(&server);
    let (from, to) = (create(&sqs, "from", &[]).await, create(&sqs, "to", &[]).await);
    let mut ids = Vec::new();
    for body in ["stay", "go 1", "go 2"] {
        ids.push(sdk::send(&sqs, &from, body).await);
    }
    let input = json!({
        "QueueUrl": from, "DestinationQueueUrl": to, "Filter": { "BodyContains": "go" },
    });
    let moved = admin_done(server.address(), "MoveMessages", input).await;
    assert_eq!(moved, json!({ "MessageIds": ids[1..] }));
    server.kill();
    server.start_again();
    let sqs = client(&server);
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &from, 0).await), ["stay"]);
    let mut arrived = Vec::new();
    while arrived.len() < 2 {
        arrived.extend(sdk::receive(&sqs, &to, 20).await);
    }
    let mut bodies = sdk::bodies(&arrived);
    bodies.sort_unstable();
    assert_eq!(bodies, ["go 1", "go 2"]);
}

#[tokio::test]
async fn a_receiver_gives_a_message_up_with_a_reason() {
    let server = Server::start();
    let sqs = client(&server);
    let dead = create(&sqs, "dead", &[]).await;
    let policy = json!({ "deadLetterTargetArn": arn(&sqs, &dead).await, "maxReceiveCount": 9 });
    let url = create(&sqs, "q", &[("RedrivePolicy", &policy.to_string())]).await;
    let id = sdk::send(&sqs, &url, "poison").await;
    let received = sdk::receive_one(&sqs, &url).await;
    let input = json!({
        "QueueUrl": url, "ReceiptHandle": received.receipt_handle(), "Reason": "unknown schema",
    });
    let answer = admin_done(server.address(), "DeadLetterMessage", input.clone()).await;
    assert_eq!(answer["DeadLetterTargetArn"], json!(arn(&sqs, &dead).await));
    let moved = sdk::receive(&sqs, &dead, 20).await;
    assert_eq!(moved[0].message_id(), Some(&*id));
    let page = admin_done(server.address(), "PeekMessages", json!({ "QueueUrl": dead })).await;
    let attributes = &page["Messages"][0]["Attributes"];
    assert_eq!(attributes["Stanchion.DeathReason"], "unknown schema");
    assert_eq!(attributes["DeadLetterQueueSourceArn"], json!(arn(&sqs, &url).await));
    let again = admin(server.address(), "DeadLetterMessage", input).await;
    assert_eq!(again.error_type(), "InvalidParameterValueException");
    let nothing = admin(server.address(), "MoveMessages", json!({ "QueueUrl": url })).await;
    assert_eq!(nothing.error_type(), "MissingRequiredParameterException");
}
