//! The server, its keys and its users from the command line.

use std::fs;

use serde_json::{Value, json};
use stanchion_tests::{Server, cli::Cli};

#[test]
fn a_server_says_what_it_is_and_whether_it_is_well() {
    let server = Server::start_with(&["--durability", "os"]);
    let cli = Cli::new(&server);
    let info = cli.json(&["server", "info"]);
    assert_eq!((&info["durability"], &info["virtual_clock"]), (&json!("os"), &json!(false)));
    assert_eq!((&info["account"], &info["healthy"]), (&json!("000000000000"), &json!(true)));
    assert!(cli.ok(&["server", "info"]).contains("Durability     os\n"));
    assert_eq!(cli.ok(&["server", "health"]), "Well\n");
}

#[test]
fn copies_are_made_listed_and_removed() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["server", "checkpoint", "make", "--dry-run"]);
    assert_eq!(cli.json(&["server", "checkpoint", "ls"]), json!([]));
    let made = cli.json(&["server", "checkpoint", "make", "before-upgrade"]);
    assert!(fs::metadata(made["folder"].as_str().unwrap()).unwrap().is_dir());
    let listed = cli.json(&["server", "checkpoint", "ls"]);
    assert_eq!(listed[0]["name"], "before-upgrade");
    cli.run(&["server", "checkpoint", "rm", "before-upgrade"]).expect_code(2);
    cli.ok(&["server", "checkpoint", "rm", "before-upgrade", "--yes"]);
    assert_eq!(cli.json(&["server", "checkpoint", "ls"]), json!([]));
    cli.run(&["server", "checkpoint", "rm", "before-upgrade", "--yes"]).expect_code(1);
}

#[test]
fn a_virtual_clock_moves_as_it_is_told_to() {
    let server = Server::start_with(&["--virtual-clock"]);
    let cli = Cli::new(&server);
    let now = || cli.json(&["server", "info"])["now"].as_u64().unwrap();
    let before = now();
    cli.ok(&["server", "clock", "advance", "2h", "--dry-run"]);
    // It goes on by itself too, from start to start of a command.
    let hour = 3_600_000;
    assert!((before..before + hour).contains(&now()));
    let moved = cli.json(&["server", "clock", "advance", "1h 30m"])["now"].as_u64().unwrap();
    assert!((before + 5_400_000..before + 5_400_000 + hour).contains(&moved));
    let real = Server::start();
    let ran = Cli::new(&real).run(&["server", "clock", "advance", "1h"]).expect_code(1);
    assert!(ran.err.contains("UnsupportedOperation"), "{}", ran.err);
}

#[test]
fn everything_is_reset_when_somebody_says_so() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "orders"]);
    cli.run(&["server", "reset"]).expect_code(2);
    cli.ok(&["server", "reset", "--dry-run"]);
    assert_eq!(cli.json(&["queue", "ls"])[0]["name"], "orders");
    cli.ok(&["server", "reset", "--yes"]);
    assert_eq!(cli.json(&["queue", "ls"]), json!([]));
}

#[test]
fn keys_and_users_come_change_and_go() {
    let server = Server::start_signed(&[]);
    let root = Cli::signed(&server);
    root.ok(&["queue", "create", "orders"]);
    let statement = json!({"Effect": "Allow", "Action": "sqs:Get*", "Resource": "*"});
    let policy = json!({"Version": "2012-10-17", "Statement": [statement]});
    let file = root.folder().join("policy.json");
    fs::write(&file, policy.to_string()).unwrap();

    let create = ["key", "create", "--user", "billing", "--policy", "read=policy.json"];
    root.ok(&[&create[..], &["--dry-run"]].concat());
    assert_eq!(root.json(&["user", "ls"]), json!([]));
    let made = root.json(&create);
    let id = made["access_key_id"].as_str().unwrap();
    let billing = Cli::new(&server).with_key(id, made["secret_access_key"].as_str().unwrap());
    let may = |code| {
        billing.run(&["queue", "describe", "orders"]).expect_code(code);
    };
    // It may see attributes, and not the tags.
    let ran = billing.run(&["queue", "describe", "orders"]).expect_code(4);
    assert!(ran.err.contains("ListQueueTags"), "{}", ran.err);

    let all = json!({"Effect": "Allow", "Action": "sqs:*", "Resource": "*"});
    let all = json!({"Version": "2012-10-17", "Statement": [all]}).to_string();
    root.run_with(&["user", "policy", "put", "billing", "all", "-"], &all).expect_code(0);
    may(0);
    let users = root.json(&["user", "ls"]);
    assert_eq!(users[0]["policies"]["read"], policy);
    let simulate = ["queue", "policy", "simulate", "orders", "SendMessage", "--principal"];
    let arn = users[0]["arn"].as_str().unwrap();
    assert_eq!(root.json(&[&simulate[..], &[arn]].concat())["allowed"], true);
    root.ok(&["user", "policy", "rm", "billing", "all"]);
    assert_eq!(root.json(&[&simulate[..], &[arn]].concat())["allowed"], false);
    may(4);

    let keys = root.json(&["key", "ls", "--user", "billing"]);
    assert_eq!((&keys[0]["access_key_id"], &keys[0]["active"]), (&json!(id), &json!(true)));
    assert_eq!(keys[0]["secret_access_key"], Value::Null);
    root.ok(&["key", "disable", id]);
    assert_eq!(root.json(&["key", "ls", "--user", "billing"])[0]["active"], false);
    may(4);
    root.ok(&["key", "enable", id]);
    root.run(&["key", "rm", id]).expect_code(2);
    root.ok(&["key", "rm", id, "--yes"]);
    root.run(&["key", "rm", id, "--yes"]).expect_code(3);
    root.ok(&["user", "rm", "billing", "--yes"]);
    assert_eq!(root.json(&["user", "ls"]), json!([]));
    root.run(&["user", "rm", "billing", "--yes"]).expect_code(3);
}

#[test]
fn stored_keys_are_sealed_anew() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["key", "create", "--user", "billing"]);
    cli.ok(&["server", "rotate-keys", "--dry-run"]);
    let rotated = cli.json(&["server", "rotate-keys"]);
    assert!(rotated["master_key_id"].is_string(), "{rotated}");
}
