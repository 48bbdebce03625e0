//! Sending, receiving, looking, following, deleting, counting.

use std::io::{BufRead as _, BufReader, Write as _};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use stanchion_tests::{Server, cli::Cli, terminal::Terminal};

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn bodies(out: &str) -> Vec<String> {
    lines(out).iter().map(|line| line["body"].as_str().unwrap_or_default().to_owned()).collect()
}

fn with_queue(name: &str) -> (Server, Cli) {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", name]);
    (server, cli)
}

#[test]
fn a_message_is_sent_received_extended_and_deleted() {
    let (_server, cli) = with_queue("orders");
    let sent = cli.json(&[
        "send",
        "orders",
        "{\"id\":7}",
        "--attribute",
        "kind=order",
        "--attribute",
        "n:Number=3",
    ]);
    let received = cli.json(&["receive", "orders", "--visibility", "10m"]);
    let message = &received[0];
    assert_eq!(message["message_id"], sent["message_id"]);
    assert_eq!(message["body"], "{\"id\":7}");
    assert_eq!(message["attributes"]["kind"], "order");
    assert_eq!(message["attributes"]["n"], json!({"type": "Number", "value": "3"}));
    let handle = message["receipt_handle"].as_str().expect("it has a handle");
    assert_eq!(cli.ok(&["receive", "orders", "-o", "json"]), "[]\n");
    assert!(cli.ok(&["extend", "orders", handle, "--by", "0"]).contains("Extended 1"));
    let again = cli.json(&["receive", "orders", "--visibility", "10m"]);
    assert_eq!(again[0]["receive_count"], 2);
    let handle = again[0]["receipt_handle"].as_str().expect("it has a handle");
    assert!(cli.ok(&["delete", "orders", handle, "--dry-run"]).starts_with("Would delete 1"));
    assert!(cli.ok(&["delete", "orders", handle]).starts_with("Deleted 1"));
    assert_eq!(cli.json(&["count", "orders"])["total"], 0);
    let ran = cli.run(&["delete", "orders", "nonsense"]).expect_code(1);
    assert!(ran.err.contains("ReceiptHandleIsInvalid"), "{}", ran.err);
    cli.run(&["delete", "orders"]).expect_code(2);
}

#[test]
fn what_is_on_standard_input_is_sent_whole_or_by_its_lines() {
    let (_server, cli) = with_queue("q");
    cli.run_with(&["send", "q"], "two\nlines\n").expect_code(0);
    assert_eq!(cli.ok(&["receive", "q", "--delete", "--raw"]), "two\nlines\n");
    let ran =
        cli.run_with(&["send", "q", "--lines", "--attribute", "a=b"], "x\n\ny\r\nz").expect_code(0);
    assert!(ran.out.starts_with("Sent 3 messages to q"), "{}", ran.out);
    let mut received = bodies(&cli.ok(&["receive", "q", "-n", "10", "-o", "ndjson"]));
    received.sort();
    assert_eq!(received, ["x", "y", "z"]);
    cli.run_with(&["send", "missing", "--lines"], "x\n").expect_code(3);
    cli.run(&["send", "missing", "x"]).expect_code(3);
}

#[test]
fn what_the_server_refuses_is_kept_and_can_be_sent_again() {
    let (_server, cli) = with_queue("q");
    let input = [
        r#"{"body":"good","attributes":{"n":1}}"#,
        r#"{"body":"bad","delay_seconds":100000}"#,
        "no JSON",
        r#"{"body":{"id":1}}"#,
    ];
    let args = ["send", "q", "--ndjson", "--errors", "errors.ndjson"];
    let ran = cli.run_with(&args, &input.join("\n")).expect_code(5);
    assert!(ran.out.starts_with("Sent 2 messages"), "{}", ran.out);
    let errors = std::fs::read_to_string(cli.folder().join("errors.ndjson")).expect("it is there");
    let mut errors: Vec<_> = errors.lines().collect();
    errors.sort_unstable();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(errors[0], "no JSON");
    let refused: Value = serde_json::from_str(errors[1]).expect("a line is JSON");
    assert_eq!(refused["body"], "bad");
    assert!(refused["error"].as_str().is_some_and(|why| why.contains("DelaySeconds")), "{refused}");
    let mended = errors[1].replace("100000", "0");
    cli.run_with(&["send", "q", "--ndjson"], &mended).expect_code(0);
    let mut received = bodies(&cli.ok(&["receive", "q", "-n", "10", "-o", "ndjson"]));
    received.sort();
    assert_eq!(received, ["bad", "good", "{\"id\":1}"]);
}

#[test]
fn a_server_that_is_gone_leaves_everything_in_the_error_file() {
    let (mut server, cli) = with_queue("q");
    server.kill();
    let input: String = (0..50).map(|n| format!("{n}\n")).collect();
    let args = ["send", "q", "--lines", "--errors", "errors.ndjson"];
    cli.run_with(&args, &input).expect_code(1);
    let errors = std::fs::read_to_string(cli.folder().join("errors.ndjson")).expect("it is there");
    let mut left: Vec<u32> =
        bodies(&errors).iter().map(|body| body.parse().expect("a number")).collect();
    left.sort_unstable();
    assert_eq!(left, (0..50).collect::<Vec<_>>());
}

