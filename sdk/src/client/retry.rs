//! When to try again: a pure function of the attempt and a random number.

use std::time::Duration;

use crate::error::Verdict;

/// How often and how long to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in all, the first one included; 1 never repeats anything.
    pub attempts: u32,
    /// The longest pause before the second attempt; doubles with each.
    pub base: Duration,
    /// The longest pause of all.
    pub cap: Duration,
}

/// Five attempts, over about two seconds.
impl Default for RetryPolicy {
    fn default() -> RetryPolicy {
        RetryPolicy { attempts: 5, base: Duration::from_millis(100), cap: Duration::from_secs(5) }
    }
}

impl RetryPolicy {
    /// One attempt.
    pub const fn never() -> RetryPolicy {
        RetryPolicy { attempts: 1, base: Duration::ZERO, cap: Duration::ZERO }
    }

    /// The pause before the attempt after this one (1 is the first): anything between nothing and the
    /// bound ("full jitter"), so that many who failed together do not come back together. `random` is
    /// in 0..1.
    pub fn pause(&self, attempt: u32, random: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(31);
        let bound = self.base.saturating_mul(1 << doublings).min(self.cap);
        let seconds = bound.as_secs_f64() * random.clamp(0.0, 1.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(bound)
    }

    /// Whether there is another attempt after this one.
    pub(crate) fn again(&self, attempt: u32, verdict: Verdict, repeatable: bool) -> bool {
        attempt < self.attempts
            && match verdict {
                Verdict::NotDone => true,
                Verdict::MayBeDone => repeatable,
                Verdict::Final => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_cap() {
        let policy = RetryPolicy::default();
        let longest: Vec<_> =
            (1..9).map(|attempt| policy.pause(attempt, 1.0).as_millis()).collect();
        assert_eq!(longest, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(policy.pause(3, 0.0), Duration::ZERO);
        assert_eq!(policy.pause(3, 0.5), Duration::from_millis(200));
        assert_eq!(policy.pause(u32::MAX, 1.0), policy.cap);
        let endless = RetryPolicy { base: Duration::MAX, cap: Duration::MAX, ..policy };
        assert_eq!(endless.pause(2, 1.0), Duration::MAX);
    }

    #[test]
    fn what_may_have_been_done_is_repeated_only_where_that_does_no_harm() {
        let policy = RetryPolicy::default();
        assert!(policy.again(1, Verdict::NotDone, false));
        assert!(policy.again(4, Verdict::MayBeDone, true));
        assert!(!policy.again(1, Verdict::MayBeDone, false));
        assert!(!policy.again(1, Verdict::Final, true));
        assert!(!policy.again(5, Verdict::NotDone, true));
        assert!(!RetryPolicy::never().again(1, Verdict::NotDone, true));
    }
}
