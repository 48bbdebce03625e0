//! SendMessage, ReceiveMessage and DeleteMessage.

use aws_sdk_sqs::{
    Client,
    primitives::Blob,
    types::{MessageAttributeValue, MessageSystemAttributeNameForSends},
};
use stanchion_tests::{
    Server,
    sdk::{self, client, create, failure},
};

fn typed(data_type: &str, value: &str) -> MessageAttributeValue {
    let builder = MessageAttributeValue::builder().data_type(data_type);
    let builder = match data_type.starts_with("Binary") {
        true => builder.binary_value(Blob::new(value)),
        false => builder.string_value(value),
    };
    builder.build().expect("a type is given")
}

async fn queue(server: &Server) -> (Client, String) {
    let sqs = client(server);
    let url = create(&sqs, "q", &[]).await;
    (sqs, url)
}

#[tokio::test]
async fn a_message_goes_through_send_receive_and_delete() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let sent = sqs.send_message().queue_url(&url).message_body("hello").send().await.unwrap();
    assert_eq!(sent.md5_of_message_body(), Some("5d41402abc4b2a76b9719d911017c592"));
    assert_eq!(sent.md5_of_message_attributes(), None);
    assert_eq!(sent.sequence_number(), None, "FIFO only");
    assert_eq!(sent.message_id().unwrap().len(), 36);

    let message = sdk::receive_one(&sqs, &url).await;
    assert_eq!(message.message_id(), sent.message_id());
    assert_eq!(message.body(), Some("hello"));
    assert_eq!(message.md5_of_body(), sent.md5_of_message_body());
    assert_eq!(sdk::system(&message, "ApproximateReceiveCount"), "1");
    for name in ["SentTimestamp", "ApproximateFirstReceiveTimestamp"] {
        assert_eq!(sdk::system(&message, name).len(), 13, "{name} is in milliseconds");
    }
    assert_ne!(sdk::system(&message, "SenderId"), "");
    for absent in ["MessageGroupId", "SequenceNumber", "AWSTraceHeader"] {
        assert_eq!(sdk::system(&message, absent), "");
    }

    sdk::delete(&sqs, &url, &message).await;
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
    sdk::delete(&sqs, &url, &message).await;
}

#[tokio::test]
async fn bodies_come_back_byte_for_byte() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let wild = " \t\r\n\"\\<&>]]> \u{e000}\u{fffd}\u{10000}\u{10ffff} ne\u{301}e née ☕ ";
    for body in [wild, " ", "\r", &"x".repeat(1_048_576)] {
        sdk::send(&sqs, &url, body).await;
        let message = sdk::receive_one(&sqs, &url).await;
        assert!(sdk::body(&message) == body);
        sdk::delete(&sqs, &url, &message).await;
    }
}

#[tokio::test]
async fn message_attributes_are_kept_with_aws_digests() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let trace = "Root=1-5e3d83c1-e6a0db584850d61342823d4c;Parent=79e5fb5a1d9a4b1c;Sampled=1";
    let header = aws_sdk_sqs::types::MessageSystemAttributeValue::builder()
        .data_type("String")
        .string_value(trace)
        .build()
        .unwrap();
    let attributes = [
        ("City", typed("String", "Any City")),
        ("Population", typed("Number.int", "1250800")),
        ("Greeting", typed("Binary", "Hello, World!")),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    let sent = sqs
        .send_message()
        .queue_url(&url)
        .message_body("m")
        .set_message_attributes(Some(attributes.clone().into()))
        .message_system_attributes(MessageSystemAttributeNameForSends::AwsTraceHeader, header)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.md5_of_message_attributes(), Some("0bf4fddaaaeccae7e21f21bc0a1bc2a4"));
    assert_eq!(sent.md5_of_message_system_attributes(), Some("f9b2735b1e3c61a0ba4babf1c5e1ffda"));

    let message = sdk::receive_one(&sqs, &url).await;
    assert_eq!(message.message_attributes(), Some(&attributes.into()));
    assert_eq!(message.md5_of_message_attributes(), Some("0bf4fddaaaeccae7e21f21bc0a1bc2a4"));
    assert_eq!(sdk::system(&message, "AWSTraceHeader"), trace);
    sdk::give_back(&sqs, &url, &message).await;

    let receive = || sqs.receive_message().queue_url(&url).visibility_timeout(0);
    for (pattern, names) in [
        ("City", &["City"][..]),
        ("Cit.*", &["City"]),
        ("*", &["City", "Greeting", "Population"]),
        (".*", &["City", "Greeting", "Population"]),
        ("Country", &[]),
    ] {
        let received = receive().message_attribute_names(pattern).send().await.unwrap();
        let message = &received.messages()[0];
        let mut found: Vec<_> = message.message_attributes().into_iter().flatten().collect();
        found.sort_by_key(|(name, _)| *name);
        let found: Vec<_> = found.into_iter().map(|(name, _)| name).collect();
        assert_eq!(found, names, "{pattern}");
        if names == ["City"] {
            let only_city = Some("0c32cb5c844c01fbd5b6b434b52cf670");
            assert_eq!(message.md5_of_message_attributes(), only_city, "over what is returned");
        }
    }
    let bare = receive().send().await.unwrap();
    assert_eq!(bare.messages()[0].attributes(), None, "nothing asked for, nothing returned");
    assert_eq!(bare.messages()[0].message_attributes(), None);
}

