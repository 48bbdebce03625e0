//! The rows that belong to the server and its shards rather than to a queue's rules. `keys.rs` says
//! when each is written and when it disappears.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::model::attributes::QueueSettings;
use crate::model::queue::{Generation, Paused, QueueId};
use crate::model::rows::{DeliveryRow, MessageRow, Moved, Place};
use crate::model::time::{Millis, Timestamp};
use crate::model::user::{Owner, Policies};

/// The server's own record: one per data folder.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerRow {
    /// The number of this start, 1 for the first: synced before any sequence number is given, so
    /// that none is given twice. At most 24 bits are used.
    pub epoch: u32,
    /// Random, made once: receipt handles and the hashes of ids are keyed with it.
    pub secret: [u8; 32],
    /// How far virtual time is ahead of real time. Only grows.
    pub clock_offset: Millis,
}

impl ServerRow {
    /// The last start there can be: the epoch is the upper 24 bits of every sequence number.
    pub const EPOCH_MAX: u32 = (1 << 24) - 1;
}

impl std::fmt::Debug for ServerRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The secret stays out of logs and panics.
        f.debug_struct("ServerRow")
            .field("epoch", &self.epoch)
            .field("clock_offset", &self.clock_offset)
            .finish_non_exhaustive()
    }
}

/// A shard's progress, written into every one of its commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnRow {
    /// The number of this commit: one more than that of the shard's last, over restarts too. A turn
    /// that writes nothing takes none.
    pub turn: u64,
    /// The last turn of this shard known to be synced when this one was put together. If the log is
    /// ever damaged, a start without that turn is refused; so where nothing is synced on purpose
    /// (`--durability os`) it stays behind.
    pub synced_up_to: u64,
    /// The engine's clock: its high-water mark for the next start.
    pub engine_time: Timestamp,
}

/// A queue in the catalogue. Its full name and its slot are in its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Its identity.
    pub id: QueueId,
    /// Under which id its rows are stored at present.
    pub generation: Generation,
    /// Its settings.
    pub settings: QueueSettings,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// `CreatedTimestamp`.
    pub created_at: Timestamp,
    /// `LastModifiedTimestamp`.
    pub modified_at: Timestamp,
    /// The last purge.
    pub purged_at: Option<Timestamp>,
    /// What it does not do at present.
    pub paused: Paused,
    /// The key of its messages, sealed; `None` where none was ever encrypted.
    pub data_key: Option<Vec<u8>>,
}

/// The name of a deleted queue, which may have to rest before it is used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TombstoneRow {
    /// When the queue was deleted.
    pub deleted_at: Timestamp,
}

/// A generation nobody reads any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadRow {
    /// When it died.
    pub since: Timestamp,
}

/// The key of messages under way, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitKeyRow(pub Vec<u8>);

/// A message that left one queue and has not arrived in the other. Its key names the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The ARN of the queue it goes to.
    pub target_arn: String,
    /// The message as it was in the source.
    pub message: MessageRow,
    /// Where it was there, should it have to go back.
    pub place: Place,
    /// Its last delivery there, should it have to go back.
    pub delivery: DeliveryRow,
    /// Where it comes from and why: becomes part of the target's row.
    pub moved: Moved,
}

/// A user. Its account and its name are in its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRow {
    /// `AIDA…`
    pub id: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// What it may do.
    pub policies: Policies,
}

/// An access key. Its id is in its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKeyRow {
    /// Whose.
    pub owner: Owner,
    /// Requests may be signed with it.
    pub active: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was used last, in real time.
    pub last_used_at: Option<Timestamp>,
    /// The secret, sealed with the server's key.
    pub sealed: Bytes,
}
