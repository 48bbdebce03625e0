//! A command for each message.

use std::{
    fs,
    io::{BufRead as _, BufReader},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stanchion_tests::{
    Server,
    cli::{Cli, eventually, runs},
};

#[test]
fn the_exit_code_decides_what_becomes_of_a_message() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q", "--dlq", "dead", "--max-receives", "9"]);
    cli.run_with(&["send", "q", "--lines", "--attribute", "kind=a b"], "0\n65\n7\n").expect_code(0);
    let script = "read code; echo \"$STANCHION_QUEUE $STANCHION_ATTRIBUTE_KIND $code \
                  $STANCHION_RECEIVE_COUNT\" >> ran; test $code = 7 -a $STANCHION_RECEIVE_COUNT = 1 \
                  && exit 7; test $code = 65 && exit 65; exit 0";
    let args = ["consume", "q", "--max", "3", "--backoff", "1s", "-o", "json", "--"];
    let ran = cli.run(&[&args[..], &["sh", "-c", script]].concat()).expect_code(0);
    let tally: Value = serde_json::from_str(&ran.out).expect("it prints JSON");
    assert_eq!(
        (&tally["done"], &tally["again"], &tally["dead"]),
        (&2.into(), &1.into(), &1.into())
    );
    let file = fs::read_to_string(cli.folder().join("ran")).expect("it ran");
    let mut lines: Vec<_> = file.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["q a b 0 1", "q a b 65 1", "q a b 7 1", "q a b 7 2"]);
    assert_eq!(cli.json(&["count", "q"])["total"], 0);
    let dead = cli.json(&["peek", "dead"]);
    assert_eq!(dead[0]["body"], "65");
    assert_eq!(dead[0]["death_reason"], "sh exited with 65");
}

#[test]
fn the_first_interrupt_lets_commands_finish() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    cli.run_with(&["send", "q", "--lines"], "a\nb\n").expect_code(0);
    let script = "touch begun; while ! test -e go; do sleep 0.05; done; touch finished";
    let args = ["consume", "q", "--drain", "10m", "--", "sh", "-c", script];
    let child = cli.command(&args).spawn().expect("stanchion can be run");
    let is_there = |name: &str| cli.folder().join(name).exists();
    eventually("a command runs", || is_there("begun"));
    kill_process(Pid::from_child(&child), Signal::INT).expect("it can be signalled");
    fs::write(cli.folder().join("go"), "").expect("a file can be written");
    let ended = child.wait_with_output().expect("it ends");
    assert_eq!(ended.status.code(), Some(0), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(is_there("finished"));
    assert_eq!(cli.json(&["count", "q"])["total"], 1, "the other one was not begun with");
}

#[test]
fn the_second_interrupt_gives_messages_back() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    cli.ok(&["send", "q", "a"]);
    let script = "touch begun; sleep 1000";
    let args = ["consume", "q", "--drain", "10m", "--visibility", "10m", "--", "sh", "-c", script];
    let mut child = cli.command(&args).spawn().expect("stanchion can be run");
    eventually("a command runs", || cli.folder().join("begun").exists());
    let pid = Pid::from_child(&child);
    eventually("it ends", || {
        // Its first is the first; which one is the second does not matter.
        let _ = kill_process(pid, Signal::INT);
        child.try_wait().expect("it is our child").is_some()
    });
    eventually("the message is back", || cli.json(&["count", "q"])["available"] == 1);
}

#[test]
fn what_cannot_be_run_is_said() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.run(&["consume", "missing", "--", "true"]).expect_code(3);
    cli.run(&["consume", "q"]).expect_code(2);
    cli.ok(&["queue", "create", "q"]);
    let would = cli.ok(&["consume", "q", "--dry-run", "--", "true"]);
    assert!(would.starts_with("Would run"), "{would}");
}

#[test]
fn a_program_that_is_not_there_costs_no_message_a_receive() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q", "--dlq", "dead", "--max-receives", "1"]);
    cli.ok(&["send", "q", "a"]);
    fs::write(cli.folder().join("no-program"), "echo").expect("a file can be written");
    for program in ["./missing", "missing", "./no-program", "."] {
        let ran = cli.run(&["consume", "q", "--max", "1", "--", program]).expect_code(2);
        assert!(ran.err.contains("there is no program"), "{}", ran.err);
    }
    cli.run(&["consume", "q", "--max", "0", "--", "true"]).expect_code(2);
    let message = &cli.json(&["peek", "q"])[0];
    assert_eq!((&message["body"], &message["receive_count"]), (&"a".into(), &0.into()));
}

#[test]
fn a_command_that_is_ended_leaves_nothing_running() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    // A command that has another one do the work, as shells and interpreters do.
    let script = "sleep 1000 & echo $! >> workers; wait";
    let workers = || {
        let text = fs::read_to_string(cli.folder().join("workers")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for timeout in [&["--timeout", "1s"][..], &[]] {
        let before = workers().len();
        cli.ok(&["send", "q", "a"]);
        let args = [&["consume", "q", "--backoff", "10m", "--drain", "10m"], timeout].concat();
        let mut child = cli
            .command(&[&args[..], &["--", "sh", "-c", script]].concat())
            .spawn()
            .expect("stanchion can be run");
        eventually("a worker begins", || workers().len() > before);
        if !timeout.is_empty() {
            eventually("its time is over", || !runs(&workers()[before]));
        }
        let pid = Pid::from_child(&child);
        eventually("it ends", || {
            let _ = kill_process(pid, Signal::INT);
            child.try_wait().expect("it is our child").is_some()
        });
        eventually("nothing runs", || !workers().iter().any(|worker| runs(worker)));
    }
}

#[test]
fn what_goes_wrong_while_it_runs_is_said() {
    let mut server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    cli.ok(&["send", "q", "a"]);
    let args = ["consume", "q", "--backoff", "10m", "--", "sh", "-c", "exit 65"];
    let mut child = cli.command(&args).spawn().expect("stanchion can be run");
    let mut err = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut said = String::new();
    let mut says = |text: &str| {
        while !said.contains(text) {
            assert_ne!(err.read_line(&mut said).expect("there is a line"), 0, "{said}");
        }
    };
    says("there is no dead-letter queue");
    server.kill();
    says("a receive failed");
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
}
