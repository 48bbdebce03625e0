//! Nothing acknowledged is lost, nothing deleted returns and no group loses its order, however often
//! the server is killed under load.

use std::{env, sync::Arc, time::Instant};

use stanchion_tests::{Server, ledger::Ledger, process::PATIENCE, sdk};

use crate::load::{self, VISIBILITY_TIMEOUT_S, drain};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledgement_outlives_sigkill() {
    let kills: u64 = env::var("STANCHION_KILLS").map_or(10, |text| text.parse().expect("a number"));
    let mut server = Server::start();
    let sqs = sdk::client(&server);
    let attributes = [("VisibilityTimeout", VISIBILITY_TIMEOUT_S)];
    let standard = sdk::create(&sqs, "standard", &attributes).await;
    let fifo = sdk::create(&sqs, "ordered.fifo", &attributes).await;
    let ledger = Arc::new(Ledger::default());

    for kill in 0..kills {
        let clients = load::start(&server, &ledger, &standard, &fifo);
        // After a number of answers rather than a time, and a different one each round.
        let target = ledger.acknowledged() + 100 + kill * 137 % 500;
        let deadline = Instant::now() + PATIENCE;
        while ledger.acknowledged() < target {
            assert!(Instant::now() < deadline, "no progress after {kill} kills");
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        server.kill();
        // Each client ends at its first request without an answer.
        clients.join_all().await;
        server.start_again();
        assert_eq!(ledger.violations(), [""; 0], "after kill {kill}");
    }

    let sqs = sdk::client(&server);
    for (url, ordered) in [(standard, false), (fifo, true)] {
        drain(&sqs, &url, &ledger, ordered).await;
        assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0], "an empty queue counts nothing");
    }
    assert_eq!(ledger.owed(), [], "acknowledged, never deleted, and gone");
    assert_eq!(ledger.violations(), [""; 0]);
}
