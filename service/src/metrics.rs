//! Every metric: its name, its kind, what it means and where it comes from. One table, read at each
//! scrape.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::api::action;
use crate::api::admission::Admission;
use crate::api::connections::Connections;
use crate::api::protocol::Protocol;
use crate::api::throttle::Throttle;
use crate::shard::handle::Shards;
use crate::shard::stats::{ShardStats, TurnSizes};
use crate::store::Reads;

/// One metric: a row of [`METRICS`].
pub struct Metric {
    /// Without the `_total` that counters get on the way out.
    pub name: &'static str,
    /// For people.
    pub help: &'static str,
    source: Source,
}

/// Where a metric comes from, which also says of what kind it is.
enum Source {
    /// What does not change while the server runs.
    Info,
    /// A counter of requests by action, code and protocol.
    Requests,
    /// A histogram of requests by action.
    RequestSeconds,
    /// A counter of the server.
    Counter(fn(&Sources) -> u64),
    /// A level of the server.
    Level(fn(&Sources) -> u64),
    /// A counter of each shard.
    ShardCounter(fn(&ShardStats) -> u64),
    /// A counter of each shard in nanoseconds, shown in seconds.
    ShardNanoseconds(fn(&ShardStats) -> u64),
    /// A level of each shard.
    ShardLevel(fn(&ShardStats) -> u64),
    /// A histogram of each shard.
    TurnSizes,
    /// A counter of the store.
    Store(fn(Reads) -> u64),
}

