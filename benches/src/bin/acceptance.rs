//! Every figure the product promises, measured through its API.
//!
//! `acceptance --scale 1` runs all scenarios at full size and puts their figures into
//! `benches/RESULTS.md`. `acceptance --scale 0.01 --counts-only` is what CI runs: times are
//! printed and cannot fail, and nothing is recorded.

#![allow(clippy::print_stdout, reason = "the figures are the product of this program")]

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use stanchion_benches::place::Place;
use stanchion_benches::process::{free_bytes, raise_open_files};
use stanchion_benches::report::Report;
use stanchion_benches::scenarios::{Context, SCENARIOS, Scenario};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(about = "Measure every figure the product promises, and hold it against its bound")]
struct Arguments {
    /// 1 is the size of the promise; 0.01 takes about two minutes.
    #[arg(long, default_value_t = 0.01)]
    scale: f64,
    /// Only these scenarios, by name; may be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// Say what there is to run, and end.
    #[arg(long)]
    list: bool,
    /// Times cannot fail, and nothing is recorded unless `--results` is given.
    #[arg(long)]
    counts_only: bool,
    /// The server; otherwise `stanchiond` beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// Where the data goes; otherwise `bench-data` in the target folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The Markdown file that gets the figures; otherwise `benches/RESULTS.md`.
    #[arg(long)]
    results: Option<PathBuf>,
    /// For the moments of kills; otherwise a fixed one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Free space that must be left when a scenario is at its largest: the server stops accepting
/// sends below its own mark of at most 4 GiB.
const SPARE_GIB: f64 = 5.0;

const GIB: f64 = (1u64 << 30) as f64;

// One thread: the generator must leave the other cores to the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for Scenario { name, about, .. } in SCENARIOS {
            println!("{name:14} {about}");
        }
        return ExitCode::SUCCESS;
    }
    // SIGINT and SIGTERM drop the scenario: its servers are killed and its folder is removed.
    let interrupted = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => {
                tokio::select! { _ = term.recv() => {}, _ = tokio::signal::ctrl_c() => {} }
            }
            Err(_) => std::future::pending().await,
        }
    };
    let outcome = tokio::select! {
        outcome = run(&arguments) => outcome,
        () = interrupted => Err(io::ErrorKind::Interrupted.into()),
    };
    match outcome {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failures) => {
            println!("{failures} failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs what was asked for; returns how many figures and scenarios failed.
async fn run(arguments: &Arguments) -> io::Result<usize> {
    let scenarios = chosen(&arguments.only)?;
    if !(0.0..=1.0).contains(&arguments.scale) {
        return Err(io::Error::other("--scale must be more than 0 and at most 1"));
    }
    raise_open_files();
    let place = Place::find(arguments.server.clone(), arguments.dir.clone())?;
    check_space(&place, &scenarios, arguments.scale)?;
    let context = Context { place, scale: arguments.scale, seed: arguments.seed };
    let results = match (&arguments.results, arguments.counts_only) {
        (Some(file), _) => Some(file.clone()),
        (None, true) => None,
        (None, false) => Some("benches/RESULTS.md".into()),
    };
    let mut failures = 0;
    for scenario in scenarios {
        println!("\n{}: {}\n", scenario.name, scenario.about);
        let mut report = Report::new(scenario.name, arguments.counts_only);
        let started = Instant::now();
        let patience = context.patience(Duration::from_secs(scenario.within_s));
        let outcome = tokio::time::timeout(patience, (scenario.run)(&context, &mut report)).await;
        let outcome = outcome.unwrap_or_else(|_| {
            let reason = format!("given up after {} s", patience.as_secs());
            Err(io::Error::new(io::ErrorKind::TimedOut, reason))
        });
        let logs = context.place.clear()?;
        if let Err(error) = outcome {
            println!("{logs}");
            report.note(format!("**FAIL**: it ended early: {error}"));
            failures += 1;
        }
        failures += report.failures();
        println!("{}\n{:.0} s", report.markdown(), started.elapsed().as_secs_f64());
        if let Some(file) = &results {
            report.record(file, arguments.scale)?;
        }
    }
    Ok(failures)
}

fn chosen(only: &[String]) -> io::Result<Vec<&'static Scenario>> {
    if let Some(name) = only.iter().find(|name| SCENARIOS.iter().all(|row| row.name != *name)) {
        return Err(io::Error::other(format!("there is no scenario {name}; try --list")));
    }
    let is_chosen = |row: &&Scenario| only.is_empty() || only.iter().any(|name| name == row.name);
    Ok(SCENARIOS.iter().filter(is_chosen).collect())
}

/// Says what disk the largest scenario needs, and fails when it is not there.
fn check_space(place: &Place, scenarios: &[&Scenario], scale: f64) -> io::Result<()> {
    let largest = scenarios.iter().map(|row| row.disk_gib).fold(0.0, f64::max);
    let needed = (largest * scale).max(1.0) + SPARE_GIB;
    let free = free_bytes(place.scratch())? as f64 / GIB;
    println!("disk needed {needed:.1} GiB, free {free:.1} GiB in {}", place.scratch().display());
    match needed <= free {
        true => Ok(()),
        false => Err(io::Error::other("not enough disk; choose another place with --dir")),
    }
}
