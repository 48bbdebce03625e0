//! Checkpoints of a server under load, restored and audited; and what `verify` and `repair` say of a
//! folder.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    http::{self, admin_done},
    ledger::Ledger,
    process::PATIENCE,
    program::{said, stanchiond},
    sdk,
};
use tempfile::TempDir;

use crate::load::{self, drain};

#[track_caller]
fn is_whole(data: &Path) {
    let looked = stanchiond(data, &["verify"]);
    assert!(looked.status.success(), "{}", said(&looked));
    assert!(said(&looked).contains("nothing is damaged"), "{}", said(&looked));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_made_under_load_holds_everything_acknowledged_before() {
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let attributes = [("VisibilityTimeout", load::VISIBILITY_TIMEOUT_S)];
    let standard = sdk::create(&sqs, "standard", &attributes).await;
    let fifo = sdk::create(&sqs, "ordered.fifo", &attributes).await;
    let ledger = Arc::new(Ledger::default());
    let clients = load::start(&server, &ledger, &standard, &fifo);

    // Three in a row, so that there is work between them; the last is the one to be restored.
    let mut made = Value::Null;
    let mut before = Ledger::default();
    for checkpoint in 1..=3 {
        progress(&ledger, 400).await;
        before = ledger.copy();
        made =
            admin_done(server.address(), "Checkpoint", json!({"Name": format!("c{checkpoint}")}))
                .await;
    }
    let after = ledger.copy();
    progress(&ledger, 400).await;
    server.kill();
    clients.join_all().await;

    let checkpoint = PathBuf::from(made["Folder"].as_str().unwrap());
    assert!(checkpoint.starts_with(server.folder().path()), "{made}");
    assert!(made["Bytes"].as_u64().unwrap() > 0, "{made}");
    is_whole(server.folder().path());
    is_whole(&checkpoint);
    let restored = Arc::new(TempDir::new().unwrap());
    let from = checkpoint.to_str().unwrap();
    let done = stanchiond(restored.path(), &["restore", "--from", from]);
    assert!(done.status.success(), "{}", said(&done));
    is_whole(restored.path());
    // The server that it was made of is not needed.
    drop(server);

    let server = Server::try_start(restored, &[]).expect("the restored folder opens");
    let sqs = sdk::client(&server);
    let restored = before.restored(&after);
    for (name, ordered) in [("standard", false), ("ordered.fifo", true)] {
        let url = sqs.get_queue_url().queue_name(name).send().await.unwrap().queue_url.unwrap();
        let counted: u64 = sdk::counters(&sqs, &url).await.iter().sum();
        let drained = drain(&sqs, &url, &restored, ordered).await;
        assert_eq!(counted, drained as u64, "the counters of {name} say what is there");
        assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
    }
    assert_eq!(restored.owed(), [], "acknowledged before the checkpoint, never deleted, and gone");
    assert_eq!(restored.violations(), [""; 0]);
}

/// Waits for so many more answers.
async fn progress(ledger: &Ledger, answers: u64) {
    let target = ledger.acknowledged() + answers;
    let deadline = Instant::now() + PATIENCE;
    while ledger.acknowledged() < target {
        assert!(Instant::now() < deadline, "no progress");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_restored_server_goes_on_as_one_of_its_own() {
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[("VisibilityTimeout", "43200")]).await;
    sdk::send(&sqs, &url, "before").await;
    let before = sdk::receive_one(&sqs, &url).await;
    let made = admin_done(server.address(), "Checkpoint", json!({})).await;
    // The server that is lost was started once more, and numbered messages there.
    server.kill();
    server.start_again();
    let sqs = sdk::client(&server);
    sdk::send(&sqs, &url, "lost").await;
    let lost = sdk::receive_one(&sqs, &url).await;

    let folder = Arc::new(TempDir::new().unwrap());
    let from = made["Folder"].as_str().unwrap();
    assert!(stanchiond(folder.path(), &["restore", "--from", from]).status.success());
    let restored = Server::try_start(folder, &[]).unwrap();
    let sqs = sdk::client(&restored);
    sdk::send(&sqs, &url, "new").await;
    // A handle of the lost server deletes nothing here but the message that it was given for.
    sdk::delete(&sqs, &url, &lost).await;
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 1, 0]);
    sdk::delete(&sqs, &url, &before).await;
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 0, 0]);
    assert_eq!(sdk::body(&sdk::receive_one(&sqs, &url).await), "new");
}

