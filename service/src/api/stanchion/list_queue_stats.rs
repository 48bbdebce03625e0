//! ListQueueStats.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::api::sqs::list_queues::{Page, max_results};
use crate::error::Error;
use crate::limits;
use crate::model::policy::actions::Permission;
use crate::model::time::Millis;
use crate::shard::queue_stats::QueueStats;

/// Shows the queues of the caller's account and region at a glance, in the order of their names.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueueStats {
    queue_name_prefix: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Queues, and where to go on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueueStatsOutput {
    queues: Vec<StatsOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StatsOutput {
    queue_url: String,
    queue_arn: String,
    available: u64,
    in_flight: u64,
    delayed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_message_age_seconds: Option<u64>,
    sent_per_second: f64,
    received_per_second: f64,
    deleted_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter_target_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_receive_count: Option<u32>,
    dead_letter_source_count: usize,
    /// The first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dead_letter_source_arns: Vec<String>,
}

impl Action for ListQueueStats {
    const NAME: &'static str = "ListQueueStats";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = ListQueueStatsOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListQueueStatsOutput, Error> {
        let max = max_results(
            self.max_results,
            limits::QUEUE_STATS_RESULTS_MAX,
            limits::QUEUE_STATS_RESULTS_MAX,
        )?;
        let prefix = self.queue_name_prefix.unwrap_or_default();
        let after = Page::parse(None, self.next_token)?.after;
        let shards = &call.app.shards;
        let stats = shards.queue_stats(&call.account, &call.region, &prefix, after.as_ref(), max);
        let stats = stats.await?;
        let next_token = stats.last().and_then(|last| {
            let name = &last.info.key.name;
            let more = shards.list(&call.account, &call.region, &prefix, Some(name), 1);
            (!more.is_empty()).then(|| Page::token(name))
        });
        let queues = stats.into_iter().map(|stats| StatsOutput::new(stats, call)).collect();
        Ok(ListQueueStatsOutput { queues, next_token })
    }
}

impl StatsOutput {
    fn new(stats: QueueStats, call: &Call<'_>) -> StatsOutput {
        let QueueStats { info, counters, rates, oldest, sources } = stats;
        let redrive = info.settings.redrive.as_ref();
        let shown = sources.iter().take(limits::QUEUE_STATS_SOURCES_MAX);
        // Two digits behind the point: more would pretend to more than a minute's count can say.
        let rounded = |rate: f64| (rate * 100.0).round() / 100.0;
        StatsOutput {
            queue_url: call.queue_url(&info.key),
            queue_arn: info.key.arn(),
            available: counters.available,
            in_flight: counters.in_flight,
            delayed: counters.delayed,
            oldest_message_age_seconds: oldest.map(|Millis(age)| age / 1000),
            sent_per_second: rounded(rates.sent),
            received_per_second: rounded(rates.received),
            deleted_per_second: rounded(rates.deleted),
            dead_letter_target_arn: redrive.map(|policy| policy.dead_letter_target_arn.clone()),
            max_receive_count: redrive.map(|policy| policy.max_receive_count),
            dead_letter_source_count: sources.len(),
            dead_letter_source_arns: shown.map(|source| source.arn()).collect(),
        }
    }
}
