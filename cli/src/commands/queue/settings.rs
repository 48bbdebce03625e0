//! What a queue is set to, as flags.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use stanchion_sdk::message::Attributes;

use crate::failure::Failure;
use crate::input::{parse_pair, read_text};
use crate::units::{parse_duration, parse_size, whole_seconds};

/// How often a message is received before it is a dead letter, if nobody says otherwise.
pub(super) const MAX_RECEIVES: u32 = 5;

/// Settings; what is absent stays as it is, or is the server's default.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// How long others do not see a message that was received, up to 12h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    visibility: Option<Duration>,
    /// How long messages are held back when they are sent, up to 15m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    delay: Option<Duration>,
    /// How long messages are kept, 1m to 14d
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    retention: Option<Duration>,
    /// The largest message, 1KiB to 1MiB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_size: Option<u64>,
    /// How long a receive waits for a message, up to 20s
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// FIFO: messages with the same body are the same message
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    content_dedup: Option<bool>,
    /// FIFO: each message group on its own, as fast as it goes
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    high_throughput: Option<bool>,
    /// Where dead letters go, by name or ARN; created where there is none of that name
    #[arg(long, value_name = "QUEUE")]
    pub(super) dlq: Option<String>,
    /// After how many receives a message is a dead letter; 5 if a new --dlq comes without it
    #[arg(long, value_name = "N")]
    pub(super) max_receives: Option<u32>,
    /// Which queues may send their dead letters here: `all`, `none`, or ARNs with commas between them
    #[arg(long, value_name = "WHICH")]
    dead_letters_from: Option<String>,
    /// Encrypt with a key of the server's own
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true")]
    sse: Option<bool>,
    /// Encrypt with this key of KMS
    #[arg(long, value_name = "ID", conflicts_with = "sse")]
    kms_key: Option<String>,
    /// How long a data key of --kms-key is used, 1m to 24h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    kms_reuse: Option<Duration>,
    /// Who else may do what: a file with a policy in JSON
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// Stanchion: delete the queue when nobody has used it for so long
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expire_after_idle: Option<Duration>,
    /// Any attribute by its name in SQS
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    attribute: Vec<(String, String)>,
}

impl Settings {
    /// As attributes, without `RedrivePolicy`: to that belongs a queue that may have to be made.
    pub(super) fn attributes(&self) -> Result<Attributes, Failure> {
        let mut attributes = Attributes::new();
        let mut set = |name: &str, value: Option<String>| {
            attributes.extend(value.map(|value| (name.to_owned(), value)));
        };
        let seconds = |time: Option<Duration>| time.map(|time| whole_seconds(time).to_string());
        let either = |on: Option<bool>, yes: &str, no: &str| {
            on.map(|on| if on { yes } else { no }.to_owned())
        };
        set("VisibilityTimeout", seconds(self.visibility));
        set("DelaySeconds", seconds(self.delay));
        set("MessageRetentionPeriod", seconds(self.retention));
        set("MaximumMessageSize", self.max_size.map(|bytes| bytes.to_string()));
        set("ReceiveMessageWaitTimeSeconds", seconds(self.wait));
        set("ContentBasedDeduplication", either(self.content_dedup, "true", "false"));
        set("DeduplicationScope", either(self.high_throughput, "messageGroup", "queue"));
        let limit = either(self.high_throughput, "perMessageGroupId", "perQueue");
        set("FifoThroughputLimit", limit);
        set("RedriveAllowPolicy", self.dead_letters_from.as_deref().map(redrive_allow));
        set("SqsManagedSseEnabled", either(self.sse, "true", "false"));
        set("KmsMasterKeyId", self.kms_key.clone());
        set("KmsDataKeyReusePeriodSeconds", seconds(self.kms_reuse));
        set("Stanchion.ExpireAfterIdle", seconds(self.expire_after_idle));
        if let Some(file) = &self.policy {
            set("Policy", Some(read_text(file)?));
        }
        attributes.extend(self.attribute.iter().cloned());
        Ok(attributes)
    }
}

fn redrive_allow(which: &str) -> String {
    let policy: Value = match which {
        "all" => json!({"redrivePermission": "allowAll"}),
        "none" => json!({"redrivePermission": "denyAll"}),
        arns => {
            let arns: Vec<_> = arns.split(',').map(str::trim).collect();
            json!({"redrivePermission": "byQueue", "sourceQueueArns": arns})
        }
    };
    policy.to_string()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn flags_with_units_are_the_attributes_of_sqs() {
        let line = "x --visibility 2m --delay 1500ms --retention 4d --max-size 256KiB --wait 20s \
                    --content-dedup --high-throughput=false --sse --expire-after-idle 1h \
                    --attribute Stanchion.LongDelays=true --dead-letters-from none";
        let line = Line::try_parse_from(line.split_whitespace()).unwrap();
        let attributes = line.settings.attributes().unwrap();
        let shown: Vec<_> =
            attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            shown,
            [
                "ContentBasedDeduplication=true",
                "DeduplicationScope=queue",
                "DelaySeconds=2",
                "FifoThroughputLimit=perQueue",
                "MaximumMessageSize=262144",
                "MessageRetentionPeriod=345600",
                "ReceiveMessageWaitTimeSeconds=20",
                r#"RedriveAllowPolicy={"redrivePermission":"denyAll"}"#,
                "SqsManagedSseEnabled=true",
                "Stanchion.ExpireAfterIdle=3600",
                "Stanchion.LongDelays=true",
                "VisibilityTimeout=120",
            ]
        );
    }
}
