//! RemovePermission. Source: facts sheet, 10.1.

use serde::Deserialize;

use super::Action;
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::attributes::QueueSettings;
use crate::model::policy::actions::Permission;
use crate::model::policy::permission;

/// Removes the statement of a label from a queue's policy, and with the last one the policy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemovePermission {
    queue_url: Option<String>,
    label: Option<String>,
}

impl Action for RemovePermission {
    const NAME: &'static str = "RemovePermission";
    const PERMISSION: Permission = Permission::sqs("RemovePermission");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let label = required(self.label.as_deref(), "Label")?.to_string();
        let change = Box::new(move |settings: &mut QueueSettings, _tags: &mut _| {
            settings.policy = permission::remove(settings.policy.as_ref(), &label)?;
            Ok(())
        });
        call.app.shards.update(&queue.key, change).await.map(|_queue| ())
    }
}
