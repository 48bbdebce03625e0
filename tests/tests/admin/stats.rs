//! ListQueueStats: many queues at a glance.

use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    http::{admin, admin_done},
    sdk::{self, arn, client, create},
};

async fn stats(server: &Server, input: Value) -> Value {
    admin_done(server.address(), "ListQueueStats", input).await
}

#[tokio::test]
async fn queues_show_what_is_in_them_and_where_dead_letters_go() {
    let server = Server::start_with(&["--virtual-clock"]);
    let sqs = client(&server);
    let dead = create(&sqs, "dead", &[]).await;
    let dead_arn = arn(&sqs, &dead).await;
    let policy = json!({ "deadLetterTargetArn": dead_arn, "maxReceiveCount": 3 }).to_string();
    let orders = create(&sqs, "orders", &[("RedrivePolicy", &policy)]).await;
    for body in ["1", "2", "3"] {
        sdk::send(&sqs, &orders, body).await;
    }
    let received = sqs.receive_message().queue_url(&orders).send().await.unwrap();
    sdk::delete(&sqs, &orders, &received.messages()[0]).await;
    let later = admin(server.address(), "AdvanceClock", json!({ "Seconds": 90 })).await;
    assert_eq!(later.status, 200);

    let all = stats(&server, json!({})).await;
    let [first, second] = all["Queues"].as_array().unwrap().as_slice() else { panic!("{all}") };
    assert_eq!(first["QueueArn"], json!(dead_arn));
    assert_eq!(first["DeadLetterSourceCount"], 1);
    assert_eq!(first["DeadLetterSourceArns"], json!([arn(&sqs, &orders).await]));
    assert_eq!(first["OldestMessageAgeSeconds"], Value::Null);
    assert_eq!(second["QueueUrl"], json!(orders));
    assert_eq!(second["DeadLetterTargetArn"], json!(dead_arn));
    assert_eq!(second["MaxReceiveCount"], 3);
    let counted = ["Available", "InFlight", "Delayed"].map(|name| second[name].as_u64());
    assert_eq!(counted, [Some(2), Some(0), Some(0)]);
    assert!(second["OldestMessageAgeSeconds"].as_u64() >= Some(90));
    for rate in ["SentPerSecond", "ReceivedPerSecond", "DeletedPerSecond"] {
        assert!(second[rate].as_f64() > Some(0.0), "{rate}: {second}");
    }
}

#[tokio::test]
async fn pages_of_queues_follow_each_other() {
    let server = Server::start();
    let sqs = client(&server);
    for name in ["a1", "a2", "a3", "b1"] {
        create(&sqs, name, &[]).await;
    }
    let mut seen = Vec::new();
    let mut token = Value::Null;
    loop {
        let input = json!({ "QueueNamePrefix": "a", "MaxResults": 2, "NextToken": token });
        let page = stats(&server, input).await;
        for queue in page["Queues"].as_array().unwrap() {
            seen.push(queue["QueueArn"].as_str().unwrap().rsplit(':').next().unwrap().to_owned());
        }
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["a1", "a2", "a3"]);
    for input in [json!({ "MaxResults": 0 }), json!({ "NextToken": "!" })] {
        let refused = admin(server.address(), "ListQueueStats", input).await;
        assert_eq!(refused.error_type(), "InvalidParameterValueException");
    }
}
