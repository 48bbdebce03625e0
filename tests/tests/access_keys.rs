//! Users and their access keys: what is answered is there after a SIGKILL, and no file holds a secret.

use std::{fs, path::Path};

use aws_sdk_sqs::Client;
use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    http::{self, admin_done},
    own,
    program::{files_with, stanchiond},
    sdk::{self, Failure, failure},
};

/// Why one of the actions is refused.
async fn refusal(server: &Server, action: &str, input: Value) -> String {
    let answer = http::admin(server.address(), action, input).await;
    assert_ne!(answer.status, 200, "{action}: {answer:?}");
    answer.error_type()
}

fn policy(action: &str) -> String {
    let statement = json!({"Effect": "Allow", "Action": action, "Resource": "*"});
    json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
}

/// The ids of all keys, or of those that `input` asks for.
async fn keys(server: &Server, input: Value) -> Vec<Value> {
    admin_done(server.address(), "ListAccessKeys", input).await["AccessKeys"]
        .as_array()
        .unwrap()
        .clone()
}

#[tokio::test]
async fn keys_come_change_and_go() {
    let server = Server::start();
    let policies = json!({"send": policy("sqs:SendMessage")});
    let jane = json!({"UserName": "jane", "Policies": policies});
    let made = admin_done(server.address(), "CreateAccessKey", jane).await;
    assert_eq!(made["SecretAccessKey"].as_str().unwrap().len(), 40);
    assert_eq!((&made["UserName"], &made["Status"]), (&json!("jane"), &json!("Active")));
    let listed = keys(&server, json!({})).await;
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("SecretAccessKey");
    assert_eq!(listed, [shown], "all but the secret");

    let id = &made["AccessKeyId"];
    admin_done(
        server.address(),
        "UpdateAccessKey",
        json!({"AccessKeyId": id, "Status": "Inactive"}),
    )
    .await;
    assert_eq!(keys(&server, json!({"UserName": "jane"})).await[0]["Status"], "Inactive");
    let root = json!({"AccountId": "111122223333"});
    let root = admin_done(server.address(), "CreateAccessKey", root).await;
    assert_eq!((&root["AccountId"], &root["UserName"]), (&json!("111122223333"), &Value::Null));
    assert_eq!(keys(&server, json!({"AccountId": "111122223333"})).await.len(), 1);
    assert_eq!(keys(&server, json!({"UserName": "jane"})).await.len(), 1);

    let receive = policy("sqs:ReceiveMessage");
    let put = json!({"UserName": "jane", "PolicyName": "receive", "Policy": receive});
    admin_done(server.address(), "PutUserPolicy", put).await;
    admin_done(
        server.address(),
        "DeleteUserPolicy",
        json!({"UserName": "jane", "PolicyName": "send"}),
    )
    .await;
    let users = admin_done(server.address(), "ListUsers", json!({})).await;
    let [user] = users["Users"].as_array().unwrap().as_slice() else { panic!("{users}") };
    assert_eq!(user["Policies"], json!({"receive": receive}));
    assert_eq!(user["Arn"], "arn:aws:iam::000000000000:user/jane");
    assert!(user["UserId"].as_str().unwrap().starts_with("AIDA"), "{user}");

    let url = sdk::create(&sdk::client(&server), "orders", &[]).await;
    for (action, decision) in [("ReceiveMessage", "allowed"), ("SendMessage", "implicitDeny")] {
        let asked = json!({"QueueUrl": url, "Action": action, "Principal": user["Arn"]});
        assert_eq!(
            admin_done(server.address(), "SimulatePolicy", asked).await["Decision"],
            decision
        );
    }

    admin_done(server.address(), "DeleteAccessKey", json!({"AccessKeyId": root["AccessKeyId"]}))
        .await;
    admin_done(server.address(), "DeleteUser", json!({"UserName": "jane"})).await;
    assert!(keys(&server, json!({})).await.is_empty());
}

