//! Message groups, and what holds them up.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::actions::{Action, actions, replies};

/// Shows the message groups that have messages.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMessageGroups {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Only this one.
    pub message_group_id: Option<String>,
    /// 1 to 1,000; without it 100.
    pub max_results: Option<u32>,
    /// Where the last page ended.
    pub next_token: Option<String>,
}

/// A page of groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListMessageGroupsReply {
    /// In an order that means nothing and does not change.
    pub groups: Vec<MessageGroup>,
    /// There may be more.
    pub next_token: Option<String>,
}

/// A message group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MessageGroup {
    /// Its name.
    pub message_group_id: String,
    /// Messages that were never received.
    pub waiting: u64,
    /// Messages in flight.
    pub in_flight: u64,
    /// FIFO: messages that came back.
    pub returned: Option<u64>,
    /// Its oldest message.
    pub head_message_id: Option<String>,
    /// How long ago that was sent.
    pub head_age_seconds: Option<u64>,
    /// FIFO: something is in flight, and holds back what comes after it.
    pub held: Option<bool>,
    /// Fair queues: it has so much in flight that others come first.
    pub noisy: Option<bool>,
}

/// Deletes every message of a group, some with each call.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PurgeMessageGroup {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// The group.
    pub message_group_id: String,
    /// Where the last call ended.
    pub next_token: Option<String>,
}

/// Messages of a group were deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PurgeMessageGroupReply {
    /// How many by this call.
    pub deleted: u64,
    /// There may be more.
    pub next_token: Option<String>,
}

/// Deletes the oldest message of a group of a FIFO queue.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SkipMessageGroupHead {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// The group.
    pub message_group_id: String,
    /// Only if the oldest message is this one.
    pub message_id: Option<String>,
}

/// The oldest message of a group was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SkipMessageGroupHeadReply {
    /// Which; none if the group was empty, or its oldest message another.
    pub message_id: Option<String>,
}

impl Action for SkipMessageGroupHead {
    const TARGET: &'static str = "Stanchion.SkipMessageGroupHead";
    // The second would delete the next one.
    const REPEATABLE: bool = false;
    type Reply = SkipMessageGroupHeadReply;
}

actions! { "Stanchion":
    ListMessageGroups => ListMessageGroupsReply,
    PurgeMessageGroup => PurgeMessageGroupReply,
}
replies! { ListMessageGroupsReply, PurgeMessageGroupReply, SkipMessageGroupHeadReply }
