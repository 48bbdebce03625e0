//! The cases of `clients/cases.txt` with the AWS SDK for Rust. What is in `conformance` goes
//! deeper; this is what every client does.

use aws_sdk_sqs::{
    Client,
    error::ProvideErrorMetadata,
    operation::{create_queue::CreateQueueError, receive_message::ReceiveMessageError},
    primitives::Blob,
    types::{
        ChangeMessageVisibilityBatchRequestEntry as Visibility, DeleteMessageBatchRequestEntry,
        MessageAttributeValue, MessageSystemAttributeNameForSends, MessageSystemAttributeValue,
        QueueAttributeName, SendMessageBatchRequestEntry,
    },
};
use serde_json::{Value, json};
use stanchion_tests::sdk::{
    arn, attribute, bodies, create, delete, failure, give_back, handle, receive, receive_one, send,
    send_to_group, system,
};

const NOT_THERE: &str = "AWS.SimpleQueueService.NonExistentQueue";

/// Runs the case of a title.
///
/// # Panics
/// When it fails, or there is none.
pub(super) async fn run(case: &str, sqs: &Client) {
    match case {
        "tour" => tour(sqs).await,
        "attributes" => attributes(sqs).await,
        "tags" => tags(sqs).await,
        "permissions" => permissions(sqs).await,
        "queue errors" => queue_errors(sqs).await,
        "message attributes" => message_attributes(sqs).await,
        "delay and long poll" => delay_and_long_poll(sqs).await,
        "visibility" => visibility(sqs).await,
        "batches with partial failures" => batches(sqs).await,
        "wrong batches" => wrong_batches(sqs).await,
        "fifo order" => fifo_order(sqs).await,
        "fifo deduplication" => fifo_deduplication(sqs).await,
        "dead letters" => dead_letters(sqs).await,
        "move tasks" => move_tasks(sqs).await,
        "pages" => pages(sqs).await,
        other => panic!("no such case: {other}"),
    }
}

fn redrive(target: &str) -> String {
    json!({"deadLetterTargetArn": target, "maxReceiveCount": 1}).to_string()
}

async fn tour(sqs: &Client) {
    let url = create(sqs, "tour", &[]).await;
    let id = send(sqs, &url, "hello née ☕").await;
    let message = receive_one(sqs, &url).await;
    assert_eq!(message.body(), Some("hello née ☕"));
    assert_eq!(message.message_id(), Some(&*id));
    assert_eq!(system(&message, "ApproximateReceiveCount"), "1");
    delete(sqs, &url, &message).await;
    send(sqs, &url, "purged").await;
    sqs.purge_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(receive(sqs, &url, 0).await, []);
    let find = || sqs.get_queue_url().queue_name("tour").send();
    assert_eq!(find().await.unwrap().queue_url(), Some(&*url));
    sqs.delete_queue().queue_url(&url).send().await.unwrap();
    assert_eq!(failure(find().await).code, NOT_THERE);
}

async fn attributes(sqs: &Client) {
    let url = create(sqs, "attributes", &[("VisibilityTimeout", "10")]).await;
    let all = sqs.get_queue_attributes().queue_url(&url).attribute_names("All".into()).send().await;
    let all = all.unwrap().attributes.unwrap();
    assert_eq!(all.len(), 12);
    assert_eq!(all[&QueueAttributeName::VisibilityTimeout], "10");
    let set = |name: &str, value: &str| {
        sqs.set_queue_attributes().queue_url(&url).attributes(name.into(), value).send()
    };
    set("VisibilityTimeout", "11").await.unwrap();
    assert_eq!(attribute(sqs, &url, "VisibilityTimeout").await, "11");
    assert_eq!(failure(set("VisibilityTimeout", "43201").await).code, "InvalidAttributeValue");
    assert_eq!(failure(set("Colour", "red").await).code, "InvalidAttributeName");
}

async fn tags(sqs: &Client) {
    let created = sqs.create_queue().queue_name("tags").tags("team", "red").tags("größe", "");
    let url = created.send().await.unwrap().queue_url.unwrap();
    let tag = sqs.tag_queue().queue_url(&url).tags("team", "blue").tags("cost", "a=b");
    tag.send().await.unwrap();
    let listed = async || {
        let tags = sqs.list_queue_tags().queue_url(&url).send().await.unwrap().tags;
        let mut tags: Vec<_> = tags.unwrap_or_default().into_iter().collect();
        tags.sort();
        tags
    };
    let expected = [("cost", "a=b"), ("größe", ""), ("team", "blue")];
    assert_eq!(listed().await, expected.map(|(key, value)| (key.into(), value.into())));
    let untag = sqs.untag_queue().queue_url(&url);
    untag.tag_keys("cost").tag_keys("größe").tag_keys("team").send().await.unwrap();
    assert_eq!(listed().await, []);
    let reserved = sqs.tag_queue().queue_url(&url).tags("aws:team", "red").send().await;
    assert_eq!(failure(reserved).code, "InvalidParameterValue");
}

