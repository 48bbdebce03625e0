//! Up to ten at once, each of which succeeds or fails by itself.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{Action, actions, replies};
use crate::digest;
use crate::message::MessageAttributes;

/// Sends up to 10 messages of 1 MiB in all.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendMessageBatch {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// 1 to 10.
    pub entries: Vec<SendMessageBatchEntry>,
}

impl SendMessageBatch {
    /// These messages, to this queue.
    pub fn new(
        queue_url: impl Into<String>,
        entries: impl Into<Vec<SendMessageBatchEntry>>,
    ) -> SendMessageBatch {
        SendMessageBatch { queue_url: queue_url.into(), entries: entries.into() }
    }
}

/// One message of a batch; as [`SendMessage`](super::messages::SendMessage).
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendMessageBatchEntry {
    /// What the answer calls it by: 1 to 80 letters, digits, `-` and `_`.
    pub id: String,
    /// 1 byte to 1 MiB of text, as the queue allows.
    pub message_body: String,
    /// Seconds until it can be received, 0 to 900; by default what the queue says. Not in FIFO queues.
    pub delay_seconds: Option<u32>,
    /// At most 10, part of the message's size.
    #[serde(skip_serializing_if = "MessageAttributes::is_empty")]
    pub message_attributes: MessageAttributes,
    /// `AWSTraceHeader` alone.
    #[serde(skip_serializing_if = "MessageAttributes::is_empty")]
    pub message_system_attributes: MessageAttributes,
    /// The group within which a FIFO queue keeps order, and which a standard queue is fair to.
    pub message_group_id: Option<String>,
    /// What a FIFO queue knows a repetition by for five minutes.
    pub message_deduplication_id: Option<String>,
}

impl SendMessageBatchEntry {
    /// A message of this body, called so in the answer.
    pub fn new(id: impl Into<String>, body: impl Into<String>) -> SendMessageBatchEntry {
        let (id, message_body) = (id.into(), body.into());
        SendMessageBatchEntry { id, message_body, ..SendMessageBatchEntry::default() }
    }
}

/// What became of each message.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SendMessageBatchReply {
    /// Those that were sent.
    pub successful: Vec<SendMessageBatchResult>,
    /// Those that were not.
    pub failed: Vec<BatchFailure>,
}

/// A message of a batch that was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SendMessageBatchResult {
    /// What the request called it.
    pub id: String,
    /// What receivers will see.
    pub message_id: String,
    /// Its place in a FIFO queue: 20 digits.
    pub sequence_number: Option<String>,
    /// In hexadecimal digits; the client has checked it, like the others.
    #[serde(rename = "MD5OfMessageBody")]
    pub md5_of_message_body: Option<String>,
    /// If it has attributes.
    #[serde(rename = "MD5OfMessageAttributes")]
    pub md5_of_message_attributes: Option<String>,
    /// If it has a trace header.
    #[serde(rename = "MD5OfMessageSystemAttributes")]
    pub md5_of_message_system_attributes: Option<String>,
}

impl Action for SendMessageBatch {
    const TARGET: &'static str = "AmazonSQS.SendMessageBatch";
    type Reply = SendMessageBatchReply;

    fn verify(&self, reply: &SendMessageBatchReply) -> Result<(), String> {
        for done in &reply.successful {
            let Some(entry) = self.entries.iter().find(|entry| entry.id == done.id) else {
                return Err(format!("nobody asked for {:?}", done.id));
            };
            let body = Some(digest::of_body(&entry.message_body));
            digest::check("a body", done.md5_of_message_body.as_deref(), body)?;
            let attributes = digest::of_attributes(&entry.message_attributes);
            let theirs = done.md5_of_message_attributes.as_deref();
            digest::check("a message's attributes", theirs, attributes)?;
            let system = digest::of_attributes(&entry.message_system_attributes);
            let theirs = done.md5_of_message_system_attributes.as_deref();
            digest::check("a message's system attributes", theirs, system)?;
        }
        Ok(())
    }
}

/// Deletes up to 10 messages that were received.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteMessageBatch {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// 1 to 10.
    pub entries: Vec<DeleteMessageBatchEntry>,
}

impl DeleteMessageBatch {
    /// The messages with these handles, called in the answer by their places: `0`, `1` and so on.
    pub fn new<H: Into<String>>(
        queue_url: impl Into<String>,
        handles: impl IntoIterator<Item = H>,
    ) -> DeleteMessageBatch {
        let entry = |(place, handle): (usize, H)| DeleteMessageBatchEntry {
            id: place.to_string(),
            receipt_handle: handle.into(),
        };
        let entries = handles.into_iter().enumerate().map(entry).collect();
        DeleteMessageBatch { queue_url: queue_url.into(), entries }
    }
}

/// One message to delete.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteMessageBatchEntry {
    /// What the answer calls it by.
    pub id: String,
    /// Of the message's last receive.
    pub receipt_handle: String,
}

/// Hides up to 10 messages that were received for another while.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeMessageVisibilityBatch {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// 1 to 10.
    pub entries: Vec<ChangeMessageVisibilityBatchEntry>,
}

/// One message whose visibility changes.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeMessageVisibilityBatchEntry {
    /// What the answer calls it by.
    pub id: String,
    /// Of the message's last receive.
    pub receipt_handle: String,
    /// Seconds from now on, 0 to 43,200, and not more than 12 hours after the receive.
    pub visibility_timeout: u32,
}

/// What became of each entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BatchReply {
    /// Those that succeeded.
    pub successful: Vec<BatchSuccess>,
    /// Those that did not.
    pub failed: Vec<BatchFailure>,
}

/// An entry that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BatchSuccess {
    /// What the request called it.
    pub id: String,
}

/// An entry that failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BatchFailure {
    /// What the request called it.
    pub id: String,
    /// The name of the error, such as `ReceiptHandleIsInvalid`.
    pub code: String,
    /// The server's sentence.
    pub message: Option<String>,
    /// Whether a repetition would fail the same way.
    pub sender_fault: bool,
}

actions! { "AmazonSQS":
    DeleteMessageBatch => BatchReply,
    ChangeMessageVisibilityBatch => BatchReply,
}
replies! { SendMessageBatchReply, BatchReply }
