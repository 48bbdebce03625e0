//! What stored users may do: their own policies, those of queues, and those of other accounts.

use std::fs;

use aws_sdk_sqs::Client;
use serde_json::{Value, json};
use stanchion_tests::{
    Server, own,
    sdk::{self, failure},
};
use tempfile::TempDir;

const OWN: &str = "000000000000";
const OTHER: &str = "222222222222";

fn policy(statement: Value) -> String {
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

fn allow(action: &str, resource: &str) -> String {
    policy(json!({"Effect": "Allow", "Action": action, "Resource": resource}))
}

/// A user's policy, put in force or changed.
async fn put(by: &Client, user: &str, name: &str, policy: String) {
    let input = json!({"UserName": user, "PolicyName": name, "Policy": policy});
    own::call(by, "PutUserPolicy", input).await.unwrap();
}

/// A user of the account of whoever asks, and what signs as them.
async fn user(server: &Server, by: &Client, name: &str) -> (Value, Client) {
    let made = own::call(by, "CreateAccessKey", json!({"UserName": name})).await.unwrap();
    let client = own::signing(server, &made);
    (made, client)
}

/// `OK`, or the code and the end of the text of what a send is refused with.
async fn send(client: &Client, url: &str) -> String {
    let sent = client.send_message().queue_url(url).message_body("m").send().await;
    if sent.is_ok() {
        return "OK".into();
    }
    let refused = failure(sent);
    let why = refused.message.split(" on resource: ").nth(1).unwrap_or_default();
    let why = why.split_once(' ').map_or("", |(_, why)| why);
    format!("{} {why}", refused.code)
}

const NOT_ALLOWED: &str =
    "AccessDenied because no identity-based policy allows the sqs:sendmessage action";
const NOT_SHARED: &str =
    "AccessDenied because no resource-based policy allows the sqs:sendmessage action";

#[tokio::test]
async fn users_may_do_what_their_policies_say_over_restarts_too() {
    let mut server = Server::start_signed(&[]);
    let root = sdk::client(&server);
    let orders = sdk::create(&root, "ann-orders", &[]).await;
    let others = sdk::create(&root, "joe-orders", &[]).await;
    let (made, ann) = user(&server, &root, "ann").await;
    assert_eq!(send(&ann, &orders).await, NOT_ALLOWED);

    let own_queues = format!("arn:aws:sqs:*:{OWN}:${{aws:username}}-*");
    put(&root, "ann", "work", allow("sqs:*Message", &own_queues)).await;
    assert_eq!(send(&ann, &orders).await, "OK");
    assert_eq!(sdk::receive(&ann, &orders, 20).await.len(), 1);
    assert_eq!(send(&ann, &others).await, NOT_ALLOWED);
    let purge = failure(ann.purge_queue().queue_url(&orders).send().await);
    let text = format!(
        "User: arn:aws:iam::{OWN}:user/ann is not authorized to perform: sqs:purgequeue on \
         resource: arn:aws:sqs:us-east-1:{OWN}:ann-orders because no identity-based policy allows \
         the sqs:purgequeue action"
    );
    assert_eq!((purge.status, &*purge.code, purge.message), (403, "AccessDenied", text));

    // A denial in one policy stands against everything in the others.
    put(&root, "ann", "all", allow("sqs:*", "*")).await;
    assert_eq!(send(&ann, &others).await, "OK");
    let never = json!({"Effect": "Deny", "Action": "sqs:SendMessage", "Resource": "*"});
    put(&root, "ann", "never", policy(never)).await;
    let denied = "AccessDenied with an explicit deny in an identity-based policy";
    assert_eq!(send(&ann, &others).await, denied);
    server.kill();
    server.start_again();
    let (root, ann) = (sdk::client(&server), own::signing(&server, &made));
    assert_eq!(send(&ann, &orders).await, denied);
    let never = json!({"UserName": "ann", "PolicyName": "never"});
    own::call(&root, "DeleteUserPolicy", never).await.unwrap();
    assert_eq!(send(&ann, &others).await, "OK");
    assert_eq!(sdk::receive(&ann, &others, 20).await.len(), 2);

    // With the key goes everything, whatever the policies say.
    let id = &made["AccessKeyId"];
    let disabled = json!({"AccessKeyId": id, "Status": "Inactive"});
    own::call(&root, "UpdateAccessKey", disabled).await.unwrap();
    assert_eq!(send(&ann, &orders).await, "InvalidClientTokenId ");
    let enabled = json!({"AccessKeyId": id, "Status": "Active"});
    own::call(&root, "UpdateAccessKey", enabled).await.unwrap();
    assert_eq!(send(&ann, &orders).await, "OK");
    own::call(&root, "DeleteAccessKey", json!({"AccessKeyId": id})).await.unwrap();
    assert_eq!(send(&ann, &orders).await, "InvalidClientTokenId ");
}

#[tokio::test]
async fn between_accounts_both_have_to_allow_it() {
    let server = Server::start_signed(&[]);
    let root = sdk::client(&server);
    let made = own::call(&root, "CreateAccessKey", json!({"AccountId": OTHER})).await.unwrap();
    let other = own::signing(&server, &made);
    let (_, bob) = user(&server, &other, "bob").await;
    let url = sdk::create(&root, "shared", &[]).await;
    let arn = sdk::arn(&root, &url).await;
    let share = async |statement: Value| {
        let attributes = sdk::attributes(&[("Policy", &policy(statement))]);
        let set = root.set_queue_attributes().queue_url(&url).set_attributes(Some(attributes));
        set.send().await.unwrap();
    };
    let bobs = format!("arn:aws:iam::{OTHER}:user/bob");
    let gift = |effect: &str, action: &str| json!({"Effect": effect, "Action": action, "Resource": arn, "Principal": {"AWS": bobs}});

    assert_eq!(send(&bob, &url).await, NOT_ALLOWED);
    share(gift("Allow", "sqs:*Message")).await;
    assert_eq!(send(&bob, &url).await, NOT_ALLOWED);
    put(&other, "bob", "send", allow("sqs:*", &arn)).await;
    assert_eq!(send(&bob, &url).await, "OK");
    assert_eq!(sdk::receive(&bob, &url, 20).await.len(), 1);
    // For the owner of his account, whom the queue does not name, nothing follows from it.
    assert_eq!(send(&other, &url).await, NOT_SHARED);
    share(gift("Allow", "sqs:ReceiveMessage")).await;
    assert_eq!(send(&bob, &url).await, NOT_SHARED);
    share(gift("Deny", "sqs:*")).await;
    let denied = "AccessDenied with an explicit deny in a resource-based policy";
    assert_eq!(send(&bob, &url).await, denied);
    // What no account gives away.
    share(gift("Allow", "sqs:DeleteQueue")).await;
    let delete = failure(bob.delete_queue().queue_url(&url).send().await);
    assert_eq!(delete.code, "AccessDenied");
    assert_eq!(send(&root, &url).await, "OK");
}

#[tokio::test]
async fn what_a_queue_gives_to_everybody_a_users_own_policy_may_still_deny() {
    let server = Server::start_signed(&[]);
    let root = sdk::client(&server);
    let url = sdk::create(&root, "open", &[]).await;
    let everybody = policy(json!({"Effect": "Allow", "Principal": "*",
        "Action": "sqs:SendMessage", "Resource": sdk::arn(&root, &url).await}));
    let attributes = sdk::attributes(&[("Policy", &everybody)]);
    let set = root.set_queue_attributes().queue_url(&url).set_attributes(Some(attributes));
    set.send().await.unwrap();
    let (_, ann) = user(&server, &root, "ann").await;
    assert_eq!(send(&ann, &url).await, "OK");
    let never = json!({"Effect": "Deny", "Action": "*", "Resource": "*"});
    put(&root, "ann", "never", policy(never)).await;
    let denied = "AccessDenied with an explicit deny in an identity-based policy";
    assert_eq!(send(&ann, &url).await, denied);
}

#[tokio::test]
async fn what_an_action_refuses_is_on_the_audit_log_as_denied() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("audit.log");
    let mut server = Server::start_signed(&["--audit-log", file.to_str().unwrap()]);
    let root = sdk::client(&server);
    let (_, ann) = user(&server, &root, "ann").await;
    put(&root, "ann", "keys", allow("stanchion:*AccessKey", "*")).await;
    let theirs = own::call(&root, "CreateAccessKey", json!({"AccountId": OTHER})).await.unwrap();
    for (action, input, code) in [
        ("CreateAccessKey", json!({"AccountId": OTHER, "UserName": "joe"}), "AccessDenied"),
        ("CreateAccessKey", json!({}), "AccessDenied"),
        (
            "DeleteAccessKey",
            json!({"AccessKeyId": theirs["AccessKeyId"]}),
            "ResourceNotFoundException",
        ),
    ] {
        assert_eq!(own::call(&ann, action, input).await.unwrap_err().code, code);
    }
    assert!(server.terminate().success());
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let ann = format!("arn:aws:iam::{OWN}:user/ann");
    let of_ann: Vec<_> = lines.filter(|line| line["principal"] == *ann).collect();
    let shown: Vec<_> = of_ann
        .iter()
        .map(|line| ["decision", "reason", "outcome"].map(|name| line[name].as_str().unwrap()))
        .collect();
    let expected = [
        ["denied", "Only root may manage other accounts.", "AccessDenied"],
        ["denied", "Only root may manage the access keys of an account's root.", "AccessDenied"],
        ["denied", "The access key is another account's.", "ResourceNotFoundException"],
    ];
    assert_eq!(shown, expected);
    assert!(of_ann.iter().all(|line| line["statement"].is_null()), "none of them decided");
}
