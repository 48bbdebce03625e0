//! What can go wrong with a call, and whether it may be tried again.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;

/// Why a call failed. Cheap to clone: one failure of a batch concerns many senders.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The server refused.
    #[error(transparent)]
    Service(Arc<ServiceError>),
    /// There was no answer: nobody listens, or the connection broke.
    #[error("{action}: no answer: {source}")]
    Connection {
        /// The action, such as `SendMessage`.
        action: &'static str,
        /// What broke.
        source: Arc<dyn std::error::Error + Send + Sync>,
        /// The request may have arrived, and may have been carried out.
        arrived: bool,
    },
    /// There was no answer in time. The request may have been carried out.
    #[error("{action}: no answer within {} ms", after.as_millis())]
    Timeout {
        /// The action, such as `SendMessage`.
        action: &'static str,
        /// How long the client waited.
        after: Duration,
    },
    /// The answer is damaged: a digest differs from what was sent or received, or it cannot be read.
    #[error("{action}: damaged answer (request {}): {reason}", request_id.as_deref().unwrap_or("unknown"))]
    Corrupt {
        /// The action, such as `SendMessage`.
        action: &'static str,
        /// What is wrong with it.
        reason: String,
        /// The request id that the server gave.
        request_id: Option<String>,
    },
    /// There are no credentials to sign with, or those who provide them do not answer.
    #[error("no credentials: {0}")]
    Credentials(Arc<dyn std::error::Error + Send + Sync>),
    /// The request cannot be made of what was given, such as text for a header that is none.
    #[error("{action}: {reason}")]
    Invalid {
        /// The action, such as `SendMessage`.
        action: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A server's refusal.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{action}: {code}: {message} (status {status}, request {})", request_id.as_deref().unwrap_or("unknown"))]
pub struct ServiceError {
    /// The action, such as `SendMessage`.
    pub action: &'static str,
    /// The name of the error, without a prefix: `QueueDoesNotExist`.
    pub code: String,
    /// The server's sentence.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// The id under which the server's log knows the request.
    pub request_id: Option<String>,
}

/// What a repetition of a failed call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing was done; it may go better next time.
    NotDone,
    /// It may have been done; it may go better next time.
    MayBeDone,
    /// It will go the same way.
    Final,
}

impl Error {
    /// The name of the error as the server gave it, such as `QueueDoesNotExist`.
    pub fn code(&self) -> Option<&str> {
        match self {
            Error::Service(error) => Some(&error.code),
            _ => None,
        }
    }

    /// The id under which the server's log knows the request.
    pub fn request_id(&self) -> Option<&str> {
        match self {
            Error::Service(error) => error.request_id.as_deref(),
            Error::Corrupt { request_id, .. } => request_id.as_deref(),
            _ => None,
        }
    }

    /// Whether the same call may go better later.
    pub fn is_retryable(&self) -> bool {
        self.verdict() != Verdict::Final
    }

    /// Whether the queue does not exist.
    pub fn is_queue_missing(&self) -> bool {
        self.code() == Some("QueueDoesNotExist")
    }

    /// Whether the caller may not do this, or is not known.
    pub fn is_denied(&self) -> bool {
        matches!(self, Error::Service(error) if matches!(error.status, 401 | 403)
            && !is_throttled(&error.code) && !REFUSED_WITH_403.contains(&error.code.as_str()))
    }

    pub(crate) fn verdict(&self) -> Verdict {
        match self {
            Error::Service(error) if is_throttled(&error.code) || error.status == 429 => {
                Verdict::NotDone
            }
            Error::Service(error) if error.status == 503 => Verdict::NotDone,
            // The server's time for the request was over.
            Error::Service(error) if error.status == 408 => Verdict::MayBeDone,
            Error::Service(error) if error.status >= 500 => Verdict::MayBeDone,
            Error::Connection { arrived: false, .. } => Verdict::NotDone,
            Error::Connection { .. } | Error::Timeout { .. } => Verdict::MayBeDone,
            // It was done; what came back of it is damaged.
            Error::Corrupt { .. } => Verdict::MayBeDone,
            // Who provides them failed; nothing was sent.
            Error::Credentials(error)
                if !matches!(
                    error.downcast_ref(),
                    Some(
                        CredentialsError::CredentialsNotLoaded(_)
                            | CredentialsError::InvalidConfiguration(_)
                    )
                ) =>
            {
                Verdict::NotDone
            }
            Error::Service(_) | Error::Credentials(_) | Error::Invalid { .. } => Verdict::Final,
        }
    }
}

/// Refusals with status 403 that have nothing to do with rights.
const REFUSED_WITH_403: &[&str] = &["OverLimit", "PurgeQueueInProgress"];

/// Whether a batch entry or a request failed only because there was too much at once.
pub(crate) fn is_throttled(code: &str) -> bool {
    const THROTTLED: &[&str] = &[
        "KmsThrottled",
        "RequestThrottled",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    ];
    THROTTLED.contains(&code)
}
