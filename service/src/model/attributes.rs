//! Queue attributes: the typed settings of a queue, and the table of every attribute's name, range
//! and default.

use serde::{Deserialize, Serialize};

use super::queue::{QueueKey, QueueKind};
use super::time::Millis;

/// Where deduplication ids are unique, and where FIFO throughput is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeduplicationScope {
    /// The whole queue (the default).
    #[serde(rename = "queue")]
    Queue,
    /// Each message group by itself.
    #[serde(rename = "messageGroup")]
    MessageGroup,
}

/// `FifoThroughputLimit`; no profile of ours throttles by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FifoThroughputLimit {
    /// The default.
    #[serde(rename = "perQueue")]
    PerQueue,
    /// Needs the scope `messageGroup`.
    #[serde(rename = "perMessageGroupId")]
    PerMessageGroupId,
}

/// The settings only FIFO queues have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FifoSettings {
    /// Take the body's SHA-256 where a send names no deduplication id.
    pub content_based_deduplication: bool,
    /// Where ids are unique.
    pub deduplication_scope: DeduplicationScope,
    /// Shown, never enforced.
    pub throughput_limit: FifoThroughputLimit,
}

/// `RedrivePolicy`, parsed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RedrivePolicy {
    /// The dead-letter queue's ARN, as given.
    pub dead_letter_target_arn: String,
    /// Deliveries before the message moves, 1 to 1000.
    pub max_receive_count: u32,
}

impl RedrivePolicy {
    /// The target's key.
    pub fn target(&self) -> Option<QueueKey> {
        QueueKey::parse_arn(&self.dead_letter_target_arn)
    }
}

/// Every setting of a queue, checked. Stored as JSON in the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueSettings {
    /// `VisibilityTimeout`, seconds.
    pub visibility_timeout_s: u32,
    /// `DelaySeconds`.
    pub delay_s: u32,
    /// `MaximumMessageSize`, bytes.
    pub message_bytes_max: u32,
    /// `MessageRetentionPeriod`, seconds.
    pub retention_s: u32,
    /// `ReceiveMessageWaitTimeSeconds`.
    pub receive_wait_s: u32,
    /// FIFO queues only.
    pub fifo: Option<FifoSettings>,
    /// Where poison messages go.
    pub redrive: Option<RedrivePolicy>,
    /// `RedriveAllowPolicy`, canonical JSON.
    pub redrive_allow: Option<String>,
    /// `Policy`, as given.
    pub policy: Option<String>,
    /// `KmsMasterKeyId`, as given.
    pub kms_key_id: Option<String>,
    /// `KmsDataKeyReusePeriodSeconds`.
    pub kms_reuse_s: u32,
    /// `SqsManagedSseEnabled`.
    pub sse_enabled: bool,
}

impl QueueSettings {
    /// The defaults of a new queue (facts sheet, 3.1).
    pub fn new(kind: QueueKind) -> QueueSettings {
        QueueSettings {
            visibility_timeout_s: 30,
            delay_s: 0,
            message_bytes_max: 1_048_576,
            retention_s: 345_600,
            receive_wait_s: 0,
            fifo: (kind == QueueKind::Fifo).then_some(FifoSettings {
                content_based_deduplication: false,
                deduplication_scope: DeduplicationScope::Queue,
                throughput_limit: FifoThroughputLimit::PerQueue,
            }),
            redrive: None,
            redrive_allow: None,
            policy: None,
            kms_key_id: None,
            kms_reuse_s: 300,
            sse_enabled: true,
        }
    }

    /// How long a message is kept.
    pub fn retention(&self) -> Millis {
        Millis::from_secs(self.retention_s)
    }

    /// The queue's own delay.
    pub fn delay(&self) -> Millis {
        Millis::from_secs(self.delay_s)
    }
}
