//! Nothing readable on the disk, and the keys that make it readable again.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::primitives::Blob;
use aws_sdk_sqs::types::MessageAttributeValue;
use serde_json::json;
use stanchion_tests::http::admin_done;
use stanchion_tests::process::Refused;
use stanchion_tests::program::{files_with, said, stanchiond};
use stanchion_tests::{Server, sdk};
use tempfile::TempDir;

/// What must not be found on the disk.
const MARKER: &str = "xylophone-quartz-7731";

const K1: (&str, &str) = ("k1", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=");
const K2: (&str, &str) = ("k2", "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=");

/// A file of master keys, which may change between two starts.
struct Keys {
    folder: TempDir,
}

impl Keys {
    /// These keys, the first of them current.
    fn new(keys: &[(&str, &str)]) -> Keys {
        let made = Keys { folder: TempDir::new().unwrap() };
        made.set(keys);
        made
    }

    fn set(&self, keys: &[(&str, &str)]) {
        let mut text = format!("current = '{}'\n", keys[0].0);
        for (id, secret) in keys {
            text += &format!("[[keys]]\nid = '{id}'\nsecret = '{secret}'\n");
            text += &format!("aliases = ['alias/{id}']\n");
        }
        fs::write(self.path(), text).unwrap();
        fs::set_permissions(self.path(), Permissions::from_mode(0o600)).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("keys.toml")
    }

    fn flag(&self) -> String {
        format!("--master-keys-file={}", self.path().display())
    }
}

/// Sends the marker in everything of a message that a user writes.
async fn send_marked(sqs: &Client, url: &str, group: Option<&str>, delay_s: Option<i32>) {
    let attribute = |data_type| MessageAttributeValue::builder().data_type(data_type);
    let text = attribute("String").string_value(format!("{MARKER} as text")).build().unwrap();
    let binary = Blob::new(format!("{MARKER} as bytes"));
    let binary = attribute("Binary").binary_value(binary).build().unwrap();
    let sent = sqs
        .send_message()
        .queue_url(url)
        .message_body(format!("{MARKER} as a body"))
        .message_attributes("text", text)
        .message_attributes("binary", binary)
        .set_message_group_id(group.map(Into::into))
        .set_message_deduplication_id(url.ends_with(".fifo").then(|| MARKER.into()))
        .set_delay_seconds(delay_s)
        .send();
    sent.await.expect("it is sent");
}

/// A queue of each kind, with a dead-letter queue, and messages in every state.
async fn fill(server: &Server, attributes: &[(&str, &str)]) -> [String; 3] {
    let sqs = sdk::client(server);
    let dead = sdk::create(&sqs, "dead", attributes).await;
    let target = sdk::arn(&sqs, &dead).await;
    let redrive = json!({"deadLetterTargetArn": target, "maxReceiveCount": 1}).to_string();
    let with_redrive = [attributes, &[("RedrivePolicy", &redrive)]].concat();
    let source = sdk::create(&sqs, "source", &with_redrive).await;
    let line = sdk::create(&sqs, "line.fifo", attributes).await;
    send_marked(&sqs, &source, None, None).await;
    let message = sdk::receive_one(&sqs, &source).await;
    sdk::give_back(&sqs, &source, &message).await;
    assert!(sdk::receive(&sqs, &source, 0).await.is_empty(), "it dies");
    send_marked(&sqs, &source, Some(MARKER), None).await;
    send_marked(&sqs, &source, None, Some(900)).await;
    send_marked(&sqs, &line, Some("group"), None).await;
    [source, dead, line]
}

fn refused(folder: &Arc<TempDir>, args: &[&str]) -> String {
    let Refused { status, output } = Server::try_start(Arc::clone(folder), args).unwrap_err();
    assert_eq!(status.code(), Some(1), "{output}");
    output
}

#[tokio::test]
async fn nothing_readable_is_left_in_the_data_folder() {
    let keys = Keys::new(&[K1]);
    let flag = keys.flag();
    let off: &[(&str, &str)] = &[("SqsManagedSseEnabled", "false")];
    // The same without keys, and with encryption off, shows that it would be found.
    for (args, attributes, readable) in [
        (&[&*flag, "--shards=2"][..], &[][..], false),
        (&[&*flag], off, true),
        (&["--shards=2"], &[], true),
    ] {
        let mut server = Server::start_with(args);
        let urls = fill(&server, attributes).await;
        admin_done(server.address(), "Checkpoint", json!({"Name": "c"})).await;
        server.kill();
        let found = |server: &Server| files_with(server.folder().path(), MARKER.as_bytes());
        assert_eq!(!found(&server).is_empty(), readable, "{:?}", found(&server));

        // What the log held is in tables then.
        server.start_again();
        let sqs = sdk::client(&server);
        for url in &urls {
            let message = sdk::receive_one(&sqs, url).await;
            assert_eq!(sdk::body(&message), format!("{MARKER} as a body"));
        }
        let filter = json!({"QueueUrl": "dead", "Filter": {"BodyContains": MARKER}});
        let peeked = admin_done(server.address(), "PeekMessages", filter).await;
        assert_eq!(peeked["Messages"].as_array().map(Vec::len), Some(1), "{peeked}");
        assert!(server.terminate().success());
        assert_eq!(!found(&server).is_empty(), readable, "{:?}", found(&server));
    }
}

#[tokio::test]
async fn a_start_without_the_right_master_key_names_it_and_changes_nothing() {
    let keys = Keys::new(&[K1]);
    let flag = keys.flag();
    let mut server = Server::start_with(&[&flag]);
    let [source, ..] = fill(&server, &[]).await;
    let made = admin_done(server.address(), "Checkpoint", json!({"Name": "c"})).await;
    server.kill();
    let folder = Arc::clone(server.folder());

    let missing = "the master key k1, which is not configured";
    assert!(refused(&folder, &[]).contains(missing));
    keys.set(&[K2]);
    assert!(refused(&folder, &[&flag]).contains(missing));
    keys.set(&[("k1", K2.1)]);
    assert!(refused(&folder, &[&flag]).contains("the master key k1 does not open it"));
    fs::set_permissions(keys.path(), Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&folder, &[&flag]).contains("chmod 600"));
    let looked = stanchiond(folder.path(), &["verify"]);
    assert!(!looked.status.success() && said(&looked).contains(missing), "{}", said(&looked));

    keys.set(&[K2, K1]);
    let looked = stanchiond(folder.path(), &["verify", &flag]);
    assert!(looked.status.success(), "{}", said(&looked));
    let restored = Arc::new(TempDir::new().unwrap());
    let from = made["Folder"].as_str().unwrap();
    let done = stanchiond(restored.path(), &["restore", "--from", from]);
    assert!(done.status.success(), "{}", said(&done));
    assert!(refused(&restored, &[]).contains(missing));
    for folder in [folder, restored] {
        let server = Server::try_start(folder, &[&flag]).expect("it has its keys");
        let sqs = sdk::client(&server);
        assert!(sdk::body(&sdk::receive_one(&sqs, &source).await).contains(MARKER));
    }
}

