//! Queue attributes: the typed settings of a queue, and the table of every attribute: its name, who
//! may set it to what, and when it is shown. `redrive.rs` and `policy/` read the ones whose value is JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::policy::queue_policy::QueuePolicy;
use super::queue::{Paused, QueueKey, QueueKind};
use super::redrive;
use super::time::{Millis, Timestamp};
use crate::error::Error;
use crate::limits::{self, Limits};

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

impl DeduplicationScope {
    fn parse(text: &str) -> Option<DeduplicationScope> {
        [DeduplicationScope::Queue, DeduplicationScope::MessageGroup]
            .into_iter()
            .find(|scope| scope.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            DeduplicationScope::Queue => "queue",
            DeduplicationScope::MessageGroup => "messageGroup",
        }
    }
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

impl FifoThroughputLimit {
    fn parse(text: &str) -> Option<FifoThroughputLimit> {
        [FifoThroughputLimit::PerQueue, FifoThroughputLimit::PerMessageGroupId]
            .into_iter()
            .find(|limit| limit.as_str() == text)
    }

    fn as_str(self) -> &'static str {
        match self {
            FifoThroughputLimit::PerQueue => "perQueue",
            FifoThroughputLimit::PerMessageGroupId => "perMessageGroupId",
        }
    }
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
    /// `Policy`.
    pub policy: Option<QueuePolicy>,
    /// `KmsMasterKeyId`, as given.
    pub kms_key_id: Option<String>,
    /// `KmsDataKeyReusePeriodSeconds`.
    pub kms_reuse_s: u32,
    /// `SqsManagedSseEnabled`.
    pub sse_enabled: bool,
    /// `Stanchion.LongDelays`, ours: messages may be delayed by up to a year.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub long_delays: bool,
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
            long_delays: false,
        }
    }

    /// Whether messages are to be kept encrypted, where the server can.
    pub fn is_encrypted(&self) -> bool {
        self.sse_enabled || self.kms_key_id.is_some()
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

/// A queue as GetQueueAttributes sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Its full name.
    pub key: &'a QueueKey,
    /// Its settings.
    pub settings: &'a QueueSettings,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its attributes were last changed.
    pub modified_at: Timestamp,
    /// What it does not do at present.
    pub paused: Paused,
    /// Messages ready to be received, in flight, delayed. Only looked at for attributes that are
    /// [`QueueAttribute::counted`].
    pub messages: [u64; 3],
}

/// One attribute of a queue: a row of [`ATTRIBUTES`].
pub struct QueueAttribute {
    /// As on the wire.
    pub name: &'static str,
    /// Showing it needs the queue's message counts.
    pub counted: bool,
    /// Ours: AWS does not have it. Shown where it is set and asked for by its name.
    own: bool,
    rule: Rule,
    show: fn(&View<'_>) -> Option<String>,
}

impl QueueAttribute {
    /// Its value; `None` where the queue does not have it.
    pub fn show(&self, view: &View<'_>) -> Option<String> {
        (self.show)(view)
    }

    /// The least and the greatest number that it may be set to; `None` where it is no number.
    pub(crate) fn range(&self, limits: &Limits) -> Option<(u32, u32)> {
        match self.rule {
            Rule::Number(min, max, _) => Some((min(limits), max)),
            _ => None,
        }
    }

