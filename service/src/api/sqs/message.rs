//! A message as SendMessage and SendMessageBatch take it: its rules, its size, its digests. Source:
//! facts sheet, 2.2 and 4.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::api::call::Call;
use crate::error::Error;
use crate::limits::{self, Limits};
use crate::model::digest::{self, HexMd5};
use crate::model::fifo::is_legal_id;
use crate::model::message::{
    Attribute, AttributeValue, Attributes, Content, Md5, MessageId, NewMessage, Sent,
};
use crate::model::queue::QueueKind;
use crate::model::time::Millis;
use crate::shard::handle::QueueInfo;

/// The members of a single send and of an entry of a batch. One type for both, because flattening
/// one struct into another makes serde copy everything once more.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MessageInput {
    /// Of a single send.
    pub(super) queue_url: Option<String>,
    /// Of an entry.
    pub(super) id: Option<String>,
    message_body: Option<String>,
    delay_seconds: Option<i64>,
    message_attributes: Option<BTreeMap<String, AttributeInput>>,
    message_system_attributes: Option<BTreeMap<String, AttributeInput>>,
    message_deduplication_id: Option<String>,
    message_group_id: Option<String>,
}

/// A message attribute as a client writes it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttributeInput {
    data_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<Blob>,
    #[serde(skip_serializing)]
    string_list_values: Option<Vec<String>>,
    #[serde(skip_serializing)]
    binary_list_values: Option<Vec<Blob>>,
}

/// Bytes, which both protocols write in base64.
#[derive(Clone, Debug, Default)]
pub struct Blob(Bytes);

/// What the answer to a send says about the message; an entry's has its id beside it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SentOutput {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    message_id: MessageId,
    #[serde(rename = "MD5OfMessageBody")]
    md5_of_message_body: HexMd5,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_message_attributes: Option<HexMd5>,
    #[serde(rename = "MD5OfMessageSystemAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_message_system_attributes: Option<HexMd5>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence_number: Option<String>,
}

/// The digests of a message, which are known before it is sent.
#[derive(Debug)]
pub struct Digests {
    body: HexMd5,
    attributes: Option<HexMd5>,
    system_attributes: Option<HexMd5>,
}

impl Digests {
    /// The answer to the send. `id` is the entry's, if it was one.
    pub fn answer(self, id: Option<String>, sent: Sent) -> SentOutput {
        SentOutput {
            id,
            message_id: sent.id,
            md5_of_message_body: self.body,
            md5_of_message_attributes: self.attributes,
            md5_of_message_system_attributes: self.system_attributes,
            sequence_number: sent.sequence_number,
        }
    }
}

impl MessageInput {
    /// What the message weighs: its body, and the name, the type and the value of each attribute
    /// (facts sheet, 4.3).
    pub fn weight(&self) -> usize {
        let attribute = |(name, attribute): (&String, &AttributeInput)| {
            let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
            name.len()
                + text(&attribute.data_type)
                + text(&attribute.string_value)
                + attribute.binary_value.as_ref().map_or(0, |Blob(bytes)| bytes.len())
        };
        let attributes: usize = self.message_attributes.iter().flatten().map(attribute).sum();
        self.message_body.as_ref().map_or(0, String::len) + attributes
    }

    /// A FIFO queue's demands: a group, and a deduplication id unless the body serves for one.
    pub fn check_fifo(&self, queue: &QueueInfo) -> Result<(), Error> {
        let Some(fifo) = &queue.settings.fifo else { return Ok(()) };
        if self.message_group_id.as_deref().is_none_or(str::is_empty) {
            return Err(Error::missing("MessageGroupId"));
        }
        if self.message_deduplication_id.is_none() && !fifo.content_based_deduplication {
            return Err(Error::InvalidParameter(
                "The queue should either have ContentBasedDeduplication enabled or \
                 MessageDeduplicationId provided explicitly"
                    .into(),
            ));
        }
        Ok(())
    }

    /// The body as it was sent, empty where it is missing.
    pub fn body(&self) -> &str {
        self.message_body.as_deref().unwrap_or_default()
    }

