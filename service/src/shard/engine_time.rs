//! Engine time: what the queues believe the time to be. It starts where it left off or at the wall
//! clock, whichever is later, then follows the boot-time clock and leans gently towards the wall
//! clock. It never goes back and never leaps, whatever is done to the wall clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::env::Clock;
use crate::model::time::{Millis, Timestamp};

/// The longest retention there is (facts sheet, 3.1): a start further than this beyond the last
/// known moment would expire everything there is.
const LEAP_MAX: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How far engine time may run fast or slow to meet the wall clock: half a percent.
const SLEW_MAX_PPM: i64 = 5_000;

/// The pace is set anew this often.
const PACE_INTERVAL_US: u64 = 1_000_000;

/// The pace is chosen to meet the wall clock in this time, within [`SLEW_MAX_PPM`].
const MEET_IN_S: i64 = 10;

/// A wall clock that moved this far between two looks, more than the time that passed, was set by
/// somebody.
const STEP_US: i64 = 1_000_000;

/// The engine's clock. All shards of a process share one.
pub struct EngineTime {
    clock: Arc<dyn Clock>,
    pace: Mutex<Pace>,
    /// Virtual time's lead over real time, milliseconds. Only grows.
    offset_ms: AtomicU64,
    doubt: Option<Timestamp>,
}

#[derive(Debug)]
struct Pace {
    /// The boot clock when the pace was set.
    boot_us: u64,
    /// Engine time at that moment, without the virtual offset.
    engine_us: u64,
    /// How much faster than the boot clock, in millionths.
    ppm: i64,
    /// How far the wall clock was ahead when the pace was set.
    error_us: i64,
}

impl EngineTime {
    /// Starts at the later of the wall clock and `high_water`, the last moment that was stored
    /// (virtual offset included). When the wall clock is more than the longest retention ahead of
    /// it, the time is in doubt unless `confirmed`: a clock that was set wrong must not expire every
    /// message.
    pub fn start(
        clock: Arc<dyn Clock>,
        high_water: Timestamp,
        offset: Millis,
        confirmed: bool,
    ) -> EngineTime {
        let wall_us = micros(clock.wall());
        let high_us = without(offset, high_water);
        let leap = Duration::from_micros(wall_us.saturating_sub(high_us));
        let doubt = (leap > LEAP_MAX && !confirmed).then_some(high_water);
        if doubt.is_some() {
            tracing::error!(
                days = leap.as_secs() / 86_400,
                "the wall clock is further beyond the last stored moment than the longest \
                 retention; no message expires until the clock is confirmed (--accept-clock)"
            );
        } else if high_us > wall_us.saturating_add(STEP_US as u64) {
            tracing::warn!(
                seconds = (high_us - wall_us) / 1_000_000,
                "the wall clock is behind the last stored moment; engine time waits for it"
            );
        }
        let mut pace = Pace { boot_us: 0, engine_us: 0, ppm: 0, error_us: 0 };
        pace.set(micros(clock.boot()), wall_us.max(high_us), wall_us);
        let offset_ms = AtomicU64::new(offset.0);
        EngineTime { clock, pace: Mutex::new(pace), offset_ms, doubt }
    }

    /// Whether a start would be in doubt, were it not confirmed.
    pub fn would_leap(clock: &dyn Clock, high_water: Timestamp, offset: Millis) -> bool {
        let high_water = Duration::from_micros(without(offset, high_water));
        clock.wall().saturating_sub(high_water) > LEAP_MAX
    }

    /// The present, on the engine's clock.
    pub fn now(&self) -> Timestamp {
        let boot_us = micros(self.clock.boot());
        let mut pace = self.lock();
        let engine_us = pace.at(boot_us);
        if boot_us.saturating_sub(pace.boot_us) >= PACE_INTERVAL_US {
            let wall_us = micros(self.clock.wall());
            let slewed_us = engine_us as i64 - (pace.engine_us + boot_us - pace.boot_us) as i64;
            let step_us = wall_us as i64 - engine_us as i64 - (pace.error_us - slewed_us);
            if step_us.abs() >= STEP_US {
                tracing::warn!(
                    seconds = step_us as f64 / 1e6,
                    "the wall clock was set; engine time leans towards it and does not jump"
                );
            }
            pace.set(boot_us, engine_us, wall_us);
        }
        Timestamp(engine_us / 1000).plus(self.offset())
    }

    /// Real time that has passed, on a clock nobody can set: for the ends of long polls.
    pub fn boot(&self) -> Duration {
        self.clock.boot()
    }

    /// How long until `moment`, in real time and while nobody moves virtual time; zero when it is
    /// past.
    pub fn until(&self, moment: Timestamp) -> Duration {
        let boot_us = micros(self.clock.boot());
        let pace = self.lock();
        let left_us = without(self.offset(), moment).saturating_sub(pace.at(boot_us));
        // While engine time runs fast the moment comes sooner, while it runs slow later.
        let pace_ppm = 1_000_000u128.saturating_add_signed(pace.ppm.into());
        let real_us = (u128::from(left_us) * 1_000_000).div_ceil(pace_ppm);
        Duration::from_micros(u64::try_from(real_us).unwrap_or(u64::MAX))
    }

    /// Virtual time's lead over real time.
    pub fn offset(&self) -> Millis {
        Millis(self.offset_ms.load(Ordering::Acquire))
    }

