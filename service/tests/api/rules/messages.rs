//! Sends, receives, handles and batches (facts sheet, 2.2, 4, 5 and 9).

use serde_json::{Value, json};

use super::*;

const CHARACTERS: &str = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | \
                          #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF";
const NO_DEDUPLICATION: &str = "The queue should either have ContentBasedDeduplication enabled or \
                                MessageDeduplicationId provided explicitly";

fn malformed_id(id: &str, name: &str) -> String {
    let reason = format!(
        "{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
    );
    value(id, name, &reason)
}

#[tokio::test]
async fn messages_have_their_rules() {
    let server = Server::start(&[]).await;
    server.create("q", json!({"MaximumMessageSize": "1024"})).await;
    server.create("q.fifo", json!({"FifoQueue": "true"})).await;
    let standard = json!({"QueueUrl": "q", "MessageBody": "x"});
    let fifo = json!({"QueueUrl": "q.fifo", "MessageBody": "x", "MessageGroupId": "g",
        "MessageDeduplicationId": "d"});
    let long = "i".repeat(129);
    let too_large =
        "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.";
    let of_fifo = "The request includes a parameter that is not valid for this queue type.";
    let delay = "DelaySeconds must be >= 0 and <= 900.";
    let no_delay = "The request include parameter that is not valid for this queue type.";
    let city = json!({"MessageAttributes": {"City": {"DataType": "String", "StringValue": "x"}}});
    #[rustfmt::skip]
    let cases = [
        (&standard, json!({"MessageBody": null}), MISSING, missing("MessageBody")),
        (&standard, json!({"MessageBody": ""}), MISSING, missing("MessageBody")),
        (&standard, json!({"MessageBody": "a\u{b}"}), "InvalidMessageContents", CHARACTERS.into()),
        (&standard, json!({"MessageBody": "\u{fffe}"}), "InvalidMessageContents", CHARACTERS.into()),
        (&standard, json!({"MessageBody": "x".repeat(1025)}), INVALID, too_large.into()),
        (&standard, with(&city, json!({"MessageBody": "x".repeat(1024 - 10)})), INVALID, too_large.into()),
        (&standard, json!({"DelaySeconds": 901}), INVALID, value(901, "DelaySeconds", delay)),
        (&standard, json!({"DelaySeconds": -1}), INVALID, value(-1, "DelaySeconds", delay)),
        (&standard, json!({"MessageDeduplicationId": "d"}), INVALID, value("d", "MessageDeduplicationId", of_fifo)),
        (&standard, json!({"MessageGroupId": "a b"}), INVALID, malformed_id("a b", "MessageGroupId")),
        (&standard, json!({"MessageGroupId": ""}), INVALID, malformed_id("", "MessageGroupId")),
        (&fifo, json!({"MessageGroupId": null}), MISSING, missing("MessageGroupId")),
        (&fifo, json!({"MessageGroupId": ""}), MISSING, missing("MessageGroupId")),
        (&fifo, json!({"MessageGroupId": long}), INVALID, malformed_id(&long, "MessageGroupId")),
        (&fifo, json!({"MessageDeduplicationId": null}), INVALID, NO_DEDUPLICATION.into()),
        (&fifo, json!({"MessageDeduplicationId": "ä"}), INVALID, malformed_id("ä", "MessageDeduplicationId")),
        (&fifo, json!({"DelaySeconds": 1}), INVALID, value(1, "DelaySeconds", no_delay)),
    ];
    let cases = cases
        .into_iter()
        .map(|(base, members, code, text)| ("SendMessage", with(base, members), code, text));
    server.refuses(cases.collect()).await;

    for (base, members) in [
        (&standard, json!({"MessageBody": "x".repeat(1024)})),
        // Name, type and value count: 4 + 6 + 1 bytes.
        (&standard, with(&city, json!({"MessageBody": "x".repeat(1024 - 11)}))),
        (&standard, json!({"DelaySeconds": 900})),
        (&standard, json!({"MessageGroupId": "tenant"})),
        (&fifo, json!({"DelaySeconds": 0})),
        (&fifo, json!({"MessageGroupId": "~".repeat(128), "MessageDeduplicationId": "!"})),
    ] {
        server.ok("SendMessage", with(base, members)).await;
    }
    server.end().await;
}

