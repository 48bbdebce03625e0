//! Message move tasks. Source: facts sheet, 2.3 and 8.5.

use std::time::Duration;

use serde_json::{Value, json};

use super::server::Server;

fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

impl Server {
    /// A queue, its dead-letter queue, and so many messages that went from one to the other.
    async fn dead_letters(&self, count: usize) -> (String, String) {
        let dead = self.create("dead", json!({})).await;
        let policy = json!({"deadLetterTargetArn": arn("dead"), "maxReceiveCount": 1}).to_string();
        let attributes = json!({"RedrivePolicy": policy, "VisibilityTimeout": "0"});
        let source = self.create("source", attributes).await;
        for number in 0..count {
            let input = json!({"QueueUrl": source, "MessageBody": format!("m{number}")});
            self.ok("SendMessage", input).await;
            assert_eq!(self.receive(&source).await.len(), 1);
            assert_eq!(self.receive(&source).await.len(), 0);
        }
        (source, dead)
    }

    /// The newest task of a source, once it is over.
    async fn finished(&self, source_arn: &str) -> Value {
        for _ in 0..10_000 {
            self.clock.advance(Duration::from_millis(10));
            let listed = self.ok("ListMessageMoveTasks", json!({"SourceArn": source_arn})).await;
            let task = listed["Results"][0].clone();
            if task["Status"] != "RUNNING" && task["Status"] != "CANCELLING" {
                return task;
            }
        }
        panic!("the task never ends");
    }
}

#[tokio::test]
async fn dead_letters_go_back_and_are_dead_no_more() {
    let server = Server::start(&[]).await;
    let (source, dead) = server.dead_letters(3).await;
    let list = json!({"SourceArn": arn("dead"), "MaxResults": 10});
    assert_eq!(server.ok("ListMessageMoveTasks", list.clone()).await, json!({}));

    server.clock.advance(Duration::from_secs(60));
    let slow = json!({"SourceArn": arn("dead"), "MaxNumberOfMessagesPerSecond": 1});
    let started = server.ok("StartMessageMoveTask", slow).await;
    let running = server.ok("ListMessageMoveTasks", list.clone()).await;
    assert_eq!(
        running,
        json!({"Results": [{
            "TaskHandle": started["TaskHandle"],
            "Status": "RUNNING",
            "SourceArn": arn("dead"),
            "MaxNumberOfMessagesPerSecond": 1,
            "ApproximateNumberOfMessagesMoved": 1,
            "ApproximateNumberOfMessagesToMove": 3,
            "StartedTimestamp": 1_700_000_060_000u64,
        }]})
    );
    let stopped = server.ok("CancelMessageMoveTask", started.clone()).await;
    assert_eq!(stopped, json!({"ApproximateNumberOfMessagesMoved": 1}));
    assert_eq!(server.finished(&arn("dead")).await["Status"], "CANCELLED");
    let again = server.error("CancelMessageMoveTask", started).await;
    assert_eq!((again.0, again.1.as_str()), (400, "com.amazonaws.sqs#UnsupportedOperation"));

    let to = json!({"SourceArn": arn("dead"), "DestinationArn": arn("source")});
    server.ok("StartMessageMoveTask", to).await;
    let task = server.finished(&arn("dead")).await;
    let members = ["Status", "ApproximateNumberOfMessagesMoved", "DestinationArn", "TaskHandle"];
    let shown = members.map(|member| task[member].clone());
    assert_eq!(json!(shown), json!(["COMPLETED", 2, arn("source"), Value::Null]));
    assert_eq!(server.receive(&dead).await.len(), 0);
    // By default the newest alone.
    let one = server.ok("ListMessageMoveTasks", json!({"SourceArn": arn("dead")})).await;
    assert_eq!(one["Results"].as_array().unwrap().len(), 1);
    let all = server.ok("ListMessageMoveTasks", list).await;
    assert_eq!(all["Results"].as_array().unwrap().len(), 2);

    let input = json!({"QueueUrl": source, "MaxNumberOfMessages": 10, "AttributeNames": ["All"]});
    let received = server.ok("ReceiveMessage", input).await;
    let messages = received["Messages"].as_array().unwrap();
    assert_eq!(messages.len(), 3);
    for message in messages {
        let attributes = message["Attributes"].as_object().unwrap();
        assert_eq!(attributes["ApproximateReceiveCount"], "1");
        assert!(attributes["SentTimestamp"].as_str() >= Some("1700000060000"));
        assert!(!attributes.contains_key("DeadLetterQueueSourceArn"));
        let ours: Vec<_> =
            attributes.iter().filter(|(name, _)| name.starts_with("Stanchion.")).collect();
        assert_eq!(ours, [(&"Stanchion.RedriveCount".to_string(), &json!("1"))]);
    }
    server.end().await;
}

