//! The server's clock, as far as it is known: a signature's time is held against it.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use crate::error::Error;

/// A difference that no server minds, in seconds; beyond 15 minutes signatures are refused. Source:
/// facts sheet, 11.3.
const TOLERATED_S: u64 = 4 * 60;

/// This machine's clock, corrected by what servers said.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Seconds that the server is ahead.
    ahead_s: AtomicI64,
}

impl Clock {
    /// What time it is for the server.
    pub(super) fn now(&self) -> SystemTime {
        moved(SystemTime::now(), self.correction())
    }

    /// Seconds by which this machine's clock is corrected.
    pub(super) fn correction(&self) -> i64 {
        self.ahead_s.load(Relaxed)
    }

    /// Holds the `Date` of an answer that refuses a signature against this machine's clock.
    pub(super) fn compare(&self, date: Option<&str>) {
        let Some(date) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else { return };
        let ahead_s = seconds_ahead(date, SystemTime::now());
        if seconds_ahead(date, self.now()).unsigned_abs() > TOLERATED_S {
            tracing::warn!(
                ahead_s,
                "this machine's clock is not the server's; signatures follow it"
            );
            self.ahead_s.store(ahead_s, Relaxed);
        }
    }
}

/// Whether a refusal can be one of a signature's time: there is no code of its own for that.
pub(super) fn is_about_signature(error: &Error) -> bool {
    let codes = [
        "InvalidSignatureException",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

fn seconds_ahead(one: SystemTime, other: SystemTime) -> i64 {
    let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
    match one.duration_since(other) {
        Ok(span) => seconds(span),
        Err(behind) => -seconds(behind.duration()),
    }
}

fn moved(time: SystemTime, by_s: i64) -> SystemTime {
    let by = Duration::from_secs(by_s.unsigned_abs());
    let moved = if by_s < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    moved.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_follows_a_server_that_is_far_away_in_time() {
        for (hours, ahead) in [(1, true), (1, false), (24 * 365, true)] {
            let by = Duration::from_secs(hours * 3_600);
            let now = SystemTime::now();
            let date = if ahead { now + by } else { now - by };
            let clock = Clock::default();
            clock.compare(Some(&httpdate::fmt_http_date(date)));
            let corrected = seconds_ahead(clock.now(), date);
            assert!(corrected.abs() <= 30, "{corrected} s away");
            // The same once more changes nothing.
            let correction = clock.correction();
            clock.compare(Some(&httpdate::fmt_http_date(date)));
            assert_eq!(clock.correction(), correction);
        }
    }

    #[test]
    fn what_is_near_enough_or_no_date_changes_nothing() {
        let clock = Clock::default();
        let near = SystemTime::now() + Duration::from_secs(60);
        for date in [None, Some(""), Some("yesterday"), Some(&*httpdate::fmt_http_date(near))] {
            clock.compare(date);
            assert_eq!(clock.correction(), 0, "{date:?}");
        }
    }
}
