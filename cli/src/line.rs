//! A message as a line of JSON: what `receive`, `peek`, `tail` and `export` print, and what `send
//! --ndjson` and `import` read. One form, so that whatever was printed can be sent.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use stanchion_sdk::actions::own::messages::PeekedMessage;
use stanchion_sdk::{Message, MessageAttribute, MessageAttributes, SendMessageBatchEntry};

/// The longest delay there is, but for those of [`LONG_DELAY`].
const LONGEST_DELAY_SECONDS: u64 = 900;

/// The message attribute, Stanchion's own, that delays a message for longer. It stays with the message.
const LONG_DELAY: &str = "Stanchion.DelaySeconds";

/// A message. Only `body` is required of a line that is sent; what a server says about a message is
/// read and left alone. Times are milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// What the server called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) message_id: Option<String>,
    /// Its text; JSON that is no text is sent as it is written.
    #[serde(deserialize_with = "text_or_json")]
    pub(crate) body: String,
    /// What its sender said about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) attributes: BTreeMap<String, Value>,
    /// Its message group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// Its deduplication id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dedup_id: Option<String>,
    /// The trace it is part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trace_header: Option<String>,
    /// How long to hide it at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delay_seconds: Option<u32>,
    /// `Available`, `Delayed`, `InFlight` or `Returned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// When it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sent_at: Option<u64>,
    /// How often it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receive_count: Option<u32>,
    /// When it was received for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_received_at: Option<u64>,
    /// Until when it is in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) visible_at: Option<u64>,
    /// Until when it is delayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) delayed_until: Option<u64>,
    /// Its place in a FIFO queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sequence_number: Option<String>,
    /// Who sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sender_id: Option<String>,
    /// The queue it came from, if it is a dead letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dead_letter_source: Option<String>,
    /// Why it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) death_reason: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) died_at: Option<u64>,
    /// How often it had been received there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) death_receive_count: Option<u32>,
    /// How often it was taken back from where dead letters are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redrive_count: Option<u32>,
    /// What deletes it, if it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) receipt_handle: Option<String>,
    /// Why it was not sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// An attribute: a text is a `String`, a number a `Number`, and anything else says what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Value {
    /// A `String`.
    Text(String),
    /// A `Number`.
    Number(serde_json::Number),
    /// Any type, with the sender's label if it has one.
    Typed {
        /// Such as `Number` or `String.colour`.
        #[serde(rename = "type")]
        data_type: String,
        /// The text, or the base64 of the bytes.
        value: String,
    },
}

impl From<&MessageAttribute> for Value {
    fn from(attribute: &MessageAttribute) -> Value {
        let value = match (&attribute.binary_value, &attribute.string_value) {
            (Some(bytes), _) => BASE64_STANDARD.encode(bytes),
            (None, text) => text.clone().unwrap_or_default(),
        };
        match attribute.data_type.as_str() {
            "String" => Value::Text(value),
            data_type => Value::Typed { data_type: data_type.into(), value },
        }
    }
}

impl Value {
    /// For the wire. Fails with what is wrong with it.
    fn attribute(&self) -> Result<MessageAttribute, String> {
        let (data_type, value) = match self {
            Value::Text(text) => return Ok(text.as_str().into()),
            Value::Number(number) => return Ok(MessageAttribute::number(number)),
            Value::Typed { data_type, value } => (data_type, value),
        };
        let mut attribute = MessageAttribute::from(value.as_str());
        if data_type == "Binary" || data_type.starts_with("Binary.") {
            let bytes = BASE64_STANDARD.decode(value);
            let bytes = bytes.map_err(|error| format!("a binary attribute: {error}"))?;
            attribute = MessageAttribute::binary(bytes);
        }
        attribute.data_type.clone_from(data_type);
        Ok(attribute)
    }

