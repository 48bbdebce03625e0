//! How often somebody may ask: a token bucket for each access key and for each queue. Without a limit
//! there are no buckets, and asking costs a branch.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

use crate::api::connections::client_of;
use crate::config::transport::Rate;
use crate::error::Error;
use crate::shard::handle::QueueInfo;

/// The limits of rates that are in force.
pub struct Throttle {
    keys: Option<Buckets>,
    queues: Option<Buckets>,
}

impl Throttle {
    /// How often each key may ask, and how often each queue may be named; `None`: as often as it
    /// likes.
    pub fn new(per_key: Option<Rate>, per_queue: Option<Rate>) -> Throttle {
        Throttle { keys: per_key.map(Buckets::new), queues: per_queue.map(Buckets::new) }
    }

    /// Counts a request of an access key. Those without one count by where they are from: a stranger
    /// must not use up what others need to get a key.
    pub fn admit_key(&self, access_key_id: Option<&str>, source: IpAddr) -> Result<(), Error> {
        let keys = self.keys.as_ref();
        match access_key_id {
            Some(id) => admit(keys, id, "access key"),
            None => admit(keys, client_of(source), "access key"),
        }
    }

    /// Counts a request that names a queue.
    pub fn admit_queue(&self, queue: &QueueInfo) -> Result<(), Error> {
        admit(self.queues.as_ref(), (queue.slot, queue.id), "queue")
    }

    /// How many requests were refused on account of their access keys.
    pub fn refused_of_keys(&self) -> u64 {
        self.keys.as_ref().map_or(0, |buckets| buckets.refused.get())
    }

    /// How many requests were refused on account of their queues.
    pub fn refused_of_queues(&self) -> u64 {
        self.queues.as_ref().map_or(0, |buckets| buckets.refused.get())
    }
}

fn admit(buckets: Option<&Buckets>, whose: impl Hash, what: &'static str) -> Result<(), Error> {
    match buckets {
        Some(buckets) if !buckets.take(whose, Instant::now()) => Err(Error::RequestThrottled(what)),
        _ => Ok(()),
    }
}

/// Locks that share the buckets out: requests of several workers rarely meet.
const PARTS: usize = 16;

/// Buckets of one part, which bounds all of them together to about 3 MiB.
const PART_BUCKETS_MAX: usize = 4096;

/// Buckets of one size, by a keyed hash of whose they are: nobody can find two names that share one.
struct Buckets {
    /// What one request takes out of a bucket, as the time in which it flows back.
    cost: Duration,
    /// What a full bucket holds, in the same measure.
    depth: Duration,
    hasher: RandomState,
    /// When each bucket will be full again; one that is full need not be known.
    full_at: [Mutex<HashMap<u64, Instant>>; PARTS],
    refused: Counter,
}

impl Buckets {
    fn new(rate: Rate) -> Buckets {
        let cost = Duration::from_secs(1) / rate.per_second;
        Buckets {
            cost,
            depth: cost * rate.burst,
            hasher: RandomState::new(),
            full_at: Default::default(),
            refused: Counter::default(),
        }
    }

    /// Takes one request out of a bucket; `false` when there is not that much in it.
    fn take(&self, whose: impl Hash, now: Instant) -> bool {
        let hash = self.hasher.hash_one(whose);
        // The remainder is below a usize.
        let part = &self.full_at[(hash % PARTS as u64) as usize];
        // A map of moments is whole after every step, so a poisoned lock still guards a good one.
        let mut full_at = part.lock().unwrap_or_else(PoisonError::into_inner);
        let was = full_at.get(&hash).map_or(now, |at| now.max(*at));
        let will_be = was + self.cost;
        if will_be > now + self.depth {
            drop(full_at);
            self.refused.inc();
            return false;
        }
        if full_at.len() == PART_BUCKETS_MAX && !full_at.contains_key(&hash) {
            full_at.retain(|_, at| *at > now);
            if full_at.len() == PART_BUCKETS_MAX {
                // Memory is bounded before fairness is: so many at once begin anew.
                full_at.clear();
            }
        }
        full_at.insert(hash, will_be);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn taken(buckets: &Buckets, whose: &str, now: Instant) -> usize {
        (0..100).take_while(|_| buckets.take(whose, now)).count()
    }

    #[test]
    fn a_burst_is_allowed_and_then_the_rate() {
        let buckets = Buckets::new(Rate { per_second: 2, burst: 5 });
        let start = Instant::now();
        assert_eq!(taken(&buckets, "a", start), 5);
        assert_eq!(taken(&buckets, "a", start + SECOND / 4), 0);
        assert_eq!(taken(&buckets, "a", start + SECOND), 2);
        assert_eq!(taken(&buckets, "a", start + 100 * SECOND), 5, "never more than full");
        assert_eq!(buckets.refused.get(), 4);
    }

    #[test]
    fn each_has_a_bucket_of_its_own() {
        let buckets = Buckets::new(Rate { per_second: 1, burst: 3 });
        let now = Instant::now();
        assert_eq!(taken(&buckets, "a", now), 3);
        assert_eq!(taken(&buckets, "b", now), 3);
    }

    #[test]
    fn who_has_no_key_has_the_bucket_of_their_address() {
        let throttle = Throttle::new(Some(Rate { per_second: 1, burst: 1 }), None);
        let admits = |key, source: &str| throttle.admit_key(key, source.parse().unwrap()).is_ok();
        assert!(admits(None, "10.0.0.1") && !admits(None, "10.0.0.1"));
        assert!(!admits(None, "::ffff:10.0.0.1"));
        assert!(admits(None, "10.0.0.2") && admits(Some("AKIA"), "10.0.0.1"));
        assert!(!admits(Some("AKIA"), "10.0.0.3"), "a key is the same from everywhere");
        // A single machine has a network of IPv6 to itself.
        assert!(admits(None, "2001:db8::1") && !admits(None, "2001:db8::2"));
    }

    #[test]
    fn the_number_of_buckets_is_bounded_and_full_ones_are_forgotten_first() {
        let buckets = Buckets::new(Rate { per_second: 1, burst: 1 });
        let known = || buckets.full_at.iter().map(|part| part.lock().unwrap().len()).sum::<usize>();
        let start = Instant::now();
        for number in 0..2 * PARTS * PART_BUCKETS_MAX {
            assert!(buckets.take(number, start), "everybody's first request");
        }
        assert!(known() <= PARTS * PART_BUCKETS_MAX);
        // By now all are full again, so those who come meanwhile cost nobody anything.
        let later = start + 10 * SECOND;
        assert!(buckets.take("a", later));
        for number in 0..PARTS * PART_BUCKETS_MAX / 2 {
            buckets.take(number, later);
        }
        assert!(!buckets.take("a", later), "what is not full is not forgotten");
    }
}
