//! What becomes of one batch, answer by answer: which messages are done with, and which are to be sent
//! again. Pure, like the batcher.

use std::time::{Duration, Instant};

use super::{batcher::Lane, error::SendError, outgoing::Outgoing};
use crate::{
    BatchFailure, Error, RetryPolicy, SendMessageBatch, actions::batches::SendMessageBatchReply,
    error::is_throttled,
};

/// What of a batch has no answer yet, in order.
#[derive(Debug)]
pub(super) struct Delivery<T> {
    entries: Vec<Entry<T>>,
    /// Attempts in a row after which something had to be sent again.
    failures: u32,
    /// Whether each message goes in a request of its own, because one of them spoils the others'.
    singly: bool,
}

/// One message, and whom to tell of it.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) lane: Lane,
    pub(super) message: Outgoing,
    /// It is not sent again after this.
    pub(super) give_up_at: Instant,
    pub(super) ticket: T,
}

/// The service has a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub message_id: String,
    /// Its number in a FIFO queue, rising within its group.
    pub sequence_number: Option<String>,
}

/// What an answer changed.
pub(super) struct Progress<T> {
    /// These are done with.
    pub(super) settled: Vec<(Entry<T>, Result<Sent, SendError>)>,
    /// How long to wait before sending what is left; `None` when nothing is.
    pub(super) again_after: Option<Duration>,
}

impl<T> Delivery<T> {
    /// Of at least one message.
    pub(super) fn new(entries: Vec<Entry<T>>) -> Delivery<T> {
        Delivery { entries, failures: 0, singly: false }
    }

    /// The next request: all that is left, or the first of it.
    pub(super) fn request(&self, queue_url: &str) -> SendMessageBatch {
        let entries = self.entries[..self.requested()].iter().enumerate();
        let entries = entries.map(|(id, entry)| entry.message.to_entry(id.to_string()));
        SendMessageBatch::new(queue_url, entries.collect::<Vec<_>>())
    }

    /// Takes the answer to the [request](Self::request). `random` is from 0 to 1.
    pub(super) fn settle(
        &mut self,
        answer: Result<SendMessageBatchReply, Error>,
        now: Instant,
        random: f64,
    ) -> Progress<T> {
        let requested = self.requested();
        if let Err(error) = &answer
            && requested > 1
            && spoils_the_batch(error)
        {
            self.singly = true;
            return Progress { settled: Vec::new(), again_after: Some(Duration::ZERO) };
        }
        // Of the policy only the pauses: how long to go on, each message says.
        let pause = RetryPolicy::default().pause(self.failures + 1, random);
        let mut verdicts = verdicts(answer, requested).into_iter();
        let (mut settled, mut left) = (Vec::new(), Vec::new());
        let mut failed = false;
        for entry in self.entries.drain(..) {
            match verdicts.next() {
                Some(Verdict::Again(_)) if now + pause <= entry.give_up_at => {
                    failed = true;
                    left.push(entry);
                }
                Some(Verdict::Again(error)) => settled.push((entry, Err(error))),
                Some(Verdict::Final(result)) => settled.push((entry, result)),
                None => left.push(entry),
            }
        }
        self.failures = if failed { self.failures + 1 } else { 0 };
        self.entries = left;
        let pause = if failed { pause } else { Duration::ZERO };
        Progress { settled, again_after: (!self.entries.is_empty()).then_some(pause) }
    }

    /// How many entries the request is about.
    fn requested(&self) -> usize {
        if self.singly { 1 } else { self.entries.len() }
    }
}

enum Verdict {
    Final(Result<Sent, SendError>),
    /// It may be tried again; otherwise this is what its sender is told.
    Again(SendError),
}

