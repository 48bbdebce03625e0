//! Moving messages to another queue because somebody says so: an operator those that a filter means,
//! a receiver the one it cannot cope with. Both go through the outbox, as dead letters do.

use super::cleanup::{Errand, Handled, parts};
use super::free_space::Room;
use super::handle::Shards;
use super::messages::odd_outcome;
use crate::engine::command::{Command, Outcome, SendOff};
use crate::error::Error;
use crate::model::filter::States;
use crate::model::message::MessageState;
use crate::model::queue::QueueKey;

impl Shards {
    /// Moves messages, whatever their state, to another queue of the same kind, where they are new
    /// messages with their old ids. One that has left its state meanwhile stays, if the filter names
    /// states; one whose target is deleted meanwhile comes back.
    ///
    /// Fails with `UnsupportedOperation` between queues of different kinds, and with
    /// `InvalidParameter` from a queue to itself.
    pub async fn move_messages(
        &self,
        key: &QueueKey,
        target: &QueueKey,
        errand: Errand,
        reason: &str,
    ) -> Result<Handled, Error> {
        if key == target {
            let reason = "Source and destination are the same queue.";
            return Err(Error::InvalidParameter(reason.into()));
        }
        if key.name.kind() != target.name.kind() {
            return Err(Error::UnsupportedOperation(
                "Source and destination must be of the same kind, standard or FIFO.".into(),
            ));
        }
        self.needs(Room::Ample)?;
        let (dry_run, states) = (errand.dry_run, errand.filter.states);
        let (queue, picked, token) = self.pick(key, errand).await?;
        if dry_run {
            return Ok(Handled { ids: picked.iter().map(|picked| picked.id).collect(), token });
        }
        let mut ids = Vec::with_capacity(picked.len());
        for part in parts(&picked) {
            let send_off = SendOff {
                places: part.iter().map(|picked| picked.place).collect(),
                target: target.clone(),
                dead_letter: false,
                reason: reason.into(),
                states,
                nonce: None,
            };
            let outcome = self.tell(key, queue, Command::SendOff(send_off)).await?;
            let Outcome::SentOff(left) = outcome else { return Err(odd_outcome()) };
            let left = |place| left.contains(place);
            ids.extend(part.iter().filter(|picked| left(&picked.place)).map(|picked| picked.id));
        }
        Ok(Handled { ids, token })
    }

    /// Moves a message in flight to the dead-letter queue of its queue at once, with a reason that
    /// becomes its death record. Answers where it went.
    ///
    /// Fails with `UnsupportedOperation` where there is no such queue, and with
    /// `InvalidParameterValue` unless the message is in flight and the handle its latest.
    pub async fn dead_letter(
        &self,
        key: &QueueKey,
        handle: String,
        reason: String,
    ) -> Result<QueueKey, Error> {
        self.needs(Room::Short)?;
        let info = self.find(key).ok_or(Error::QueueDoesNotExist)?;
        let opened = self.inner.receipts.open(&handle, info.slot, info.id)?;
        let target = info.settings.redrive.as_ref().and_then(|policy| policy.target());
        let Some(target) = target.filter(|target| self.find(target).is_some()) else {
            return Err(Error::UnsupportedOperation(
                "The queue has no dead-letter queue, or it does not exist.".into(),
            ));
        };
        let send_off = SendOff {
            places: vec![opened.place],
            target: target.clone(),
            dead_letter: true,
            reason,
            states: States::from_iter([MessageState::InFlight]),
            nonce: Some(opened.nonce),
        };
        match self.tell(key, info.id, Command::SendOff(send_off)).await? {
            Outcome::SentOff(left) if left.is_empty() => {
                let reason = "The message is not in flight, or was received again.";
                Err(Error::invalid("ReceiptHandle", handle, reason))
            }
            Outcome::SentOff(_) => Ok(target),
            _ => Err(odd_outcome()),
        }
    }
}