async fn permissions(sqs: &Client) {
    let url = create(sqs, "permissions", &[]).await;
    let add = sqs.add_permission().queue_url(&url).label("send");
    let add = add.aws_account_ids("111122223333").aws_account_ids("444455556666");
    add.actions("SendMessage").actions("ReceiveMessage").send().await.unwrap();
    let policy = attribute(sqs, &url, "Policy").await;
    let policy: Value = serde_json::from_str(&policy).unwrap();
    let actions = json!(["SQS:SendMessage", "SQS:ReceiveMessage"]);
    assert_eq!(policy["Statement"][0]["Action"], actions);
    let remove = || sqs.remove_permission().queue_url(&url).label("send").send();
    remove().await.unwrap();
    assert_eq!(attribute(sqs, &url, "Policy").await, "");
    assert_eq!(failure(remove().await).code, "InvalidParameterValue");
}

async fn queue_errors(sqs: &Client) {
    let missing = "https://sqs.us-east-1.amazonaws.com/000000000000/missing";
    let error = sqs.receive_message().queue_url(missing).send().await.unwrap_err();
    let error = error.into_service_error();
    assert!(matches!(error, ReceiveMessageError::QueueDoesNotExist(_)), "{error:?}");
    assert_eq!(error.code(), Some(NOT_THERE));
    let create_named = |name: &str| sqs.create_queue().queue_name(name);
    assert_eq!(failure(create_named("a b").send().await).code, "InvalidParameterValue");
    let url = create(sqs, "errors", &[("DelaySeconds", "1")]).await;
    let again = create_named("errors").attributes(QueueAttributeName::DelaySeconds, "2").send();
    let error = again.await.unwrap_err().into_service_error();
    assert!(matches!(error, CreateQueueError::QueueNameExists(_)), "{error:?}");
    assert_eq!(error.code(), Some("QueueAlreadyExists"));
    let garbage = sqs.delete_message().queue_url(&url).receipt_handle("garbage").send().await;
    assert_eq!(failure(garbage).code, "ReceiptHandleIsInvalid");
    let eleven = sqs.receive_message().queue_url(&url).max_number_of_messages(11).send().await;
    assert_eq!(failure(eleven).code, "InvalidParameterValue");
    for (body, code) in [("", "MissingParameter"), ("\u{b}", "InvalidMessageContents")] {
        let sent = sqs.send_message().queue_url(&url).message_body(body).send().await;
        assert_eq!(failure(sent).code, code);
    }
}

async fn message_attributes(sqs: &Client) {
    let url = create(sqs, "message-attributes", &[]).await;
    let value = |data_type: &str| MessageAttributeValue::builder().data_type(data_type);
    let binary = Blob::new("Hello, World!");
    let sent = [
        ("City", value("String").string_value("Any City")),
        ("Population", value("Number.int").string_value("1250800")),
        ("Greeting", value("Binary").binary_value(binary)),
    ]
    .map(|(name, value)| (name.to_owned(), value.build().unwrap()));
    let trace = "Root=1-5e3d83c1-e6a0db58";
    let header = MessageSystemAttributeValue::builder().data_type("String").string_value(trace);
    let answer = sqs
        .send_message()
        .queue_url(&url)
        .message_body("m")
        .set_message_attributes(Some(sent.clone().into()))
        .message_system_attributes(
            MessageSystemAttributeNameForSends::AwsTraceHeader,
            header.build().unwrap(),
        )
        .send()
        .await
        .unwrap();
    let digest = Some("0bf4fddaaaeccae7e21f21bc0a1bc2a4");
    assert_eq!(answer.md5_of_message_attributes(), digest);
    let message = receive_one(sqs, &url).await;
    assert_eq!(message.md5_of_message_attributes(), digest);
    assert_eq!(message.message_attributes, Some(sent.into()));
}

