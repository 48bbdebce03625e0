//! A message as users know it: what they send, and what they get.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use super::rows::Moved;
use super::time::{Millis, Timestamp};

/// A random UUID (version 4), fixed when the message is accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// An id as it is shown: a UUID, hyphenated.
    pub fn parse(text: &str) -> Option<MessageId> {
        let hyphenated = text.len() == uuid::fmt::Hyphenated::LENGTH;
        let id = uuid::Uuid::try_parse(text).ok().filter(|_| hyphenated)?;
        Some(MessageId(id.into_bytes()))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&uuid::Uuid::from_bytes(self.0).hyphenated(), f)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = uuid::Uuid::encode_buffer();
        let id = uuid::Uuid::from_bytes(self.0).hyphenated();
        serializer.serialize_str(id.encode_lower(&mut text))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The MD5 of a body or of attributes.
pub type Md5 = [u8; 16];

/// The value of a message attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// `String` and `Number` types: the text as sent.
    Text(String),
    /// `Binary` types: the raw bytes.
    Binary(Bytes),
}

/// One message attribute: its full data type (label included) and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, optionally `.label`.
    pub data_type: String,
    /// What it says.
    pub value: AttributeValue,
}

/// Message attributes by name, in the order their digest needs.
pub type Attributes = BTreeMap<String, Attribute>;

/// A message as its sender wrote it, checked. Everything here is kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// UTF-8 text, 1 byte to the queue's limit.
    pub body: Bytes,
    /// MD5 of the body.
    pub body_md5: Md5,
    /// At most ten.
    pub attributes: Attributes,
    /// MD5 of all attributes; `None` without attributes.
    pub attributes_md5: Option<Md5>,
    /// `AWSTraceHeader`, if sent.
    pub trace_header: Option<String>,
    /// `SenderId`: who sent it.
    pub sender_id: String,
    /// `MessageGroupId`, if sent.
    pub group_id: Option<String>,
    /// FIFO: the deduplication id in force: the sender's, or the body's SHA-256 in hex.
    pub deduplication_id: Option<String>,
}

/// One message to send: its content and what the send decides beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// What is kept.
    pub content: Content,
    /// The message's own delay; `None` takes the queue's.
    pub delay: Option<Millis>,
}

/// The answer to an accepted send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The message's id; a FIFO duplicate gets its original's.
    pub id: MessageId,
    /// FIFO: twenty digits; a duplicate gets its original's.
    pub sequence_number: Option<String>,
}

/// Where a message is in its life. Derived from its rows and the clock, never stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum MessageState {
    /// Never received, ready to be.
    Available,
    /// Never received; its first delay has not ended.
    Delayed,
    /// Received, and hidden from others.
    InFlight,
    /// Received, not deleted, and ready to be received again.
    Returned,
}

impl MessageState {
    /// All of them.
    pub const ALL: [MessageState; 4] = [
        MessageState::Available,
        MessageState::Delayed,
        MessageState::InFlight,
        MessageState::Returned,
    ];

    /// Its name, as on the wire.
    pub fn parse(name: &str) -> Option<MessageState> {
        MessageState::ALL.into_iter().find(|state| format!("{state:?}") == name)
    }
}

/// A message as a queue shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownMessage {
    /// Its id.
    pub id: MessageId,
    /// What the sender wrote.
    pub content: Content,
    /// `SentTimestamp`.
    pub sent_at: Timestamp,
    /// `ApproximateFirstReceiveTimestamp`; `None` while it was never received.
    pub first_received_at: Option<Timestamp>,
    /// `ApproximateReceiveCount`: over all queues, with the receive that shows it.
    pub receive_count: u32,
    /// FIFO: `SequenceNumber`.
    pub sequence_number: Option<String>,
    /// Set when it came from another queue.
    pub moved: Option<Box<Moved>>,
}

/// A message handed out by a receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// The handle of this receive.
    pub receipt_handle: String,
    /// The message.
    pub message: ShownMessage,
}

/// A message looked at where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeekedMessage {
    /// Where it is in its life.
    pub state: MessageState,
    /// When its delay or its visibility timeout ends; `None` while neither runs.
    pub hidden_until: Option<Timestamp>,
    /// The message.
    pub message: ShownMessage,
}
