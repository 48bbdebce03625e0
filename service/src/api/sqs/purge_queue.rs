//! PurgeQueue.

use serde::Deserialize;

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;

/// Deletes every message of a queue, whatever its state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PurgeQueue {
    queue_url: Option<String>,
}

impl Action for PurgeQueue {
    const NAME: &'static str = "PurgeQueue";
    const PERMISSION: Permission = Permission::sqs("PurgeQueue");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        call.app.shards.purge(&queue.key).await
    }
}
