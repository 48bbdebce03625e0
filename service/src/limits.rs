//! Every number we promise, with its unit and its source.

/// A queue's name, `.fifo` included. Source: CreateQueue, `QueueName`.
pub const QUEUE_NAME_BYTES_MAX: usize = 80;

/// Queues one listing may return. Source: ListQueues, `MaxResults`.
pub const LIST_RESULTS_MAX: usize = 1000;

/// Messages one receive may return. Source: ReceiveMessage, `MaxNumberOfMessages`.
pub const RECEIVE_MESSAGES_MAX: usize = 10;

/// Values in the input of one request, in either protocol: ten messages with ten attributes each are
/// some five hundred. Each takes far more memory than its bytes in the request.
pub const INPUT_VALUES_MAX: usize = 2048;

/// Messages one look into a queue may return, and how many it returns unless told.
pub const PEEK_MESSAGES_MAX: usize = 100;
/// See [`PEEK_MESSAGES_MAX`].
pub const PEEK_MESSAGES_DEFAULT: usize = 10;

/// A look into a queue ends with the message that reaches so many bytes, whatever it may return.
pub const PEEK_BYTES_MAX: usize = 1 << 20;

/// Ids that a filter names.
pub const FILTER_IDS_MAX: usize = 100;

/// Messages one call may delete or move, and how many it does unless told.
pub const ERRAND_MESSAGES_MAX: usize = 1000;
/// See [`ERRAND_MESSAGES_MAX`].
pub const ERRAND_MESSAGES_DEFAULT: usize = 100;

/// Why a message was moved, in bytes of text.
pub const REASON_BYTES_MAX: usize = 1024;

/// Groups one look at them may return, and how many it returns unless told.
pub const GROUPS_RESULTS_MAX: usize = 1000;
/// See [`GROUPS_RESULTS_MAX`].
pub const GROUPS_RESULTS_DEFAULT: usize = 100;

/// Queues one look at many may return.
pub const QUEUE_STATS_RESULTS_MAX: usize = 100;

/// Dead-letter sources it names of each queue, though it counts all.
pub const QUEUE_STATS_SOURCES_MAX: usize = 100;

/// Entries of a batch. Source: TooManyEntriesInBatchRequest.
pub const BATCH_ENTRIES_MAX: usize = 10;

// A full receive can be acknowledged with a single DeleteMessageBatch.
const _: () = assert!(RECEIVE_MESSAGES_MAX <= BATCH_ENTRIES_MAX);

/// The id of a batch entry, in characters. Source: InvalidBatchEntryId.
pub const BATCH_ID_BYTES_MAX: usize = 80;

/// The largest `MaximumMessageSize`: body, attribute names, types and values. Source: facts sheet,
/// 3.1 and 4.3.
pub const MESSAGE_BYTES_MAX: u32 = 1 << 20;

/// All messages of one batch, whatever the queue's own limit. Source: BatchRequestTooLong.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

// A message that may be sent alone may be sent in a batch.
const _: () = assert!(MESSAGE_BYTES_MAX as usize <= BATCH_BYTES_MAX);

/// A request's body on the wire. JSON escapes may make six bytes of one, so a batch at its limit
/// still fits, with room for ids and attributes. Source: facts sheet, 1.10 (at least 8 MiB).
pub const REQUEST_BODY_BYTES_MAX: usize = 16 << 20;

// Six bytes for each of a batch's, and room beside them.
const _: () = assert!(6 * BATCH_BYTES_MAX + (1 << 20) <= REQUEST_BODY_BYTES_MAX);

/// Message attributes of one message. Source: facts sheet, 4.4.
pub const MESSAGE_ATTRIBUTES_MAX: usize = 10;

/// The name of a message attribute, and its data type, in characters. Source: facts sheet, 4.4.
pub const ATTRIBUTE_NAME_CHARS_MAX: usize = 256;

/// A `DelaySeconds`, the queue's or a message's. Source: SendMessage.
pub const DELAY_S_MAX: u32 = 15 * 60;

