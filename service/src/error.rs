//! The one error type. It speaks the domain and carries data; `api/error_table.rs` alone knows the
//! types, codes and statuses of the wire.

use std::borrow::Cow;
use std::fmt;

use crate::limits::SIGNATURE_SKEW_S;
use crate::model::calendar::Moment;

/// What can go wrong with a request, and with the server behind it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No such queue, or a `QueueUrl` that cannot name one.
    #[error("The specified queue does not exist.")]
    QueueDoesNotExist,
    /// A queue of another account that does not exist, or that the caller has no way to.
    #[error("The specified queue does not exist or you do not have access to it.")]
    QueueOutOfReach,
    /// CreateQueue with another value for an attribute than the queue has.
    #[error(
        "A queue already exists with the same name and a different value for attribute {attribute}"
    )]
    QueueNameExists {
        /// The attribute that differs.
        attribute: &'static str,
    },
    /// `strict` limits: created again within 60 seconds of its deletion.
    #[error(
        "You must wait 60 seconds after deleting a queue before you can create another with the \
         same name."
    )]
    QueueDeletedRecently,
    /// `strict` limits: purged again within 60 seconds.
    #[error("Only one PurgeQueue operation on {queue} is allowed every 60 seconds.")]
    PurgeQueueInProgress {
        /// The queue's name.
        queue: String,
    },
    /// A standard queue's name that is none.
    #[error("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")]
    InvalidQueueName,
    /// A FIFO queue's name that is none.
    #[error(
        "The name of a FIFO queue can only include alphanumeric characters, hyphens, or \
         underscores, must end with .fifo suffix and be 1 to 80 in length"
    )]
    InvalidFifoQueueName,
    /// A required parameter is missing or empty.
    #[error("The request must contain the parameter {name}.")]
    MissingParameter {
        /// As on the wire.
        name: Cow<'static, str>,
    },
    /// A parameter has a value it may not have.
    #[error("Value {value} for parameter {name} is invalid. Reason: {reason}")]
    InvalidParameterValue {
        /// As on the wire.
        name: Cow<'static, str>,
        /// What was given.
        value: String,
        /// Why not.
        reason: Cow<'static, str>,
    },
    /// An `InvalidParameterValue` whose text AWS words freely.
    #[error("{0}")]
    InvalidParameter(Cow<'static, str>),
    /// Parameters that exclude each other.
    #[error("{0}")]
    InvalidParameterCombination(Cow<'static, str>),
    /// An attribute that does not exist, or not for this queue.
    #[error("{0}")]
    InvalidAttributeName(Cow<'static, str>),
    /// An attribute with a value it may not have.
    #[error("{0}")]
    InvalidAttributeValue(Cow<'static, str>),
    /// Parameters of STS that are not what they must be; all of them are told.
    #[error("{0}")]
    ValidationError(String),
    /// The token of an issuer is past its time. Both are seconds since 1970.
    #[error(
        "Token expired: current date/time {now} must be before the expiration date/time {expires}"
    )]
    IdentityTokenExpired {
        /// What the server's clock shows.
        now: u64,
        /// When the token ended.
        expires: u64,
    },
    /// A token that is none, or not of an issuer that is believed, or not for us.
    #[error("{0}")]
    InvalidIdentityToken(Cow<'static, str>),
    /// The keys of an issuer have not been read yet; they may be soon.
    #[error("Couldn't retrieve verification key from your identity provider")]
    IdpCommunicationError,
    /// A session policy that is none.
    #[error("{0}")]
    MalformedPolicyDocument(Cow<'static, str>),
    /// A session policy that is too long in bytes; carries how long it is, in percent.
    #[error("Packed policy consumes {0}% of allotted space, please use smaller policy.")]
    PackedPolicyTooLarge(usize),
    /// A body with characters that XML 1.0 does not allow.
    #[error(
        "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF \
         | #xE000 to #xFFFD | #x10000 to #x10FFFF"
    )]
    InvalidMessageContents,
    /// A handle that is garbage.
    #[error("The input receipt handle \"{0}\" is not a valid receipt handle.")]
    ReceiptHandleIsInvalid(String),
    /// A handle of another queue.
    #[error("The receipt handle \"{0}\" is not valid for this queue.")]
    ReceiptHandleOfAnotherQueue(String),
    /// FIFO: the visibility timeout of this receive is over, or a newer receive holds the message.
    #[error(
        "Value {0} for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired."
    )]
    ReceiptHandleExpired(String),
    /// ChangeMessageVisibility of a message that is gone.
    #[error(
        "Value {0} for parameter ReceiptHandle is invalid. Reason: Message does not exist or is \
         not available for visibility timeout change."
    )]
    MessageNotAvailable(String),
    /// ChangeMessageVisibility past twelve hours after the receive.
    #[error(
        "Value {0} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for \
         the message is beyond the limit [43200 seconds]"
    )]
    VisibilityBeyondLimit(u32),
    /// Too many of something: messages in flight, policy statements.
    #[error("{0}")]
    OverLimit(Cow<'static, str>),
    /// `strict` limits: a queue whose `KmsMasterKeyId` no master key answers to.
    #[error("Invalid keyId '{0}'")]
    KmsNotFound(String),
    /// A queue's key is one that seals nothing any more.
    #[error("The key '{0}' is disabled.")]
    KmsDisabled(String),
    /// A send to a queue that an operator has paused.
    #[error("The queue is paused and takes no messages at present. Try again later.")]
    QueuePaused,
    /// More requests than the configuration allows an access key, or of a queue; carries which.
    #[error("Rate exceeded: too many requests of this {0}. Try again later.")]
    RequestThrottled(&'static str),
    /// A batch without entries; carries the entry's type name.
    #[error("There should be at least one {0} in the request.")]
    EmptyBatchRequest(&'static str),
    /// More than ten entries.
    #[error("Maximum number of entries per request are 10. You have sent {0}.")]
    TooManyEntriesInBatchRequest(usize),
    /// A batch entry id that is none.
    #[error(
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It \
         can be at most 80 letters long."
    )]
    InvalidBatchEntryId,
    /// Two entries with one id.
    #[error("Id {0} repeated.")]
    BatchEntryIdsNotDistinct(String),
    /// All entries together are over 1 MiB.
    #[error("Batch requests cannot be longer than {max} bytes. You have sent {bytes} bytes.")]
    BatchRequestTooLong {
        /// What was sent.
        bytes: usize,
        /// What is allowed.
        max: usize,
    },
    /// What a parameter names does not exist; carries the parameter.
    #[error("The resource that you specified for the {0} parameter doesn't exist.")]
    ResourceNotFound(&'static str),
    /// A message move task that is not known, or no longer.
    #[error("Task does not exist.")]
    MoveTaskDoesNotExist,
    /// A source has one task at a time.
    #[error(
        "There is already a task running. Only one active task is allowed for a source queue arn \
         at a given time."
    )]
    MoveTaskIsRunning,
    /// Cancelled when it was over, or being cancelled.
    #[error("Only active tasks can be cancelled.")]
    MoveTaskIsOver,
    /// Something this queue or server does not do.
    #[error("{0}")]
    UnsupportedOperation(Cow<'static, str>),
    /// No action of that name.
    #[error("The action {0} is not valid for this endpoint.")]
    UnknownAction(String),
    /// A request that names no action.
    #[error("The request must contain the parameter Action.")]
    MissingAction,
    /// Parameters that cannot be parsed.
    #[error("{0}")]
    MalformedQueryString(Cow<'static, str>),
    /// A body that cannot be parsed.
    #[error("{0}")]
    MalformedInput(Cow<'static, str>),
    /// The address names no queue.
    #[error("The address {0} is not valid for this endpoint.")]
    InvalidAddress(String),
    /// No policy allows it, or one denies it. The text says who, what and why.
    #[error("{0}")]
    AccessDenied(Cow<'static, str>),
    /// An unsigned request to what no policy can open to everybody.
    #[error("Request is missing Authentication Token")]
    MissingAuthenticationToken,
    /// A signature that lacks something or cannot be read.
    #[error("{0}")]
    IncompleteSignature(Cow<'static, str>),
    /// A signature of an older kind.
    #[error("The request was not made over HTTPS or did not use SigV4 for signing.")]
    InvalidSecurity,
    /// A signature for another region, service or day, or one that leaves out what must be signed.
    #[error("{0}")]
    SignatureNotAcceptable(Cow<'static, str>),
    /// Signed too long ago.
    #[error(
        "Signature expired: {at} is now earlier than {} ({now} - 15 min.)",
        now.minus(SIGNATURE_SKEW_S)
    )]
    SignatureExpired {
        /// When, as the request says.
        at: Moment,
        /// What the server's clock shows.
        now: Moment,
    },
    /// Signed in the future.
    #[error(
        "Signature not yet current: {at} is still later than {} ({now} + 15 min.)",
        now.plus(SIGNATURE_SKEW_S)
    )]
    SignatureNotYetCurrent {
        /// When, as the request says.
        at: Moment,
        /// What the server's clock shows.
        now: Moment,
    },
    /// A presigned URL whose time is over.
    #[error("Request has expired.")]
    RequestExpired,
    /// An access key that nobody has or that is disabled, or a session token that is not its own.
    #[error("The security token included in the request is invalid.")]
    InvalidClientTokenId,
    /// A session that is over.
    #[error("The security token included in the request is expired")]
    ExpiredToken,
    /// A signature that is another one than the secret key gives.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details."
    )]
    SignatureDoesNotMatch(Box<Unmatched>),
    // Differs from AWS: the next two are ours.
    /// A request whose body is larger than any legal one.
    #[error("The request is larger than {0} bytes.")]
    RequestTooLarge(usize),
    /// A request that took too long: to arrive, or to be answered, and then what it began goes on.
    #[error("The request was not {0} in time.")]
    RequestTimeout(&'static str),
    /// Too much at once, or not enough room on the disk: try again.
    #[error("{0}")]
    ServiceUnavailable(Cow<'static, str>),
    /// A fault of ours. The text is for the log; the caller gets a request id.
    #[error("internal failure: {0}")]
    Internal(Cow<'static, str>),
}

/// What should have been signed. The client is told; it is not for the log, which shows no more of
/// a request than it must.
#[derive(Clone, PartialEq, Eq)]
pub struct Unmatched {
    /// The canonical request.
    pub canonical: String,
    /// The text that the signature is made of.
    pub to_sign: String,
}

impl fmt::Debug for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unmatched(…)")
    }
}

impl Error {
    /// Whether it says that somebody may not do what they ask for, or is not who they say.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Error::AccessDenied(_)
                | Error::MissingAuthenticationToken
                | Error::IncompleteSignature(_)
                | Error::InvalidSecurity
                | Error::SignatureNotAcceptable(_)
                | Error::SignatureExpired { .. }
                | Error::SignatureNotYetCurrent { .. }
                | Error::SignatureDoesNotMatch(_)
                | Error::RequestExpired
                | Error::InvalidClientTokenId
                | Error::ExpiredToken
                | Error::IdentityTokenExpired { .. }
                | Error::InvalidIdentityToken(_)
        )
    }

    /// A required parameter is missing or empty.
    pub fn missing(name: impl Into<Cow<'static, str>>) -> Error {
        Error::MissingParameter { name: name.into() }
    }

    /// A parameter has a value it may not have.
    pub fn invalid(
        name: impl Into<Cow<'static, str>>,
        value: impl ToString,
        reason: impl Into<Cow<'static, str>>,
    ) -> Error {
        Error::InvalidParameterValue {
            name: name.into(),
            value: value.to_string(),
            reason: reason.into(),
        }
    }
}