#[tokio::test]
async fn move_tasks_are_checked() {
    let server = Server::start(&[]).await;
    let (_, dead) = server.dead_letters(0).await;
    server.create("dead.fifo", json!({"FifoQueue": "true"})).await;
    let invalid = "com.amazon.coral.service#InvalidParameterValueException";
    let missing = "com.amazon.coral.service#MissingRequiredParameterException";
    let unknown = "com.amazonaws.sqs#ResourceNotFoundException";
    let format = |name: &str| {
        format!(
            "You must use this format to specify the {name}: \
             arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
        )
    };
    let absent = |name: &str| {
        format!("The resource that you specified for the {name} parameter doesn't exist.")
    };
    let value = |value: &str, name: &str, reason: &str| {
        format!("Value {value} for parameter {name} is invalid. Reason: {reason}")
    };
    let start = |source: &str, more: Value| {
        let mut input = json!({"SourceArn": source});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("StartMessageMoveTask", input)
    };
    let to = |name: &str| json!({"DestinationArn": name});
    let rate = "Must be between 1 and 500, if provided.";
    let handle = |json: &str| {
        use base64::Engine;
        json!({"TaskHandle": base64::engine::general_purpose::STANDARD.encode(json)})
    };
    let odd_handle = "Value for parameter TaskHandle is invalid.".to_owned();
    #[rustfmt::skip]
    let cases = [
        (("StartMessageMoveTask", json!({})), 400, missing, "The request must contain the parameter SourceArn.".into()),
        (start("dead", json!({})), 400, invalid, format("SourceArn")),
        (start(&dead, json!({})), 400, invalid, format("SourceArn")),
        (start("arn:aws:sns:us-east-1:000000000000:dead", json!({})), 404, unknown, absent("SourceArn")),
        (start(&arn("absent"), json!({})), 404, unknown, absent("SourceArn")),
        (start(&arn("source"), json!({})), 400, invalid, "Source queue must be configured as a Dead Letter Queue.".into()),
        (start(&arn("dead"), to("source")), 400, invalid, format("DestinationArn")),
        (start(&arn("dead"), to(&arn("absent"))), 404, unknown, absent("DestinationArn")),
        (start(&arn("dead"), to(&arn("dead"))), 400, invalid, value(&arn("dead"), "DestinationArn", "The destination must be another queue than the source.")),
        (start(&arn("dead"), to(&arn("dead.fifo"))), 400, invalid, value(&arn("dead.fifo"), "DestinationArn", "The destination must be the same type of queue as the source.")),
        (start(&arn("dead"), json!({"MaxNumberOfMessagesPerSecond": 0})), 400, invalid, value("0", "MaxNumberOfMessagesPerSecond", rate)),
        (start(&arn("dead"), json!({"MaxNumberOfMessagesPerSecond": 501})), 400, invalid, value("501", "MaxNumberOfMessagesPerSecond", rate)),
        (("ListMessageMoveTasks", json!({})), 400, missing, "The request must contain the parameter SourceArn.".into()),
        (("ListMessageMoveTasks", json!({"SourceArn": arn("absent")})), 404, unknown, absent("SourceArn")),
        (("ListMessageMoveTasks", json!({"SourceArn": arn("dead"), "MaxResults": 11})), 400, invalid, value("11", "MaxResults", "Must be between 1 and 10, if provided.")),
        (("CancelMessageMoveTask", json!({})), 400, missing, "The request must contain the parameter TaskHandle.".into()),
        (("CancelMessageMoveTask", json!({"TaskHandle": "handle"})), 400, invalid, odd_handle.clone()),
        (("CancelMessageMoveTask", handle("{}")), 400, invalid, odd_handle),
        (("CancelMessageMoveTask", handle(&json!({"taskId": "1", "sourceArn": arn("absent")}).to_string())), 404, unknown, absent("SourceArn")),
        (("CancelMessageMoveTask", handle(&json!({"taskId": "1", "sourceArn": arn("dead")}).to_string())), 404, unknown, "Task does not exist.".into()),
    ];
    for ((action, input), status, shape, text) in cases {
        let (found_status, found_shape, _, found_text) = server.error(action, input.clone()).await;
        assert_eq!((found_status, &*found_shape, found_text), (status, shape, text), "{input}");
    }

    let slow = json!({"SourceArn": arn("dead"), "MaxNumberOfMessagesPerSecond": 1});
    server.ok("SendMessage", json!({"QueueUrl": dead, "MessageBody": "a"})).await;
    server.ok("SendMessage", json!({"QueueUrl": dead, "MessageBody": "b"})).await;
    let mut first = slow.clone();
    first["DestinationArn"] = arn("source").into();
    server.ok("StartMessageMoveTask", first).await;
    let (_, _, code, text) = server.error("StartMessageMoveTask", slow).await;
    assert_eq!(code, "InvalidParameterValue;Sender");
    assert_eq!(
        text,
        "There is already a task running. Only one active task is allowed for a source queue arn \
         at a given time."
    );
    server.end().await;
}

#[tokio::test]
async fn an_account_has_a_hundred_tasks_at_a_time() {
    let server = Server::start(&[]).await;
    for number in 0..=100 {
        let name = format!("dead{number}");
        let url = server.create(&name, json!({})).await;
        let policy = json!({"deadLetterTargetArn": arn(&name), "maxReceiveCount": 1}).to_string();
        server.create(&format!("source{number}"), json!({"RedrivePolicy": policy})).await;
        for body in ["a", "b"] {
            server.ok("SendMessage", json!({"QueueUrl": url, "MessageBody": body})).await;
        }
        let slow = json!({"SourceArn": arn(&name), "MaxNumberOfMessagesPerSecond": 1,
            "DestinationArn": arn("source0")});
        if number < 100 {
            server.ok("StartMessageMoveTask", slow).await;
        } else {
            let (status, shape, ..) = server.error("StartMessageMoveTask", slow).await;
            assert_eq!((status, shape.as_str()), (403, "com.amazonaws.sqs#OverLimit"));
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_failed_task_says_why() {
    let server = Server::start(&[]).await;
    let (_, dead) = server.dead_letters(1).await;
    server.ok("SendMessage", json!({"QueueUrl": dead, "MessageBody": "straight"})).await;
    server.ok("StartMessageMoveTask", json!({"SourceArn": arn("dead")})).await;
    let task = server.finished(&arn("dead")).await;
    assert_eq!(task["Status"], "FAILED");
    assert_eq!(task["FailureReason"], "CouldNotDetermineMessageSource");
    assert_eq!(task["ApproximateNumberOfMessagesMoved"], 1);
    server.end().await;
}
