//! FIFO queues: order, groups, deduplication, receive attempts.

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use stanchion_tests::{
    Server,
    sdk::{self, client, create, failure, send_to_group},
};

#[tokio::test]
async fn a_group_is_delivered_in_order_with_rising_sequence_numbers() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    let mut numbers = Vec::new();
    for body in ["1", "2", "3"] {
        numbers.push(send_to_group(&sqs, &url, "g", body).await);
    }
    assert!(numbers.iter().all(|number| number.len() == 20), "{numbers:?}");
    assert!(numbers.is_sorted() && numbers[0] != numbers[2], "{numbers:?}");

    let messages = sdk::receive(&sqs, &url, 0).await;
    assert_eq!(sdk::bodies(&messages), ["1", "2", "3"]);
    for (message, number) in messages.iter().zip(&numbers) {
        assert_eq!(sdk::system(message, "SequenceNumber"), number);
        assert_eq!(sdk::system(message, "MessageGroupId"), "g");
        assert_eq!(sdk::system(message, "MessageDeduplicationId"), sdk::body(message));
    }
}

#[tokio::test]
async fn a_message_in_flight_holds_its_group_and_no_other() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    for (group, body) in [("a", "a1"), ("a", "a2"), ("b", "b1")] {
        send_to_group(&sqs, &url, group, body).await;
    }
    let one = || sqs.receive_message().queue_url(&url).send();
    let first = one().await.unwrap().messages.unwrap();
    let second = one().await.unwrap().messages.unwrap();
    assert_eq!((sdk::bodies(&first), sdk::bodies(&second)), (vec!["a1"], vec!["b1"]));
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 0);

    sdk::delete(&sqs, &url, &first[0]).await;
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 0).await), ["a2"]);
}

#[tokio::test]
async fn deleting_one_of_three_in_flight_does_not_release_the_next() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    for body in ["1", "2", "3", "4"] {
        send_to_group(&sqs, &url, "g", body).await;
    }
    let receive = sqs.receive_message().queue_url(&url).max_number_of_messages(3);
    let three = receive.send().await.unwrap().messages.unwrap();
    assert_eq!(sdk::bodies(&three), ["1", "2", "3"]);
    sdk::delete(&sqs, &url, &three[0]).await;
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 0);

    // One that is available again is given out, although a later one is still in flight.
    sdk::give_back(&sqs, &url, &three[1]).await;
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 0).await), ["2"]);
}

#[tokio::test]
async fn a_duplicate_is_answered_with_the_first_message() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    let send = |body: &str| {
        let send = sqs.send_message().queue_url(&url).message_body(body);
        send.message_group_id("g").message_deduplication_id("d").send()
    };
    let first = send("one").await.unwrap();
    let second = send("two").await.unwrap();
    assert_eq!(first.message_id(), second.message_id());
    assert_eq!(first.sequence_number(), second.sequence_number());
    assert_ne!(first.md5_of_message_body(), second.md5_of_message_body());

    let message = sdk::receive_one(&sqs, &url).await;
    assert_eq!(sdk::body(&message), "one");
    sdk::delete(&sqs, &url, &message).await;
    send("three").await.unwrap();
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 0, "tracking goes on after the delete");

    sqs.purge_queue().queue_url(&url).send().await.unwrap();
    send("four").await.unwrap();
    assert_eq!(sdk::body(&sdk::receive_one(&sqs, &url).await), "four", "a purge ends it");
}

#[tokio::test]
async fn duplicates_are_known_after_a_crash() {
    let mut server = Server::start();
    let url = create(&client(&server), "q.fifo", &[]).await;
    let first = send_to_group(&client(&server), &url, "g", "m").await;
    server.kill();
    server.start_again();
    let sqs = client(&server);
    assert_eq!(send_to_group(&sqs, &url, "g", "m").await, first);
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 0, 0]);
}

#[tokio::test]
async fn bodies_deduplicate_when_the_queue_says_so() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[("ContentBasedDeduplication", "true")]).await;
    let send =
        |body: &str| sqs.send_message().queue_url(&url).message_group_id("g").message_body(body);
    let first = send("hello").send().await.unwrap();
    assert_eq!(send("hello").send().await.unwrap().message_id(), first.message_id());
    // An explicit id that equals a body's digest is a duplicate of that body.
    let digest = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let explicit = send("other").message_deduplication_id(digest).send().await.unwrap();
    assert_eq!(explicit.message_id(), first.message_id());
    send("other").send().await.unwrap();
    let messages = sdk::receive(&sqs, &url, 0).await;
    assert_eq!(sdk::bodies(&messages), ["hello", "other"]);
    assert_eq!(sdk::system(&messages[0], "MessageDeduplicationId"), digest);
}

#[tokio::test]
async fn the_scope_of_deduplication_can_be_the_group() {
    let server = Server::start();
    let sqs = client(&server);
    let high =
        [("DeduplicationScope", "messageGroup"), ("FifoThroughputLimit", "perMessageGroupId")];
    let url = create(&sqs, "q.fifo", &high).await;
    send_to_group(&sqs, &url, "a", "m").await;
    send_to_group(&sqs, &url, "b", "m").await;
    send_to_group(&sqs, &url, "b", "m").await;
    assert_eq!(sdk::counters(&sqs, &url).await, [2, 0, 0]);
}

