//! Cost does not depend on the backlog: memory, start-up time and receive latency with millions of
//! messages that are available, delayed, dead-lettered, or spread over FIFO groups.

use std::io;
use std::time::{Duration, Instant};

use serde_json::json;

use super::Context;
use super::probe::{self, Probed, SMALL};
use crate::aws::{BATCH, Client, Counters, Receive};
use crate::load::{self, Rejects, Sends, Stop};
use crate::process::{Launch, Server};
use crate::report::{Bound, Report};

/// What the backlog consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Standard,
    Delayed,
    DeadLetter,
    Fifo,
}

/// How far the resident memory may be above that of the empty server.
const RESIDENT_MIB_MAX: f64 = 300.0;

/// From start to ready.
const READY_S_MAX: f64 = 2.0;

/// From SIGTERM to the end of the process.
const STOP_S_MAX: f64 = 10.0;

/// Connections that fill the queue.
const CONNECTIONS: usize = 64;

/// Longest `DelaySeconds`.
const DELAY_S_MAX: u64 = 900;

/// Messages per second that the choice of a delay counts on: all must be sent before the first
/// falls due.
const DELAYED_MESSAGES_PER_S: u64 = 20_000;

const MIB: f64 = (1 << 20) as f64;

/// A server with a backlog.
struct Loaded {
    launch: Launch,
    server: Server,
    empty_bytes: u64,
    small: Probed,
    large: Probed,
    /// Messages in the large queue, whatever their state.
    messages: u64,
}

pub(super) async fn run(context: &Context, report: &mut Report, kind: Kind) -> io::Result<()> {
    let count = match kind {
        Kind::Fifo => context.messages(1_000_000),
        _ => context.messages(10_000_000),
    };
    let launch = context.place.stanchiond("backlog", &[]);
    let server = Server::start(&launch).await?;
    let empty_bytes = server.usage()?.resident_bytes;
    let empty_mib = empty_bytes as f64 / MIB;
    report.count("resident memory of the empty server", empty_mib, "MiB", Bound::None);

    let mut client = Client::open(server.address()).await?;
    let (suffix, attributes) = match kind {
        Kind::Fifo => (".fifo", probe::attributes(true)),
        _ => ("", probe::attributes(false)),
    };
    let small_url = client.create_queue(&format!("small{suffix}"), attributes.clone()).await?;
    let large_url = client.create_queue(&format!("large{suffix}"), attributes).await?;
    let groups = |messages: u64| (kind == Kind::Fifo).then_some(messages / 10);
    let mut small = Probed { url: small_url, groups: groups(SMALL), next_number: 0 };
    small.fill(&server, SMALL).await?;
    let large = Probed { url: large_url, groups: groups(count), next_number: 0 };
    let mut loaded = Loaded { launch, server, empty_bytes, small, large, messages: 0 };

    match kind {
        Kind::Standard | Kind::Fifo => {
            loaded.send(context, report, count, None).await?;
            loaded.judge(report, "").await?;
        }
        Kind::DeadLetter => {
            loaded.dead_letter(context, report, &mut client, count).await?;
            loaded.judge(report, "").await?;
        }
        Kind::Delayed => {
            let delay_s = (count / DELAYED_MESSAGES_PER_S + 10).min(DELAY_S_MAX);
            report.note(format!(
                "Sent with `DelaySeconds` {delay_s}, on the real clock. 1,000 messages without a \
                 delay stand in the queue too, so that there is something to receive."
            ));
            loaded.send(context, report, count, Some(delay_s as u32)).await?;
            let due = Instant::now() + Duration::from_secs(delay_s);
            loaded.large.fill(&loaded.server, SMALL).await?;
            loaded.messages += SMALL;
            loaded.judge(report, "before due: ").await?;
            let delayed = loaded.counters().await?.delayed as f64;
            report.count("before due: still delayed at the end", delayed, "messages", Bound::None);
            loaded.fall_due(report, due).await?;
            loaded.judge(report, "after due: ").await?;
        }
    }
    Ok(())
}

impl Loaded {
    /// Fills the large queue through the API.
    async fn send(
        &mut self,
        context: &Context,
        report: &mut Report,
        count: u64,
        delay_s: Option<u32>,
    ) -> io::Result<()> {
        let (address, url) = (self.server.address(), &self.large.url);
        let within = context.patience(Duration::from_secs(1_800));
        let stop = Stop::Messages { count, within };
        let groups = self.large.groups;
        let make = |seed| match (groups, delay_s) {
            (Some(groups), _) => Sends::fifo(address, url, groups, seed),
            (None, Some(delay_s)) => Sends::delayed(address, url, delay_s, seed),
            (None, None) => Sends::new(address, url, true, seed),
        };
        let measured = load::run(address, CONNECTIONS, stop, make).await?;
        report.time("sent at", measured.messages_per_s(), "messages/s", Bound::None);
        self.large.next_number += count;
        self.messages += count;
        Ok(())
    }

