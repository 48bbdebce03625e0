//! How a command ends when it does not end well: what happened, what the server said, what to try.

use std::fmt::Display;
use std::path::Path;
use std::process::ExitCode;

use stanchion_sdk::functions::StartError;
use stanchion_sdk::{BuildError, Error};

use crate::output::Output;

/// Why a command failed, with its exit code.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Something went wrong: 1.
    #[error("{message}")]
    Failed {
        /// What happened.
        message: String,
        /// What to try.
        hint: Option<String>,
    },
    /// The command makes no sense: 2.
    #[error("{0}")]
    Usage(String),
    /// What it is about does not exist: 3.
    #[error("{message}")]
    NotFound {
        /// What happened.
        message: String,
        /// What to try.
        hint: Option<String>,
    },
    /// A queue does not exist: 3.
    #[error("{message}")]
    MissingQueue {
        /// What happened.
        message: String,
        /// What to try.
        hint: Option<String>,
    },
    /// The caller may not: 4.
    #[error("{message}")]
    Denied {
        /// What happened.
        message: String,
        /// What to try.
        hint: Option<String>,
    },
    /// Some of it was done: 5.
    #[error("{0}")]
    Partly(String),
}

impl Failure {
    /// Something went wrong.
    pub(crate) fn failed(message: impl Into<String>) -> Failure {
        Failure::Failed { message: message.into(), hint: None }
    }

    /// Something went wrong with a file or a folder.
    pub(crate) fn of_file<E: Display>(path: &Path) -> impl Fn(E) -> Failure + Copy {
        move |error| Failure::failed(format!("{}: {error}", path.display()))
    }

    /// The same failure, with what to try.
    pub(crate) fn with_hint(mut self, text: impl Into<String>) -> Failure {
        if let Failure::Failed { hint, .. }
        | Failure::NotFound { hint, .. }
        | Failure::MissingQueue { hint, .. }
        | Failure::Denied { hint, .. } = &mut self
        {
            *hint = Some(text.into());
        }
        self
    }

    /// What the process exits with.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::Failed { .. } => 1,
            Failure::Usage(_) => 2,
            Failure::NotFound { .. } | Failure::MissingQueue { .. } => 3,
            Failure::Denied { .. } => 4,
            Failure::Partly(_) => 5,
        })
    }

    /// Prints it for whoever typed the command.
    pub(crate) fn show(&self, output: &Output) {
        output.error(&self.to_string());
        if let Failure::Failed { hint: Some(hint), .. }
        | Failure::NotFound { hint: Some(hint), .. }
        | Failure::MissingQueue { hint: Some(hint), .. }
        | Failure::Denied { hint: Some(hint), .. } = self
        {
            output.hint(hint);
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let message = error.to_string();
        let (hint, denied) = match &error {
            Error::Connection { arrived: false, .. } => {
                (Some("is the server running there? see `stanchion context ls`"), false)
            }
            Error::Credentials(_) => {
                (Some("see `aws configure`, or name a profile with --profile"), true)
            }
            error => match error.code() {
                _ if is_unknown_action(error) => (
                    Some(
                        "this server does not have that action; what is Stanchion's own no other has",
                    ),
                    false,
                ),
                Some("InvalidClientTokenId" | "UnrecognizedClientException") => {
                    (Some("the server does not know this access key"), true)
                }
                Some("SignatureDoesNotMatch" | "InvalidSignatureException") => {
                    (Some("the secret is another one, or the clock is wrong"), true)
                }
                _ => (None, error.is_denied()),
            },
        };
        let hint = hint.map(str::to_owned);
        match error.code() {
            Some("QueueDoesNotExist") => Failure::MissingQueue { message, hint },
            Some("ResourceNotFoundException") => Failure::NotFound { message, hint },
            _ if denied => Failure::Denied { message, hint },
            _ => Failure::Failed { message, hint },
        }
    }
}

/// Whether the server does not have the action: it is not Stanchion. Amazon SQS says so, and others fail
/// without a word.
pub(crate) fn is_unknown_action(error: &Error) -> bool {
    let is_mute = matches!(error, Error::Service(error)
        if error.status == 500 && error.message.is_empty() && error.request_id.is_none());
    is_mute || matches!(error.code(), Some("UnknownOperationException" | "InvalidAction"))
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        Failure::Usage(error.to_string())
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        match error {
            StartError::Queue(error) => error.into(),
            other => Failure::Usage(other.to_string()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use stanchion_sdk::ServiceError;

    use super::*;

    #[test]
    fn an_action_is_unknown_where_a_server_says_so_or_fails_without_a_word() {
        let unknown = |code: &str, message: &str, request: Option<&str>| {
            let status = if code.starts_with("Internal") { 500 } else { 400 };
            is_unknown_action(&Error::Service(Arc::new(ServiceError {
                action: "PeekMessages",
                code: code.into(),
                message: message.into(),
                status,
                request_id: request.map(str::to_owned),
            })))
        };
        assert!(unknown("UnknownOperationException", "", Some("r")));
        assert!(unknown("InternalServerError", "", None));
        assert!(!unknown("InternalError", "the disk", Some("r")), "ours always has a request id");
        assert!(!unknown("AccessDenied", "", None));
    }
}
