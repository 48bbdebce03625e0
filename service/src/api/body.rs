//! The body of a request while it arrives: never longer, later or slower than a body may be.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use prometheus_client::metrics::counter::Counter;
use tokio::time::{Instant, timeout_at};

use crate::api::admission::Ticket;
use crate::api::connections::Incidents;
use crate::config::transport::Times;
use crate::error::Error;
use crate::limits;

/// A body of which some may be there.
pub(super) struct Arriving<'a> {
    body: Incoming,
    /// Bytes that have come.
    length: usize,
    pace: Pace<'a>,
}

/// How long a body may take that has begun to arrive.
struct Pace<'a> {
    started: Instant,
    times: &'a Times,
    incidents: &'a Incidents,
}

impl<'a> Arriving<'a> {
    /// The body of a request that came now.
    pub(super) fn new(body: Incoming, times: &'a Times, incidents: &'a Incidents) -> Arriving<'a> {
        Arriving { body, length: 0, pace: Pace { started: Instant::now(), times, incidents } }
    }

    /// When the request came.
    pub(super) fn started(&self) -> Instant {
        self.pace.started
    }

    /// How long it says it is. One in chunks says nothing.
    pub(super) fn claimed(&self) -> usize {
        usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX)
    }

    /// The whole body, in one piece. One that came in one piece is not copied.
    pub(super) async fn read(&mut self, ticket: &Ticket) -> Result<Bytes, Error> {
        let claimed = self.claimed();
        // What was claimed is charged already.
        let unclaimed = |length: usize| length.saturating_sub(claimed);
        let mut first = Bytes::new();
        let mut all = Vec::new();
        while let Some(data) = self.next().await? {
            let before = self.length - data.len();
            ticket.charge_request(unclaimed(self.length) - unclaimed(before))?;
            if before == 0 {
                first = data;
            } else {
                if all.is_empty() {
                    all.reserve(claimed.max(self.length));
                    all.extend_from_slice(&std::mem::take(&mut first));
                }
                all.extend_from_slice(&data);
            }
        }
        Ok(if all.is_empty() { first } else { all.into() })
    }

    /// Reads a body that nobody wants, so that the connection can be used again; `false` when it is
    /// longer than any may be, or does not come in time.
    pub(super) async fn discard(&mut self) -> bool {
        loop {
            match self.next().await {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// What comes next; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.frame().await? {
            let frame =
                frame.map_err(|_| Error::MalformedInput("The body is incomplete.".into()))?;
            let Ok(data) = frame.into_data() else { continue };
            self.length += data.len();
            if self.length > limits::REQUEST_BODY_BYTES_MAX {
                return Err(Error::RequestTooLarge(limits::REQUEST_BODY_BYTES_MAX));
            }
            return Ok(Some(data));
        }
        Ok(None)
    }

    async fn frame(&mut self) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, Error> {
        // Most bodies come with their headers: what is there takes no timer.
        let body = &mut self.body;
        let look = poll_fn(|context| Poll::Ready(Pin::new(&mut *body).poll_frame(context)));
        if let Poll::Ready(frame) = look.await {
            return Ok(frame);
        }
        let (deadline, beyond) = self.pace.next_by(self.length);
        timeout_at(deadline, self.body.frame()).await.map_err(|_| {
            beyond.inc();
            Error::RequestTimeout("received")
        })
    }
}

impl Pace<'_> {
    /// When something more has to be there after so many bytes, and what counts those that are late.
    /// Every byte buys time, up to what a body, and what a request, may take in all.
    fn next_by(&self, length: usize) -> (Instant, &Counter) {
        let Pace { started, times, incidents } = self;
        let mut soonest = (times.body, &incidents.bodies_late);
        if times.request < soonest.0 {
            soonest = (times.request, &incidents.requests_late);
        }
        if let Some(rate) = times.body_rate {
            // No body is so long that this overflows.
            let bought = Duration::from_millis(length as u64 * 1000 / u64::from(rate.get()));
            let slow = times.body_grace + bought;
            if slow < soonest.0 {
                soonest = (slow, &incidents.bodies_slow);
            }
        }
        (*started + soonest.0, soonest.1)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    #[test]
    fn every_byte_buys_time_and_no_more_than_there_is() {
        let seconds = Duration::from_secs;
        let incidents = Incidents::default();
        let started = Instant::now();
        let check = |times: &Times, length, expected: (u64, &Counter)| {
            let pace = Pace { started, times, incidents: &incidents };
            let (at, counter) = pace.next_by(length);
            assert_eq!(at - started, seconds(expected.0), "{length}");
            assert!(std::ptr::eq(counter, expected.1), "{length}");
        };
        let mut times = Times {
            idle: seconds(1),
            handshake: seconds(1),
            body: seconds(60),
            body_grace: seconds(5),
            body_rate: NonZeroU32::new(100),
            request: seconds(90),
        };
        check(&times, 0, (5, &incidents.bodies_slow));
        check(&times, 99 * 100, (60, &incidents.bodies_late));
        check(&times, 1000, (15, &incidents.bodies_slow));
        check(&times, limits::REQUEST_BODY_BYTES_MAX, (60, &incidents.bodies_late));
        times.request = seconds(10);
        check(&times, 1000, (10, &incidents.requests_late));
        times.body_rate = None;
        check(&times, 0, (10, &incidents.requests_late));
        times.request = seconds(90);
        check(&times, 0, (60, &incidents.bodies_late));
    }
}
