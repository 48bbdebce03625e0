//! `stanchion queue purge` and `rm`.

use serde_json::json;
use stanchion_sdk::actions::queues::{DeleteQueue, PurgeQueue};

use super::attributes::{attributes, messages};
use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::output::Output;
use crate::queues::name_of;
use crate::units::show_count;

pub(super) async fn purge(
    target: &Target,
    queue: &str,
    consent: &Consent,
    output: &Output,
) -> Result<(), Failure> {
    let name = name_of(queue);
    let messages = messages(&attributes(&target.client, queue).await?);
    let deed = format!("purge {name} of its {} messages", show_count(messages));
    if consent.dry_run {
        let record = json!({"queue": name, "messages": messages, "dry_run": true});
        return output.done(&format!("Would {deed}"), &record);
    }
    consent.ask(target, name, &deed)?;
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
    let messages = messages(&attributes(&target.client, queue).await?);
    let deed = format!("delete {name} and its {} messages", show_count(messages));
    if consent.dry_run {
        let record = json!({"queue": name, "messages": messages, "dry_run": true});
        return output.done(&format!("Would {deed}"), &record);
    }
    consent.ask(target, name, &deed)?;
    target.client.delete_queue(DeleteQueue { queue_url: queue.into() }).await?;
    output.done(&format!("Deleted {name}"), &json!({"deleted": name}))
}
