//! What the API holds of the engine room: send a command, await its outcome. All encoding, hashing
//! and sealing happens here, in the task of the request, not on the shard's thread.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::queue::Counters;
use crate::error::Error;
use crate::model::attributes::QueueSettings;
use crate::model::message::{NewMessage, ReceivedMessage, Sent};
use crate::model::queue::{
    AccountId, Generation, QueueId, QueueKey, QueueKind, QueueName, Region, Slot,
};
use crate::model::time::{Millis, Timestamp};
use crate::shard::stats::ShardStats;

/// Tags of a queue.
pub type Tags = BTreeMap<String, String>;

/// A queue as the catalogue knows it. Immutable; a change publishes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// Its full name.
    pub key: QueueKey,
    /// Its identity: deleted and created again, it is another queue.
    pub id: QueueId,
    /// Which key prefix holds its rows.
    pub slot: Slot,
    /// Under which id its rows are stored at present.
    pub generation: Generation,
    /// Its settings.
    pub settings: QueueSettings,
    /// Its tags.
    pub tags: Tags,
    /// `CreatedTimestamp`.
    pub created_at: Timestamp,
    /// `LastModifiedTimestamp`.
    pub modified_at: Timestamp,
    /// The last purge.
    pub purged_at: Option<Timestamp>,
}

impl QueueInfo {
    /// Standard or FIFO.
    pub fn kind(&self) -> QueueKind {
        self.key.name.kind()
    }
}

/// A receive as the API asks for it.
#[derive(Clone, Debug)]
pub struct ReceiveRequest {
    /// 1 to 10.
    pub max: usize,
    /// `None`: the queue's.
    pub visibility: Option<Millis>,
    /// How long to wait for a first message; zero for a short poll.
    pub wait: Millis,
    /// FIFO: `ReceiveRequestAttemptId`.
    pub attempt_id: Option<String>,
}

/// Decides inside the owning shard whether an existing queue answers a CreateQueue.
pub type Check = Box<dyn FnOnce(&QueueInfo) -> Result<(), Error> + Send>;

/// Changes settings and tags inside the owning shard; on an error nothing changes.
pub type Change = Box<dyn FnOnce(&mut QueueSettings, &mut Tags) -> Result<(), Error> + Send>;

/// The engine room. Cheap to clone.
#[derive(Clone)]
pub struct Shards {}

impl Shards {
    /// A queue by name, from the present snapshot of the catalogue.
    pub fn find(&self, key: &QueueKey) -> Option<Arc<QueueInfo>> {
        todo!()
    }

    /// Queues of an account and region whose names start with `prefix`, in name order, after
    /// `after`, at most `max`.
    pub fn list(
        &self,
        account: &AccountId,
        region: &Region,
        prefix: &str,
        after: Option<&QueueName>,
        max: usize,
    ) -> Vec<Arc<QueueInfo>> {
        todo!()
    }

    /// Queues whose redrive policy names `target`, in name order.
    pub fn dead_letter_sources(&self, target: &QueueKey) -> Vec<Arc<QueueInfo>> {
        todo!()
    }

    /// Creates a queue; where one of that name exists, `check` decides whether it is the answer.
    pub async fn create(
        &self,
        key: QueueKey,
        settings: QueueSettings,
        tags: Tags,
        check: Check,
    ) -> Result<Arc<QueueInfo>, Error> {
        todo!()
    }

    /// Deletes a queue and everything in it. Parked polls get `QueueDoesNotExist`.
    pub async fn delete_queue(&self, key: &QueueKey) -> Result<(), Error> {
        todo!()
    }

    /// Empties a queue: a new generation, in one batch, whatever its size.
    pub async fn purge(&self, key: &QueueKey) -> Result<(), Error> {
        todo!()
    }

    /// Changes settings or tags.
    pub async fn update(&self, key: &QueueKey, change: Change) -> Result<Arc<QueueInfo>, Error> {
        todo!()
    }

    /// Messages by state.
    pub async fn counters(&self, key: &QueueKey) -> Result<Counters, Error> {
        todo!()
    }

    /// Enqueues in order; one result an entry. Answers when the messages are as durable as the
    /// server is configured to make them.
    pub async fn send(
        &self,
        key: &QueueKey,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Result<Sent, Error>>, Error> {
        todo!()
    }

    /// Hands out messages, waiting for a first one as long as asked.
    pub async fn receive(
        &self,
        key: &QueueKey,
        request: ReceiveRequest,
    ) -> Result<Vec<ReceivedMessage>, Error> {
        todo!()
    }

    /// Deletes by receipt handle; one result a handle.
    pub async fn delete(
        &self,
        key: &QueueKey,
        handles: Vec<String>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        todo!()
    }

    /// Hides messages until now + seconds, by receipt handle; one result a change.
    pub async fn change_visibility(
        &self,
        key: &QueueKey,
        changes: Vec<(String, u32)>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        todo!()
    }

    /// The present on the engine's clock.
    pub fn now(&self) -> Timestamp {
        todo!()
    }

    /// What each shard counts about itself, in the order of the shards.
    pub fn stats(&self) -> &[Arc<ShardStats>] {
        todo!()
    }

    /// No commit has failed and no shard has died.
    pub fn is_healthy(&self) -> bool {
        todo!()
    }

    /// The disk has room above the free-space mark.
    pub fn accepts_sends(&self) -> bool {
        todo!()
    }

    /// Answers parked polls empty, at once and from now on; everything else goes on.
    pub fn drain(&self) {
        todo!()
    }

    /// Ends the shard threads after their present turn and flushes the store.
    pub async fn stop(&self) {
        todo!()
    }
}