async fn delay_and_long_poll(sqs: &Client) {
    let url = create(sqs, "delay", &[]).await;
    let later = sqs.send_message().queue_url(&url).message_body("later").delay_seconds(1);
    later.send().await.unwrap();
    assert_eq!(receive(sqs, &url, 0).await, []);
    assert_eq!(bodies(&receive(sqs, &url, 20).await), ["later"]);
    let (soon, _) = tokio::join!(receive(sqs, &url, 20), send(sqs, &url, "soon"));
    assert_eq!(bodies(&soon), ["soon"]);
}

async fn visibility(sqs: &Client) {
    let url = create(sqs, "visibility", &[]).await;
    send(sqs, &url, "m").await;
    let first = receive_one(sqs, &url).await;
    assert_eq!(receive(sqs, &url, 0).await, []);
    give_back(sqs, &url, &first).await;
    let second = receive_one(sqs, &url).await;
    assert_eq!(system(&second, "ApproximateReceiveCount"), "2");
    assert_ne!(handle(&first), handle(&second));
    delete(sqs, &url, &second).await;
    let change = sqs.change_message_visibility().queue_url(&url).visibility_timeout(1);
    let late = change.receipt_handle(handle(&second)).send().await;
    assert_eq!(failure(late).code, "InvalidParameterValue");
}

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    SendMessageBatchRequestEntry::builder().id(id).message_body(body).build().unwrap()
}

async fn batches(sqs: &Client) {
    let url = create(sqs, "batches", &[]).await;
    let good = (0..9).map(|number| entry(&number.to_string(), &format!("m{number}")));
    let entries = good.chain([entry("bad", "\u{b}")]).collect();
    let sent = sqs.send_message_batch().queue_url(&url).set_entries(Some(entries));
    let sent = sent.send().await.unwrap();
    assert_eq!(sent.successful.len(), 9);
    let [failed] = &sent.failed[..] else { panic!("one entry fails: {sent:?}") };
    assert_eq!((failed.id(), failed.code()), ("bad", "InvalidMessageContents"));
    assert!(failed.sender_fault());

    let messages = receive(sqs, &url, 0).await;
    let numbered = || messages.iter().enumerate().map(|(at, one)| (at.to_string(), handle(one)));
    let hidden = numbered().map(|(id, handle)| {
        let entry = Visibility::builder().id(id).receipt_handle(handle).visibility_timeout(60);
        entry.build().unwrap()
    });
    let change = sqs.change_message_visibility_batch().queue_url(&url);
    let changed = change.set_entries(Some(hidden.collect())).send().await.unwrap();
    assert_eq!((changed.successful.len(), changed.failed.len()), (9, 0));
    let done = numbered().chain([("bad".to_owned(), "garbage")]).map(|(id, handle)| {
        DeleteMessageBatchRequestEntry::builder().id(id).receipt_handle(handle).build().unwrap()
    });
    let remove = sqs.delete_message_batch().queue_url(&url);
    let deleted = remove.set_entries(Some(done.collect())).send().await.unwrap();
    assert_eq!(deleted.successful.len(), 9);
    assert_eq!(deleted.failed[0].code(), "ReceiptHandleIsInvalid");
}

async fn wrong_batches(sqs: &Client) {
    let url = create(sqs, "wrong-batches", &[]).await;
    let large = "x".repeat(600_000);
    for (code, entries) in [
        ("EmptyBatchRequest", vec![]),
        ("TooManyEntriesInBatchRequest", (0..11).map(|n| entry(&n.to_string(), "m")).collect()),
        ("BatchEntryIdsNotDistinct", vec![entry("1", "m"), entry("1", "m")]),
        ("InvalidBatchEntryId", vec![entry("a b", "m")]),
        ("BatchRequestTooLong", vec![entry("a", &large), entry("b", &large)]),
    ] {
        let sent = sqs.send_message_batch().queue_url(&url).set_entries(Some(entries)).send().await;
        assert_eq!(failure(sent).code, format!("AWS.SimpleQueueService.{code}"));
    }
}

async fn fifo_order(sqs: &Client) {
    let url = create(sqs, "order.fifo", &[]).await;
    let mut sequence = Vec::new();
    for body in ["a1", "a2", "a3"] {
        sequence.push(send_to_group(sqs, &url, "a", body).await);
    }
    assert!(sequence.is_sorted(), "{sequence:?}");
    send_to_group(sqs, &url, "b", "b1").await;
    let first = sqs.receive_message().queue_url(&url).send().await.unwrap().messages.unwrap();
    assert_eq!(bodies(&first), ["a1"]);
    assert_eq!(bodies(&receive(sqs, &url, 0).await), ["b1"]);
    delete(sqs, &url, &first[0]).await;
    assert_eq!(bodies(&receive(sqs, &url, 0).await), ["a2", "a3"]);
}