#[test]
fn to_peek_changes_nothing_and_finds_what_is_meant() {
    let (_server, cli) = with_queue("q.fifo");
    let input: String = (0..250)
        .map(|n| {
            let body = json!({"n": n, "text": format!("number {n}")});
            json!({"body": body, "group": format!("g{}", n % 5), "dedup_id": n.to_string(),
                   "attributes": {"even": (n % 2 == 0).to_string()}})
            .to_string()
                + "\n"
        })
        .collect();
    cli.run_with(&["send", "q.fifo", "--ndjson"], &input).expect_code(0);
    let count = |args: &[&str]| {
        let args = [&["peek", "q.fifo", "--all", "-o", "ndjson"], args].concat();
        lines(&cli.ok(&args)).len()
    };
    assert_eq!(count(&[]), 250);
    assert_eq!(count(&["--group", "g3"]), 50);
    assert_eq!(count(&["--attribute", "even=true"]), 125);
    assert_eq!(count(&["--attribute", "odd"]), 0);
    assert_eq!(count(&["--contains", "number 24"]), 11);
    assert_eq!(count(&["--json-path", "$.n", "--json-equals", "7"]), 1);
    assert_eq!(count(&["--state", "in-flight,returned"]), 0);
    assert_eq!(cli.json(&["peek", "q.fifo"]).as_array().map(Vec::len), Some(10));
    let found = cli.json(&["peek", "q.fifo", "--json-path", "$.n", "--json-equals", "7"]);
    let id = found[0]["message_id"].as_str().expect("it has an id");
    assert_eq!(count(&["--id", id]), 1);
    assert_eq!(cli.json(&["count", "q.fifo", "--group", "g3"])["messages"], 50);
    assert_eq!(cli.json(&["count", "q.fifo"])["available"], 250, "nothing was received");

    let shown = cli.ok(&["peek", "q.fifo", "--id", id, "--pretty"]);
    assert!(shown.contains("\n{\n  \"n\": 7,\n  \"text\": \"number 7\"\n}\n"), "{shown}");
    assert!(shown.contains("group g2") && shown.contains("even=false"), "{shown}");
    let csv = cli.ok(&["peek", "q.fifo", "-n", "2", "-o", "csv"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    assert!(csv.starts_with("message_id,state,sent_at,"), "{csv}");

    cli.run(&["delete", "q.fifo", "--group", "g3"]).expect_code(2);
    assert!(
        cli.ok(&["delete", "q.fifo", "--group", "g3", "--dry-run"]).contains("Would delete 50")
    );
    assert!(cli.ok(&["delete", "q.fifo", "--group", "g3", "--yes"]).contains("Deleted 50"));
    assert_eq!(count(&[]), 200);
    cli.run(&["peek", "missing"]).expect_code(3);
}

#[test]
fn bodies_are_unpacked() {
    let (_server, cli) = with_queue("q");
    // "hello" as gzip makes it, in base64.
    cli.ok(&["send", "q", "H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA=="]);
    assert_eq!(cli.ok(&["peek", "q", "--decode", "gzip", "--raw"]), "hello\n");
    cli.ok(&["receive", "q", "--delete"]);
    cli.ok(&["send", "q", "aGVsbG8="]);
    assert_eq!(cli.ok(&["receive", "q", "--decode", "base64", "--raw"]), "hello\n");
}

#[test]
fn a_tail_follows_without_consuming() {
    let (_server, cli) = with_queue("q");
    cli.ok(&["send", "q", "before"]);
    assert_eq!(cli.ok(&["tail", "q", "--raw"]), "before\n");
    let args = ["tail", "-f", "q", "-n", "1", "--raw", "--max", "3"];
    let mut child = cli.command(&args).spawn().expect("stanchion can be run");
    let mut shown = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut next = || shown.next().expect("there is another line").expect("it can be read");
    assert_eq!(next(), "before");
    // It has seen the end by now, so what comes is new.
    cli.ok(&["send", "q", "one"]);
    assert_eq!(next(), "one");
    cli.ok(&["send", "q", "two"]);
    assert_eq!(next(), "two");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(cli.json(&["count", "q"])["available"], 3);
}

#[test]
fn a_reader_that_is_gone_ends_it_and_nothing_unread_is_deleted() {
    let (_server, cli) = with_queue("q");
    let input: String = (0..2_000).map(|n| format!("{n}{}\n", "x".repeat(1_000))).collect();
    cli.run_with(&["send", "q", "--lines"], &input).expect_code(0);
    let args = ["receive", "q", "-n", "2000", "--delete", "--raw"];
    let mut child = cli.command(&args).spawn().expect("stanchion can be run");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut first = String::new();
    out.read_line(&mut first).expect("there is a line");
    drop(out);
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    // What a pipe and a buffer take was written; the rest is there.
    let left = cli.json(&["count", "q"])["total"].as_u64().expect("a count");
    assert!((1_000..2_000).contains(&left), "{left}");
}

#[test]
fn input_that_trickles_is_sent_as_it_comes() {
    let (_server, cli) = with_queue("q");
    let mut child = cli.start_with_input(&["send", "q", "--lines"]);
    let mut stdin = child.stdin.take().expect("it is piped");
    writeln!(stdin, "early").expect("it reads");
    assert_eq!(cli.ok(&["receive", "q", "--wait", "20s", "--raw"]), "early\n");
    drop(stdin);
    assert!(child.wait().expect("it ends").success());
}

#[test]
fn what_others_wrote_does_not_command_the_terminal() {
    let (_server, cli) = with_queue("q");
    // ESC c resets a terminal; as base64, since a body cannot have it. U+009B and CR a body can have.
    let line = json!({"body": "G2NoZWxsbw==", "attributes": {"who": "me\u{9b}2J\rroot\nyou"}});
    cli.run_with(&["send", "q", "--ndjson"], &line.to_string()).expect_code(0);
    let peek = ["peek", "q", "--decode", "base64"];
    for format in [&[][..], &["--raw"], &["-o", "json"], &["-o", "ndjson"], &["-o", "csv"]] {
        let mut command = cli.command(&[&peek[..], format].concat());
        command.env("NO_COLOR", "1");
        let shown = Terminal::run(command).end().expect_code(0).out;
        // A terminal ends its lines itself.
        let commands = |c: char| c.is_control() && !matches!(c, '\r' | '\n');
        assert!(!shown.contains(commands), "{shown:?}");
        assert!(shown.contains(r"\u001bchello"), "{shown:?}");
    }
    let shown = cli.ok(&peek);
    assert!(shown.contains(r"who=me\u009b2J\u000droot\nyou"), "{shown}");
    // A program gets what was sent.
    assert_eq!(cli.ok(&[&peek[..], &["--raw"]].concat()), "\u{1b}chello\n");
    let read = cli.json(&peek);
    assert_eq!(read[0]["attributes"]["who"], line["attributes"]["who"]);
}

#[test]
fn what_cannot_be_read_ends_a_send_and_nothing_is_overwritten() {
    let (_server, cli) = with_queue("q");
    let ran = cli.run(&["send", "q", "--lines", "--file", "."]).expect_code(1);
    assert!(ran.err.contains("it is a folder"), "{}", ran.err);
    let ran = cli.run(&["send", "q", "--lines", "--file", "missing"]).expect_code(1);
    assert!(ran.err.contains("missing: "), "{}", ran.err);
    let file = cli.folder().join("failed.ndjson");
    std::fs::write(&file, "{\"body\":\"a\"}\n").expect("a file can be written");
    let args = ["send", "q", "--ndjson", "--errors", "./failed.ndjson"];
    cli.run(&[&args[..], &["--file", "failed.ndjson"]].concat()).expect_code(2);
    let mut command = cli.command(&args);
    command.stdin(std::fs::File::open(&file).expect("it is there"));
    assert_eq!(command.output().expect("stanchion can be run").status.code(), Some(2));
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), "{\"body\":\"a\"}\n");
    assert_eq!(cli.json(&["count", "q"])["total"], 0);
}