#[tokio::test]
async fn message_attributes_have_their_rules() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    let one = |name: &str, attribute: Value| json!({name: attribute});
    let text = |data_type: &str, value: &str| json!({"DataType": data_type, "StringValue": value});
    let empty = |kind: &str| {
        format!("Message (user) attribute 'a' must contain a non-empty value of type '{kind}'.")
    };
    let wrong_type = "The type of message (user) attribute 'a' is invalid. You must use only the \
                      following supported type prefixes: Binary, Number, String.";
    let reserved = "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. \
                    These strings are reserved for internal use.";
    let no_number = "Can't cast the value of message (user) attribute 'a' to a number.";
    let eleven: serde_json::Map<_, _> =
        (0..11).map(|n| (format!("a{n}"), text("String", "x"))).collect();
    #[rustfmt::skip]
    let cases: Vec<(Value, String)> = vec![
        (eleven.into(), "Number of message attributes [11] exceeds the allowed maximum [10].".into()),
        (one("", text("String", "x")), "The request must contain non-empty message attribute name.".into()),
        (one(&"n".repeat(257), text("String", "x")), "Message (user) attribute names must be shorter than 256 Bytes".into()),
        (one("aws.x", text("String", "x")), reserved.into()),
        (one("Amazon.x", text("String", "x")), reserved.into()),
        (one("a", text("String", "")), empty("String")),
        (one("a", json!({"DataType": "String"})), empty("String")),
        (one("a", json!({"DataType": "Binary", "BinaryValue": ""})), empty("Binary")),
        (one("a", json!({"DataType": "Binary", "StringValue": "x"})), empty("Binary")),
        (one("a", json!({"DataType": "String", "StringValue": "x", "BinaryValue": "eA=="})), empty("String")),
        (one("a", text("string", "x")), wrong_type.into()),
        (one("a", text("Text.json", "x")), wrong_type.into()),
        (one("a", text("Number", "one")), no_number.into()),
        (one("a", text("Number.int", &"9".repeat(39))), no_number.into()),
    ];
    let send = |members: Value| with(&json!({"QueueUrl": "q", "MessageBody": "x"}), members);
    let cases = cases.into_iter().map(|(attributes, text)| {
        ("SendMessage", send(json!({"MessageAttributes": attributes})), INVALID, text)
    });
    server.refuses(cases.collect()).await;

    // What else is refused, AWS's words for which nobody has written down.
    for attributes in [
        json!({"MessageAttributes": one(".a", text("String", "x"))}),
        json!({"MessageAttributes": one("a..b", text("String", "x"))}),
        json!({"MessageAttributes": one("a b", text("String", "x"))}),
        json!({"MessageAttributes": one("a", text("String", "\u{1}"))}),
        json!({"MessageAttributes": one("a", text("String.\u{1}", "x"))}),
        json!({"MessageAttributes": one("a", json!({"DataType": "String", "StringListValues": ["x"]}))}),
        json!({"MessageSystemAttributes": one("Other", text("String", "x"))}),
        json!({"MessageSystemAttributes": one("AWSTraceHeader", text("Number", "1"))}),
    ] {
        let (status, .., code, _) = server.error("SendMessage", send(attributes.clone())).await;
        assert_eq!((status, &*code), (400, "InvalidParameterValue;Sender"), "{attributes}");
    }
    let ten: serde_json::Map<_, _> = (0..10)
        .map(|n| (format!("größe.{n}"), text("Number.label of any kind", "-1.5e3")))
        .collect();
    server.ok("SendMessage", send(json!({"MessageAttributes": ten}))).await;
    server.end().await;
}

#[tokio::test]
async fn receives_have_their_rules() {
    let server = Server::start(&[]).await;
    server.create("q", json!({})).await;
    server.create("q.fifo", json!({"FifoQueue": "true"})).await;
    let count = "Must be between 1 and 10, if provided.";
    let wait = "Must be >= 0 and <= 20, if provided.";
    let timeout = "Must be >= 0 and <= 43200, if provided.";
    let of_fifo = "The request includes a parameter that is not valid for this queue type.";
    let long = "i".repeat(129);
    #[rustfmt::skip]
    let cases = [
        ("q", json!({"MaxNumberOfMessages": 0}), INVALID, value(0, "MaxNumberOfMessages", count)),
        ("q", json!({"MaxNumberOfMessages": 11}), INVALID, value(11, "MaxNumberOfMessages", count)),
        ("q", json!({"WaitTimeSeconds": -1}), INVALID, value(-1, "WaitTimeSeconds", wait)),
        ("q", json!({"WaitTimeSeconds": 21}), INVALID, value(21, "WaitTimeSeconds", wait)),
        ("q", json!({"VisibilityTimeout": -1}), INVALID, value(-1, "VisibilityTimeout", timeout)),
        ("q", json!({"VisibilityTimeout": 43_201}), INVALID, value(43_201, "VisibilityTimeout", timeout)),
        ("q", json!({"ReceiveRequestAttemptId": "r"}), INVALID, value("r", "ReceiveRequestAttemptId", of_fifo)),
        ("q.fifo", json!({"ReceiveRequestAttemptId": long}), INVALID, malformed_id(&long, "ReceiveRequestAttemptId")),
        ("q", json!({"AttributeNames": ["Nonsense"]}), ATTRIBUTE_NAME, "Unknown Attribute Nonsense.".into()),
        ("q", json!({"MessageSystemAttributeNames": ["senderid"]}), ATTRIBUTE_NAME, "Unknown Attribute senderid.".into()),
    ];
    let cases = cases.into_iter().map(|(url, members, code, text)| {
        ("ReceiveMessage", with(&json!({"QueueUrl": url}), members), code, text)
    });
    server.refuses(cases.collect()).await;
    for members in [
        json!({"MaxNumberOfMessages": 10, "VisibilityTimeout": 43_200, "WaitTimeSeconds": 0}),
        json!({"MaxNumberOfMessages": 1, "VisibilityTimeout": 0, "AttributeNames": ["All"]}),
        json!({"MessageAttributeNames": ["None.*", "*", ""]}),
    ] {
        server.ok("ReceiveMessage", with(&json!({"QueueUrl": "q"}), members)).await;
    }
    server.end().await;
}

