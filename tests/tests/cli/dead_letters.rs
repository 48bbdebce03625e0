//! Dead letters: which there are, and how they go back.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stanchion_tests::{
    Server,
    cli::{Cli, eventually},
};

/// A queue `NAME` with a dead-letter queue `NAME-dlq` that it sends everything to after one receive,
/// or for `NAME.fifo` `NAME-dlq.fifo`.
fn create(cli: &Cli, name: &str) {
    let dead = dead(name);
    cli.ok(&["queue", "create", name, "--dlq", &dead, "--max-receives", "1", "--visibility", "0s"]);
}

fn dead(name: &str) -> String {
    match name.strip_suffix(".fifo") {
        Some(name) => format!("{name}-dlq.fifo"),
        None => format!("{name}-dlq"),
    }
}

/// Lets everything in a queue die.
fn kill_all(cli: &Cli, name: &str) {
    eventually("all messages are dead", || {
        cli.ok(&["receive", name, "-n", "1000", "-o", "ndjson"]);
        cli.json(&["count", name])["total"] == 0
    });
}

fn send(cli: &Cli, name: &str, bodies: &[&str]) {
    let fifo = name.ends_with(".fifo");
    let line = |(n, body): (usize, &&str)| match fifo {
        true => format!("{{\"body\":\"{body}\",\"group\":\"g{}\",\"dedup_id\":\"{n}\"}}\n", n % 2),
        false => format!("{{\"body\":\"{body}\",\"attributes\":{{\"kind\":\"{body}\"}}}}\n"),
    };
    let lines: String = bodies.iter().enumerate().map(line).collect();
    cli.run_with(&["send", name, "--ndjson", "--parallel", "1"], &lines).expect_code(0);
}

fn bodies(cli: &Cli, name: &str) -> Vec<String> {
    let out = cli.ok(&["peek", name, "--all", "--raw"]);
    out.lines().map(str::to_owned).collect()
}

#[test]
fn dead_letters_are_listed_and_sorted_by_what_they_died_of() {
    let server = Server::start();
    let cli = Cli::new(&server);
    create(&cli, "orders");
    create(&cli, "mails");
    cli.ok(&["queue", "create", "other"]);
    send(&cli, "orders", &["refund 17", "refund 18", "order"]);
    kill_all(&cli, "orders");
    let listed = cli.json(&["dlq", "ls"]);
    let listed = listed.as_array().expect("a list");
    assert_eq!(listed.len(), 2);
    let orders = &listed[1];
    assert_eq!(orders["queue"], "orders-dlq");
    assert_eq!(orders["messages"], 3);
    assert_eq!(orders["sources"][0], "orders");

    let kinds = |args: &[&str]| {
        let shown = cli.json(&[&["dlq", "show", "orders-dlq"], args].concat());
        let shown = shown.as_array().expect("a list").clone();
        let kind = |kind: &Value| {
            (kind["kind"].as_str().unwrap_or_default().to_owned(), kind["messages"].as_u64())
        };
        shown.iter().map(kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&[]), [("orders".into(), Some(3))]);
    assert_eq!(kinds(&["--by", "reason"]), [("maxReceiveCount 1 exceeded".into(), Some(3))]);
    assert_eq!(
        kinds(&["--by", "shape"]),
        [("refund #".into(), Some(2)), ("order".into(), Some(1))]
    );
    assert_eq!(
        kinds(&["--by", "attribute:kind", "--contains", "refund"]),
        [("refund 17".into(), Some(1)), ("refund 18".into(), Some(1))]
    );
    let peeked = cli.ok(&["peek", "orders-dlq"]);
    assert!(peeked.contains("dead letter of orders: maxReceiveCount 1 exceeded"), "{peeked}");
}

#[test]
fn everything_goes_back_to_where_it_came_from() {
    let server = Server::start();
    let cli = Cli::new(&server);
    create(&cli, "q");
    send(&cli, "q", &["a", "b", "c"]);
    kill_all(&cli, "q");
    let would = cli.json(&["redrive", "q-dlq", "--dry-run"]);
    assert_eq!((&would["would_move"], &would["to"]["q"]), (&3.into(), &3.into()));
    assert_eq!(cli.json(&["count", "q-dlq"])["total"], 3);
    let done = cli.json(&["redrive", "q-dlq"]);
    assert_eq!((&done["moved"], &done["status"]), (&3.into(), &"completed".into()));
    assert_eq!(cli.json(&["count", "q"])["total"], 3);
    cli.run(&["redrive", "missing"]).expect_code(3);
}

