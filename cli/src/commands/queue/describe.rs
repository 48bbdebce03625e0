//! `stanchion queue describe`: everything about a queue.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};
use stanchion_sdk::Client;
use stanchion_sdk::actions::own::server::ListQueueStats;
use stanchion_sdk::actions::queues::{ListDeadLetterSourceQueues, ListQueueTags};

use super::attributes::{SETTINGS, dead_letters_of};
use crate::context::Target;
use crate::failure::Failure;
use crate::output::Output;
use crate::queues::{Depth, attributes, name_of, number};
use crate::units::{show_count, show_moment, show_seconds};

/// How many of the queues are shown whose dead letters come here.
const SOURCES_MAX: u32 = 100;

/// A queue.
#[derive(Serialize)]
struct Described {
    name: String,
    arn: Option<String>,
    fifo: bool,
    available: u64,
    in_flight: u64,
    delayed: u64,
    oldest_age_seconds: Option<u64>,
    /// `receive`, `send` or `both`.
    paused: Option<String>,
    /// By the keys of files.
    settings: Map<String, Value>,
    dead_letter_queue: Option<String>,
    max_receive_count: Option<u32>,
    dead_letter_sources: Vec<String>,
    tags: BTreeMap<String, String>,
    created_at: Option<u64>,
    modified_at: Option<u64>,
}

pub(super) async fn run(target: &Target, queue: &str, output: &Output) -> Result<(), Failure> {
    let client = &target.client;
    let found = attributes(client, queue).await?;
    let queue_url = queue.to_owned();
    let tags = client.list_queue_tags(ListQueueTags { queue_url: queue_url.clone() }).await?.tags;
    let sources =
        ListDeadLetterSourceQueues { queue_url, max_results: Some(SOURCES_MAX), next_token: None };
    let sources = client.list_dead_letter_source_queues(sources).await?.queue_urls;
    let dead_letters = dead_letters_of(&found);
    let name = found.get("QueueArn").map_or(queue, String::as_str);
    let Depth { available, in_flight, delayed } = Depth::of(&found);
    // SQS counts moments in seconds; we count all of them in milliseconds.
    let moment = |name| Some(number(&found, name)?.saturating_mul(1_000));
    let is_set = SETTINGS.iter().filter_map(|setting| Some((setting, found.get(setting.name)?)));
    let described = Described {
        name: name_of(name).to_owned(),
        arn: found.get("QueueArn").cloned(),
        fifo: found.get("FifoQueue").is_some_and(|is| is == "true"),
        available,
        in_flight,
        delayed,
        oldest_age_seconds: oldest(client, name_of(name)).await,
        paused: found.get("Stanchion.Paused").cloned(),
        settings: is_set
            .clone()
            .map(|(setting, text)| (setting.key.to_owned(), setting.value(text)))
            .collect(),
        dead_letter_queue: dead_letters.as_ref().map(|dead| name_of(&dead.queue).to_owned()),
        max_receive_count: dead_letters.as_ref().map(|dead| dead.max_receives),
        dead_letter_sources: sources.iter().map(|url| name_of(url).to_owned()).collect(),
        tags,
        created_at: moment("CreatedTimestamp"),
        modified_at: moment("LastModifiedTimestamp"),
    };
    if !output.is_human() {
        return output.done("", &described);
    }
    let mut fields = described.fields();
    fields.extend(is_set.map(|(setting, text)| (setting.label, setting.show(text))));
    output.fields(fields)
}

/// Only Stanchion knows.
async fn oldest(client: &Client, name: &str) -> Option<u64> {
    if client.is_amazon() {
        return None;
    }
    let request = ListQueueStats {
        queue_name_prefix: Some(name.to_owned()),
        max_results: Some(1),
        next_token: None,
    };
    // The name itself is the first of those that begin with it.
    let page = client.list_queue_stats(request).await.ok()?;
    let stats = page.queues.into_iter().find(|stats| name_of(&stats.queue_url) == name)?;
    stats.oldest_message_age_seconds
}

impl Described {
    /// What is no setting, for people.
    fn fields(&self) -> Vec<(&'static str, String)> {
        let listed = |list: &[String]| match list.is_empty() {
            true => "-".into(),
            false => list.join(", "),
        };
        let moment = |at: Option<u64>| at.map_or("-".into(), show_moment);
        let dead_letters = match (&self.dead_letter_queue, self.max_receive_count) {
            (Some(queue), Some(count)) => format!("to {queue} after {count} receives"),
            _ => "-".into(),
        };
        let tags: Vec<_> = self.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        vec![
            ("Name", self.name.clone()),
            ("ARN", self.arn.clone().unwrap_or_else(|| "-".into())),
            ("Type", if self.fifo { "fifo" } else { "standard" }.into()),
            ("Available", show_count(self.available)),
            ("In flight", show_count(self.in_flight)),
            ("Delayed", show_count(self.delayed)),
            ("Oldest message", self.oldest_age_seconds.map_or("-".into(), show_seconds)),
            ("Paused", self.paused.clone().unwrap_or_else(|| "no".into())),
            ("Dead letters", dead_letters),
            ("Dead letters of", listed(&self.dead_letter_sources)),
            ("Tags", listed(&tags)),
            ("Created", moment(self.created_at)),
            ("Modified", moment(self.modified_at)),
        ]
    }
}
