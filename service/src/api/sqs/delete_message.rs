//! DeleteMessage.

use serde::Deserialize;

use super::{Action, batch};
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::policy::actions::Permission;

/// Deletes a message by the handle of one of its receives.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteMessage {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
}

impl Action for DeleteMessage {
    const NAME: &'static str = "DeleteMessage";
    const PERMISSION: Permission = Permission::sqs("DeleteMessage");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let handle = required(self.receipt_handle.as_deref(), "ReceiptHandle")?.to_string();
        batch::single(call.app.shards.delete(&queue.key, vec![handle]).await?)
    }
}
