//! The attributes of queues: what they are called in files and what their values mean to people.

use serde::Serialize;
use serde_json::{Value, json};
use stanchion_sdk::message::Attributes;

use crate::output::Record;
use crate::units::{show_bytes, show_seconds};

/// What the text of an attribute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    Seconds,
    Bytes,
    Bool,
    Text,
    Json,
}

/// An attribute that can be set, beside `RedrivePolicy`, which is two keys in files.
#[derive(Debug)]
pub(super) struct Setting {
    /// As in SQS.
    pub(super) name: &'static str,
    /// As in files: those of the server's configuration.
    pub(super) key: &'static str,
    /// As people read it.
    pub(super) label: &'static str,
    pub(super) meaning: Meaning,
}

/// Every attribute that can be set, in the order in which they are shown.
#[rustfmt::skip]
pub(super) const SETTINGS: &[Setting] = &[
    setting("VisibilityTimeout", "visibility_timeout", "Visibility timeout", Meaning::Seconds),
    setting("DelaySeconds", "delay_seconds", "Delay", Meaning::Seconds),
    setting("ReceiveMessageWaitTimeSeconds", "receive_message_wait_time_seconds", "Receives wait", Meaning::Seconds),
    setting("MessageRetentionPeriod", "message_retention_period", "Retention", Meaning::Seconds),
    setting("MaximumMessageSize", "maximum_message_size", "Largest message", Meaning::Bytes),
    setting("ContentBasedDeduplication", "content_based_deduplication", "Content deduplication", Meaning::Bool),
    setting("DeduplicationScope", "deduplication_scope", "Deduplication scope", Meaning::Text),
    setting("FifoThroughputLimit", "fifo_throughput_limit", "Throughput limit", Meaning::Text),
    setting("SqsManagedSseEnabled", "sqs_managed_sse_enabled", "Encrypted by the server", Meaning::Bool),
    setting("KmsMasterKeyId", "kms_master_key_id", "Encrypted with key", Meaning::Text),
    setting("KmsDataKeyReusePeriodSeconds", "kms_data_key_reuse_period_seconds", "Data key reused for", Meaning::Seconds),
    setting("RedriveAllowPolicy", "redrive_allow_policy", "Dead letters allowed from", Meaning::Json),
    setting("Policy", "policy", "Policy", Meaning::Json),
    setting("Stanchion.LongDelays", "long_delays", "Long delays", Meaning::Bool),
    setting("Stanchion.ExpireAfterIdle", "expire_after_idle", "Deleted when idle for", Meaning::Seconds),
];

const fn setting(
    name: &'static str,
    key: &'static str,
    label: &'static str,
    meaning: Meaning,
) -> Setting {
    Setting { name, key, label, meaning }
}

impl Setting {
    /// The text as a value in files and in JSON.
    pub(super) fn value(&self, text: &str) -> Value {
        let parsed = match self.meaning {
            Meaning::Seconds | Meaning::Bytes => text.parse::<u64>().ok().map(Value::from),
            Meaning::Bool => text.parse::<bool>().ok().map(Value::from),
            Meaning::Json => serde_json::from_str(text).ok(),
            Meaning::Text => None,
        };
        parsed.unwrap_or_else(|| text.into())
    }

    /// The text as people read it.
    pub(super) fn show(&self, text: &str) -> String {
        let number = text.parse().ok();
        match (self.meaning, number) {
            (Meaning::Seconds, Some(seconds)) => show_seconds(seconds),
            (Meaning::Bytes, Some(bytes)) => show_bytes(bytes),
            (Meaning::Bool, _) if text == "true" => "yes".into(),
            (Meaning::Bool, _) if text == "false" => "no".into(),
            _ => text.into(),
        }
    }
}

/// Where a queue's dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DeadLetters {
    /// A queue's name or ARN.
    pub(crate) queue: String,
    /// After so many receives.
    pub(crate) max_receives: u32,
}

impl DeadLetters {
    /// As the attribute `RedrivePolicy`.
    pub(super) fn policy(arn: &str, max_receives: u32) -> String {
        json!({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives}).to_string()
    }
}

