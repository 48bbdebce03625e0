//! One workload against a freshly started server, and two numbers: messages per second and the
//! median latency of a request. Without arguments: 64 connections that send, receive and delete.

#![allow(clippy::print_stdout, reason = "the numbers are the product of this program")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use serde_json::json;
use stanchion_benches::aws::Client;
use stanchion_benches::load::{self, Cycles, Drains, Measured, Sample, Sends, Stop};
use stanchion_benches::place::Place;
use stanchion_benches::process::{Launch, Server, raise_open_files};

#[derive(Debug, Parser)]
#[command(about = "Measure one workload: messages per second, and the median of a request")]
struct Arguments {
    #[arg(value_enum, default_value_t = Workload::Cycle)]
    workload: Workload,
    /// Connections with one request in flight each.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How long to measure.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Measure a floor instead of the server.
    #[arg(long, value_enum)]
    floor: Option<Floor>,
    /// The server; otherwise `stanchiond` beside this program.
    #[arg(long)]
    server: Option<PathBuf>,
    /// When the server's replies are durable: `fsync`, `os` or `memory`.
    #[arg(long, default_value = "fsync")]
    durability: String,
    /// Where scratch folders go; otherwise `bench-data` in the target folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Print what the server used, too.
    #[arg(long)]
    verbose: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Send one, receive one, delete it.
    Cycle,
    /// SendMessage of 1 KiB.
    Send,
    /// SendMessageBatch of ten times 1 KiB.
    SendBatch,
    /// ReceiveMessage of ten and DeleteMessageBatch of these, from a filled queue.
    ReceiveDelete,
    /// The floors at 1, 64 and 256 connections, as a Markdown table.
    Floors,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Floor {
    Null,
    Log,
}

impl Floor {
    fn name(self) -> &'static str {
        match self {
            Floor::Null => "null",
            Floor::Log => "log",
        }
    }
}

/// Messages per second with which a queue is filled before it is drained: more than a drain does.
const DRAIN_MESSAGES_PER_S: f64 = 250_000.0;

// One thread: the generator must leave the other cores to the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    raise_open_files();
    let place = Place::find(arguments.server.clone(), arguments.dir.clone())?;
    interruptible(async {
        if arguments.workload == Workload::Floors {
            return floors(&place, arguments.seconds).await;
        }
        let launch = match arguments.floor {
            Some(floor) => place.floor(floor.name()),
            None => place.stanchiond("data", &["--durability", &arguments.durability]),
        };
        let sample =
            sample(&launch, arguments.workload, arguments.connections, arguments.seconds).await?;
        let measured = &sample.measured;
        println!("{:.0} messages/s", measured.messages_per_s());
        println!("{:.3} ms", measured.latency_ms(0.5));
        if arguments.verbose {
            println!("{}", table_row(&sample));
        }
        Ok(())
    })
    .await
}

/// Runs until done or until SIGINT or SIGTERM, so that children end and scratch folders vanish.
async fn interruptible(work: impl Future<Output = io::Result<()>>) -> io::Result<()> {
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err(io::ErrorKind::Interrupted.into()),
        _ = term.recv() => Err(io::ErrorKind::Interrupted.into()),
    }
}

async fn sample(
    launch: &Launch,
    workload: Workload,
    connections: usize,
    seconds: f64,
) -> io::Result<Sample> {
    let server = Server::start(launch).await?;
    let address = server.address();
    let is_floor = !launch.arguments.iter().any(|argument| argument == "--durability");
    let queue_url = match is_floor {
        true => format!("http://{address}/000000000000/bench"),
        false => Client::open(address).await?.create_queue("bench", json!({})).await?,
    };
    if workload == Workload::ReceiveDelete && !is_floor {
        let count = (DRAIN_MESSAGES_PER_S * seconds) as u64 / 10 * 10;
        let within = Duration::from_secs(600);
        let stop = Stop::Messages { count, within };
        load::run(address, 64, stop, |seed| Sends::new(address, &queue_url, true, seed)).await?;
    }
    let warm_up = Duration::from_secs_f64(seconds.min(0.5));
    drive(address, &queue_url, workload, connections, warm_up).await?;
    let time = Duration::from_secs_f64(seconds);
    Sample::take(&server, drive(address, &queue_url, workload, connections, time)).await
}

async fn drive(
    address: SocketAddr,
    queue_url: &str,
    workload: Workload,
    connections: usize,
    time: Duration,
) -> io::Result<Measured> {
    let stop = Stop::After(time);
    let sends = |batched| move |seed| Sends::new(address, queue_url, batched, seed);
    match workload {
        Workload::Send => load::run(address, connections, stop, sends(false)).await,
        Workload::SendBatch => load::run(address, connections, stop, sends(true)).await,
        Workload::ReceiveDelete => {
            load::run(address, connections, stop, |_| Drains::new(address, queue_url)).await
        }
        Workload::Cycle | Workload::Floors => {
            load::run(address, connections, stop, |seed| Cycles::new(address, queue_url, seed))
                .await
        }
    }
}

async fn floors(place: &Place, seconds: f64) -> io::Result<()> {
    println!("| floor, workload, connections | {TABLE_HEAD} |\n| --- {} |", "| ---: ".repeat(8));
    for floor in [Floor::Null, Floor::Log] {
        for (workload, what) in [
            (Workload::Send, "send"),
            (Workload::SendBatch, "batches of 10"),
            (Workload::ReceiveDelete, "receive 10 + delete 10"),
        ] {
            for connections in [1, 64, 256] {
                let launch = place.floor(floor.name());
                let sample = sample(&launch, workload, connections, seconds).await?;
                println!("| {} {what}, {connections} {}", floor.name(), table_row(&sample));
                place.discard(floor.name())?;
            }
        }
    }
    Ok(())
}

const TABLE_HEAD: &str = "messages/s | p50 ms | p99 ms | CPU µs/request | CPU µs/message | \
    switches/request | syncs/s | requests/sync";

fn table_row(sample: &Sample) -> String {
    let measured = &sample.measured;
    let optional = |value: Option<f64>| value.map_or("–".into(), |value| format!("{value:.0}"));
    format!(
        "| {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.2} | {} | {} |",
        measured.messages_per_s(),
        measured.latency_ms(0.5),
        measured.latency_ms(0.99),
        sample.cpu_us_per_request,
        sample.cpu_us_per_message,
        sample.switches_per_request,
        optional(sample.syncs_per_s),
        optional(sample.commands_per_turn),
    )
}
