//! DeleteQueue.

use serde::Deserialize;

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;

/// Deletes a queue and everything in it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteQueue {
    queue_url: Option<String>,
}

impl Action for DeleteQueue {
    const NAME: &'static str = "DeleteQueue";
    const PERMISSION: Permission = Permission::sqs("DeleteQueue");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        call.app.shards.delete_queue(&queue.key).await
    }
}
