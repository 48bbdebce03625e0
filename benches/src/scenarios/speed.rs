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
    COMPARED_SENDING,
    Sending { what: "single, 256", connections: 256, batched: false, of_floor_min: Some(0.6) },
    Sending { what: "batches of 10, 64", connections: 64, batched: true, of_floor_min: Some(0.4) },
];

/// The sending with which the rate of receives is compared.
const COMPARED_SENDING: Sending =
    Sending { what: "single, 64", connections: 64, batched: false, of_floor_min: Some(0.6) };

/// 140,000 messages received and deleted per second where `floor-log` does 58,000 single sends.
const DRAIN_OF_FLOOR_MIN: f64 = 140_000.0 / 58_000.0;

/// Messages drained at scale 1.
const DRAIN_MESSAGES: u64 = 2_000_000;

const CONNECTIONS: usize = 64;

/// The server, and what the floor did beside it.
struct Round<const FLOORS: usize> {
    floors: [Sample; FLOORS],
    server: Sample,
}

impl<const FLOORS: usize> Round<FLOORS> {
    fn ratio(&self) -> f64 {
        let floor = self.floors.iter().map(rate).sum::<f64>() / FLOORS as f64;
        rate(&self.server) / floor
    }

    /// The one whose ratio is in the middle.
    fn median(mut rounds: Vec<Self>) -> Self {
        rounds.sort_by(|one, other| one.ratio().total_cmp(&other.ratio()));
        rounds.swap_remove(rounds.len() / 2)
    }
}

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    let rounds = if context.scale < 0.1 { 1 } else { 5 };
    let time = Duration::from_secs_f64((10.0 * context.scale).clamp(1.0, 10.0));
    let mut sent: [Vec<Round<1>>; SENDINGS.len()] = Default::default();
    let mut drained = Vec::new();
    for _ in 0..rounds {
        for (sending, sent) in SENDINGS.iter().zip(&mut sent) {
            let floor = sample_floor(context, sending, time).await?;
            let server = sample_server(context, sending, time).await?;
            sent.push(Round { floors: [floor], server });
        }
        let before = sample_floor(context, &COMPARED_SENDING, time / 2).await?;
        let server = sample_drain(context).await?;
        let after = sample_floor(context, &COMPARED_SENDING, time / 2).await?;
        drained.push(Round { floors: [before, after], server });
    }
    report.note(format!(
        "{rounds} rounds of {} s, floor and server in turn; the round with the median ratio.",
        time.as_secs_f64()
    ));

    for (sending, sent) in SENDINGS.iter().zip(sent) {
        let round = Round::median(sent);
        let bound = sending.of_floor_min.map_or(Bound::None, Bound::AtLeast);
        report.time(format!("{}: of floor-log", sending.what), round.ratio(), "×", bound);
        report.sample(&format!("{}: floor-log", sending.what), &round.floors[0]);
        report.sample(&format!("{}: stanchiond", sending.what), &round.server);
    }
    let round = Round::median(drained);
    let what = "receive 10 + delete 10, 64";
    let bound = Bound::AtLeast(DRAIN_OF_FLOOR_MIN);
    report.time(format!("{what}: of floor-log's single sends"), round.ratio(), "×", bound);
    for (floor, when) in round.floors.iter().zip(["before", "after"]) {
        let what = format!("{what}: floor-log's single sends {when}");
        report.time(what, rate(floor), "messages/s", Bound::None);
    }
    report.sample(&format!("{what}: stanchiond"), &round.server);
    Ok(())
}

fn rate(sample: &Sample) -> f64 {
    sample.measured.messages_per_s()
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