/// What the answer says about each entry of the request.
fn verdicts(answer: Result<SendMessageBatchReply, Error>, requested: usize) -> Vec<Verdict> {
    let reply = match answer {
        Ok(reply) => reply,
        Err(error) => {
            // What came back damaged was done, and the client has tried for a better answer.
            let again = error.is_retryable() && !matches!(error, Error::Corrupt { .. });
            let verdict = |_| match again {
                true => Verdict::Again(SendError::Request(error.clone())),
                false => Verdict::Final(Err(SendError::Request(error.clone()))),
            };
            return (0..requested).map(verdict).collect();
        }
    };
    // What an answer leaves out, nothing is known about.
    let mut verdicts: Vec<Verdict> =
        (0..requested).map(|_| Verdict::Final(Err(SendError::Unknown))).collect();
    let mut set = |id: &str, verdict| {
        if let Some(place) = id.parse().ok().and_then(|index: usize| verdicts.get_mut(index)) {
            *place = verdict;
        }
    };
    for one in reply.successful {
        let sent = Sent { message_id: one.message_id, sequence_number: one.sequence_number };
        set(&one.id, Verdict::Final(Ok(sent)));
    }
    for failure in reply.failed {
        let id = failure.id.clone();
        set(
            &id,
            match may_pass(&failure) {
                true => Verdict::Again(SendError::Refused(failure)),
                false => Verdict::Final(Err(SendError::Refused(failure))),
            },
        );
    }
    verdicts
}

/// Whether the service, rather than the message, is to blame.
fn may_pass(failure: &BatchFailure) -> bool {
    !failure.sender_fault || is_throttled(&failure.code)
}

