//! The README's lines work as printed.

use std::process::Command;

use stanchion_tests::{Server, install};

const README: &str = include_str!("../../README.md");

/// The README's fenced blocks of a language, on `server` instead of the default address.
fn blocks(language: &str, server: &Server) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = README.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(|block| block.replace("http://127.0.0.1:9324", &server.url())).collect()
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("the client can be run");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{complained}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_command_lines_work() {
    let Some(python) = install::python("requirements.txt") else { return };
    let server = Server::start();
    let block = blocks("sh", &server).into_iter().find(|block| block.contains("sqs create-queue"));
    let mut bash = Command::new("bash");
    let path = format!("{}/bin:{}", python.display(), std::env::var("PATH").unwrap());
    let said = output(bash.args(["-euc", &block.unwrap()]).env("PATH", path));
    assert!(said.contains("hello from the command line"), "{said}");
}

#[test]
fn the_python_lines_work() {
    let Some(python) = install::python("requirements.txt") else { return };
    let server = Server::start();
    let [block] = &blocks("python", &server)[..] else { panic!("one block of Python") };
    let said = output(Command::new(python.join("bin/python")).args(["-c", block]));
    assert_eq!(said, "hello from Python\n");
}
