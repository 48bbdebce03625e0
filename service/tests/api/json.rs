//! AWS JSON and plain HTTP.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::server::{Answer, Server};

#[tokio::test]
async fn a_message_goes_in_comes_out_and_is_deleted() {
    let server = Server::start(&[]).await;
    let url = server.create("tour", json!({})).await;
    assert_eq!(url, "http://sqs.test:1234/000000000000/tour");

    let sent = server
        .ok(
            "SendMessage",
            json!({"QueueUrl": url, "MessageBody": "hello", "MessageAttributes":
            {"City": {"DataType": "String", "StringValue": "Any City"}}}),
        )
        .await;
    assert_eq!(sent["MD5OfMessageBody"], "5d41402abc4b2a76b9719d911017c592");
    assert_eq!(sent["MD5OfMessageAttributes"], "0c32cb5c844c01fbd5b6b434b52cf670");
    assert_eq!(sent.as_object().unwrap().len(), 3, "{sent}");

    let input = json!({"QueueUrl": url, "MessageAttributeNames": ["C.*"],
        "AttributeNames": ["All"]});
    let output = server.ok("ReceiveMessage", input).await;
    let message = &output["Messages"][0];
    assert_eq!(message["MessageId"], sent["MessageId"]);
    assert_eq!(message["Body"], "hello");
    assert_eq!(message["MD5OfMessageAttributes"], "0c32cb5c844c01fbd5b6b434b52cf670");
    assert_eq!(
        message["Attributes"],
        json!({"SenderId": "000000000000",
        "SentTimestamp": "1700000000000", "ApproximateReceiveCount": "1",
        "ApproximateFirstReceiveTimestamp": "1700000000000"})
    );

    let counts = json!({"QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible"]});
    assert_eq!(
        server.ok("GetQueueAttributes", counts.clone()).await["Attributes"],
        json!({"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "1"})
    );
    let handle = json!({"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]});
    assert_eq!(server.ok("DeleteMessage", handle).await, Value::Null);
    assert_eq!(
        server.ok("GetQueueAttributes", counts).await["Attributes"]["ApproximateNumberOfMessagesNotVisible"],
        "0"
    );
    assert_eq!(server.ok("ReceiveMessage", json!({"QueueUrl": url})).await, json!({}));
    server.end().await;
}

#[tokio::test]
async fn errors_look_as_they_do_at_aws() {
    let server = Server::start(&[]).await;
    let url = server.create("q", json!({})).await;
    server.create("fifo.fifo", json!({"FifoQueue": "true"})).await;
    const SQS: &str = "com.amazonaws.sqs#";
    const COMMON: &str = "com.amazon.coral.service#";
    #[rustfmt::skip]
    let cases = [
        ("SendMessage", json!({"QueueUrl": "http://any/000000000000/none", "MessageBody": "x"}),
            400, SQS, "QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue;Sender", "The specified queue does not exist."),
        ("SendMessage", json!({"MessageBody": "x"}),
            400, COMMON, "MissingRequiredParameterException", "MissingParameter;Sender", "The request must contain the parameter QueueUrl."),
        ("SendMessage", json!({"QueueUrl": url}),
            400, COMMON, "MissingRequiredParameterException", "MissingParameter;Sender", "The request must contain the parameter MessageBody."),
        ("SendMessage", json!({"QueueUrl": url, "MessageBody": 5}),
            400, COMMON, "SerializationException", "MalformedInput;Sender", "NUMBER_VALUE can not be converted to a String"),
        ("SendMessage", json!({"QueueUrl": url, "MessageBody": "x", "DelaySeconds": 901}),
            400, COMMON, "InvalidParameterValueException", "InvalidParameterValue;Sender", "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."),
        ("SendMessage", json!({"QueueUrl": url, "MessageBody": "\u{1}"}),
            400, SQS, "InvalidMessageContents", "InvalidMessageContents;Sender", "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"),
        ("SendMessage", json!({"QueueUrl": "fifo.fifo", "MessageBody": "x"}),
            400, COMMON, "MissingRequiredParameterException", "MissingParameter;Sender", "The request must contain the parameter MessageGroupId."),
        ("DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": "garbage"}),
            404, SQS, "ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid;Sender", "The input receipt handle \"garbage\" is not a valid receipt handle."),
        ("ReceiveMessage", json!({"QueueUrl": url, "MaxNumberOfMessages": 11}),
            400, COMMON, "InvalidParameterValueException", "InvalidParameterValue;Sender", "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided."),
        ("SendMessageBatch", json!({"QueueUrl": url, "Entries": []}),
            400, SQS, "EmptyBatchRequest", "AWS.SimpleQueueService.EmptyBatchRequest;Sender", "There should be at least one SendMessageBatchRequestEntry in the request."),
        ("CreateQueue", json!({"QueueName": "q", "Attributes": {"DelaySeconds": "1"}}),
            400, SQS, "QueueNameExists", "QueueAlreadyExists;Sender", "A queue already exists with the same name and a different value for attribute DelaySeconds"),
        ("CreateQueue", json!({"QueueName": "x", "Attributes": {"Nonsense": "1"}}),
            400, SQS, "InvalidAttributeName", "InvalidAttributeName;Sender", "Unknown Attribute Nonsense."),
        ("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": {"VisibilityTimeout": "43201"}}),
            400, SQS, "InvalidAttributeValue", "InvalidAttributeValue;Sender", "Invalid value for the parameter VisibilityTimeout."),
        ("Nonsense", json!({}),
            400, COMMON, "UnknownOperationException", "InvalidAction;Sender", "The action Nonsense is not valid for this endpoint."),
    ];
    for (action, input, status, namespace, shape, query, text) in cases {
        let expected = (status, format!("{namespace}{shape}"), query.to_string(), text.to_string());
        assert_eq!(server.error(action, input).await, expected);
    }
    server.end().await;
}