#[tokio::test]
async fn handles_have_their_rules() {
    let server = Server::start(&[]).await;
    for (name, attributes) in
        [("q", json!({})), ("other", json!({})), ("q.fifo", json!({"FifoQueue": "true"}))]
    {
        server.create(name, attributes).await;
        let send = json!({"QueueUrl": name, "MessageBody": "x"});
        let ids = json!({"MessageGroupId": "g", "MessageDeduplicationId": "d"});
        let send = if name == "q.fifo" { with(&send, ids) } else { send };
        server.ok("SendMessage", send).await;
    }
    let handle = async |url: &str| {
        server.receive(url).await[0]["ReceiptHandle"].as_str().unwrap().to_string()
    };
    let (held, foreign, fifo) = (handle("q").await, handle("other").await, handle("q.fifo").await);
    let delete = |url: &str, handle: &str| {
        ("DeleteMessage", json!({"QueueUrl": url, "ReceiptHandle": handle}))
    };
    let change = |url: &str, handle: &str, timeout: Value| {
        let input = json!({"QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": timeout});
        ("ChangeMessageVisibility", input)
    };
    const BAD_HANDLE: &str = "ReceiptHandleIsInvalid";
    let garbage = "The input receipt handle \"x\" is not a valid receipt handle.";
    let of_another = format!("The receipt handle \"{foreign}\" is not valid for this queue.");
    let range = "Must be >= 0 and <= 43200, if provided.";
    let beyond = "Total VisibilityTimeout for the message is beyond the limit [43200 seconds]";
    let gone = "Message does not exist or is not available for visibility timeout change.";

    server.clock.advance(std::time::Duration::from_secs(5));
    let case = |(action, input), code, text| (action, input, code, text);
    #[rustfmt::skip]
    let cases = vec![
        case(delete("q", ""), MISSING, missing("ReceiptHandle")),
        case(delete("q", "x"), BAD_HANDLE, garbage.into()),
        case(delete("q", &foreign), BAD_HANDLE, of_another.clone()),
        case(change("q", "", json!(1)), MISSING, missing("ReceiptHandle")),
        case(change("q", &held, Value::Null), MISSING, missing("VisibilityTimeout")),
        case(change("q", "x", json!(1)), BAD_HANDLE, garbage.into()),
        case(change("q", &foreign, json!(1)), BAD_HANDLE, of_another),
        case(change("q", &held, json!(-1)), INVALID, value(-1, "VisibilityTimeout", range)),
        case(change("q", &held, json!(43_201)), INVALID, value(43_201, "VisibilityTimeout", range)),
        case(change("q", &held, json!(43_196)), INVALID, value(43_196, "VisibilityTimeout", beyond)),
    ];
    server.refuses(cases).await;
    let (action, input) = change("q", &held, json!(43_195));
    server.ok(action, input).await;
    let (action, input) = delete("q", &held);
    server.ok(action, input.clone()).await;
    server.ok(action, input).await;
    let (action, input) = change("q", &held, json!(1));
    server.refuses(vec![(action, input, INVALID, value(&held, "ReceiptHandle", gone))]).await;

    // On a FIFO queue a handle is good for as long as its receive.
    server.clock.advance(std::time::Duration::from_secs(30));
    let (action, input) = delete("q.fifo", &fifo);
    let expired = value(&fifo, "ReceiptHandle", "The receipt handle has expired.");
    server.refuses(vec![(action, input, INVALID, expired)]).await;
    server.end().await;
}