    /// Checks everything there is to check. `body_md5` is that of [`MessageInput::body`], which for
    /// a batch is worked out for all entries at once; `body_name` is what the body is called where
    /// it is missing.
    pub fn parse(
        self,
        body_md5: Md5,
        queue: &QueueInfo,
        call: &Call<'_>,
        body_name: impl FnOnce() -> String,
    ) -> Result<(NewMessage, Digests), Error> {
        let weight = self.weight();
        self.check_fifo(queue)?;
        let Some(body) = self.message_body.filter(|body| !body.is_empty()) else {
            return Err(Error::missing(body_name()));
        };
        if weight > queue.settings.message_bytes_max as usize {
            return Err(Error::InvalidParameter(
                format!(
                    "One or more parameters are invalid. Reason: Message must be shorter than {} \
                     bytes.",
                    queue.settings.message_bytes_max
                )
                .into(),
            ));
        }
        if !has_legal_characters(&body) {
            return Err(Error::InvalidMessageContents);
        }
        let attributes = parse_attributes(self.message_attributes.unwrap_or_default())?;
        let delay = match long_delay(&attributes, queue, call.app.limits)? {
            Some(_) if self.delay_seconds.is_some() => {
                return Err(Error::InvalidParameterCombination(
                    format!("A message has either DelaySeconds or {LONG_DELAY}.").into(),
                ));
            }
            Some(delay) => Some(delay),
            None => self.delay_seconds.map(|s| parse_delay(s, queue.kind())).transpose()?,
        };
        let sent_trace_header =
            parse_system_attributes(self.message_system_attributes.unwrap_or_default())?;
        let group_id = parse_id("MessageGroupId", self.message_group_id)?;
        let deduplication_id = parse_id("MessageDeduplicationId", self.message_deduplication_id)?;
        let deduplication_id = match (queue.kind(), deduplication_id) {
            (QueueKind::Standard, Some(id)) => {
                return Err(not_for_this_kind("MessageDeduplicationId", id));
            }
            (QueueKind::Fifo, None) => Some(digest::content_deduplication_id(body.as_bytes())),
            (_, id) => id,
        };

        let attributes_md5 = digest::md5_of_attributes(
            attributes.iter().map(|(name, attribute)| (name.as_str(), attribute)),
        );
        let digests = Digests {
            body: HexMd5(body_md5),
            attributes: attributes_md5.map(HexMd5),
            // Only of what was sent: clients that did not send one do not expect a digest.
            system_attributes: sent_trace_header
                .as_ref()
                .map(|header| HexMd5(digest::md5_of_trace_header(header))),
        };
        let content = Content {
            body: body.into(),
            body_md5,
            attributes,
            attributes_md5,
            trace_header: sent_trace_header.or_else(|| call.trace_header.clone()),
            sender_id: call.sender_id(),
            group_id,
            deduplication_id,
        };
        Ok((NewMessage { content, delay }, digests))
    }
}