    /// AWS does not have it.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// Somebody may set it; on FIFO queues alone, if at all.
    pub(crate) fn is_settable(&self) -> (bool, bool) {
        let fifo = matches!(self.rule, Rule::Fifo(_) | Rule::Kind);
        (!matches!(self.rule, Rule::ReadOnly), fifo)
    }
}

/// Who may set an attribute, and to what.
enum Rule {
    /// Nobody.
    ReadOnly,
    /// A whole number from the first to the second.
    Number(fn(&Limits) -> u32, u32, fn(&mut QueueSettings) -> &mut u32),
    /// Whatever the function takes; it words its own refusal.
    Text(fn(&mut QueueSettings, &str) -> Result<(), Error>),
    /// On FIFO queues alone: whatever the function takes.
    Fifo(fn(&mut FifoSettings, &str) -> Option<()>),
    /// `FifoQueue`: said at creation, and never changed.
    Kind,
}

/// Every attribute, in the order in which a call's values are put in force. Source: facts sheet,
/// 3.1.
#[rustfmt::skip]
pub const ATTRIBUTES: &[QueueAttribute] = &[
    row("VisibilityTimeout", Rule::Number(|_| 0, limits::IN_FLIGHT_S_MAX, |s| &mut s.visibility_timeout_s),
        |v| Some(v.settings.visibility_timeout_s.to_string())),
    row("DelaySeconds", Rule::Number(|_| 0, limits::DELAY_S_MAX, |s| &mut s.delay_s),
        |v| Some(v.settings.delay_s.to_string())),
    row("MaximumMessageSize", Rule::Number(|l| l.message_bytes_min, limits::MESSAGE_BYTES_MAX, |s| &mut s.message_bytes_max),
        |v| Some(v.settings.message_bytes_max.to_string())),
    row("MessageRetentionPeriod", Rule::Number(|l| l.retention_s_min, limits::RETENTION_S_MAX, |s| &mut s.retention_s),
        |v| Some(v.settings.retention_s.to_string())),
    row("ReceiveMessageWaitTimeSeconds", Rule::Number(|_| 0, limits::RECEIVE_WAIT_S_MAX, |s| &mut s.receive_wait_s),
        |v| Some(v.settings.receive_wait_s.to_string())),
    row("Policy", Rule::Text(set_policy),
        |v| v.settings.policy.as_ref().map(|policy| policy.text().into())),
    row("RedrivePolicy", Rule::Text(|s, text| redrive::parse_redrive(text).map(|policy| s.redrive = policy)),
        |v| v.settings.redrive.as_ref().map(redrive::show_redrive)),
    row("RedriveAllowPolicy", Rule::Text(|s, text| redrive::parse_redrive_allow(text).map(|policy| s.redrive_allow = policy)),
        |v| v.settings.redrive_allow.clone()),
    row("SqsManagedSseEnabled", Rule::Text(set_sse),
        |v| Some(v.settings.sse_enabled.to_string())),
    row("KmsMasterKeyId", Rule::Text(set_kms_key),
        |v| v.settings.kms_key_id.clone()),
    row("KmsDataKeyReusePeriodSeconds", Rule::Number(|_| 60, 86_400, |s| &mut s.kms_reuse_s),
        |v| v.settings.kms_key_id.as_ref().map(|_| v.settings.kms_reuse_s.to_string())),
    row("FifoQueue", Rule::Kind,
        |v| v.settings.fifo.map(|_| "true".into())),
    row("ContentBasedDeduplication", Rule::Fifo(|s, text| parse_bool(text).map(|on| s.content_based_deduplication = on)),
        |v| v.settings.fifo.map(|fifo| fifo.content_based_deduplication.to_string())),
    row("DeduplicationScope", Rule::Fifo(|s, text| DeduplicationScope::parse(text).map(|scope| s.deduplication_scope = scope)),
        |v| v.settings.fifo.map(|fifo| fifo.deduplication_scope.as_str().into())),
    row("FifoThroughputLimit", Rule::Fifo(|s, text| FifoThroughputLimit::parse(text).map(|limit| s.throughput_limit = limit)),
        |v| v.settings.fifo.map(|fifo| fifo.throughput_limit.as_str().into())),
    row("QueueArn", Rule::ReadOnly, |v| Some(v.key.arn())),
    row("CreatedTimestamp", Rule::ReadOnly, |v| Some(v.created_at.secs().to_string())),
    row("LastModifiedTimestamp", Rule::ReadOnly, |v| Some(v.modified_at.secs().to_string())),
    counted("ApproximateNumberOfMessages", |v| Some(v.messages[0].to_string())),
    counted("ApproximateNumberOfMessagesNotVisible", |v| Some(v.messages[1].to_string())),
    counted("ApproximateNumberOfMessagesDelayed", |v| Some(v.messages[2].to_string())),
    own("Stanchion.Paused", Rule::ReadOnly,
        |v| v.paused.as_str().map(Into::into)),
    own("Stanchion.LongDelays", Rule::Text(set_long_delays),
        |v| v.settings.long_delays.then(|| "true".into())),
];

const fn row(
    name: &'static str,
    rule: Rule,
    show: fn(&View<'_>) -> Option<String>,
) -> QueueAttribute {
    QueueAttribute { name, counted: false, own: false, rule, show }
}

const fn own(
    name: &'static str,
    rule: Rule,
    show: fn(&View<'_>) -> Option<String>,
) -> QueueAttribute {
    QueueAttribute { name, counted: false, own: true, rule, show }
}

const fn counted(name: &'static str, show: fn(&View<'_>) -> Option<String>) -> QueueAttribute {
    QueueAttribute { name, counted: true, own: false, rule: Rule::ReadOnly, show }
}

/// The row of a name; names are case-sensitive.
pub fn find(name: &str, limits: &Limits) -> Result<&'static QueueAttribute, Error> {
    let known = |row: &&QueueAttribute| row.name == name && (!row.own || limits.own_attributes);
    ATTRIBUTES.iter().find(known).ok_or_else(|| unknown(name))
}

/// Puts the given values in force, for CreateQueue and SetQueueAttributes alike. On an error the
/// settings may be half changed: apply to a copy.
///
/// What a redrive policy points at is not looked at here: it takes the catalogue.
pub fn apply(
    settings: &mut QueueSettings,
    given: &BTreeMap<String, String>,
    limits: &Limits,
) -> Result<(), Error> {
    put(settings, given, limits)?;
    check_together(settings)
}

/// The same, without a look at whether they go together.
pub fn put(
    settings: &mut QueueSettings,
    given: &BTreeMap<String, String>,
    limits: &Limits,
) -> Result<(), Error> {
    if let Some(name) = given.keys().find(|name| find(name, limits).is_err()) {
        return Err(unknown(name));
    }
    for row in ATTRIBUTES {
        if let Some(value) = given.get(row.name) {
            apply_row(settings, row, value, limits)?;
        }
    }
    let key = given.get("KmsMasterKeyId").is_some_and(|key| !key.is_empty());
    if key && given.get("SqsManagedSseEnabled").and_then(|v| parse_bool(v)) == Some(true) {
        return Err(Error::InvalidAttributeName(
            "You can use one type of server-side encryption (SSE) at one time. You can either \
             enable KMS SSE or SQS SSE."
                .into(),
        ));
    }
    Ok(())
}

/// Whether values that are each legal go together.
pub fn check_together(settings: &QueueSettings) -> Result<(), Error> {
    match settings.fifo {
        Some(FifoSettings {
            throughput_limit: FifoThroughputLimit::PerMessageGroupId,
            deduplication_scope: DeduplicationScope::Queue,
            ..
        }) => Err(invalid_value("FifoThroughputLimit")),
        _ => Ok(()),
    }
}

fn apply_row(
    settings: &mut QueueSettings,
    row: &QueueAttribute,
    value: &str,
    limits: &Limits,
) -> Result<(), Error> {
    match row.rule {
        Rule::ReadOnly => Err(unknown(row.name)),
        Rule::Number(min, max, field) => {
            let number = parse_number(value).filter(|n| (min(limits)..=max).contains(n));
            *field(settings) = number.ok_or_else(|| invalid_value(row.name))?;
            Ok(())
        }
        Rule::Text(set) => set(settings, value),
        Rule::Fifo(set) => match &mut settings.fifo {
            Some(fifo) => set(fifo, value).ok_or_else(|| invalid_value(row.name)),
            // AWS words the older of its FIFO attributes differently (facts sheet, 3.2).
            None if row.name == "ContentBasedDeduplication" => Err(unknown(row.name)),
            None => Err(Error::InvalidAttributeName(
                format!("You can specify the {} only when FifoQueue is set to true.", row.name)
                    .into(),
            )),
        },
        Rule::Kind => match (settings.fifo, parse_bool(value)) {
            (None, _) => Err(unknown(row.name)),
            (Some(_), Some(true)) => Ok(()),
            (Some(_), _) => Err(Error::InvalidAttributeValue(
                "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not \
                 supported."
                    .into(),
            )),
        },
    }
}

/// CreateQueue of a queue that exists: the name of the first given attribute whose value differs
/// from the queue's. `wanted` are the defaults with the given values put in force (facts sheet,
/// 3.6).
pub fn first_difference(
    wanted: &View<'_>,
    existing: &View<'_>,
    given: &BTreeMap<String, String>,
) -> Option<&'static str> {
    ATTRIBUTES
        .iter()
        // An empty value means "not given" at creation; only texts may be empty.
        .filter(|row| given.get(row.name).is_some_and(|value| !value.is_empty()))
        .find(|row| row.show(wanted) != row.show(existing))
        .map(|row| row.name)
}

