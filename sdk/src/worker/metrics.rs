//! Figures of a worker: counters, gauges and histograms that can be read, and written as Prometheus
//! has them.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What a worker counts and measures. One may be shared by several workers.
#[derive(Debug, Default)]
pub struct WorkerMetrics {
    /// Receives that were answered.
    pub receives: Counter,
    /// Receives without an answer, or refused.
    pub receive_failures: Counter,
    /// Messages that were received.
    pub received: Counter,
    /// Messages whose handlers are at work.
    pub running: Gauge,
    /// Messages in the worker's hands, from the receive until they are settled.
    pub held: Gauge,
    /// Handlers that said what is to become of a message.
    pub handled: Counter,
    /// Handlers that returned an error.
    pub errors: Counter,
    /// Handlers that took too long.
    pub timeouts: Counter,
    /// Handlers that panicked.
    pub panics: Counter,
    /// Heartbeats: messages hidden for another while.
    pub heartbeats: Counter,
    /// Messages that were deleted.
    pub deleted: Counter,
    /// Messages that were made available again.
    pub released: Counter,
    /// Messages that went to the dead-letter queue.
    pub dead_lettered: Counter,
    /// Messages that were lost: their time ran out, and the result of their handler was dropped.
    pub lost: Counter,
    /// From the send to the receive. By the clocks of the server and of this machine.
    pub time_in_queue: Histogram,
    /// How long receives take that bring something.
    pub receive: Histogram,
    /// From the receive to the start of the handler.
    pub wait: Histogram,
    /// How long handlers take.
    pub handle: Histogram,
    /// From the end of a handler to the answer to the deletion.
    pub delete: Histogram,
}

/// Something that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// How many there were.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }
}

/// Something that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// How many there are.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Relaxed);
    }

    pub(super) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Relaxed);
    }
}

/// How durations are spread: each bucket reaches twice as far as the one before, from 128 µs to 19
/// hours.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

/// The buckets, of which the last has no end.
const BUCKETS: usize = 31;

/// The end of the first bucket, in microseconds, as a power of two.
const FIRST_POWER: u32 = 7;

impl Histogram {
    /// How many durations there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum_us.load(Relaxed))
    }

    /// A duration that the given part (0 to 1) of all do not exceed: the end of a bucket, so at most
    /// twice the true one. None without any.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let total = self.count();
        let wanted = (total as f64 * part.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count.load(Relaxed);
            if seen >= wanted && total > 0 {
                return Some(bucket_end(bucket));
            }
        }
        None
    }

    pub(super) fn record(&self, duration: Duration) {
        let longest = bucket_end(BUCKETS - 1);
        let us = u64::try_from(duration.min(longest).as_micros()).unwrap_or(0);
        let power = us.max(1).next_power_of_two().trailing_zeros();
        let bucket = (power.saturating_sub(FIRST_POWER) as usize).min(BUCKETS - 1);
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }
}

fn bucket_end(bucket: usize) -> Duration {
    Duration::from_micros(1 << (bucket as u32 + FIRST_POWER))
}

impl WorkerMetrics {
    /// All figures in Prometheus' text format. `labels` go to each of them, such as
    /// `[("worker", "orders")]`.
    pub fn prometheus(&self, labels: &[(&str, &str)]) -> String {
        let mut out = Writer { text: String::new(), labels: String::new() };
        for (name, value) in labels {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(out.labels, "{name}=\"{value}\",");
        }
        let counters = [
            ("receives", &self.receives, "Receives that were answered."),
            ("receive_failures", &self.receive_failures, "Receives that failed."),
            ("received", &self.received, "Messages that were received."),
            ("handled", &self.handled, "Handlers that came to a result."),
            ("handler_errors", &self.errors, "Handlers that returned an error."),
            ("handler_timeouts", &self.timeouts, "Handlers that took too long."),
            ("handler_panics", &self.panics, "Handlers that panicked."),
            ("heartbeats", &self.heartbeats, "Messages hidden for another while."),
            ("deleted", &self.deleted, "Messages that were deleted."),
            ("released", &self.released, "Messages made available again."),
            ("dead_lettered", &self.dead_lettered, "Messages sent to a dead-letter queue."),
            ("lost", &self.lost, "Messages whose visibility timeout ran out."),
        ];
        for (name, counter, help) in counters {
            out.value(&format!("{name}_total"), "counter", help, counter.get());
        }
        out.value("running_messages", "gauge", "Messages in handlers.", self.running.get());
        out.value("held_messages", "gauge", "Messages in the worker's hands.", self.held.get());
        let histograms = [
            ("time_in_queue_seconds", &self.time_in_queue, "From the send to the receive."),
            ("receive_seconds", &self.receive, "Receives that bring something."),
            ("wait_seconds", &self.wait, "From the receive to the start of the handler."),
            ("handle_seconds", &self.handle, "Handlers."),
            ("delete_seconds", &self.delete, "From the end of a handler to its deletion."),
        ];
        for (name, histogram, help) in histograms {
            out.histogram(name, help, histogram);
        }
        out.text
    }
}

