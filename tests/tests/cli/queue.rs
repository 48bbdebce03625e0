//! Queues from the command line.

use std::fs;

use serde_json::json;
use stanchion_tests::{Server, cli::Cli, sdk, terminal::Terminal};

#[test]
fn a_queue_is_created_with_its_dead_letters_described_changed_and_deleted() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let create = "queue create orders --visibility 2m --retention 4d --max-size 256KiB --wait 20s \
                  --dlq orders-dlq --max-receives 3 --tag team=billing";
    let create: Vec<_> = create.split_whitespace().collect();
    let would = cli.ok(&[&create[..], &["--dry-run"]].concat());
    assert_eq!(would, "Would create orders, and orders-dlq for its dead letters\n");
    assert_eq!(cli.json(&["queue", "ls"]), json!([]));
    let made = cli.json(&create);
    assert_eq!(made["dead_letter_queue_created"], true);
    // The same once more is no mistake, another is.
    assert_eq!(cli.json(&create)["dead_letter_queue_created"], false);
    let ran = cli.run(&["queue", "create", "orders", "--visibility", "3m"]).expect_code(1);
    assert!(ran.err.contains("stanchion queue set"), "{}", ran.err);

    let orders = cli.json(&["queue", "describe", "orders"]);
    let settings = &orders["settings"];
    assert_eq!(settings["visibility_timeout"], 120);
    assert_eq!(settings["message_retention_period"], 345_600);
    assert_eq!(settings["maximum_message_size"], 262_144);
    assert_eq!(settings["receive_message_wait_time_seconds"], 20);
    assert_eq!(
        (&orders["dead_letter_queue"], &orders["max_receive_count"]),
        (&json!("orders-dlq"), &json!(3))
    );
    assert_eq!(orders["tags"], json!({"team": "billing"}));
    let dead = cli.json(&["queue", "describe", "orders-dlq"]);
    assert_eq!(dead["dead_letter_sources"], json!(["orders"]));
    assert_eq!(dead["settings"]["message_retention_period"], 1_209_600);
    let shown = cli.ok(&["queue", "describe", "orders"]);
    for line in
        ["Visibility timeout", "2m", "256 KiB", "to orders-dlq after 3 receives", "team=billing"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }

    let set = ["queue", "set", "orders", "--visibility", "5m", "--max-receives", "9"];
    let would = cli.ok(&[&set[..], &["--dry-run"]].concat());
    assert!(would.contains("Would change orders:"), "{would}");
    assert!(would.contains("Visibility timeout: 2m → 5m"), "{would}");
    assert_eq!(cli.json(&set)["changes"].as_array().unwrap().len(), 2);
    assert_eq!(cli.ok(&set), "orders is set so already\n");
    let orders = cli.json(&["queue", "describe", "orders"]);
    assert_eq!(
        (&orders["settings"]["visibility_timeout"], &orders["max_receive_count"]),
        (&json!(300), &json!(9))
    );
    cli.ok(&["queue", "set", "orders", "--no-dlq"]);
    let orders = cli.json(&["queue", "describe", "orders"]);
    assert_eq!(orders["dead_letter_queue"], json!(null));
    cli.run(&["queue", "set", "orders"]).expect_code(2);
    cli.run(&["queue", "set", "orders", "--max-receives", "2"]).expect_code(2);

    cli.ok(&["queue", "tag", "orders", "stage=prod", "team=sales"]);
    cli.ok(&["queue", "untag", "orders", "team"]);
    let orders = cli.json(&["queue", "describe", "orders"]);
    assert_eq!(orders["tags"], json!({"stage": "prod"}));

    assert_eq!(cli.ok(&["queue", "rm", "orders", "--yes"]), "Deleted orders\n");
    cli.run(&["queue", "describe", "orders"]).expect_code(3);
}

