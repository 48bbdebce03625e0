//! What to say about how queues are set: from their attributes alone.

use stanchion_sdk::message::Attributes;

use super::{Finding, Severity};
use crate::commands::queue::attributes::dead_letters_of;
use crate::queues::{Depth, is_fifo, name_of, number};
use crate::units::{show_count, show_seconds};

/// Nothing is worked through reliably in less.
const VISIBILITY_SHORT_SECONDS: u64 = 5;

/// What is known of a queue.
#[derive(Clone, Debug, Default)]
pub(super) struct Queue {
    pub(super) name: String,
    pub(super) visibility_seconds: Option<u64>,
    pub(super) retention_seconds: Option<u64>,
    pub(super) wait_seconds: Option<u64>,
    pub(super) available: u64,
    /// An ARN, and after how many receives.
    pub(super) dead_letters: Option<(String, u32)>,
    /// `receive`, `send` or `both`.
    pub(super) paused: Option<String>,
}

impl Queue {
    /// From what the server says of it.
    pub(super) fn of(name: &str, attributes: &Attributes) -> Queue {
        Queue {
            name: name.into(),
            visibility_seconds: number(attributes, "VisibilityTimeout"),
            retention_seconds: number(attributes, "MessageRetentionPeriod"),
            wait_seconds: number(attributes, "ReceiveMessageWaitTimeSeconds"),
            available: Depth::of(attributes).available,
            dead_letters: dead_letters_of(attributes).map(|dead| (dead.queue, dead.max_receives)),
            paused: attributes.get("Stanchion.Paused").cloned(),
        }
    }
}

/// What to say about `queues`; `beside` are queues for dead letters that nobody asked about.
pub(super) fn advice(queues: &[Queue], beside: &[Queue]) -> Vec<Finding> {
    let known = || queues.iter().chain(beside);
    let is_target = |queue: &Queue| {
        let targets = known().filter_map(|source| source.dead_letters.as_ref());
        targets.into_iter().any(|(arn, _)| name_of(arn) == queue.name)
    };
    let mut findings = Vec::new();
    for queue in queues {
        let before = findings.len();
        findings.extend(of_settings(queue));
        match &queue.dead_letters {
            Some((arn, max_receives)) => {
                let target = known().find(|other| other.name == name_of(arn));
                findings.extend(of_dead_letters(queue, arn, *max_receives, target));
            }
            None if is_target(queue) => findings.extend(of_target(queue)),
            None => {
                let message = "has no dead-letter queue";
                let advice = format!(
                    "a message that cannot be worked through is received for ever: stanchion queue \
                     set {0} --dlq {1}",
                    queue.name,
                    beside_name(&queue.name)
                );
                let found = Finding::new(Severity::Warning, &queue.name, "no_dlq", message);
                findings.push(found.advise(advice));
            }
        }
        if findings.len() == before {
            findings.push(Finding::new(Severity::Ok, &queue.name, "settings", "is set sensibly"));
        }
    }
    findings
}

fn of_settings(queue: &Queue) -> Vec<Finding> {
    let found = |severity, code, message: String, advice: String| {
        Finding::new(severity, &queue.name, code, message).advise(advice)
    };
    let mut findings = Vec::new();
    if let Some(seconds) = queue.visibility_seconds.filter(|s| *s < VISIBILITY_SHORT_SECONDS) {
        let message = format!("visibility timeout is {}", show_seconds(seconds));
        let advice =
            "whoever takes longer gets company: make it longer than the slowest work takes";
        findings.push(found(Severity::Warning, "short_visibility", message, advice.into()));
    }
    if queue.wait_seconds == Some(0) {
        let message = "receives do not wait".to_owned();
        let advice = format!(
            "receivers that do not wait by themselves ask in vain: stanchion queue set {} --wait 20s",
            queue.name
        );
        findings.push(found(Severity::Info, "short_polling", message, advice));
    }
    if let Some(paused) = &queue.paused {
        let what = match paused.as_str() {
            "receive" => "receives are paused",
            "send" => "sends are paused",
            _ => "receives and sends are paused",
        };
        let advice = format!("stanchion queue resume {}", queue.name);
        findings.push(found(Severity::Warning, "paused", what.into(), advice));
    }
    findings
}