#[tokio::test]
async fn wrong_message_attributes_are_refused() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let name_too_long = "n".repeat(257);
    for (name, value) in [
        ("AWS.x", typed("String", "v")),
        ("amazon.x", typed("String", "v")),
        (".x", typed("String", "v")),
        ("x.", typed("String", "v")),
        ("x..y", typed("String", "v")),
        ("x y", typed("String", "v")),
        (&*name_too_long, typed("String", "v")),
        ("x", typed("string", "v")),
        ("x", typed("Text", "v")),
        ("x", typed("String", "")),
        ("x", typed("Binary", "")),
        ("x", typed("String", "\u{1}")),
        ("x", typed("Number", "ten")),
        ("x", MessageAttributeValue::builder().data_type("String").build().unwrap()),
    ] {
        let send = sqs.send_message().queue_url(&url).message_body("m");
        let refused = failure(send.message_attributes(name, value.clone()).send().await);
        assert_eq!(refused.code, "InvalidParameterValue", "{name} {value:?}");
    }
    let mut eleven = sqs.send_message().queue_url(&url).message_body("m");
    for number in 0..11 {
        eleven = eleven.message_attributes(format!("a{number}"), typed("String", "v"));
    }
    let refused = failure(eleven.send().await);
    assert_eq!(refused.code, "InvalidParameterValue");
    assert_eq!(
        refused.message,
        "Number of message attributes [11] exceeds the allowed maximum [10]."
    );
}

#[tokio::test]
async fn wrong_sends_are_refused() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let send = |body: &str| sqs.send_message().queue_url(&url).message_body(body);

    let empty = failure(send("").send().await);
    assert_eq!(empty.code, "MissingParameter");
    assert_eq!(empty.message, "The request must contain the parameter MessageBody.");

    let forbidden = failure(send("a\u{b}").send().await);
    assert_eq!(forbidden.code, "InvalidMessageContents");
    assert_eq!(failure(send("\u{ffff}").send().await).code, "InvalidMessageContents");

    let large = failure(send(&"x".repeat(1_048_577)).send().await);
    assert_eq!(large.code, "InvalidParameterValue");
    assert_eq!(
        large.message,
        "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes."
    );
    let with_attribute = send(&"x".repeat(1_048_576));
    let with_attribute = with_attribute.message_attributes("a", typed("String", "v"));
    assert_eq!(failure(with_attribute.send().await).code, "InvalidParameterValue");

    for delay in [-1, 901] {
        let refused = failure(send("m").delay_seconds(delay).send().await);
        assert_eq!(refused.code, "InvalidParameterValue");
        let expected = format!(
            "Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be \
             >= 0 and <= 900."
        );
        assert_eq!(refused.message, expected);
    }
    let dedup = failure(send("m").message_deduplication_id("d").send().await);
    assert_eq!(dedup.code, "InvalidParameterValue");
    let group = failure(send("m").message_group_id("g g").send().await);
    assert_eq!(group.code, "InvalidParameterValue");
}