    /// For people.
    pub(crate) fn show(&self) -> String {
        match self {
            Value::Text(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Typed { value, .. } => value.clone(),
        }
    }

    /// As it is typed: `NAME=VALUE`, `NAME:Number=7`, `NAME:Binary=BASE64`.
    pub(crate) fn parse_named(typed: &str) -> Result<(String, Value), String> {
        let expected = "expected NAME=VALUE or NAME:TYPE=VALUE";
        let (name, value) = typed.split_once('=').ok_or(expected)?;
        let value = value.to_owned();
        let (name, value) = match name.split_once(':') {
            Some((name, data_type)) => (name, Value::Typed { data_type: data_type.into(), value }),
            None => (name, Value::Text(value)),
        };
        value.attribute()?;
        Ok((name.into(), value))
    }
}

impl Line {
    /// A line of this text alone.
    pub(crate) fn of(body: impl Into<String>) -> Line {
        Line { body: body.into(), ..Line::default() }
    }

    /// For the wire, called so in the answer. Fails with what is wrong with it.
    pub(crate) fn entry(&self, id: String) -> Result<SendMessageBatchEntry, String> {
        let attribute = |(name, value): (&String, &Value)| Ok((name.clone(), value.attribute()?));
        let attributes: Result<MessageAttributes, String> =
            self.attributes.iter().map(attribute).collect();
        let entry = SendMessageBatchEntry {
            delay_seconds: self.delay_seconds,
            message_attributes: attributes?,
            message_group_id: self.group.clone(),
            message_deduplication_id: self.dedup_id.clone(),
            ..SendMessageBatchEntry::new(id, self.body.as_str())
        };
        Ok(match &self.trace_header {
            Some(header) => entry.trace_header(header),
            None => entry,
        })
    }

    /// Its size as a batch counts it, or a little more.
    pub(crate) fn size(&self) -> usize {
        let attributes = self.attributes.iter();
        let size = |(name, value): (&String, &Value)| name.len() + 32 + value.show().len();
        self.body.len() + attributes.map(size).sum::<usize>()
    }

