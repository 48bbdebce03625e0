//! Queues, their attributes, tags and policies (facts sheet, 2.1 and 3).

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn actions_on_a_queue_need_a_queue() {
    let server = Server::start(&[]).await;
    let gone = || "The specified queue does not exist.".to_string();
    for action in [
        "AddPermission",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
        "DeleteMessage",
        "DeleteMessageBatch",
        "DeleteQueue",
        "GetQueueAttributes",
        "ListDeadLetterSourceQueues",
        "ListQueueTags",
        "PurgeQueue",
        "ReceiveMessage",
        "RemovePermission",
        "SendMessage",
        "SendMessageBatch",
        "SetQueueAttributes",
        "TagQueue",
        "UntagQueue",
    ] {
        let absent = "AWS.SimpleQueueService.NonExistentQueue";
        server
            .refuses(vec![
                (action, json!({}), MISSING, missing("QueueUrl")),
                (action, json!({"QueueUrl": ""}), MISSING, missing("QueueUrl")),
                (action, json!({"QueueUrl": "none"}), absent, gone()),
                (action, json!({"QueueUrl": "http://h/12/q"}), absent, gone()),
                (action, json!({"QueueUrl": "an odd one/"}), absent, gone()),
            ])
            .await;
    }
    server.end().await;
}

#[tokio::test]
async fn creation_and_listing_have_their_rules() {
    let server = Server::start(&[]).await;
    server.create("q", json!({"DelaySeconds": "5"})).await;
    let standard =
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length";
    let fifo = "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
                underscores, must end with .fifo suffix and be 1 to 80 in length";
    let nameless = "Value for parameter QueueName is invalid. Reason: Must specify a queue name.";
    let range = "Must be between 1 and 1000, if provided.";
    let create =
        |name: &str, attributes: Value| json!({"QueueName": name, "Attributes": attributes});
    let tagged = |key: &str, value: &str| json!({"QueueName": "t", "tags": {key: value}});
    let many: serde_json::Map<_, _> = (0..51).map(|n| (n.to_string(), json!(""))).collect();
    #[rustfmt::skip]
    let cases = vec![
        ("CreateQueue", json!({}), INVALID, nameless.into()),
        ("CreateQueue", create("a b", json!({})), INVALID, standard.into()),
        ("CreateQueue", create(&"n".repeat(81), json!({})), INVALID, standard.into()),
        ("CreateQueue", create("q.fifo", json!({})), INVALID, standard.into()),
        ("CreateQueue", create("x", json!({"FifoQueue": "true"})), INVALID, fifo.into()),
        ("CreateQueue", create(&format!("{}.fifo", "n".repeat(76)), json!({"FifoQueue": "true"})), INVALID, fifo.into()),
        ("CreateQueue", create("x", json!({"FifoQueue": "false"})), ATTRIBUTE_NAME, "Unknown Attribute FifoQueue.".into()),
        ("CreateQueue", create("q", json!({"DelaySeconds": "6"})), "QueueAlreadyExists",
            "A queue already exists with the same name and a different value for attribute DelaySeconds".into()),
        ("CreateQueue", tagged("", "v"), INVALID, "Tag keys must be between 1 and 128 characters in length.".into()),
        ("CreateQueue", json!({"QueueName": "t", "tags": many}), INVALID, "Too many tags added for queue t.".into()),
        ("GetQueueUrl", json!({}), INVALID, nameless.into()),
        ("GetQueueUrl", json!({"QueueName": "r"}), "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.".into()),
        ("GetQueueUrl", json!({"QueueName": "q", "QueueOwnerAWSAccountId": "111122223333"}), "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.".into()),
        ("ListQueues", json!({"MaxResults": 0}), INVALID, value(0, "MaxResults", range)),
        ("ListQueues", json!({"MaxResults": 1001}), INVALID, value(1001, "MaxResults", range)),
        ("ListQueues", json!({"MaxResults": 1, "NextToken": "!"}), INVALID, "Invalid or expired next token.".into()),
        ("ListDeadLetterSourceQueues", json!({"QueueUrl": "q", "MaxResults": 1001}), INVALID, value(1001, "MaxResults", range)),
        ("TagQueue", json!({"QueueUrl": "q"}), MISSING, missing("Tags")),
        ("TagQueue", json!({"QueueUrl": "q", "Tags": {}}), MISSING, missing("Tags")),
        ("UntagQueue", json!({"QueueUrl": "q", "TagKeys": []}), INVALID, "Tag keys must be between 1 and 128 characters in length.".into()),
    ];
    server.refuses(cases).await;
    // What is not given is not compared, and tags are none of the things that are.
    let again = json!({"QueueName": "q", "Attributes": {"Policy": ""}, "tags": {"a": "b"}});
    server.ok("CreateQueue", again).await;
    assert_eq!(server.ok("ListQueueTags", json!({"QueueUrl": "q"})).await, json!({}));
    server.end().await;
}

