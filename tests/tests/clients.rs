//! The same list of cases, `clients/cases.txt`, with unmodified AWS clients and servers that verify
//! their signatures; and what the README says about them.

mod rust;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::Path,
    process::{Command, Output},
};

use stanchion_tests::{Server, http, install, sdk};

const README: &str = include_str!("../../README.md");
const CASES: &str = include_str!("../clients/cases.txt");

/// The case that needs a signer of URLs, which not every client has.
const PRESIGNED: &str = "presigned urls";

/// The case that needs actions of June 2023.
const MOVE_TASKS: &str = "move tasks";

/// The protocol of a client's SDK, as the metrics name it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Speaks {
    Json,
    Query,
}

#[test]
fn boto3() {
    with_boto3("requirements.txt", Speaks::Json, &["--shards", "1"]);
}

#[test]
fn boto3_with_four_shards() {
    with_boto3("requirements.txt", Speaks::Json, &["--shards", "4"]);
}

#[test]
fn boto3_from_before_json() {
    with_boto3("requirements-query.txt", Speaks::Query, &[]);
}

fn with_boto3(packages: &str, speaks: Speaks, args: &[&str]) {
    let Some(python) = install::python(packages) else { return };
    let mut command = Command::new(python.join("bin/python"));
    command.arg("-B").arg(install::clients().join("python/cases.py"));
    run(&mut command, Server::start_signed(args)).check("boto3", speaks, &[]);
}

#[test]
fn aws_sdk_for_javascript() {
    with_javascript("package.json", Speaks::Json);
}

#[test]
fn aws_sdk_for_javascript_from_before_json() {
    with_javascript("package-query.json", Speaks::Query);
}

fn with_javascript(packages: &str, speaks: Speaks) {
    let Some(modules) = install::javascript(packages) else { return };
    let mut command = Command::new("node");
    let script = install::clients().join("javascript/cases.mjs");
    command.arg(script).env("CLIENT_MODULES", modules);
    run(&mut command, Server::start_signed(&[])).check("AWS SDK for JavaScript v3", speaks, &[]);
}

#[test]
fn aws_command_line_1() {
    let Some(python) = install::python("requirements.txt") else { return };
    with_command_line(&python.join("bin"), "AWS CLI 1", Speaks::Json, &[PRESIGNED]);
}

#[test]
fn aws_command_line_2() {
    let Some((folder, version)) = install::command_line_2() else { return };
    // It is whatever the system has: 2.12 was the first with move tasks, and 2.14 the first of
    // which all releases speak JSON.
    let speaks = if version < (2, 14) { Speaks::Query } else { Speaks::Json };
    let without = if version < (2, 12) { &[PRESIGNED, MOVE_TASKS][..] } else { &[PRESIGNED] };
    with_command_line(&folder, "AWS CLI 2", speaks, without);
}

fn with_command_line(folder: &Path, name: &str, speaks: Speaks, without: &[&str]) {
    let mut path = OsString::from(folder);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command.arg(install::clients().join("cli/cases.sh")).env("PATH", path);
    run(&mut command, Server::start_signed(&[])).check(name, speaks, without);
}

#[test]
fn aws_sdk_for_go() {
    if install::go().is_none() {
        return;
    }
    let mut command = Command::new("go");
    command.args(["run", "."]).current_dir(install::clients().join("go"));
    command.env("GOTOOLCHAIN", "local");
    run(&mut command, Server::start_signed(&[])).check("AWS SDK for Go v2", Speaks::Json, &[]);
}

#[test]
fn aws_sdk_for_java() {
    let Some(jars) = install::java() else { return };
    let mut command = Command::new("java");
    command.arg("-Dfile.encoding=UTF-8").arg("-cp").arg(jars.join("*"));
    command.arg(install::clients().join("java/Cases.java"));
    run(&mut command, Server::start_signed(&[])).check("AWS SDK for Java v2", Speaks::Json, &[]);
}

#[tokio::test]
async fn aws_sdk_for_rust() {
    let server = Server::start_signed(&[]);
    let sqs = sdk::client(&server);
    for case in CASES.lines().filter(|case| *case != PRESIGNED) {
        rust::run(case, &sqs).await;
    }
    check_actions(&server, "AWS SDK for Rust", Speaks::Json);
}

/// What a client made of the cases against a server of its own.
struct Run {
    output: Output,
    server: Server,
}