#[tokio::test]
async fn a_queue_is_found_by_url_name_and_arn_and_listed_in_pages() {
    let server = Server::start(&["--public-url", "https://sqs.example/"]).await;
    for name in ["a-1", "a-2", "a-3", "b"] {
        server.create(name, json!({})).await;
    }
    let url = "https://sqs.example/000000000000/a-2";
    let found = server.ok("GetQueueUrl", json!({"QueueName": "a-2"})).await;
    assert_eq!(found, json!({"QueueUrl": url}));
    for address in [url, "a-2", "arn:aws:sqs:us-east-1:000000000000:a-2"] {
        let input = json!({"QueueUrl": address, "AttributeNames": ["QueueArn"]});
        let arn = json!({"QueueArn": "arn:aws:sqs:us-east-1:000000000000:a-2"});
        assert_eq!(server.ok("GetQueueAttributes", input).await["Attributes"], arn, "{address}");
    }
    let input = json!({"QueueNamePrefix": "a-", "MaxResults": 2});
    let first = server.ok("ListQueues", input).await;
    assert_eq!(first["QueueUrls"][1], url);
    let input = json!({"QueueNamePrefix": "a-", "MaxResults": 2, "NextToken": first["NextToken"]});
    let second = server.ok("ListQueues", input).await;
    assert_eq!(second, json!({"QueueUrls": ["https://sqs.example/000000000000/a-3"]}));
    assert_eq!(server.ok("ListQueues", json!({"QueueNamePrefix": "c"})).await, json!({}));
    server.end().await;
}

#[tokio::test]
async fn batches_fail_entry_by_entry() {
    let server = Server::start(&[]).await;
    let url = server.create("q", json!({"MaximumMessageSize": "1024"})).await;
    let output = server
        .ok(
            "SendMessageBatch",
            json!({"QueueUrl": url, "Entries": [
            {"Id": "a", "MessageBody": "one"},
            {"Id": "b", "MessageBody": "x".repeat(1025)},
            {"Id": "c"},
            {"Id": "d", "MessageBody": "x".repeat(1024)}]}),
        )
        .await;
    let ids = |list: &Value| -> Vec<String> {
        let items = list.as_array().unwrap();
        items.iter().map(|item| item["Id"].as_str().unwrap().to_string()).collect()
    };
    assert_eq!(ids(&output["Successful"]), ["a", "d"]);
    assert_eq!(
        output["Failed"],
        json!([
        {"Id": "b", "SenderFault": true, "Code": "InvalidParameterValue", "Message":
            "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes."},
        {"Id": "c", "SenderFault": true, "Code": "MissingParameter", "Message":
            "The request must contain the parameter SendMessageBatchRequestEntry.3.MessageBody."}])
    );

    let handles: Vec<Value> =
        server.receive(&url).await.iter().map(|m| m["ReceiptHandle"].clone()).collect();
    let output = server
        .ok(
            "ChangeMessageVisibilityBatch",
            json!({"QueueUrl": url, "Entries": [
            {"Id": "a", "ReceiptHandle": handles[0], "VisibilityTimeout": 100},
            {"Id": "b", "ReceiptHandle": handles[1]},
            {"Id": "c", "ReceiptHandle": "garbage", "VisibilityTimeout": 0}]}),
        )
        .await;
    assert_eq!(output["Successful"], json!([{"Id": "a"}]));
    assert_eq!(
        output["Failed"][0]["Message"],
        "The request must contain the parameter \
        ChangeMessageVisibilityBatchRequestEntry.2.VisibilityTimeout."
    );
    assert_eq!(output["Failed"][1]["Code"], "ReceiptHandleIsInvalid");

    let entries: Vec<Value> = handles
        .iter()
        .enumerate()
        .map(|(n, handle)| json!({"Id": n.to_string(), "ReceiptHandle": handle}))
        .collect();
    let output =
        server.ok("DeleteMessageBatch", json!({"QueueUrl": url, "Entries": entries})).await;
    assert_eq!(output, json!({"Successful": [{"Id": "0"}, {"Id": "1"}]}));
    server.end().await;
}