/// The message attribute `Stanchion.DelaySeconds`, ours: a year.
pub const LONG_DELAY_S_MAX: u32 = 365 * 24 * 60 * 60;

/// A long poll, in seconds. Source: ReceiveMessage, `WaitTimeSeconds`.
pub const RECEIVE_WAIT_S_MAX: u32 = 20;

/// How long a message may stay in flight, counted from its receive, in seconds. Source: facts
/// sheet, 5.4.
pub const IN_FLIGHT_S_MAX: u32 = 12 * 60 * 60;

/// `MessageGroupId`, `MessageDeduplicationId` and `ReceiveRequestAttemptId`, in characters. Source:
/// facts sheet, 6.1.
pub const FIFO_ID_BYTES_MAX: usize = 128;

/// Messages in flight per queue, standard and FIFO. Source: facts sheet, 5.5.
pub const IN_FLIGHT_MESSAGES_MAX: usize = 120_000;

/// How long a message is kept, in seconds. Source: SetQueueAttributes, `MessageRetentionPeriod`.
pub const RETENTION_S_MAX: u32 = 14 * 24 * 60 * 60;

/// `maxReceiveCount` of a redrive policy. Source: facts sheet, 3.3.
pub const MAX_RECEIVE_COUNT_MAX: u32 = 1000;

/// `sourceQueueArns` of a redrive allow policy. Source: facts sheet, 3.4.
pub const REDRIVE_ALLOW_SOURCES_MAX: usize = 10;

/// `MaxNumberOfMessagesPerSecond` of a message move task. Source: facts sheet, 8.5.
pub const MOVE_TASK_RATE_MAX: u16 = 500;

/// Message move tasks of one source that are listed, so also kept. Source: ListMessageMoveTasks,
/// `MaxResults`.
pub const MOVE_TASKS_LISTED_MAX: usize = 10;

/// Message move tasks of one account at a time. Source: facts sheet, 12.
pub const MOVE_TASKS_ACTIVE_MAX: u64 = 100;

/// A queue policy, in bytes of JSON. Source: facts sheet, 10.2.
pub const POLICY_BYTES_MAX: usize = 8192;

/// Statements of a queue policy. Source: facts sheet, 10.2.
pub const POLICY_STATEMENTS_MAX: usize = 20;

/// Principals of all statements of a queue policy. Source: facts sheet, 10.2.
pub const POLICY_PRINCIPALS_MAX: usize = 50;

/// Conditions of all statements of a queue policy: pairs of operator and key. Source: facts sheet,
/// 10.2.
pub const POLICY_CONDITIONS_MAX: usize = 10;

/// Actions of one statement of a queue policy. Source: facts sheet, 10.2.
pub const POLICY_ACTIONS_MAX: usize = 7;

/// Bytes of what a client says about itself that conditions see: each of them may be held against
/// every pattern in a policy. Ours.
pub const CONDITION_BYTES_MAX: usize = 512;

/// A policy of a user or a role, in bytes of JSON. Source: IAM's quotas, customer managed policies.
pub const IDENTITY_POLICY_BYTES_MAX: usize = 6144;

/// All policies of a user together, in bytes of JSON. IAM allows a role so much, a user 2,048, but
/// counts no blanks.
pub const USER_POLICIES_BYTES_MAX: usize = 10_240;

/// A user's name. Source: CreateUser of IAM, `UserName`.
pub const USER_NAME_BYTES_MAX: usize = 64;

/// The name of a user's policy. Source: PutUserPolicy of IAM, `PolicyName`.
pub const USER_POLICY_NAME_BYTES_MAX: usize = 128;

/// Access keys of one user, and of an account's root. Source: IAM's quotas.
pub const OWNER_ACCESS_KEYS_MAX: usize = 2;

/// Access keys of all accounts: all of them are in memory.
pub const ACCESS_KEYS_MAX: usize = 10_000;

/// Users of all accounts: all of them are in memory.
pub const USERS_MAX: usize = 10_000;

