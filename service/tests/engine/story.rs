//! Stories: lines of `<time> <command> <arguments> -> <what must come of it>`.
//!
//! ```text
//! 0s   send m1 delay=5s group=a dedup=x     -> ok | same as m0
//! 5s   receive max=10 visibility=30s        -> m1 count=1, m2 count=1 | nothing | over limit
//! 6s   delete m1                            -> ok | expired | gone      (m1#1: its first handle)
//! 6s   change m1 10s                        -> ok | expired | gone | limit
//! 6s   set retention=60s                    (visibility, delay, retention, redrive)
//! 7s   counts                               -> 1 available, 0 in flight, 0 delayed
//! 7s   restart                              (as after kill -9)
//! 7s   clear                                (rows of messages that are gone)
//! 7s   rows                                 -> 3                        (message rows)
//! 7s   remains                              -> 2           (rows of gone ones that readers come by)
//! 7s   send-off max=2                       -> m1, m2 | nothing        (what is available)
//! 7s   departed                             -> m1, m2 | nothing
//! 7s   accept m1 / restore m1               (a message that departed)
//! ```

use std::collections::BTreeMap;

use stanchion_service::engine::command::{
    Command, EntryError, Outcome, Receipt, Receive, SendOff, Survey, SurveyFrom,
};
use stanchion_service::error::Error;
use stanchion_service::model::attributes::{DeduplicationScope, QueueSettings, RedrivePolicy};
use stanchion_service::model::fifo::{AttemptHash, Seq};
use stanchion_service::model::queue::{QueueKey, QueueKind};
use stanchion_service::model::time::{Millis, Timestamp};

use crate::bench::{Bench, hash, incoming};

/// Tells a story of a standard queue with default settings, and again with a store that gives one
/// row at a time and no read-ahead: the outcome must not depend on how rows are loaded.
pub(crate) fn standard(story: &str) {
    for frugal in [false, true] {
        tell(QueueSettings::new(QueueKind::Standard), story, frugal);
    }
}

/// The same of a FIFO queue.
pub(crate) fn fifo(story: &str) {
    for frugal in [false, true] {
        tell(QueueSettings::new(QueueKind::Fifo), story, frugal);
    }
}

fn tell(settings: QueueSettings, story: &str, frugal: bool) {
    let mut bench = Bench::new(settings);
    if frugal {
        bench.page = 1;
        bench.window_room = 0;
    }
    let start = bench.now;
    let mut handles: BTreeMap<String, Vec<Receipt>> = BTreeMap::new();
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (given, expected) = match line.split_once("->") {
            Some((given, expected)) => (given.trim(), Some(expected.trim())),
            None => (line, None),
        };
        let mut words = given.split_whitespace();
        let time = words.next().expect("a time");
        bench.now = Timestamp(start.0 + millis(time));
        bench.expire();
        let verb = words.next().expect("a command");
        let words: Vec<&str> = words.collect();
        let came = act(&mut bench, &mut handles, verb, &words);
        bench.audit();
        if let Some(expected) = expected {
            assert_eq!(came, expected, "in the line: {line} (frugal: {frugal})");
        } else {
            assert!(came.is_empty() || came == "ok", "in the line: {line}: {came}");
        }
    }
}