#[tokio::test]
async fn a_rotation_makes_an_old_master_key_dispensable() {
    let keys = Keys::new(&[K1]);
    let flag = keys.flag();
    let mut server = Server::start_with(&[&flag, "--shards=3"]);
    let urls = fill(&server, &[]).await;
    let sqs = sdk::client(&server);
    let named = sdk::create(&sqs, "named", &[("KmsMasterKeyId", "alias/k1")]).await;
    sdk::send(&sqs, &named, MARKER).await;
    server.kill();

    keys.set(&[K2, K1]);
    server.start_again();
    let rotate =
        async |server: &Server| admin_done(server.address(), "RotateKeys", json!({})).await;
    // Three queues, and the key of what is under way; the fourth queue names its key.
    assert_eq!(rotate(&server).await, json!({"MasterKeyId": "k2", "Rewrapped": 4}));
    assert_eq!(rotate(&server).await, json!({"MasterKeyId": "k2", "Rewrapped": 0}));
    server.kill();
    keys.set(&[K2]);
    assert!(refused(server.folder(), &[&flag]).contains("named: it is sealed under"));

    keys.set(&[K2, K1]);
    server.start_again();
    let sqs = sdk::client(&server);
    let other = sdk::attributes(&[("KmsMasterKeyId", "alias/k2")]);
    let set = sqs.set_queue_attributes().queue_url(&named).set_attributes(Some(other)).send();
    set.await.unwrap();
    server.kill();
    keys.set(&[K2]);
    server.start_again();
    let sqs = sdk::client(&server);
    for url in urls.iter().chain([&named]) {
        assert!(sdk::body(&sdk::receive_one(&sqs, url).await).contains(MARKER));
    }
}

