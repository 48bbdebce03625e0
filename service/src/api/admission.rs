//! How much may be in progress at once, decided when a request arrives and never later. What is
//! admitted is finished; what is not is answered 503 as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::error::Error;

/// What may be in progress at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Requests, long polls that wait not counted.
    pub requests_max: usize,
    /// Bytes of request and response bodies.
    pub bytes_max: usize,
}

/// What is in progress.
#[derive(Debug)]
pub struct Admission {
    bounds: Bounds,
    requests: AtomicUsize,
    bytes: AtomicUsize,
    polls: AtomicUsize,
}

impl Admission {
    /// Nothing is in progress.
    pub fn new(bounds: Bounds) -> Arc<Admission> {
        let zero = AtomicUsize::default;
        Arc::new(Admission { bounds, requests: zero(), bytes: zero(), polls: zero() })
    }

    /// Lets a request in, with the length its body claims to have.
    pub fn admit(self: &Arc<Self>, body_bytes: usize) -> Result<Ticket, Error> {
        // Taken first and checked then: two requests cannot both take the last place, and the
        // ticket gives back what was taken when it turns out to be too much.
        let requests = self.requests.fetch_add(1, Relaxed);
        let ticket = Ticket {
            admission: self.clone(),
            bytes: AtomicUsize::default(),
            parked: AtomicBool::default(),
        };
        if requests >= self.bounds.requests_max {
            return Err(Error::ServiceUnavailable("Too many requests in flight.".into()));
        }
        ticket.charge_request(body_bytes)?;
        Ok(ticket)
    }

    /// Requests in progress, long polls that wait not counted.
    pub fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }

    /// Bytes of request and response bodies.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Long polls in progress.
    pub fn polls(&self) -> usize {
        self.polls.load(Relaxed)
    }
}

/// A request's place among those in progress; gives everything back when dropped.
#[derive(Debug)]
pub struct Ticket {
    admission: Arc<Admission>,
    bytes: AtomicUsize,
    parked: AtomicBool,
}

impl Ticket {
    /// Counts bytes of the request's body.
    pub fn charge_request(&self, bytes: usize) -> Result<(), Error> {
        if self.charge(bytes) > self.admission.bounds.bytes_max {
            return Err(Error::ServiceUnavailable("Too many bytes in flight.".into()));
        }
        Ok(())
    }

    /// Counts bytes of the answer. Never refused, because what was done cannot be undone: it makes
    /// the next requests wait instead.
    pub fn charge_response(&self, bytes: usize) {
        self.charge(bytes);
    }

    /// Makes this a long poll, which may wait long and so must not hold up the others. How many may
    /// wait is for the shards to say, which know which of them do.
    pub fn park(&self) {
        if !self.parked.swap(true, Relaxed) {
            self.admission.requests.fetch_sub(1, Relaxed);
            self.admission.polls.fetch_add(1, Relaxed);
        }
    }

    /// Whether it is one.
    pub fn is_parked(&self) -> bool {
        self.parked.load(Relaxed)
    }

    fn charge(&self, bytes: usize) -> usize {
        self.bytes.fetch_add(bytes, Relaxed);
        self.admission.bytes.fetch_add(bytes, Relaxed) + bytes
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.admission.bytes.fetch_sub(*self.bytes.get_mut(), Relaxed);
        let parked = *self.parked.get_mut();
        let place = if parked { &self.admission.polls } else { &self.admission.requests };
        place.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Arc<Admission> {
        Admission::new(Bounds { requests_max: 2, bytes_max: 100 })
    }

    fn counts(admission: &Admission) -> (usize, usize, usize) {
        (admission.requests(), admission.bytes(), admission.polls())
    }

    #[test]
    fn the_request_after_the_last_place_is_refused_and_leaves_no_trace() {
        let admission = admission();
        let first = admission.admit(50).unwrap();
        let _second = admission.admit(50).unwrap();
        assert!(matches!(admission.admit(0), Err(Error::ServiceUnavailable(_))));
        assert_eq!(counts(&admission), (2, 100, 0));
        drop(first);
        assert!(admission.admit(51).is_err());
        assert!(admission.admit(50).is_ok());
        assert_eq!(counts(&admission), (1, 50, 0));
    }

    #[test]
    fn a_waiting_poll_makes_room_for_a_request() {
        let admission = admission();
        let poll = admission.admit(10).unwrap();
        assert!(!poll.is_parked());
        poll.park();
        poll.park();
        assert!(poll.is_parked());
        assert_eq!(counts(&admission), (0, 10, 1));
        drop(poll);
        assert_eq!(counts(&admission), (0, 0, 0));
    }

    #[test]
    fn an_answer_is_never_refused_but_keeps_the_next_request_out() {
        let admission = admission();
        let ticket = admission.admit(0).unwrap();
        ticket.charge_response(1000);
        assert!(admission.admit(1).is_err());
        drop(ticket);
        assert!(admission.admit(1).is_ok());
    }
}