/// Access keys, or users, one listing may return.
pub const ACCESS_RESULTS_MAX: usize = 100;

/// The label of a permission, in characters. Source: AddPermission, `Label`.
pub const POLICY_LABEL_BYTES_MAX: usize = 80;

/// Tags of a queue; a key and a value, in characters. Source: facts sheet, 12.
pub const TAGS_MAX: usize = 50;
/// See [`TAGS_MAX`].
pub const TAG_KEY_CHARS_MAX: usize = 128;
/// See [`TAGS_MAX`].
pub const TAG_VALUE_CHARS_MAX: usize = 256;

/// How far a signature's time may be from ours, in seconds. Source: facts sheet, 11.3.
pub const SIGNATURE_SKEW_S: u64 = 15 * 60;

/// How long a presigned URL may be good for, in seconds. Source: facts sheet, 11.3.
pub const PRESIGNED_S_MAX: u64 = 7 * 24 * 60 * 60;

/// How faithfully the server keeps the limits that AWS has for reasons of its own.
// Differs from AWS: no profile throttles, neither FIFO queues at 300 calls a second nor calls that
// change queues or their tags.
#[derive(Debug, PartialEq, Eq)]
pub struct Limits {
    /// As in `--limits`.
    pub name: &'static str,
    /// A deleted queue's name stays taken for 60 seconds, and so long a purge keeps the next away.
    pub sixty_second_rules: bool,
    /// Messages in flight per queue.
    pub in_flight_max: usize,
    /// The least `MaximumMessageSize`.
    pub message_bytes_min: u32,
    /// The least `MessageRetentionPeriod`.
    pub retention_s_min: u32,
    /// There are attributes that AWS does not have, named `Stanchion.*`.
    pub own_attributes: bool,
    /// Every queue takes delays up to [`LONG_DELAY_S_MAX`], not only those that are set to.
    pub long_delays: bool,
    /// A `KmsMasterKeyId` that no master key answers to, or a disabled one, fails whatever uses the
    /// queue.
    pub kms_keys_must_exist: bool,
    /// Requests are signed for the configured region and for no other.
    pub one_region: bool,
}

/// AWS to the letter, the 60-second rules included.
pub const STRICT: Limits = Limits {
    name: "strict",
    sixty_second_rules: true,
    in_flight_max: IN_FLIGHT_MESSAGES_MAX,
    message_bytes_min: 1024,
    retention_s_min: 60,
    own_attributes: false,
    long_delays: false,
    kms_keys_must_exist: true,
    one_region: true,
};

/// AWS's limits, without the waiting.
pub const STANDARD: Limits = Limits {
    name: "standard",
    sixty_second_rules: false,
    own_attributes: true,
    kms_keys_must_exist: false,
    one_region: false,
    ..STRICT
};

/// Without what only AWS's fleet needs.
pub const RELAXED: Limits = Limits {
    name: "relaxed",
    in_flight_max: 1_000_000,
    message_bytes_min: 1,
    retention_s_min: 1,
    long_delays: true,
    ..STANDARD
};

/// A session, in seconds: `DurationSeconds` of AssumeRole, and what a role may allow. Source: facts
/// sheet, 11.6.
pub const SESSION_S_MIN: u32 = 15 * 60;
/// See [`SESSION_S_MIN`].
pub const SESSION_S_MAX: u32 = 12 * 60 * 60;
/// See [`SESSION_S_MIN`].
pub const SESSION_S_DEFAULT: u32 = 60 * 60;

/// A session of somebody who is in a role already, in seconds. Source: AssumeRole, role chaining.
pub const CHAINED_SESSION_S_MAX: u32 = 60 * 60;

/// A session policy, in bytes. Source: AssumeRole, `Policy`.
pub const SESSION_POLICY_BYTES_MAX: usize = 2048;

/// A role's name. Source: CreateRole of IAM.
pub const ROLE_NAME_BYTES_MAX: usize = 64;
