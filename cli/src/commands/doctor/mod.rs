//! `stanchion doctor`: looks for what is wrong, from the connection to how queues are set.

mod advice;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;
use stanchion_sdk::actions::own::access::ListAccessKeys;
use stanchion_sdk::actions::own::messages::PeekMessages;
use stanchion_sdk::actions::own::server::{GetServerInfo, ListCheckpoints, ServerInfo};
use stanchion_sdk::actions::queues::ListQueues;
use stanchion_sdk::{Client, Error};

use self::advice::Queue;
use crate::args::Global;
use crate::context::Target;
use crate::failure::{Failure, is_unknown_action};
use crate::output::{Output, Record};
use crate::queues::{self, meant, name_of, names};
use crate::units::{show_count, show_seconds};

/// How many queues are looked at, unless they are named.
const QUEUES_MAX: usize = 1_000;

/// From here on a clock is wrong: signatures fail at 15 minutes.
const SKEW_WARNED: Duration = Duration::from_secs(30);

/// From here on requests are refused.
const SKEW_MAX: Duration = Duration::from_secs(15 * 60);

/// What to look at.
#[derive(Args, Debug)]
pub(crate) struct Doctor {
    /// Only these queues
    #[arg(value_name = "QUEUE")]
    queues: Vec<String>,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// May become a problem.
    Warning,
    /// Is one.
    Error,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Finding {
    severity: Severity,
    /// `server`, `clock`, `credentials`, `permissions`, or a queue's name.
    subject: String,
    /// Stays the same from version to version.
    code: &'static str,
    message: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Finding {
    fn new(
        severity: Severity,
        subject: impl Into<String>,
        code: &'static str,
        message: impl Into<String>,
    ) -> Finding {
        Finding { severity, subject: subject.into(), code, message: message.into(), advice: None }
    }

    fn advise(mut self, advice: impl Into<String>) -> Finding {
        self.advice = Some(advice.into());
        self
    }
}

impl Record for Finding {
    const COLUMNS: &'static [&'static str] = &["", "SUBJECT", "FINDING"];

    fn row(&self) -> Vec<String> {
        let severity = match self.severity {
            Severity::Ok => "ok",
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "ERROR",
        };
        let advice = self.advice.as_ref().map(|advice| format!("\n→ {advice}"));
        let message = format!("{}{}", self.message, advice.unwrap_or_default());
        vec![severity.into(), self.subject.clone(), message]
    }
}

impl Doctor {
    /// Runs it.
    pub(crate) async fn run(self, global: &Global, output: &Output) -> Result<(), Failure> {
        let target = Target::resolve(global).await?;
        let findings = self.examine(&target).await;
        output.list(&findings, "Nothing was found.")?;
        let count = |severity| findings.iter().filter(|found| found.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        match (errors, warnings) {
            (0, warnings) if warnings == 0 || !self.strict => Ok(()),
            (0, warnings) => Err(Failure::failed(format!("{warnings} warnings"))),
            (errors, _) => Err(Failure::failed(format!("{errors} things are wrong"))),
        }
    }

    async fn examine(&self, target: &Target) -> Vec<Finding> {
        let client = &target.client;
        let mut findings = Vec::new();
        let began = Instant::now();
        let first = ListQueues { max_results: Some(1), ..ListQueues::default() };
        match client.list_queues(first).await {
            Ok(_) => {
                let endpoint = client.endpoint();
                let within = began.elapsed().as_millis();
                let message = format!("{endpoint} answers within {within} ms");
                findings.push(Finding::new(Severity::Ok, "server", "reached", message));
            }
            Err(error) => {
                let (found, goes_on) = unreached(target, &error);
                findings.push(found);
                if !goes_on {
                    return findings;
                }
            }
        }
        let info = match client.is_amazon() {
            true => None,
            false => client.get_server_info(GetServerInfo {}).await.ok(),
        };
        if let Some(info) = &info {
            findings.extend(server(info));
            findings.push(clock(info, SystemTime::now()));
        }
        let chosen = match self.queues.is_empty() {
            true => names(client, None, QUEUES_MAX).await.unwrap_or_default(),
            false => self.queues.clone(),
        };
        findings.extend(permissions(client, chosen.first().map(String::as_str)).await);
        let mut queues = Vec::with_capacity(chosen.len());
        for queue in &chosen {
            match queues::attributes(client, queue).await {
                Ok(attributes) => queues.push(Queue::of(name_of(queue), &attributes)),
                Err(error) if error.is_denied() => {
                    let message = "nobody may say how it is set";
                    let found = Finding::new(Severity::Info, queue, "unreadable", message);
                    findings.push(found);
                }
                // Somebody deleted it since it was listed; where it was named, that is an answer.
                Err(error) if error.is_queue_missing() && self.queues.is_empty() => {}
                Err(error) => {
                    let message = error.to_string();
                    let found = Finding::new(Severity::Error, queue, "unreadable", message);
                    let meant = match error.is_queue_missing() {
                        true => meant(target, std::slice::from_ref(queue)).await,
                        false => None,
                    };
                    findings.push(match meant {
                        Some((_, meant)) => found.advise(meant),
                        None => found,
                    });
                }
            }
        }
        // Dead-letter queues that were not asked for still say how the others fare.
        let missing: Vec<_> = queues
            .iter()
            .filter_map(|queue| Some(name_of(&queue.dead_letters.as_ref()?.0).to_owned()))
            .filter(|name| !queues.iter().any(|queue| queue.name == *name))
            .collect();
        let mut beside = Vec::new();
        for name in missing {
            let found = queues::attributes(client, &name).await;
            beside.extend(found.ok().map(|attributes| Queue::of(&name, &attributes)));
        }
        findings.extend(advice::advice(&queues, &beside));
        if chosen.len() == QUEUES_MAX && self.queues.is_empty() {
            let message =
                format!("only the first {} were looked at", show_count(QUEUES_MAX as u64));
            findings.push(Finding::new(Severity::Info, "queues", "truncated", message));
        }
        findings
    }
}

/// Why the server could not be asked, and whether it makes sense to ask on.
fn unreached(target: &Target, error: &Error) -> (Finding, bool) {
    let text = error.to_string();
    let wrong = |code, advice: &str| {
        Finding::new(Severity::Error, "credentials", code, text.clone()).advise(advice)
    };
    match (error, error.code()) {
        (Error::Credentials(_), _) => {
            (wrong("no_credentials", "`aws configure`, or --profile, or --unsigned"), false)
        }
        (_, Some("InvalidClientTokenId" | "UnrecognizedClientException")) => {
            (wrong("unknown_key", "`stanchion key ls` as root lists the keys there are"), false)
        }
        (_, Some("SignatureDoesNotMatch" | "InvalidSignatureException")) => {
            (wrong("wrong_signature", "compare the secret, the region, and this clock"), false)
        }
        (error, _) if error.is_denied() && !target.client.is_signed() => {
            let advice = "the server wants signatures: give a --profile or a context with a key";
            (wrong("unsigned", advice), false)
        }
        // Who may not list queues may do other things.
        (error, _) if error.is_denied() => {
            let found = Finding::new(Severity::Ok, "server", "reached", target.client.endpoint());
            (found, true)
        }
        _ => {
            let advice = format!("is a server running at {}?", target.client.endpoint());
            let found = Finding::new(Severity::Error, "server", "unreached", text);
            (found.advise(advice), false)
        }
    }
}

fn server(info: &ServerInfo) -> Vec<Finding> {
    let found = |severity, code, message: String| Finding::new(severity, "server", code, message);
    let mut findings = vec![found(Severity::Ok, "version", format!("Stanchion {}", info.version))];
    findings.push(match info.durability.as_str() {
        "fsync" => found(Severity::Ok, "durability", "what it answers is on the disk".into()),
        "os" => found(Severity::Warning, "durability", "durability is `os`".into())
            .advise("what it answered last is lost if the machine fails: --durability fsync"),
        other => found(Severity::Warning, "durability", format!("durability is `{other}`"))
            .advise("everything is lost if the server stops: for tests only"),
    });
    if !info.healthy {
        let message = "a commit has failed or a shard has died".into();
        let advice = "see the server's log, then the disk, then start it again";
        findings.push(found(Severity::Error, "unhealthy", message).advise(advice));
    }
    if !info.accepts_sends {
        let message = "it takes no messages".into();
        let advice = "its disk is nearly full: make room, or delete messages";
        findings.push(found(Severity::Error, "disk_full", message).advise(advice));
    }
    findings
}

/// Holds this machine's clock against the server's. That of a server on virtual time says nothing.
fn clock(info: &ServerInfo, now: SystemTime) -> Finding {
    if info.virtual_clock {
        let message = "the server's time is virtual: it moves as it is told to";
        return Finding::new(Severity::Info, "clock", "virtual", message);
    }
    let server = UNIX_EPOCH + Duration::from_millis(info.now);
    let skew = now.duration_since(server).unwrap_or_else(|ahead| ahead.duration());
    let message = format!("this clock and the server's differ by {}", show_seconds(skew.as_secs()));
    if skew < SKEW_WARNED {
        return Finding::new(Severity::Ok, "clock", "skew", message);
    }
    let severity = if skew < SKEW_MAX { Severity::Warning } else { Severity::Error };
    Finding::new(severity, "clock", "skew", message)
        .advise("signatures are refused when clocks differ by 15 minutes: set up NTP")
}

/// Tries actions that change nothing.
async fn permissions(client: &Client, queue: Option<&str>) -> Vec<Finding> {
    let mut tried: Vec<(&str, Result<(), Error>)> = Vec::new();
    let list = ListQueues { max_results: Some(1), ..ListQueues::default() };
    tried.push(("sqs:ListQueues", client.list_queues(list).await.map(drop)));
    if let Some(queue) = queue {
        let get = queues::attributes(client, queue).await;
        tried.push(("sqs:GetQueueAttributes", get.map(drop)));
    }
    if !client.is_amazon() {
        let info = client.get_server_info(GetServerInfo {}).await;
        tried.push(("stanchion:GetServerInfo", info.map(drop)));
        if let Some(queue) = queue {
            let peek = PeekMessages { max_results: Some(1), ..PeekMessages::new(queue) };
            tried.push(("stanchion:PeekMessages", client.peek_messages(peek).await.map(drop)));
        }
        let keys = ListAccessKeys { max_results: Some(1), ..ListAccessKeys::default() };
        tried.push(("stanchion:ListAccessKeys", client.list_access_keys(keys).await.map(drop)));
        let copies = client.list_checkpoints(ListCheckpoints {}).await;
        tried.push(("stanchion:ListCheckpoints", copies.map(drop)));
    }
    let foreign = tried.iter().any(|(_, tried)| tried.as_ref().is_err_and(is_unknown_action));
    let denied: Vec<_> = tried
        .iter()
        .filter(|(_, tried)| tried.as_ref().is_err_and(Error::is_denied))
        .map(|(name, _)| *name)
        .collect();
    let mut findings = Vec::new();
    if foreign {
        let message = "it is not Stanchion: what is Stanchion's own does not work here";
        findings.push(Finding::new(Severity::Info, "server", "foreign", message));
    }
    findings.push(match denied.is_empty() {
        true => {
            let message = "none of the actions that were tried is denied";
            Finding::new(Severity::Ok, "permissions", "permissions", message)
        }
        false => {
            let message = format!("denied: {}", denied.join(", "));
            Finding::new(Severity::Info, "permissions", "permissions", message)
        }
    });
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_that_differ_are_a_warning_and_then_an_error() {
        let info = ServerInfo { now: 10_000_000_000, ..ServerInfo::default() };
        let severity = |seconds: i64| {
            let now = 10_000_000 + seconds;
            let now = UNIX_EPOCH + Duration::from_secs(now.unsigned_abs());
            clock(&info, now).severity
        };
        assert_eq!(severity(0), Severity::Ok);
        assert_eq!(severity(-29), Severity::Ok);
        assert_eq!(severity(31), Severity::Warning);
        assert_eq!(severity(-901), Severity::Error);
        let info = ServerInfo { virtual_clock: true, ..info };
        assert_eq!(clock(&info, UNIX_EPOCH).severity, Severity::Info);
    }

    #[test]
    fn a_server_is_judged_by_what_it_says_of_itself() {
        let well = ServerInfo {
            durability: "fsync".into(),
            healthy: true,
            accepts_sends: true,
            ..ServerInfo::default()
        };
        let worst = |info: &ServerInfo| server(info).iter().map(|found| found.severity).max();
        assert_eq!(worst(&well), Some(Severity::Ok));
        let lossy = ServerInfo { durability: "memory".into(), ..well.clone() };
        assert_eq!(worst(&lossy), Some(Severity::Warning));
        assert_eq!(worst(&ServerInfo { healthy: false, ..well.clone() }), Some(Severity::Error));
        assert_eq!(worst(&ServerInfo { accepts_sends: false, ..well }), Some(Severity::Error));
    }
}