#[tokio::test]
async fn batches_have_their_rules() {
    let server = Server::start(&[]).await;
    server.create("q", json!({"MaximumMessageSize": "1024"})).await;
    server.create("q.fifo", json!({"FifoQueue": "true"})).await;
    let whole = |name: &str| match name {
        "empty" => "AWS.SimpleQueueService.EmptyBatchRequest",
        "many" => "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
        "id" => "AWS.SimpleQueueService.InvalidBatchEntryId",
        _ => "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
    };
    let bad_id = "A batch entry id can only contain alphanumeric characters, hyphens and \
                  underscores. It can be at most 80 letters long.";
    let entry = |id: &str| json!({"Id": id, "MessageBody": "x", "ReceiptHandle": "x", "VisibilityTimeout": 0});
    let batch = |entries: Vec<Value>| json!({"QueueUrl": "q", "Entries": entries});
    let eleven: Vec<_> = (0..11).map(|n| entry(&n.to_string())).collect();
    for action in ["SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"] {
        let none = format!("There should be at least one {action}RequestEntry in the request.");
        #[rustfmt::skip]
        let cases = vec![
            (action, json!({"QueueUrl": "q"}), whole("empty"), none.clone()),
            (action, batch(vec![]), whole("empty"), none),
            (action, batch(eleven.clone()), whole("many"), "Maximum number of entries per request are 10. You have sent 11.".into()),
            (action, batch(vec![entry("")]), whole("id"), bad_id.into()),
            (action, batch(vec![entry("a b")]), whole("id"), bad_id.into()),
            (action, batch(vec![entry(&"i".repeat(81))]), whole("id"), bad_id.into()),
            (action, batch(vec![entry("a"), entry("b"), entry("a")]), whole("repeated"), "Id a repeated.".into()),
        ];
        server.refuses(cases).await;
    }

    let reason = "Message must be shorter than 1024 bytes.";
    let pair = |code: &str, text: &str| (code.to_string(), text.to_string());
    let entries = json!([
        {"Id": "1"},
        {"Id": "2", "MessageBody": "\u{1}"},
        {"Id": "3", "MessageBody": "x".repeat(1025)},
        {"Id": "4", "MessageBody": "x", "DelaySeconds": 901},
        {"Id": "5", "MessageBody": "x"}]);
    assert_eq!(
        server.failed("SendMessageBatch", "q", entries).await,
        [
            (MISSING.into(), missing("SendMessageBatchRequestEntry.1.MessageBody")),
            pair("InvalidMessageContents", CHARACTERS),
            (INVALID.into(), format!("One or more parameters are invalid. Reason: {reason}")),
            (INVALID.into(), value(901, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")),
        ]
    );
    let garbage = "The input receipt handle \"x\" is not a valid receipt handle.";
    let entries = json!([{"Id": "1", "ReceiptHandle": "x"}, {"Id": "2"}]);
    assert_eq!(
        server.failed("DeleteMessageBatch", "q", entries).await,
        [
            pair("ReceiptHandleIsInvalid", garbage),
            (MISSING.into(), missing("DeleteMessageBatchRequestEntry.2.ReceiptHandle")),
        ]
    );
    let entries = json!([
        {"Id": "1", "ReceiptHandle": "x", "VisibilityTimeout": 1},
        {"Id": "2", "ReceiptHandle": "x"},
        {"Id": "3", "ReceiptHandle": "x", "VisibilityTimeout": 43_201}]);
    assert_eq!(
        server.failed("ChangeMessageVisibilityBatch", "q", entries).await,
        [
            pair("ReceiptHandleIsInvalid", garbage),
            (
                MISSING.into(),
                missing("ChangeMessageVisibilityBatchRequestEntry.2.VisibilityTimeout")
            ),
            (
                INVALID.into(),
                value(43_201, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
            ),
        ]
    );

    // What identifies a message of a FIFO queue fails all of them.
    let fifo = |members: Value| {
        let good = json!({"Id": "a", "MessageBody": "x", "MessageGroupId": "g",
            "MessageDeduplicationId": "d"});
        let bad = with(&with(&good, json!({"Id": "b"})), members);
        json!({"QueueUrl": "q.fifo", "Entries": [good, bad]})
    };
    server
        .refuses(vec![
            (
                "SendMessageBatch",
                fifo(json!({"MessageGroupId": null})),
                INVALID,
                missing("MessageGroupId"),
            ),
            (
                "SendMessageBatch",
                fifo(json!({"MessageDeduplicationId": null})),
                INVALID,
                NO_DEDUPLICATION.into(),
            ),
        ])
        .await;
    assert!(server.receive("q.fifo").await.is_empty());
    server.end().await;
}