/// `true` or `false` in any case.
pub fn parse_bool(text: &str) -> Option<bool> {
    match () {
        () if text.eq_ignore_ascii_case("true") => Some(true),
        () if text.eq_ignore_ascii_case("false") => Some(false),
        () => None,
    }
}

/// Decimal digits and nothing else: no sign, no blank, no dot.
pub(super) fn parse_number(text: &str) -> Option<u32> {
    text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn set_policy(settings: &mut QueueSettings, value: &str) -> Result<(), Error> {
    settings.policy = match value.is_empty() {
        true => None,
        false => Some(QueuePolicy::parse(value)?),
    };
    Ok(())
}

/// Setting the flag removes the key (facts sheet, 3.9).
fn set_sse(settings: &mut QueueSettings, value: &str) -> Result<(), Error> {
    settings.sse_enabled =
        parse_bool(value).ok_or_else(|| invalid_value("SqsManagedSseEnabled"))?;
    if settings.sse_enabled {
        settings.kms_key_id = None;
    }
    Ok(())
}

/// Setting a key clears the flag (facts sheet, 3.9).
// Differs from AWS: these attributes are kept and shown, but bodies are stored as they come. No key
// is looked up, and none can be denied, disabled or throttled. Queues of either kind of encryption
// take requests over plain HTTP too.
fn set_kms_key(settings: &mut QueueSettings, value: &str) -> Result<(), Error> {
    if value.len() > KMS_KEY_ID_BYTES_MAX {
        return Err(invalid_value("KmsMasterKeyId"));
    }
    settings.kms_key_id = (!value.is_empty()).then(|| value.into());
    if settings.kms_key_id.is_some() {
        settings.sse_enabled = false;
    }
    Ok(())
}

fn set_long_delays(settings: &mut QueueSettings, value: &str) -> Result<(), Error> {
    settings.long_delays =
        parse_bool(value).ok_or_else(|| invalid_value("Stanchion.LongDelays"))?;
    Ok(())
}

/// The longest key ARN or alias that KMS takes.
const KMS_KEY_ID_BYTES_MAX: usize = 2048;

fn unknown(name: &str) -> Error {
    Error::InvalidAttributeName(format!("Unknown Attribute {name}.").into())
}

fn invalid_value(name: &str) -> Error {
    Error::InvalidAttributeValue(format!("Invalid value for the parameter {name}.").into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::queue::{AccountId, QueueName, Region};

    fn key(name: &str) -> QueueKey {
        QueueKey {
            account: AccountId::parse("000000000000").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
            name: QueueName::parse(name).unwrap(),
        }
    }

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn set(name: &str, pairs: &[(&str, &str)]) -> Result<QueueSettings, Error> {
        let mut settings = QueueSettings::new(key(name).name.kind());
        apply(&mut settings, &given(pairs), &limits::STANDARD).map(|()| settings)
    }

    fn shown(name: &str, settings: &QueueSettings) -> Vec<(&'static str, String)> {
        let key = key(name);
        let view = view(&key, settings);
        ATTRIBUTES.iter().filter_map(|row| Some((row.name, row.show(&view)?))).collect()
    }

    fn view<'a>(key: &'a QueueKey, settings: &'a QueueSettings) -> View<'a> {
        let (created_at, modified_at) = (Timestamp(1_000), Timestamp(2_500));
        View {
            key,
            settings,
            created_at,
            modified_at,
            paused: Paused::default(),
            messages: [1, 2, 3],
        }
    }

    #[test]
    fn names_are_distinct() {
        let mut names: Vec<_> = ATTRIBUTES.iter().map(|row| row.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ATTRIBUTES.len());
    }

    #[test]
    fn a_fresh_standard_queue_shows_twelve_and_a_fresh_fifo_queue_sixteen() {
        assert_eq!(shown("q", &QueueSettings::new(QueueKind::Standard)).len(), 12);
        let fifo = shown("q.fifo", &QueueSettings::new(QueueKind::Fifo));
        assert_eq!(fifo.len(), 16);
        assert!(fifo.contains(&("LastModifiedTimestamp", "2".into())));
        assert!(fifo.contains(&("FifoThroughputLimit", "perQueue".into())));
    }

    #[test]
    fn values_are_taken_up_to_their_limits_and_no_further() {
        #[rustfmt::skip]
        let cases = [
            ("VisibilityTimeout",             "0", "43200",   &["-1", "43201", "", " 1", "1.0", "+1", "x"][..]),
            ("DelaySeconds",                  "0", "900",     &["901", "4294967296"]),
            ("MaximumMessageSize",            "1024", "1048576", &["1023", "1048577"]),
            ("MessageRetentionPeriod",        "60", "1209600", &["59", "1209601"]),
            ("ReceiveMessageWaitTimeSeconds", "0", "20",      &["21"]),
            ("KmsDataKeyReusePeriodSeconds",  "60", "86400",  &["59", "86401"]),
            ("SqsManagedSseEnabled",          "True", "FALSE", &["", "1", "yes"]),
        ];
        for (name, least, most, wrong) in cases {
            for legal in [least, most] {
                assert!(set("q", &[(name, legal)]).is_ok(), "{name}={legal}");
            }
            for value in wrong {
                let error = set("q", &[(name, value)]).unwrap_err();
                assert_eq!(error, invalid_value(name), "{name}={value}");
            }
        }
    }

    #[test]
    fn fifo_attributes_are_refused_on_standard_queues_in_the_words_of_aws() {
        let text = |name, value| set("q", &[(name, value)]).unwrap_err().to_string();
        assert_eq!(text("FifoQueue", "false"), "Unknown Attribute FifoQueue.");
        assert_eq!(
            text("ContentBasedDeduplication", "true"),
            "Unknown Attribute ContentBasedDeduplication."
        );
        assert_eq!(
            text("DeduplicationScope", "queue"),
            "You can specify the DeduplicationScope only when FifoQueue is set to true."
        );
        assert_eq!(text("QueueArn", "x"), "Unknown Attribute QueueArn.");
        assert_eq!(text("Nonsense", "x"), "Unknown Attribute Nonsense.");
    }

    #[test]
    fn the_kind_of_a_queue_never_changes() {
        assert!(set("q.fifo", &[("FifoQueue", "True")]).is_ok());
        let error = set("q.fifo", &[("FifoQueue", "false")]).unwrap_err();
        assert!(matches!(error, Error::InvalidAttributeValue(_)));
    }

    #[test]
    fn throughput_per_group_needs_deduplication_per_group() {
        let per_group = ("FifoThroughputLimit", "perMessageGroupId");
        assert!(set("q.fifo", &[per_group]).is_err());
        assert!(set("q.fifo", &[per_group, ("DeduplicationScope", "messageGroup")]).is_ok());
        assert!(set("q.fifo", &[("DeduplicationScope", "messagegroup")]).is_err());
        let mut alone = QueueSettings::new(QueueKind::Fifo);
        put(&mut alone, &given(&[per_group]), &limits::STANDARD).unwrap();
        assert!(check_together(&alone).is_err());
    }

    #[test]
    fn a_queue_is_encrypted_in_one_way_at_a_time() {
        let both = [("KmsMasterKeyId", "alias/aws/sqs"), ("SqsManagedSseEnabled", "true")];
        assert!(matches!(set("q", &both), Err(Error::InvalidAttributeName(_))));
        let mut settings = set("q", &both[..1]).unwrap();
        assert!(!settings.sse_enabled);
        apply(&mut settings, &given(&both[1..]), &limits::STANDARD).unwrap();
        assert_eq!((settings.sse_enabled, settings.kms_key_id), (true, None));
    }

    #[test]
    fn an_existing_queue_answers_a_creation_that_asks_for_nothing_else() {
        let existing = set("q", &[("DelaySeconds", "5"), ("VisibilityTimeout", "7")]).unwrap();
        let key = key("q");
        let difference = |pairs: &[(&str, &str)]| {
            let wanted = set("q", pairs).unwrap();
            first_difference(&view(&key, &wanted), &view(&key, &existing), &given(pairs))
        };
        assert_eq!(difference(&[]), None);
        assert_eq!(difference(&[("DelaySeconds", "05")]), None);
        assert_eq!(difference(&[("Policy", "")]), None);
        assert_eq!(difference(&[("DelaySeconds", "6")]), Some("DelaySeconds"));
        assert_eq!(difference(&[("MaximumMessageSize", "1024")]), Some("MaximumMessageSize"));
    }
}
