//! StartMessageMoveTask. Source: facts sheet, 2.3 and 8.5.

use serde::{Deserialize, Serialize};

use super::Action;
use super::move_task::{OF_SOURCE, TaskHandle, not_found, queue};
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::limits::MOVE_TASK_RATE_MAX;
use crate::model::policy::actions::Permission;

/// What it needs where the messages go.
const SEND: Permission = Permission::sqs("SendMessage");

/// Begins to move the messages of a dead-letter queue, to one queue or each to where it came from.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartMessageMoveTask {
    source_arn: Option<String>,
    destination_arn: Option<String>,
    max_number_of_messages_per_second: Option<i64>,
}

/// How to cancel it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartMessageMoveTaskOutput {
    task_handle: String,
}

impl Action for StartMessageMoveTask {
    const NAME: &'static str = "StartMessageMoveTask";
    const PERMISSION: Permission = Permission::sqs("StartMessageMoveTask");
    type Output = StartMessageMoveTaskOutput;

    async fn run(self, call: &Call<'_>) -> Result<StartMessageMoveTaskOutput, Error> {
        let source = required(self.source_arn.as_deref(), "SourceArn")?;
        let rate = self.max_number_of_messages_per_second.map(rate).transpose()?;
        let source = queue(call, source, "SourceArn", call.permission, &OF_SOURCE)?.key.clone();
        let arn = self.destination_arn.as_deref().filter(|arn| !arn.is_empty());
        let destination =
            arn.map(|arn| queue(call, arn, "DestinationArn", SEND, &[])).transpose()?;
        let sources = call.app.shards.dead_letter_sources(&source);
        if sources.is_empty() {
            return Err(Error::InvalidParameter(
                "Source queue must be configured as a Dead Letter Queue.".into(),
            ));
        }
        if destination.is_none() {
            // Each message goes back to where it came from.
            sources.iter().try_for_each(|queue| call.find(SEND, &queue.key).map(drop))?;
        }
        if let (Some(arn), Some(destination)) = (arn, &destination) {
            let refuse = |reason: &'static str| Err(Error::invalid("DestinationArn", arn, reason));
            let there = &destination.key;
            if *there == source {
                return refuse("The destination must be another queue than the source.");
            }
            if there.name.kind() != source.name.kind() {
                return refuse("The destination must be the same type of queue as the source.");
            }
            if (&there.account, &there.region) != (&source.account, &source.region) {
                return refuse("The destination must be in the account and region of the source.");
            }
        }
        let destination = destination.map(|queue| queue.key.clone());
        let started = call.app.shards.start_move_task(&source, destination, rate).await;
        let handle = TaskHandle { task: started.map_err(not_found)?, source };
        Ok(StartMessageMoveTaskOutput { task_handle: handle.seal() })
    }
}

/// Messages per second.
fn rate(given: i64) -> Result<u16, Error> {
    let rate = u16::try_from(given).ok().filter(|rate| (1..=MOVE_TASK_RATE_MAX).contains(rate));
    rate.ok_or_else(|| {
        let reason = "Must be between 1 and 500, if provided.";
        Error::invalid("MaxNumberOfMessagesPerSecond", given, reason)
    })
}
