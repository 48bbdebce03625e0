//! Messages and what they carry.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// Attributes of queues and system attributes of messages: texts by their names.
pub type Attributes = BTreeMap<String, String>;

/// Attributes that a sender gives a message, at most 10, by their names.
pub type MessageAttributes = BTreeMap<String, MessageAttribute>;

/// The system attribute that carries a trace, the only one a sender may give.
pub const TRACE_HEADER: &str = "AWSTraceHeader";

/// The value of a message attribute: a text, a number or bytes.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MessageAttribute {
    /// `String`, `Number` or `Binary`, with a label of the sender's after a dot if it likes.
    pub data_type: String,
    /// The value of a `String` or a `Number`.
    pub string_value: Option<String>,
    /// The value of a `Binary`.
    #[serde(with = "blob")]
    pub binary_value: Option<Vec<u8>>,
}

impl MessageAttribute {
    /// A number, as its decimal digits.
    pub fn number(value: impl ToString) -> MessageAttribute {
        let string_value = Some(value.to_string());
        MessageAttribute { data_type: "Number".into(), string_value, binary_value: None }
    }

    /// Bytes.
    pub fn binary(value: impl Into<Vec<u8>>) -> MessageAttribute {
        let binary_value = Some(value.into());
        MessageAttribute { data_type: "Binary".into(), string_value: None, binary_value }
    }
}

impl From<&str> for MessageAttribute {
    fn from(text: &str) -> MessageAttribute {
        text.to_owned().into()
    }
}

impl From<String> for MessageAttribute {
    fn from(text: String) -> MessageAttribute {
        MessageAttribute {
            data_type: "String".into(),
            string_value: Some(text),
            binary_value: None,
        }
    }
}

/// Bytes on the wire are base64 text.
mod blob {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        value: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(bytes) => serializer.serialize_some(&BASE64_STANDARD.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| BASE64_STANDARD.decode(text).map_err(D::Error::custom)).transpose()
    }
}

/// A message as it was received.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Message {
    /// What the send answered.
    pub message_id: String,
    /// What deletes it, or changes its visibility: of this receive alone.
    pub receipt_handle: String,
    /// The text that was sent.
    pub body: String,
    /// The MD5 of the body, in hexadecimal digits. The client has checked it.
    #[serde(rename = "MD5OfBody")]
    pub md5_of_body: String,
    /// What the server says about it, such as `SentTimestamp`.
    pub attributes: Attributes,
    /// What the sender said about it.
    pub message_attributes: MessageAttributes,
    /// The MD5 of the message attributes. The client has checked it.
    #[serde(rename = "MD5OfMessageAttributes")]
    pub md5_of_message_attributes: Option<String>,
}

impl Message {
    /// How often it was received, this time included.
    pub fn receive_count(&self) -> u32 {
        self.system("ApproximateReceiveCount").and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// When it was sent.
    pub fn sent_at(&self) -> Option<SystemTime> {
        self.time("SentTimestamp")
    }

    /// When it was received for the first time.
    pub fn first_received_at(&self) -> Option<SystemTime> {
        self.time("ApproximateFirstReceiveTimestamp")
    }

    /// Its message group.
    pub fn group(&self) -> Option<&str> {
        self.system("MessageGroupId")
    }

    /// Its deduplication id, in a FIFO queue.
    pub fn dedup_id(&self) -> Option<&str> {
        self.system("MessageDeduplicationId")
    }

    /// Its place in a FIFO queue: 20 digits.
    pub fn sequence_number(&self) -> Option<&str> {
        self.system("SequenceNumber")
    }

    /// The trace that its sender was part of.
    pub fn trace_header(&self) -> Option<&str> {
        self.system(TRACE_HEADER)
    }

    /// The queue it came from, if it is a dead letter.
    pub fn dead_letter_source_arn(&self) -> Option<&str> {
        self.system("DeadLetterQueueSourceArn")
    }

    /// The value of a message attribute that is a text or a number.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.message_attributes.get(name)?.string_value.as_deref()
    }

    fn system(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).map(String::as_str)
    }

    fn time(&self, name: &str) -> Option<SystemTime> {
        let ms = self.system(name)?.parse().ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(ms))
    }
}
