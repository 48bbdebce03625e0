//! SetQueueAttributes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Action, redrive};
use crate::api::call::Call;
use crate::error::Error;
use crate::model::attributes;
use crate::model::policy::actions::Permission;

/// Changes attributes of a queue: all of those given, or none.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetQueueAttributes {
    queue_url: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
}

impl Action for SetQueueAttributes {
    const NAME: &'static str = "SetQueueAttributes";
    const PERMISSION: Permission = Permission::sqs("SetQueueAttributes");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let given = self.attributes.filter(|given| !given.is_empty());
        let given = given.ok_or_else(|| Error::missing("Attributes"))?;
        let limits = call.app.limits;
        let mut wanted = queue.settings.clone();
        attributes::apply(&mut wanted, &given, limits)?;
        if let Some(text) = given.get("RedrivePolicy") {
            redrive::check_target(call, &queue.key, &wanted, text)?;
        }
        // Once more where the queue lives: another call may have changed it meanwhile, and what
        // this one does not give must stay.
        call.app
            .shards
            .update(
                &queue.key,
                Box::new(move |settings, _tags| attributes::apply(settings, &given, limits)),
            )
            .await
            .map(|_queue| ())
    }
}
