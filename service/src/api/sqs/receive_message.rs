//! ReceiveMessage. Source: facts sheet, 2.2, 4.8 and 5.6.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

use super::Action;
use super::change_message_visibility::parse_timeout;
use super::message::{AttributeInput, not_for_this_kind, parse_id};
use crate::api::call::Call;
use crate::error::Error;
use crate::limits::{self, Limits};
use crate::model::attributes;
use crate::model::digest::{self, HexMd5};
use crate::model::message::{Attribute, Content, MessageId, ReceivedMessage, ShownMessage};
use crate::model::policy::actions::Permission;
use crate::model::queue::QueueKind;
use crate::model::rows::Moved;
use crate::model::time::Millis;
use crate::shard::handle::QueueInfo;
use crate::shard::messages::ReceiveRequest;

/// Hands out messages, and hides them from others for a while.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceiveMessage {
    queue_url: Option<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
    message_system_attribute_names: Option<Vec<String>>,
    attribute_names: Option<Vec<String>>,
    message_attribute_names: Option<Vec<String>>,
    receive_request_attempt_id: Option<String>,
}

/// Messages, if there are any.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceiveOutput {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    messages: Vec<MessageOutput>,
}

/// A message, with a handle if it was received.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MessageOutput {
    message_id: MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt_handle: Option<String>,
    #[serde(rename = "MD5OfBody")]
    md5_of_body: HexMd5,
    #[serde(serialize_with = "serialize_text")]
    body: Bytes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<&'static str, String>,
    #[serde(rename = "MD5OfMessageAttributes", skip_serializing_if = "Option::is_none")]
    md5_of_message_attributes: Option<HexMd5>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    message_attributes: BTreeMap<String, AttributeInput>,
}

/// About what an answer holds beside a body: ids, a handle, digests, a few attributes.
const AROUND_BODY_BYTES: usize = 512;

impl Action for ReceiveMessage {
    const NAME: &'static str = "ReceiveMessage";
    const PERMISSION: Permission = Permission::sqs("ReceiveMessage");
    type Output = ReceiveOutput;

    fn text_bytes(output: &ReceiveOutput) -> Option<usize> {
        let bytes = |message: &MessageOutput| message.body.len() + AROUND_BODY_BYTES;
        Some(AROUND_BODY_BYTES + output.messages.iter().map(bytes).sum::<usize>())
    }

    async fn run(self, call: &Call<'_>) -> Result<ReceiveOutput, Error> {
        let queue = call.queue_with_key(self.queue_url.as_deref())?;
        let asked = [self.message_system_attribute_names, self.attribute_names];
        let system = select_system(asked.iter().flatten().flatten(), call.app.limits)?;
        let user = UserSelection::new(self.message_attribute_names.unwrap_or_default());
        let request = ReceiveRequest {
            max: parse_max(self.max_number_of_messages)?,
            visibility: self
                .visibility_timeout
                .map(|timeout| parse_timeout(timeout).map(Millis::from_secs))
                .transpose()?,
            wait: parse_wait(self.wait_time_seconds, queue.settings.receive_wait_s)?,
            attempt_id: parse_attempt_id(self.receive_request_attempt_id, &queue)?,
        };
        if request.wait > Millis(0) {
            call.ticket.park();
        }
        let messages = call.app.shards.receive(&queue.key, request).await?;
        let show = |received: ReceivedMessage| {
            MessageOutput::new(received.message, Some(received.receipt_handle), &system, &user)
        };
        Ok(ReceiveOutput { messages: messages.into_iter().map(show).collect() })
    }
}

impl MessageOutput {
    /// A message with everything that is known about it, looked at rather than received.
    pub fn of_peek(message: ShownMessage) -> MessageOutput {
        let all = UserSelection { all: true, names: Vec::new() };
        let system: Vec<&SystemRow> = SYSTEM_ATTRIBUTES.iter().collect();
        MessageOutput::new(message, None, &system, &all)
    }