#[tokio::test]
async fn attributes_have_their_rules() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    server.create("q.fifo", json!({"FifoQueue": "true"})).await;
    let set = |url: &str, attributes: Value| {
        ("SetQueueAttributes", json!({"QueueUrl": url, "Attributes": attributes}))
    };
    let only_fifo =
        |name: &str| format!("You can specify the {name} only when FifoQueue is set to true.");
    let one_encryption = "You can use one type of server-side encryption (SSE) at one time. You \
                          can either enable KMS SSE or SQS SSE.";
    let same_kind =
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.";
    #[rustfmt::skip]
    let mut cases: Vec<Case<'_>> = [
        ("q", json!({"Nonsense": "1"}), ATTRIBUTE_NAME, "Unknown Attribute Nonsense.".into()),
        ("q", json!({"visibilityTimeout": "1"}), ATTRIBUTE_NAME, "Unknown Attribute visibilityTimeout.".into()),
        ("q", json!({"All": "1"}), ATTRIBUTE_NAME, "Unknown Attribute All.".into()),
        ("q", json!({"ContentBasedDeduplication": "true"}), ATTRIBUTE_NAME, "Unknown Attribute ContentBasedDeduplication.".into()),
        ("q", json!({"FifoQueue": "true"}), ATTRIBUTE_NAME, "Unknown Attribute FifoQueue.".into()),
        ("q", json!({"DeduplicationScope": "queue"}), ATTRIBUTE_NAME, only_fifo("DeduplicationScope")),
        ("q", json!({"FifoThroughputLimit": "perQueue"}), ATTRIBUTE_NAME, only_fifo("FifoThroughputLimit")),
        ("q.fifo", json!({"FifoQueue": "false"}), ATTRIBUTE_VALUE, same_kind.into()),
        ("q.fifo", json!({"DeduplicationScope": "Queue"}), ATTRIBUTE_VALUE, bad_attribute("DeduplicationScope")),
        ("q.fifo", json!({"FifoThroughputLimit": ""}), ATTRIBUTE_VALUE, bad_attribute("FifoThroughputLimit")),
        ("q.fifo", json!({"FifoThroughputLimit": "perMessageGroupId"}), ATTRIBUTE_VALUE, bad_attribute("FifoThroughputLimit")),
        ("q.fifo", json!({"ContentBasedDeduplication": "yes"}), ATTRIBUTE_VALUE, bad_attribute("ContentBasedDeduplication")),
        ("q", json!({"SqsManagedSseEnabled": "1"}), ATTRIBUTE_VALUE, bad_attribute("SqsManagedSseEnabled")),
        ("q", json!({"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "True"}), ATTRIBUTE_NAME, one_encryption.into()),
        ("q", json!({"Policy": "{"}), ATTRIBUTE_VALUE, bad_attribute("Policy")),
    ]
    .into_iter()
    .map(|(url, attributes, code, text)| {
        let (action, input) = set(url, attributes);
        (action, input, code, text)
    })
    .collect();
    for name in [
        "QueueArn",
        "CreatedTimestamp",
        "LastModifiedTimestamp",
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ] {
        let (action, input) = set("q", json!({name: "1"}));
        cases.push((action, input, ATTRIBUTE_NAME, format!("Unknown Attribute {name}.")));
    }
    for (name, least, most) in [
        ("VisibilityTimeout", 0, 43_200),
        ("DelaySeconds", 0, 900),
        ("MaximumMessageSize", 1_024, 1_048_576),
        ("MessageRetentionPeriod", 60, 1_209_600),
        ("ReceiveMessageWaitTimeSeconds", 0, 20),
        ("KmsDataKeyReusePeriodSeconds", 60, 86_400),
    ] {
        let wrong = [(least - 1).to_string(), (most + 1).to_string()];
        for wrong in wrong.iter().map(String::as_str).chain(["", "x", "1.0", " 60", "+60"]) {
            let (action, input) = set("q", json!({name: wrong}));
            cases.push((action, input, ATTRIBUTE_VALUE, bad_attribute(name)));
        }
    }
    cases.extend([
        ("SetQueueAttributes", json!({"QueueUrl": "q"}), MISSING, missing("Attributes")),
        (
            "SetQueueAttributes",
            json!({"QueueUrl": "q", "Attributes": {}}),
            MISSING,
            missing("Attributes"),
        ),
        (
            "GetQueueAttributes",
            json!({"QueueUrl": "q", "AttributeNames": ["All", "Nonsense"]}),
            ATTRIBUTE_NAME,
            "Unknown Attribute Nonsense.".into(),
        ),
    ]);
    server.refuses(cases).await;
    // One wrong value changes nothing at all.
    let (action, input) = set("q", json!({"DelaySeconds": "7", "VisibilityTimeout": "x"}));
    server
        .refuses(vec![(action, input, ATTRIBUTE_VALUE, bad_attribute("VisibilityTimeout"))])
        .await;
    let delay = json!({"QueueUrl": "q", "AttributeNames": ["DelaySeconds"]});
    assert_eq!(server.ok("GetQueueAttributes", delay).await["Attributes"]["DelaySeconds"], "0");
    server.end().await;
}

#[tokio::test]
async fn a_queue_is_encrypted_in_one_way_at_a_time() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let names = json!(["SqsManagedSseEnabled", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds"]);
    // What is set, and what is shown of the flag, the key and the period then.
    for (set, shown) in [
        (json!({"KmsDataKeyReusePeriodSeconds": "60"}), ["true", "", ""]),
        (json!({"KmsMasterKeyId": "alias/aws/sqs"}), ["false", "alias/aws/sqs", "60"]),
        (json!({"SqsManagedSseEnabled": "false"}), ["false", "alias/aws/sqs", "60"]),
        (json!({"KmsMasterKeyId": "other"}), ["false", "other", "60"]),
        (json!({"KmsMasterKeyId": "", "SqsManagedSseEnabled": "true"}), ["true", "", ""]),
        (
            json!({"KmsMasterKeyId": "k", "KmsDataKeyReusePeriodSeconds": "300"}),
            ["false", "k", "300"],
        ),
        (json!({"SqsManagedSseEnabled": "true"}), ["true", "", ""]),
        (json!({"SqsManagedSseEnabled": "FALSE"}), ["false", "", ""]),
    ] {
        server.ok("SetQueueAttributes", json!({"QueueUrl": "q", "Attributes": set})).await;
        let ask = json!({"QueueUrl": "q", "AttributeNames": names});
        let found = server.ok("GetQueueAttributes", ask).await["Attributes"].clone();
        let text = |name: &Value| found[name.as_str().unwrap()].as_str().unwrap_or_default();
        let found: Vec<&str> = names.as_array().unwrap().iter().map(text).collect();
        assert_eq!(found, shown, "{set}");
    }
    server.create("k", json!({"KmsMasterKeyId": ""})).await;
    let both = json!({"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"});
    let (status, .., code, _) =
        server.error("CreateQueue", json!({"QueueName": "x", "Attributes": both})).await;
    assert_eq!((status, &*code), (400, "InvalidAttributeName;Sender"));
    server.end().await;
}

#[tokio::test]
async fn a_key_that_nobody_has_is_missed_in_use_and_under_strict_limits_alone() {
    for (limits, id, works) in [
        ("strict", "alias/orders", false),
        ("strict", "alias/aws/sqs", true),
        ("standard", "alias/orders", true),
    ] {
        let server = Server::start(&["--limits", limits]).await;
        // It is not looked up when it is set.
        server.create("q", json!({"KmsMasterKeyId": id})).await;
        let entries = json!([{"Id": "1", "MessageBody": "x"}]);
        for (action, input) in [
            ("SendMessage", json!({"QueueUrl": "q", "MessageBody": "x"})),
            ("SendMessageBatch", json!({"QueueUrl": "q", "Entries": entries})),
            ("ReceiveMessage", json!({"QueueUrl": "q"})),
        ] {
            match works {
                true => drop(server.ok(action, input).await),
                false => {
                    let (status, shape, code, text) = server.error(action, input).await;
                    assert_eq!((status, &*code), (400, "KMS.NotFoundException;Sender"));
                    assert!(shape.ends_with("#KmsNotFound"), "{shape}");
                    assert!(text.contains(id), "{text}");
                }
            }
        }
        server.end().await;
    }
}

#[tokio::test]
async fn redrive_policies_have_their_rules() {
    let server = Server::start(&[]).await;
    let arn = |name: &str| format!("arn:aws:sqs:us-east-1:000000000000:{name}");
    server.create("source", json!({})).await;
    server.create("dead", json!({})).await;
    server.create("dead.fifo", json!({"FifoQueue": "true"})).await;
    let deny = r#"{"redrivePermission":"denyAll"}"#;
    server.create("closed", json!({"RedriveAllowPolicy": deny})).await;

    let set = |name: &str, value: &str| {
        ("SetQueueAttributes", json!({"QueueUrl": "source", "Attributes": {name: value}}))
    };
    let to = |target: &str, count: &str| {
        format!(r#"{{"deadLetterTargetArn":"{target}","maxReceiveCount":{count}}}"#)
    };
    let count = |count: &str| {
        format!(
            "Invalid value for maxReceiveCount: {count}, valid values are from 1 to 1000 both \
             inclusive."
        )
    };
    let extra = to(&arn("dead"), "1").replace('}', r#","extra":1}"#);
    let mandatory =
        |name: &str| format!("Redrive policy does not contain mandatory attribute: {name}.");
    #[rustfmt::skip]
    let policies: Vec<(String, String)> = vec![
        ("{}".into(), mandatory("deadLetterTargetArn")),
        (r#"{"maxReceiveCount":5}"#.into(), mandatory("deadLetterTargetArn")),
        (format!(r#"{{"deadLetterTargetArn":"{}"}}"#, arn("dead")), mandatory("maxReceiveCount")),
        (to(&arn("dead"), "0"), count("0")),
        (to(&arn("dead"), "1001"), count("1001")),
        (to(&arn("dead"), "\"x\""), count("x")),
        (to("dead", "1"), "Dead-letter target ARN should be fully qualified ARN.".into()),
        (to(&arn("absent"), "1"), "Dead letter target does not exist.".into()),
        (to(&arn("dead").replace("us-east-1", "eu-west-1"), "1"), "Dead-letter queue must be in the same account and region as the queue.".into()),
        (to(&arn("dead.fifo"), "1"), "Dead-letter queue must be same type of queue as the source.".into()),
        (to(&arn("closed"), "1"), "Dead-letter queue does not allow the queue to use it.".into()),
        (extra, "Only following attributes are supported: [maxReceiveCount, deadLetterTargetArn].".into()),
    ];
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (policy, reason) in policies {
        let (action, input) = set("RedrivePolicy", &policy);
        cases.push((action, input, INVALID, value(policy, "RedrivePolicy", &reason)));
    }
    let (action, input) = set("RedrivePolicy", "text");
    let no_map = "Invalid value for the parameter RedrivePolicy. Reason: Redrive policy is not a \
                  valid JSON map.";
    cases.push((action, input, INVALID, no_map.into()));
    let (action, input) = set("RedriveAllowPolicy", r#"{"redrivePermission":"some"}"#);
    let unsupported = "Invalid value for the parameter RedriveAllowPolicy. Reason: Amazon SQS \
                       can't create the redrive allow policy, as it’s in an unsupported format.";
    cases.push((action, input, INVALID, unsupported.into()));
    let by_queue = |count: usize| {
        let sources = vec![arn("source"); count];
        json!({"redrivePermission": "byQueue", "sourceQueueArns": sources}).to_string()
    };
    let no_sources = "When you specify the byQueue permission type, you must also specify one or \
                      more sourceQueueArns values.";
    let too_many = "The maximum number of source queue ARNs you can specify is 10.";
    let no_permission =
        "To specify one or more source queue ARNs, you must set redrivePermission to byQueue.";
    for (policy, why) in [
        (by_queue(0), no_sources),
        (by_queue(11), too_many),
        (by_queue(1).replace("byQueue", "denyAll"), no_permission),
    ] {
        let (action, input) = set("RedriveAllowPolicy", &policy);
        let reason = format!("Amazon SQS can't create the redrive allow policy. {why}");
        cases.push((action, input, INVALID, value(policy, "RedriveAllowPolicy", &reason)));
    }
    server.refuses(cases).await;

    // A queue may name itself, and two may name each other. A count may be text.
    let by_queue =
        json!({"QueueUrl": "source", "Attributes": {"RedriveAllowPolicy": by_queue(10)}});
    server.ok("SetQueueAttributes", by_queue).await;
    for target in ["source", "dead"] {
        let (action, input) = set("RedrivePolicy", &to(&arn(target), "\"3\""));
        server.ok(action, input).await;
        let ask = json!({"QueueUrl": "source", "AttributeNames": ["RedrivePolicy"]});
        let shown = server.ok("GetQueueAttributes", ask).await;
        assert_eq!(shown["Attributes"]["RedrivePolicy"], to(&arn(target), "3"));
    }
    let back =
        json!({"QueueUrl": "dead", "Attributes": {"RedrivePolicy": to(&arn("source"), "1")}});
    let (.., text) = server.error("SetQueueAttributes", back.clone()).await;
    assert!(text.ends_with("does not allow the queue to use it."), "{text}");
    let (action, open) = set("RedriveAllowPolicy", "");
    server.ok(action, open).await;
    server.ok("SetQueueAttributes", back).await;
    server.end().await;
}
