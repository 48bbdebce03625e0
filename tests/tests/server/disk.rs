//! The disk: nearly full, full, and failing.

use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use stanchion_tests::{BrittleDisk, Server, http, process::PATIENCE, sdk};
use tempfile::TempDir;

/// A server with one message in one queue, stopped; and the queue's URL.
async fn with_one_message() -> (Arc<TempDir>, String) {
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "before").await;
    assert!(server.terminate().success());
    (server.folder().clone(), url)
}

/// Status and code of a send that is refused.
async fn refused_send(sqs: &aws_sdk_sqs::Client, url: &str) -> (u16, String) {
    let send = sqs.send_message().queue_url(url).message_body("m").send().await;
    let refused = sdk::failure(send);
    (refused.status, refused.code)
}

#[tokio::test]
async fn sends_stop_below_the_free_space_mark_and_the_rest_goes_on() {
    let (folder, url) = with_one_message().await;
    let disk = rustix::fs::statvfs(folder.path()).unwrap();
    // Receives and deletes go on until half of the mark.
    let mark = (disk.f_bavail * disk.f_frsize / 2 * 3).to_string();
    let nearly_full = Server::try_start(folder, &["--free-space-mark", &mark]).unwrap();
    let sqs = sdk::client(&nearly_full);
    assert_eq!(refused_send(&sqs, &url).await, (503, "ServiceUnavailable".into()));
    assert_eq!(http::get(nearly_full.address(), "/ready").await.status, 503);
    assert_eq!(http::get(nearly_full.address(), "/health").await.status, 200);
    let message = sdk::receive_one(&sqs, &url).await;
    sdk::delete(&sqs, &url, &message).await;
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
}

#[tokio::test]
async fn nothing_is_written_below_half_of_the_free_space_mark() {
    let (folder, url) = with_one_message().await;
    let more_than_any_disk = ["--free-space-mark", "1000000000000000000"];
    let full = Server::try_start(folder, &more_than_any_disk).unwrap();
    let sqs = sdk::client(&full);
    assert_eq!(refused_send(&sqs, &url).await, (503, "ServiceUnavailable".into()));
    let receive = sdk::failure(sqs.receive_message().queue_url(&url).send().await);
    assert_eq!((receive.status, &*receive.code), (503, "ServiceUnavailable"));
    assert_eq!(sdk::counters(&sqs, &url).await, [1, 0, 0], "what only reads goes on");
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_the_server() {
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "before").await;

    server.fail_writes();
    let send = sqs.send_message().queue_url(&url).message_body("unanswered").send().await;
    assert!(send.is_err(), "nobody is told that it is on the disk");
    assert_eq!(server.wait().code(), Some(1));
    assert!(server.says("File too large"), "it says why");

    server.start_again();
    let sqs = sdk::client(&server);
    let first = sdk::receive(&sqs, &url, 0).await;
    assert_eq!(sdk::bodies(&first)[0], "before");
}

#[tokio::test]
async fn a_sync_that_fails_ends_the_server_and_is_never_tried_again() {
    let disk = BrittleDisk::new();
    let mut server = Server::start_on(&disk);
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "before").await;

    disk.fail_syncs(true);
    let send = sqs.send_message().queue_url(&url).message_body("unanswered").send().await;
    assert!(send.is_err(), "nobody is told that it is on the disk");
    assert_eq!(server.wait().code(), Some(1));
    assert!(server.says("Input/output error"), "it says why");

    disk.fail_syncs(false);
    server.start_again();
    let sqs = sdk::client(&server);
    let first = sdk::receive(&sqs, &url, 0).await;
    assert_eq!(sdk::bodies(&first)[0], "before");
}

#[tokio::test]
async fn room_that_the_log_took_comes_back_when_it_gets_short() {
    let Some(disk) = SmallDisk::mount("256m") else { return };
    let folder = Arc::new(TempDir::new_in(disk.path()).unwrap());
    // The mark is what the server chooses by itself: mostly twice its log and memtables.
    let server = Server::try_start(folder, &[]).unwrap();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    let body = "x".repeat(256 << 10);
    while sqs.send_message().queue_url(&url).message_body(&body).send().await.is_ok() {}
    assert!(server.says("the room on the disk has changed"));
    let deadline = Instant::now() + PATIENCE;
    while http::get(server.address(), "/ready").await.status != 200 {
        assert!(Instant::now() < deadline, "it never gets ready again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    sdk::send(&sqs, &url, "after").await;
}

#[tokio::test]
async fn a_disk_that_fills_up_ends_the_server_and_nothing_answered_is_lost() {
    let Some(disk) = SmallDisk::mount("48m") else { return };
    let folder = Arc::new(TempDir::new_in(disk.path()).unwrap());
    let mut server = Server::try_start(folder, &["--free-space-mark", "0"]).unwrap();
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    let body = "x".repeat(256 << 10);
    let mut sent = 0;
    while sqs.send_message().queue_url(&url).message_body(&body).send().await.is_ok() {
        sent += 1;
    }
    assert_eq!(server.wait().code(), Some(1));
    assert!(server.says("No space left"), "it says why");

    disk.grow();
    server.start_again();
    let sqs = sdk::client(&server);
    let [available, ..] = sdk::counters(&sqs, &url).await;
    assert!((sent..=sent + 1).contains(&available), "{sent} acknowledged, {available} there");
    sdk::send(&sqs, &url, "after").await;
}

/// A disk of a few megabytes, in memory. Mounting one takes root.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount(size: &str) -> Option<SmallDisk> {
        let disk = SmallDisk(TempDir::new().unwrap());
        let options = format!("size={size}");
        if disk.run("mount", &["-t", "tmpfs", "-o", &options, "none"]) {
            return Some(disk);
        }
        #[expect(clippy::print_stderr, reason = "a test that is left out must be noticed")]
        {
            eprintln!("\n*** NOT TESTED: a disk that fills up. We may not mount one. ***\n");
        }
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn grow(&self) {
        assert!(self.run("mount", &["-o", "remount,size=512m"]), "a disk of ours can grow");
    }

    fn run(&self, program: &str, args: &[&str]) -> bool {
        let status = Command::new(program).args(args).arg(self.path()).status();
        status.is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The server may be alive still, when the test fails.
        self.run("umount", &["--lazy"]);
    }
}