async fn fifo_deduplication(sqs: &Client) {
    let url = create(sqs, "once.fifo", &[("ContentBasedDeduplication", "true")]).await;
    let message = || sqs.send_message().queue_url(&url).message_body("m");
    let first = message().message_group_id("g").send().await.unwrap();
    let again = message().message_group_id("g").send().await.unwrap();
    assert_eq!(first.message_id, again.message_id);
    assert_eq!(first.sequence_number, again.sequence_number);
    assert_eq!(bodies(&receive(sqs, &url, 0).await), ["m"]);
    assert_eq!(failure(message().send().await).code, "MissingParameter");
}

async fn dead_letters(sqs: &Client) {
    let dead = create(sqs, "dead", &[]).await;
    let target = arn(sqs, &dead).await;
    let url = create(sqs, "source", &[("RedrivePolicy", &redrive(&target))]).await;
    send(sqs, &url, "poison").await;
    give_back(sqs, &url, &receive_one(sqs, &url).await).await;
    assert_eq!(receive(sqs, &url, 0).await, []);
    let moved = receive_one(sqs, &dead).await;
    assert_eq!(moved.body(), Some("poison"));
    assert_eq!(system(&moved, "DeadLetterQueueSourceArn"), arn(sqs, &url).await);
    let wrong = redrive(&format!("{target}x"));
    let set = sqs.set_queue_attributes().queue_url(&url);
    let refused = set.attributes(QueueAttributeName::RedrivePolicy, wrong).send().await;
    assert_eq!(failure(refused).code, "InvalidParameterValue");
}

async fn move_tasks(sqs: &Client) {
    let dead = create(sqs, "dead-of-tasks", &[]).await;
    let other = create(sqs, "other", &[]).await;
    let source = arn(sqs, &dead).await;
    create(sqs, "source-of-tasks", &[("RedrivePolicy", &redrive(&source))]).await;
    // At one a second, more than can be moved before the task is cancelled.
    for number in 0..30 {
        send(sqs, &dead, &format!("m{number}")).await;
    }
    let start = sqs.start_message_move_task().source_arn(&source);
    let start = start.destination_arn(arn(sqs, &other).await).max_number_of_messages_per_second(1);
    let handle = start.clone().send().await.unwrap().task_handle.unwrap();
    assert_eq!(failure(start.send().await).code, "InvalidParameterValue");
    let listed = sqs.list_message_move_tasks().source_arn(&source).max_results(10).send().await;
    let results = listed.unwrap().results.unwrap();
    let [task] = &results[..] else { panic!("one task: {results:?}") };
    assert_eq!((task.status(), task.task_handle()), (Some("RUNNING"), Some(&*handle)));
    assert_eq!(task.approximate_number_of_messages_to_move(), Some(30));
    assert!(task.started_timestamp() > 1_600_000_000_000);
    assert_eq!(bodies(&receive(sqs, &other, 20).await)[0], "m0");
    let cancelled = sqs.cancel_message_move_task().task_handle(&handle).send().await.unwrap();
    assert!((1..30).contains(&cancelled.approximate_number_of_messages_moved()));
    let missing = sqs.start_message_move_task().source_arn(format!("{source}x")).send().await;
    assert_eq!(failure(missing).code, "ResourceNotFoundException");
}

async fn pages(sqs: &Client) {
    let dead = create(sqs, "dead-of-pages", &[]).await;
    let policy = redrive(&arn(sqs, &dead).await);
    let mut urls = Vec::new();
    for number in 0..5 {
        urls.push(create(sqs, &format!("pages-{number}"), &[("RedrivePolicy", &policy)]).await);
    }
    let mut found = Vec::new();
    let listed = sqs.list_queues().queue_name_prefix("pages-").max_results(2);
    let mut listed = listed.into_paginator().send();
    while let Some(page) = listed.next().await {
        found.push(page.unwrap().queue_urls.unwrap());
    }
    let sources = sqs.list_dead_letter_source_queues().queue_url(&dead).max_results(2);
    let mut sources = sources.into_paginator().send();
    while let Some(page) = sources.next().await {
        found.push(page.unwrap().queue_urls);
    }
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 1, 2, 2, 1]);
    for mut half in [found[..3].concat(), found[3..].concat()] {
        half.sort();
        assert_eq!(half, urls);
    }
}