#[tokio::test]
async fn what_cannot_be_done_is_refused() {
    let server = Server::start();
    let create = |input| refusal(&server, "CreateAccessKey", input);
    let long = "n".repeat(65);
    for (input, error) in [
        (json!({"UserName": "a b"}), "InvalidParameterValueException"),
        (json!({"UserName": ""}), "InvalidParameterValueException"),
        (json!({"UserName": long}), "InvalidParameterValueException"),
        (json!({"AccountId": "1"}), "InvalidParameterValueException"),
        (json!({"UserName": "a", "Policies": {"p": "{}"}}), "InvalidParameterValueException"),
        (json!({"UserName": "a", "Policies": {"": policy("*")}}), "InvalidParameterValueException"),
        (json!({"Policies": {"p": policy("*")}}), "InvalidParameterCombinationException"),
    ] {
        assert_eq!(create(input.clone()).await, error, "{input}");
    }
    assert!(
        admin_done(server.address(), "ListUsers", json!({})).await["Users"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    for _ in 0..2 {
        admin_done(server.address(), "CreateAccessKey", json!({"UserName": "jane"})).await;
    }
    assert_eq!(create(json!({"UserName": "jane"})).await, "OverLimit");
    for (action, input) in [
        ("DeleteAccessKey", json!({"AccessKeyId": "AKIAIOSFODNN7EXAMPLE"})),
        ("UpdateAccessKey", json!({"AccessKeyId": "x", "Status": "Active"})),
        ("DeleteUser", json!({"UserName": "joe"})),
        ("DeleteUser", json!({"UserName": "jane", "AccountId": "111122223333"})),
        ("DeleteUserPolicy", json!({"UserName": "jane", "PolicyName": "none"})),
        ("PutUserPolicy", json!({"UserName": "joe", "PolicyName": "p", "Policy": policy("*")})),
    ] {
        let error = refusal(&server, action, input.clone()).await;
        assert_eq!(error, "ResourceNotFoundException", "{action} {input}");
    }
    let id = &keys(&server, json!({})).await[0]["AccessKeyId"];
    let odd = json!({"AccessKeyId": id, "Status": "active"});
    assert_eq!(refusal(&server, "UpdateAccessKey", odd).await, "InvalidParameterValueException");
    let odd = json!({"NextToken": "?"});
    assert_eq!(refusal(&server, "ListUsers", odd).await, "InvalidParameterValueException");
}

#[tokio::test]
async fn lists_come_page_by_page() {
    let server = Server::start();
    for name in ["a", "b", "c", "d", "e"] {
        admin_done(server.address(), "CreateAccessKey", json!({"UserName": name})).await;
    }
    for (action, list, name) in
        [("ListAccessKeys", "AccessKeys", "AccessKeyId"), ("ListUsers", "Users", "UserName")]
    {
        let mut seen = Vec::new();
        let mut token = Value::Null;
        for expected in [2, 2, 1] {
            let page =
                admin_done(server.address(), action, json!({"MaxResults": 2, "NextToken": token}))
                    .await;
            let page_of = page[list].as_array().unwrap();
            assert_eq!(page_of.len(), expected, "{page}");
            seen.extend(page_of.iter().map(|one| one[name].as_str().unwrap().to_owned()));
            token = page["NextToken"].clone();
        }
        assert_eq!(token, Value::Null);
        assert!(seen.is_sorted() && seen.len() == 5, "{seen:?}");
    }
}

#[tokio::test]
async fn an_answered_key_survives_a_kill_and_no_file_holds_its_secret() {
    let mut server = Server::start();
    let made =
        admin_done(server.address(), "CreateAccessKey", json!({"UserName": "jane-the-marker"}))
            .await;
    server.kill();
    server.start_again();
    let listed = keys(&server, json!({})).await;
    assert_eq!(listed[0]["AccessKeyId"], made["AccessKeyId"]);
    let made =
        admin_done(server.address(), "CreateAccessKey", json!({"UserName": "jane-the-marker"}))
            .await;
    let checkpoint = admin_done(server.address(), "Checkpoint", json!({"Name": "c"})).await;
    server.kill();
    let checkpoint = Path::new(checkpoint["Folder"].as_str().unwrap());
    for folder in [server.folder().path(), checkpoint] {
        assert!(!files_with(folder, b"jane-the-marker").is_empty(), "the files are looked at");
        let secret = made["SecretAccessKey"].as_str().unwrap();
        assert!(files_with(folder, secret.as_bytes()).is_empty());
    }
    assert!(!checkpoint.join("master.key").exists());
    assert!(!server.output().contains(made["SecretAccessKey"].as_str().unwrap()));

    let looked = stanchiond(server.folder().path(), &["verify"]);
    assert!(looked.status.success(), "{looked:?}");
}

#[tokio::test]
async fn a_server_without_its_master_key_does_not_start_and_says_whose_secret_it_cannot_open() {
    let mut server = Server::start();
    let made = admin_done(server.address(), "CreateAccessKey", json!({"UserName": "jane"})).await;
    server.kill();
    fs::remove_file(server.folder().path().join("master.key")).unwrap();
    let refused = Server::try_start(server.folder().clone(), &[]).expect_err("no start");
    let id = made["AccessKeyId"].as_str().unwrap();
    assert!(refused.output.contains(id), "{}", refused.output);
    assert!(refused.output.contains("sealed under the master key"), "{}", refused.output);
}

async fn refused(client: &Client) -> String {
    failure(client.list_queues().send().await).code
}

#[tokio::test]
async fn a_key_works_until_it_is_disabled_or_deleted_over_restarts_too() {
    let mut server = Server::start_signed(&[]);
    let root = sdk::client(&server);
    let jane = json!({"UserName": "jane", "Policies": {"all": policy("sqs:*")}});
    let made = own::call(&root, "CreateAccessKey", jane).await.unwrap();
    let id = made["AccessKeyId"].clone();
    let client = own::signing(&server, &made);
    let url = sdk::create(&client, "orders", &[]).await;
    sdk::send(&client, &url, "hello").await;
    // The sender is the user.
    let received = sdk::receive_one(&root, &url).await;
    assert!(sdk::system(&received, "SenderId").starts_with("AIDA"), "{received:?}");
    let wrong = json!({"AccessKeyId": id, "SecretAccessKey": "another, which is none of jane's"});
    assert_eq!(refused(&own::signing(&server, &wrong)).await, "SignatureDoesNotMatch");

    let set = |status| json!({"AccessKeyId": id, "Status": status});
    own::call(&root, "UpdateAccessKey", set("Inactive")).await.unwrap();
    assert_eq!(refused(&client).await, "InvalidClientTokenId");
    server.kill();
    server.start_again();
    let root = sdk::client(&server);
    let client = own::signing(&server, &made);
    assert_eq!(refused(&client).await, "InvalidClientTokenId");
    own::call(&root, "UpdateAccessKey", set("Active")).await.unwrap();
    client.list_queues().send().await.unwrap();

    // When it was used last is known, and after a stop that is not sudden still.
    let listed = own::call(&root, "ListAccessKeys", json!({})).await.unwrap();
    let used = listed["AccessKeys"][0]["LastUsedAt"].as_u64().unwrap();
    assert!(server.terminate().success());
    server.start_again();
    let root = sdk::client(&server);
    let listed = own::call(&root, "ListAccessKeys", json!({})).await.unwrap();
    assert_eq!(listed["AccessKeys"][0]["LastUsedAt"], json!(used));

    own::call(&root, "DeleteAccessKey", json!({"AccessKeyId": id})).await.unwrap();
    let client = own::signing(&server, &made);
    assert_eq!(refused(&client).await, "InvalidClientTokenId");
}

#[tokio::test]
async fn accounts_share_a_server_and_see_nothing_of_each_other() {
    let server = Server::start_signed(&[]);
    let root = sdk::client(&server);
    let other = json!({"AccountId": "111122223333"});
    let made = own::call(&root, "CreateAccessKey", other.clone()).await.unwrap();
    let theirs = own::signing(&server, &made);
    let mut urls = Vec::new();
    for (client, body) in [(&root, "ours"), (&theirs, "theirs")] {
        let url = sdk::create(client, "orders", &[]).await;
        sdk::send(client, &url, body).await;
        urls.push(url);
    }
    assert!(urls[0].ends_with("/000000000000/orders"), "{urls:?}");
    assert!(urls[1].ends_with("/111122223333/orders"), "{urls:?}");
    assert_eq!(sdk::bodies(&sdk::receive(&theirs, &urls[1], 20).await), ["theirs"]);
    assert_eq!(sdk::bodies(&sdk::receive(&root, &urls[0], 20).await), ["ours"]);
    let listed = theirs.list_queues().send().await.unwrap();
    assert_eq!(listed.queue_urls(), &urls[1..]);

    // An account's root manages its own users, and nothing else.
    let joe = json!({"UserName": "joe"});
    own::call(&theirs, "CreateAccessKey", joe.clone()).await.unwrap();
    let all = own::call(&theirs, "ListAccessKeys", json!({})).await.unwrap();
    assert_eq!(all["AccessKeys"].as_array().unwrap().len(), 2);
    let ours = json!({"AccountId": "000000000000", "UserName": "joe"});
    let denied = own::call(&theirs, "CreateAccessKey", ours).await.unwrap_err();
    assert_eq!((denied.status, denied.code.as_str()), (403, "AccessDenied"));
    let made = own::call(&root, "CreateAccessKey", joe).await.unwrap();
    let id = json!({"AccessKeyId": made["AccessKeyId"]});
    let unknown = own::call(&theirs, "DeleteAccessKey", id).await.unwrap_err();
    assert_eq!(unknown.code, "ResourceNotFoundException");
    assert_eq!(own::call(&theirs, "Reset", json!({})).await.unwrap_err().code, "AccessDenied");
}

#[tokio::test]
async fn a_user_manages_keys_if_a_policy_says_so_and_never_those_of_root() {
    let server = Server::start_signed(&[]);
    let root = sdk::client(&server);
    let jane = json!({"UserName": "jane"});
    let made = own::call(&root, "CreateAccessKey", jane.clone()).await.unwrap();
    let client = own::signing(&server, &made);
    let denied = |answer: Result<Value, Failure>| answer.unwrap_err().code;
    for action in ["CreateAccessKey", "ListAccessKeys", "ListUsers", "DeleteUser"] {
        assert_eq!(denied(own::call(&client, action, jane.clone()).await), "AccessDenied");
    }
    let allowed = policy("stanchion:*AccessKey");
    let put = json!({"UserName": "jane", "PolicyName": "keys", "Policy": allowed});
    own::call(&root, "PutUserPolicy", put).await.unwrap();
    let joe = json!({"UserName": "joe"});
    let joes = own::call(&client, "CreateAccessKey", joe.clone()).await.unwrap();
    assert_eq!(denied(own::call(&client, "DeleteUser", joe).await), "AccessDenied");
    let id = json!({"AccessKeyId": joes["AccessKeyId"]});
    own::call(&client, "DeleteAccessKey", id).await.unwrap();

    let elsewhere = json!({"AccountId": "111122223333", "UserName": "joe"});
    assert_eq!(denied(own::call(&client, "CreateAccessKey", elsewhere).await), "AccessDenied");
    assert_eq!(denied(own::call(&client, "CreateAccessKey", json!({})).await), "AccessDenied");
    let roots = own::call(&root, "CreateAccessKey", json!({})).await.unwrap();
    let id = json!({"AccessKeyId": roots["AccessKeyId"]});
    assert_eq!(denied(own::call(&client, "DeleteAccessKey", id).await), "AccessDenied");
}