fn act(
    bench: &mut Bench,
    handles: &mut BTreeMap<String, Vec<Receipt>>,
    verb: &str,
    words: &[&str],
) -> String {
    let option = |name: &str| {
        words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
    };
    match verb {
        "send" => {
            let names = words.iter().filter(|word| !word.contains('='));
            let delay = option("delay").map(|delay| millis(&delay));
            let group = option("group");
            let messages = names
                .map(|name| {
                    let dedup = option("dedup").unwrap_or(name.to_string());
                    let fifo = bench.queue.settings().fifo.is_some();
                    let dedup = fifo.then_some(dedup);
                    incoming(name, group.as_deref(), dedup.as_deref(), delay)
                })
                .collect();
            let Ok(Outcome::Sent(results)) = bench.apply(Command::Send(messages)) else { panic!() };
            let texts = results.into_iter().map(|result| {
                let accepted = result.expect("sent");
                match accepted.duplicate {
                    true => format!("same as {}", name_of(&accepted.id.0)),
                    false => "ok".to_owned(),
                }
            });
            let mut texts: Vec<String> = texts.collect();
            texts.dedup();
            texts.join(", ")
        }
        "clear" => {
            while !bench.clear() {}
            String::new()
        }
        "rows" => bench.rows.messages.len().to_string(),
        "remains" => bench.queue.remains_amid().to_string(),
        "receive" => {
            let receive = Receive {
                max: option("max").map_or(1, |max| max.parse().expect("max")),
                visibility: option("visibility").map(|v| Millis(millis(&v))),
                attempt: option("attempt").map(|a| AttemptHash(hash(&a) as u64)),
                patient: words.contains(&"patient"),
            };
            match bench.apply(Command::Receive(receive)) {
                Ok(Outcome::Received(messages)) if messages.is_empty() => "nothing".to_owned(),
                Ok(Outcome::Received(messages)) => {
                    let texts = messages.into_iter().map(|given| {
                        let name = String::from_utf8(given.message.payload.to_vec()).expect("name");
                        let receipt = Receipt { place: given.place, nonce: given.nonce };
                        handles.entry(name.clone()).or_default().push(receipt);
                        format!("{name} count={}", given.receive_count)
                    });
                    texts.collect::<Vec<_>>().join(", ")
                }
                Err(Error::OverLimit(_)) => "over limit".to_owned(),
                other => panic!("{other:?}"),
            }
        }
        "delete" => {
            let receipts = words.iter().map(|word| handle(handles, word)).collect();
            results(bench.apply(Command::Delete(receipts)))
        }
        "change" => {
            let change = (handle(handles, words[0]), Millis(millis(words[1])));
            results(bench.apply(Command::ChangeVisibility(vec![change])))
        }
        "release" => {
            let receipts = words.iter().map(|word| handle(handles, word)).collect();
            results(bench.apply(Command::Release(receipts)))
        }
        "set" => {
            let mut settings = bench.queue.settings().clone();
            let secs = |text: String| (millis(&text) / 1000) as u32;
            if let Some(text) = option("visibility") {
                settings.visibility_timeout_s = secs(text);
            }
            if let Some(text) = option("delay") {
                settings.delay_s = secs(text);
            }
            if let Some(text) = option("retention") {
                settings.retention_s = secs(text);
            }
            if let Some(text) = option("redrive") {
                settings.redrive = Some(RedrivePolicy {
                    dead_letter_target_arn: "arn:aws:sqs:us-east-1:000000000000:dead".to_owned(),
                    max_receive_count: text.parse().expect("redrive"),
                });
            }
            if let (Some(scope), Some(fifo)) = (option("scope"), &mut settings.fifo) {
                fifo.deduplication_scope = match scope.as_str() {
                    "group" => DeduplicationScope::MessageGroup,
                    _ => DeduplicationScope::Queue,
                };
            }
            if let Some(max) = option("max_in_flight") {
                bench.queue.set_in_flight_max(max.parse().expect("max_in_flight"));
            }
            if let Some(there) = option("target") {
                bench.dead_letter_target = there == "there";
            }
            let now = bench.now;
            bench.queue.configure(settings, now);
            bench.expire();
            String::new()
        }
        "counts" => {
            let c = bench.queue.counters();
            format!("{} available, {} in flight, {} delayed", c.available, c.in_flight, c.delayed)
        }
        "restart" => {
            bench.restart();
            bench.expire();
            String::new()
        }
        "forget" => {
            bench.queue.drop_window();
            String::new()
        }
        // What is available, found by a survey.
        "send-off" => {
            let survey = Survey {
                from: SurveyFrom::Start,
                max: option("max").map_or(10, |max| max.parse().expect("max")),
                bytes_max: usize::MAX,
                before: Seq::MAX,
                due_by: bench.now,
            };
            let Ok(Outcome::Surveyed(surveyed)) = bench.apply(Command::Survey(survey)) else {
                panic!()
            };
            let places = surveyed.found.iter().map(|found| found.place).collect();
            let target = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:there");
            let target = target.expect("an ARN");
            let errand = SendOff::of_available(places, target, String::new());
            let outcome = bench.apply(Command::SendOff(errand));
            assert!(
                matches!(outcome, Ok(Outcome::SentOff(left)) if left.len() == surveyed.found.len())
            );
            let name = |payload: &[u8]| String::from_utf8(payload.to_vec()).expect("name");
            let names: Vec<_> = surveyed.found.iter().map(|f| name(&f.message.payload)).collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        }
        "departed" => {
            let names = bench
                .departed
                .iter()
                .map(|d| String::from_utf8(d.message.payload.to_vec()).expect("name"));
            let names: Vec<String> = names.collect();
            if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
        }
        "accept" | "restore" => {
            let at = bench.departed.iter().position(|d| d.message.payload == words[0].as_bytes());
            let departure = bench.departed.remove(at.expect("it departed"));
            let command = match verb {
                "accept" => Command::Accept(departure),
                _ => Command::Restore(departure),
            };
            results(bench.apply(command))
        }
        other => panic!("no such command: {other}"),
    }
}

fn results(outcome: Result<Outcome, Error>) -> String {
    let Ok(Outcome::Done(results)) = outcome else { panic!("{outcome:?}") };
    let texts = results.into_iter().map(|result| match result {
        Ok(()) => "ok",
        Err(EntryError::Expired) => "expired",
        Err(EntryError::Gone) => "gone",
        Err(EntryError::BeyondLimit) => "limit",
    });
    let mut texts: Vec<&str> = texts.collect();
    texts.dedup();
    texts.join(", ")
}

/// `m1` is its latest handle, `m1#2` its second.
fn handle(handles: &BTreeMap<String, Vec<Receipt>>, word: &str) -> Receipt {
    let (name, nth) = word.split_once('#').unwrap_or((word, ""));
    let all = &handles[name];
    match nth.parse::<usize>() {
        Ok(nth) => all[nth - 1],
        Err(_) => *all.last().expect("it was received"),
    }
}

fn name_of(id: &[u8; 16]) -> String {
    String::from_utf8(id.iter().copied().take_while(|byte| *byte != 0).collect()).expect("name")
}

/// `5s`, `90m`, `12h`, `4d` or `250ms` in milliseconds.
fn millis(text: &str) -> u64 {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().unwrap_or_else(|_| panic!("no time: {text}"));
    number
        * match &text[digits.len()..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            other => panic!("no unit: {other}"),
        }
}