    /// A message that is imported keeps what is left of its delay at this time, if its queue has delays.
    pub(crate) fn keep_delay(&mut self, now_ms: u64) {
        let left = self.delayed_until.map(|until| until.saturating_sub(now_ms).div_ceil(1_000));
        let left = left.filter(|left| *left > 0);
        // It was meant from when it was sent on; of a line that nobody has sent yet, from now on.
        if self.sent_at.is_some() && self.attributes.remove(LONG_DELAY).is_some() {
            let rest = left.map(|left| (LONG_DELAY.to_owned(), Value::Number(left.into())));
            self.attributes.extend(rest);
        } else if let Some(left) = left {
            self.delay_seconds = u32::try_from(left.min(LONGEST_DELAY_SECONDS)).ok();
        }
    }
}

impl From<Message> for Line {
    fn from(message: Message) -> Line {
        let system = |name: &str| message.attributes.get(name).cloned();
        let number = |name: &str| system(name).and_then(|text| text.parse().ok());
        let small = |name: &str| system(name).and_then(|text| text.parse().ok());
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Line {
            attributes: message
                .message_attributes
                .iter()
                .map(|(name, value)| (name.clone(), value.into()))
                .collect(),
            group: system("MessageGroupId"),
            dedup_id: system("MessageDeduplicationId"),
            trace_header: system("AWSTraceHeader"),
            sent_at: number("SentTimestamp"),
            receive_count: small("ApproximateReceiveCount"),
            first_received_at: number("ApproximateFirstReceiveTimestamp"),
            sequence_number: system("SequenceNumber"),
            sender_id: system("SenderId"),
            dead_letter_source: system("DeadLetterQueueSourceArn"),
            death_reason: system("Stanchion.DeathReason"),
            died_at: number("Stanchion.DeathTime"),
            death_receive_count: small("Stanchion.DeathReceiveCount"),
            redrive_count: small("Stanchion.RedriveCount"),
            message_id: given(message.message_id),
            receipt_handle: given(message.receipt_handle),
            body: message.body,
            ..Line::default()
        }
    }
}

impl From<PeekedMessage> for Line {
    fn from(peeked: PeekedMessage) -> Line {
        let PeekedMessage { message, state, visible_at, delayed_until } = peeked;
        Line { state: Some(state), visible_at, delayed_until, ..message.into() }
    }
}

/// Now, on this machine.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn text_or_json<'a, D: Deserializer<'a>>(deserializer: D) -> Result<String, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    match serde_json::from_str(raw.get()) {
        Ok(text) => Ok(text),
        Err(_) => Ok(raw.get().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read() {
        let mut message = Message { body: "hello \u{1f980}\n".into(), ..Message::default() };
        message.message_attributes.insert("kind".into(), "order".into());
        message.message_attributes.insert("n".into(), MessageAttribute::number("007.0"));
        message.message_attributes.insert("blob".into(), MessageAttribute::binary(vec![0, 255]));
        let labelled = MessageAttribute { data_type: "String.colour".into(), ..("red").into() };
        message.message_attributes.insert("paint".into(), labelled);
        message.attributes.insert("MessageGroupId".into(), "g".into());
        message.attributes.insert("AWSTraceHeader".into(), "Root=1".into());
        let line = Line::from(message.clone());
        let text = serde_json::to_string(&line).expect("a line is JSON");
        let read: Line = serde_json::from_str(&text).expect("what is printed can be read");
        assert_eq!(read, line);
        let entry = read.entry("0".into()).expect("it is legal");
        assert_eq!(entry.message_body, message.body);
        assert_eq!(entry.message_attributes, message.message_attributes);
        assert_eq!(entry.message_group_id.as_deref(), Some("g"));
        assert_eq!(entry.message_system_attributes.len(), 1);
    }

    #[test]
    fn a_line_that_people_write_is_short() {
        let line: Line = serde_json::from_str(
            r#"{"body":{"id": 7.0},"attributes":{"kind":"order","n":3},"delay_seconds":5}"#,
        )
        .expect("it is legal");
        assert_eq!(line.body, r#"{"id": 7.0}"#);
        let entry = line.entry("0".into()).expect("it is legal");
        assert_eq!(entry.message_attributes["n"], MessageAttribute::number(3));
        assert_eq!(entry.delay_seconds, Some(5));
        assert!(serde_json::from_str::<Line>(r#"{"body":"x","gruop":"g"}"#).is_err());
    }

    #[test]
    fn what_is_left_of_a_delay_is_kept() {
        let left = |until: u64| {
            let mut line = Line { delayed_until: Some(until), ..Line::of("x") };
            line.keep_delay(1_000_000);
            line.delay_seconds
        };
        assert_eq!(left(999_999), None);
        assert_eq!(left(1_000_001), Some(1));
        assert_eq!(left(1_000_000 + 905_000), Some(900), "a clock that differs");
    }

    #[test]
    fn a_long_delay_is_not_begun_again() {
        let after = |sent_at: Option<u64>, delayed_until: Option<u64>| {
            let attributes = [(LONG_DELAY.to_owned(), Value::Number(86_400.into()))].into();
            let mut line = Line { attributes, sent_at, delayed_until, ..Line::of("x") };
            line.keep_delay(1_000_000);
            assert_eq!(line.delay_seconds, None, "one or the other");
            line.attributes.get(LONG_DELAY).map(Value::show)
        };
        assert_eq!(after(Some(1), Some(1_000_000 + 7_200_000)).as_deref(), Some("7200"));
        assert_eq!(after(Some(1), None), None, "it is over");
        assert_eq!(after(None, None).as_deref(), Some("86400"), "a line that somebody wrote");
    }

    #[test]
    fn attributes_are_read_as_they_are_typed() {
        let typed = |text| Value::parse_named(text).map(|(name, value)| (name, value.show()));
        assert_eq!(typed("kind=a=b"), Ok(("kind".into(), "a=b".into())));
        assert_eq!(typed("n:Number=3"), Ok(("n".into(), "3".into())));
        assert!(typed("kind").is_err());
        assert!(typed("blob:Binary=?").is_err());
    }
}
