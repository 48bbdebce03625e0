//! SkipMessageGroupHead.

use serde::{Deserialize, Serialize};

use super::Action;
use super::filter::parse_id;
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::message::MessageId;
use crate::model::policy::actions::Permission;

/// Deletes the oldest message of a group of a FIFO queue, in flight or not, so that the next may go.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SkipMessageGroupHead {
    queue_url: Option<String>,
    message_group_id: Option<String>,
    message_id: Option<String>,
}

/// What was skipped, if anything.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SkipMessageGroupHeadOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<MessageId>,
}

impl Action for SkipMessageGroupHead {
    const NAME: &'static str = "SkipMessageGroupHead";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = SkipMessageGroupHeadOutput;

    async fn run(self, call: &Call<'_>) -> Result<SkipMessageGroupHeadOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let group = required(self.message_group_id.as_deref(), "MessageGroupId")?;
        let id = self.message_id.map(|id| parse_id("MessageId", id)).transpose()?;
        let message_id = call.app.shards.skip_group_head(&queue.key, group, id).await?;
        Ok(SkipMessageGroupHeadOutput { message_id })
    }
}
