//! Clients configured as AWS' own tools are: by variables, profiles and tokens of web identity. A
//! process has one environment, so each client is in a process of its own: this program once more.

use std::{fs, process::Command};

use serde_json::json;
use stanchion_sdk::{Client, GetQueueUrl, SendMessage};
use stanchion_tests::{
    Server,
    sdk::{ROOT_KEY, ROOT_SECRET},
};
use tempfile::TempDir;

use super::{client, queue};
use crate::sts;

/// What the other process is to be told by, beside the environment that is tested.
const QUEUE: &str = "STANCHION_TESTS_QUEUE";

/// Sends to a queue from a process that has this environment and nothing else of AWS'.
fn send_with(environment: &[(&str, &str)], queue: &str) {
    let mut child = Command::new(std::env::current_exe().expect("this program is a file"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            child.env_remove(name);
        }
    }
    let output = child
        .args(["--exact", "sdk_client::environment::send_as_the_environment_says"])
        .args(["--nocapture", "--include-ignored"])
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .env(QUEUE, queue)
        .output()
        .expect("this program can be run");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    assert!(String::from_utf8_lossy(&said).contains("1 passed"));
}

#[tokio::test]
#[ignore = "it is run by the others, in an environment that they make"]
async fn send_as_the_environment_says() {
    let Some(queue) = std::env::var_os(QUEUE) else { return };
    let sqs = Client::from_env().await.expect("the environment says everything");
    let queue = GetQueueUrl::new(queue.to_str().expect("a name is text"));
    let url = sqs.get_queue_url(queue).await.expect("the queue is there").queue_url;
    sqs.send_message(SendMessage::new(url, "from the environment")).await.expect("it is sent");
}

/// How many messages a queue has.
async fn messages(server: &Server, url: &str) -> String {
    let all = stanchion_sdk::GetQueueAttributes::all(url);
    let mut all = client(server).get_queue_attributes(all).await.expect("it has attributes");
    all.attributes.remove("ApproximateNumberOfMessages").expect("it is counted")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_what_its_environment_says() {
    let server = Server::start_signed(&[]);
    let url = queue(&client(&server), "orders").await;
    let folder = TempDir::new().expect("a scratch folder can be made");
    let file = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the folder takes a file");
        path.display().to_string()
    };
    let endpoint = server.url();

    let keys = [("AWS_ACCESS_KEY_ID", ROOT_KEY), ("AWS_SECRET_ACCESS_KEY", ROOT_SECRET)];
    let region = ("AWS_REGION", "us-east-1");
    send_with(&[keys[0], keys[1], region, ("AWS_ENDPOINT_URL", &endpoint)], "orders");
    // That of SQS alone goes before.
    let nowhere = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let of_sqs = ("AWS_ENDPOINT_URL_SQS", &*endpoint);
    send_with(&[keys[0], keys[1], region, nowhere, of_sqs], "orders");

    let credentials = file(
        "credentials",
        format!(
            "[default]\naws_access_key_id = {ROOT_KEY}\naws_secret_access_key = not this one\n\
             [tests]\naws_access_key_id = {ROOT_KEY}\naws_secret_access_key = {ROOT_SECRET}\n"
        ),
    );
    let config = file(
        "config",
        format!(
            "[profile tests]\nregion = us-east-1\nservices = ours\n\
             [services ours]\nsqs =\n  endpoint_url = {endpoint}\n"
        ),
    );
    let files = [("AWS_SHARED_CREDENTIALS_FILE", &*credentials), ("AWS_CONFIG_FILE", &*config)];
    send_with(&[files[0], files[1], ("AWS_PROFILE", "tests")], "orders");
    assert_eq!(messages(&server, &url).await, "3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_web_identity_is_changed_for_credentials() {
    let world = sts::World::new();
    let token = world.folder.path().join("token");
    fs::write(&token, sts::token(json!({}))).expect("the folder takes a file");
    let root = Client::builder()
        .endpoint(world.server.url())
        .credentials(sts::ROOT_KEY, sts::ROOT_SECRET)
        .build()
        .expect("the endpoint is one");
    // The role is one for this queue.
    let url = queue(&root, "orders").await;
    send_with(
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().expect("a path of ours")),
            ("AWS_ROLE_ARN", sts::ROLE),
            ("AWS_ROLE_SESSION_NAME", "pod-7"),
            ("AWS_ENDPOINT_URL", &world.server.url()),
            ("AWS_REGION", "us-east-1"),
        ],
        "orders",
    );
    let receive = stanchion_sdk::ReceiveMessage::new(&url);
    let received = root.receive_message(receive).await.expect("root may").messages;
    let [message] = &received[..] else { panic!("one message") };
    assert!(message.attributes["SenderId"].ends_with(":pod-7"), "{message:?}");
}
