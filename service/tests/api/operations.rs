//! What operators do beside SQS, as they see it.

use serde_json::json;

use crate::server::Server;

#[tokio::test]
async fn a_store_in_memory_has_no_checkpoints() {
    let server = Server::start(&[]).await;
    for (action, input) in [
        ("Checkpoint", json!({})),
        ("ListCheckpoints", json!({})),
        ("DeleteCheckpoint", json!({"Name": "a"})),
    ] {
        let (status, shape, _, text) = server.admin(action, input).await.error();
        assert_eq!((status, &*shape), (400, "com.amazonaws.sqs#UnsupportedOperation"), "{action}");
        assert!(text.contains("in memory"), "{text}");
    }
}

#[tokio::test]
async fn a_checkpoint_has_a_name_that_any_disk_takes() {
    let server = Server::start(&[]).await;
    for name in ["", ".", "../../etc", "a/b", "ä"] {
        for action in ["Checkpoint", "DeleteCheckpoint"] {
            let (status, _, query, text) =
                server.admin(action, json!({"Name": name})).await.error();
            assert_eq!((status, &*query), (400, "InvalidParameterValue;Sender"), "{name}: {text}");
        }
    }
    let (_, _, query, _) = server.admin("DeleteCheckpoint", json!({})).await.error();
    assert_eq!(query, "MissingParameter;Sender");
}
