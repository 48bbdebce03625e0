//! Makes the queues of a running server what the file declares.

use super::parse::{Declarations, Declared};
use crate::error::Error;
use crate::limits::Limits;
use crate::model::attributes::{self, QueueSettings, RedrivePolicy};
use crate::model::queue::{AccountId, QueueKey, Region};
use crate::model::redrive::allows_redrive_from;
use crate::shard::handle::{Shards, Tags};

/// Whose queues they are, and what is in force.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The engine room.
    pub shards: &'a Shards,
    /// The configured account.
    pub account: &'a AccountId,
    /// The configured region.
    pub region: &'a Region,
    /// The limits in force.
    pub limits: &'static Limits,
}

/// Creates the declared queues that are missing and changes those that differ. Done twice, nothing
/// happens the second time. An error names the queue and the key.
pub async fn bring_about(declarations: &Declarations, place: Place<'_>) -> Result<(), String> {
    for queue in &declarations.queues {
        let done = place.ensure(queue).await;
        done.map_err(|error| format!("queues.{}: {error}", queue.name))?;
    }
    // All queues are there now, whatever their order in the file.
    for queue in &declarations.queues {
        let done = place.ensure_dead_letters(queue).await;
        done.map_err(|error| format!("queues.{}.dead_letter_queue: {error}", queue.name))?;
    }
    Ok(())
}

impl Place<'_> {
    fn key(&self, queue: &Declared) -> QueueKey {
        let (account, region) = (self.account.clone(), self.region.clone());
        QueueKey { account, region, name: queue.name.clone() }
    }

    async fn ensure(&self, queue: &Declared) -> Result<(), Error> {
        let key = self.key(queue);
        let (given, tags, limits) = (queue.given.clone(), queue.tags.clone(), self.limits);
        let put = move |settings: &mut QueueSettings, all: &mut Tags| {
            attributes::apply(settings, &given, limits)?;
            all.extend(tags);
            crate::api::sqs::tags::check(all, "")
        };
        let Some(info) = self.shards.find(&key) else {
            let (mut settings, mut tags) = (QueueSettings::new(key.name.kind()), Tags::new());
            put(&mut settings, &mut tags)?;
            let made = self.shards.declare(key, settings, tags).await?;
            tracing::info!(queue = %made.key.name, "created, as the configuration file declares");
            return Ok(());
        };
        let (mut settings, mut tags) = (info.settings.clone(), info.tags.clone());
        put.clone()(&mut settings, &mut tags)?;
        if settings != info.settings || tags != info.tags {
            self.shards.update(&key, Box::new(put)).await?;
            tracing::info!(queue = %key.name, "changed to what the configuration file declares");
        }
        Ok(())
    }

    async fn ensure_dead_letters(&self, queue: &Declared) -> Result<(), String> {
        let Some((target, max_receive_count)) = &queue.dead_letters else { return Ok(()) };
        let key = self.key(queue);
        let target = QueueKey { name: target.clone(), ..key.clone() };
        let name = &target.name;
        let Some(dead) = self.shards.find(&target) else {
            return Err(format!("there is no queue {name}; declare it too."));
        };
        if !allows_redrive_from(dead.settings.redrive_allow.as_deref(), &key) {
            return Err(format!("the redrive_allow_policy of {name} does not allow it."));
        }
        let wanted = Some(RedrivePolicy {
            dead_letter_target_arn: target.arn(),
            max_receive_count: *max_receive_count,
        });
        let has = self.shards.find(&key).and_then(|info| info.settings.redrive.clone());
        if has == wanted {
            return Ok(());
        }
        let put = Box::new(move |settings: &mut QueueSettings, _: &mut Tags| {
            settings.redrive = wanted;
            Ok(())
        });
        self.shards.update(&key, put).await.map(drop).map_err(|error| error.to_string())
    }
}
