//! `docs/sqs-compatibility.md`, written from the tables of the service and held against them. What
//! differs from AWS without showing in a table is listed here.
//!
//! After a change of the tables:
//! `STANCHION_GOLDEN=write cargo test -p stanchion-service compatibility`.

use std::fmt::Write as _;

use super::receive_message::SYSTEM_ATTRIBUTES;
use crate::api::error_table::{ROWS, Row, STS};
use crate::limits::{self, Limits, RELAXED, STANDARD, STRICT};
use crate::model::attributes::{self, ATTRIBUTES, QueueAttribute, QueueSettings, View};
use crate::model::queue::{Paused, QueueKey, QueueKind};
use crate::model::task::MoveTask;
use crate::model::time::Timestamp;

/// What one thing does otherwise than at AWS.
struct Difference {
    /// The name of the action, attribute or error.
    of: &'static str,
    text: &'static str,
}

const fn differs(of: &'static str, text: &'static str) -> Difference {
    Difference { of, text }
}

/// All actions of the service model of AWS.
const AWS_ACTIONS: &[&str] = &[
    "AddPermission",
    "CancelMessageMoveTask",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
    "CreateQueue",
    "DeleteMessage",
    "DeleteMessageBatch",
    "DeleteQueue",
    "GetQueueAttributes",
    "GetQueueUrl",
    "ListDeadLetterSourceQueues",
    "ListMessageMoveTasks",
    "ListQueueTags",
    "ListQueues",
    "PurgeQueue",
    "ReceiveMessage",
    "RemovePermission",
    "SendMessage",
    "SendMessageBatch",
    "SetQueueAttributes",
    "StartMessageMoveTask",
    "TagQueue",
    "UntagQueue",
];

const ACTION_DIFFERENCES: &[Difference] = &[
    differs("AddPermission", "accounts are not looked up"),
    differs("DeleteQueue", "at once; AWS takes up to 60 seconds"),
    differs("ListDeadLetterSourceQueues", "exact; at AWS a change takes a while to show"),
    differs("ListQueues", "in the order of names; AWS promises none"),
    differs("PurgeQueue", "at once; AWS takes up to 60 seconds"),
    differs(
        "ReceiveMessage",
        "a short poll misses nothing; what a client that is gone was to receive comes back at once",
    ),
    differs("StartMessageMoveTask", "messages that arrive after the start stay"),
    differs("SetQueueAttributes", "in force at once; AWS takes up to 60 seconds, or 15 minutes"),
];

const ATTRIBUTE_DIFFERENCES: &[Difference] = &[
    differs(
        "Policy",
        "in force where requests are authenticated; users and roles are not looked up; returned as \
         given, while AWS adds a missing `Version`",
    ),
    differs(
        "SqsManagedSseEnabled",
        "messages, with their attributes, are kept encrypted where the server has master keys of its \
         operator's, and otherwise as they come; plain HTTP is not refused",
    ),
    differs(
        "KmsMasterKeyId",
        "names a master key of the server; one that it does not have, or that is disabled, is missed in \
         use with `strict` limits, otherwise the current one is used",
    ),
    differs("KmsDataKeyReusePeriodSeconds", "kept and shown; a queue has one data key"),
    differs(
        "DeduplicationScope",
        "a new scope is in force after 5 minutes; at AWS that of the creation was seen to stay",
    ),
    differs("FifoThroughputLimit", "kept and shown; nothing is throttled"),
    differs("ApproximateNumberOfMessages", "exact"),
    differs("ApproximateNumberOfMessagesNotVisible", "exact"),
    differs("ApproximateNumberOfMessagesDelayed", "exact"),
    differs(
        "SenderId",
        "`anonymous` for a request that is not signed, where AWS shows an address; the account while \
         authentication is off",
    ),
];

/// An error of AWS: its code in Query, its shape in JSON where there is one, its status.
type AwsError = (&'static str, &'static str, u16);

