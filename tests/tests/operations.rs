//! Pausing queues, resetting the server, queues that nobody uses any more, with a client that knows nothing of it.

use serde_json::json;
use stanchion_tests::{
    Server,
    http::{self, admin_done},
    sdk,
};

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

#[tokio::test]
async fn a_queue_that_nobody_uses_is_gone_after_sigkill_too() {
    let mut server = Server::start_with(&["--virtual-clock"]);
    let advance = async |server: &Server, seconds: u32| {
        admin_done(server.address(), "AdvanceClock", json!({"Seconds": seconds})).await;
    };
    let sqs = sdk::client(&server);
    let expires = [("Stanchion.ExpireAfterIdle", "3600")];
    let url = sdk::create(&sqs, "replies", &expires).await;
    assert_eq!(sdk::attribute(&sqs, &url, expires[0].0).await, "3600");
    for wrong in ["59", "1209601", "soon"] {
        let attributes = sdk::attributes(&[(expires[0].0, wrong)]);
        let set = sqs.set_queue_attributes().queue_url(&url).set_attributes(Some(attributes));
        assert_eq!(sdk::failure(set.send().await).code, "InvalidAttributeValue", "{wrong}");
    }
    sdk::send(&sqs, &url, "never read").await;
    advance(&server, 1800).await;
    sdk::send(&sqs, &url, "nor this").await;
    advance(&server, 3000).await;
    assert_eq!(sdk::counters(&sqs, &url).await, [2, 0, 0]);
    let waiting = sdk::create(&sqs, "waiting", &expires).await;
    let (polled, ()) = tokio::join!(sdk::receive(&sqs, &waiting, 20), async {
        // It has arrived when it is counted.
        while !parked(&server).await {
            tokio::task::yield_now().await;
        }
        advance(&server, 3600).await;
        let gone = sqs.send_message().queue_url(&url).message_body("too late").send().await;
        assert_eq!(sdk::failure(gone).code, "AWS.SimpleQueueService.NonExistentQueue");
        sdk::send(&sqs, &waiting, "at last").await;
    });
    assert_eq!(sdk::bodies(&polled), ["at last"]);
    let metrics = http::get(server.address(), "/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("stanchion_queues_idle_deleted_total{shard=\"0\"} 1\n"), "{metrics}");
    assert!(server.says("deleted a queue that nobody used"));
    server.kill();
    server.start_again();
    let sqs = sdk::client(&server);
    let left = sqs.list_queues().send().await.unwrap().queue_urls.unwrap_or_default();
    assert_eq!(left.len(), 1, "{left:?}");
}

async fn parked(server: &Server) -> bool {
    let metrics = http::get(server.address(), "/metrics").await;
    String::from_utf8_lossy(&metrics.body).contains("stanchion_parked_polls{shard=\"0\"} 1\n")
}