impl From<&Attribute> for AttributeInput {
    fn from(attribute: &Attribute) -> AttributeInput {
        let (string_value, binary_value) = match &attribute.value {
            AttributeValue::Text(text) => (Some(text.clone()), None),
            AttributeValue::Binary(bytes) => (None, Some(Blob(bytes.clone()))),
        };
        let data_type = Some(attribute.data_type.clone());
        AttributeInput { data_type, string_value, binary_value, ..AttributeInput::default() }
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| serde::de::Error::custom("A binary value is not in base64."))?;
        Ok(Blob(bytes.into()))
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

/// Whether XML 1.0 allows every character of `text`: no control characters but tab, line feed and
/// carriage return, and neither U+FFFE nor U+FFFF (facts sheet, 4.2).
fn has_legal_characters(text: &str) -> bool {
    let is_control = |byte: u8| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r');
    // Without an early end, so that the compiler makes vectors of it: nearly every body is legal.
    let controls = text.bytes().fold(false, |found, byte| found | is_control(byte));
    !controls && (text.is_ascii() || !text.contains(['\u{fffe}', '\u{ffff}']))
}

/// A message's own delay (facts sheet, 4.7).
fn parse_delay(seconds: i64, kind: QueueKind) -> Result<Millis, Error> {
    let refuse = |reason: &'static str| Error::invalid("DelaySeconds", seconds, reason);
    match u32::try_from(seconds) {
        Ok(seconds) if seconds <= limits::DELAY_S_MAX => {
            if seconds > 0 && kind == QueueKind::Fifo {
                return Err(refuse(
                    "The request include parameter that is not valid for this queue type.",
                ));
            }
            Ok(Millis::from_secs(seconds))
        }
        _ => Err(refuse("DelaySeconds must be >= 0 and <= 900.")),
    }
}

/// The message attribute, ours, that delays a message beyond what `DelaySeconds` can. An attribute
/// like any other, so that every SDK can send it; it stays with the message.
const LONG_DELAY: &str = "Stanchion.DelaySeconds";

/// What [`LONG_DELAY`] says, where a queue goes by it.
fn long_delay(
    attributes: &Attributes,
    queue: &QueueInfo,
    limits: &Limits,
) -> Result<Option<Millis>, Error> {
    let Some(attribute) = attributes.get(LONG_DELAY).filter(|_| limits.own_attributes) else {
        return Ok(None);
    };
    let AttributeValue::Text(text) = &attribute.value else {
        return Err(Error::invalid(LONG_DELAY, "(binary)", "Must be a Number."));
    };
    let refuse = |reason: String| Error::invalid(LONG_DELAY, text, reason);
    let seconds = text.parse().ok().filter(|seconds| *seconds <= limits::LONG_DELAY_S_MAX);
    let max = limits::LONG_DELAY_S_MAX;
    let seconds = seconds.ok_or_else(|| refuse(format!("Must be >= 0 and <= {max}.")))?;
    match queue.kind() {
        QueueKind::Fifo => {
            Err(refuse("Messages of a FIFO queue have no delay of their own.".into()))
        }
        QueueKind::Standard if limits.long_delays || queue.settings.long_delays => {
            Ok(Some(Millis::from_secs(seconds)))
        }
        QueueKind::Standard => Err(refuse(
            "The queue does not take long delays: set its attribute Stanchion.LongDelays.".into(),
        )),
    }
}

/// `MessageGroupId`, `MessageDeduplicationId` or `ReceiveRequestAttemptId` (facts sheet, 6.1).
pub fn parse_id(name: &'static str, id: Option<String>) -> Result<Option<String>, Error> {
    match id {
        Some(id) if !is_legal_id(&id) => {
            let reason = format!(
                "{name} can only include alphanumeric and punctuation characters. 1 to 128 in \
                 length."
            );
            Err(Error::invalid(name, id, reason))
        }
        id => Ok(id),
    }
}

/// A parameter of FIFO queues on a standard one.
pub fn not_for_this_kind(name: &'static str, value: String) -> Error {
    let reason = "The request includes a parameter that is not valid for this queue type.";
    Error::invalid(name, value, reason)
}

/// `MessageAttributes` (facts sheet, 4.4).
fn parse_attributes(given: BTreeMap<String, AttributeInput>) -> Result<Attributes, Error> {
    if given.len() > limits::MESSAGE_ATTRIBUTES_MAX {
        return Err(Error::InvalidParameter(
            format!(
                "Number of message attributes [{}] exceeds the allowed maximum [{}].",
                given.len(),
                limits::MESSAGE_ATTRIBUTES_MAX
            )
            .into(),
        ));
    }
    let parse = |(name, attribute): (String, AttributeInput)| {
        check_attribute_name(&name)?;
        let attribute = parse_attribute(&name, attribute)?;
        Ok((name, attribute))
    };
    given.into_iter().map(parse).collect()
}

fn check_attribute_name(name: &str) -> Result<(), Error> {
    let refuse = |text: &'static str| Err(Error::InvalidParameter(text.into()));
    // Letters beyond ASCII are allowed in practice, though the documentation says otherwise.
    let legal = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    let reserved = |prefix: &str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    match () {
        () if name.is_empty() => {
            refuse("The request must contain non-empty message attribute name.")
        }
        () if name.chars().count() > limits::ATTRIBUTE_NAME_CHARS_MAX => {
            refuse("Message (user) attribute names must be shorter than 256 Bytes")
        }
        () if reserved("AWS.") || reserved("Amazon.") => refuse(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These \
             strings are reserved for internal use.",
        ),
        () if !name.chars().all(legal) => Err(Error::InvalidParameter(
            format!(
                "Message (user) attribute name '{name}' is invalid. You can use only \
                 alphanumeric characters, hyphens, underscores and periods."
            )
            .into(),
        )),
        () if name.starts_with('.') || name.ends_with('.') || name.contains("..") => {
            Err(Error::InvalidParameter(
                format!(
                    "Message (user) attribute name '{name}' is invalid. It must not start or end \
                     with a period or have two periods in succession."
                )
                .into(),
            ))
        }
        () => Ok(()),
    }
}

fn parse_attribute(name: &str, given: AttributeInput) -> Result<Attribute, Error> {
    let refuse = |text: String| Error::InvalidParameter(text.into());
    if given.string_list_values.is_some_and(|list| !list.is_empty())
        || given.binary_list_values.is_some_and(|list| !list.is_empty())
    {
        return Err(refuse(format!(
            "Message (user) attribute '{name}' has a list value, which is not supported."
        )));
    }
    let data_type = given.data_type.unwrap_or_default();
    let value = match data_type.split('.').next() {
        _ if data_type.is_empty() => {
            return Err(refuse(format!(
                "The message attribute '{name}' must contain non-empty message attribute type."
            )));
        }
        _ if data_type.chars().count() > limits::ATTRIBUTE_NAME_CHARS_MAX => {
            return Err(refuse(format!(
                "The type of message (user) attribute '{name}' must be shorter than 256 Bytes"
            )));
        }
        _ if !has_legal_characters(&data_type) => return Err(illegal_characters(name)),
        Some(kind @ ("String" | "Number")) => match (given.string_value, given.binary_value) {
            (Some(text), None) if !text.is_empty() => {
                if !has_legal_characters(&text) {
                    return Err(illegal_characters(name));
                }
                if kind == "Number" && !is_number(&text) {
                    return Err(refuse(format!(
                        "Can't cast the value of message (user) attribute '{name}' to a number."
                    )));
                }
                Some(AttributeValue::Text(text))
            }
            _ => None,
        },
        Some("Binary") => match (given.string_value, given.binary_value) {
            (None, Some(Blob(bytes))) if !bytes.is_empty() => Some(AttributeValue::Binary(bytes)),
            _ => None,
        },
        _ => {
            return Err(refuse(format!(
                "The type of message (user) attribute '{name}' is invalid. You must use only the \
                 following supported type prefixes: Binary, Number, String."
            )));
        }
    };
    let value = value.ok_or_else(|| {
        let kind = data_type.split('.').next().unwrap_or_default();
        refuse(format!(
            "Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
        ))
    })?;
    Ok(Attribute { data_type, value })
}

fn illegal_characters(name: &str) -> Error {
    Error::InvalidParameter(
        format!("Message (user) attribute '{name}' has characters that are not valid unicode.")
            .into(),
    )
}

/// A decimal number of up to 38 significant digits between -10^128 and 10^126. The text itself is
/// kept as sent: digests are over it (facts sheet, 15, no. 24).
fn is_number(text: &str) -> bool {
    let unsigned = text.trim().trim_start_matches(['+', '-']);
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit);
    let significant = digits.skip_while(|digit| *digit == b'0').count();
    let legal = |c: u8| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E' | b'+' | b'-');
    // `f64` is only asked for syntax and magnitude; it takes names such as `inf`, so the alphabet
    // is checked first.
    text.trim().bytes().all(legal)
        && significant <= 38
        && text.trim().parse::<f64>().is_ok_and(|number| (-1e128..=1e126).contains(&number))
}