    fn new(
        message: ShownMessage,
        receipt_handle: Option<String>,
        system: &[&SystemRow],
        user: &UserSelection,
    ) -> MessageOutput {
        let shown = |row: &&SystemRow| Some((row.name, (row.show)(&message)?));
        let attributes = system.iter().filter_map(shown).collect();
        let Content { body, body_md5, attributes: all, attributes_md5, .. } = message.content;
        let selected: Vec<(&str, &Attribute)> = all
            .iter()
            .map(|(name, attribute)| (name.as_str(), attribute))
            .filter(|(name, _)| user.selects(name))
            .collect();
        // The digest covers what is returned, and nothing else.
        let md5 = match selected.len() == all.len() {
            true => attributes_md5,
            false => digest::md5_of_attributes(selected.iter().copied()),
        };
        MessageOutput {
            message_id: message.id,
            receipt_handle,
            md5_of_body: HexMd5(body_md5),
            body,
            attributes,
            md5_of_message_attributes: md5.map(HexMd5),
            message_attributes: selected
                .into_iter()
                .map(|(name, attribute)| (name.to_string(), attribute.into()))
                .collect(),
        }
    }
}

/// A system attribute: a row of [`SYSTEM_ATTRIBUTES`].
// Differs from AWS: with `standard` and `relaxed` limits there are some of our own, which `All`
// includes.
pub struct SystemRow {
    /// As on the wire.
    pub name: &'static str,
    /// It is ours rather than AWS's.
    pub own: bool,
    /// Its value where a message has it.
    show: fn(&ShownMessage) -> Option<String>,
}

/// Every system attribute of a received message. Source: facts sheet, 4.8.
pub const SYSTEM_ATTRIBUTES: &[SystemRow] = &[
    aws("SenderId", |m| Some(m.content.sender_id.clone())),
    aws("SentTimestamp", |m| Some(m.sent_at.to_string())),
    aws("ApproximateReceiveCount", |m| Some(m.receive_count.to_string())),
    aws("ApproximateFirstReceiveTimestamp", |m| Some(m.first_received_at?.to_string())),
    aws("MessageGroupId", |m| m.content.group_id.clone()),
    aws("MessageDeduplicationId", |m| m.content.deduplication_id.clone()),
    aws("SequenceNumber", |m| m.sequence_number.clone()),
    aws("AWSTraceHeader", |m| m.content.trace_header.clone()),
    aws("DeadLetterQueueSourceArn", |m| death(m).map(|death| death.source_arn.clone())),
    own("Stanchion.DeathReason", |m| death(m).map(|death| death.reason.clone())),
    own("Stanchion.DeathReceiveCount", |m| death(m).map(|death| death.receive_count.to_string())),
    own("Stanchion.DeathTime", |m| death(m).map(|death| death.moved_at.to_string())),
    own("Stanchion.RedriveCount", |m| {
        Some(m.moved.as_ref()?.redrives).filter(|n| *n > 0).map(|n| n.to_string())
    }),
];

const fn aws(name: &'static str, show: fn(&ShownMessage) -> Option<String>) -> SystemRow {
    SystemRow { name, own: false, show }
}

const fn own(name: &'static str, show: fn(&ShownMessage) -> Option<String>) -> SystemRow {
    SystemRow { name, own: true, show }
}

/// Where a dead letter came from, and why.
fn death(message: &ShownMessage) -> Option<&Moved> {
    message.moved.as_deref().filter(|moved| moved.dead_letter)
}

/// The rows of the names asked for, unless one is unknown.
fn select_system<'a>(
    names: impl Iterator<Item = &'a String>,
    limits: &Limits,
) -> Result<Vec<&'static SystemRow>, Error> {
    let mut rows = Vec::new();
    let known = || SYSTEM_ATTRIBUTES.iter().filter(|row| !row.own || limits.own_attributes);
    for name in names {
        match known().find(|row| row.name == name) {
            Some(row) => rows.push(row),
            None if name == "All" => rows.extend(known()),
            // The old parameter takes the names of queue attributes too, and ignores them.
            None if attributes::find(name, limits).is_ok() => {}
            None => {
                return Err(Error::InvalidAttributeName(
                    format!("Unknown Attribute {name}.").into(),
                ));
            }
        }
    }
    Ok(rows)
}

