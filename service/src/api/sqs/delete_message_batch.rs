//! DeleteMessageBatch.

use serde::Deserialize;

use super::Action;
use super::batch::{self, BatchOutput, Done};
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;

const ENTRY: &str = "DeleteMessageBatchRequestEntry";

/// Deletes up to ten messages; each may fail by itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteMessageBatch {
    queue_url: Option<String>,
    entries: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: Option<String>,
    receipt_handle: Option<String>,
}

impl Action for DeleteMessageBatch {
    const NAME: &'static str = "DeleteMessageBatch";
    const PERMISSION: Permission = Permission::sqs("DeleteMessage");
    type Output = BatchOutput<Done>;

    async fn run(self, call: &Call<'_>) -> Result<BatchOutput<Done>, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let entries = batch::check_entries(ENTRY, self.entries, |entry| entry.id.take())?;
        let mut handles = Vec::with_capacity(entries.len());
        let parse = |(index, (id, entry)): (usize, (String, Entry))| {
            let handle = entry.receipt_handle.filter(|handle| !handle.is_empty());
            let parsed = handle
                .map(|handle| handles.push(handle))
                .ok_or_else(|| Error::missing(batch::member(ENTRY, index, "ReceiptHandle")));
            (id, parsed)
        };
        let entries: Vec<_> = entries.into_iter().enumerate().map(parse).collect();
        let outcomes = match handles.is_empty() {
            true => Vec::new(),
            false => call.app.shards.delete(&queue.key, handles).await?,
        };
        batch::merge(entries, outcomes, |id, (), ()| Done::new(id))
    }
}
