//! AddPermission. Source: facts sheet, 10.1.

use serde::Deserialize;

use super::Action;
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::attributes::QueueSettings;
use crate::model::policy::actions::Permission;
use crate::model::policy::permission;

/// Lets other accounts do something with a queue: one statement more in its policy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddPermission {
    queue_url: Option<String>,
    label: Option<String>,
    #[serde(rename = "AWSAccountIds")]
    account_ids: Option<Vec<String>>,
    actions: Option<Vec<String>>,
}

impl Action for AddPermission {
    const NAME: &'static str = "AddPermission";
    const PERMISSION: Permission = Permission::sqs("AddPermission");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let label = required(self.label.as_deref(), "Label")?.to_string();
        let actions = self.actions.filter(|actions| !actions.is_empty());
        let actions = actions.ok_or_else(|| Error::missing("Actions"))?;
        let accounts = self.account_ids.unwrap_or_default();
        let permission = permission::Permission::parse(label, &accounts, &actions)?;
        let key = queue.key.clone();
        // Decided where the queue lives: another call may have changed the policy meanwhile.
        let change = Box::new(move |settings: &mut QueueSettings, _tags: &mut _| {
            settings.policy = Some(permission.add_to(settings.policy.as_ref(), &key)?);
            Ok(())
        });
        call.app.shards.update(&queue.key, change).await.map(|_queue| ())
    }
}
