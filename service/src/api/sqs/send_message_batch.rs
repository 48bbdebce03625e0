//! SendMessageBatch.

use serde::Deserialize;

use super::Action;
use super::batch::{self, BatchOutput};
use super::message::{MessageInput, SentOutput};
use crate::api::call::Call;
use crate::error::Error;
use crate::limits;
use crate::model::md5_lanes::md5_of_each;
use crate::model::policy::actions::Permission;

const ENTRY: &str = "SendMessageBatchRequestEntry";

/// Enqueues up to ten messages, in order; each may fail by itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendMessageBatch {
    queue_url: Option<String>,
    entries: Option<Vec<MessageInput>>,
}

impl Action for SendMessageBatch {
    const NAME: &'static str = "SendMessageBatch";
    const PERMISSION: Permission = Permission::sqs("SendMessage");
    type Output = BatchOutput<SentOutput>;

    async fn run(self, call: &Call<'_>) -> Result<BatchOutput<SentOutput>, Error> {
        let queue = call.queue_with_key(self.queue_url.as_deref())?;
        let entries = batch::check_entries(ENTRY, self.entries, |entry| entry.id.take())?;
        let (bytes, max) =
            (entries.iter().map(|(_, entry)| entry.weight()).sum(), limits::BATCH_BYTES_MAX);
        if bytes > max {
            return Err(Error::BatchRequestTooLong { bytes, max });
        }
        // On FIFO queues what identifies a message fails the whole request, and a missing group is
        // an invalid value here (facts sheet, 9).
        for (_, entry) in &entries {
            entry.check_fifo(&queue).map_err(|error| match error {
                Error::MissingParameter { .. } => Error::InvalidParameter(error.to_string().into()),
                error => error,
            })?;
        }

        let bodies: Vec<&[u8]> = entries.iter().map(|(_, entry)| entry.body().as_bytes()).collect();
        let body_md5s = md5_of_each(&bodies);
        let mut messages = Vec::with_capacity(entries.len());
        let parse = |(index, (id, entry)): (usize, (String, MessageInput))| {
            let body_name = || batch::member(ENTRY, index, "MessageBody");
            let parsed =
                entry.parse(body_md5s[index], &queue, call, body_name).map(|(message, digests)| {
                    messages.push(message);
                    digests
                });
            (id, parsed)
        };
        let entries: Vec<_> = entries.into_iter().enumerate().map(parse).collect();
        let outcomes = match messages.is_empty() {
            true => Vec::new(),
            false => call.app.shards.send(&queue.key, messages).await?,
        };
        batch::merge(entries, outcomes, |id, digests, sent| digests.answer(Some(id), sent))
    }
}
