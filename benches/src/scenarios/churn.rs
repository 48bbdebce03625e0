//! What is deleted costs nothing: a queue that millions of messages went through is as fast as a
//! fresh one, and the disk gets its space back, even behind one old message that stays.

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Context;
use super::probe::{self, Probed, SMALL};
use crate::aws::{Client, Counters, Receive};
use crate::load::{self, Drains, Sends, Stop};
use crate::process::{Server, folder_bytes};
use crate::report::{Bound, Report};

/// Whether an old message stays in front of those that are deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Clear,
    Pinned,
}

/// What the folder may hold when nearly nothing is stored: four logs of 128 MiB.
const FOLDER_MIB_MAX: f64 = 512.0;

/// How long an idle server may take to give the space back.
const SHRINK_PATIENCE: Duration = Duration::from_secs(180);

/// `VisibilityTimeout` of the message that stays: the longest there is.
const PINNED_S: u32 = 12 * 60 * 60;

const CONNECTIONS: usize = 64;

const MIB: f64 = (1 << 20) as f64;

pub(super) async fn run(context: &Context, report: &mut Report, head: Head) -> io::Result<()> {
    let count = context.messages(5_000_000);
    let server = Server::start(&context.place.stanchiond("churn", &[])).await?;
    let address = server.address();
    let mut client = Client::open(address).await?;
    let mut fresh = Probed::standard(client.create_queue("fresh", json!({})).await?);
    let mut worn = Probed::standard(client.create_queue("worn", json!({})).await?);
    let url = worn.url.clone();
    let pinned = match head {
        Head::Clear => None,
        Head::Pinned => Some(pin(&mut client, &url).await?),
    };

    let within = context.patience(Duration::from_secs(1_500));
    let stop = Stop::Messages { count, within };
    let sent =
        load::run(address, CONNECTIONS, stop, |seed| Sends::new(address, &url, true, seed)).await?;
    report.time("sent at", sent.messages_per_s(), "messages/s", Bound::None);
    let folder = context.place.data("churn");
    report.count(
        "folder when all are sent",
        folder_bytes(&folder) as f64 / MIB,
        "MiB",
        Bound::None,
    );
    let drained = load::run(address, CONNECTIONS, stop, |_| Drains::new(address, &url)).await?;
    let rate = drained.messages_per_s();
    report.time("received and deleted at", rate, "messages/s", Bound::None);

    // The server closes a connection that is idle for so long.
    let mut client = Client::open(address).await?;
    let Counters { available, in_flight, delayed } = client.counters(&url).await?;
    let left = (available + in_flight + delayed) as f64;
    let expected = Bound::Exactly(if pinned.is_some() { 1.0 } else { 0.0 });
    report.count("messages left", left, "", expected);
    let started = Instant::now();
    client.receive(&url, Receive::default()).await?;
    let empty_ms = started.elapsed().as_secs_f64() * 1000.0;
    report.time("first receive, of nothing", empty_ms, "ms", Bound::None);

    worn.fill(&server, SMALL).await?;
    fresh.fill(&server, SMALL).await?;
    probe::compare(&server, report, "", &mut fresh, &mut worn).await?;

    let stop = Stop::Messages { count: SMALL, within };
    load::run(address, 1, stop, |_| Drains::new(address, &url)).await?;
    let started = Instant::now();
    while FOLDER_MIB_MAX * MIB < folder_bytes(&folder) as f64 && started.elapsed() < SHRINK_PATIENCE
    {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let shrunk_s = started.elapsed().as_secs_f64();
    report.time("idle until the folder had shrunk", shrunk_s, "s", Bound::None);
    let folder_mib = folder_bytes(&folder) as f64 / MIB;
    report.count("folder afterwards", folder_mib, "MiB", Bound::AtMost(FOLDER_MIB_MAX));

    if let Some(pinned) = pinned {
        let mut client = Client::open(address).await?;
        let input = json!({
            "QueueUrl": url, "ReceiptHandle": pinned["ReceiptHandle"], "VisibilityTimeout": 0,
        });
        client.call("ChangeMessageVisibility", &input).await?;
        let received =
            client.receive(&url, Receive { messages_max: 10, ..Receive::default() }).await?;
        let is_same = |message: &&Value| message["MessageId"] == pinned["MessageId"];
        let found = received.iter().filter(is_same).count() as f64;
        report.count("the old message, received again", found, "", Bound::Exactly(1.0));
    }
    Ok(())
}

/// Sends one message and keeps it in flight; returns it as received.
async fn pin(client: &mut Client, url: &str) -> io::Result<Value> {
    client.call("SendMessage", &json!({ "QueueUrl": url, "MessageBody": "old" })).await?;
    let ask = Receive { messages_max: 1, wait_s: 5, visibility_s: Some(PINNED_S) };
    let mut received = client.receive(url, ask).await?;
    received.pop().ok_or_else(|| io::Error::other("the message to keep was not received"))
}
