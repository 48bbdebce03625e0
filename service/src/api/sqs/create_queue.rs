//! CreateQueue.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::get_queue_attributes::view;
use super::get_queue_url::{QueueUrlOutput, required_name};
use super::{Action, redrive, tags};
use crate::api::call::Call;
use crate::error::Error;
use crate::model::attributes::{self, QueueSettings, View};
use crate::model::policy::actions::Permission;
use crate::model::queue::{QueueKey, QueueKind, QueueName};
use crate::model::time::Timestamp;
use crate::shard::handle::{QueueInfo, Tags};

/// Creates a queue; or finds it, where it exists with the attributes that are given.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateQueue {
    queue_name: Option<String>,
    attributes: Option<BTreeMap<String, String>>,
    // In lower case on the wire, unlike the `Tags` of TagQueue.
    #[serde(rename = "tags", alias = "Tags")]
    tags: Option<Tags>,
}

impl Action for CreateQueue {
    const NAME: &'static str = "CreateQueue";
    const PERMISSION: Permission = Permission::sqs("CreateQueue");
    type Output = QueueUrlOutput;

    async fn run(self, call: &Call<'_>) -> Result<QueueUrlOutput, Error> {
        let given = self.attributes.unwrap_or_default();
        let name = parse_name(&required_name(self.queue_name)?, &given)?;
        let (account, region) = (call.account.clone(), call.region.clone());
        let key = QueueKey { account, region, name };
        let tags = self.tags.unwrap_or_default();
        // Before conditions are held against them.
        tags::check(&tags, key.name.as_str())?;
        call.ask_to_create(&key, &tags)?;

        let mut settings = QueueSettings::new(key.name.kind());
        attributes::put(&mut settings, &given, call.app.limits)?;
        if let Some(text) = given.get("RedrivePolicy") {
            redrive::check_target(call, &key, &settings, text)?;
        }
        if let Err(refusal) = attributes::check_together(&settings) {
            // No queue is made like this, but one that is there may well be described.
            let existing = call.app.shards.find(&key).ok_or(refusal)?;
            check_existing(&existing, &settings, &given)?;
            return Ok(QueueUrlOutput { queue_url: call.queue_url(&key) });
        }

        let wanted = settings.clone();
        let check = move |existing: &QueueInfo| check_existing(existing, &wanted, &given);
        let queue = call.app.shards.create(key, settings, tags, Box::new(check)).await?;
        Ok(QueueUrlOutput { queue_url: call.queue_url(&queue.key) })
    }
}

/// The name says what kind of queue it is, and so does `FifoQueue`; they must agree (facts sheet,
/// 3.5).
fn parse_name(name: &str, given: &BTreeMap<String, String>) -> Result<QueueName, Error> {
    let fifo = given.get("FifoQueue").and_then(|value| attributes::parse_bool(value));
    let parsed = QueueName::parse(name).ok();
    match (fifo, parsed) {
        (Some(true), Some(name)) if name.kind() == QueueKind::Fifo => Ok(name),
        (Some(true), _) => Err(Error::InvalidFifoQueueName),
        (_, Some(name)) if name.kind() == QueueKind::Standard => Ok(name),
        (_, _) => Err(Error::InvalidQueueName),
    }
}

/// Only what the call gives is compared (facts sheet, 3.6).
fn check_existing(
    existing: &QueueInfo,
    wanted: &QueueSettings,
    given: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let existing = view(existing);
    let (created_at, modified_at) = (Timestamp(0), Timestamp(0));
    let wanted = View { settings: wanted, created_at, modified_at, ..existing };
    match attributes::first_difference(&wanted, &existing, given) {
        Some(attribute) => Err(Error::QueueNameExists { attribute }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_and_the_attribute_agree_on_the_kind() {
        let parse = |name: &str, fifo: Option<&str>| {
            let given = fifo.map(|value| ("FifoQueue".to_string(), value.to_string()));
            parse_name(name, &given.into_iter().collect()).map(|name| name.to_string())
        };
        assert_eq!(parse("q", None), Ok("q".into()));
        assert_eq!(parse("q.fifo", Some("True")), Ok("q.fifo".into()));
        // Goes on to the attribute's own refusal.
        assert_eq!(parse("q", Some("false")), Ok("q".into()));
        assert_eq!(parse("q.fifo", None), Err(Error::InvalidQueueName));
        assert_eq!(parse("q.fifo", Some("false")), Err(Error::InvalidQueueName));
        assert_eq!(parse("q", Some("true")), Err(Error::InvalidFifoQueueName));
        assert_eq!(parse("a b.fifo", Some("true")), Err(Error::InvalidFifoQueueName));
        assert_eq!(parse("a b", None), Err(Error::InvalidQueueName));
    }
}
