//! A worker's handler as an AWS Lambda function: the same code runs in a worker of ours and behind an
//! event source mapping of Lambda's, or under [`functions`](crate::functions).
//!
//! ```no_run
//! use stanchion_sdk::{Message, lambda};
//!
//! async fn handle(message: Message) -> Result<(), String> {
//!     println!("{}", message.body);
//!     Ok(())
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), lambda::Error> {
//!     lambda::run(handle).await
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt::Display;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage, SqsMessageAttribute};
use futures_util::{StreamExt as _, stream};
use lambda_runtime::{LambdaEvent, service_fn};

use crate::message::{Message, MessageAttribute};
use crate::worker::{Delivery, Outcome};

pub use lambda_runtime::Error;

/// The most messages of a batch that are handled at the same time.
const CONCURRENCY: usize = 10;

/// What a handler says about a message. Lambda knows two things: it was handled, and is deleted; or it
/// was not, and comes again when its visibility timeout ends.
pub trait Verdict {
    /// Whether the message was handled.
    fn is_done(&self) -> bool;
}

/// A handler without anything to say has done its work.
impl Verdict for () {
    fn is_done(&self) -> bool {
        true
    }
}

/// A worker's outcome: Lambda deletes what is done, and everything else comes again. It knows neither a
/// delay nor a dead-letter queue of the handler's choice.
impl Verdict for Outcome {
    fn is_done(&self) -> bool {
        *self == Outcome::Done
    }
}

/// What a worker's handler takes; here it does not know its queue, which is empty.
impl From<Message> for Delivery {
    fn from(message: Message) -> Delivery {
        Delivery::new("", message)
    }
}

/// Runs a handler as a Lambda function, until the runtime ends.
///
/// Messages of a standard queue are handled beside each other, 10 at a time; those of a FIFO group one
/// after the other, and after a failure the rest of the group is not begun. What failed is reported, so
/// the event source mapping must have `ReportBatchItemFailures`: without it Lambda deletes what failed.
pub async fn run<M, O, E, F, H>(handler: H) -> Result<(), Error>
where
    M: From<Message>,
    O: Verdict,
    E: Display,
    F: Future<Output = Result<O, E>>,
    H: Fn(M) -> F,
{
    let handler = &handler;
    lambda_runtime::run(service_fn(|event: LambdaEvent<SqsEvent>| async move {
        Ok::<_, Error>(respond(event.payload, handler).await)
    }))
    .await
}

/// Handles an event and says which of its messages failed: what [`run`] does with each event.
pub async fn respond<M, O, E, F, H>(event: SqsEvent, handler: &H) -> SqsBatchResponse
where
    M: From<Message>,
    O: Verdict,
    E: Display,
    F: Future<Output = Result<O, E>>,
    H: Fn(M) -> F,
{
    let groups = groups(event.records).into_iter();
    let handled = groups.map(|group| handle_in_order(group, handler)).collect::<Vec<_>>();
    let failed: Vec<Vec<String>> =
        stream::iter(handled).buffer_unordered(CONCURRENCY).collect().await;
    let mut response = SqsBatchResponse::default();
    response.set_failures(failed.into_iter().flatten());
    response
}

/// Handles messages until one fails; returns the ids of that and the ones after it.
async fn handle_in_order<M, O, E, F, H>(group: Vec<Message>, handler: &H) -> Vec<String>
where
    M: From<Message>,
    O: Verdict,
    E: Display,
    F: Future<Output = Result<O, E>>,
    H: Fn(M) -> F,
{
    let mut messages = group.into_iter();
    while let Some(message) = messages.next() {
        let id = message.message_id.clone();
        let is_done = match handler(message.into()).await {
            Ok(verdict) => verdict.is_done(),
            Err(error) => {
                tracing::warn!(message = id, %error, "a message is not handled");
                false
            }
        };
        if !is_done {
            return [id].into_iter().chain(messages.map(|message| message.message_id)).collect();
        }
    }
    Vec::new()
}

