//! `stanchion queue`: queues and what they are set to.

use clap::Subcommand;
use serde::Serialize;
use stanchion_sdk::Client;
use stanchion_sdk::actions::own::server::{ListQueueStats, QueueStats};
use stanchion_sdk::actions::queues::{DeleteQueue, GetQueueAttributes, ListQueues};

use crate::args::Global;
use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::output::{Output, Record};
use crate::units::{show_count, show_seconds};

/// What to do with queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List queues with their counts
    Ls {
        /// Only queues whose names begin so
        prefix: Option<String>,
    },
    /// Delete a queue and every message in it
    Rm {
        /// The queue
        queue: String,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Runs it.
pub(crate) async fn run(
    command: QueueCommand,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    match command {
        QueueCommand::Ls { prefix } => {
            let queues = list(&target.client, prefix).await?;
            output.list(&queues, "There are no queues. `stanchion queue create NAME` makes one.")
        }
        QueueCommand::Rm { queue, consent } => remove(&target, &queue, &consent, output).await,
    }
}

/// A queue in the list.
#[derive(Serialize)]
struct Listed {
    name: String,
    fifo: bool,
    available: u64,
    in_flight: u64,
    delayed: u64,
    oldest_age_seconds: Option<u64>,
    dead_letter_queue: Option<String>,
}

impl Record for Listed {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "TYPE", "AVAILABLE", "IN FLIGHT", "DELAYED", "OLDEST", "DEAD LETTERS TO"];

    fn row(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            if self.fifo { "fifo" } else { "standard" }.into(),
            show_count(self.available),
            show_count(self.in_flight),
            show_count(self.delayed),
            self.oldest_age_seconds.map_or("-".into(), show_seconds),
            self.dead_letter_queue.clone().unwrap_or_else(|| "-".into()),
        ]
    }
}

/// The queues of Stanchion at a glance, those of other servers one by one.
async fn list(client: &Client, prefix: Option<String>) -> Result<Vec<Listed>, Failure> {
    if client.is_amazon() {
        return list_one_by_one(client, prefix).await;
    }
    let mut listed = Vec::new();
    let mut request = ListQueueStats { queue_name_prefix: prefix, ..ListQueueStats::default() };
    loop {
        let page = client.list_queue_stats(request.clone()).await?;
        listed.extend(page.queues.into_iter().map(Listed::from));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(listed);
        }
    }
}

async fn list_one_by_one(client: &Client, prefix: Option<String>) -> Result<Vec<Listed>, Failure> {
    let max_results = Some(1_000);
    let mut request = ListQueues { queue_name_prefix: prefix, max_results, next_token: None };
    let mut listed = Vec::new();
    loop {
        let page = client.list_queues(request.clone()).await?;
        for url in page.queue_urls {
            let attributes =
                client.get_queue_attributes(GetQueueAttributes::all(&url)).await?.attributes;
            let count =
                |name: &str| attributes.get(name).and_then(|text| text.parse().ok()).unwrap_or(0);
            let name = name_of(&url).to_owned();
            listed.push(Listed {
                fifo: name.ends_with(".fifo"),
                name,
                available: count("ApproximateNumberOfMessages"),
                in_flight: count("ApproximateNumberOfMessagesNotVisible"),
                delayed: count("ApproximateNumberOfMessagesDelayed"),
                oldest_age_seconds: None,
                dead_letter_queue: attributes.get("RedrivePolicy").and_then(|text| {
                    let policy: serde_json::Value = serde_json::from_str(text).ok()?;
                    Some(name_of(policy.get("deadLetterTargetArn")?.as_str()?).to_owned())
                }),
            });
        }
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(listed);
        }
    }
}

impl From<QueueStats> for Listed {
    fn from(stats: QueueStats) -> Listed {
        let name = name_of(&stats.queue_url).to_owned();
        Listed {
            fifo: name.ends_with(".fifo"),
            name,
            available: stats.available,
            in_flight: stats.in_flight,
            delayed: stats.delayed,
            oldest_age_seconds: stats.oldest_message_age_seconds,
            dead_letter_queue: stats
                .dead_letter_target_arn
                .as_deref()
                .map(|arn| name_of(arn).to_owned()),
        }
    }
}

/// The name at the end of a queue's URL or ARN; a name is one itself.
pub(crate) fn name_of(queue: &str) -> &str {
    queue.rsplit(['/', ':']).next().unwrap_or(queue)
}

async fn remove(
    target: &Target,
    queue: &str,
    consent: &Consent,
    output: &Output,
) -> Result<(), Failure> {
    let name = name_of(queue);
    let client = &target.client;
    let attributes = client.get_queue_attributes(GetQueueAttributes::all(queue)).await?.attributes;
    let count =
        |name: &str| attributes.get(name).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let messages = count("ApproximateNumberOfMessages")
        + count("ApproximateNumberOfMessagesNotVisible")
        + count("ApproximateNumberOfMessagesDelayed");
    let deed = format!("delete {name} and its {} messages", show_count(messages));
    if consent.dry_run {
        let record = serde_json::json!({"queue": name, "messages": messages, "dry_run": true});
        return output.done(&format!("Would {deed}"), &record);
    }
    consent.ask(target, name, &deed)?;
    client.delete_queue(DeleteQueue { queue_url: queue.into() }).await?;
    output.done(&format!("Deleted {name}"), &serde_json::json!({"deleted": name}))
}
