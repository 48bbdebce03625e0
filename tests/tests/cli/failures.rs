//! What goes wrong, and how it is said; and what is printed for whom.

use std::{
    fs,
    io::{BufRead as _, BufReader},
};

use serde_json::{Value, json};
use stanchion_tests::{Server, cli::Cli, sdk, terminal::Terminal};

#[test]
fn no_server_is_said_with_what_to_try() {
    let cli = Cli::at(Some("http://127.0.0.1:1".into()));
    for args in [&["queue", "ls"][..], &["queue", "describe", "x"], &["server", "health"]] {
        let ran = cli.run(args).expect_code(1);
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
        assert!(ran.err.contains("hint: is the server running there?"), "{}", ran.err);
        assert!(ran.out.is_empty());
    }
    let ran = Cli::at(Some("nonsense".into())).run(&["queue", "ls"]).expect_code(2);
    assert!(ran.err.contains("http://127.0.0.1:9324"), "{}", ran.err);
}

#[test]
fn who_is_not_known_or_may_not_is_denied() {
    let server = Server::start_signed(&[]);
    let denied = |cli: &Cli, parts: &[&str]| {
        let ran = cli.run(&["queue", "ls"]).expect_code(4);
        for part in parts {
            assert!(ran.err.contains(part), "{part}: {}", ran.err);
        }
    };
    denied(&Cli::new(&server), &["MissingAuthenticationToken", "request "]);
    let stranger = Cli::new(&server).with_key("AKIANOBODYKNOWSTHIS0", "secret");
    denied(&stranger, &["does not know this access key"]);
    let mistaken = Cli::new(&server).with_key(sdk::ROOT_KEY, "another");
    denied(&mistaken, &["the secret is another one"]);
    let made = Cli::signed(&server).json(&["key", "create", "--user", "jane"]);
    let [id, secret] =
        ["access_key_id", "secret_access_key"].map(|name| made[name].as_str().unwrap());
    denied(&Cli::new(&server).with_key(id, secret), &["is not authorized to perform"]);
}

#[test]
fn a_queue_that_does_not_exist_is_answered_with_the_one_that_was_meant() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let ran = cli.run(&["queue", "describe", "ordres"]).expect_code(3);
    assert!(ran.err.contains("there are no queues on"), "{}", ran.err);
    cli.ok(&["queue", "create", "orders"]);
    cli.ok(&["queue", "create", "payments"]);
    let two = "{\"body\":\"a\"}\n{\"body\":\"b\"}\n";
    fs::write(cli.folder().join("two"), two).unwrap();
    for args in [
        &["queue", "describe", "ordres"][..],
        &["queue", "set", "ordres", "--wait", "1s"],
        &["queue", "tag", "ordres", "a=b"],
        &["queue", "untag", "ordres", "a"],
        &["queue", "purge", "ordres"],
        &["queue", "rm", "ordres"],
        &["queue", "export", "ordres"],
        &["queue", "pause", "ordres"],
        &["queue", "resume", "ordres"],
        &["queue", "groups", "ls", "ordres"],
        &["queue", "policy", "get", "ordres"],
        &["send", "ordres", "hello"],
        &["send", "ordres", "--file", "two", "--lines"],
        &["import", "ordres", "--file", "two"],
        &["receive", "ordres"],
        &["receive", "ordres", "--dry-run"],
        &["peek", "ordres"],
        &["tail", "ordres"],
        &["delete", "ordres", "handle"],
        &["delete", "ordres", "--contains", "x", "--yes"],
        &["extend", "ordres", "handle", "--by", "1s"],
        &["count", "ordres"],
        &["count", "ordres", "--contains", "x"],
        &["export", "ordres"],
        &["dlq", "show", "ordres"],
        &["redrive", "ordres"],
        &["redrive", "ordres", "--dry-run"],
        &["redrive", "payments", "--to", "ordres"],
        &["consume", "ordres", "--", "true"],
        &["function", "run", "--queue", "ordres", "--", "true"],
    ] {
        let ran = cli.run(args).expect_code(3);
        assert!(ran.err.contains("there is no queue \"ordres\""), "{args:?}: {}", ran.err);
        assert!(ran.err.contains("hint: did you mean orders?"), "{args:?}: {}", ran.err);
        assert!(ran.err.contains("QueueDoesNotExist"), "{args:?}: {}", ran.err);
    }
    // The doctor goes on, and says so among the rest.
    let ran = cli.run(&["doctor", "ordres"]).expect_code(1);
    assert!(ran.out.contains("did you mean orders?"), "{}", ran.out);
    let ran = cli.run(&["queue", "describe", "invoices"]).expect_code(3);
    assert!(ran.err.contains("`stanchion queue ls` lists the queues"), "{}", ran.err);
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_done() {
    let server = Server::start();
    let cli = Cli::new(&server);
    for args in [
        &["queue"][..],
        &["queue", "create"],
        &["queue", "create", "a", "--visibility", "soon"],
        &["queue", "create", "a", "--max-size", "1 parsec"],
        &["queue", "create", "a", "--max-receives", "3"],
        &["queue", "create", "a", "--attribute", "VisibilityTimeout"],
        &["queue", "set", "a", "--no-dlq", "--dlq", "b"],
        &["queue", "ls", "--output", "xml"],
        &["queue", "export", "-o", "csv"],
        &["nonsense"],
    ] {
        cli.run(args).expect_code(2);
    }
    assert_eq!(cli.json(&["queue", "ls"]), json!([]));
}