fn run(client: &mut Command, server: Server) -> Run {
    let output = client
        .env("AWS_ENDPOINT_URL", server.url())
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", sdk::ROOT_KEY)
        .env("AWS_SECRET_ACCESS_KEY", sdk::ROOT_SECRET)
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("AWS_PAGER", "")
        .output()
        .expect("the client can be run");
    Run { output, server }
}

impl Run {
    /// It must have printed `ok` for each case but those it is `without`, in order, and nothing
    /// else.
    fn check(self, name: &str, speaks: Speaks, without: &[&str]) {
        let cases = CASES.lines().filter(|case| !without.contains(case));
        let expected: String = cases.map(|case| format!("ok {case}\n")).collect();
        let said = String::from_utf8_lossy(&self.output.stdout);
        let complained = String::from_utf8_lossy(&self.output.stderr);
        assert_eq!(said, expected, "{complained}");
        assert!(self.output.status.success(), "{}\n{complained}", self.output.status);
        check_actions(&self.server, name, speaks);
    }
}

/// The actions in which a client succeeded, by the server's own count, are those that the README
/// says it was run with.
fn check_actions(server: &Server, name: &str, speaks: Speaks) {
    let ask =
        format!("GET /metrics HTTP/1.1\r\nHost: {0}\r\nConnection: close\r\n\r\n", server.url());
    let metrics = http::exchange(server.address(), ask.as_bytes()).expect("the metrics are shown");
    let protocol = match speaks {
        Speaks::Json => "json",
        Speaks::Query => "query",
    };
    let succeeded = metrics.lines().filter_map(|line| {
        let line = line.strip_prefix("stanchion_requests_total{action=\"")?;
        let (action, rest) = line.split_once('"')?;
        let count = rest.strip_prefix(&format!(",code=\"OK\",protocol=\"{protocol}\"}} "))?;
        (count != "0").then_some(action)
    });
    let succeeded: BTreeSet<&str> = succeeded.collect();

    let claimed = table("actions").filter_map(|cells| {
        let [action, json, query] = cells[..] else { panic!("three cells: {cells:?}") };
        let cell = if speaks == Speaks::Json { json } else { query };
        let is_run = match cell.strip_prefix("all but ") {
            Some(others) => !others.split(", ").any(|other| other == name),
            None => cell == "all",
        };
        is_run.then_some(action.trim_matches('`'))
    });
    assert_eq!(succeeded, claimed.collect(), "the README's table of actions, for {name}");
}

#[test]
fn the_readme_names_every_client_and_its_version() {
    let python = include_str!("../clients/python/requirements.txt");
    let python_query = include_str!("../clients/python/requirements-query.txt");
    let javascript = include_str!("../clients/javascript/package.json");
    let javascript_query = include_str!("../clients/javascript/package-query.json");
    let go = include_str!("../clients/go/go.mod");
    let java = include_str!("../clients/java/pom.xml");
    let rust = include_str!("../../Cargo.lock");
    #[rustfmt::skip]
    let clients = [
        ("AWS CLI 1",                 "JSON",  python,           "awscli=="),
        ("AWS SDK for Go v2",         "JSON",  go,               "/service/sqs v"),
        ("AWS SDK for Java v2",       "JSON",  java,             "<artifactId>sqs</artifactId>\n      <version>"),
        ("AWS SDK for JavaScript v3", "JSON",  javascript,       "client-sqs\": \""),
        ("AWS SDK for JavaScript v3", "Query", javascript_query, "client-sqs\": \""),
        ("AWS SDK for Rust",          "JSON",  rust,             "name = \"aws-sdk-sqs\"\nversion = \""),
        ("boto3",                     "JSON",  python,           "boto3=="),
        ("boto3",                     "Query", python_query,     "boto3=="),
    ];
    let mut expected: Vec<String> = clients
        .map(|(name, speaks, list, before)| {
            let (_, rest) = list.split_once(before).expect("the list names its version");
            let end = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(rest.len());
            format!("{name} | {} | {speaks}", &rest[..end])
        })
        .into();
    expected.insert(1, "AWS CLI 2 | the system's, 2.9.19 in Debian 12 | Query".into());
    let listed: Vec<String> = table("clients").map(|cells| cells.join(" | ")).collect();
    assert_eq!(listed, expected);
}

/// The cells of each row of one of the README's tables.
fn table(name: &str) -> impl Iterator<Item = Vec<&'static str>> {
    let (_, table) = README.split_once(&format!("<!-- {name}:")).expect("the table begins");
    let (table, _) = table.split_once(&format!("<!-- end of {name} -->")).expect("the table ends");
    let rows = table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.skip(2).map(|row| row.split(" | ").collect())
}