fn of_dead_letters(
    queue: &Queue,
    arn: &str,
    max_receives: u32,
    target: Option<&Queue>,
) -> Vec<Finding> {
    let found = |severity, code, message: String, advice: String| {
        Finding::new(severity, &queue.name, code, message).advise(advice)
    };
    let dead = name_of(arn);
    let mut findings = Vec::new();
    if is_fifo(dead) != is_fifo(&queue.name) {
        let message = format!("its dead-letter queue {dead} is of the other kind");
        let advice = "dead letters of a FIFO queue need a FIFO queue, of another a standard queue";
        findings.push(found(Severity::Error, "dlq_kind", message, advice.into()));
    }
    match target {
        None => {
            let message = format!("its dead-letter queue {dead} does not exist, or is not ours");
            let advice = format!("messages stay where they are: stanchion queue create {dead}");
            findings.push(found(Severity::Error, "dlq_missing", message, advice));
        }
        Some(target) if is_shorter(target, queue) => {
            let message = format!("its dead-letter queue {dead} keeps messages no longer than it");
            let advice = format!(
                "a message's age counts from when it was sent first, so dead letters are soon gone: \
                 stanchion queue set {dead} --retention 14d"
            );
            findings.push(found(Severity::Warning, "dlq_retention", message, advice));
        }
        Some(_) => {}
    }
    if max_receives == 1 {
        let message = "one receive makes a message a dead letter".to_owned();
        let advice = format!(
            "a receiver that restarts kills what it had: stanchion queue set {} --max-receives 3",
            queue.name
        );
        findings.push(found(Severity::Warning, "max_receives", message, advice));
    }
    findings
}

/// Fourteen days are the most there is: who keeps messages so long cannot keep dead letters longer.
fn is_shorter(target: &Queue, source: &Queue) -> bool {
    const MOST_SECONDS: u64 = 14 * 86_400;
    match (target.retention_seconds, source.retention_seconds) {
        (Some(target), Some(source)) => target <= source && target < MOST_SECONDS,
        _ => false,
    }
}

fn of_target(queue: &Queue) -> Option<Finding> {
    let count = Some(queue.available).filter(|count| *count > 0)?;
    let message = format!("holds {} dead letters", show_count(count));
    let advice = format!("stanchion dlq show {}", queue.name);
    Some(Finding::new(Severity::Info, &queue.name, "dead_letters", message).advise(advice))
}

/// What a queue for dead letters would be called.
fn beside_name(name: &str) -> String {
    match name.strip_suffix(".fifo") {
        Some(stem) => format!("{stem}-dlq.fifo"),
        None => format!("{name}-dlq"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue that nothing is to be said about but that its dead letters go nowhere.
    fn queue(name: &str) -> Queue {
        Queue {
            name: name.into(),
            visibility_seconds: Some(30),
            retention_seconds: Some(345_600),
            wait_seconds: Some(20),
            ..Queue::default()
        }
    }

    fn to(arn: &str, max: u32) -> Option<(String, u32)> {
        Some((format!("arn:aws:sqs:us-east-1:000000000000:{arn}"), max))
    }

    fn said(queues: &[Queue], beside: &[Queue]) -> Vec<String> {
        let findings = advice(queues, beside);
        findings.iter().map(|found| format!("{} {}", found.subject, found.code)).collect()
    }

    #[test]
    fn a_queue_that_is_set_sensibly_is_left_alone() {
        let orders = Queue { dead_letters: to("dead", 5), ..queue("orders") };
        let dead = Queue { retention_seconds: Some(1_209_600), ..queue("dead") };
        assert_eq!(
            said(&[orders.clone(), dead.clone()], &[]),
            ["orders settings", "dead settings"]
        );
        assert_eq!(said(std::slice::from_ref(&orders), &[dead]), ["orders settings"]);
        // Where everything is kept as long as possible, dead letters cannot be kept longer.
        let long = |name| Queue { retention_seconds: Some(1_209_600), ..queue(name) };
        let orders = Queue { retention_seconds: Some(1_209_600), ..orders };
        assert_eq!(said(&[orders, long("dead")], &[]), ["orders settings", "dead settings"]);
    }

    #[test]
    fn each_mistake_has_its_finding() {
        let short = Queue { visibility_seconds: Some(1), wait_seconds: Some(0), ..queue("a") };
        assert_eq!(said(&[short], &[]), ["a short_visibility", "a short_polling", "a no_dlq"]);
        let paused = Queue { paused: Some("send".into()), ..queue("a") };
        assert_eq!(said(&[paused], &[]), ["a paused", "a no_dlq"]);
        let strict = Queue { dead_letters: to("dead", 1), ..queue("a") };
        let said_of = |beside: &[Queue]| said(std::slice::from_ref(&strict), beside);
        assert_eq!(said_of(&[]), ["a dlq_missing", "a max_receives"]);
        assert_eq!(said_of(&[queue("dead")]), ["a dlq_retention", "a max_receives"]);
        let other = Queue { dead_letters: to("dead.fifo", 5), ..queue("a") };
        let dead = Queue { retention_seconds: Some(1_209_600), ..queue("dead.fifo") };
        assert_eq!(said(&[other], &[dead]), ["a dlq_kind"]);
    }

    #[test]
    fn dead_letters_are_mentioned_where_they_lie() {
        let source = Queue { dead_letters: to("dead", 5), ..queue("a") };
        let dead = Queue { available: 7, retention_seconds: Some(1_209_600), ..queue("dead") };
        assert_eq!(said(&[source, dead], &[]), ["a settings", "dead dead_letters"]);
        assert_eq!(beside_name("a.fifo"), "a-dlq.fifo");
    }
}
