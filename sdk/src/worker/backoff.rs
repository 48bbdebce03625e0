//! How long a message that failed stays away.

use std::time::Duration;

/// The time until the next try, by how often a message was received. Pure: the jitter comes from
/// outside.
#[derive(Clone, Copy, Debug)]
pub enum Backoff {
    /// Always the same. Zero is at once.
    Fixed(Duration),
    /// The first time after the first failure, and `factor` times as long after each further one, up
    /// to `max`. The jitter takes away up to half, so that what failed together comes back apart.
    Exponential {
        /// After the first failure.
        first: Duration,
        /// What each further failure multiplies it by.
        factor: f64,
        /// The longest.
        max: Duration,
    },
    /// Of the message's receive count, from 1 on.
    By(fn(u32) -> Duration),
}

impl Backoff {
    /// Twice as long each time, from `first` to `max`.
    pub const fn doubling(first: Duration, max: Duration) -> Backoff {
        Backoff::Exponential { first, factor: 2.0, max }
    }

    /// The time for a message received `receive_count` times. `jitter` lies in 0 to 1.
    pub fn delay(&self, receive_count: u32, jitter: f64) -> Duration {
        match *self {
            Backoff::Fixed(delay) => delay,
            Backoff::By(delay) => delay(receive_count),
            Backoff::Exponential { first, factor, max } => {
                let times = f64::from(receive_count.saturating_sub(1));
                let full = first.as_secs_f64() * factor.max(1.0).powf(times);
                let capped = full.min(max.as_secs_f64());
                let seconds = capped * (1.0 - jitter.clamp(0.0, 1.0) / 2.0);
                Duration::try_from_secs_f64(seconds).unwrap_or(max)
            }
        }
    }
}

impl Default for Backoff {
    /// Doubling, from 2 seconds to 15 minutes.
    fn default() -> Backoff {
        Backoff::doubling(Duration::from_secs(2), Duration::from_secs(15 * 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_its_maximum() {
        let backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(10));
        let seconds =
            [1, 2, 3, 4, 5, 50, u32::MAX].map(|count| backoff.delay(count, 0.0).as_secs());
        assert_eq!(seconds, [1, 2, 4, 8, 10, 10, 10]);
    }

    #[test]
    fn jitter_takes_away_up_to_half() {
        let backoff = Backoff::doubling(Duration::from_secs(8), Duration::from_secs(8));
        let at = |jitter| backoff.delay(1, jitter);
        assert_eq!([at(0.0), at(0.5), at(1.0)], [8, 6, 4].map(Duration::from_secs));
        assert_eq!(at(7.0), Duration::from_secs(4), "what is out of range is as far as it goes");
    }

    #[test]
    fn a_count_that_is_not_told_is_the_first() {
        let backoff = Backoff::default();
        assert_eq!(backoff.delay(0, 0.0), backoff.delay(1, 0.0));
    }

    #[test]
    fn others_are_as_they_say() {
        assert_eq!(Backoff::Fixed(Duration::ZERO).delay(9, 0.7), Duration::ZERO);
        let by = Backoff::By(|count| Duration::from_secs(u64::from(count) * 60));
        assert_eq!(by.delay(3, 0.7), Duration::from_secs(180));
    }
}
