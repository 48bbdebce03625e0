//! Figures of a function host: counters and gauges that can be read, and written as Prometheus has
//! them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The ends of the buckets of durations, in milliseconds; what takes longer is in a last one.
const BUCKET_ENDS_MS: [u64; 14] =
    [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 10_000, 60_000, 900_000];

/// What a function host counts. All figures are since its start.
#[derive(Debug, Default)]
pub struct FunctionMetrics {
    pub(crate) invocations: AtomicU64,
    pub(crate) errors: AtomicU64,
    pub(crate) timeouts: AtomicU64,
    pub(crate) crashes: AtomicU64,
    pub(crate) init_errors: AtomicU64,
    pub(crate) throttles: AtomicU64,
    pub(crate) received: AtomicU64,
    pub(crate) filtered: AtomicU64,
    pub(crate) handled: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) receive_failures: AtomicU64,
    pub(crate) delete_failures: AtomicU64,
    pub(crate) concurrency: AtomicU64,
    pub(crate) processes: AtomicU64,
    duration_us: AtomicU64,
    durations: [AtomicU64; BUCKET_ENDS_MS.len() + 1],
}

/// What can be read, with what Prometheus calls it and says about it.
macro_rules! figures {
    ($($field:ident, $kind:literal, $name:literal, $help:literal;)*) => {
        impl FunctionMetrics {
            $(#[doc = $help]
            pub fn $field(&self) -> u64 {
                self.$field.load(Relaxed)
            })*

            fn write_figures(&self, text: &mut String, function: &str) {
                $(header(text, $name, $kind, $help);
                // Writing to a text cannot fail.
                let _ = writeln!(text, "{}{{function=\"{function}\"}} {}", $name, self.$field());)*
            }
        }
    };
}

figures! {
    invocations, "counter", "stanchion_function_invocations_total", "Invocations that are over, by hand ones included.";
    errors, "counter", "stanchion_function_errors_total", "Invocations that failed, timeouts and crashes included.";
    timeouts, "counter", "stanchion_function_timeouts_total", "Invocations that took too long; their processes were killed.";
    crashes, "counter", "stanchion_function_crashes_total", "Invocations during which the process ended.";
    init_errors, "counter", "stanchion_function_init_errors_total", "Processes that did not come to their first event.";
    throttles, "counter", "stanchion_function_throttles_total", "How often work had to wait or was refused because all processes were busy.";
    received, "counter", "stanchion_function_messages_received_total", "Messages that were received from the queue.";
    filtered, "counter", "stanchion_function_messages_filtered_total", "Messages that no filter wanted; they were deleted.";
    handled, "counter", "stanchion_function_messages_handled_total", "Messages that the function handled.";
    failed, "counter", "stanchion_function_messages_failed_total", "Messages that the function did not handle; they come again.";
    receive_failures, "counter", "stanchion_function_receive_failures_total", "Receives that failed.";
    delete_failures, "counter", "stanchion_function_delete_failures_total", "Messages that were handled and could not be deleted; they come again.";
    concurrency, "gauge", "stanchion_function_concurrency", "Processes at work.";
    processes, "gauge", "stanchion_function_processes", "Processes, whether at work, idle or starting.";
}

impl FunctionMetrics {
    /// How long all invocations took together, from the event to the answer.
    pub fn duration(&self) -> Duration {
        Duration::from_micros(self.duration_us.load(Relaxed))
    }

    /// All figures in the text format of Prometheus, labelled with the function's name.
    pub fn prometheus(&self, function: &str) -> String {
        const DURATION: &str = "stanchion_function_duration_seconds";
        let mut text = String::new();
        self.write_figures(&mut text, function);
        header(&mut text, DURATION, "histogram", "How long invocations take.");
        let ends = BUCKET_ENDS_MS.map(|ms| (ms as f64 / 1_000.0).to_string());
        let ends = ends.iter().map(String::as_str).chain(["+Inf"]);
        let mut count = 0;
        for (end, bucket) in ends.zip(&self.durations) {
            count += bucket.load(Relaxed);
            let labels = format!("function=\"{function}\",le=\"{end}\"");
            // Writing to a text cannot fail.
            let _ = writeln!(text, "{DURATION}_bucket{{{labels}}} {count}");
        }
        let sum = self.duration().as_secs_f64();
        let _ = writeln!(text, "{DURATION}_sum{{function=\"{function}\"}} {sum}");
        let _ = writeln!(text, "{DURATION}_count{{function=\"{function}\"}} {count}");
        text
    }

    pub(crate) fn took(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.duration_us.fetch_add(us, Relaxed);
        let bucket = BUCKET_ENDS_MS.partition_point(|end| end * 1_000 < us);
        self.durations[bucket].fetch_add(1, Relaxed);
    }
}

/// Adds to a counter.
pub(crate) fn count(counter: &AtomicU64, more: usize) {
    counter.fetch_add(more as u64, Relaxed);
}

fn header(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_as_prometheus_reads_them() {
        let metrics = FunctionMetrics::default();
        count(&metrics.invocations, 3);
        for ms in [1, 30, 3_600_000] {
            metrics.took(Duration::from_millis(ms));
        }
        let text = metrics.prometheus("orders");
        for line in [
            "# TYPE stanchion_function_invocations_total counter",
            "stanchion_function_invocations_total{function=\"orders\"} 3",
            "stanchion_function_concurrency{function=\"orders\"} 0",
            "stanchion_function_duration_seconds_bucket{function=\"orders\",le=\"0.001\"} 1",
            "stanchion_function_duration_seconds_bucket{function=\"orders\",le=\"0.05\"} 2",
            "stanchion_function_duration_seconds_bucket{function=\"orders\",le=\"900\"} 2",
            "stanchion_function_duration_seconds_bucket{function=\"orders\",le=\"+Inf\"} 3",
            "stanchion_function_duration_seconds_sum{function=\"orders\"} 3600.031",
            "stanchion_function_duration_seconds_count{function=\"orders\"} 3",
        ] {
            assert!(text.lines().any(|written| written == line), "{line}\nin\n{text}");
        }
    }
}
