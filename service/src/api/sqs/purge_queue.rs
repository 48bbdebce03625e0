//! PurgeQueue.

use serde::Deserialize;

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::time::Millis;

/// Deletes every message of a queue, whatever its state.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PurgeQueue {
    queue_url: Option<String>,
}

impl Action for PurgeQueue {
    const NAME: &'static str = "PurgeQueue";
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let quarantine = Millis::from_secs(call.app.limits.quarantine_s);
        // Two purges at the same moment may both pass here; both then do the same.
        if queue.purged_at.is_some_and(|at| call.app.shards.now() < at.plus(quarantine)) {
            return Err(Error::PurgeQueueInProgress { queue: queue.key.name.to_string() });
        }
        call.app.shards.purge(&queue.key).await
    }
}
