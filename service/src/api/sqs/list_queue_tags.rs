//! ListQueueTags.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::shard::handle::Tags;

/// Lists the tags of a queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueueTags {
    queue_url: Option<String>,
}

/// The tags; the answer of an untagged queue has no members.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueueTagsOutput {
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
}

impl Action for ListQueueTags {
    const NAME: &'static str = "ListQueueTags";
    const PERMISSION: Permission = Permission::sqs("ListQueueTags");
    type Output = ListQueueTagsOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListQueueTagsOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        Ok(ListQueueTagsOutput { tags: queue.tags.clone() })
    }
}
