//! UntagQueue. Source: facts sheet, 2.2.

use serde::Deserialize;

use super::{Action, tags};
use crate::api::call::Call;
use crate::api::door::TagsGiven;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::shard::handle::Tags;

/// Removes tags from a queue by their keys; keys that are not there are ignored.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagQueue {
    queue_url: Option<String>,
    tag_keys: Option<Vec<String>>,
}

impl Action for UntagQueue {
    const NAME: &'static str = "UntagQueue";
    const PERMISSION: Permission = Permission::sqs("UntagQueue");
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let keys = self.tag_keys.unwrap_or_default();
        let name = call.queue_key(self.queue_url.as_deref())?.name;
        // Before conditions are held against them.
        tags::check_keys(&keys, name.as_str())?;
        let queue = call.queue_given(self.queue_url.as_deref(), TagsGiven::Keys(&keys))?;
        if keys.is_empty() {
            return Err(tags::key_length());
        }
        let change = Box::new(move |_settings: &mut _, tags: &mut Tags| {
            tags.retain(|key, _value| !keys.contains(key));
            Ok(())
        });
        call.app.shards.update(&queue.key, change).await.map(|_queue| ())
    }
}
