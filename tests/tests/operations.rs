//! Pausing queues and resetting the server, with a client that knows nothing of it.

use serde_json::json;
use stanchion_tests::{Server, http::admin_done, sdk};

#[tokio::test]
async fn a_paused_queue_is_paused_after_sigkill_too() {
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "m").await;
    let paused = admin_done(server.address(), "PauseQueue", json!({"QueueUrl": "q"})).await;
    assert_eq!(paused, json!({"Receive": true, "Send": true}));
    server.kill();
    server.start_again();
    let sqs = sdk::client(&server);
    let send = sqs.send_message().queue_url(&url).message_body("refused").send().await;
    let refused = sdk::failure(send);
    assert_eq!((refused.status, &*refused.code), (403, "RequestThrottled"));
    assert!(sdk::receive(&sqs, &url, 1).await.is_empty());
    // A client that waits is served when the queue goes on.
    let (waiting, _) = tokio::join!(
        sdk::receive(&sqs, &url, 20),
        admin_done(server.address(), "ResumeQueue", json!({"QueueUrl": "q"}))
    );
    assert_eq!(sdk::bodies(&waiting), ["m"]);
}

#[tokio::test]
async fn a_reset_server_is_empty_after_sigkill_too() {
    let mut server = Server::start_with(&["--shards", "2"]);
    let sqs = sdk::client(&server);
    for number in 0..20 {
        let url = sdk::create(&sqs, &format!("q{number}"), &[]).await;
        sdk::send(&sqs, &url, "m").await;
    }
    admin_done(server.address(), "Reset", json!({})).await;
    server.kill();
    server.start_again();
    let sqs = sdk::client(&server);
    assert_eq!(sqs.list_queues().send().await.unwrap().queue_urls, None);
    let url = sdk::create(&sqs, "q1", &[]).await;
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
}
