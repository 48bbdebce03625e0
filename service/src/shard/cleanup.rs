//! Deleting messages without a handle: those that a filter means, found beside the shard, a bounded
//! number at a time.

use super::handle::Shards;
use super::peek::Start;
use super::walk::{Found, Keep};
use crate::engine::command::{Command, Outcome, Removal};
use crate::error::Error;
use crate::model::filter::{Filter, States};
use crate::model::message::MessageId;
use crate::model::queue::{QueueId, QueueKey, QueueKind};
use crate::model::rows::Place;
use crate::model::time::Millis;

/// Messages one command takes, whose rows a shard may have to read.
const COMMAND_MESSAGES_MAX: usize = 100;

/// Bytes of these rows.
const COMMAND_BYTES_MAX: usize = 1024 * 1024;

/// A message to do something with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picked {
    pub(super) place: Place,
    pub(super) id: MessageId,
    bytes: usize,
}

impl Keep for Picked {
    fn keep(found: Found) -> Picked {
        Picked { place: found.place, id: found.peeked.message.id, bytes: found.bytes }
    }

    /// What it names is not held.
    fn weight(&self) -> usize {
        0
    }
}

/// Messages that something was done with, or would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handled {
    /// Which.
    pub ids: Vec<MessageId>,
    /// Where to go on, if there may be more.
    pub token: Option<String>,
}

/// Which messages a call is for.
#[derive(Clone, Debug)]
pub struct Errand {
    /// Those it means.
    pub filter: Filter,
    /// At most so many.
    pub max: usize,
    /// Where the last call ended.
    pub token: Option<String>,
    /// Only say which they are.
    pub dry_run: bool,
}

impl Shards {
    /// Deletes messages, whatever their state. A message that has left its state by the time it
    /// would be deleted stays, if the filter names states.
    pub async fn delete_messages(&self, key: &QueueKey, errand: Errand) -> Result<Handled, Error> {
        let dry_run = errand.dry_run;
        let states = errand.filter.states;
        let (queue, picked, token) = self.pick(key, errand).await?;
        let ids = match dry_run {
            true => picked.iter().map(|picked| picked.id).collect(),
            false => self.remove(key, queue, picked, states).await?,
        };
        Ok(Handled { ids, token })
    }

    /// Deletes a group's oldest message, in flight or not: the next may go. With an id, only if
    /// that is the oldest. `None` when there is none, or another.
    ///
    /// Fails with `UnsupportedOperation` on queues without order.
    pub async fn skip_group_head(
        &self,
        key: &QueueKey,
        group: &str,
        id: Option<MessageId>,
    ) -> Result<Option<MessageId>, Error> {
        if key.name.kind() == QueueKind::Standard {
            return Err(Error::UnsupportedOperation(
                "Only in FIFO queues a message holds its group back.".into(),
            ));
        }
        let queue = self.find(key).ok_or(Error::QueueDoesNotExist)?.id;
        let head = self.group(key, group).await?;
        let Some(head) = head.filter(|head| id.is_none_or(|id| id == head.head)) else {
            return Ok(None);
        };
        let picked = Picked { place: head.head_place, id: head.head, bytes: 0 };
        let removed = self.remove(key, queue, vec![picked], States::default()).await?;
        Ok(removed.into_iter().next())
    }

    /// Finds the messages that a call is for.
    pub(super) async fn pick(
        &self,
        key: &QueueKey,
        errand: Errand,
    ) -> Result<(QueueId, Vec<Picked>, Option<String>), Error> {
        let Errand { filter, max, token, .. } = errand;
        let start = token.map_or(Start::Oldest, Start::Token);
        // With the last of those that were named the search is over.
        let named = Some(filter.ids.len()).filter(|named| *named > 0);
        let max = named.map_or(max, |named| named.min(max));
        let wanted = self.wanted(filter, max, usize::MAX);
        let walked = self.walk::<Picked>(key, wanted, start, Millis(0)).await?;
        let over = walked.at_end || named == Some(walked.found.len());
        let token = (!over).then(|| walked.token());
        Ok((walked.queue, walked.found, token))
    }

    /// Deletes what stands in these places, a part after the other; answers what was there.
    async fn remove(
        &self,
        key: &QueueKey,
        queue: QueueId,
        picked: Vec<Picked>,
        states: States,
    ) -> Result<Vec<MessageId>, Error> {
        let mut removed = Vec::with_capacity(picked.len());
        for part in parts(&picked) {
            let places = part.iter().map(|picked| picked.place).collect();
            let command = Command::Remove(Removal { places, states });
            let Outcome::Done(results) = self.tell(key, queue, command).await? else {
                return Err(Error::Internal("a removal came to another outcome".into()));
            };
            let done = part.iter().zip(results).filter(|(_, result)| result.is_ok());
            removed.extend(done.map(|(picked, _)| picked.id));
        }
        Ok(removed)
    }
}

/// Parts that one command each may take.
pub(super) fn parts(picked: &[Picked]) -> impl Iterator<Item = &[Picked]> {
    let mut rest = picked;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let mut fits = |picked: &Picked| {
            bytes += picked.bytes;
            bytes <= COMMAND_BYTES_MAX
        };
        // One alone always fits.
        let fitting = rest.iter().take(COMMAND_MESSAGES_MAX).take_while(|it| fits(it)).count();
        let count = fitting.max(1).min(rest.len());
        let (part, behind) = rest.split_at(count);
        rest = behind;
        (!part.is_empty()).then_some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::fifo::Seq;
    use crate::model::rows::Lane;

    #[test]
    fn parts_are_bounded_in_number_and_in_bytes_and_nothing_is_left_out() {
        let picked = |bytes| Picked {
            place: Place { lane: Lane::Main, seq: Seq(1) },
            id: MessageId([0; 16]),
            bytes,
        };
        let sizes = |bytes: &[usize]| -> Vec<usize> {
            let all: Vec<Picked> = bytes.iter().map(|bytes| picked(*bytes)).collect();
            parts(&all).map(<[Picked]>::len).collect()
        };
        let half = COMMAND_BYTES_MAX / 2;
        assert_eq!(sizes(&[]), [0; 0]);
        assert_eq!(sizes(&[0; 250]), [100, 100, 50]);
        assert_eq!(sizes(&[half, half, 1, 2 * half, 3 * half, 1, 1]), [2, 1, 1, 1, 2]);
    }
}
