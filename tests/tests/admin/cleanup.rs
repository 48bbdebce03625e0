//! DeleteMessages and what is done to message groups.

use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    http::{Answer, admin, admin_done},
    sdk::{self, client, create, send_to_group},
};

async fn call(server: &Server, action: &str, input: Value) -> Answer {
    admin(server.address(), action, input).await
}

async fn done(server: &Server, action: &str, input: Value) -> Value {
    admin_done(server.address(), action, input).await
}

#[tokio::test]
async fn messages_are_deleted_by_filter_and_stay_deleted_after_a_crash() {
    let mut server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let mut ids = Vec::new();
    for body in ["keep", "drop 1", "drop 2"] {
        ids.push(sdk::send(&sqs, &url, body).await);
    }
    let filter = json!({ "BodyContains": "drop" });
    let dry = json!({ "QueueUrl": url, "Filter": filter, "DryRun": true });
    assert_eq!(done(&server, "DeleteMessages", dry).await["MessageIds"], json!(ids[1..]));
    assert_eq!(sdk::counters(&sqs, &url).await, [3, 0, 0]);

    let input = json!({ "QueueUrl": url, "Filter": filter, "MaxResults": 1 });
    let first = done(&server, "DeleteMessages", input).await;
    assert_eq!(first["MessageIds"], json!([ids[1]]));
    let rest = json!({ "QueueUrl": url, "Filter": filter, "NextToken": first["NextToken"] });
    let rest = done(&server, "DeleteMessages", rest).await;
    assert_eq!((&rest["MessageIds"], &rest["NextToken"]), (&json!([ids[2]]), &Value::Null));
    server.kill();
    server.start_again();
    let sqs = client(&server);
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 0).await), ["keep"]);
}

#[tokio::test]
async fn a_message_that_holds_its_group_is_skipped_and_a_group_purged() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1"), ("b", "b2")] {
        send_to_group(&sqs, &url, group, body).await;
    }
    let one = sqs.receive_message().queue_url(&url).send().await.unwrap().messages.unwrap();
    assert_eq!(sdk::bodies(&one), ["a1"]);
    let only = json!({ "QueueUrl": url, "MessageGroupId": "a" });
    let listed = done(&server, "ListMessageGroups", only.clone()).await;
    let group = &listed["Groups"][0];
    assert_eq!((&group["MessageGroupId"], &group["Held"]), (&json!("a"), &json!(true)));
    assert_eq!((&group["Waiting"], &group["InFlight"]), (&json!(1), &json!(1)));
    assert_eq!(group["HeadMessageId"], json!(one[0].message_id()));

    let skipped = done(&server, "SkipMessageGroupHead", only).await;
    assert_eq!(skipped["MessageId"], json!(one[0].message_id()));
    let purge = json!({ "QueueUrl": url, "MessageGroupId": "b" });
    assert_eq!(done(&server, "PurgeMessageGroup", purge).await, json!({ "Deleted": 2 }));
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 0).await), ["a2"]);
}

#[tokio::test]
async fn what_is_missing_or_odd_is_refused() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let group = json!({ "QueueUrl": url, "MessageGroupId": "g" });
    for (action, input, error) in [
        ("DeleteMessages", json!({ "QueueUrl": url }), "MissingRequiredParameterException"),
        ("PurgeMessageGroup", json!({ "QueueUrl": url }), "MissingRequiredParameterException"),
        ("SkipMessageGroupHead", json!({ "QueueUrl": url }), "MissingRequiredParameterException"),
        ("SkipMessageGroupHead", group, "UnsupportedOperation"),
        ("ListMessageGroups", json!({ "QueueUrl": "q2" }), "QueueDoesNotExist"),
        (
            "ListMessageGroups",
            json!({ "QueueUrl": url, "NextToken": "!" }),
            "InvalidParameterValueException",
        ),
        (
            "DeleteMessages",
            json!({ "QueueUrl": url, "Filter": {}, "MaxResults": 1001 }),
            "InvalidParameterValueException",
        ),
    ] {
        let answer = call(&server, action, input.clone()).await;
        assert_eq!((answer.status, &*answer.error_type()), (400, error), "{action} {input}");
    }
}
