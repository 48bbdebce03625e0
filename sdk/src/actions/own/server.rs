//! The server as a whole: what it is, its queues at a glance, pausing, copies, its clock.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::actions::{Action, actions, replies};

/// Asks what server this is, and how it is.
#[derive(Clone, Debug, Default, Serialize)]
pub struct GetServerInfo {}

/// What server this is, and how it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServerInfo {
    /// Its version.
    pub version: String,
    /// `fsync`, `os` or `memory`.
    pub durability: String,
    /// `strict`, `standard` or `relaxed`.
    pub limits: String,
    /// How many shards it has.
    pub shards: u32,
    /// Time moves when it is told to.
    pub virtual_clock: bool,
    /// The account of this request.
    pub account: String,
    /// The region of this request.
    pub region: String,
    /// Where its clock stands.
    pub now: u64,
    /// No commit has failed and no shard has died.
    pub healthy: bool,
    /// The disk has room for more messages.
    pub accepts_sends: bool,
}

/// Shows many queues at a glance, in the order of their names.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueueStats {
    /// Only queues whose names begin so.
    pub queue_name_prefix: Option<String>,
    /// 1 to 100; without it 100.
    pub max_results: Option<u32>,
    /// Where the last page ended.
    pub next_token: Option<String>,
}

/// A page of queues.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListQueueStatsReply {
    /// In the order of their names.
    pub queues: Vec<QueueStats>,
    /// There are more.
    pub next_token: Option<String>,
}

/// A queue at a glance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct QueueStats {
    /// Its URL.
    pub queue_url: String,
    /// Its ARN.
    pub queue_arn: String,
    /// Messages that can be received now.
    pub available: u64,
    /// Messages that were received and are hidden.
    pub in_flight: u64,
    /// Messages that are not due yet.
    pub delayed: u64,
    /// How long the message has been here that has been here longest.
    pub oldest_message_age_seconds: Option<u64>,
    /// Messages a second over the last minute.
    pub sent_per_second: f64,
    /// Messages a second over the last minute.
    pub received_per_second: f64,
    /// Messages a second over the last minute.
    pub deleted_per_second: f64,
    /// Where its dead letters go.
    pub dead_letter_target_arn: Option<String>,
    /// When they do.
    pub max_receive_count: Option<u32>,
    /// How many queues send their dead letters here.
    pub dead_letter_source_count: u64,
    /// The first 100 of these.
    pub dead_letter_source_arns: Vec<String>,
}

/// Holds up receives from a queue, or sends to it, or both.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PauseQueue {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// `Receive`, `Send` or `Both`; without it both.
    pub operation: Option<String>,
}

/// Lets go on what was held up.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResumeQueue {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// `Receive`, `Send` or `Both`; without it both.
    pub operation: Option<String>,
}

/// What of a queue is held up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Paused {
    /// Receives find nothing.
    pub receive: bool,
    /// Sends are refused.
    pub send: bool,
}

/// Copies everything as it is now into a folder of the server's.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Checkpoint {
    /// What it is to be called; by default the moment.
    pub name: Option<String>,
}

impl Action for Checkpoint {
    const TARGET: &'static str = "Stanchion.Checkpoint";
    // Without a name the second would be another one.
    const REPEATABLE: bool = false;
    type Reply = CheckpointReply;
}

/// A copy of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckpointReply {
    /// What it is called.
    pub name: String,
    /// Where it is on the server's disk.
    pub folder: String,
    /// Of its files.
    pub bytes: u64,
    /// When it was made.
    pub made_at: u64,
}

/// Lists the copies.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ListCheckpoints {}

/// Copies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListCheckpointsReply {
    /// In the order of their names.
    pub checkpoints: Vec<CheckpointReply>,
}

/// Removes a copy.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteCheckpoint {
    /// What it is called.
    pub name: String,
}

/// Moves the time of a server that runs on a virtual clock ahead.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AdvanceClock {
    /// Up to 366 days.
    pub seconds: u64,
}

impl Action for AdvanceClock {
    const TARGET: &'static str = "Stanchion.AdvanceClock";
    // The second would move it once more.
    const REPEATABLE: bool = false;
    type Reply = AdvanceClockReply;
}

/// The clock was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AdvanceClockReply {
    /// Where it stands.
    pub now: u64,
}

/// Deletes every queue of every account, for tests between cases.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Reset {}

/// Seals every key that the server stores anew, under the current master key.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RotateKeys {}

/// Keys were sealed anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RotateKeysReply {
    /// The current master key.
    pub master_key_id: String,
    /// How many keys were under another one.
    pub rewrapped: u64,
}

actions! { "Stanchion":
    GetServerInfo => ServerInfo,
    ListQueueStats => ListQueueStatsReply,
    PauseQueue => Paused,
    ResumeQueue => Paused,
    ListCheckpoints => ListCheckpointsReply,
    DeleteCheckpoint => (),
    Reset => (),
    RotateKeys => RotateKeysReply,
}
replies! {
    ServerInfo, ListQueueStatsReply, Paused, CheckpointReply, ListCheckpointsReply,
    AdvanceClockReply, RotateKeysReply,
}