#[test]
fn every_format_says_the_same() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let empty = cli.run(&["queue", "ls"]).expect_code(0);
    assert!(empty.out.is_empty() && empty.err.contains("There are no queues"), "{}", empty.err);
    for name in ["a", "b.fifo"] {
        cli.ok(&["queue", "create", name]);
    }
    let list = cli.json(&["queue", "ls"]);
    let lines = cli.ok(&["queue", "ls", "-o", "ndjson"]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(list, Value::Array(lines));
    // In the order of the table's columns.
    let names = "name,fifo,available,in_flight,delayed,oldest_age_seconds,dead_letter_queue";
    let csv = cli.ok(&["queue", "ls", "-o", "csv"]);
    assert_eq!(csv, format!("{names}\na,false,0,0,0,,\nb.fifo,true,0,0,0,,\n"));
    let table = cli.ok(&["queue", "ls"]);
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..3], ["NAME", "TYPE", "AVAILABLE"]);
    assert_eq!(rows[2][..3], ["b.fifo", "fifo", "0"]);
}

#[test]
fn colours_are_for_terminals_whose_reader_wants_them() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "orders"]);
    const ESCAPE: char = '\u{1b}';
    let list = || cli.command(&["queue", "ls"]);
    let missing = || cli.command(&["queue", "describe", "x"]);
    assert!(!cli.ok(&["queue", "ls"]).contains(ESCAPE));
    for command in [list(), missing()] {
        assert!(Terminal::run(command).end().out.contains(ESCAPE));
    }
    for mut command in [list(), missing()] {
        command.env("NO_COLOR", "1");
        let out = Terminal::run(command).end().out;
        assert!(!out.contains(ESCAPE), "{out:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_mistake() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "orders"]);
    for format in ["table", "json", "ndjson", "csv"] {
        let args = ["queue", "ls", "--watch=1ms", "-o", format];
        let mut child = cli.command(&args).spawn().unwrap();
        // One line, and then nobody reads any more.
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let ended = child.wait_with_output().unwrap();
        let err = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success() && err.is_empty(), "{format}: {err}");
    }
}

#[test]
fn shells_complete_commands_and_the_queues_there_are() {
    let server = Server::start();
    let cli = Cli::new(&server);
    for name in ["orders", "orders-dlq", "payments"] {
        cli.ok(&["queue", "create", name]);
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(cli.ok(&["completions", shell]).contains("stanchion"));
    }
    let complete = |cli: &Cli, line: &[&str]| -> Vec<String> {
        let words = [&["--", "stanchion"], line].concat();
        let mut command = cli.command(&words);
        command.env("COMPLETE", "bash").env("_CLAP_IFS", "\n");
        let output = command.env("_CLAP_COMPLETE_INDEX", line.len().to_string()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    };
    assert_eq!(complete(&cli, &["queue", "des"]), ["describe"]);
    assert_eq!(complete(&cli, &["queue", "describe", "or"]), ["orders", "orders-dlq"]);
    let dlq = ["queue", "set", "orders", "--dlq", "pay"];
    assert_eq!(complete(&cli, &dlq), ["payments"]);
    // What the line says about the server counts, and one that does not answer costs little.
    let elsewhere = ["--endpoint", "http://127.0.0.1:1", "queue", "describe", "or"];
    assert!(complete(&cli, &elsewhere).is_empty());
    let here = ["--endpoint", &server.url(), "queue", "describe", "or"];
    let nowhere = Cli::at(None);
    assert_eq!(complete(&nowhere, &here), ["orders", "orders-dlq"]);
}

#[test]
fn every_command_has_a_manual_page() {
    let cli = Cli::at(None);
    cli.ok(&["man", "pages"]);
    let page = fs::read_to_string(cli.folder().join("pages/stanchion-queue-create.1")).unwrap();
    assert!(page.contains("stanchion queue create orders"), "{page}");
    for page in ["stanchion", "stanchion-doctor", "stanchion-queue-policy-allow"] {
        assert!(cli.folder().join(format!("pages/{page}.1")).exists(), "{page}");
    }
}
