//! What `--limits` changes: `strict` is AWS to the letter, `standard` waits for nothing, `relaxed`
//! drops what only AWS's fleet needs.

use serde_json::json;

use super::*;

/// Whether each of a few things that AWS forbids is allowed.
async fn allowed(limits: &str) -> Vec<bool> {
    let server = Server::start(&["--limits", limits]).await;
    let url = json!({"QueueUrl": "q"});
    let mut answers = Vec::new();
    server.create("q", json!({})).await;
    for attributes in [
        json!({"MaximumMessageSize": "1"}),
        json!({"MessageRetentionPeriod": "1"}),
        json!({"MaximumMessageSize": "1048577"}),
        json!({"MessageRetentionPeriod": "1209601"}),
        json!({"VisibilityTimeout": "43201"}),
    ] {
        let input = with(&url, json!({"Attributes": attributes}));
        answers.push(server.ask("SetQueueAttributes", input).await.status == 200);
    }
    let own = with(&url, json!({"MessageSystemAttributeNames": ["Stanchion.DeathReason"]}));
    answers.push(server.ask("ReceiveMessage", own).await.status == 200);
    server.ok("PurgeQueue", url.clone()).await;
    answers.push(server.ask("PurgeQueue", url.clone()).await.status == 200);
    server.ok("DeleteQueue", url).await;
    answers.push(server.ask("CreateQueue", json!({"QueueName": "q"})).await.status == 200);
    server.end().await;
    answers
}

#[tokio::test]
async fn each_profile_allows_what_it_says() {
    // Small messages, short retention; large messages, long retention, long timeouts; attributes of
    // ours; a purge after a purge, a creation after a deletion.
    let [no, yes] = [false, true];
    assert_eq!(allowed("strict").await, [no, no, no, no, no, no, no, no]);
    assert_eq!(allowed("standard").await, [no, no, no, no, no, yes, yes, yes]);
    assert_eq!(allowed("relaxed").await, [yes, yes, no, no, no, yes, yes, yes]);
}