    /// Puts a stored lead in force. Never lowers it.
    pub fn set_offset(&self, offset: Millis) {
        self.offset_ms.fetch_max(offset.0, Ordering::AcqRel);
    }

    /// Set while the clock is in doubt (see [`EngineTime::start`]): the last moment that is not.
    /// Nothing expires, and this stays the high-water mark, so that a restart settles nothing.
    pub fn doubt(&self) -> Option<Timestamp> {
        self.doubt
    }

    fn lock(&self) -> MutexGuard<'_, Pace> {
        // Plain numbers, written whole: a poisoned lock still guards good ones.
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    /// Engine time at a moment of the boot clock.
    fn at(&self, boot_us: u64) -> u64 {
        let passed_us = boot_us.saturating_sub(self.boot_us);
        // In two parts, because years times the pace do not fit.
        let seconds = (passed_us / 1_000_000) as i64 * self.ppm;
        let rest = (passed_us % 1_000_000) as i64 * self.ppm / 1_000_000;
        (self.engine_us + passed_us).saturating_add_signed(seconds + rest)
    }

    fn set(&mut self, boot_us: u64, engine_us: u64, wall_us: u64) {
        self.boot_us = boot_us;
        self.engine_us = engine_us;
        self.error_us = wall_us as i64 - engine_us as i64;
        self.ppm = (self.error_us / MEET_IN_S).clamp(-SLEW_MAX_PPM, SLEW_MAX_PPM);
    }
}

/// A moment of virtual time in real time, microseconds.
fn without(offset: Millis, moment: Timestamp) -> u64 {
    moment.0.saturating_sub(offset.0).saturating_mul(1000)
}

fn micros(span: Duration) -> u64 {
    // 2^64 microseconds are half a million years.
    span.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::ManualClock;

    const DAY: Duration = Duration::from_secs(86_400);
    const START: Duration = Duration::from_secs(1_800_000_000);

    fn at(span: Duration) -> Timestamp {
        Timestamp(span.as_millis() as u64)
    }

    fn start(high_water: Timestamp) -> (Arc<ManualClock>, EngineTime) {
        let clock = Arc::new(ManualClock::at(START));
        let time = EngineTime::start(clock.clone(), high_water, Millis(0), false);
        (clock, time)
    }

    #[test]
    fn it_follows_the_boot_clock_and_ignores_a_step_of_the_wall_clock() {
        let (clock, time) = start(at(START));
        assert_eq!(time.now(), at(START));
        clock.advance(Duration::from_secs(5));
        assert_eq!(time.now(), at(START + Duration::from_secs(5)));
        clock.set_wall(START + 10 * DAY);
        clock.advance(Duration::from_secs(1));
        assert_eq!(time.now(), at(START + Duration::from_secs(6)));
        // From here on it runs half a percent fast.
        clock.advance(Duration::from_secs(200));
        assert_eq!(time.now(), at(START + Duration::from_secs(207)));
    }

    #[test]
    fn it_never_goes_back_when_the_wall_clock_does() {
        let (clock, time) = start(at(START));
        clock.set_wall(START - DAY);
        let mut last = time.now();
        for _ in 0..100 {
            clock.advance(Duration::from_millis(700));
            let now = time.now();
            assert!(now > last);
            last = now;
        }
        // Seventy seconds, half a percent slow since the first look at the wall clock.
        assert_eq!(last.since(at(START)), Millis(70_000 - 343));
    }

    #[test]
    fn a_small_difference_is_made_up_and_then_stays_so() {
        let (clock, time) = start(at(START + Duration::from_millis(300)));
        assert_eq!(time.now(), at(START + Duration::from_millis(300)));
        for _ in 0..300 {
            clock.advance(Duration::from_secs(1));
            time.now();
        }
        let wall = at(clock.wall());
        assert!(time.now().since(wall).0 <= 1 && wall.since(time.now()).0 <= 1);
    }

    #[test]
    fn a_start_far_beyond_the_last_stored_moment_is_in_doubt_until_confirmed() {
        let long_ago = at(START - 15 * DAY);
        let (clock, time) = start(long_ago);
        assert_eq!((time.doubt(), time.now()), (Some(long_ago), at(START)));
        let confirmed = EngineTime::start(clock.clone(), long_ago, Millis(0), true);
        assert_eq!((confirmed.doubt(), confirmed.now()), (None, at(START)));
        let (_, fourteen_days) = start(at(START - 14 * DAY));
        assert_eq!(fourteen_days.doubt(), None);
    }

    #[test]
    fn a_deadline_is_met_although_engine_time_runs_fast_or_slow() {
        for wall in [START + DAY, START - DAY] {
            let (clock, time) = start(at(START));
            clock.set_wall(wall);
            clock.advance(Duration::from_secs(1));
            let deadline = time.now().plus(Millis::from_secs(100));
            clock.advance(time.until(deadline));
            assert_eq!(time.now(), deadline);
            assert_eq!(time.until(deadline), Duration::ZERO);
        }
    }

    #[test]
    fn virtual_time_leads_by_its_offset_and_never_falls_back() {
        let (_, time) = start(at(START));
        time.set_offset(Millis(5000));
        time.set_offset(Millis(3000));
        assert_eq!(time.now(), at(START).plus(Millis(5000)));
    }
}