/// The errors of the service model of AWS. Source: facts sheet, 1.6.
#[rustfmt::skip]
const SQS_ERRORS: &[AwsError] = &[
    ("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "BatchEntryIdsNotDistinct", 400),
    ("AWS.SimpleQueueService.BatchRequestTooLong", "BatchRequestTooLong", 400),
    ("AWS.SimpleQueueService.EmptyBatchRequest", "EmptyBatchRequest", 400),
    ("InvalidAddress", "InvalidAddress", 404),
    ("InvalidAttributeName", "InvalidAttributeName", 400),
    ("InvalidAttributeValue", "InvalidAttributeValue", 400),
    ("AWS.SimpleQueueService.InvalidBatchEntryId", "InvalidBatchEntryId", 400),
    ("InvalidIdFormat", "InvalidIdFormat", 400),
    ("InvalidMessageContents", "InvalidMessageContents", 400),
    ("InvalidSecurity", "InvalidSecurity", 403),
    ("KMS.AccessDeniedException", "KmsAccessDenied", 400),
    ("KMS.DisabledException", "KmsDisabled", 400),
    ("KMS.InvalidKeyUsageException", "KmsInvalidKeyUsage", 400),
    ("KMS.InvalidStateException", "KmsInvalidState", 400),
    ("KMS.NotFoundException", "KmsNotFound", 400),
    ("KMS.OptInRequired", "KmsOptInRequired", 403),
    ("KMS.ThrottlingException", "KmsThrottled", 400),
    ("AWS.SimpleQueueService.MessageNotInflight", "MessageNotInflight", 400),
    ("OverLimit", "OverLimit", 403),
    ("AWS.SimpleQueueService.PurgeQueueInProgress", "PurgeQueueInProgress", 403),
    ("AWS.SimpleQueueService.QueueDeletedRecently", "QueueDeletedRecently", 400),
    ("AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", 400),
    ("QueueAlreadyExists", "QueueNameExists", 400),
    ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid", 404),
    ("RequestThrottled", "RequestThrottled", 403),
    ("ResourceNotFoundException", "ResourceNotFoundException", 404),
    ("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "TooManyEntriesInBatchRequest", 400),
    ("AWS.SimpleQueueService.UnsupportedOperation", "UnsupportedOperation", 400),
];

/// The errors common to the services of AWS. Source: facts sheet, 1.5 and 11.5.
#[rustfmt::skip]
const COMMON_ERRORS: &[AwsError] = &[
    ("AccessDenied", "AccessDeniedException", 403),
    ("ExpiredToken", "ExpiredTokenException", 403),
    ("IncompleteSignature", "IncompleteSignatureException", 400),
    ("InternalFailure", "InternalFailure", 500),
    ("InvalidAction", "UnknownOperationException", 400),
    ("InvalidClientTokenId", "UnrecognizedClientException", 403),
    ("InvalidParameterCombination", "InvalidParameterCombinationException", 400),
    ("InvalidParameterValue", "InvalidParameterValueException", 400),
    ("InvalidQueryParameter", "", 400),
    ("MalformedInput", "SerializationException", 400),
    ("MalformedQueryString", "", 404),
    ("MissingAction", "", 404),
    ("MissingAuthenticationToken", "MissingAuthenticationTokenException", 403),
    ("MissingParameter", "MissingRequiredParameterException", 400),
    ("OptInRequired", "OptInRequired", 403),
    ("RequestExpired", "RequestExpired", 400),
    ("ServiceUnavailable", "ServiceUnavailable", 503),
    ("SignatureDoesNotMatch", "InvalidSignatureException", 403),
    ("Throttling", "ThrottlingException", 400),
];

const ERROR_DIFFERENCES: &[Difference] = &[
    differs("KMS.DisabledException", "with `strict` limits"),
    differs("KMS.NotFoundException", "with `strict` limits"),
    differs(
        "MissingAuthenticationToken",
        "only for actions of our own: AWS's SQS says `AccessDenied`",
    ),
    differs(
        "RequestThrottled",
        "sends that `PauseQueue` holds up, and requests beyond a configured rate; by default there is \
         none",
    ),
    differs("InvalidIdFormat", "never given: part of `ReceiptHandleIsInvalid`, as at AWS today"),
    differs("InvalidQueryParameter", "never given: unknown parameters are passed over"),
    differs("InvalidParameterCombination", "only for parameters of our own"),
    differs(
        "AWS.SimpleQueueService.MessageNotInflight",
        "never given, as at AWS as far as is known",
    ),
    differs("AWS.SimpleQueueService.PurgeQueueInProgress", "with `strict` limits"),
    differs("AWS.SimpleQueueService.QueueDeletedRecently", "with `strict` limits"),
    differs("ServiceUnavailable", "also where the disk has too little room for a send"),
];

/// One thing there is a limit to.
struct Limit {
    what: &'static str,
    /// AWS's, as the facts sheet has it.
    aws: &'static str,
    ours: fn(&Limits) -> String,
}

#[rustfmt::skip]
const LIMITS: &[Limit] = &[
    limit("queue name, characters, `.fifo` included", "80",       |_| limits::QUEUE_NAME_BYTES_MAX.to_string()),
    limit("queues in one listing", "1000",                        |_| limits::LIST_RESULTS_MAX.to_string()),
    limit("seconds from a deletion to the next queue of the name, from purge to purge", "60", |l| if l.sixty_second_rules { "60" } else { "0" }.into()),
    limit("tags of a queue", "50",                                |_| limits::TAGS_MAX.to_string()),
    limit("key of a tag, characters", "128",                      |_| limits::TAG_KEY_CHARS_MAX.to_string()),
    limit("value of a tag, characters", "256",                    |_| limits::TAG_VALUE_CHARS_MAX.to_string()),
    limit("policy, bytes", "8192",                                |_| limits::POLICY_BYTES_MAX.to_string()),
    limit("statements of a policy", "20",                         |_| limits::POLICY_STATEMENTS_MAX.to_string()),
    limit("principals of a policy", "50",                         |_| limits::POLICY_PRINCIPALS_MAX.to_string()),
    limit("conditions of a policy", "10",                         |_| limits::POLICY_CONDITIONS_MAX.to_string()),
    limit("actions of a statement", "7",                          |_| limits::POLICY_ACTIONS_MAX.to_string()),
    limit("label of a permission, characters", "80",              |_| limits::POLICY_LABEL_BYTES_MAX.to_string()),
    limit("`maxReceiveCount`", "1 to 1000",                       |_| format!("1 to {}", limits::MAX_RECEIVE_COUNT_MAX)),
    limit("sources of a redrive allow policy", "10",              |_| limits::REDRIVE_ALLOW_SOURCES_MAX.to_string()),
    limit("message with its attributes, bytes", "1048576",        |_| limits::MESSAGE_BYTES_MAX.to_string()),
    limit("message attributes", "10",                             |_| limits::MESSAGE_ATTRIBUTES_MAX.to_string()),
    limit("name and type of a message attribute, characters", "256", |_| limits::ATTRIBUTE_NAME_CHARS_MAX.to_string()),
    limit("message group, deduplication and attempt id, characters", "128", |_| limits::FIFO_ID_BYTES_MAX.to_string()),
    limit("delay of a message, seconds", "900",                   |_| limits::DELAY_S_MAX.to_string()),
    limit("entries of a batch", "10",                             |_| limits::BATCH_ENTRIES_MAX.to_string()),
    limit("id of an entry, characters", "80",                     |_| limits::BATCH_ID_BYTES_MAX.to_string()),
    limit("all messages of a batch, bytes", "1048576",            |_| limits::BATCH_BYTES_MAX.to_string()),
    limit("messages of a receive", "10",                          |_| limits::RECEIVE_MESSAGES_MAX.to_string()),
    limit("long poll, seconds", "20",                             |_| limits::RECEIVE_WAIT_S_MAX.to_string()),
    limit("seconds in flight, from the receive on", "43200",      |_| limits::IN_FLIGHT_S_MAX.to_string()),
    limit("messages in flight per queue", "120000",               |l| l.in_flight_max.to_string()),
    limit("move tasks of a source at a time", "1",                |_| "1".into()),
    limit("move tasks of an account at a time", "100",            |_| limits::MOVE_TASKS_ACTIVE_MAX.to_string()),
    limit("move tasks of a source that are listed", "10",         |_| limits::MOVE_TASKS_LISTED_MAX.to_string()),
    limit("messages per second of a move task, if given", "1 to 500", |_| format!("1 to {}", limits::MOVE_TASK_RATE_MAX)),
    limit("hours a move task may run", "36",                      |_| (MoveTask::RUNTIME_MAX.0 / 3_600_000).to_string()),
    limit("calls per second of a FIFO queue", "300",              |_| "none".into()),
    limit("calls per second that change tags", "30",              |_| "none".into()),
];

const fn limit(what: &'static str, aws: &'static str, ours: fn(&Limits) -> String) -> Limit {
    Limit { what, aws, ours }
}

/// The ranges of the attributes that are numbers, as the facts sheet has them.
const AWS_RANGES: &[(&str, (u32, u32))] = &[
    ("VisibilityTimeout", (0, 43_200)),
    ("DelaySeconds", (0, 900)),
    ("MaximumMessageSize", (1024, 1_048_576)),
    ("MessageRetentionPeriod", (60, 1_209_600)),
    ("ReceiveMessageWaitTimeSeconds", (0, 20)),
    ("KmsDataKeyReusePeriodSeconds", (60, 86_400)),
];

/// What no table has a place for.
const ELSEWHERE: &[&str] = &[
    "The region that a request is signed for selects the queues; with `strict` limits it must be the \
     configured one.",
    "What a signature must cover is `host`, the date, the action and the session token; other \
     `x-amz-*` headers may be left out.",
    "With `--auth off` signatures, session tokens and clocks are not looked at.",
    "Everything is served over plain HTTP.",
    "A `QueueUrl` may also be the queue's ARN.",
    "Fair queues: what a group has in flight makes it noisy, not the time it takes.",
    "FIFO queues: a backlog of one group, however long, hides no other group.",
    "A message whose dead-letter queue is gone stays where it is and goes on being delivered.",
    "With `standard` and `relaxed` limits there are attributes of our own, named `Stanchion.*`; `All` \
     includes them.",
];

fn document() -> String {
    let mut text = String::from(
        "# Compatibility with Amazon SQS\n\n\
         Written from the tables of the service by one of its tests, which fails where this page and\n\
         the tables differ. To write it anew:\n\n\
         ```sh\n\
         STANCHION_GOLDEN=write cargo test -p stanchion-service compatibility\n\
         ```\n\n\
         \"Yes\" means: as AWS documents it and as its answers were seen to be; otherwise the difference\n\
         is told. Limits are those of `--limits strict`, `standard` (the default) and `relaxed`.\n",
    );
    for (title, columns, rows) in [
        ("Actions", &["action", "supported"][..], actions()),
        ("Queue attributes", &["attribute", "set", "default", "supported"], attributes()),
        ("System attributes of messages", &["attribute", "supported"], system_attributes()),
        ("Errors", &["code", "type", "status", "supported"], errors()),
        ("Limits", &["limit", "AWS", "strict", "standard", "relaxed"], limit_rows()),
    ] {
        write_table(&mut text, title, columns, &rows);
    }
    text.push_str("\n## Elsewhere\n\n");
    for difference in ELSEWHERE {
        writeln!(text, "- {difference}").unwrap();
    }
    text
}

fn write_table(text: &mut String, title: &str, columns: &[&str], rows: &[Vec<String>]) {
    write!(text, "\n## {title}\n\n| {} |\n", columns.join(" | ")).unwrap();
    writeln!(text, "|{}", " --- |".repeat(columns.len())).unwrap();
    for row in rows {
        writeln!(text, "| {} |", row.join(" | ")).unwrap();
    }
}

fn actions() -> Vec<Vec<String>> {
    let served = |name: &str| super::ACTIONS.iter().any(|row| row.name == name);
    let supported = |name: &str| match served(name) {
        true => or_difference("yes", name, ACTION_DIFFERENCES),
        false => "no".into(),
    };
    AWS_ACTIONS.iter().map(|name| vec![code(name), supported(name)]).collect()
}

fn attributes() -> Vec<Vec<String>> {
    let row = |attribute: &QueueAttribute| {
        let set = match attribute.is_settable() {
            (false, _) => "no",
            (true, true) => "FIFO queues",
            (true, false) => "yes",
        };
        let default = match attribute.is_settable() {
            (true, _) => default(attribute).map_or_else(|| "none".into(), |value| code(&value)),
            (false, _) => String::new(),
        };
        let supported = supported(attribute.is_own(), attribute.name);
        vec![code(attribute.name), set.into(), default, supported]
    };
    ATTRIBUTES.iter().map(row).collect()
}

/// What a new FIFO queue shows: those have all attributes.
fn default(attribute: &QueueAttribute) -> Option<String> {
    let key = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:q.fifo").unwrap();
    let mut settings = QueueSettings::new(QueueKind::Fifo);
    if attribute.name == "KmsDataKeyReusePeriodSeconds" {
        // It is shown with a key alone.
        settings.kms_key_id = Some("key".into());
    }
    attribute.show(&View {
        key: &key,
        settings: &settings,
        created_at: Timestamp(0),
        modified_at: Timestamp(0),
        paused: Paused::default(),
        messages: [0; 3],
    })
}

fn system_attributes() -> Vec<Vec<String>> {
    SYSTEM_ATTRIBUTES.iter().map(|row| vec![code(row.name), supported(row.own, row.name)]).collect()
}

fn supported(own: bool, attribute: &str) -> String {
    or_difference(if own { "ours" } else { "yes" }, attribute, ATTRIBUTE_DIFFERENCES)
}

fn errors() -> Vec<Vec<String>> {
    let of_aws = aws_errors().map(|(query_code, shape, status)| {
        let given = if find_error(query_code).is_some() { "yes" } else { "never given" };
        let shape = if shape.is_empty() { String::new() } else { code(shape) };
        let supported = or_difference(given, query_code, ERROR_DIFFERENCES);
        vec![code(query_code), shape, status.to_string(), supported]
    });
    let is_ours = |row: &&Row| aws_errors().all(|(query_code, ..)| query_code != row.query_code);
    let of_sqs = ROWS.iter().filter(|row| row.namespace != STS);
    let ours = of_sqs.filter(is_ours).map(|row| {
        vec![code(row.query_code), code(row.shape), row.status.to_string(), "ours".into()]
    });
    of_aws.chain(ours).collect()
}

fn limit_rows() -> Vec<Vec<String>> {
    let profiles = [&STRICT, &STANDARD, &RELAXED];
    let ranges = AWS_RANGES.iter().map(|(name, (min, max))| {
        let attribute = attributes::find(name, &STRICT).unwrap();
        let ours = profiles.map(|limits| {
            let (min, max) = attribute.range(limits).unwrap();
            format!("{min} to {max}")
        });
        [vec![code(name), format!("{min} to {max}")], ours.to_vec()].concat()
    });
    let others = LIMITS.iter().map(|limit| {
        let ours = profiles.map(|limits| (limit.ours)(limits));
        [vec![limit.what.into(), limit.aws.into()], ours.to_vec()].concat()
    });
    ranges.chain(others).collect()
}

fn find_error(query_code: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.query_code == query_code)
}

fn aws_errors() -> impl Iterator<Item = AwsError> {
    SQS_ERRORS.iter().chain(COMMON_ERRORS).copied()
}

/// What there is to say of a name, unless it differs.
fn or_difference(unless: &str, name: &str, differences: &[Difference]) -> String {
    let difference = differences.iter().find(|difference| difference.of == name);
    difference.map_or(unless, |difference| difference.text).into()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

#[test]
fn the_page_on_compatibility_is_what_the_tables_say() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sqs-compatibility.md");
    if std::env::var_os("STANCHION_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(path, document()).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    for (written, expected) in written.lines().zip(document().lines()) {
        assert_eq!(written, expected, "write the page anew, as it says itself");
    }
    assert_eq!(written, document());
}

#[test]
fn strict_limits_are_those_of_aws() {
    for limit in LIMITS.iter().filter(|limit| !limit.what.starts_with("calls per second")) {
        assert_eq!((limit.ours)(&STRICT), limit.aws, "{}", limit.what);
    }
    for attribute in ATTRIBUTES {
        let aws = AWS_RANGES.iter().find(|(name, _)| *name == attribute.name);
        assert_eq!(attribute.range(&STRICT), aws.map(|(_, range)| *range), "{}", attribute.name);
    }
}

#[test]
fn errors_have_the_types_and_statuses_of_aws() {
    for (errors, namespace) in
        [(SQS_ERRORS, "com.amazonaws.sqs"), (COMMON_ERRORS, "com.amazon.coral.service")]
    {
        for (query_code, shape, status) in errors {
            for row in ROWS.iter().filter(|row| row.query_code == *query_code) {
                assert_eq!((row.namespace, row.status), (namespace, *status), "{query_code}");
                assert!(row.shape == *shape || shape.is_empty(), "{query_code}");
            }
        }
    }
}

#[test]
fn every_action_is_one_of_aws_and_every_difference_is_one_of_something() {
    assert!(super::ACTIONS.iter().all(|row| AWS_ACTIONS.contains(&row.name)));
    let attributes = ATTRIBUTES.iter().map(|row| row.name);
    let attributes: Vec<_> =
        attributes.chain(SYSTEM_ATTRIBUTES.iter().map(|row| row.name)).collect();
    let errors: Vec<_> = aws_errors().map(|(query_code, ..)| query_code).collect();
    for (differences, names) in [
        (ACTION_DIFFERENCES, AWS_ACTIONS),
        (ATTRIBUTE_DIFFERENCES, &attributes),
        (ERROR_DIFFERENCES, &errors),
    ] {
        for difference in differences {
            assert!(names.contains(&difference.of), "{}", difference.of);
        }
    }
}