#[test]
fn chosen_ones_go_back_in_the_order_of_their_groups() {
    let server = Server::start();
    let cli = Cli::new(&server);
    create(&cli, "q.fifo");
    let numbers: Vec<String> = (0..300).map(|n| format!("{:03}", n)).collect();
    send(&cli, "q.fifo", &numbers.iter().map(String::as_str).collect::<Vec<_>>());
    kill_all(&cli, "q.fifo");
    let done = cli.json(&["redrive", "q-dlq.fifo", "--group", "g1"]);
    assert_eq!(done["moved"], 150, "{done}");
    let odd: Vec<_> = numbers.iter().skip(1).step_by(2).cloned().collect();
    let even: Vec<_> = numbers.iter().step_by(2).cloned().collect();
    assert_eq!(bodies(&cli, "q.fifo"), odd);
    assert_eq!(bodies(&cli, "q-dlq.fifo"), even);
    cli.ok(&["queue", "create", "repair.fifo"]);
    let done = cli.json(&["redrive", "q-dlq.fifo", "--to", "repair.fifo"]);
    assert_eq!(done["moved"], 150, "{done}");
    assert_eq!(bodies(&cli, "repair.fifo"), even);
}

#[test]
fn a_message_that_keeps_dying_is_left() {
    let server = Server::start();
    let cli = Cli::new(&server);
    create(&cli, "q");
    send(&cli, "q", &["poison"]);
    for _ in 0..2 {
        kill_all(&cli, "q");
        let done = cli.json(&["redrive", "q-dlq", "--max-redrives", "2"]);
        assert_eq!((&done["moved"], &done["left"]), (&1.into(), &0.into()));
    }
    send(&cli, "q", &["fresh"]);
    kill_all(&cli, "q");
    let done = cli.json(&["redrive", "q-dlq", "--max-redrives", "2"]);
    assert_eq!((&done["moved"], &done["left"]), (&1.into(), &1.into()));
    assert_eq!(bodies(&cli, "q"), ["fresh"]);
    let left = cli.json(&["peek", "q-dlq"]);
    assert_eq!(left[0]["redrive_count"], 2);
}

#[test]
fn a_redrive_that_is_interrupted_says_how_far_it_came_and_goes_on() {
    let server = Server::start();
    let cli = Cli::new(&server);
    create(&cli, "q");
    let numbers: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    send(&cli, "q", &numbers.iter().map(String::as_str).collect::<Vec<_>>());
    kill_all(&cli, "q");
    for filter in [&[][..], &["--state", "available"]] {
        let before = cli.json(&["count", "q"])["total"].clone();
        let args = [&["redrive", "q-dlq", "--rate", "20", "-o", "json"], filter].concat();
        let child = cli.command(&args).spawn().expect("stanchion can be run");
        eventually("some are moved", || cli.json(&["count", "q"])["total"] != before);
        kill_process(Pid::from_child(&child), Signal::INT).expect("it can be signalled");
        let ended = child.wait_with_output().expect("it ends");
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(5), "{err}");
        assert!(err.contains("the same command moves the rest"), "{err}");
        let said: Value = serde_json::from_slice(&ended.stdout).expect("it prints JSON");
        assert_eq!(said["status"], "cancelled");
        let moved = cli.json(&["count", "q"])["total"].as_u64().expect("a count")
            - before.as_u64().expect("a count");
        assert_eq!(said["moved"], moved);
    }
    let there = cli.json(&["count", "q-dlq"])["total"].clone();
    assert_eq!(cli.json(&["redrive", "q-dlq"])["moved"], there);
    assert_eq!(cli.json(&["count", "q"])["total"], 500);
}

#[test]
fn a_protected_context_asks_for_the_name() {
    let server = Server::start();
    let cli = Cli::new(&server);
    create(&cli, "q");
    send(&cli, "q", &["a"]);
    kill_all(&cli, "q");
    let url = server.url();
    cli.ok(&["context", "add", "prod", "--endpoint", &url, "--unsigned", "--protected"]);
    let redrive = ["redrive", "q-dlq", "--context", "prod", "-o", "json"];
    let ran = cli.run(&redrive).expect_code(2);
    assert!(ran.err.contains("--yes-i-mean q-dlq"), "{}", ran.err);
    cli.run(&[&redrive[..], &["--yes-i-mean", "q-dlq"]].concat()).expect_code(0);
    assert_eq!(cli.json(&["count", "q"])["total"], 1);
}

#[test]
fn a_redrive_whose_server_goes_says_what_was_moved() {
    let mut server = Server::start();
    let cli = Cli::new(&server);
    create(&cli, "q");
    let numbers: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    send(&cli, "q", &numbers.iter().map(String::as_str).collect::<Vec<_>>());
    kill_all(&cli, "q");
    let args = ["redrive", "q-dlq", "--rate", "10", "--state", "available"];
    let child = cli.command(&args).spawn().expect("stanchion can be run");
    eventually("some are moved", || cli.json(&["count", "q"])["total"] != 0);
    server.kill();
    let ended = child.wait_with_output().expect("it ends");
    let err = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(5), "{err}");
    assert!(err.contains("0 were moved, and the same command moves the rest"), "{err}");
}
