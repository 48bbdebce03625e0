//! What goes into a function and what comes out: the SQS event as Lambda builds it, and the partial
//! batch response. Pure; knows neither processes nor queues.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::filter::{self, FilterPattern};
use crate::message::{Attributes, Message, MessageAttribute};

/// The largest event that an invocation carries, in bytes: Lambda's limit of a synchronous payload.
pub(crate) const PAYLOAD_BYTES_MAX: usize = 6 * 1024 * 1024;

const BEFORE_RECORDS: &str = r#"{"Records":["#;
const AFTER_RECORDS: &str = "]}";

/// Where records say that they come from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) queue_arn: String,
    pub(crate) region: String,
}

/// A message that is to be handled, as the record that the function sees and what the host needs.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    /// Of a FIFO queue's message; a fair queue's groups keep no order.
    pub(crate) group: Option<String>,
    pub(crate) trace_header: Option<String>,
    pub(crate) record: String,
    pub(crate) received_at: Instant,
}

/// A record of the event, in Lambda's order and spelling.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    message_id: &'a str,
    receipt_handle: &'a str,
    body: &'a str,
    attributes: &'a Attributes,
    message_attributes: BTreeMap<&'a str, Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    md5_of_message_attributes: Option<&'a str>,
    md5_of_body: &'a str,
    event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: &'a str,
    aws_region: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Attribute<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    string_value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    binary_value: Option<String>,
    // Always there, always empty: SQS has never had lists.
    string_list_values: [&'static str; 0],
    binary_list_values: [&'static str; 0],
    data_type: &'a str,
}

impl<'a> From<&'a MessageAttribute> for Attribute<'a> {
    fn from(attribute: &'a MessageAttribute) -> Attribute<'a> {
        Attribute {
            string_value: attribute.string_value.as_deref(),
            binary_value: attribute
                .binary_value
                .as_ref()
                .map(|bytes| BASE64_STANDARD.encode(bytes)),
            string_list_values: [],
            binary_list_values: [],
            data_type: &attribute.data_type,
        }
    }
}

/// A received message as a record; None if there are filters and none of them wants it.
pub(crate) fn hold(
    message: Message,
    source: &Source,
    filters: &[FilterPattern],
    fifo: bool,
    now: Instant,
) -> Result<Held, Unwanted> {
    let attributes = message.message_attributes.iter();
    let record = Record {
        message_id: &message.message_id,
        receipt_handle: &message.receipt_handle,
        body: &message.body,
        attributes: &message.attributes,
        message_attributes: attributes.map(|(name, value)| (&**name, value.into())).collect(),
        md5_of_message_attributes: message.md5_of_message_attributes.as_deref(),
        md5_of_body: &message.md5_of_body,
        event_source: "aws:sqs",
        event_source_arn: &source.queue_arn,
        aws_region: &source.region,
    };
    let is_json = "texts and maps of texts are JSON";
    if !filters.is_empty() {
        let seen = filter::view(serde_json::to_value(&record).expect(is_json));
        if !filters.iter().any(|filter| filter.matches(&seen)) {
            return Err(Unwanted { receipt_handle: message.receipt_handle });
        }
    }
    let record = serde_json::to_string(&record).expect(is_json);
    let group = if fifo { message.group().map(str::to_owned) } else { None };
    let trace_header = message.trace_header().map(str::to_owned);
    let Message { message_id, receipt_handle, .. } = message;
    Ok(Held { message_id, receipt_handle, group, trace_header, record, received_at: now })
}

/// A message that no filter wants.
#[derive(Debug)]
pub(crate) struct Unwanted {
    pub(crate) receipt_handle: String,
}

impl Held {
    /// What it adds to an event, in bytes: the record and a comma.
    pub(crate) fn size(&self) -> usize {
        self.record.len() + 1
    }
}

/// What an event has besides its records, in bytes.
pub(crate) const EVENT_OVERHEAD: usize = BEFORE_RECORDS.len() + AFTER_RECORDS.len();

/// The event of a batch.
pub(crate) fn event(batch: &[Held]) -> Bytes {
    let size = EVENT_OVERHEAD + batch.iter().map(Held::size).sum::<usize>();
    let mut event = String::with_capacity(size);
    event.push_str(BEFORE_RECORDS);
    for (place, held) in batch.iter().enumerate() {
        if place > 0 {
            event.push(',');
        }
        event.push_str(&held.record);
    }
    event.push_str(AFTER_RECORDS);
    event.into()
}

/// Which messages of a batch failed, by the function's answer under `ReportBatchItemFailures`.
/// Nothing, `null`, and an empty list are a success; an answer that cannot be understood is a failure
/// of all of them, and the error says why.
pub(crate) fn failures(answer: &[u8], batch: &[Held]) -> Result<BTreeSet<String>, String> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "batchItemFailures", default)]
        failures: Option<Vec<Item>>,
    }
    #[derive(Deserialize)]
    struct Item {
        #[serde(rename = "itemIdentifier")]
        id: String,
    }
    let answer = answer.trim_ascii();
    if matches!(answer, b"" | b"null" | b"\"\"") {
        return Ok(BTreeSet::new());
    }
    // A list would be read as the fields in order.
    if !answer.starts_with(b"{") {
        return Err("the answer is no batch response: it is not an object".into());
    }
    let answer: Answer = serde_json::from_slice(answer)
        .map_err(|error| format!("the answer is no batch response: {error}"))?;
    let mut failed = BTreeSet::new();
    for Item { id } in answer.failures.unwrap_or_default() {
        if !batch.iter().any(|held| held.message_id == id) {
            return Err(format!("the batch response names {id:?}, which is not in the batch"));
        }
        failed.insert(id);
    }
    Ok(failed)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A message of this id, which is its handle and body too.
    pub(crate) fn held(id: &str, group: Option<&str>, now: Instant) -> Held {
        let id = id.to_owned();
        Held {
            record: format!("{{\"messageId\":\"{id}\"}}"),
            receipt_handle: id.clone(),
            message_id: id,
            group: group.map(str::to_owned),
            trace_header: None,
            received_at: now,
        }
    }

    fn message() -> Message {
        let attributes = [("ApproximateReceiveCount", "1"), ("MessageGroupId", "g")];
        let binary = MessageAttribute::binary(b"\x00\xff".to_vec());
        Message {
            message_id: "id".into(),
            receipt_handle: "handle".into(),
            body: "say \"hello\"".into(),
            md5_of_body: "0f".into(),
            attributes: attributes.map(|(name, value)| (name.into(), value.into())).into(),
            message_attributes: [("bin".into(), binary), ("name".into(), "x".into())].into(),
            md5_of_message_attributes: Some("1e".into()),
        }
    }

    fn source() -> Source {
        let queue_arn = "arn:aws:sqs:us-east-1:000000000000:orders".into();
        Source { queue_arn, region: "us-east-1".into() }
    }

    #[test]
    fn a_record_is_what_lambda_makes_of_a_message() {
        let now = Instant::now();
        let held = hold(message(), &source(), &[], true, now).unwrap();
        assert_eq!(
            held.record,
            concat!(
                r#"{"messageId":"id","receiptHandle":"handle","body":"say \"hello\"","#,
                r#""attributes":{"ApproximateReceiveCount":"1","MessageGroupId":"g"},"#,
                r#""messageAttributes":{"bin":{"binaryValue":"AP8=","stringListValues":[],"#,
                r#""binaryListValues":[],"dataType":"Binary"},"name":{"stringValue":"x","#,
                r#""stringListValues":[],"binaryListValues":[],"dataType":"String"}},"#,
                r#""md5OfMessageAttributes":"1e","md5OfBody":"0f","eventSource":"aws:sqs","#,
                r#""eventSourceARN":"arn:aws:sqs:us-east-1:000000000000:orders","#,
                r#""awsRegion":"us-east-1"}"#,
            )
        );
        assert_eq!(held.group.as_deref(), Some("g"));
        let fair = hold(message(), &source(), &[], false, now).unwrap();
        assert_eq!(fair.group, None, "a fair queue's groups keep no order");

        let plain = Message { message_attributes: [].into(), ..Message::default() };
        let plain = hold(plain, &source(), &[], false, now).unwrap();
        assert!(plain.record.contains(r#""messageAttributes":{},"md5OfBody""#));
    }

    #[test]
    fn an_event_has_its_records_in_order_and_the_size_foretold() {
        let now = Instant::now();
        let batch = ["a", "b"].map(|id| held(id, None, now));
        let event = event(&batch);
        assert_eq!(event, r#"{"Records":[{"messageId":"a"},{"messageId":"b"}]}"#);
        let foretold = EVENT_OVERHEAD + batch.iter().map(Held::size).sum::<usize>();
        assert!(event.len() <= foretold);
    }

    #[test]
    fn an_unwanted_message_is_handed_back() {
        let filter = FilterPattern::parse(r#"{"body":["other"]}"#).unwrap();
        let unwanted = hold(message(), &source(), &[filter], false, Instant::now()).unwrap_err();
        assert_eq!(unwanted.receipt_handle, "handle");
    }

    #[test]
    fn a_partial_batch_response_says_which_messages_failed() {
        let batch = ["a", "b"].map(|id| held(id, None, Instant::now()));
        let failed = |answer: &str| {
            let failed = failures(answer.as_bytes(), &batch).ok()?;
            Some(failed.into_iter().collect::<Vec<_>>().join(","))
        };
        #[rustfmt::skip]
        let cases = [
            ("",                                                                Some("")),
            ("null",                                                            Some("")),
            ("{}",                                                              Some("")),
            (r#"{"batchItemFailures":[]}"#,                                     Some("")),
            (r#"{"batchItemFailures":null}"#,                                   Some("")),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#,               Some("b")),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"},{"itemIdentifier":"a"}]}"#, Some("a,b")),
            (r#"{"batchItemFailures":[{"itemIdentifier":"c"}]}"#,               None),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,                None),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,              None),
            (r#"{"batchItemFailures":[{"id":"a"}]}"#,                           None),
            (r#"{"batchItemFailures":"a"}"#,                                    None),
            ("{",                                                               None),
            ("7",                                                               None),
            ("[]",                                                              None),
        ];
        for (answer, expected) in cases {
            assert_eq!(failed(answer).as_deref(), expected, "{answer}");
        }
    }
}