#[test]
fn a_fifo_queue_is_one_by_its_name() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.run(&["queue", "create", "steps", "--fifo"]).expect_code(2);
    cli.run(&["queue", "create", "steps.fifo", "--dlq", "dead"]).expect_code(2);
    let create = "queue create steps.fifo --fifo --content-dedup --high-throughput --dlq dead.fifo";
    cli.ok(&create.split(' ').collect::<Vec<_>>());
    let steps = cli.json(&["queue", "describe", "steps.fifo"]);
    let settings = &steps["settings"];
    assert_eq!(
        (&steps["fifo"], &settings["content_based_deduplication"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(settings["fifo_throughput_limit"], "perMessageGroupId");
    assert_eq!(steps["max_receive_count"], 5);
    let listed = cli.json(&["queue", "ls", "st"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(
        (&listed[0]["fifo"], &listed[0]["dead_letter_queue"]),
        (&json!(true), &json!("dead.fifo"))
    );
}

#[tokio::test]
async fn a_queue_is_purged_when_somebody_says_so() {
    let server = Server::start();
    let (cli, sqs) = (Cli::new(&server), sdk::client(&server));
    let url = sdk::create(&sqs, "orders", &[]).await;
    for _ in 0..3 {
        sdk::send(&sqs, &url, "x").await;
    }
    let ran = cli.run(&["queue", "purge", "orders"]).expect_code(2);
    assert!(ran.err.contains("say --yes"), "{}", ran.err);
    let would = cli.json(&["queue", "purge", "orders", "--dry-run"]);
    assert_eq!(would["messages"], 3);
    assert_eq!(cli.json(&["queue", "ls"])[0]["available"], 3);

    let mut terminal = Terminal::run(cli.command(&["queue", "purge", "orders"]));
    terminal.shows("purge orders of its 3 messages? [y/N] ");
    terminal.types("y\n");
    terminal.end().expect_code(0);
    assert_eq!(cli.json(&["queue", "ls"])[0]["available"], 0);
}

#[test]
fn queues_are_brought_about_as_a_file_says() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let file = cli.folder().join("queues.toml");
    let text = "
        [queues.orders]
        visibility_timeout = 60
        dead_letter_queue = \"orders-dlq\"
        max_receive_count = 5
        tags = { team = \"billing\" }
        [queues.orders-dlq]
        message_retention_period = 1209600
        [queues.\"steps.fifo\"]
        content_based_deduplication = true
    ";
    fs::write(&file, text).unwrap();
    let actions = |plan: &serde_json::Value| -> Vec<String> {
        let step = |step: &serde_json::Value| {
            format!("{} {}", step["action"].as_str().unwrap(), step["queue"].as_str().unwrap())
        };
        plan.as_array().unwrap().iter().map(step).collect()
    };
    let plan = cli.json(&["queue", "apply", "queues.toml", "--dry-run"]);
    let create = ["create orders", "create orders-dlq", "create steps.fifo"];
    assert_eq!(actions(&plan), create);
    assert_eq!(cli.json(&["queue", "ls"]), json!([]));
    assert_eq!(actions(&cli.json(&["queue", "apply", "queues.toml"])), create);
    let orders = cli.json(&["queue", "describe", "orders"]);
    assert_eq!(
        (&orders["dead_letter_queue"], &orders["tags"]),
        (&json!("orders-dlq"), &json!({"team": "billing"}))
    );

    // Once more there is nothing to do, and what the file does not say stays.
    cli.ok(&["queue", "set", "orders", "--delay", "7s"]);
    let again = cli.ok(&["queue", "apply", "queues.toml"]);
    assert!(again.ends_with("0 created, 0 changed\n"), "{again}");
    cli.ok(&["queue", "set", "orders", "--visibility", "1s", "--no-dlq"]);
    cli.ok(&["queue", "create", "other"]);
    let shown = cli.ok(&["queue", "apply", "queues.toml"]);
    assert!(shown.contains("Visibility timeout: 1s → 1m"), "{shown}");
    assert!(shown.contains("RedrivePolicy: none → orders-dlq after 5 receives"), "{shown}");
    assert!(shown.ends_with("0 created, 1 changed\n"), "{shown}");
    let orders = cli.json(&["queue", "describe", "orders"]);
    assert_eq!(
        (&orders["settings"]["delay_seconds"], &orders["max_receive_count"]),
        (&json!(7), &json!(5))
    );

    // What is exported is what there is, and another server can have it.
    for (args, name) in
        [(&["queue", "export"][..], "a.toml"), (&["queue", "export", "-o", "json"], "a.json")]
    {
        let exported = cli.ok(args);
        fs::write(cli.folder().join(name), exported).unwrap();
        let again = cli.ok(&["queue", "apply", name]);
        assert!(again.ends_with("0 created, 0 changed\n"), "{again}");
        let other = Server::start();
        let there = ["queue", "apply", name, "--endpoint", &other.url()];
        assert!(cli.ok(&there).ends_with("4 created, 0 changed\n"));
        assert!(cli.ok(&there).ends_with("0 created, 0 changed\n"));
    }
    let one = cli.ok(&["queue", "export", "other"]);
    assert!(one.contains("[queues.other]") && !one.contains("orders"), "{one}");
    cli.run(&["queue", "export", "othre"]).expect_code(3);
    let ran = cli.run_with(&["queue", "apply", "-"], "[queues.a]\nvisibility = 3").expect_code(1);
    assert!(ran.err.contains("there is no key visibility"), "{}", ran.err);

    // The server's own configuration takes an export as it is.
    let config = cli.folder().join("a.toml");
    let declared = Server::start_with(&["--config", config.to_str().unwrap()]);
    let there = ["queue", "apply", "a.toml", "--endpoint", &declared.url()];
    assert!(cli.ok(&there).ends_with("0 created, 0 changed\n"));
}

#[test]
fn what_cannot_be_applied_is_said_and_the_rest_is_done() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let text = "[queues.good]\n[queues.bad]\nvisibility_timeout = 99999999";
    let ran = cli.run_with(&["queue", "apply", "-"], text).expect_code(5);
    assert!(ran.err.contains("bad: ") && ran.err.contains("1 failed"), "{}", ran.err);
    let listed = cli.json(&["queue", "ls"]);
    assert_eq!(listed.as_array().unwrap().len(), 1);
}

#[test]
fn a_policy_is_set_read_extended_and_taken_away() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "orders"]);
    cli.run(&["queue", "policy", "get", "orders"]).expect_code(3);
    let allow = "queue policy allow orders --principal 111122223333 --action SendMessage --sid s";
    let allow: Vec<_> = allow.split(' ').collect();
    assert!(cli.ok(&[&allow[..], &["--dry-run"]].concat()).contains("sqs:SendMessage"));
    cli.run(&["queue", "policy", "get", "orders"]).expect_code(3);
    cli.ok(&allow);
    cli.ok(&allow);
    let policy = cli.json(&["queue", "policy", "get", "orders"]);
    let statements = policy["Statement"].as_array().unwrap();
    assert_eq!(statements.len(), 1, "{policy}");
    assert_eq!(statements[0]["Action"], json!(["sqs:SendMessage"]));

    let simulate = ["queue", "policy", "simulate", "orders", "SendMessage", "--principal"];
    let decided = cli.json(&[&simulate[..], &["anonymous"]].concat());
    assert_eq!(decided["allowed"], false);
    let more =
        ["queue", "policy", "allow", "orders", "--principal", "*", "--action", "SendMessage"];
    cli.ok(&more);
    let decided = cli.json(&[&simulate[..], &["anonymous"]].concat());
    assert_eq!(
        (&decided["allowed"], &decided["policy_type"], &decided["statement_index"]),
        (&json!(true), &json!("resource"), &json!(1))
    );
    let shown = cli.ok(&[&simulate[..], &["anonymous"]].concat());
    assert!(shown.contains("statement 2 of resource policy 1"), "{shown}");

    let printed = cli.ok(&["queue", "policy", "get", "orders"]);
    cli.ok(&["queue", "create", "others"]);
    cli.run_with(&["queue", "policy", "set", "others", "-"], &printed).expect_code(0);
    assert_eq!(cli.ok(&["queue", "policy", "get", "others"]), printed);
    cli.ok(&["queue", "policy", "rm", "orders"]);
    cli.run(&["queue", "policy", "get", "orders"]).expect_code(3);
    cli.run_with(&["queue", "policy", "set", "orders", "-"], "nonsense").expect_code(1);
}

#[tokio::test]
async fn a_queue_is_paused_and_goes_on() {
    let server = Server::start();
    let (cli, sqs) = (Cli::new(&server), sdk::client(&server));
    let url = sdk::create(&sqs, "orders", &[]).await;
    sdk::send(&sqs, &url, "x").await;
    cli.ok(&["queue", "pause", "orders", "--dry-run"]);
    assert_eq!(cli.json(&["queue", "describe", "orders"])["paused"], json!(null));
    let paused = cli.json(&["queue", "pause", "orders", "--only", "receive"]);
    assert_eq!(paused["paused"], json!({"receive": true, "send": false}));
    assert!(sdk::receive(&sqs, &url, 0).await.is_empty());
    assert_eq!(cli.json(&["queue", "describe", "orders"])["paused"], "receive");
    assert_eq!(cli.ok(&["queue", "resume", "orders"]), "Nothing of orders is paused\n");
    assert_eq!(sdk::receive(&sqs, &url, 0).await.len(), 1);
}

#[tokio::test]
async fn groups_are_listed_skipped_and_purged() {
    let server = Server::start();
    let (cli, sqs) = (Cli::new(&server), sdk::client(&server));
    let fifo = [("FifoQueue", "true"), ("ContentBasedDeduplication", "true")];
    let url = sdk::create(&sqs, "steps.fifo", &fifo).await;
    for body in ["1", "2", "3"] {
        sdk::send_to_group(&sqs, &url, "a", body).await;
    }
    sdk::send_to_group(&sqs, &url, "b", "4").await;
    let group = || cli.json(&["queue", "groups", "ls", "steps.fifo", "--group", "a"])[0].clone();
    let before = group();
    assert_eq!((&before["group"], &before["waiting"]), (&json!("a"), &json!(3)));
    let few = cli.run(&["queue", "groups", "ls", "steps.fifo", "--max", "1"]).expect_code(0);
    assert!(few.err.contains("more than these 1"), "{}", few.err);

    let skip = ["queue", "groups", "skip", "steps.fifo", "a", "--yes"];
    cli.ok(&[&skip[..], &["--dry-run"]].concat());
    cli.run(&[&skip[..], &["--message", "00000000-0000-4000-8000-000000000000"]].concat())
        .expect_code(3);
    let skipped = cli.json(&skip);
    assert_eq!(skipped["deleted"], before["head_message_id"]);
    assert_eq!(group()["waiting"], 2);
    let purged = cli.json(&["queue", "groups", "purge", "steps.fifo", "a", "--yes"]);
    assert_eq!(purged["deleted"], 2);
    let left = cli.json(&["queue", "groups", "ls", "steps.fifo"]);
    assert_eq!(left.as_array().unwrap().len(), 1);
    assert_eq!(left[0]["group"], "b");
}

#[test]
fn the_list_is_watched_until_it_is_interrupted() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "orders"]);
    let terminal = Terminal::run(cli.command(&["queue", "ls", "--watch=10ms"]));
    terminal.shows("orders");
    assert!(!terminal.shown().contains("payments"));
    cli.ok(&["queue", "create", "payments"]);
    terminal.shows("payments");
    terminal.interrupt();
    terminal.end().expect_code(0);
}

#[test]
fn a_queue_for_dead_letters_that_is_left_over_is_mentioned() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let args = ["queue", "create", "orders", "--dlq", "orders-dlq", "--visibility", "13h"];
    let ran = cli.run(&args).expect_code(1);
    assert!(ran.err.contains("orders-dlq was created"), "{}", ran.err);
    let listed = cli.json(&["queue", "ls"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!(listed[0]["name"], "orders-dlq");
    cli.run(&["queue", "rm", "orders-dlq", "--yes", "--yes-i-mean", "orders"]).expect_code(2);
    cli.ok(&["queue", "rm", "orders-dlq", "--yes"]);
}
