//! Which server a command is for, and who signs.

use std::{fs, os::unix::fs::PermissionsExt as _};

use stanchion_tests::{
    Server,
    cli::Cli,
    sdk::{ROOT_KEY, ROOT_SECRET},
    terminal::Terminal,
};

#[test]
fn contexts_are_added_listed_used_and_removed() {
    let (one, two) = (Server::start(), Server::start());
    let cli = Cli::at(None);
    assert_eq!(cli.json(&["context", "ls"]), serde_json::json!([]));
    cli.ok(&["context", "add", "one", "--endpoint", &one.url(), "--unsigned"]);
    cli.ok(&["context", "add", "two", "--endpoint", &two.url(), "--unsigned", "--protected"]);
    let listed = cli.json(&["context", "ls"]);
    assert_eq!((&listed[0]["name"], &listed[0]["current"]), (&"one".into(), &true.into()));
    assert_eq!((&listed[1]["protected"], &listed[1]["signs"]), (&true.into(), &"nothing".into()));

    // The first is the current one; a flag is before it, and an endpoint before both.
    cli.ok(&["queue", "create", "here"]);
    assert_eq!(cli.json(&["queue", "ls"])[0]["name"], "here");
    assert_eq!(cli.json(&["queue", "ls", "--context", "two"]), serde_json::json!([]));
    cli.ok(&["context", "use", "two"]);
    assert_eq!(cli.json(&["queue", "ls"]), serde_json::json!([]));
    assert_eq!(cli.json(&["queue", "ls", "--endpoint", &one.url()])[0]["name"], "here");
    // What is typed goes before the environment, and that before what is current.
    let names = |args: &[&str]| {
        let mut command = cli.command(&[&["queue", "ls", "-o", "json"], args].concat());
        let output = command.env("STANCHION_ENDPOINT", one.url()).output().unwrap();
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    assert_eq!(names(&[])[0]["name"], "here");
    assert_eq!(names(&["-c", "two"]), serde_json::json!([]));
    let tested = cli.json(&["context", "test"]);
    assert!(tested["server"].as_str().unwrap().starts_with("Stanchion "), "{tested}");
    assert!(tested["endpoint"].as_str().unwrap().starts_with(&two.url()), "{tested}");

    cli.ok(&["context", "rm", "two"]);
    let ran = cli.run(&["queue", "ls", "-c", "two"]).expect_code(3);
    assert!(ran.err.contains("there are: one"), "{}", ran.err);
    cli.run(&["context", "use", "two"]).expect_code(3);
}

#[test]
fn a_context_signs_with_its_key_and_keeps_the_secret_from_others() {
    let server = Server::start_signed(&[]);
    let cli = Cli::at(None);
    let add = ["context", "add", "prod", "--endpoint", &server.url(), "--access-key-id", ROOT_KEY];
    cli.run(&add).expect_code(2);
    cli.run_with(&add, &format!("{ROOT_SECRET}\n")).expect_code(0);
    cli.ok(&["queue", "create", "orders"]);
    let file = cli.folder().join("contexts.toml");
    assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    for args in [&["context", "ls"][..], &["context", "ls", "-o", "json"], &["context", "test"]] {
        assert!(!cli.ok(args).contains(ROOT_SECRET));
    }
    cli.run(&["queue", "ls", "--unsigned"]).expect_code(4);
}

#[test]
fn what_is_destroyed_in_a_protected_context_is_named_twice() {
    let server = Server::start();
    let cli = Cli::at(None);
    let add = ["context", "add", "prod", "--endpoint", &server.url(), "--unsigned", "--protected"];
    cli.ok(&add);
    cli.ok(&["queue", "create", "orders"]);
    // Nobody is there to be asked.
    let ran = cli.run(&["queue", "rm", "orders", "--yes"]).expect_code(2);
    assert!(ran.err.contains("--yes-i-mean orders"), "{}", ran.err);
    cli.run(&["queue", "rm", "orders", "--yes-i-mean", "others"]).expect_code(2);

    let rm = || Terminal::run(cli.command(&["queue", "rm", "orders"]));
    let mut terminal = rm();
    terminal.shows("[prod, protected] delete orders and its 0 messages? Type its name: ");
    terminal.types("y\n");
    let ran = terminal.end().expect_code(1);
    assert!(ran.out.contains("left as it is"), "{}", ran.out);
    assert_eq!(cli.json(&["queue", "ls"])[0]["name"], "orders");

    let mut terminal = rm();
    terminal.shows("Type its name: ");
    terminal.types("orders\n");
    terminal.end().expect_code(0);
    assert_eq!(cli.json(&["queue", "ls"]), serde_json::json!([]));

    cli.ok(&["queue", "create", "orders"]);
    cli.ok(&["queue", "purge", "orders", "--yes-i-mean", "orders"]);
}

#[test]
fn amazon_is_meant_whatever_aws_tools_are_told() {
    let server = Server::start();
    let cli = Cli::at(None);
    let run = |args: &[&str], name: &str| {
        let output = cli.command(args).env(name, server.url()).output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), err)
    };
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"] {
        assert_eq!(
            run(&["queue", "create", "q"], name).0,
            Some(0),
            "{name} is where nothing else is"
        );
    }
    let add = ["--endpoint", "amazon", "--region", "eu-west-1", "--unsigned"];
    cli.ok(&[&["context", "add", "aws"], &add[..]].concat());
    for args in [&["export", "q", "-c", "aws"][..], &[&["export", "q"], &add[..]].concat()] {
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"] {
            let (code, err) = run(args, name);
            // Only Amazon's cannot be looked into; it says so before it asks anybody.
            assert_eq!(code, Some(2), "{name}: {err}");
            assert!(err.contains("--by-receive"), "{name}: {err}");
        }
    }
}

