//! Durable sends, receives and deletes, beside `floor-log` in the same run: a machine that is busy
//! or slow is so for both, and their ratio says what the queue costs.

use std::io;
use std::time::Duration;

use serde_json::json;

use super::Context;
use crate::aws::Client;
use crate::load::{self, Drains, Sample, Sends, Stop};
use crate::process::Server;
use crate::report::{Bound, Report};

/// One way of sending, and the part of the rate of `floor-log` that is promised for it.
struct Sending {
    what: &'static str,
    connections: usize,
    batched: bool,
    of_floor_min: Option<f64>,
}

const SENDINGS: [Sending; 4] = [
    Sending { what: "single, 1", connections: 1, batched: false, of_floor_min: None },
    Sending { what: "single, 64", connections: 64, batched: false, of_floor_min: Some(0.6) },
    Sending { what: "single, 256", connections: 256, batched: false, of_floor_min: Some(0.6) },
    Sending { what: "batches of 10, 64", connections: 64, batched: true, of_floor_min: Some(0.4) },
];

/// The sending with which the rate of receives is compared: [`SENDINGS`], `single, 64`.
const COMPARED_SENDING: usize = 1;

/// 140,000 messages received and deleted per second where `floor-log` does 58,000 single sends.
const DRAIN_OF_FLOOR_MIN: f64 = 140_000.0 / 58_000.0;

/// Messages drained at scale 1.
const DRAIN_MESSAGES: u64 = 2_000_000;

const CONNECTIONS: usize = 64;

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    let rounds = if context.scale < 0.1 { 1 } else { 3 };
    let time = Duration::from_secs_f64((10.0 * context.scale).clamp(1.0, 10.0));
    let mut floors = vec![Vec::new(); SENDINGS.len()];
    let mut servers = vec![Vec::new(); SENDINGS.len()];
    let mut drains = Vec::new();
    for _ in 0..rounds {
        for (at, sending) in SENDINGS.iter().enumerate() {
            floors[at].push(sample_floor(context, sending, time).await?);
            servers[at].push(sample_server(context, sending, time).await?);
        }
        drains.push(sample_drain(context).await?);
    }
    report.note(format!(
        "{rounds} rounds of {} s, floor and server in turn; the round with the median rate.",
        time.as_secs_f64()
    ));

    let mut compared_rate = f64::NAN;
    let pairs = floors.into_iter().zip(servers);
    for (at, (sending, (floor, server))) in SENDINGS.iter().zip(pairs).enumerate() {
        let (floor, server) = (load::median(floor), load::median(server));
        let floor_rate = floor.measured.messages_per_s();
        if at == COMPARED_SENDING {
            compared_rate = floor_rate;
        }
        let bound = sending.of_floor_min.map_or(Bound::None, Bound::AtLeast);
        let ratio = server.measured.messages_per_s() / floor_rate;
        report.time(format!("{}: of floor-log", sending.what), ratio, "×", bound);
        report.sample(&format!("{}: floor-log", sending.what), &floor);
        report.sample(&format!("{}: stanchiond", sending.what), &server);
    }
    let drain = load::median(drains);
    let ratio = drain.measured.messages_per_s() / compared_rate;
    report.time(
        "receive 10 + delete 10, 64: of floor-log's single sends",
        ratio,
        "×",
        Bound::AtLeast(DRAIN_OF_FLOOR_MIN),
    );
    report.sample("receive 10 + delete 10, 64: stanchiond", &drain);
    Ok(())
}

async fn sample_floor(context: &Context, sending: &Sending, time: Duration) -> io::Result<Sample> {
    let server = Server::start(&context.place.floor("log")).await?;
    let url = format!("http://{}/000000000000/speed", server.address());
    let sample = sample_sends(&server, &url, sending, time).await?;
    drop(server);
    context.place.discard("log")?;
    Ok(sample)
}

async fn sample_server(context: &Context, sending: &Sending, time: Duration) -> io::Result<Sample> {
    let server = Server::start(&context.place.stanchiond("speed", &[])).await?;
    let url = Client::open(server.address()).await?.create_queue("speed", json!({})).await?;
    let sample = sample_sends(&server, &url, sending, time).await?;
    drop(server);
    context.place.discard("speed")?;
    Ok(sample)
}

async fn sample_sends(
    server: &Server,
    url: &str,
    sending: &Sending,
    time: Duration,
) -> io::Result<Sample> {
    let address = server.address();
    let make = |seed| Sends::new(address, url, sending.batched, seed);
    let warm_up = Stop::After(Duration::from_millis(500));
    load::run(address, sending.connections, warm_up, make).await?;
    let run = load::run(address, sending.connections, Stop::After(time), make);
    Sample::take(server, run).await
}

async fn sample_drain(context: &Context) -> io::Result<Sample> {
    let server = Server::start(&context.place.stanchiond("speed", &[])).await?;
    let address = server.address();
    let url = Client::open(address).await?.create_queue("speed", json!({})).await?;
    let count = context.messages(DRAIN_MESSAGES);
    let stop = Stop::Messages { count, within: context.patience(Duration::from_secs(600)) };
    load::run(address, CONNECTIONS, stop, |seed| Sends::new(address, &url, true, seed)).await?;
    let run = load::run(address, CONNECTIONS, stop, |_| Drains::new(address, &url));
    let sample = Sample::take(&server, run).await?;
    drop(server);
    context.place.discard("speed")?;
    Ok(sample)
}
