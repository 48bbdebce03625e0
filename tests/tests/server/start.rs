//! Starting: what the server needs, and the sentences it refuses with.

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::Command,
    sync::Arc,
};

use stanchion_tests::{Server, binary, process::Refused, sdk};
use tempfile::TempDir;

/// The refusal of a server started with `args` on an empty folder.
fn refusal(args: &[&str]) -> Refused {
    let folder = Arc::new(TempDir::new().unwrap());
    let refused = Server::try_start(folder, args).expect_err("the server refuses to start");
    assert!(!refused.status.success());
    refused
}

#[test]
fn a_second_server_on_the_same_folder_says_so() {
    let server = Server::start();
    let refused = Server::try_start(server.folder().clone(), &[]).expect_err("the folder is taken");
    assert!(!refused.status.success());
    let folder = server.folder().path().display().to_string();
    assert!(refused.output.contains(&folder), "{}", refused.output);
    assert!(refused.output.contains("another stanchiond"), "{}", refused.output);
}

#[test]
fn an_address_in_use_is_named() {
    let server = Server::start();
    let taken = server.address().to_string();
    let refused = refusal(&["--listen", &taken]);
    assert!(refused.output.contains(&taken), "{}", refused.output);
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:9324"] {
        let refused = refusal(&["--listen", address]);
        assert!(refused.output.contains("loopback"), "{}", refused.output);
    }
}

#[test]
fn a_folder_of_a_newer_format_is_refused_and_not_touched() {
    let mut server = Server::start();
    assert!(server.terminate().success());
    let format = server.folder().path().join("FORMAT");
    fs::write(&format, "999\n").unwrap();
    let before = listing(server.folder());
    let refused = Server::try_start(server.folder().clone(), &[]).expect_err("format 999");
    assert!(refused.output.contains("999"), "{}", refused.output);
    assert_eq!(listing(server.folder()), before);
}

/// Every file below a folder with its size and the time it was changed.
fn listing(folder: &TempDir) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let (path, meta) = entry.map(|one| (one.path(), one.metadata().unwrap())).unwrap();
            // The lock is taken before anything is read.
            if meta.is_dir() {
                folders.push(path);
            } else if !path.ends_with("LOCK") {
                files.push(format!("{path:?} {} {:?}", meta.len(), meta.modified().unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn a_read_only_folder_is_refused() {
    let folder = TempDir::new().unwrap();
    let program = folder.path().join("stanchiond");
    fs::copy(binary::stanchiond(), &program).unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let readable = fs::Permissions::from_mode(0o555);
    for path in [&data, &folder.path().to_owned()] {
        fs::set_permissions(path, readable.clone()).unwrap();
    }
    let mut command = Command::new(program);
    command.arg("--data").arg(&data).args(["--listen", "127.0.0.1:0"]);
    // Permissions do not hold root back.
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(said.contains(&data.display().to_string()), "{said}");
    assert!(said.to_lowercase().contains("permission denied"), "{said}");
}

#[test]
fn a_wrong_setting_is_named_with_what_is_accepted() {
    let refused = refusal(&["--durability", "sometimes"]);
    for word in ["durability", "fsync", "os", "memory"] {
        assert!(refused.output.contains(word), "{word}: {}", refused.output);
    }
    let refused = refusal(&["--limits", "none"]);
    for word in ["limits", "strict", "standard", "relaxed"] {
        assert!(refused.output.contains(word), "{word}: {}", refused.output);
    }
    let refused = refusal(&["--config", "/nonexistent/stanchion.toml"]);
    assert!(refused.output.contains("/nonexistent/stanchion.toml"), "{}", refused.output);
}

#[test]
fn the_banner_says_what_was_started() {
    let server = Server::start_with(&["--durability", "os", "--limits", "strict"]);
    let folder = server.folder().path().display().to_string();
    for word in [&server.url(), &folder, "os", "strict"] {
        assert!(server.says(word), "{word}");
    }
}

#[tokio::test]
async fn several_addresses_serve_the_same_queues() {
    let server = Server::start_with(&["--listen", "127.0.0.2:0"]);
    let url = sdk::create(&sdk::client(&server), "q", &[]).await;
    assert!(server.says("http://127.0.0.2:"), "the second address is printed");
    let said = server.output();
    let (_, rest) = said.split_once("http://127.0.0.2:").expect("it was just found");
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let second = format!("127.0.0.2:{port}").parse().unwrap();
    let found =
        stanchion_tests::http::call(second, "GetQueueUrl", r#"{"QueueName":"q"}"#).await.json();
    let of_second = url.replace(&server.address().to_string(), &second.to_string());
    assert_eq!(found["QueueUrl"], of_second);
}

#[test]
fn the_file_descriptor_limit_is_raised() {
    let server = Server::start();
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let mut numbers = files.split_whitespace().skip(3);
    assert_eq!(numbers.next(), numbers.next(), "{files}");
}

#[tokio::test]
async fn nothing_is_kept_in_memory_durability() {
    let mut server = Server::start_with(&["--durability", "memory"]);
    sdk::create(&sdk::client(&server), "q", &[]).await;
    assert!(server.terminate().success());
    server.start_again();
    let listed = sdk::client(&server).list_queues().send().await.unwrap();
    assert_eq!(listed.queue_urls, None);
}
