//! What can go wrong with a function.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;

/// What a function said when it failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionError {
    /// The kind of error, such as `ValueError`.
    pub error_type: String,
    /// What went wrong.
    pub message: String,
    /// Its answer as it was, most often JSON with these two and a stack trace.
    pub payload: Bytes,
}

impl FunctionError {
    /// Reads what a runtime posts: its header has the kind if the body does not.
    pub(crate) fn read(header: Option<&str>, payload: Bytes) -> FunctionError {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        struct Posted {
            error_type: Option<String>,
            error_message: Option<String>,
        }
        let posted: Posted = serde_json::from_slice(&payload).unwrap_or_default();
        let error_type = posted.error_type.or_else(|| header.map(str::to_owned));
        FunctionError {
            error_type: error_type.unwrap_or_else(|| "Unhandled".into()),
            message: posted.error_message.unwrap_or_default(),
            payload,
        }
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)
    }
}

impl std::error::Error for FunctionError {}

/// Why an invocation has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The function answered with an error.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// The function did not answer in time; its process was killed.
    #[error("the function did not answer in time")]
    TimedOut,
    /// The function's process ended, or never started.
    #[error("the function's process failed: {0}")]
    Crashed(String),
    /// The function's answer to a batch is not one.
    #[error("{0}")]
    BadAnswer(String),
    /// The event is larger than 6 MiB.
    #[error("the event is larger than 6 MiB")]
    TooLarge,
    /// Too many events wait for a process already.
    #[error("too many events wait for the function")]
    Throttled,
    /// The host is stopping, or has stopped.
    #[error("the function host is stopping")]
    Stopped,
}

/// Why a host does not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is out of its range, or does not go with the queue. The text says which.
    #[error("{0}")]
    Invalid(String),
    /// The queue cannot be asked what it is.
    #[error(transparent)]
    Queue(#[from] crate::Error),
}
