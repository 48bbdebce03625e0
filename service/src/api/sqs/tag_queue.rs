//! TagQueue. Source: facts sheet, 2.2 and 12.

use serde::Deserialize;

use super::{Action, tags};
use crate::api::call::Call;
use crate::api::door::TagsGiven;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::shard::handle::Tags;

/// Adds tags to a queue; a key that is there already gets the new value.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagQueue {
    queue_url: Option<String>,
    tags: Option<Tags>,
}

impl Action for TagQueue {
    const NAME: &'static str = "TagQueue";
    const PERMISSION: Permission = Permission::sqs("TagQueue");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let key = call.queue_key(self.queue_url.as_deref())?;
        let given = self.tags.unwrap_or_default();
        // Before conditions are held against them.
        let name = key.name.to_string();
        tags::check(&given, &name)?;
        let queue = call.queue_given(self.queue_url.as_deref(), TagsGiven::Pairs(&given))?;
        if given.is_empty() {
            return Err(Error::missing("Tags"));
        }
        // Checked where the queue lives: how many there are in all is known only there.
        let change = Box::new(move |_settings: &mut _, tags: &mut Tags| {
            let mut all = tags.clone();
            all.extend(given);
            tags::check(&all, &name)?;
            *tags = all;
            Ok(())
        });
        call.app.shards.update(&queue.key, change).await.map(|_queue| ())
    }
}
