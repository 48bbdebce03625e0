//! Queues that the configuration file declares.

use std::{fs, sync::Arc};

use aws_sdk_sqs::Client;
use serde_json::Value;
use stanchion_tests::{Server, sdk};
use tempfile::TempDir;

/// A folder with a configuration file in it.
struct Configured {
    folder: Arc<TempDir>,
    file: String,
}

impl Configured {
    fn new() -> Configured {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("stanchion.toml").to_str().unwrap().to_owned();
        Configured { folder: Arc::new(folder), file }
    }

    /// A start with this file; or what it was refused with.
    fn start(&self, text: &str) -> Result<Server, String> {
        fs::write(&self.file, text).unwrap();
        let server = Server::try_start(self.folder.clone(), &["--config", &self.file]);
        server.map_err(|refused| refused.output)
    }
}

async fn url(sqs: &Client, name: &str) -> String {
    let found = sqs.get_queue_url().queue_name(name).send().await;
    found.expect("the queue is there").queue_url.expect("a queue has a URL")
}

async fn tags(sqs: &Client, url: &str) -> Vec<String> {
    let listed = sqs.list_queue_tags().queue_url(url).send().await.unwrap();
    let tags = listed.tags.unwrap_or_default();
    let mut pairs: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.sort();
    pairs
}

#[tokio::test]
async fn declared_queues_are_there_as_the_file_says() {
    let configured = Configured::new();
    let text = r#"
        [queues.orders]
        visibility_timeout = 60
        # Declared below.
        dead_letter_queue = "orders-dead"
        max_receive_count = 5
        tags = { team = "billing" }

        [queues.orders-dead]
        message_retention_period = 1209600

        [queues."steps.fifo"]
        content_based_deduplication = true
    "#;
    let mut server = configured.start(text).unwrap();
    let sqs = sdk::client(&server);
    let orders = url(&sqs, "orders").await;
    assert_eq!(sdk::attribute(&sqs, &orders, "VisibilityTimeout").await, "60");
    assert_eq!(tags(&sqs, &orders).await, ["team=billing"]);
    let redrive = sdk::attribute(&sqs, &orders, "RedrivePolicy").await;
    let redrive: Value = serde_json::from_str(&redrive).unwrap();
    assert_eq!(redrive["maxReceiveCount"], 5);
    assert_eq!(redrive["deadLetterTargetArn"], "arn:aws:sqs:us-east-1:000000000000:orders-dead");
    let dead = url(&sqs, "orders-dead").await;
    assert_eq!(sdk::attribute(&sqs, &dead, "MessageRetentionPeriod").await, "1209600");
    let steps = url(&sqs, "steps.fifo").await;
    assert_eq!(sdk::attribute(&sqs, &steps, "ContentBasedDeduplication").await, "true");

    // A start that finds everything as it should be changes nothing.
    sdk::send(&sqs, &orders, "kept").await;
    let modified = sdk::attribute(&sqs, &orders, "LastModifiedTimestamp").await;
    assert!(server.terminate().success());
    let mut server = configured.start(text).unwrap();
    assert!(!server.output().contains("the configuration file declares"), "{}", server.output());
    let sqs = sdk::client(&server);
    assert_eq!(sdk::attribute(&sqs, &orders, "LastModifiedTimestamp").await, modified);

    // One that finds something else does, and to what the file no longer mentions nothing.
    let changed = [("VisibilityTimeout", "1"), ("DelaySeconds", "2")];
    let set = sqs.set_queue_attributes().queue_url(&orders);
    set.set_attributes(Some(sdk::attributes(&changed))).send().await.unwrap();
    sqs.tag_queue().queue_url(&orders).tags("own", "yes").send().await.unwrap();
    assert!(server.terminate().success());
    let server = configured.start("[queues.orders]\nvisibility_timeout = 61").unwrap();
    assert!(server.says("changed to what the configuration file declares"));
    let sqs = sdk::client(&server);
    assert_eq!(sdk::attribute(&sqs, &orders, "VisibilityTimeout").await, "61");
    assert_eq!(sdk::attribute(&sqs, &orders, "DelaySeconds").await, "2");
    assert_eq!(tags(&sqs, &orders).await, ["own=yes", "team=billing"]);
    assert_eq!(sdk::counters(&sqs, &orders).await, [1, 0, 0]);
    url(&sqs, "orders-dead").await;
}

#[tokio::test]
async fn a_declared_queue_need_not_rest_after_its_deletion() {
    let configured = Configured::new();
    let text = "limits = 'strict'\n[queues.orders]";
    let mut server = configured.start(text).unwrap();
    let sqs = sdk::client(&server);
    let orders = url(&sqs, "orders").await;
    sqs.delete_queue().queue_url(&orders).send().await.unwrap();
    let again = sqs.create_queue().queue_name("orders").send().await.unwrap_err();
    assert!(again.into_service_error().is_queue_deleted_recently());
    assert!(server.terminate().success());
    let server = configured.start(text).unwrap();
    url(&sdk::client(&server), "orders").await;
}

#[tokio::test]
async fn the_file_on_the_page_about_operations_works() {
    let page = include_str!("../../docs/operations.md");
    let toml = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
    let configured = Configured::new();
    let server = configured.start(toml.expect("the page shows a file")).unwrap();
    let sqs = sdk::client(&server);
    for name in ["orders", "orders-dead", "steps.fifo"] {
        url(&sqs, name).await;
    }
}

#[test]
fn a_declaration_that_cannot_hold_is_refused_with_queue_and_key() {
    let configured = Configured::new();
    for (text, words) in [
        ("[queues.q]\nvisibility_timeout = -1", "queues.q.visibility_timeout"),
        ("[queues.q]\nfifo = true", "queues.q.fifo"),
        (
            "[queues.q]\ndead_letter_queue = 'd'\nmax_receive_count = 1",
            "queues.q.dead_letter_queue: there is no queue d",
        ),
        (
            "[queues.q]\ndead_letter_queue = 'd'\nmax_receive_count = 1\n[queues.d]\n\
             redrive_allow_policy = { redrivePermission = 'denyAll' }",
            "queues.q.dead_letter_queue: the redrive_allow_policy of d does not allow it",
        ),
    ] {
        let refusal = configured.start(text).map(drop).unwrap_err();
        assert!(refusal.contains(words), "{words}: {refusal}");
    }
}