#[tokio::test]
async fn a_batch_larger_than_a_mebibyte_is_refused_as_a_whole() {
    let server = Server::start(&[]).await;
    let url = server.create("q", json!({})).await;
    let half = "x".repeat(524_288);
    let batch = |more: &str| {
        json!({"QueueUrl": url, "Entries": [
        {"Id": "a", "MessageBody": half}, {"Id": "b", "MessageBody": format!("{half}{more}")}]})
    };
    let error = server.error("SendMessageBatch", batch("x")).await;
    assert_eq!(error.1, "com.amazonaws.sqs#BatchRequestTooLong");
    assert_eq!(
        error.3,
        "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes."
    );
    let sent = server.ok("SendMessageBatch", batch("")).await;
    assert_eq!(sent["Successful"].as_array().unwrap().len(), 2);
    server.end().await;
}

#[tokio::test]
async fn a_fifo_batch_without_a_group_is_refused_as_a_whole() {
    let server = Server::start(&[]).await;
    let url = server.create("q.fifo", json!({"FifoQueue": "true"})).await;
    let entry = |id: &str| {
        json!({"Id": id, "MessageBody": "x", "MessageGroupId": "g",
        "MessageDeduplicationId": id})
    };
    let mut bad = entry("b");
    bad.as_object_mut().unwrap().remove("MessageGroupId");
    let input = json!({"QueueUrl": url, "Entries": [entry("a"), bad]});
    let error = server.error("SendMessageBatch", input).await;
    assert_eq!((error.0, &*error.2), (400, "InvalidParameterValue;Sender"));
    assert!(server.receive(&url).await.is_empty());
    let input = json!({"QueueUrl": url, "Entries": [entry("a"), entry("b")]});
    let sent = server.ok("SendMessageBatch", input).await;
    assert_eq!(sent["Successful"][0]["SequenceNumber"].as_str().unwrap().len(), 20);
    assert_eq!(server.receive(&url).await.len(), 2);
    server.end().await;
}

#[tokio::test]
async fn a_poison_message_reaches_its_dead_letter_queue_and_says_why() {
    let server = Server::start(&[]).await;
    let dead = server.create("dead", json!({})).await;
    let arn = "arn:aws:sqs:us-east-1:000000000000:dead";
    let policy = json!({"deadLetterTargetArn": arn, "maxReceiveCount": "1"}).to_string();
    let url = server.create("q", json!({"RedrivePolicy": policy, "VisibilityTimeout": "0"})).await;
    let missing = policy.replace(":dead", ":gone");
    let input = json!({"QueueUrl": url, "Attributes": {"RedrivePolicy": missing}});
    let error = server.error("SetQueueAttributes", input).await;
    assert!(error.3.ends_with("Dead letter target does not exist."), "{error:?}");

    server.ok("SendMessage", json!({"QueueUrl": url, "MessageBody": "poison"})).await;
    assert_eq!(server.receive(&url).await.len(), 1);
    assert_eq!(server.receive(&url).await.len(), 0);
    let input = json!({"QueueUrl": dead, "MessageSystemAttributeNames": ["All"]});
    let output = server.ok("ReceiveMessage", input).await;
    let attributes = &output["Messages"][0]["Attributes"];
    assert_eq!(attributes["DeadLetterQueueSourceArn"], "arn:aws:sqs:us-east-1:000000000000:q");
    assert_eq!(attributes["ApproximateReceiveCount"], "2");
    assert_eq!(attributes["Stanchion.DeathReceiveCount"], "1");
    assert!(attributes["Stanchion.DeathReason"].is_string(), "{attributes}");
    server.end().await;
}

