//! Looking at messages, moving and deleting chosen ones, and putting one aside.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_with::skip_serializing_none;

use crate::actions::{Action, actions, replies};
use crate::message::Message;

/// Which messages are meant: those that fulfil all of its members; an empty one means every message.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Filter {
    /// In one of these states: `Available`, `Delayed`, `InFlight`, `Returned`.
    pub states: Option<Vec<String>>,
    /// With one of these ids, at most 100.
    pub message_ids: Option<Vec<String>>,
    /// Of this group.
    pub message_group_id: Option<String>,
    /// With this message attribute.
    pub attribute: Option<AttributeFilter>,
    /// With this text somewhere in the body.
    pub body_contains: Option<String>,
    /// With a body in JSON in which this path leads to something.
    pub json_path: Option<String>,
    /// The same, to this value.
    pub json_equals: Option<Value>,
    /// Sent at least so long ago.
    pub min_age_seconds: Option<u32>,
    /// Sent at most so long ago.
    pub max_age_seconds: Option<u32>,
    /// Received at least so often.
    pub min_receive_count: Option<u32>,
    /// Received at most so often.
    pub max_receive_count: Option<u32>,
}

/// A message attribute, and its value if that matters.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttributeFilter {
    /// Its name.
    pub name: String,
    /// Its text; any if absent.
    pub value: Option<String>,
}

/// Shows messages as they are, and changes nothing.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PeekMessages {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// All messages without it.
    pub filter: Option<Filter>,
    /// 1 to 100; without it 10.
    pub max_results: Option<u32>,
    /// Where the last page ended.
    pub next_token: Option<String>,
    /// `Oldest` or `Now`, on the first page.
    pub start_from: Option<String>,
    /// Seconds to wait at the end of the queue for a first message, 0 to 20.
    pub wait_time_seconds: Option<u32>,
}

impl PeekMessages {
    /// The oldest messages of this queue.
    pub fn new(queue_url: impl Into<String>) -> PeekMessages {
        PeekMessages { queue_url: queue_url.into(), ..PeekMessages::default() }
    }
}

/// A page of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PeekMessagesReply {
    /// Possibly none, although there are more.
    pub messages: Vec<PeekedMessage>,
    /// There may be more.
    pub next_token: Option<String>,
    /// There was nothing more: goes on with what arrives later.
    pub tail_token: Option<String>,
}

/// A message as it is, without a receipt handle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PeekedMessage {
    /// As a receive shows it.
    #[serde(flatten)]
    pub message: Message,
    /// `Available`, `Delayed`, `InFlight` or `Returned`.
    pub state: String,
    /// In flight: until when.
    pub visible_at: Option<u64>,
    /// Delayed: until when.
    pub delayed_until: Option<u64>,
}

impl Action for PeekMessages {
    const TARGET: &'static str = "Stanchion.PeekMessages";
    type Reply = PeekMessagesReply;

    fn wait(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.wait_time_seconds.unwrap_or(0).into())
    }
}

/// Moves the messages that a filter means to another queue, some with each call.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MoveMessages {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Where to; of the same kind.
    pub destination_queue_url: String,
    /// An empty one means every message.
    pub filter: Filter,
    /// Kept with the messages.
    pub reason: Option<String>,
    /// Only say which they are.
    pub dry_run: Option<bool>,
    /// 1 to 1,000; without it 100.
    pub max_results: Option<u32>,
    /// Where the last call ended.
    pub next_token: Option<String>,
}

/// Deletes the messages that a filter means, some with each call.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteMessages {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// An empty one means every message.
    pub filter: Filter,
    /// Only say which they are.
    pub dry_run: Option<bool>,
    /// 1 to 1,000; without it 100.
    pub max_results: Option<u32>,
    /// Where the last call ended.
    pub next_token: Option<String>,
}

/// Messages that were moved or deleted, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MessageIdsReply {
    /// Their ids before.
    pub message_ids: Vec<String>,
    /// There may be more.
    pub next_token: Option<String>,
}

/// Moves a message that was received to the dead-letter queue of its queue at once.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeadLetterMessage {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Of the message's last receive.
    pub receipt_handle: String,
    /// Kept with the message; at most 1,024 bytes without control characters.
    pub reason: Option<String>,
}

impl DeadLetterMessage {
    /// The message with this handle.
    pub fn new(queue_url: impl Into<String>, handle: impl Into<String>) -> DeadLetterMessage {
        let (queue_url, receipt_handle) = (queue_url.into(), handle.into());
        DeadLetterMessage { queue_url, receipt_handle, reason: None }
    }

    /// Says why.
    pub fn reason(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

/// A message is a dead letter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeadLetterMessageReply {
    /// Where it went.
    pub dead_letter_target_arn: String,
}

impl Action for DeadLetterMessage {
    const TARGET: &'static str = "Stanchion.DeadLetterMessage";
    // The second would not find the message any more.
    const REPEATABLE: bool = false;
    type Reply = DeadLetterMessageReply;
}

actions! { "Stanchion":
    MoveMessages => MessageIdsReply,
    DeleteMessages => MessageIdsReply,
}
replies! { PeekMessagesReply, MessageIdsReply, DeadLetterMessageReply }
