//! What a redrive policy points at: the part of its check that takes the catalogue. Source: facts
//! sheet, 3.3 and 3.4.

use crate::api::call::Call;
use crate::error::Error;
use crate::model::attributes::QueueSettings;
use crate::model::queue::QueueKey;
use crate::model::redrive::allows_redrive_from;

/// The dead-letter queue that `settings` of the queue `source` name exists, is of the same account,
/// region and type, and does not refuse. `text` is the policy as given.
pub fn check_target(
    call: &Call<'_>,
    source: &QueueKey,
    settings: &QueueSettings,
    text: &str,
) -> Result<(), Error> {
    let Some(target) = settings.redrive.as_ref().and_then(|policy| policy.target()) else {
        return Ok(());
    };
    let refuse = |reason: &'static str| Err(Error::invalid("RedrivePolicy", text, reason));
    // Before anything is looked up: what other accounts have is not for the caller to know.
    if (&target.account, &target.region) != (&source.account, &source.region) {
        return refuse("Dead-letter queue must be in the same account and region as the queue.");
    }
    // A queue may be its own dead-letter queue, also before it exists.
    let allow = match target == *source {
        true => settings.redrive_allow.clone(),
        false => match call.app.shards.find(&target) {
            None => return refuse("Dead letter target does not exist."),
            Some(queue) => queue.settings.redrive_allow.clone(),
        },
    };
    if target.name.kind() != source.name.kind() {
        return refuse("Dead-letter queue must be same type of queue as the source.");
    }
    if !allows_redrive_from(allow.as_deref(), source) {
        return refuse("Dead-letter queue does not allow the queue to use it.");
    }
    Ok(())
}