    /// Fills the large queue with messages that were received once too often from another.
    async fn dead_letter(
        &mut self,
        context: &Context,
        report: &mut Report,
        client: &mut Client,
        count: u64,
    ) -> io::Result<()> {
        let target = client.attribute(&self.large.url, "QueueArn").await?;
        let policy = json!({ "deadLetterTargetArn": target, "maxReceiveCount": 1 }).to_string();
        let source = json!({ "RedrivePolicy": policy });
        let source = client.create_queue("source", source).await?;
        let dead_letters = std::mem::replace(&mut self.large.url, source.clone());
        self.send(context, report, count, None).await?;
        self.large.url = dead_letters;

        let address = self.server.address();
        let within = context.patience(Duration::from_secs(3_600));
        let stop = Stop::Messages { count, within };
        let started = Instant::now();
        load::run(address, CONNECTIONS, stop, |_| Rejects::new(address, &source)).await?;
        // The server closes a connection that was idle for so long.
        let mut client = Client::open(address).await?;
        // The last ones were received once; the receive after that moves them.
        let ask = Receive { messages_max: BATCH, visibility_s: Some(0), wait_s: 0 };
        while client.counters(&source).await? != Counters::default() {
            client.receive(&source, ask).await?;
            if within < started.elapsed() {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "not all were moved"));
            }
        }
        let rate = count as f64 / started.elapsed().as_secs_f64();
        report.time("received and moved at", rate, "messages/s", Bound::None);
        Ok(())
    }

    /// Waits until nothing is delayed any more.
    async fn fall_due(&mut self, report: &mut Report, due: Instant) -> io::Result<()> {
        tokio::time::sleep_until(due.into()).await;
        let give_up = due + Duration::from_secs(120);
        let mut delayed = self.counters().await?.delayed;
        while delayed != 0 && Instant::now() < give_up {
            tokio::time::sleep(Duration::from_millis(100)).await;
            delayed = self.counters().await?.delayed;
        }
        let lag_s = due.elapsed().as_secs_f64();
        report.time("counted as available after the last fell due", lag_s, "s", Bound::None);
        report.count("after due: delayed", delayed as f64, "messages", Bound::Exactly(0.0));
        Ok(())
    }

    /// Memory, both kinds of restart, counters and receive latency.
    async fn judge(&mut self, report: &mut Report, when: &str) -> io::Result<()> {
        self.weigh(report, &format!("{when}filled"))?;
        let killed_at = self.restart_after_kill().await?;
        report.time(
            format!("{when}ready after SIGKILL"),
            killed_at.as_secs_f64(),
            "s",
            Bound::AtMost(READY_S_MAX),
        );
        self.count(report, &format!("{when}messages after SIGKILL")).await?;
        let (stopped, ready) = self.restart_after_stop().await?;
        let (stopped_s, ready_s) = (stopped.as_secs_f64(), ready.as_secs_f64());
        report.time(format!("{when}SIGTERM to the end"), stopped_s, "s", Bound::AtMost(STOP_S_MAX));
        let what = format!("{when}ready after a clean stop");
        report.time(what, ready_s, "s", Bound::AtMost(READY_S_MAX));
        self.count(report, &format!("{when}messages after a clean stop")).await?;
        let Loaded { server, small, large, .. } = self;
        probe::compare(server, report, when, small, large).await?;
        self.count(report, &format!("{when}messages at the end")).await?;
        self.weigh(report, &format!("{when}restarted, in use"))
    }

    fn weigh(&self, report: &mut Report, when: &str) -> io::Result<()> {
        let usage = self.server.usage()?;
        let above = |bytes: u64| bytes.saturating_sub(self.empty_bytes) as f64 / MIB;
        let (now, worst) = (above(usage.resident_bytes), above(usage.resident_bytes_max));
        let bound = Bound::AtMost(RESIDENT_MIB_MAX);
        report.count(format!("{when}: memory above the empty server's"), now, "MiB", bound);
        report.count(format!("{when}: the same at its highest"), worst, "MiB", Bound::None);
        Ok(())
    }

    async fn count(&self, report: &mut Report, what: &str) -> io::Result<()> {
        let Counters { available, in_flight, delayed } = self.counters().await?;
        let counted = (available + in_flight + delayed) as f64;
        report.count(what, counted, "", Bound::Exactly(self.messages as f64));
        Ok(())
    }

    async fn counters(&self) -> io::Result<Counters> {
        Client::open(self.server.address()).await?.counters(&self.large.url).await
    }

    async fn restart_after_kill(&mut self) -> io::Result<Duration> {
        self.server.kill()?;
        self.server = Server::start(&self.launch).await?;
        Ok(self.server.ready_after())
    }

    /// How long the end took, and the start.
    async fn restart_after_stop(&mut self) -> io::Result<(Duration, Duration)> {
        let stopped = self.server.stop().await?;
        self.server = Server::start(&self.launch).await?;
        Ok((stopped, self.server.ready_after()))
    }
}