/// Writing to a text cannot fail.
struct Writer {
    text: String,
    /// Each with a comma behind it.
    labels: String,
}

impl Writer {
    fn value(&mut self, name: &str, kind: &str, help: &str, value: u64) {
        self.head(name, kind, help);
        let labels = self.labels.trim_end_matches(',');
        let _ = match labels {
            "" => writeln!(self.text, "stanchion_worker_{name} {value}"),
            labels => writeln!(self.text, "stanchion_worker_{name}{{{labels}}} {value}"),
        };
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, "histogram", help);
        let labels = &self.labels;
        let mut seen = 0;
        for (bucket, count) in histogram.buckets.iter().enumerate() {
            seen += count.load(Relaxed);
            let end = match bucket {
                last if last == BUCKETS - 1 => "+Inf".to_owned(),
                bucket => bucket_end(bucket).as_secs_f64().to_string(),
            };
            let line = format!("stanchion_worker_{name}_bucket{{{labels}le=\"{end}\"}} {seen}\n");
            self.text.push_str(&line);
        }
        let bare = match labels.trim_end_matches(',') {
            "" => String::new(),
            labels => format!("{{{labels}}}"),
        };
        let sum = histogram.sum().as_secs_f64();
        let _ = writeln!(self.text, "stanchion_worker_{name}_sum{bare} {sum}");
        let _ = writeln!(self.text, "stanchion_worker_{name}_count{bare} {seen}");
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP stanchion_worker_{name} {help}");
        let _ = writeln!(self.text, "# TYPE stanchion_worker_{name} {kind}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_knows_its_quantiles_to_a_power_of_two() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for ms in 1..=100 {
            histogram.record(Duration::from_millis(ms));
        }
        assert_eq!(histogram.count(), 100);
        assert_eq!(histogram.sum(), Duration::from_millis(5_050));
        assert_eq!(histogram.quantile(0.5), Some(Duration::from_micros(65_536)));
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_micros(131_072)));
        histogram.record(Duration::ZERO);
        assert_eq!(histogram.quantile(0.0), Some(Duration::from_micros(128)));
        histogram.record(Duration::MAX);
        assert_eq!(histogram.count(), 102, "what is beyond is in the last");
    }

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let metrics = WorkerMetrics::default();
        metrics.deleted.add(3);
        metrics.handle.record(Duration::from_millis(1));
        let bare = metrics.prometheus(&[]);
        assert!(bare.contains("\nstanchion_worker_deleted_total 3\n"), "{bare}");
        assert!(bare.contains("stanchion_worker_handle_seconds_bucket{le=\"0.000512\"} 0\n"));
        assert!(bare.contains("stanchion_worker_handle_seconds_bucket{le=\"0.001024\"} 1\n"));
        assert!(bare.contains("stanchion_worker_handle_seconds_bucket{le=\"+Inf\"} 1\n"));
        assert!(bare.contains("stanchion_worker_handle_seconds_count 1\n"));
        let labelled = metrics.prometheus(&[("worker", "a\"b")]);
        assert!(labelled.contains("stanchion_worker_deleted_total{worker=\"a\\\"b\"} 3\n"));
        assert!(labelled.contains("_bucket{worker=\"a\\\"b\",le=\"+Inf\"} 1\n"));
    }
}
