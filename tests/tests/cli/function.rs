//! Functions written for AWS Lambda, under the command line.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use stanchion_tests::{
    Server,
    cli::{Cli, eventually, runs},
};

/// A function in Rust, on AWS' own runtime.
const FUNCTION: &str = env!("CARGO_BIN_EXE_lambda-function");

#[test]
fn an_event_by_hand_is_answered() {
    let cli = Cli::at(None);
    let ran = cli.run(&["function", "invoke", "--event", r#"{"a":[1]}"#, "--", FUNCTION]);
    let ran = ran.expect_code(0);
    assert_eq!(ran.out.trim(), r#"{"a":[1]}"#);
    let ran = cli.run(&["function", "invoke", "--event", "{}", "--", "false"]).expect_code(1);
    assert!(ran.err.contains("process"), "{}", ran.err);
}

#[test]
fn messages_are_handled_until_somebody_interrupts() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    cli.run_with(&["send", "q", "--lines"], "{\"name\":\"a\"}\n{\"name\":\"b\"}\n").expect_code(0);
    let args = ["function", "run", "--queue", "q", "-j", "2", "-o", "json", "--", FUNCTION];
    let running = cli.command(&args).env("FUNCTION_DIARY", "diary").spawn().expect("it starts");
    eventually("both are handled", || cli.json(&["count", "q"])["total"] == 0);
    let id = Pid::from_child(&running);
    kill_process(id, Signal::INT).expect("it runs");
    let ended = running.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let tally: Value = serde_json::from_slice(&ended.stdout).expect("it prints JSON");
    assert_eq!((&tally["handled"], &tally["failed"]), (&2.into(), &0.into()));
    let diary = fs::read_to_string(cli.folder().join("diary")).expect("it was written");
    let mut names: Vec<_> = diary.lines().collect();
    names.sort_unstable();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn a_queue_that_hides_messages_too_shortly_is_refused() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q", "--visibility", "2s"]);
    let args = ["function", "run", "--queue", "q", "--timeout", "3s", "--", FUNCTION];
    let ran = cli.run(&args).expect_code(2);
    assert!(ran.err.contains("visibility timeout"), "{}", ran.err);
}

#[test]
fn the_second_interrupt_takes_its_processes_along() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "q"]);
    // It never asks for an event, so that it never ends by itself.
    let script = "sleep 1000 & echo $! >> workers; trap '' TERM; wait";
    let workers = || fs::read_to_string(cli.folder().join("workers")).unwrap_or_default();
    let run = ["function", "run", "--queue", "q", "--min", "1", "--", "sh", "-c", script];
    let invoke = ["function", "invoke", "--event", "{}", "--", "sh", "-c", script];
    // Two of a kind could be taken for one.
    for (args, signals) in [(&run[..], &[Signal::INT, Signal::TERM][..]), (&invoke, &[Signal::INT])]
    {
        let before = workers().lines().count();
        let mut child = cli.command(args).spawn().expect("stanchion can be run");
        eventually("a process runs", || workers().lines().count() > before);
        for signal in signals {
            kill_process(Pid::from_child(&child), *signal).expect("it can be signalled");
        }
        eventually("it ends", || child.try_wait().expect("it is our child").is_some());
        eventually("nothing runs", || !workers().lines().any(runs));
    }
}