#[tokio::test]
async fn strict_limits_miss_a_key_that_nobody_configured() {
    let keys = Keys::new(&[K1]);
    let server = Server::start_with(&[&keys.flag(), "--limits=strict"]);
    let sqs = sdk::client(&server);
    let known = sdk::create(&sqs, "known", &[("KmsMasterKeyId", "alias/k1")]).await;
    sdk::send(&sqs, &known, "m").await;
    let unknown = sdk::create(&sqs, "unknown", &[("KmsMasterKeyId", "alias/k9")]).await;
    let send = sqs.send_message().queue_url(&unknown).message_body("m").send().await;
    let refused = sdk::failure(send);
    assert_eq!((refused.status, &*refused.code), (400, "KMS.NotFoundException"));
    assert!(server.says("KmsMasterKeyId \"alias/k9\": no master key answers to it"));
}

#[tokio::test]
async fn a_disabled_key_opens_what_it_sealed_and_is_of_no_other_use() {
    let keys = Keys::new(&[K1, K2]);
    let flag = keys.flag();
    let mut server = Server::start_with(&[&flag, "--limits=strict"]);
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "named", &[("KmsMasterKeyId", "alias/k2")]).await;
    sdk::send(&sqs, &url, MARKER).await;
    server.kill();

    // The last key of the file is k2.
    let text = fs::read_to_string(keys.path()).unwrap();
    fs::write(keys.path(), format!("{text}disabled = true\n")).unwrap();
    server.start_again();
    let sqs = sdk::client(&server);
    for refused in [
        sdk::failure(sqs.send_message().queue_url(&url).message_body("m").send().await),
        sdk::failure(sqs.receive_message().queue_url(&url).send().await),
    ] {
        assert_eq!((refused.status, &*refused.code), (400, "KMS.DisabledException"));
    }
    // With another key the queue goes on, and reads what was sealed before.
    let other = sdk::attributes(&[("KmsMasterKeyId", "alias/k1")]);
    let set = sqs.set_queue_attributes().queue_url(&url).set_attributes(Some(other)).send();
    set.await.unwrap();
    assert_eq!(sdk::body(&sdk::receive_one(&sqs, &url).await), MARKER);
}

#[tokio::test]
async fn the_servers_own_key_is_for_its_owner_alone_and_in_no_checkpoint() {
    let server = Server::start();
    let made = admin_done(server.address(), "Checkpoint", json!({})).await;
    let path = server.folder().path().join("master.key");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read(&path).unwrap();
    assert_eq!(files_with(server.folder().path(), key.trim_ascii_end()), [path]);
    let checkpoint = PathBuf::from(made["Folder"].as_str().unwrap());
    assert!(checkpoint.is_dir() && files_with(&checkpoint, key.trim_ascii_end()).is_empty());
}