#[tokio::test]
async fn the_queues_own_size_limit_counts() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[("MaximumMessageSize", "1024")]).await;
    sdk::send(&sqs, &url, &"x".repeat(1024)).await;
    let large = sqs.send_message().queue_url(&url).message_body("x".repeat(1025)).send().await;
    assert!(failure(large).message.ends_with("Message must be shorter than 1024 bytes."));
}

#[tokio::test]
async fn wrong_receives_are_refused() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let receive = || sqs.receive_message().queue_url(&url);
    for (call, text) in [
        (
            receive().max_number_of_messages(0),
            "Value 0 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and \
             10, if provided.",
        ),
        (
            receive().max_number_of_messages(11),
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and \
             10, if provided.",
        ),
        (
            receive().wait_time_seconds(21),
            "Value 21 for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, \
             if provided.",
        ),
        (
            receive().visibility_timeout(43_201),
            "Value 43201 for parameter VisibilityTimeout is invalid. Reason: Must be >= 0 and <= \
             43200, if provided.",
        ),
    ] {
        let refused = failure(call.send().await);
        assert_eq!((refused.status, &*refused.code), (400, "InvalidParameterValue"));
        assert_eq!(refused.message, text);
    }
    let attempt = receive().receive_request_attempt_id("a").send().await;
    assert_eq!(failure(attempt).code, "InvalidParameterValue", "FIFO only");
}

#[tokio::test]
async fn a_receive_fills_its_batch() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    for number in 0..12 {
        sdk::send(&sqs, &url, &number.to_string()).await;
    }
    let default = sqs.receive_message().queue_url(&url).send().await.unwrap();
    assert_eq!(default.messages().len(), 1);
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 10);
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 1);
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 0);
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 12, 0]);
}

#[tokio::test]
async fn a_long_poll_is_woken_by_a_send() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let waiting = tokio::spawn({
        let (sqs, url) = (sqs.clone(), url.clone());
        async move { sdk::receive(&sqs, &url, 20).await }
    });
    sdk::send(&sqs, &url, "m").await;
    assert_eq!(sdk::bodies(&waiting.await.unwrap()), ["m"]);
}

#[tokio::test]
async fn a_long_poll_is_woken_by_the_end_of_a_delay() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let delayed = sqs.send_message().queue_url(&url).message_body("later").delay_seconds(1);
    delayed.send().await.unwrap();
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 1]);
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 0);
    assert_eq!(sdk::bodies(&[sdk::receive_one(&sqs, &url).await]), ["later"]);
}

#[tokio::test]
async fn a_messages_own_delay_overrides_the_queues() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[("DelaySeconds", "900")]).await;
    sdk::send(&sqs, &url, "by the queue").await;
    let at_once = sqs.send_message().queue_url(&url).message_body("at once").delay_seconds(0);
    at_once.send().await.unwrap();
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 0).await), ["at once"]);
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 1, 1]);
}

#[tokio::test]
async fn the_queues_own_wait_counts_when_the_receive_names_none() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[("ReceiveMessageWaitTimeSeconds", "20")]).await;
    let waiting = tokio::spawn({
        let receive = sqs.receive_message().queue_url(&url);
        async move { receive.send().await.unwrap().messages.unwrap_or_default() }
    });
    sdk::send(&sqs, &url, "m").await;
    assert_eq!(sdk::bodies(&waiting.await.unwrap()), ["m"]);
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 0, "an explicit zero does not wait");
}

#[tokio::test]
async fn a_standard_queue_carries_groups() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    for body in ["1", "2"] {
        let send = sqs.send_message().queue_url(&url).message_body(body).message_group_id("tenant");
        assert_eq!(send.send().await.unwrap().sequence_number(), None);
    }
    let both = sdk::receive(&sqs, &url, 0).await;
    assert_eq!(both.len(), 2, "a group locks nothing on a standard queue");
    assert!(both.iter().all(|message| sdk::system(message, "MessageGroupId") == "tenant"));
}