/// Which message attributes a receive asks for.
struct UserSelection {
    all: bool,
    names: Vec<String>,
}

impl UserSelection {
    fn new(names: Vec<String>) -> UserSelection {
        UserSelection { all: names.iter().any(|n| matches!(&**n, "All" | ".*" | "*")), names }
    }

    /// `name.*` takes every name that starts with `name`: the dot belongs to the pattern.
    fn selects(&self, name: &str) -> bool {
        self.all
            || self.names.iter().any(|pattern| match pattern.strip_suffix(".*") {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
    }
}

fn parse_max(given: Option<i64>) -> Result<usize, Error> {
    let given = given.unwrap_or(1);
    let max = usize::try_from(given).ok();
    max.filter(|max| (1..=limits::RECEIVE_MESSAGES_MAX).contains(max)).ok_or_else(|| {
        let reason = "Must be between 1 and 10, if provided.";
        Error::invalid("MaxNumberOfMessages", given, reason)
    })
}

/// How long to wait: as the request says, else as the queue says.
pub fn parse_wait(given: Option<i64>, default_s: u32) -> Result<Millis, Error> {
    let Some(given) = given else { return Ok(Millis::from_secs(default_s)) };
    let wait = u32::try_from(given).ok().filter(|wait| *wait <= limits::RECEIVE_WAIT_S_MAX);
    wait.map(Millis::from_secs).ok_or_else(|| {
        Error::invalid("WaitTimeSeconds", given, "Must be >= 0 and <= 20, if provided.")
    })
}

fn parse_attempt_id(id: Option<String>, queue: &QueueInfo) -> Result<Option<String>, Error> {
    match parse_id("ReceiveRequestAttemptId", id)? {
        Some(id) if queue.kind() == QueueKind::Standard => {
            Err(not_for_this_kind("ReceiveRequestAttemptId", id))
        }
        id => Ok(id),
    }
}

fn serialize_text<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    let text = std::str::from_utf8(bytes).map_err(serde::ser::Error::custom)?;
    serializer.serialize_str(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::AttributeValue;
    use crate::model::time::Timestamp;

    fn names(rows: &[&SystemRow]) -> Vec<&'static str> {
        rows.iter().map(|row| row.name).collect()
    }

    fn message() -> ShownMessage {
        let text = |text: &str| Attribute {
            data_type: "String".into(),
            value: AttributeValue::Text(text.into()),
        };
        let attributes = [("City", "Any City"), ("color", "red"), ("col.x", "1")];
        let attributes =
            attributes.map(|(name, value)| (name.to_string(), text(value))).into_iter().collect();
        ShownMessage {
            id: MessageId([0; 16]),
            content: Content {
                body: "say \"hello\"\n".into(),
                body_md5: digest::md5_of_body(b"say \"hello\"\n"),
                attributes_md5: digest::md5_of_attributes([]),
                attributes,
                trace_header: None,
                sender_id: "000000000000".into(),
                group_id: None,
                deduplication_id: None,
            },
            sent_at: Timestamp(1_700_000_000_123),
            first_received_at: Some(Timestamp(1_700_000_000_456)),
            receive_count: 3,
            sequence_number: None,
            moved: None,
        }
    }

    fn show(system: &[&str], user: &[&str]) -> String {
        let system: Vec<_> = system.iter().map(|name| name.to_string()).collect();
        let system = select_system(system.iter(), &limits::STANDARD).unwrap();
        let user = UserSelection::new(user.iter().map(|name| name.to_string()).collect());
        let handle = Some("handle".into());
        let messages = vec![MessageOutput::new(message(), handle, &system, &user)];
        serde_json::to_string(&ReceiveOutput { messages }).unwrap()
    }

    #[test]
    fn what_is_not_asked_for_is_not_there() {
        assert_eq!(
            show(&[], &[]),
            concat!(
                r#"{"Messages":[{"MessageId":"00000000-0000-0000-0000-000000000000","#,
                r#""ReceiptHandle":"handle","MD5OfBody":"c67974bd38d92ff4ddccc92e6b51e9b2","#,
                r#""Body":"say \"hello\"\n"}]}"#
            )
            .replace(
                "c67974bd38d92ff4ddccc92e6b51e9b2",
                &digest::hex(&digest::md5_of_body(b"say \"hello\"\n"))
            )
        );
        assert_eq!(serde_json::to_string(&ReceiveOutput { messages: vec![] }).unwrap(), "{}");
    }

    #[test]
    fn the_digest_covers_the_returned_attributes_alone() {
        let answer = show(&["ApproximateReceiveCount", "SentTimestamp"], &["City", "Nowhere"]);
        for part in [
            r#""MD5OfMessageAttributes":"0c32cb5c844c01fbd5b6b434b52cf670""#,
            r#""MessageAttributes":{"City":{"DataType":"String","StringValue":"Any City"}}"#,
            r#""Attributes":{"ApproximateReceiveCount":"3","SentTimestamp":"1700000000123"}"#,
        ] {
            assert!(answer.contains(part), "{answer}");
        }
    }

    #[test]
    fn patterns_select_by_prefix() {
        let selected = |patterns: &[&str]| {
            let selection = UserSelection::new(patterns.iter().map(|p| p.to_string()).collect());
            ["City", "col.x", "color"]
                .into_iter()
                .filter(|n| selection.selects(n))
                .collect::<Vec<_>>()
        };
        assert_eq!(selected(&["col.*"]), ["col.x", "color"]);
        assert_eq!(selected(&["col"]), [""; 0]);
        assert_eq!(selected(&["color", "City"]), ["City", "color"]);
        for all in ["All", ".*", "*"] {
            assert_eq!(selected(&[all]).len(), 3);
        }
    }

    #[test]
    fn strict_limits_know_only_the_attributes_of_aws() {
        let all = ["All".to_string()];
        let standard = select_system(all.iter(), &limits::STANDARD).unwrap();
        let strict = select_system(all.iter(), &limits::STRICT).unwrap();
        assert_eq!((standard.len(), strict.len()), (13, 9));
        let own = ["Stanchion.DeathReason".to_string()];
        assert_eq!(names(&select_system(own.iter(), &limits::STANDARD).unwrap()), own);
        assert!(select_system(own.iter(), &limits::STRICT).is_err());
        let old = ["VisibilityTimeout".to_string()];
        assert!(select_system(old.iter(), &limits::STRICT).unwrap().is_empty());
        assert!(select_system(["Nonsense".to_string()].iter(), &limits::STRICT).is_err());
    }

    #[test]
    fn a_dead_letter_says_where_it_comes_from_and_why() {
        let mut message = message();
        message.moved = Some(Box::new(Moved {
            source_arn: "arn:aws:sqs:us-east-1:000000000000:source".into(),
            dead_letter: true,
            receive_count: 3,
            moved_at: Timestamp(5),
            reason: "maxReceiveCount 3 exceeded".into(),
            redrives: 2,
        }));
        let shown = |message: &ShownMessage| -> Vec<String> {
            SYSTEM_ATTRIBUTES[8..].iter().filter_map(|row| (row.show)(message)).collect()
        };
        assert_eq!(
            shown(&message),
            [
                "arn:aws:sqs:us-east-1:000000000000:source",
                "maxReceiveCount 3 exceeded",
                "3",
                "5",
                "2"
            ]
        );
        message.moved.as_mut().unwrap().dead_letter = false;
        assert_eq!(shown(&message), ["2"], "a redriven message is none, and remembers");
    }

    #[test]
    fn numbers_out_of_range_are_refused_in_the_words_of_aws() {
        assert_eq!(
            parse_max(Some(11)).unwrap_err().to_string(),
            "Value 11 for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and \
             10, if provided."
        );
        assert_eq!(parse_max(None), Ok(1));
        assert!(parse_max(Some(0)).is_err());
        assert_eq!(parse_wait(None, 7), Ok(Millis::from_secs(7)));
        assert_eq!(parse_wait(Some(0), 7), Ok(Millis(0)));
        assert!(parse_wait(Some(21), 7).is_err());
    }
}
