//! The live view, on a terminal.

use stanchion_tests::{Server, cli::Cli, terminal::Terminal};

#[test]
fn it_shows_the_queues_sorts_filters_and_quits() {
    let server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "orders"]);
    cli.ok(&["queue", "create", "payments"]);
    cli.run_with(&["send", "orders", "--lines"], "a\nb\nc\n").expect_code(0);
    let mut terminal = Terminal::run(cli.command(&["top", "--every", "100ms"]));
    terminal.shows("AVAILABLE");
    terminal.shows("orders");
    terminal.shows("payments");
    terminal.shows("Depth");
    terminal.types("n");
    terminal.shows("Name");
    // Only cells that change are written: words are whole, sentences are not.
    terminal.types("/pay\r");
    terminal.shows("filter:");
    terminal.types("q");
    assert_eq!(terminal.end().code, 0);
}

#[test]
fn without_a_terminal_it_says_what_prints_the_same() {
    let server = Server::start();
    let ran = Cli::new(&server).run(&["top"]).expect_code(2);
    assert!(ran.err.contains("queue ls"), "{}", ran.err);
}

#[test]
fn whoever_ends_it_from_elsewhere_gets_the_terminal_back() {
    let mut server = Server::start();
    let cli = Cli::new(&server);
    cli.ok(&["queue", "create", "orders"]);
    let terminal = Terminal::run(cli.command(&["top", "--every", "100ms"]));
    terminal.shows("orders");
    // Nor does a server that is gone keep anybody.
    server.kill();
    terminal.interrupt();
    let ran = terminal.end().expect_code(0);
    assert!(ran.out.contains("\u{1b}[?1049l"), "{:?}", ran.out);
}