/// Every metric, in the order of their names.
#[rustfmt::skip]
pub const METRICS: &[Metric] = &[
    row("stanchion_audit_lines_lost", "Lines of the audit log that could not be written, or did not fit into the queue for it.", Source::Counter(|s| s.audit_lines_lost.get())),
    row("stanchion_bodies_late", "Requests refused because their bodies took too long to arrive.", Source::Counter(|s| s.connections.incidents.bodies_late.get())),
    row("stanchion_bodies_slow", "Requests refused because their bodies came too slowly.", Source::Counter(|s| s.connections.incidents.bodies_slow.get())),
    row("stanchion_bytes_in_flight", "Bytes of request and response bodies in progress.", Source::Level(|s| s.admission.bytes() as u64)),
    row("stanchion_commit_seconds", "Time spent in commits.", Source::ShardNanoseconds(|s| s.commit_ns.get())),
    row("stanchion_connections", "Open connections.", Source::Level(|s| s.connections.count() as u64)),
    row("stanchion_connections_idle", "Connections closed because nothing was asked on them, or no answer taken, for too long.", Source::Counter(|s| s.connections.incidents.idle.get())),
    row("stanchion_connections_refused", "Connections closed at once because there were too many.", Source::Counter(|s| s.connections.incidents.refused.get())),
    row("stanchion_connections_refused_of_address", "Connections closed at once because there were too many of one address.", Source::Counter(|s| s.connections.incidents.refused_of_address.get())),
    row("stanchion_dead_letters", "Messages moved to a dead-letter queue.", Source::ShardCounter(|s| s.dead_lettered.get())),
    row("stanchion_dead_letters_stuck", "Moves to a dead-letter queue that does not exist: the message stays where it is.", Source::ShardCounter(|s| s.dead_letter_stuck.get())),
    row("stanchion_empty_receives", "Receives that returned nothing.", Source::ShardCounter(|s| s.empty_receives.get())),
    row("stanchion_headers_too_large", "Connections closed because the headers of a request were too large, HTTP/2 not counted.", Source::Counter(|s| s.connections.incidents.headers_too_large.get())),
    row("stanchion_messages_deleted", "Deletes by a valid handle, and by operators.", Source::ShardCounter(|s| s.deleted.get())),
    row("stanchion_messages_duplicate", "FIFO sends dropped as duplicates.", Source::ShardCounter(|s| s.duplicates.get())),
    row("stanchion_messages_expired", "Messages dropped because their retention ended.", Source::ShardCounter(|s| s.expired.get())),
    row("stanchion_messages_held", "Messages in flight, and those that came back from it: what is in memory.", Source::ShardLevel(|s| s.held.get())),
    row("stanchion_messages_moved", "Messages moved to another queue, dead letters not counted.", Source::ShardCounter(|s| s.moved.get())),
    row("stanchion_messages_received", "Messages returned.", Source::ShardCounter(|s| s.received.get())),
    row("stanchion_messages_sent", "Messages accepted.", Source::ShardCounter(|s| s.sent.get())),
    row("stanchion_move_tasks", "Message move tasks at work.", Source::ShardLevel(|s| s.move_tasks.get())),
    row("stanchion_outbox_messages", "Messages on their way to another queue.", Source::ShardLevel(|s| s.outbox.get())),
    row("stanchion_parked_polls", "Long polls that wait for a message.", Source::ShardLevel(|s| s.parked_polls.get())),
    row("stanchion_polls_in_flight", "Long polls in progress.", Source::Level(|s| s.admission.polls() as u64)),
    row("stanchion_queues", "Queues.", Source::ShardLevel(|s| s.queues.get())),
    row("stanchion_read_ahead_bytes", "Bytes of messages read ahead.", Source::ShardLevel(|s| s.window_bytes.get())),
    row("stanchion_request_seconds", "Time from a request's headers to its answer, waits included.", Source::RequestSeconds),
    row("stanchion_requests", "Requests by action, code and protocol; code OK is success.", Source::Requests),
    row("stanchion_requests_in_flight", "Requests in progress, long polls not counted.", Source::Level(|s| s.admission.requests() as u64)),
    row("stanchion_requests_late", "Requests that were not answered in time.", Source::Counter(|s| s.connections.incidents.requests_late.get())),
    row("stanchion_requests_throttled_by_key", "Requests refused because their access key made too many.", Source::Counter(|s| s.throttle.refused_of_keys())),
    row("stanchion_requests_throttled_by_queue", "Requests refused because too many named their queue.", Source::Counter(|s| s.throttle.refused_of_queues())),
    row("stanchion_server", "What was configured.", Source::Info),
    row("stanchion_store_keys_read", "Rows read from the store, by their keys and by scans.", Source::Store(|reads| reads.keys)),
    row("stanchion_store_tombstones_skipped", "Deleted rows that scans stepped over.", Source::Store(|reads| reads.tombstones)),
    row("stanchion_syncs", "Commits that waited for the disk.", Source::ShardCounter(|s| s.syncs.get())),
    row("stanchion_tls_certificates_loaded", "Times that a certificate was read again and is in use.", Source::Counter(|s| s.connections.incidents.certificates_loaded.get())),
    row("stanchion_tls_certificates_refused", "Times that a certificate was read again and is of no use.", Source::Counter(|s| s.connections.incidents.certificates_refused.get())),
    row("stanchion_tls_handshakes_failed", "TLS handshakes that failed.", Source::Counter(|s| s.connections.incidents.handshakes_failed.get())),
    row("stanchion_tls_handshakes_late", "TLS handshakes that took too long.", Source::Counter(|s| s.connections.incidents.handshakes_late.get())),
    row("stanchion_turn_commands", "Commands that a turn took together.", Source::TurnSizes),
    row("stanchion_turns", "Turns that did something.", Source::ShardCounter(|s| s.turns.get())),
];

const fn row(name: &'static str, help: &'static str, source: Source) -> Metric {
    Metric { name, help, source }
}

/// Every [`label`] there is.
const PROTOCOLS: [&str; 2] = ["json", "query"];

/// What a protocol is called: who still speaks the older one is good to know.
fn label(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Json => "json",
        Protocol::Query | Protocol::QueryOfSts | Protocol::QueryInJson => "query",
    }
}

fn labels<'a>(action: &'a str, code: &'a str, protocol: &'a str) -> [(&'a str, &'a str); 3] {
    [("action", action), ("code", code), ("protocol", protocol)]
}

/// What is counted. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    sources: Arc<Sources>,
    registry: Arc<Registry>,
}