#[test]
fn a_profile_that_is_named_signs_although_the_environment_has_a_key() {
    let server = Server::start_signed(&[]);
    let cli = Cli::new(&server).with_key("AKIANOBODYKNOWSTHIS0", "secret");
    fs::create_dir(cli.folder().join(".aws")).unwrap();
    let work =
        format!("[work]\naws_access_key_id = {ROOT_KEY}\naws_secret_access_key = {ROOT_SECRET}\n");
    fs::write(cli.folder().join(".aws/credentials"), work).unwrap();
    cli.run(&["queue", "ls"]).expect_code(4);
    cli.ok(&["queue", "ls", "--profile", "work"]);
    cli.ok(&["context", "add", "prod", "--endpoint", &server.url(), "--profile", "work"]);
    cli.ok(&["queue", "ls", "-c", "prod"]);
}

#[test]
fn what_is_not_said_of_a_context_stays_and_a_dry_run_changes_nothing() {
    let cli = Cli::at(None);
    let url = "http://127.0.0.1:1";
    cli.ok(&["context", "add", "prod", "--endpoint", url, "--unsigned", "--protected"]);
    let said = cli.ok(&["context", "add", "prod", "--region", "eu-west-1"]);
    assert!(said.starts_with("Changed prod"), "{said}");
    let prod = || cli.json(&["context", "ls"])[0].clone();
    let expected = serde_json::json!({"name": "prod", "current": true, "endpoint": url,
        "region": "eu-west-1", "signs": "nothing", "protected": true});
    assert_eq!(prod(), expected);
    cli.ok(&["context", "add", "prod", "--profile", "work"]);
    assert_eq!(prod()["signs"], "profile work", "there is one way to sign");

    let before = prod();
    for args in [
        &["context", "add", "prod", "--unsigned"][..],
        &["context", "add", "other"],
        &["context", "rm", "prod"],
        &["context", "use", "prod"],
    ] {
        assert!(cli.ok(&[args, &["--dry-run"]].concat()).starts_with("Would "));
    }
    cli.run(&["context", "add", "bad", "--endpoint", "nonsense"]).expect_code(2);
    cli.run(&["context", "add", "bad", "--certificate-authority", "missing"]).expect_code(1);
    assert_eq!(cli.json(&["context", "ls"]), serde_json::json!([before]));
}

#[test]
fn a_secret_that_is_typed_is_not_shown() {
    let server = Server::start_signed(&[]);
    let cli = Cli::at(None);
    let add = ["context", "add", "prod", "--endpoint", &server.url(), "--access-key-id", ROOT_KEY];
    let mut terminal = Terminal::run(cli.command(&add));
    terminal.shows(&format!("The secret of {ROOT_KEY}: "));
    terminal.types(&format!("{ROOT_SECRET}\n"));
    let ran = terminal.end().expect_code(0);
    assert!(!ran.out.contains(ROOT_SECRET), "{}", ran.out);
    cli.ok(&["queue", "ls"]);
}

#[test]
fn variables_that_are_set_to_nothing_say_nothing() {
    let server = Server::start();
    let cli = Cli::at(None);
    cli.ok(&["context", "add", "one", "--endpoint", &server.url(), "--unsigned"]);
    let mut command = cli.command(&["queue", "ls", "-o", "json"]);
    for name in ["STANCHION_CONTEXT", "STANCHION_ENDPOINT", "STANCHION_REGION"] {
        command.env(name, "");
    }
    assert_eq!(command.output().unwrap().stdout, b"[]\n");
}

#[test]
fn who_is_known_and_may_do_little_is_known() {
    let server = Server::start_signed(&[]);
    let made = Cli::signed(&server).json(&["key", "create", "--user", "jane"]);
    let [id, secret] =
        ["access_key_id", "secret_access_key"].map(|name| made[name].as_str().unwrap());
    let tested = Cli::new(&server).with_key(id, secret).json(&["context", "test"]);
    assert_eq!(tested["server"], "Stanchion");
    Cli::new(&server).run(&["context", "test"]).expect_code(4);
    Cli::new(&server).with_key(id, "another").run(&["context", "test"]).expect_code(4);
}