#[tokio::test]
async fn checkpoints_are_listed_and_deleted() {
    let server = Server::start();
    let first = admin_done(server.address(), "Checkpoint", json!({"Name": "first"})).await;
    let taken = http::admin(server.address(), "Checkpoint", json!({"Name": "first"})).await;
    assert_eq!((taken.status, &*taken.error_type()), (400, "InvalidParameterValueException"));
    assert!(taken.message().contains("There is a checkpoint of this name."), "{taken:?}");
    let second = admin_done(server.address(), "Checkpoint", json!({"Name": "second"})).await;
    let listed = admin_done(server.address(), "ListCheckpoints", json!({})).await;
    assert_eq!(listed, json!({"Checkpoints": [first, second]}));
    admin_done(server.address(), "DeleteCheckpoint", json!({"Name": "first"})).await;
    assert!(!Path::new(first["Folder"].as_str().unwrap()).exists());
    let listed = admin_done(server.address(), "ListCheckpoints", json!({})).await;
    assert_eq!(listed, json!({"Checkpoints": [second]}));
}

#[test]
fn a_running_server_and_a_checkpoint_are_left_alone() {
    let server = Server::start();
    let data = server.folder().path();
    for task in [&["verify"][..], &["repair"]] {
        let refused = stanchiond(data, task);
        assert_eq!(refused.status.code(), Some(1));
        assert!(said(&refused).contains("another stanchiond is using"), "{}", said(&refused));
    }
    let refused = stanchiond(data, &["restore", "--from", "/nonexistent"]);
    assert!(said(&refused).contains("/nonexistent is not a checkpoint"), "{}", said(&refused));
}

#[tokio::test]
async fn a_damaged_log_is_found_by_verify_and_opened_by_repair() {
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    for number in 0..20 {
        sdk::send(&sqs, &url, &format!("message {number:02}")).await;
    }
    server.kill();
    let data = server.folder().path();
    is_whole(data);
    let log = newest_log(&data.join("db"));
    let mut bytes = fs::read(&log).unwrap();
    let tenth = bytes.windows(10).position(|window| window == b"message 10").unwrap();
    bytes[tenth] ^= 1;
    fs::write(&log, bytes).unwrap();

    let looked = stanchiond(data, &["verify"]);
    assert_eq!(looked.status.code(), Some(1));
    assert!(said(&looked).contains("is damaged: log"), "{}", said(&looked));
    let refused = Server::try_start(server.folder().clone(), &[]).expect_err("messages are gone");
    assert!(refused.output.contains("stanchiond repair --accept-loss"), "{}", refused.output);
    let refused = stanchiond(data, &["repair"]);
    assert_eq!(refused.status.code(), Some(1));
    let repaired = stanchiond(data, &["repair", "--accept-loss"]);
    assert!(repaired.status.success(), "{}", said(&repaired));
    assert!(said(&repaired).contains("synced turns are gone"), "{}", said(&repaired));
    assert!(said(&stanchiond(data, &["repair"])).contains("nothing to repair"));
    is_whole(data);
    server.start_again();
    let sqs = sdk::client(&server);
    assert_eq!(sdk::counters(&sqs, &url).await, [10, 0, 0], "all before the damage");
}

fn newest_log(db: &Path) -> PathBuf {
    let files = fs::read_dir(db).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|e| e == "log")).max().unwrap()
}