/// Where all numbers are.
struct Sources {
    info: Vec<(&'static str, String)>,
    connections: Arc<Connections>,
    admission: Arc<Admission>,
    throttle: Arc<Throttle>,
    shards: Shards,
    audit_lines_lost: Counter,
    actions: BTreeMap<&'static str, ByAction>,
    failed: Family<[(&'static str, &'static str); 3], Counter>,
}

struct ByAction {
    /// By protocol.
    succeeded: BTreeMap<&'static str, Counter>,
    seconds: Histogram,
}

impl Metrics {
    /// Counts from zero. `info` is what does not change while the server runs.
    pub fn new(
        info: Vec<(&'static str, String)>,
        connections: Arc<Connections>,
        admission: Arc<Admission>,
        throttle: Arc<Throttle>,
        shards: Shards,
    ) -> Metrics {
        let by_action = || ByAction {
            succeeded: PROTOCOLS.map(|protocol| (protocol, Counter::default())).into(),
            // 50 µs to 26 s: a long poll takes up to 20 s.
            seconds: Histogram::new(exponential_buckets(50e-6, 2.0, 20)),
        };
        let names = action::all().map(|row| row.name).chain(["unknown"]);
        let sources = Arc::new(Sources {
            info,
            connections,
            admission,
            throttle,
            shards,
            audit_lines_lost: Counter::default(),
            actions: names.map(|name| (name, by_action())).collect(),
            failed: Family::default(),
        });
        let mut registry = Registry::default();
        registry.register_collector(Box::new(sources.clone()));
        Metrics { sources, registry: Arc::new(registry) }
    }

    /// Notes one answered request. `code` is `OK` or that of the error.
    pub fn observe(
        &self,
        action: &'static str,
        code: &'static str,
        protocol: Protocol,
        took: Duration,
    ) {
        let protocol = label(protocol);
        if let Some(by_action) = self.sources.actions.get(action) {
            by_action.seconds.observe(took.as_secs_f64());
            match by_action.succeeded.get(protocol).filter(|_| code == "OK") {
                Some(succeeded) => succeeded.inc(),
                None => self.sources.failed.get_or_create(&labels(action, code, protocol)).inc(),
            };
        }
    }

    /// The counter of what the audit log loses.
    pub fn audit_lines_lost(&self) -> Counter {
        self.sources.audit_lines_lost.clone()
    }

    /// Everything, as text in the OpenMetrics format.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail; what was written is shown whatever happens.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

impl Metric {
    fn kind(&self) -> MetricType {
        match self.source {
            Source::Info => MetricType::Info,
            Source::Requests
            | Source::Counter(_)
            | Source::ShardCounter(_)
            | Source::ShardNanoseconds(_)
            | Source::Store(_) => MetricType::Counter,
            Source::RequestSeconds | Source::TurnSizes => MetricType::Histogram,
            Source::Level(_) | Source::ShardLevel(_) => MetricType::Gauge,
        }
    }

    fn encode(&self, from: &Sources, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        let stats = from.shards.stats();
        let shards = || stats.iter().enumerate().map(|(n, stats)| ([("shard", n as u64)], stats));
        match self.source {
            Source::Info => encoder.encode_info(&from.info)?,
            Source::Requests => {
                for (name, by_action) in &from.actions {
                    for (protocol, succeeded) in &by_action.succeeded {
                        let labels = labels(name, "OK", protocol);
                        succeeded.encode(encoder.encode_family(&labels)?)?;
                    }
                }
                from.failed.encode(encoder)?;
            }
            Source::RequestSeconds => {
                for (name, by_action) in &from.actions {
                    by_action.seconds.encode(encoder.encode_family(&[("action", *name)])?)?;
                }
            }
            Source::Store(read) => {
                encoder.encode_counter::<NoLabelSet, _, u64>(&read(from.shards.reads()), None)?;
            }
            Source::Counter(read) => {
                encoder.encode_counter::<NoLabelSet, _, u64>(&read(from), None)?;
            }
            Source::Level(read) => encoder.encode_gauge(&read(from))?,
            Source::ShardCounter(read) => {
                for (labels, stats) in shards() {
                    let mut encoder = encoder.encode_family(&labels)?;
                    encoder.encode_counter::<NoLabelSet, _, u64>(&read(stats), None)?;
                }
            }
            Source::ShardNanoseconds(read) => {
                for (labels, stats) in shards() {
                    let seconds = read(stats) as f64 / 1e9;
                    let mut encoder = encoder.encode_family(&labels)?;
                    encoder.encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
                }
            }
            Source::ShardLevel(read) => {
                for (labels, stats) in shards() {
                    encoder.encode_family(&labels)?.encode_gauge(&read(stats))?;
                }
            }
            Source::TurnSizes => {
                for (labels, stats) in shards() {
                    let turns = stats.turn_sizes.buckets();
                    let bounds = TurnSizes::BOUNDS.iter().map(|bound| *bound as f64);
                    let buckets: Vec<_> = bounds.chain([f64::MAX]).zip(turns).collect();
                    encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                        stats.turn_sizes.sum() as f64,
                        turns.iter().sum(),
                        &buckets,
                        None,
                    )?;
                }
            }
        }
        Ok(())
    }
}

/// The registry asks for it, and shows it nowhere.
impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

impl Collector for Sources {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        METRICS.iter().try_for_each(|metric| {
            let encoder =
                encoder.encode_descriptor(metric.name, metric.help, None, metric.kind())?;
            metric.encode(self, encoder)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::admission::Bounds;
    use crate::api::connections::ConnectionBounds;
    use crate::env::SystemClock;
    use crate::shard::start::StartOptions;
    use crate::store::memory::MemoryStore;

    #[test]
    fn names_are_sorted_distinct_and_ours() {
        assert!(METRICS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for metric in METRICS {
            let legal = |c: char| c.is_ascii_lowercase() || c == '_';
            assert!(metric.name.starts_with("stanchion_"), "{}", metric.name);
            assert!(metric.name.chars().all(legal), "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}", metric.name);
        }
    }

    #[test]
    fn a_scrape_shows_every_metric() {
        let store = Arc::new(MemoryStore::new());
        let options = StartOptions::new(store, Arc::new(SystemClock));
        let (shards, _failure) = Shards::start(options).unwrap();
        let stats = &shards.stats()[0];
        stats.sent.add(7);
        stats.turn_sizes.observe(3);
        stats.commit_ns.add(1_500_000_000);
        let info = vec![("durability", "fsync".to_string())];
        let bounds = Bounds { requests_max: 1, bytes_max: 1 };
        let connections = Connections::new(ConnectionBounds { total_max: 1, per_address_max: 1 });
        let metrics = Metrics::new(
            info,
            connections.clone(),
            Admission::new(bounds),
            Arc::new(Throttle::new(None, None)),
            shards.clone(),
        );
        let here = [127, 0, 0, 1].into();
        let connection = connections.admit(here, false);
        assert!(connections.admit(here, false).is_none());
        let took = Duration::from_millis(1);
        metrics.observe("SendMessage", "OK", Protocol::Json, took);
        metrics.observe("SendMessage", "MissingParameter", Protocol::Query, took);
        let text = metrics.encode();
        for metric in METRICS {
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{text}");
        }
        for line in [
            "stanchion_server_info{durability=\"fsync\"} 1",
            "stanchion_connections 1",
            "stanchion_connections_refused_total 1",
            "stanchion_messages_sent_total{shard=\"0\"} 7",
            "stanchion_commit_seconds_total{shard=\"0\"} 1.5",
            "stanchion_turn_commands_bucket{le=\"4.0\",shard=\"0\"} 1",
            "stanchion_requests_total{action=\"SendMessage\",code=\"OK\",protocol=\"json\"} 1",
            "stanchion_requests_total{action=\"SendMessage\",code=\"MissingParameter\",\
             protocol=\"query\"} 1",
            "stanchion_request_seconds_count{action=\"SendMessage\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        drop(connection);
        assert!(metrics.encode().contains("stanchion_connections 0"));
    }
}
