//! Servers of tests come and go, and leave nothing behind. A program of its own: it counts threads.

#![cfg(feature = "testing")]

use std::time::{Duration, Instant};

use stanchion_sdk::testing::Server;

/// A line of `/proc/self/status` that is a number.
fn threads() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
    line.trim().parse().unwrap()
}

#[tokio::test]
async fn a_dropped_server_leaves_no_thread() {
    drop(Server::start().await);
    let before = threads();
    for _ in 0..20 {
        let server = Server::start().await;
        server.advance(Duration::from_secs(1)).await;
    }
    // The last one's threads may be about to end.
    let deadline = Instant::now() + Duration::from_secs(60);
    while before < threads() {
        assert!(Instant::now() < deadline, "{} threads, and {before} before", threads());
        std::thread::yield_now();
    }
}
