//! What the doctor finds.

use serde_json::Value;
use stanchion_tests::{Server, cli::Cli, sdk};

/// What was found: severity, subject and code of each.
fn found(text: &str) -> Vec<String> {
    let findings: Vec<Value> = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
    let part = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
    let line = |finding: &Value| {
        let [severity, subject, code] =
            ["severity", "subject", "code"].map(|name| part(finding, name));
        format!("{severity} {subject} {code}")
    };
    findings.iter().map(line).collect()
}

#[test]
fn a_server_that_is_set_up_well_has_nothing_wrong() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let create = "queue create orders --wait 20s --dlq orders-dlq --max-receives 5";
    cli.ok(&create.split(' ').collect::<Vec<_>>());
    cli.ok(&["queue", "set", "orders-dlq", "--wait", "20s"]);
    let ran = cli.run(&["doctor", "--strict", "-o", "json"]).expect_code(0);
    assert_eq!(
        found(&ran.out),
        [
            "ok server reached",
            "ok server version",
            "ok server durability",
            "ok clock skew",
            "ok permissions permissions",
            "ok orders settings",
            "ok orders-dlq settings",
        ]
    );
    assert!(cli.ok(&["doctor"]).contains("is set sensibly"));
}

#[tokio::test]
async fn what_is_wrong_with_queues_is_found_with_what_to_do() {
    let server = Server::start_with(&["--durability", "memory"]);
    let (cli, sqs) = (Cli::new(&server), sdk::client(&server));
    cli.ok(&["queue", "create", "alone", "--visibility", "1s"]);
    cli.ok(&["queue", "create", "orders", "--dlq", "dead", "--max-receives", "1"]);
    cli.ok(&["queue", "set", "dead", "--retention", "1d"]);
    let dead = sqs.get_queue_url().queue_name("dead").send().await.unwrap().queue_url.unwrap();
    sdk::send(&sqs, &dead, "x").await;
    cli.ok(&["queue", "pause", "orders"]);
    let ran = cli.run(&["doctor", "-o", "json"]).expect_code(0);
    let lines = found(&ran.out);
    for line in [
        "warning server durability",
        "warning alone short_visibility",
        "info alone short_polling",
        "warning alone no_dlq",
        "warning orders max_receives",
        "warning orders dlq_retention",
        "warning orders paused",
        "info dead dead_letters",
    ] {
        assert!(lines.contains(&line.to_owned()), "{line}: {lines:?}");
    }
    assert!(ran.out.contains("stanchion queue set alone --dlq alone-dlq"), "{}", ran.out);
    cli.run(&["doctor", "--strict"]).expect_code(1);

    // One queue alone; its dead-letter queue is looked at all the same.
    let ran = cli.run(&["doctor", "orders", "-o", "json"]).expect_code(0);
    let lines = found(&ran.out);
    assert!(lines.contains(&"warning orders dlq_retention".to_owned()), "{lines:?}");
    assert!(!ran.out.contains("alone"), "{}", ran.out);

    cli.ok(&["queue", "rm", "dead", "--yes"]);
    let ran = cli.run(&["doctor", "orders", "-o", "json"]).expect_code(1);
    assert!(found(&ran.out).contains(&"error orders dlq_missing".to_owned()), "{}", ran.out);
    let ran = cli.run(&["doctor", "nowhere", "-o", "json"]).expect_code(1);
    assert!(found(&ran.out).contains(&"error nowhere unreadable".to_owned()), "{}", ran.out);
}

#[test]
fn a_server_that_cannot_be_asked_is_a_finding() {
    let server = Server::start_signed(&[]);
    let unsigned = Cli::new(&server);
    let ran = unsigned.run(&["doctor", "-o", "json"]).expect_code(1);
    assert_eq!(found(&ran.out), ["error credentials unsigned"]);
    let stranger = Cli::new(&server).with_key("AKIANOBODYKNOWSTHIS0", "secret");
    let ran = stranger.run(&["doctor", "-o", "json"]).expect_code(1);
    assert_eq!(found(&ran.out), ["error credentials unknown_key"]);
    let mistaken = Cli::new(&server).with_key(sdk::ROOT_KEY, "another");
    let ran = mistaken.run(&["doctor", "-o", "json"]).expect_code(1);
    assert_eq!(found(&ran.out), ["error credentials wrong_signature"]);

    // Whoever may do little is told what that is.
    let root = Cli::signed(&server);
    let made = root.json(&["key", "create", "--user", "jane"]);
    let [id, secret] =
        ["access_key_id", "secret_access_key"].map(|name| made[name].as_str().unwrap());
    let jane = Cli::new(&server).with_key(id, secret);
    let ran = jane.run(&["doctor", "-o", "json"]).expect_code(0);
    assert!(found(&ran.out).contains(&"info permissions permissions".to_owned()), "{}", ran.out);
    assert!(ran.out.contains("sqs:ListQueues"), "{}", ran.out);

    let nobody = Cli::at(Some("http://127.0.0.1:1".into()));
    let ran = nobody.run(&["doctor", "-o", "json"]).expect_code(1);
    assert_eq!(found(&ran.out), ["error server unreached"]);
}
