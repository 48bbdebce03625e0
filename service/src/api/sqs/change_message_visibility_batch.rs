//! ChangeMessageVisibilityBatch.

use serde::Deserialize;

use super::Action;
use super::batch::{self, BatchOutput, Done};
use super::change_message_visibility::parse_timeout;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;

const ENTRY: &str = "ChangeMessageVisibilityBatchRequestEntry";

/// Hides up to ten received messages until a new moment; each may fail by itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeMessageVisibilityBatch {
    queue_url: Option<String>,
    entries: Option<Vec<Entry>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    id: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

impl Entry {
    fn parse(self, index: usize) -> Result<(String, u32), Error> {
        let missing = |name| Error::missing(batch::member(ENTRY, index, name));
        let handle = self.receipt_handle.filter(|handle| !handle.is_empty());
        let handle = handle.ok_or_else(|| missing("ReceiptHandle"))?;
        let timeout = self.visibility_timeout.ok_or_else(|| missing("VisibilityTimeout"))?;
        Ok((handle, parse_timeout(timeout)?))
    }
}

impl Action for ChangeMessageVisibilityBatch {
    const NAME: &'static str = "ChangeMessageVisibilityBatch";
    const PERMISSION: Permission = Permission::sqs("ChangeMessageVisibility");
    type Output = BatchOutput<Done>;

    async fn run(self, call: &Call<'_>) -> Result<BatchOutput<Done>, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let entries = batch::check_entries(ENTRY, self.entries, |entry| entry.id.take())?;
        let mut changes = Vec::with_capacity(entries.len());
        let parse = |(index, (id, entry)): (usize, (String, Entry))| {
            (id, entry.parse(index).map(|change| changes.push(change)))
        };
        let entries: Vec<_> = entries.into_iter().enumerate().map(parse).collect();
        let outcomes = match changes.is_empty() {
            true => Vec::new(),
            false => call.app.shards.change_visibility(&queue.key, changes).await?,
        };
        batch::merge(entries, outcomes, |id, (), ()| Done::new(id))
    }
}
