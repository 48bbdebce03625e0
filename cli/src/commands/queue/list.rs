//! `stanchion queue ls`: many queues at a glance, once or again and again.

use std::pin::pin;
use std::time::Duration;

use serde::Serialize;
use stanchion_sdk::Client;
use stanchion_sdk::actions::own::server::{ListQueueStats, QueueStats};
use stanchion_sdk::actions::queues::ListQueues;

use super::attributes::dead_letters_of;
use crate::context::Target;
use crate::failure::{Failure, is_unknown_action};
use crate::output::{Output, Record};
use crate::queues::{Depth, attributes_of_sqs, is_fifo, name_of};
use crate::units::{show_count, show_seconds};

/// Prints the list; with `watch` again after each such time, until Ctrl-C.
pub(super) async fn run(
    target: &Target,
    prefix: Option<String>,
    watch: Option<Duration>,
    output: &Output,
) -> Result<(), Failure> {
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    loop {
        let listed = tokio::select! {
            listed = list(&target.client, prefix.clone()) => listed?,
            _ = &mut interrupted, if watch.is_some() => return Ok(()),
        };
        if watch.is_some() {
            output.clear()?;
        }
        output.list(&listed, "There are no queues. `stanchion queue create NAME` makes one.")?;
        let Some(every) = watch else { return Ok(()) };
        tokio::select! {
            () = tokio::time::sleep(every) => {}
            _ = &mut interrupted => return Ok(()),
        }
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
        let page = match client.list_queue_stats(request.clone()).await {
            Err(error) if is_unknown_action(&error) => {
                return list_one_by_one(client, request.queue_name_prefix).await;
            }
            page => page?,
        };
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
            let attributes = attributes_of_sqs(client, &url).await?;
            let Depth { available, in_flight, delayed } = Depth::of(&attributes);
            let name = name_of(&url).to_owned();
            listed.push(Listed {
                fifo: is_fifo(&name),
                name,
                available,
                in_flight,
                delayed,
                oldest_age_seconds: None,
                dead_letter_queue: dead_letters_of(&attributes)
                    .map(|policy| name_of(&policy.queue).to_owned()),
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
            fifo: is_fifo(&name),
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
