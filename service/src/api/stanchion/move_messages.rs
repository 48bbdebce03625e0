//! MoveMessages.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Action;
use super::dead_letter_message::parse_reason;
use super::delete_messages::{HandledOutput, parse_errand};
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::policy::actions::Permission;

/// What it needs where the messages go.
const SEND: Permission = Permission::sqs("SendMessage");

/// Moves messages that a filter means to another queue, whatever their state, a part of them at a
/// time.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MoveMessages {
    queue_url: Option<String>,
    destination_queue_url: Option<String>,
    filter: Option<Map<String, Value>>,
    reason: Option<String>,
    dry_run: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

impl Action for MoveMessages {
    const NAME: &'static str = "MoveMessages";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = HandledOutput;

    async fn run(self, call: &Call<'_>) -> Result<HandledOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let target = required(self.destination_queue_url.as_deref(), "DestinationQueueUrl")?;
        let target = call.queue_for(SEND, Some(target))?;
        let errand = parse_errand(self.filter, self.dry_run, self.max_results, self.next_token)?;
        let reason = parse_reason(self.reason, "moved by an operator")?;
        let shards = &call.app.shards;
        Ok(shards.move_messages(&queue.key, &target.key, errand, &reason).await?.into())
    }
}