/// `MessageSystemAttributes`: at most `AWSTraceHeader`, a `String` (facts sheet, 4.5).
fn parse_system_attributes(
    given: BTreeMap<String, AttributeInput>,
) -> Result<Option<String>, Error> {
    let mut header = None;
    for (name, attribute) in given {
        let AttributeInput { data_type, string_value, binary_value, .. } = attribute;
        let text = string_value.filter(|text| !text.is_empty() && has_legal_characters(text));
        header = match (name.as_str(), data_type.as_deref(), text, binary_value) {
            ("AWSTraceHeader", Some("String"), Some(text), None) => Some(text),
            ("AWSTraceHeader", ..) => {
                return Err(Error::InvalidParameter(
                    "Message (system) attribute 'AWSTraceHeader' must contain a non-empty value \
                     of type 'String'."
                        .into(),
                ));
            }
            _ => {
                return Err(Error::InvalidParameter(
                    format!("Message (system) attribute '{name}' is invalid.").into(),
                ));
            }
        };
    }
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(json: &str) -> Result<Attribute, String> {
        let given: AttributeInput = serde_json::from_str(json).unwrap();
        parse_attribute("a", given).map_err(|error| error.to_string())
    }

    #[test]
    fn a_message_weighs_what_the_documentation_says() {
        let message: MessageInput = serde_json::from_str(
            r#"{"MessageAttributes":{
                "City":{"DataType":"String","StringValue":"Any City"},
                "Population":{"DataType":"Number.int","StringValue":"1250800"},
                "Greeting":{"DataType":"Binary","BinaryValue":"SGVsbG8sIFdvcmxkIQ=="}}}"#,
        )
        .unwrap();
        assert_eq!(message.weight(), 72);
    }

    #[test]
    fn bodies_have_the_characters_of_xml() {
        for legal in ["\t\n\r !~\u{7f}", "née ☕", "\u{d7ff}\u{e000}\u{fffd}\u{10000}\u{10ffff}"]
        {
            assert!(has_legal_characters(legal), "{legal:?}");
        }
        for illegal in ["\0", "a\u{b}", "\u{1f}", "a\u{fffe}", "\u{ffff}"] {
            assert!(!has_legal_characters(illegal), "{illegal:?}");
        }
    }

    #[test]
    fn attributes_have_one_value_of_their_type() {
        for legal in [
            r#"{"DataType":"String","StringValue":"x"}"#,
            r#"{"DataType":"String.json","StringValue":"x","BinaryValue":null}"#,
            r#"{"DataType":"Number","StringValue":"-12.5e3"}"#,
            r#"{"DataType":"Binary.png","BinaryValue":"AAE="}"#,
            r#"{"DataType":"String","StringValue":"x","StringListValues":[]}"#,
        ] {
            assert!(attribute(legal).is_ok(), "{legal}");
        }
        let no_string =
            "Message (user) attribute 'a' must contain a non-empty value of type 'String'.";
        let wrong_type = "The type of message (user) attribute 'a' is invalid. You must use only the \
                          following supported type prefixes: Binary, Number, String.";
        #[rustfmt::skip]
        let cases = [
            (r#"{"DataType":"String"}"#, no_string),
            (r#"{"DataType":"String","StringValue":""}"#, no_string),
            (r#"{"DataType":"String","BinaryValue":"AAE="}"#, no_string),
            (r#"{"DataType":"String","StringValue":"x","BinaryValue":"AAE="}"#, no_string),
            (r#"{"DataType":"string","StringValue":"x"}"#, wrong_type),
            (r#"{"DataType":"Strings","StringValue":"x"}"#, wrong_type),
            (r#"{"StringValue":"x"}"#, "The message attribute 'a' must contain non-empty message attribute type."),
            (r#"{"DataType":"Number","StringValue":"x"}"#, "Can't cast the value of message (user) attribute 'a' to a number."),
            (r#"{"DataType":"String","StringListValues":["x"]}"#, "Message (user) attribute 'a' has a list value, which is not supported."),
        ];
        for (json, text) in cases {
            assert_eq!(attribute(json).unwrap_err(), text, "{json}");
        }
    }

    #[test]
    fn numbers_are_decimal_and_bounded() {
        for legal in ["0", "-0.5", "+3", "1e126", "-1e128", "00012", &"9".repeat(38)] {
            assert!(is_number(legal), "{legal}");
        }
        for illegal in
            ["", "-", ".", "1e127", "-1e129", "inf", "NaN", "0x1", "1,5", &"9".repeat(39)]
        {
            assert!(!is_number(illegal), "{illegal}");
        }
    }

    #[test]
    fn attribute_names_follow_the_rules() {
        for legal in ["a", "A-b_c.d", "größe", &"n".repeat(256), "awsome", "amazonas"] {
            assert_eq!(check_attribute_name(legal), Ok(()), "{legal}");
        }
        for illegal in
            ["", ".a", "a.", "a..b", "a b", "AWS.x", "aws.x", "amazon.x", &"n".repeat(257)]
        {
            assert!(check_attribute_name(illegal).is_err(), "{illegal}");
        }
    }

    #[test]
    fn the_trace_header_is_the_only_system_attribute() {
        let parse = |json: &str| parse_system_attributes(serde_json::from_str(json).unwrap());
        let header = r#"{"AWSTraceHeader":{"DataType":"String","StringValue":"Root=1"}}"#;
        assert_eq!(parse(header), Ok(Some("Root=1".into())));
        assert_eq!(parse("{}"), Ok(None));
        for wrong in [
            r#"{"AWSTraceHeader":{"DataType":"Number","StringValue":"1"}}"#,
            r#"{"AWSTraceHeader":{"DataType":"String"}}"#,
            r#"{"Other":{"DataType":"String","StringValue":"1"}}"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn delays_are_up_to_fifteen_minutes_and_not_for_fifo_queues() {
        assert_eq!(parse_delay(900, QueueKind::Standard), Ok(Millis::from_secs(900)));
        assert_eq!(parse_delay(0, QueueKind::Fifo), Ok(Millis::from_secs(0)));
        assert_eq!(
            parse_delay(901, QueueKind::Standard).unwrap_err().to_string(),
            "Value 901 for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 \
             and <= 900."
        );
        assert!(parse_delay(-1, QueueKind::Standard).is_err());
        assert!(parse_delay(1, QueueKind::Fifo).is_err());
    }
}