#[tokio::test]
async fn strict_limits_keep_the_sixty_second_rules() {
    let server = Server::start(&["--limits", "strict"]).await;
    let url = server.create("q", json!({})).await;
    server.ok("PurgeQueue", json!({"QueueUrl": url})).await;
    let error = server.error("PurgeQueue", json!({"QueueUrl": url})).await;
    assert_eq!((error.0, &*error.1), (403, "com.amazonaws.sqs#PurgeQueueInProgress"));
    assert_eq!(error.3, "Only one PurgeQueue operation on q is allowed every 60 seconds.");
    server.clock.advance(Duration::from_secs(60));
    server.ok("PurgeQueue", json!({"QueueUrl": url})).await;

    server.ok("DeleteQueue", json!({"QueueUrl": url})).await;
    let error = server.error("CreateQueue", json!({"QueueName": "q"})).await;
    assert_eq!((error.0, &*error.1), (400, "com.amazonaws.sqs#QueueDeletedRecently"));
    server.clock.advance(Duration::from_secs(60));
    server.create("q", json!({})).await;
    server.end().await;
}

#[tokio::test]
async fn a_message_may_be_delayed_by_a_year_where_its_queue_takes_that() {
    let delayed = |url: &str, seconds: &str| {
        json!({"QueueUrl": url, "MessageBody": "late", "MessageAttributes":
            {"Stanchion.DelaySeconds": {"DataType": "Number", "StringValue": seconds}}})
    };
    let server = Server::start(&[]).await;
    let url = server.create("usual", json!({})).await;
    let error = server.error("SendMessage", delayed(&url, "86400")).await;
    assert!(error.3.contains("set its attribute Stanchion.LongDelays"), "{error:?}");

    let url = server.create("patient", json!({"Stanchion.LongDelays": "true"})).await;
    server.ok("SendMessage", delayed(&url, "31536000")).await;
    for wrong in ["31536001", "-1", "1.5"] {
        let error = server.error("SendMessage", delayed(&url, wrong)).await;
        assert!(error.3.ends_with("Must be >= 0 and <= 31536000."), "{error:?}");
    }
    let mut both = delayed(&url, "5");
    both["DelaySeconds"] = json!(5);
    let error = server.error("SendMessage", both).await;
    assert_eq!(error.1, "com.amazon.coral.service#InvalidParameterCombinationException");

    server.clock.advance(Duration::from_secs(31_535_999));
    assert_eq!(server.receive(&url).await.len(), 0);
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(server.receive(&url).await.len(), 1);
    server.end().await;

    // AWS to the letter: an attribute like any other, and no queue has the setting.
    let server = Server::start(&["--limits", "strict"]).await;
    let url = server.create("q", json!({})).await;
    server.ok("SendMessage", delayed(&url, "86400")).await;
    assert_eq!(server.receive(&url).await.len(), 1);
    let set = json!({"QueueUrl": url, "Attributes": {"Stanchion.LongDelays": "true"}});
    let error = server.error("SetQueueAttributes", set).await;
    assert_eq!(error.3, "Unknown Attribute Stanchion.LongDelays.");
    server.end().await;
}

#[tokio::test]
async fn queues_of_another_region_are_others() {
    let server = Server::start(&[]).await;
    let signed = |region: &str| {
        format!(
            "Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: AmazonSQS.CreateQueue\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=A/20260101/{region}/sqs/aws4_request, S=x\r\n"
        )
    };
    let body = json!({"QueueName": "q"}).to_string();
    assert_eq!(server.post(&signed("eu-west-1"), &body).await.status, 200);
    let error = server.error("GetQueueUrl", json!({"QueueName": "q"})).await;
    assert_eq!(error.1, "com.amazonaws.sqs#QueueDoesNotExist");
    server.end().await;
}

