//! ChangeMessageVisibility.

use serde::Deserialize;

use super::{Action, batch};
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::limits;
use crate::model::policy::actions::Permission;

/// Hides a received message until a new moment; zero makes it available at once.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeMessageVisibility {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    visibility_timeout: Option<i64>,
}

impl Action for ChangeMessageVisibility {
    const NAME: &'static str = "ChangeMessageVisibility";
    const PERMISSION: Permission = Permission::sqs("ChangeMessageVisibility");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let handle = required(self.receipt_handle.as_deref(), "ReceiptHandle")?.to_string();
        let timeout = self.visibility_timeout.ok_or_else(|| Error::missing("VisibilityTimeout"))?;
        let change = (handle, parse_timeout(timeout)?);
        batch::single(call.app.shards.change_visibility(&queue.key, vec![change]).await?)
    }
}

/// A `VisibilityTimeout`, in seconds.
pub fn parse_timeout(seconds: i64) -> Result<u32, Error> {
    u32::try_from(seconds).ok().filter(|seconds| *seconds <= limits::IN_FLIGHT_S_MAX).ok_or_else(
        || {
            let reason = "Must be >= 0 and <= 43200, if provided.";
            Error::invalid("VisibilityTimeout", seconds, reason)
        },
    )
}
