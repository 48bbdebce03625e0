//! DeadLetterMessage.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::limits;
use crate::model::policy::actions::Permission;

/// Moves a message that was received to the dead-letter queue of its queue at once: for a receiver
/// that knows it will never cope with it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeadLetterMessage {
    queue_url: Option<String>,
    receipt_handle: Option<String>,
    reason: Option<String>,
}

/// Where it went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeadLetterOutput {
    dead_letter_target_arn: String,
}

impl Action for DeadLetterMessage {
    const NAME: &'static str = "DeadLetterMessage";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = DeadLetterOutput;

    async fn run(self, call: &Call<'_>) -> Result<DeadLetterOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let handle = required(self.receipt_handle.as_deref(), "ReceiptHandle")?;
        let reason = parse_reason(self.reason, "given up by its receiver")?;
        let target = call.app.shards.dead_letter(&queue.key, handle.into(), reason).await?;
        Ok(DeadLetterOutput { dead_letter_target_arn: target.arn() })
    }
}

/// `Reason`, in words that every protocol can show.
pub(super) fn parse_reason(given: Option<String>, default: &str) -> Result<String, Error> {
    let Some(reason) = given.filter(|reason| !reason.is_empty()) else { return Ok(default.into()) };
    let legal = reason.chars().all(|c| !c.is_control()) && reason.len() <= limits::REASON_BYTES_MAX;
    match legal {
        true => Ok(reason),
        false => {
            let max = limits::REASON_BYTES_MAX;
            let why = format!("Must have at most {max} bytes, and no control characters.");
            Err(Error::InvalidParameter(
                format!("Value for parameter Reason is invalid. Reason: {why}").into(),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_short_and_can_be_shown() {
        let parse = |reason: &str| parse_reason(Some(reason.into()), "default");
        assert_eq!(parse_reason(None, "default"), Ok("default".into()));
        assert_eq!(parse(""), Ok("default".into()));
        assert_eq!(parse("schéma unknown"), Ok("schéma unknown".into()));
        assert!(parse(&"x".repeat(limits::REASON_BYTES_MAX)).is_ok());
        assert!(parse(&"x".repeat(limits::REASON_BYTES_MAX + 1)).is_err());
        assert!(parse("two\nlines").is_err());
    }
}