#[tokio::test]
async fn http_is_spoken_in_all_its_forms() {
    let server = Server::start(&[]).await;
    let head = "POST /any/path HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-amz-json-1.0\r\n\
                X-Amz-Target: AmazonSQS.CreateQueue\r\n";
    // Two at once on one connection, the first in chunks, the second after asking to go on.
    let chunked = "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"Que\r\nd\r\nueName\":\"one\"\r\n1\r\n}\r\n0\r\n\r\n";
    let asking = "Expect: 100-continue\r\nContent-Length: 19\r\n\r\n{\"QueueName\":\"two\"}";
    let request = format!("{head}{chunked}{head}{asking}");
    let answers = server.raw(request.as_bytes(), 2).await;
    assert_eq!(answers[0].body, r#"{"QueueUrl":"http://h/000000000000/one"}"#);
    assert_eq!(answers[1].body, r#"{"QueueUrl":"http://h/000000000000/two"}"#);
    for answer in &answers {
        assert_eq!(answer.header("x-amzn-requestid").unwrap().len(), 36);
        assert_eq!(answer.header("content-type").unwrap(), "application/x-amz-json-1.0");
        assert!(answer.header("date").is_some());
    }
    // An action without output has no body.
    let deleted = server.ask("DeleteQueue", json!({"QueueUrl": "one"})).await;
    assert_eq!((deleted.status, deleted.header("content-length")), (200, Some("0".into())));
    // A body that is too long is refused by what it claims.
    let long = format!("{head}Content-Length: 999999999\r\n\r\n");
    let refused = server.raw(long.as_bytes(), 1).await.remove(0);
    assert_eq!((refused.status, refused.header("connection")), (413, Some("close".into())));
    // One that nobody wants is read all the same: the connection is good for another request.
    let unwanted = "x".repeat(1 << 20);
    let put = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n{unwanted}");
    let both = format!("{put}GET /health HTTP/1.1\r\nHost: h\r\n\r\n");
    let answers = server.raw(both.as_bytes(), 2).await;
    assert_eq!((answers[0].status, answers[1].status), (404, 200), "{answers:?}");
    server.end().await;
}

#[tokio::test]
async fn operators_have_pages_of_their_own() {
    let server = Server::start(&[]).await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
    for (path, status, start) in [
        ("/health", 200, "ok"),
        ("/ready", 200, "ready"),
        ("/", 404, "<UnknownOperationException/>"),
    ] {
        let answer = server.raw(get(path).as_bytes(), 1).await.remove(0);
        assert_eq!((answer.status, answer.body.starts_with(start)), (status, true), "{answer:?}");
    }
    server.create("q", json!({})).await;
    let page = server.raw(get("/metrics").as_bytes(), 1).await.remove(0).body;
    let count = "stanchion_requests_total{action=\"CreateQueue\",code=\"OK\",protocol=\"json\"} 1";
    assert!(page.contains(count), "{page}");
    assert!(page.contains("stanchion_requests_in_flight 0"));
    server.end().await;
}

#[tokio::test]
async fn a_long_poll_gives_up_its_place_and_a_stop_answers_it() {
    let server = Server::start(&["--max-requests-in-flight", "1"]).await;
    let url = server.create("q", json!({})).await;
    let poll = json!({"QueueUrl": url, "WaitTimeSeconds": 20});
    let (answer, ()) = tokio::join!(server.ask("ReceiveMessage", poll.clone()), async {
        // The only place is free again once the poll waits.
        while server.ask("SendMessage", json!({"QueueUrl": url, "MessageBody": "x"})).await.status
            != 200
        {}
    });
    assert!(answer.body.contains("\"Body\":\"x\""), "{answer:?}");

    let (answer, ()) = tokio::join!(server.ask("ReceiveMessage", poll), async {
        while !server.shards.stats().iter().any(|shard| shard.parked_polls.get() == 1) {
            tokio::task::yield_now().await;
        }
        server.stop.cancel();
    });
    assert_eq!((answer.status, &*answer.body), (200, "{}"));
    server.end().await;
}

#[tokio::test]
async fn more_requests_than_there_are_places_are_told_to_come_again() {
    let server = Server::start(&["--max-requests-in-flight", "1"]).await;
    // Holds the only place by not sending what it promised.
    let mut slow = TcpStream::connect(server.address).await.unwrap();
    let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-amz-json-1.0\r\n\
                X-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    let refused = loop {
        let answer = server.ask("ListQueues", json!({})).await;
        if answer.status != 200 {
            break answer;
        }
    };
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("x-amzn-query-error").unwrap(), "ServiceUnavailable;Receiver");
    slow.write_all(b"{}").await.unwrap();
    let mut answer = Vec::new();
    while Answer::parse(&answer).is_none() {
        slow.read_buf(&mut answer).await.unwrap();
    }
    assert_eq!(server.ask("ListQueues", json!({})).await.status, 200);
    server.end().await;
}
