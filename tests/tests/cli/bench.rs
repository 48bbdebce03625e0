//! The load generator: it measures, counts what is lost, and leaves nothing.

use stanchion_tests::{Server, cli::Cli};

#[test]
fn every_scenario_counts_all_messages_and_leaves_no_queue() {
    let server = Server::start();
    let cli = Cli::new(&server);
    let common = ["--connections", "4", "--duration", "1s", "--size", "100"];
    for scenario in [
        &["send"][..],
        &["receive", "--messages", "2000"],
        &["cycle"],
        &["cycle", "--queue-name", "bench.fifo"],
        &["long-poll"],
    ] {
        let args = [&["bench"], scenario, &common].concat();
        let result = cli.json(&args);
        assert_eq!((&result["lost"], &result["duplicates"]), (&0.into(), &0.into()), "{result}");
        assert_eq!(result["errors"], 0, "{result}");
        let sent = result["sent"].as_u64().expect("a count");
        assert!(sent > 0, "{result}");
        if scenario != ["send"] {
            assert_eq!(result["received"], sent, "{result}");
        }
        let latency = &result["latencies"][0];
        let ms = |name: &str| latency[name].as_f64().expect("a time");
        assert!(ms("p50_ms") <= ms("p99_ms") && ms("p99_ms") <= ms("max_ms"), "{result}");
        assert_eq!(cli.json(&["queue", "ls"]).as_array().map(Vec::len), Some(0));
    }
    cli.ok(&["queue", "create", "mine"]);
    cli.run(&["bench", "send", "--queue-name", "mine"]).expect_code(2);
    cli.run(&["bench", "send", "--size", "17179869183GiB"]).expect_code(2);
    let human = cli.ok(&[&["bench", "send"][..], &common].concat());
    assert!(human.contains("Messages/s") && human.contains("P99.9"), "{human}");
}
