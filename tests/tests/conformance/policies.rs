//! Policy, AddPermission and RemovePermission.

use aws_sdk_sqs::{Client, operation::add_permission::builders::AddPermissionFluentBuilder};
use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    sdk::{arn, attribute, attributes, client, create, failure},
};

const ALICE: &str = "111122223333";
const BOB: &str = "444455556666";

fn add(sqs: &Client, url: &str, label: &str) -> AddPermissionFluentBuilder {
    sqs.add_permission().queue_url(url).label(label)
}

async fn policy(sqs: &Client, url: &str) -> Value {
    serde_json::from_str(&attribute(sqs, url, "Policy").await).expect("a policy is JSON")
}

#[tokio::test]
async fn permissions_come_and_go_by_their_labels() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let arn = arn(&sqs, &url).await;

    let send = add(&sqs, &url, "send").aws_account_ids(ALICE).actions("SendMessage");
    send.clone().send().await.unwrap();
    let first = json!({
        "Sid": "send",
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::111122223333:root"},
        "Action": "SQS:SendMessage",
        "Resource": arn,
    });
    let made = |statements: &[&Value]| {
        json!({"Version": "2008-10-17", "Id": format!("{arn}/SQSDefaultPolicy"),
            "Statement": statements})
    };
    assert_eq!(policy(&sqs, &url).await, made(&[&first]));

    let again = failure(send.send().await);
    assert_eq!((again.status, &*again.code), (400, "InvalidParameterValue"));
    assert_eq!(again.message, "Value send for parameter Label is invalid. Reason: Already exists.");

    let more = add(&sqs, &url, "more").aws_account_ids(ALICE).aws_account_ids(BOB);
    more.actions("ReceiveMessage").actions("DeleteMessage").send().await.unwrap();
    let second = json!({
        "Sid": "more",
        "Effect": "Allow",
        "Principal": {"AWS": ["arn:aws:iam::111122223333:root", "arn:aws:iam::444455556666:root"]},
        "Action": ["SQS:ReceiveMessage", "SQS:DeleteMessage"],
        "Resource": arn,
    });
    assert_eq!(policy(&sqs, &url).await, made(&[&first, &second]));

    let remove = |label: &str| sqs.remove_permission().queue_url(&url).label(label).send();
    remove("send").await.unwrap();
    assert_eq!(policy(&sqs, &url).await, made(&[&second]));
    let unknown = failure(remove("send").await);
    assert_eq!((unknown.status, &*unknown.code), (400, "InvalidParameterValue"));
    assert_eq!(
        unknown.message,
        "Value send for parameter Label is invalid. Reason: can't find label."
    );
    remove("more").await.unwrap();
    assert_eq!(attribute(&sqs, &url, "Policy").await, "", "with its last statement it goes");
    assert_eq!(failure(remove("more").await).code, "InvalidParameterValue");
}

#[tokio::test]
async fn wrong_permissions_are_refused() {
    let server = Server::start();
    let sqs = client(&server);
    let url = create(&sqs, "q", &[]).await;
    let ask = |label: &str, accounts: &[&str], actions: &[&str]| {
        let owned = |texts: &[&str]| Some(texts.iter().map(|text| text.to_string()).collect());
        let add = add(&sqs, &url, label).set_aws_account_ids(owned(accounts));
        add.set_actions(owned(actions)).send()
    };
    for (label, accounts, actions, status, code) in [
        ("", &[ALICE][..], &["*"][..], 400, "MissingParameter"),
        ("a b", &[ALICE], &["*"], 400, "InvalidParameterValue"),
        ("l", &[ALICE], &[], 400, "MissingParameter"),
        ("l", &[ALICE], &["SendMessage"; 8], 403, "OverLimit"),
        ("l", &[ALICE], &["SetQueueAttributes"], 400, "InvalidParameterValue"),
        ("l", &[ALICE], &["DeleteMessageBatch"], 400, "InvalidParameterValue"),
        ("l", &[], &["*"], 400, "InvalidParameterValue"),
        ("l", &["alice"], &["*"], 400, "InvalidParameterValue"),
    ] {
        let refused = failure(ask(label, accounts, actions).await);
        assert_eq!((refused.status, &*refused.code), (status, code), "{label} {accounts:?}");
    }
    let gone = add(&sqs, "none", "l").aws_account_ids(ALICE).actions("*");
    assert_eq!(failure(gone.send().await).code, "AWS.SimpleQueueService.NonExistentQueue");
    assert_eq!(attribute(&sqs, &url, "Policy").await, "");
}

#[tokio::test]
async fn a_policy_is_returned_as_it_was_given_also_after_a_crash() {
    let mut server = Server::start();
    let text = r#"{ "Version": "2012-10-17",
        "Statement": [{ "Sid": "topic", "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"}, "Action": ["sqs:SendMessage"],
            "Resource": "arn:aws:sqs:us-east-1:000000000000:q",
            "Condition": {"ArnEquals": {"aws:SourceArn": "arn:aws:sns:us-east-1:1:topic"}} }] }"#;
    let url = create(&client(&server), "q", &[("Policy", text)]).await;
    server.kill();
    server.start_again();
    let sqs = client(&server);
    assert_eq!(attribute(&sqs, &url, "Policy").await, text);
    let removed = sqs.set_queue_attributes().queue_url(&url);
    removed.set_attributes(Some(attributes(&[("Policy", "")]))).send().await.unwrap();
    assert_eq!(attribute(&sqs, &url, "Policy").await, "");
}

#[tokio::test]
async fn wrong_policies_are_refused_and_change_nothing() {
    let server = Server::start();
    let sqs = client(&server);
    let statement = |members: Value| {
        let mut statement =
            json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"});
        for (name, value) in members.as_object().unwrap() {
            statement[name] = value.clone();
        }
        statement
    };
    let good = json!({"Statement": [statement(json!({}))]}).to_string();
    let url = create(&sqs, "q", &[("Policy", &good)]).await;
    let many = vec![statement(json!({})); 21];
    let actions = vec!["sqs:SendMessage"; 8];
    for (wrong, status, code, text) in [
        (json!("text"), 400, "InvalidAttributeValue", "Invalid value for the parameter Policy."),
        (
            json!({"Statement": []}),
            400,
            "InvalidAttributeValue",
            "Invalid value for the parameter Policy.",
        ),
        (
            json!({"Statement": statement(json!({"Effect": "allow"}))}),
            400,
            "InvalidAttributeValue",
            "Invalid value for the parameter Policy.",
        ),
        (
            json!({"Statement": many}),
            403,
            "OverLimit",
            "21 statements were found in the submitted policy, max allowed is 20",
        ),
        (
            json!({"Statement": statement(json!({"Action": actions}))}),
            403,
            "OverLimit",
            "8 actions were found in a statement from the submitted policy, max allowed is 7",
        ),
        (
            json!({"Statement": statement(json!({"Action": "sqs:SendMessageBatch"}))}),
            400,
            "InvalidParameterValue",
            "Value sqs:SendMessageBatch for parameter ActionName is invalid. Reason: Please refer \
             to the appropriate WSDL for a list of valid actions. ",
        ),
    ] {
        let set = sqs.set_queue_attributes().queue_url(&url);
        let set = set.attributes("Policy".into(), wrong.to_string());
        let refused = failure(set.send().await);
        assert_eq!((refused.status, &*refused.code), (status, code), "{wrong}");
        assert_eq!(refused.message, text);
        assert_eq!(attribute(&sqs, &url, "Policy").await, good);
    }
}
