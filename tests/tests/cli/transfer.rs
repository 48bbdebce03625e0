//! Exports and imports: nothing is lost, and nothing changes place.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    cli::{Cli, eventually},
};

/// What is exported, without what a message is given anew when it is sent.
fn content(text: &str) -> Vec<Value> {
    let strip = |line: &str| {
        let mut line: Value = serde_json::from_str(line).expect("a line is JSON");
        let fields = line.as_object_mut().expect("it is an object");
        for name in ["message_id", "sent_at", "sequence_number", "sender_id", "delayed_until"] {
            fields.remove(name);
        }
        line
    };
    text.lines().map(strip).collect()
}

fn export(cli: &Cli, queue: &str) -> String {
    cli.ok(&["export", queue])
}

#[test]
fn a_queue_survives_an_export_and_an_import() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "a"]);
    cli.ok(&["queue", "create", "b"]);
    let input = [
        json!({"body": "plain"}),
        json!({"body": "\u{1f980} \"quoted\"\n\ttext", "trace_header": "Root=1-67891233-abcdef012345678912345678"}),
        json!({"body": "typed", "attributes": {"t": "x", "n": {"type": "Number.int", "value": "007"},
               "b": {"type": "Binary", "value": "AP8="}}}),
        json!({"body": "fair", "group": "tenant"}),
        json!({"body": "late", "delay_seconds": 900}),
    ];
    let input: String = input.iter().map(|line| format!("{line}\n")).collect();
    cli.run_with(&["send", "a", "--ndjson", "--parallel", "1"], &input).expect_code(0);
    let first = export(&cli, "a");
    assert_eq!(first.lines().count(), 5);
    let counts = cli.json(&["count", "a"]);
    assert_eq!(
        (&counts["available"], &counts["delayed"]),
        (&json!(4), &json!(1)),
        "it is as it was"
    );

    let ran = cli.run_with(&["import", "b", "--parallel", "1"], &first).expect_code(0);
    assert!(ran.out.starts_with("Sent 5 messages to b"), "{}", ran.out);
    assert_eq!(content(&export(&cli, "b")), content(&first));
    assert_eq!(cli.json(&["count", "b"])["delayed"], 1, "what was left of the delay is kept");
    let dry = cli.run_with(&["import", "b", "--dry-run"], &first).expect_code(0);
    assert!(dry.out.starts_with("Would send 5"), "{}", dry.out);
    assert_eq!(cli.json(&["count", "b"])["total"], 5);
}

#[test]
fn a_hundred_thousand_messages_keep_the_order_of_their_groups() {
    const MESSAGES: usize = 100_000;
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "a.fifo"]);
    let lines: String = (0..MESSAGES)
        .map(|n| format!("{{\"body\":\"{n}\",\"group\":\"g{}\",\"dedup_id\":\"{n}\"}}\n", n % 97))
        .collect();
    let file = cli.folder().join("many.ndjson");
    fs::write(&file, lines).expect("a file can be written");
    let fed = cli.json(&["import", "a.fifo", "--file", "many.ndjson", "--parallel", "16"]);
    assert_eq!(fed["sent"], MESSAGES, "{fed}");
    assert_eq!(fed["failed"], 0);

    cli.ok(&["export", "a.fifo", "--to", "back.ndjson"]);
    let back = fs::read_to_string(cli.folder().join("back.ndjson")).expect("it is there");
    let mut last = [None; 97];
    let mut count = 0;
    for line in back.lines() {
        let line: Value = serde_json::from_str(line).expect("a line is JSON");
        let number: usize =
            line["body"].as_str().and_then(|body| body.parse().ok()).expect("a number");
        assert_eq!(line["group"], format!("g{}", number % 97));
        assert_eq!(line["dedup_id"], number.to_string());
        let before = last[number % 97].replace(number);
        assert!(before < Some(number), "{number} comes after {before:?}");
        count += 1;
    }
    assert_eq!(count, MESSAGES);
}

