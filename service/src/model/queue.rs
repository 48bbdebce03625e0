//! What a queue is called: its name, its ARN, its URL.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::limits;

/// Standard or FIFO; decided when the queue is created, and for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueKind {
    /// At-least-once, best-effort order.
    Standard,
    /// Ordered within a message group, deduplicated.
    Fifo,
}

/// What a queue does not do for its clients at present, because an operator said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Receives find nothing.
    pub receive: bool,
    /// Sends are refused.
    pub send: bool,
}

impl Paused {
    /// Nothing is held up.
    pub fn is_nothing(&self) -> bool {
        *self == Paused::default()
    }

    /// In words; `None` where nothing is held up.
    pub fn as_str(&self) -> Option<&'static str> {
        match (self.receive, self.send) {
            (false, false) => None,
            (true, false) => Some("receive"),
            (false, true) => Some("send"),
            (true, true) => Some("both"),
        }
    }
}

/// 1 to 80 letters, digits, `-` or `_`; a FIFO queue's ends in `.fifo`, which counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueName(Arc<str>);

impl QueueName {
    /// Parses a name. Mirrors CreateQueue, `QueueName`.
    pub fn parse(text: &str) -> Result<QueueName, Error> {
        let stem = text.strip_suffix(".fifo").unwrap_or(text);
        let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if stem.is_empty() || text.len() > limits::QUEUE_NAME_BYTES_MAX || !stem.bytes().all(legal)
        {
            return Err(Error::InvalidQueueName);
        }
        Ok(QueueName(text.into()))
    }

    /// As the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind the name asks for: FIFO when it ends in `.fifo`.
    pub fn kind(&self) -> QueueKind {
        if self.0.ends_with(".fifo") { QueueKind::Fifo } else { QueueKind::Standard }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Twelve digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// Parses an account id; `None` unless it is exactly twelve digits.
    pub fn parse(text: &str) -> Option<AccountId> {
        let legal = text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit());
        legal.then(|| AccountId(text.into()))
    }

    /// The twelve digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A region such as `us-east-1`: 1 to 32 lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Arc<str>);

impl Region {
    /// Parses a region name.
    pub fn parse(text: &str) -> Option<Region> {
        let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let ok = !text.is_empty() && text.len() <= 32 && text.bytes().all(legal);
        ok.then(|| Region(text.into()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition an ARN of this region names: `aws`, `aws-cn`, `aws-us-gov`.
    pub fn partition(&self) -> &'static str {
        match () {
            () if self.0.starts_with("cn-") => "aws-cn",
            () if self.0.starts_with("us-gov-") => "aws-us-gov",
            () => "aws",
        }
    }
}

/// A queue's full name: the same name may exist once in each account and region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueKey {
    /// Who owns it.
    pub account: AccountId,
    /// Where it lives.
    pub region: Region,
    /// What it is called there.
    pub name: QueueName,
}

impl QueueKey {
    /// `arn:<partition>:sqs:<region>:<account>:<name>`.
    pub fn arn(&self) -> String {
        format!(
            "arn:{}:sqs:{}:{}:{}",
            self.region.partition(),
            self.region.as_str(),
            self.account.as_str(),
            self.name
        )
    }

    /// Parses an ARN of an SQS queue; any partition.
    pub fn parse_arn(text: &str) -> Option<QueueKey> {
        let mut parts = text.splitn(6, ':');
        let (arn, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
        if arn != "arn" || !partition.starts_with("aws") || service != "sqs" {
            return None;
        }
        Some(QueueKey {
            region: Region::parse(parts.next()?)?,
            account: AccountId::parse(parts.next()?)?,
            name: QueueName::parse(parts.next()?).ok()?,
        })
    }

    /// What a `QueueUrl` parameter names. Accepts a URL with any scheme and host (only the last two
    /// path segments count), a bare queue name (the caller's account), or an ARN.
    // Differs from AWS: an ARN is no queue URL there.
    pub fn parse_url(text: &str, account: &AccountId, region: &Region) -> Result<QueueKey, Error> {
        if text.starts_with("arn:") {
            return QueueKey::parse_arn(text).ok_or(Error::QueueDoesNotExist);
        }
        let path = text.split_once("://").map_or(text, |(_, rest)| rest);
        let path = path.split(['?', '#']).next().unwrap_or(path).trim_end_matches('/');
        let mut segments = path.rsplit('/');
        // An odd URL is a queue that does not exist, never a syntax error (facts sheet, 1.9).
        let name = QueueName::parse(segments.next().unwrap_or_default())
            .map_err(|_| Error::QueueDoesNotExist)?;
        let account = match segments.next() {
            None => account.clone(),
            Some(owner) => AccountId::parse(owner).ok_or(Error::QueueDoesNotExist)?,
        };
        Ok(QueueKey { account, region: region.clone(), name })
    }
}

impl fmt::Display for QueueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn())
    }
}

/// Which of the 256 key prefixes holds a queue's rows. A shard owns a range of slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// A queue's identity for its whole life: deleted and created again, it is another queue.
/// Unique within a slot; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId(pub u64);

/// Under which id a queue's rows are stored at present; a purge takes a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);
