//! How many messages a queue has sent, received and deleted in the last minute: a few counters, so
//! that to count costs nothing and to ask costs little.

use std::time::Duration;

/// Seconds that one counter counts.
const SLICE_S: u64 = 5;

/// Counters: the present one and those of the rest of a minute.
const SLICES: usize = 12;

/// What happens to messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Sent,
    Received,
    Deleted,
}

/// Messages a second, over the last minute.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PerSecond {
    /// Accepted by sends.
    pub sent: f64,
    /// Handed out by receives.
    pub received: f64,
    /// Deleted by handle.
    pub deleted: f64,
}

/// The counters of a queue.
#[derive(Debug, Default)]
pub(super) struct Rates {
    slices: [[u32; 3]; SLICES],
    /// The slice that is counted in, numbered from the boot.
    present: u64,
}

impl Rates {
    /// Counts what happens at a moment of the boot clock.
    pub(super) fn add(&mut self, boot: Duration, flow: Flow, messages: usize) {
        self.turn_to(slice_of(boot));
        let count = &mut self.slices[self.present as usize % SLICES][flow as usize];
        *count = count.saturating_add(u32::try_from(messages).unwrap_or(u32::MAX));
    }

    /// What was counted in the last minute. A server or a queue that is younger counts as having
    /// rested before.
    pub(super) fn per_second(&mut self, boot: Duration) -> PerSecond {
        self.turn_to(slice_of(boot));
        let began = Duration::from_secs((self.present + 1) * SLICE_S);
        let into = (boot + Duration::from_secs(SLICE_S)).saturating_sub(began);
        let seconds = (SLICES as u64 - 1) as f64 * SLICE_S as f64 + into.as_secs_f64();
        let rate = |flow: Flow| {
            let sum: u64 = self.slices.iter().map(|slice| u64::from(slice[flow as usize])).sum();
            sum as f64 / seconds
        };
        PerSecond {
            sent: rate(Flow::Sent),
            received: rate(Flow::Received),
            deleted: rate(Flow::Deleted),
        }
    }

    /// Empties the counters of the slices that have begun since.
    fn turn_to(&mut self, slice: u64) {
        let passed = slice.saturating_sub(self.present).min(SLICES as u64);
        for ahead in 0..passed {
            self.slices[(slice - ahead) as usize % SLICES] = [0; 3];
        }
        self.present = self.present.max(slice);
    }
}

fn slice_of(boot: Duration) -> u64 {
    boot.as_secs() / SLICE_S
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_steady_flow_has_its_rate_and_one_that_ends_is_forgotten_in_a_minute() {
        let mut rates = Rates::default();
        for second in 1_000..1_120 {
            rates.add(at(second), Flow::Sent, 7);
            rates.add(at(second), Flow::Deleted, 1);
        }
        let now = rates.per_second(at(1_120));
        assert_eq!((now.received, now.deleted), (0.0, 1.0));
        assert_eq!(now.sent, 7.0);
        let later = rates.per_second(at(1_150)).sent;
        assert!((3.0..4.0).contains(&later), "{later}");
        assert_eq!(rates.per_second(at(1_180)), PerSecond::default());
        assert_eq!(rates.per_second(at(9_999_999)), PerSecond::default());
    }

    #[test]
    fn a_burst_counts_in_the_minute_around_it_alone() {
        let mut rates = Rates::default();
        rates.add(at(1_002), Flow::Received, 600);
        for second in 1_002..1_060 {
            let rate = rates.per_second(at(second)).received;
            assert!((10.0..11.0).contains(&rate), "{second}: {rate}");
        }
        assert_eq!(rates.per_second(at(1_062)).received, 0.0);
        // The clock never goes back; if it did, nothing would break.
        rates.add(at(5), Flow::Received, 60);
        assert!(rates.per_second(at(5)).received > 0.0);
    }
}