#[test]
fn a_tail_that_is_interrupted_printed_something_whole() {
    let (_server, cli) = with_queue("q");
    cli.ok(&["send", "q", "before"]);
    let args = ["tail", "-f", "q", "-n", "1", "-o", "json"];
    let mut child = cli.command(&args).spawn().expect("stanchion can be run");
    let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut text = String::new();
    // What ends the first message comes with the second.
    let mut until = |body: &str| {
        while !text.contains(body) {
            let bytes = out.fill_buf().expect("there is more");
            assert!(!bytes.is_empty(), "{text}");
            text += &String::from_utf8_lossy(bytes);
            let count = bytes.len();
            out.consume(count);
        }
    };
    until("before");
    // It listens to signals once it follows, which it does when the next message comes.
    cli.ok(&["send", "q", "after"]);
    until("after");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it can be signalled");
    std::io::Read::read_to_string(&mut out, &mut text).expect("there is an end");
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let read: Value = serde_json::from_str(&text).expect("it is one document");
    assert_eq!(read.as_array().map(Vec::len), Some(2));
}

#[test]
fn part_of_a_second_is_a_second_and_not_none() {
    let (_server, cli) = with_queue("q");
    cli.ok(&["send", "q", "a"]);
    let received = cli.json(&["receive", "q", "--visibility", "10m"]);
    let handle = received[0]["receipt_handle"].as_str().expect("it has a handle");
    let said = cli.ok(&["extend", "q", handle, "--by", "300ms", "--dry-run"]);
    assert_eq!(said, "Would hide 1 messages for 1s\n");
    let none = cli.ok(&["delete", "q", "--older-than", "3600001ms", "--dry-run"]);
    assert!(none.starts_with("Would delete 0 "), "{none}");
    let ran = cli.run(&["extend", "q", handle, "--by", "18446744073709551615"]).expect_code(2);
    assert!(ran.err.contains("longer than a century"), "{}", ran.err);
}