#[test]
fn an_import_that_is_interrupted_says_what_is_left() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    let lines: String = (0..200_000).map(|n| format!("{{\"body\":\"{n}\"}}\n")).collect();
    fs::write(cli.folder().join("many.ndjson"), lines).expect("a file can be written");
    let args = ["import", "q", "--file", "many.ndjson", "--errors", "left.ndjson", "-o", "json"];
    let child = cli.command(&args).spawn().expect("stanchion can be run");
    eventually("some are sent", || cli.json(&["count", "q"])["total"] != 0);
    kill_process(Pid::from_child(&child), Signal::INT).expect("it can be signalled");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(5), "{}", String::from_utf8_lossy(&ended.stderr));
    let fed: Value = serde_json::from_slice(&ended.stdout).expect("it prints JSON");
    let number = |name: &str| fed[name].as_u64().expect("a number");
    assert_eq!(number("sent") + number("left"), 200_000, "{fed}");
    let left = fs::read_to_string(cli.folder().join("left.ndjson")).expect("it is there");
    assert_eq!(left.lines().count() as u64, number("left"));
    assert_eq!(cli.json(&["count", "q"])["total"], number("sent"));
    let rest = cli.json(&["import", "q", "--file", "left.ndjson"]);
    assert_eq!(rest["sent"], number("left"));
    assert_eq!(cli.json(&["count", "q"])["total"], 200_000);
}

#[test]
fn dedup_ids_that_come_twice_can_be_replaced() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q.fifo"]);
    let line = |id: &str| json!({"message_id": id, "body": "x", "group": "g", "dedup_id": "d"});
    let input = format!("{}\n{}\n", line("one"), line("two"));
    cli.run_with(&["import", "q.fifo", "--new-dedup-ids"], &input).expect_code(0);
    assert_eq!(cli.json(&["count", "q.fifo"])["available"], 2);
}

#[test]
fn where_nobody_can_look_an_export_receives() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    cli.ok(&["queue", "create", "q.fifo"]);
    cli.run_with(&["send", "q", "--lines"], "a\nb\nc\n").expect_code(0);
    let text = cli.ok(&["export", "q", "--by-receive"]);
    assert_eq!(text.lines().count(), 3);
    assert_eq!(cli.json(&["count", "q"])["in_flight"], 3);
    cli.run(&["export", "q.fifo", "--by-receive"]).expect_code(2);
    let amazon = ["export", "q", "--endpoint", "amazon", "--region", "eu-west-1", "--unsigned"];
    let ran = cli.run(&amazon).expect_code(2);
    assert!(ran.err.contains("--by-receive"), "{}", ran.err);
}

#[test]
fn a_long_delay_goes_on_where_it_is_imported() {
    let server = Server::start();
    let cli = Cli::new(&server);
    for queue in ["a", "b"] {
        cli.ok(&["queue", "create", queue, "--attribute", "Stanchion.LongDelays=true"]);
    }
    let delay = "Stanchion.DelaySeconds:Number=86400";
    cli.ok(&["send", "a", "tomorrow", "--attribute", delay]);
    cli.run_with(&["import", "b"], &export(&cli, "a")).expect_code(0);
    let until = |queue: &str| {
        cli.json(&["peek", queue])[0]["delayed_until"].as_u64().expect("it is delayed")
    };
    assert!(until("a").abs_diff(until("b")) <= 2_000, "{} {}", until("a"), until("b"));
}

#[test]
fn an_export_is_lines_and_says_to_programs_how_many() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    cli.run_with(&["send", "q", "--lines"], "a\nb\n").expect_code(0);
    for format in ["json", "csv"] {
        let ran = cli.run(&["export", "q", "-o", format]).expect_code(2);
        assert!(ran.err.contains("NDJSON"), "{}", ran.err);
    }
    assert_eq!(cli.ok(&["export", "q", "-o", "ndjson"]).lines().count(), 2);
    let said = cli.json(&["export", "q", "--to", "q.ndjson"]);
    assert_eq!((&said["queue"], &said["exported"]), (&"q".into(), &2.into()));
    let ran = cli.run(&["export", "q", "--to", "no/such/folder"]).expect_code(1);
    assert!(ran.err.contains("no/such/folder: "), "{}", ran.err);
}
