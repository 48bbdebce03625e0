//! `--create-queues-on-use`: a queue that an action names, and that does not exist, is made before
//! the action looks for it.

use serde::Deserialize;

use crate::api::call::Call;
use crate::api::protocol::Input;
use crate::error::Error;
use crate::model::queue::{QueueKey, QueueName};

/// Actions that name a queue and mean to say whether it shall exist.
const NEVER: [&str; 2] = ["CreateQueue", "DeleteQueue"];

/// How actions name a queue.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Named {
    queue_url: Option<String>,
    queue_name: Option<String>,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

/// Creates the queue that the input of an action names, unless it exists or belongs to somebody
/// else.
pub(super) async fn create_named(
    action: &str,
    input: &Input,
    call: &Call<'_>,
) -> Result<(), Error> {
    if NEVER.contains(&action) {
        return Ok(());
    }
    // What is wrong with an input is for the action to say.
    let Some(key) = input.decode().ok().and_then(|named| key_of(named, call)) else {
        return Ok(());
    };
    if call.app.shards.find(&key).is_some() {
        return Ok(());
    }
    let template = &call.app.declarations.template;
    if !call.may_create(&key, &template.tags) {
        // Refused or not found: the action will say, and not that the queue could not be made.
        return Ok(());
    }
    let settings = template.settings(key.name.kind());
    // Somebody else may have been quicker.
    let found = Box::new(|_: &_| Ok(()));
    let queue = call.app.shards.create(key, settings, template.tags.clone(), found).await?;
    tracing::info!(queue = %queue.key.name, action, "a queue that was named is there now");
    Ok(())
}

fn key_of(named: Named, call: &Call<'_>) -> Option<QueueKey> {
    let key = match (named.queue_url, named.queue_name) {
        (Some(url), _) => call.queue_key(Some(&url)).ok()?,
        (None, Some(name)) => QueueKey {
            account: call.account.clone(),
            region: call.region.clone(),
            name: QueueName::parse(&name).ok()?,
        },
        (None, None) => return None,
    };
    let ours = named.owner.is_none_or(|owner| owner.is_empty() || owner == key.account.as_str());
    (ours && key.account == call.account && key.region == call.region).then_some(key)
}
