//! The three batches: order, partial failures, and what fails as a whole.

use aws_sdk_sqs::{
    Client,
    types::{
        ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
        SendMessageBatchRequestEntry,
    },
};
use stanchion_tests::{
    Server,
    sdk::{self, client, create, failure},
};

fn entry(id: &str, body: &str) -> SendMessageBatchRequestEntry {
    let builder = SendMessageBatchRequestEntry::builder();
    builder.id(id).message_body(body).build().expect("id and body are given")
}

fn deletion(id: &str, handle: &str) -> DeleteMessageBatchRequestEntry {
    let builder = DeleteMessageBatchRequestEntry::builder();
    builder.id(id).receipt_handle(handle).build().expect("id and handle are given")
}

async fn queue(server: &Server) -> (Client, String) {
    let sqs = client(server);
    let url = create(&sqs, "q", &[]).await;
    (sqs, url)
}

#[tokio::test]
async fn ten_messages_go_through_all_three_batches() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let ids: Vec<String> = (0..10).map(|number| format!("id-{number}")).collect();
    let entries = ids.iter().map(|id| entry(id, id)).collect();
    let sent = sqs.send_message_batch().queue_url(&url).set_entries(Some(entries));
    let sent = sent.send().await.unwrap();
    assert_eq!(sent.successful().iter().map(|one| one.id()).collect::<Vec<_>>(), ids);
    assert!(sent.failed().is_empty());

    let messages = sdk::receive(&sqs, &url, 0).await;
    assert_eq!(messages.len(), 10);
    for message in &messages {
        let one = sent.successful().iter().find(|one| Some(one.id()) == message.body()).unwrap();
        assert_eq!(Some(one.message_id()), message.message_id());
        assert_eq!(Some(one.md5_of_message_body()), message.md5_of_body());
    }

    let mut change = sqs.change_message_visibility_batch().queue_url(&url);
    for message in &messages {
        let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(sdk::body(message));
        let entry = entry.receipt_handle(sdk::handle(message)).visibility_timeout(0);
        change = change.entries(entry.build().unwrap());
    }
    let changed = change.send().await.unwrap();
    assert_eq!((changed.successful().len(), changed.failed().len()), (10, 0));

    let messages = sdk::receive(&sqs, &url, 0).await;
    let mut delete = sqs.delete_message_batch().queue_url(&url);
    for message in &messages {
        delete = delete.entries(deletion(sdk::body(message), sdk::handle(message)));
    }
    let deleted = delete.send().await.unwrap();
    assert_eq!((deleted.successful().len(), deleted.failed().len()), (10, 0));
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
}

#[tokio::test]
async fn a_wrong_entry_fails_alone() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[("MaximumMessageSize", "1024")]).await;
    let sent = sqs
        .send_message_batch()
        .queue_url(&url)
        .entries(entry("good", "m"))
        .entries(entry("empty", ""))
        .entries(entry("forbidden", "\u{1}"))
        .entries(entry("large", &"x".repeat(1025)))
        .entries(entry("also-good", "n"))
        .send()
        .await
        .unwrap();
    let good: Vec<_> = sent.successful().iter().map(|one| one.id()).collect();
    assert_eq!(good, ["good", "also-good"]);
    let failed: Vec<_> = sent.failed().iter().map(|one| (one.id(), one.code())).collect();
    assert_eq!(
        failed,
        [
            ("empty", "MissingParameter"),
            ("forbidden", "InvalidMessageContents"),
            ("large", "InvalidParameterValue"),
        ]
    );
    assert!(sent.failed().iter().all(|one| one.sender_fault() && one.message().is_some()));

    let messages = sdk::receive(&sqs, &url, 0).await;
    let deleted = sqs.delete_message_batch().queue_url(&url);
    let deleted = deleted.entries(deletion("a", sdk::handle(&messages[0])));
    let deleted = deleted.entries(deletion("b", "garbage")).send().await.unwrap();
    assert_eq!(deleted.successful()[0].id(), "a");
    assert_eq!(deleted.failed()[0].id(), "b");
    assert_eq!(deleted.failed()[0].code(), "ReceiptHandleIsInvalid");

    let change = ChangeMessageVisibilityBatchRequestEntry::builder().id("none");
    let change = change.receipt_handle(sdk::handle(&messages[1])).build().unwrap();
    let changed = sqs.change_message_visibility_batch().queue_url(&url).entries(change);
    let changed = changed.send().await.unwrap();
    assert_eq!(changed.failed()[0].code(), "MissingParameter");
    assert_eq!(
        changed.failed()[0].message(),
        Some(
            "The request must contain the parameter \
             ChangeMessageVisibilityBatchRequestEntry.1.VisibilityTimeout."
        )
    );
}

#[tokio::test]
async fn a_wrong_batch_fails_as_a_whole() {
    let server = Server::start();
    let (sqs, url) = queue(&server).await;
    let eleven: Vec<_> = (0..11).map(|number| entry(&number.to_string(), "m")).collect();
    let two_thirds = "x".repeat(700_000);
    for (entries, code, text) in [
        (
            vec![],
            "EmptyBatchRequest",
            "There should be at least one SendMessageBatchRequestEntry in the request.",
        ),
        (
            eleven,
            "TooManyEntriesInBatchRequest",
            "Maximum number of entries per request are 10. You have sent 11.",
        ),
        (
            vec![entry("a", "m"), entry("b c", "m")],
            "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
             It can be at most 80 letters long.",
        ),
        (
            vec![entry("a", "m"), entry(&"b".repeat(81), "m")],
            "InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
             It can be at most 80 letters long.",
        ),
        (
            vec![entry("a", "m"), entry("b", "m"), entry("a", "m")],
            "BatchEntryIdsNotDistinct",
            "Id a repeated.",
        ),
        (
            vec![entry("a", &two_thirds), entry("b", &two_thirds)],
            "BatchRequestTooLong",
            "Batch requests cannot be longer than 1048576 bytes. You have sent 1400000 bytes.",
        ),
    ] {
        let batch = sqs.send_message_batch().queue_url(&url).set_entries(Some(entries));
        let refused = failure(batch.send().await);
        assert_eq!(refused.status, 400);
        assert_eq!(refused.code, format!("AWS.SimpleQueueService.{code}"));
        assert_eq!(refused.message, text);
    }
    let none = sqs.delete_message_batch().queue_url(&url).set_entries(Some(vec![]));
    let refused = failure(none.send().await);
    assert_eq!(refused.code, "AWS.SimpleQueueService.EmptyBatchRequest");
    assert!(refused.message.contains("DeleteMessageBatchRequestEntry"), "{}", refused.message);
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
}
