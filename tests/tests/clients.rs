//! The same list of cases, `clients/cases.txt`, with unmodified AWS clients of other languages.

use std::{ffi::OsString, process::Command};

use stanchion_tests::{Server, install};

#[test]
fn boto3() {
    let Some(python) = install::python() else { return };
    let mut command = Command::new(python.join("bin/python"));
    check(command.arg("-B").arg(install::clients().join("python/cases.py")));
}

#[test]
fn aws_command_line() {
    let Some(python) = install::python() else { return };
    let mut path = OsString::from(python.join("bin"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    check(command.arg(install::clients().join("cli/cases.sh")).env("PATH", path));
}

#[test]
fn aws_sdk_for_javascript() {
    let Some(modules) = install::javascript() else { return };
    let mut command = Command::new("node");
    let script = install::clients().join("javascript/cases.mjs");
    check(command.arg(script).env("CLIENT_MODULES", modules));
}

/// Runs a client against a server of its own; it must print `ok` for each case, in order, and
/// nothing else.
fn check(client: &mut Command) {
    let server = Server::start();
    let output = client
        .env("AWS_ENDPOINT_URL", server.url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_PAGER", "")
        .output()
        .expect("the client can be run");
    let cases = include_str!("../clients/cases.txt");
    let expected: String = cases.lines().map(|case| format!("ok {case}\n")).collect();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, expected, "{complained}");
    assert!(output.status.success(), "{}\n{complained}", output.status);
}
