//! `stanchion queue purge` and `rm`.

use serde_json::json;
use stanchion_sdk::actions::queues::{DeleteQueue, PurgeQueue};

use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::output::Output;
use crate::queues::{Depth, attributes, name_of};
use crate::units::show_count;

pub(super) async fn purge(
    target: &Target,
    queue: &str,
    consent: &Consent,
    output: &Output,
) -> Result<(), Failure> {
    let name = name_of(queue);
    let deed = |count: &str| format!("purge {name} of its {count} messages");
    let Some(messages) = agreed(target, queue, consent, deed, output).await? else {
        return Ok(());
    };
    target.client.purge_queue(PurgeQueue { queue_url: queue.into() }).await?;
    let record = json!({"purged": name, "messages": messages});
    output.done(&format!("Purged {name} of {} messages", show_count(messages)), &record)
}

pub(super) async fn remove(
    target: &Target,
    queue: &str,
    consent: &Consent,
    output: &Output,
) -> Result<(), Failure> {
    let name = name_of(queue);
    let deed = |count: &str| format!("delete {name} and its {count} messages");
    if agreed(target, queue, consent, deed, output).await?.is_none() {
        return Ok(());
    }
    target.client.delete_queue(DeleteQueue { queue_url: queue.into() }).await?;
    output.done(&format!("Deleted {name}"), &json!({"deleted": name}))
}

/// Asks whether the messages of a queue may go, and says how many they are; nothing where it was only
/// to be said what would be done.
async fn agreed(
    target: &Target,
    queue: &str,
    consent: &Consent,
    deed: impl FnOnce(&str) -> String,
    output: &Output,
) -> Result<Option<u64>, Failure> {
    let name = name_of(queue);
    let messages = Depth::of(&attributes(&target.client, queue).await?).total();
    let deed = deed(&show_count(messages));
    if consent.dry_run {
        let record = json!({"queue": name, "messages": messages, "dry_run": true});
        output.done(&format!("Would {deed}"), &record)?;
        return Ok(None);
    }
    consent.ask(target, name, &deed)?;
    Ok(Some(messages))
}