/// Whether a request can have been refused as a whole for what one message of it is. Source: facts
/// sheet, 9.
fn spoils_the_batch(error: &Error) -> bool {
    let codes = [
        "BatchRequestTooLong",
        "InvalidMessageContents",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MissingParameter",
        "UnsupportedOperation",
        "ValidationError",
    ];
    !error.is_retryable() && error.code().is_some_and(|code| codes.contains(&code))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::*;
    use crate::{ServiceError, actions::batches::SendMessageBatchResult};

    /// A delivery of messages named by their bodies, to be given up 60 s after `start`.
    fn delivery(start: Instant, bodies: &[&'static str]) -> Delivery<&'static str> {
        let entry = |body: &&'static str| Entry {
            lane: Lane::from(""),
            message: Outgoing::new(*body),
            give_up_at: start + Duration::from_secs(60),
            ticket: *body,
        };
        Delivery::new(bodies.iter().map(entry).collect())
    }

    fn requested(delivery: &Delivery<&'static str>) -> Vec<String> {
        let entries = delivery.request("q").entries.into_iter();
        entries.map(|entry| format!("{}={}", entry.id, entry.message_body)).collect()
    }

    /// An answer in which the entries named have failed with a code, by whose fault, and all others
    /// succeeded.
    fn reply(
        of: &Delivery<&'static str>,
        failures: &[(&str, &str, bool)],
    ) -> Result<SendMessageBatchReply, Error> {
        let failures: BTreeMap<&str, _> =
            failures.iter().map(|(id, code, fault)| (*id, (*code, *fault))).collect();
        let mut reply = SendMessageBatchReply::default();
        for entry in of.request("q").entries {
            match failures.get(entry.id.as_str()) {
                Some((code, sender_fault)) => reply.failed.push(BatchFailure {
                    id: entry.id,
                    code: (*code).into(),
                    message: None,
                    sender_fault: *sender_fault,
                }),
                None => reply.successful.push(SendMessageBatchResult {
                    id: entry.id,
                    message_id: format!("id of {}", entry.message_body),
                    ..SendMessageBatchResult::default()
                }),
            }
        }
        Ok(reply)
    }

    fn refusal(code: &str, status: u16) -> Error {
        Error::Service(Arc::new(ServiceError {
            action: "SendMessageBatch",
            code: code.into(),
            message: String::new(),
            status,
            request_id: None,
        }))
    }

    /// `body ok`, or `body code`, for each that is done with.
    fn told(progress: &Progress<&'static str>) -> Vec<String> {
        let of = |(entry, result): &(Entry<&'static str>, Result<Sent, SendError>)| match result {
            Ok(sent) => {
                assert_eq!(sent.message_id, format!("id of {}", entry.ticket));
                format!("{} ok", entry.ticket)
            }
            Err(error) => format!("{} {}", entry.ticket, error.code().unwrap_or("unknown")),
        };
        progress.settled.iter().map(of).collect()
    }

    #[test]
    fn everybody_is_told_of_the_own_message() {
        let now = Instant::now();
        let mut delivery = delivery(now, &["a", "b", "c"]);
        assert_eq!(requested(&delivery), ["0=a", "1=b", "2=c"]);
        let answer = reply(&delivery, &[("1", "InvalidMessageContents", true)]);
        let progress = delivery.settle(answer, now, 1.0);
        assert_eq!(told(&progress), ["a ok", "b InvalidMessageContents", "c ok"]);
        assert_eq!(progress.again_after, None);
    }

    #[test]
    fn what_failed_by_no_fault_of_its_own_is_sent_again() {
        let now = Instant::now();
        let mut delivery = delivery(now, &["a", "b", "c"]);
        let failed = [("0", "InternalError", false), ("2", "RequestThrottled", true)];
        let progress = delivery.settle(reply(&delivery, &failed), now, 1.0);
        assert_eq!(told(&progress), ["b ok"]);
        assert_eq!(progress.again_after, Some(Duration::from_millis(100)));
        assert_eq!(requested(&delivery), ["0=a", "1=c"]);
        let progress = delivery.settle(reply(&delivery, &[]), now, 1.0);
        assert_eq!(told(&progress), ["a ok", "c ok"]);
    }

    #[test]
    fn a_broken_request_is_repeated_ever_later_until_it_is_too_late() {
        let start = Instant::now();
        let mut delivery = delivery(start, &["a", "b"]);
        let mut now = start;
        let mut pauses = Vec::new();
        let last = loop {
            let progress = delivery.settle(Err(refusal("ServiceUnavailable", 503)), now, 1.0);
            let Some(pause) = progress.again_after else { break progress };
            assert!(progress.settled.is_empty());
            pauses.push(pause.as_millis());
            now += pause;
        };
        assert_eq!(pauses[..7], [100, 200, 400, 800, 1600, 3200, 5000]);
        assert_eq!(told(&last), ["a ServiceUnavailable", "b ServiceUnavailable"]);
        assert!(now <= start + Duration::from_secs(60));
        assert!(now > start + Duration::from_secs(50));
    }

    #[test]
    fn one_message_does_not_spoil_the_others() {
        let now = Instant::now();
        let mut delivery = delivery(now, &["a", "b", "c"]);
        let progress = delivery.settle(Err(refusal("InvalidParameterValue", 400)), now, 1.0);
        assert!(progress.settled.is_empty());
        assert_eq!(progress.again_after, Some(Duration::ZERO));

        assert_eq!(requested(&delivery), ["0=a"]);
        assert_eq!(told(&delivery.settle(reply(&delivery, &[]), now, 1.0)), ["a ok"]);
        assert_eq!(requested(&delivery), ["0=b"]);
        let progress = delivery.settle(Err(refusal("InvalidParameterValue", 400)), now, 1.0);
        assert_eq!(told(&progress), ["b InvalidParameterValue"]);
        assert_eq!(requested(&delivery), ["0=c"]);
        let progress = delivery.settle(reply(&delivery, &[]), now, 1.0);
        assert_eq!(told(&progress), ["c ok"]);
        assert_eq!(progress.again_after, None);
    }

    #[test]
    fn sent_singly_the_order_is_kept_while_the_first_is_repeated() {
        let now = Instant::now();
        let mut delivery = delivery(now, &["a", "b"]);
        delivery.settle(Err(refusal("MissingParameter", 400)), now, 1.0);
        let progress = delivery.settle(Err(refusal("ServiceUnavailable", 503)), now, 0.5);
        assert_eq!(progress.again_after, Some(Duration::from_millis(50)));
        assert_eq!(requested(&delivery), ["0=a"]);
    }

    #[test]
    fn what_concerns_all_is_told_to_all() {
        let now = Instant::now();
        let mut delivery = delivery(now, &["a", "b"]);
        let progress = delivery.settle(Err(refusal("QueueDoesNotExist", 400)), now, 1.0);
        assert_eq!(told(&progress), ["a QueueDoesNotExist", "b QueueDoesNotExist"]);
        assert_eq!(progress.again_after, None);
    }

    #[test]
    fn an_answer_that_leaves_a_message_out_is_no_success() {
        let now = Instant::now();
        let mut delivery = delivery(now, &["a", "b"]);
        let mut answer = reply(&delivery, &[]).unwrap();
        answer.successful.remove(0);
        answer.successful[0].id = "17".into();
        let progress = delivery.settle(Ok(answer), now, 1.0);
        assert_eq!(told(&progress), ["a unknown", "b unknown"]);
    }
}