/// The messages that have to be handled one after the other: of a FIFO group all, otherwise each by
/// itself.
fn groups(records: Vec<SqsMessage>) -> Vec<Vec<Message>> {
    let (mut groups, mut places) = (Vec::<Vec<Message>>::new(), BTreeMap::new());
    for record in records {
        let is_fifo = record.event_source_arn.as_deref().is_some_and(|arn| arn.ends_with(".fifo"));
        let message = message(record);
        match message.group().filter(|_| is_fifo) {
            Some(group) => {
                let place = *places.entry(group.to_owned()).or_insert(groups.len());
                match groups.get_mut(place) {
                    Some(messages) => messages.push(message),
                    None => groups.push(vec![message]),
                }
            }
            None => groups.push(vec![message]),
        }
    }
    groups
}

fn message(record: SqsMessage) -> Message {
    let attribute = |value: SqsMessageAttribute| MessageAttribute {
        data_type: value.data_type.unwrap_or_default(),
        string_value: value.string_value,
        binary_value: value.binary_value.map(|bytes| bytes.0),
    };
    let attributes = record.message_attributes.into_iter();
    Message {
        message_id: record.message_id.unwrap_or_default(),
        receipt_handle: record.receipt_handle.unwrap_or_default(),
        body: record.body.unwrap_or_default(),
        md5_of_body: record.md5_of_body.unwrap_or_default(),
        attributes: record.attributes.into_iter().collect(),
        message_attributes: attributes.map(|(name, value)| (name, attribute(value))).collect(),
        md5_of_message_attributes: record.md5_of_message_attributes,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};

    use super::*;

    fn record(id: &str, group: Option<&str>, queue: &str) -> Value {
        let group = group.map(|group| json!({"MessageGroupId": group}));
        json!({
            "messageId": id,
            "receiptHandle": "handle",
            "body": id,
            "attributes": group.unwrap_or_else(|| json!({})),
            "messageAttributes": {
                "kind": {"stringValue": "order", "dataType": "String"},
                "bytes": {"binaryValue": "AP8=", "dataType": "Binary"},
            },
            "md5OfBody": "0f",
            "eventSource": "aws:sqs",
            "eventSourceARN": format!("arn:aws:sqs:us-east-1:000000000000:{queue}"),
            "awsRegion": "us-east-1",
        })
    }

    /// Messages whose bodies begin with `bad` fail. Returns what was begun and what failed, sorted.
    async fn handled(records: Vec<Value>) -> (Vec<String>, Vec<String>) {
        let event = serde_json::from_value(json!({"Records": records})).unwrap();
        let begun = Mutex::new(Vec::new());
        let handler = |message: Message| {
            begun.lock().unwrap().push(message.body.clone());
            async move { if message.body.starts_with("bad") { Err("no") } else { Ok(()) } }
        };
        let response = respond(event, &handler).await;
        let failures = response.batch_item_failures.into_iter();
        let mut failed: Vec<String> = failures.map(|failure| failure.item_identifier).collect();
        let mut begun = begun.into_inner().unwrap();
        begun.sort();
        failed.sort();
        (begun, failed)
    }

    #[tokio::test]
    async fn each_message_of_a_standard_queue_stands_for_itself() {
        let records = ["a", "bad", "c"].map(|id| record(id, Some("same"), "orders"));
        let (begun, failed) = handled(records.to_vec()).await;
        assert_eq!((begun.join(" "), failed.join(" ")), ("a bad c".into(), "bad".into()));
    }

    #[tokio::test]
    async fn after_a_failure_the_rest_of_a_group_is_not_begun() {
        let records = [("a1", "a"), ("bad", "b"), ("a2", "a"), ("b2", "b"), ("b3", "b")];
        let records = records.map(|(id, group)| record(id, Some(group), "orders.fifo"));
        let (begun, failed) = handled(records.to_vec()).await;
        assert_eq!((begun.join(" "), failed.join(" ")), ("a1 a2 bad".into(), "b2 b3 bad".into()));
    }

    #[test]
    fn a_record_becomes_the_message_that_a_worker_sees() {
        let read = serde_json::from_value(record("id", Some("g"), "orders.fifo")).unwrap();
        let message = message(read);
        assert_eq!((&*message.message_id, message.group()), ("id", Some("g")));
        assert_eq!(message.attribute("kind"), Some("order"));
        let bytes = message.message_attributes["bytes"].binary_value.as_deref();
        assert_eq!(bytes, Some(&b"\x00\xff"[..]));
    }
}
