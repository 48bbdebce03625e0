//! ChangeMessageVisibility, and what each receipt handle may still do.

use aws_sdk_sqs::operation::change_message_visibility::builders::ChangeMessageVisibilityFluentBuilder;
use stanchion_tests::{
    Server,
    sdk::{self, client, create, failure},
};

#[tokio::test]
async fn a_message_returns_with_a_higher_count_and_a_new_handle() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[("VisibilityTimeout", "1")]).await;
    sdk::send(&sqs, &url, "m").await;
    let first = sdk::receive_one(&sqs, &url).await;
    let second = sdk::receive_one(&sqs, &url).await;
    assert_eq!(first.message_id(), second.message_id());
    assert_ne!(first.receipt_handle(), second.receipt_handle());
    assert_eq!(sdk::system(&second, "ApproximateReceiveCount"), "2");
    assert_eq!(
        sdk::system(&first, "ApproximateFirstReceiveTimestamp"),
        sdk::system(&second, "ApproximateFirstReceiveTimestamp")
    );
}

#[tokio::test]
async fn zero_makes_a_message_available_at_once_and_wakes_a_poll() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "m").await;
    let message = sdk::receive_one(&sqs, &url).await;
    let waiting = tokio::spawn({
        let (sqs, url) = (sqs.clone(), url.clone());
        async move { sdk::receive_one(&sqs, &url).await }
    });
    sdk::give_back(&sqs, &url, &message).await;
    assert_eq!(waiting.await.unwrap().message_id(), message.message_id());
}

#[tokio::test]
async fn a_receive_with_zero_visibility_leaves_the_message_available() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "m").await;
    for count in ["1", "2", "3"] {
        let receive = sqs.receive_message().queue_url(&url).visibility_timeout(0);
        let received = receive.message_system_attribute_names("All".into()).send().await.unwrap();
        assert_eq!(sdk::system(&received.messages()[0], "ApproximateReceiveCount"), count);
    }
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 0, 0]);
}

#[tokio::test]
async fn twelve_hours_count_from_the_receive() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "m").await;
    let message = sdk::receive_one(&sqs, &url).await;
    let change = |seconds| {
        let change = sqs.change_message_visibility().queue_url(&url);
        change.receipt_handle(sdk::handle(&message)).visibility_timeout(seconds)
    };
    change(43_000).send().await.unwrap();
    let refused = failure(change(43_201).send().await);
    assert_eq!(refused.code, "InvalidParameterValue");
    assert_eq!(failure(change(-1).send().await).code, "InvalidParameterValue");
    // Whatever time passed since the receive is over the limit; none passing at all is not.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let beyond = failure(change(43_200).send().await);
    assert_eq!(beyond.code, "InvalidParameterValue");
    assert!(beyond.message.ends_with("is beyond the limit [43200 seconds]"), "{}", beyond.message);
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 1, 0], "nothing was clipped");
}

#[tokio::test]
async fn handles_are_checked() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let other = create(&sqs, "other", &[]).await;
    sdk::send(&sqs, &url, "m").await;
    let message = sdk::receive_one(&sqs, &url).await;
    let handle = sdk::handle(&message);
    let delete =
        |url: &str, handle: &str| sqs.delete_message().queue_url(url).receipt_handle(handle).send();
    let change = |url: &str, handle: &str| -> ChangeMessageVisibilityFluentBuilder {
        let change = sqs.change_message_visibility().queue_url(url);
        change.receipt_handle(handle).visibility_timeout(10)
    };

    let mut forged = handle.to_owned();
    let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
    forged.insert(forged.len() / 2, last);
    for garbage in ["garbage", &*forged, &"A".repeat(2000)] {
        let refused = failure(delete(&url, garbage).await);
        assert_eq!((refused.status, &*refused.code), (404, "ReceiptHandleIsInvalid"));
        let text = format!("The input receipt handle \"{garbage}\" is not a valid receipt handle.");
        assert_eq!(refused.message, text);
        let refused = failure(change(&url, garbage).send().await);
        assert_eq!((refused.status, &*refused.code), (404, "ReceiptHandleIsInvalid"));
    }
    let refused = failure(delete(&other, handle).await);
    assert_eq!((refused.status, &*refused.code), (404, "ReceiptHandleIsInvalid"));

    sdk::delete(&sqs, &url, &message).await;
    let gone = failure(change(&url, handle).send().await);
    assert_eq!(gone.code, "InvalidParameterValue");
    assert!(
        gone.message
            .ends_with("Message does not exist or is not available for visibility timeout change."),
        "{}",
        gone.message
    );
}

#[tokio::test]
async fn an_older_handle_still_deletes_on_a_standard_queue() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "m").await;
    let first = sdk::receive_one(&sqs, &url).await;
    sdk::give_back(&sqs, &url, &first).await;
    sdk::receive_one(&sqs, &url).await;
    sdk::delete(&sqs, &url, &first).await;
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
}