#[tokio::test]
async fn wrong_sends_are_refused() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    let send = || sqs.send_message().queue_url(&url).message_body("m");

    let refused = failure(send().message_deduplication_id("d").send().await);
    assert_eq!(refused.code, "MissingParameter");
    assert_eq!(refused.message, "The request must contain the parameter MessageGroupId.");

    let refused = failure(send().message_group_id("g").send().await);
    assert_eq!(refused.code, "InvalidParameterValue");
    assert_eq!(
        refused.message,
        "The queue should either have ContentBasedDeduplication enabled or \
         MessageDeduplicationId provided explicitly"
    );
    let complete = || send().message_group_id("g").message_deduplication_id("d");
    assert_eq!(failure(complete().delay_seconds(1).send().await).code, "InvalidParameterValue");
    complete().delay_seconds(0).send().await.expect("a delay of zero is accepted");
    for id in ["a b", "ä", &"x".repeat(129)] {
        let refused = failure(complete().message_group_id(id).send().await);
        assert_eq!(refused.code, "InvalidParameterValue", "{id}");
        let refused = failure(complete().message_deduplication_id(id).send().await);
        assert_eq!(refused.code, "InvalidParameterValue", "{id}");
    }
}

#[tokio::test]
async fn a_batch_is_queued_in_its_order_or_refused_as_a_whole() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[("ContentBasedDeduplication", "true")]).await;
    let entry = |id: &str| SendMessageBatchRequestEntry::builder().id(id).message_body(id);
    let grouped = |id: &str| entry(id).message_group_id("g").build().unwrap();
    let lacking = vec![grouped("x"), entry("y").build().unwrap()];
    let batch = sqs.send_message_batch().queue_url(&url).set_entries(Some(lacking));
    let refused = failure(batch.send().await);
    assert_eq!((refused.status, &*refused.code), (400, "InvalidParameterValue"));

    let ids: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let entries = ids.iter().map(|id| grouped(id)).collect();
    let batch = sqs.send_message_batch().queue_url(&url).set_entries(Some(entries));
    let sent = batch.send().await.unwrap();
    assert!(sent.successful().iter().map(|one| one.sequence_number().unwrap()).is_sorted());
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 0).await), ids);
}

#[tokio::test]
async fn an_expired_handle_does_not_delete() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    send_to_group(&sqs, &url, "g", "m").await;
    let message = sdk::receive_one(&sqs, &url).await;
    sdk::give_back(&sqs, &url, &message).await;
    let delete = sqs.delete_message().queue_url(&url).receipt_handle(sdk::handle(&message));
    let refused = failure(delete.send().await);
    assert_eq!(refused.code, "InvalidParameterValue");
    assert!(refused.message.ends_with("Reason: The receipt handle has expired."));
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 0, 0]);
}

#[tokio::test]
async fn a_receive_attempt_repeated_gives_the_same_messages_and_handles() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    for body in ["1", "2"] {
        send_to_group(&sqs, &url, "g", body).await;
    }
    let attempt = |id: &str| {
        let receive = sqs.receive_message().queue_url(&url).max_number_of_messages(10);
        receive.receive_request_attempt_id(id).send()
    };
    let handles = |output: aws_sdk_sqs::operation::receive_message::ReceiveMessageOutput| {
        output.messages().iter().map(|one| sdk::handle(one).to_owned()).collect::<Vec<_>>()
    };
    let first = handles(attempt("a").await.unwrap());
    assert_eq!(first.len(), 2);
    assert_eq!(handles(attempt("a").await.unwrap()), first);
    assert_eq!(handles(attempt("b").await.unwrap()).len(), 0, "the group is held");
}

#[tokio::test]
async fn a_changed_delay_also_counts_for_messages_that_wait() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[("DelaySeconds", "900")]).await;
    send_to_group(&sqs, &url, "g", "m").await;
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 1]);
    let sooner = sqs.set_queue_attributes().queue_url(&url);
    sooner.attributes(QueueAttributeName::DelaySeconds, "0").send().await.unwrap();
    assert_eq!(sdk::body(&sdk::receive_one(&sqs, &url).await), "m");
}

#[tokio::test]
async fn a_large_blocked_group_hides_nobody() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q.fifo", &[]).await;
    for batch in 0..30 {
        let entries = (0..10).map(|number| {
            let body = format!("{batch}-{number}");
            let entry = SendMessageBatchRequestEntry::builder().id(&body).message_body(&body);
            entry.message_group_id("large").message_deduplication_id(body).build().unwrap()
        });
        let send = sqs.send_message_batch().queue_url(&url);
        send.set_entries(Some(entries.collect())).send().await.unwrap();
    }
    send_to_group(&sqs, &url, "small", "m").await;
    let one = sqs.receive_message().queue_url(&url).send().await.unwrap().messages.unwrap();
    assert_eq!(sdk::bodies(&one), ["0-0"]);
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &url, 0).await), ["m"]);
}
