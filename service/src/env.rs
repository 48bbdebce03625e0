//! The only doors to time and randomness. Everything else is handed a [`Clock`] or an
//! [`Rng`]; `clippy.toml` sees to it.

use std::cell::RefCell;
use std::sync::Mutex;
use std::time::Duration;

use rustix::rand::GetRandomFlags;
use rustix::time::ClockId;

use crate::engine::command::Rng;
use crate::model::message::MessageId;

/// What time it is, twice.
pub trait Clock: Send + Sync {
    /// Since the Unix epoch, as the operating system has it: may jump, either way.
    fn wall(&self) -> Duration;

    /// Since some moment before the process started: never goes back, goes on while the machine
    /// sleeps, and is never set by anybody.
    fn boot(&self) -> Duration;
}

/// The operating system's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall(&self) -> Duration {
        read(ClockId::Realtime)
    }

    fn boot(&self) -> Duration {
        read(ClockId::Boottime)
    }
}

fn read(clock: ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    // Both clocks count up from zero; a wall clock set to before 1970 reads as 1970.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Duration, Duration)>);

impl ManualClock {
    /// A clock at a moment of the wall clock, just booted.
    pub fn at(wall: Duration) -> ManualClock {
        ManualClock(Mutex::new((wall, Duration::ZERO)))
    }

    /// Time passes, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut times = self.times();
        times.0 += by;
        times.1 += by;
    }

    /// Somebody sets the wall clock.
    pub fn set_wall(&self, wall: Duration) {
        self.times().0 = wall;
    }

    fn times(&self) -> std::sync::MutexGuard<'_, (Duration, Duration)> {
        // Two numbers are never half written, so a poisoned lock still guards good ones.
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Duration {
        self.times().0
    }

    fn boot(&self) -> Duration {
        self.times().1
    }
}

/// A small fast generator (SplitMix64): the same seed, the same numbers. Not for secrets; receipt
/// handles are safe by their MAC, not by their nonce.
#[derive(Clone, Debug)]
pub struct SeededRng(u64);

impl SeededRng {
    /// A generator that repeats for a seed.
    pub const fn new(seed: u64) -> SeededRng {
        SeededRng(seed)
    }

    /// A generator that nobody can repeat.
    pub fn from_os() -> SeededRng {
        SeededRng(u64::from_ne_bytes(os_random()))
    }
}

impl Rng for SeededRng {
    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Bytes from the operating system, fit for secrets.
pub fn os_random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // Fails only where the kernel has no getrandom, that is before Linux 3.17.
        filled += rustix::rand::getrandom(&mut bytes[filled..], GetRandomFlags::empty())
            .expect("the kernel gives random bytes");
    }
    bytes
}

/// A new message's id: a random UUID, version 4.
pub fn message_id() -> MessageId {
    message_id_of(pooled())
}

/// What no two sealings with one key may share, at random.
pub fn nonce() -> [u8; 24] {
    pooled()
}

/// Random bytes, taken 4 KiB from the operating system at a time, because a system call for every
/// message would cost more than its digest.
fn pooled<const N: usize>() -> [u8; N] {
    const POOL_BYTES: usize = 4096;
    const { assert!(N <= POOL_BYTES) };
    thread_local! {
        static POOL: RefCell<(usize, [u8; POOL_BYTES])> =
            const { RefCell::new((POOL_BYTES, [0; POOL_BYTES])) };
    }
    POOL.with_borrow_mut(|(used, pool)| {
        if *used + N > POOL_BYTES {
            *pool = os_random();
            *used = 0;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&pool[*used..*used + N]);
        *used += N;
        bytes
    })
}

/// The id of a message that goes on as another one: as unlikely to be had by a third as its own.
pub fn another_message_id(of: &MessageId, rng: &mut impl Rng) -> MessageId {
    let mask = u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64());
    message_id_of((u128::from_be_bytes(of.0) ^ mask).to_be_bytes())
}

fn message_id_of(random: [u8; 16]) -> MessageId {
    MessageId(*uuid::Builder::from_random_bytes(random).as_uuid().as_bytes())
}

/// Waits, in real time.
pub async fn sleep(span: Duration) {
    #[expect(clippy::disallowed_methods, reason = "this is the door")]
    tokio::time::sleep(span).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_clock_never_goes_back() {
        let first = SystemClock.boot();
        assert!(SystemClock.boot() >= first);
        assert!(SystemClock.wall() > Duration::from_secs(1_700_000_000));
    }

    #[test]
    fn one_seed_gives_one_sequence() {
        let mut first = SeededRng::new(7);
        let mut second = SeededRng::new(7);
        let numbers: Vec<u64> = (0..8).map(|_| first.next_u64()).collect();
        assert_eq!(numbers, (0..8).map(|_| second.next_u64()).collect::<Vec<_>>());
        assert_ne!(numbers[0], SeededRng::new(8).next_u64());
    }

    #[test]
    fn message_ids_are_random_uuids_and_differ() {
        let ids: std::collections::HashSet<MessageId> = (0..1000).map(|_| message_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.to_string().as_bytes()[14] == b'4'));
    }
}
