//! PurgeMessageGroup.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::limits;
use crate::model::filter::Filter;
use crate::model::policy::actions::Permission;
use crate::shard::cleanup::Errand;

/// Parts of a group that one call deletes.
const PARTS_MAX: usize = 10;

/// Deletes every message of a group, whatever its state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PurgeMessageGroup {
    queue_url: Option<String>,
    message_group_id: Option<String>,
    next_token: Option<String>,
}

/// How far it came.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PurgeMessageGroupOutput {
    /// Messages that this call deleted.
    deleted: usize,
    /// There may be more: hand it in to go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Action for PurgeMessageGroup {
    const NAME: &'static str = "PurgeMessageGroup";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = PurgeMessageGroupOutput;

    async fn run(self, call: &Call<'_>) -> Result<PurgeMessageGroupOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let group = required(self.message_group_id.as_deref(), "MessageGroupId")?;
        let filter = Filter { group: Some(group.into()), ..Filter::default() };
        let mut token = self.next_token.filter(|token| !token.is_empty());
        let mut deleted = 0;
        for _ in 0..PARTS_MAX {
            let errand = Errand {
                filter: filter.clone(),
                max: limits::ERRAND_MESSAGES_MAX,
                token,
                dry_run: false,
            };
            let part = call.app.shards.delete_messages(&queue.key, errand).await?;
            deleted += part.ids.len();
            token = part.token;
            if token.is_none() {
                break;
            }
        }
        Ok(PurgeMessageGroupOutput { deleted, next_token: token })
    }
}
