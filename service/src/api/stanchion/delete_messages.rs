//! DeleteMessages.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Action, filter};
use crate::api::call::Call;
use crate::api::sqs::list_queues;
use crate::error::Error;
use crate::limits;
use crate::model::message::MessageId;
use crate::model::policy::actions::Permission;
use crate::shard::cleanup::{Errand, Handled};

/// Deletes messages that a filter means, whatever their state, a part of them at a time. A handle of
/// one of them is from then on that of a deleted message.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteMessages {
    queue_url: Option<String>,
    filter: Option<Map<String, Value>>,
    dry_run: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct HandledOutput {
    message_ids: Vec<MessageId>,
    /// There may be more: hand it in to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl From<Handled> for HandledOutput {
    fn from(handled: Handled) -> HandledOutput {
        HandledOutput { message_ids: handled.ids, next_token: handled.token }
    }
}

impl Action for DeleteMessages {
    const NAME: &'static str = "DeleteMessages";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = HandledOutput;

    async fn run(self, call: &Call<'_>) -> Result<HandledOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let errand = parse_errand(self.filter, self.dry_run, self.max_results, self.next_token)?;
        Ok(call.app.shards.delete_messages(&queue.key, errand).await?.into())
    }
}

/// Which messages an action is for. The filter is required: to forget it must not mean everything.
pub(super) fn parse_errand(
    filter: Option<Map<String, Value>>,
    dry_run: Option<bool>,
    max_results: Option<i64>,
    next_token: Option<String>,
) -> Result<Errand, Error> {
    let filter = filter.ok_or_else(|| Error::missing("Filter"))?;
    Ok(Errand {
        filter: filter::parse(Some(filter))?,
        max: list_queues::max_results(
            max_results,
            limits::ERRAND_MESSAGES_MAX,
            limits::ERRAND_MESSAGES_DEFAULT,
        )?,
        token: next_token.filter(|token| !token.is_empty()),
        dry_run: dry_run.unwrap_or(false),
    })
}
