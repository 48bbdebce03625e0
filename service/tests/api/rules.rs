//! What is refused, and in which words: every rule of sections 2 to 9 of the facts sheet that a
//! request by itself can break, and what takes several to show a client.

mod messages;
mod profiles;
mod queues;
mod stories;

use serde_json::{Value, json};

use super::server::Server;

/// What is asked, the Query code it is refused with, and the text.
type Case<'a> = (&'a str, Value, &'a str, String);

const INVALID: &str = "InvalidParameterValue";
const MISSING: &str = "MissingParameter";
const ATTRIBUTE_NAME: &str = "InvalidAttributeName";
const ATTRIBUTE_VALUE: &str = "InvalidAttributeValue";

impl Server {
    /// Every case is refused as it says: each code has one status and one shape (facts sheet, 1.5
    /// and 1.6).
    async fn refuses(&self, cases: Vec<Case<'_>>) {
        for (action, input, code, text) in cases {
            let (status, shape) = match code {
                INVALID => (400, "com.amazon.coral.service#InvalidParameterValueException"),
                MISSING => (400, "com.amazon.coral.service#MissingRequiredParameterException"),
                ATTRIBUTE_NAME => (400, "com.amazonaws.sqs#InvalidAttributeName"),
                ATTRIBUTE_VALUE => (400, "com.amazonaws.sqs#InvalidAttributeValue"),
                "ReceiptHandleIsInvalid" => (404, "com.amazonaws.sqs#ReceiptHandleIsInvalid"),
                "InvalidMessageContents" => (400, "com.amazonaws.sqs#InvalidMessageContents"),
                "OverLimit" => (403, "com.amazonaws.sqs#OverLimit"),
                "QueueAlreadyExists" => (400, "com.amazonaws.sqs#QueueNameExists"),
                "AWS.SimpleQueueService.NonExistentQueue" => {
                    (400, "com.amazonaws.sqs#QueueDoesNotExist")
                }
                code => match code.strip_prefix("AWS.SimpleQueueService.") {
                    Some(name) => (400, &*format!("com.amazonaws.sqs#{name}")),
                    None => panic!("{code} has no row here"),
                },
            };
            let expected = (status, shape.to_string(), format!("{code};Sender"), text);
            assert_eq!(self.error(action, input.clone()).await, expected, "{action} {input}");
        }
    }

    /// The entries that fail, as pairs of code and text.
    async fn failed(&self, action: &str, url: &str, entries: Value) -> Vec<(String, String)> {
        let output = self.ok(action, json!({"QueueUrl": url, "Entries": entries})).await;
        let failures = output["Failed"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap().to_string();
        let pair = |failure: &Value| {
            assert_eq!(failure["SenderFault"], true);
            (text(&failure["Code"]), text(&failure["Message"]))
        };
        failures.iter().map(pair).collect()
    }
}

fn value(value: impl std::fmt::Display, name: &str, reason: &str) -> String {
    format!("Value {value} for parameter {name} is invalid. Reason: {reason}")
}

fn missing(name: &str) -> String {
    format!("The request must contain the parameter {name}.")
}

fn bad_attribute(name: &str) -> String {
    format!("Invalid value for the parameter {name}.")
}

/// A base with members added or replaced.
fn with(base: &Value, members: Value) -> Value {
    let mut all = base.clone();
    for (name, value) in members.as_object().unwrap() {
        all[name] = value.clone();
    }
    all
}