/// Where the dead letters go of a queue with these attributes: an ARN.
pub(crate) fn dead_letters_of(attributes: &Attributes) -> Option<DeadLetters> {
    let policy: Value = serde_json::from_str(attributes.get("RedrivePolicy")?).ok()?;
    // SQS takes the number as a text too.
    let max = policy.get("maxReceiveCount")?;
    let max = max.as_u64().or_else(|| max.as_str()?.parse().ok())?;
    Some(DeadLetters {
        queue: policy.get("deadLetterTargetArn")?.as_str()?.to_owned(),
        max_receives: u32::try_from(max).ok()?,
    })
}

/// What an attribute is, and what it is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    /// As in SQS.
    pub(super) attribute: String,
    pub(super) from: Option<String>,
    pub(super) to: String,
}

impl Change {
    /// For people: `visibility timeout: 30s → 1m`.
    pub(super) fn show(&self) -> String {
        let setting = SETTINGS.iter().find(|setting| setting.name == self.attribute);
        let show = |text: &str| match setting {
            _ if text.is_empty() => "none".into(),
            Some(setting) => setting.show(text),
            None => text.into(),
        };
        let from = self.from.as_deref().map_or("none".into(), show);
        let to = show(&self.to);
        let label = setting.map_or(self.attribute.as_str(), |setting| setting.label);
        format!("{label}: {from} → {to}")
    }
}

impl Record for Change {
    const COLUMNS: &'static [&'static str] = &["ATTRIBUTE", "FROM", "TO"];

    fn row(&self) -> Vec<String> {
        let from = self.from.clone().unwrap_or_else(|| "-".into());
        vec![self.attribute.clone(), from, self.to.clone()]
    }
}

/// What is to be otherwise than it is. JSON is compared as what it means, and what is empty is as good
/// as absent.
pub(super) fn changes(actual: &Attributes, wanted: &Attributes) -> Vec<Change> {
    let json = |text: &str| serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    let same =
        |is: &str, shall: &str| is == shall || (json(is).is_some() && json(is) == json(shall));
    let changed = wanted.iter().filter(|(name, shall)| {
        let is = actual.get(*name).map_or("", String::as_str);
        // A switch that nobody turned on is off.
        let off = is.is_empty() && shall.as_str() == "false";
        !(same(is, shall) || off)
    });
    let change = |(name, to): (&String, &String)| Change {
        attribute: name.clone(),
        from: actual.get(name).cloned(),
        to: to.clone(),
    };
    changed.map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn a_change_is_what_means_something_else() {
        let actual = attributes(&[
            ("VisibilityTimeout", "30"),
            ("DelaySeconds", "0"),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"a","maxReceiveCount":5}"#),
        ]);
        let wanted = attributes(&[
            ("VisibilityTimeout", "60"),
            ("DelaySeconds", "0"),
            ("RedrivePolicy", r#"{ "maxReceiveCount": 5, "deadLetterTargetArn": "a" }"#),
            ("Policy", ""),
            ("Stanchion.LongDelays", "false"),
        ]);
        let changes = changes(&actual, &wanted);
        let [change] = changes.as_slice() else { panic!("{changes:?}") };
        assert_eq!(change.show(), "Visibility timeout: 30s → 1m");
    }

    #[test]
    fn keys_of_files_are_the_names_of_sqs_in_small_letters() {
        for Setting { name, key, .. } in SETTINGS {
            let mut small = String::new();
            for c in name.strip_prefix("Stanchion.").unwrap_or(name).chars() {
                if c.is_ascii_uppercase() && !small.is_empty() {
                    small.push('_');
                }
                small.push(c.to_ascii_lowercase());
            }
            assert_eq!(small, *key);
        }
    }

    #[test]
    fn dead_letters_go_where_the_policy_says_however_it_writes_the_number() {
        for number in ["5", "\"5\""] {
            let policy = format!(r#"{{"deadLetterTargetArn":"arn","maxReceiveCount":{number}}}"#);
            let found = dead_letters_of(&attributes(&[("RedrivePolicy", &policy)]));
            assert_eq!(found, Some(DeadLetters { queue: "arn".into(), max_receives: 5 }));
        }
        assert_eq!(dead_letters_of(&attributes(&[("RedrivePolicy", "{}")])), None);
    }
}
