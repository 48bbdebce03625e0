//! Why a message was not sent.

use thiserror::Error;

use crate::{BatchFailure, Error};

/// What became of a message that a [`Producer`](super::Producer) could not send.
#[derive(Clone, Debug, Error)]
pub enum SendError {
    /// The producer was closed before it took the message.
    #[error("the producer is closed")]
    Closed,
    /// The service refused this message, or failed with it for as long as it was tried.
    #[error("the message was refused: {}: {}", .0.code, .0.message.as_deref().unwrap_or("no reason given"))]
    Refused(BatchFailure),
    /// The request that it was part of failed, for as long as it was tried. Where the error is one of
    /// the connection, the message may have arrived all the same.
    #[error("the batch was not sent")]
    Request(#[source] Error),
    /// The runtime ended while the message was under way, or an answer did not mention it: nobody
    /// knows whether it arrived.
    #[error("nothing is known about the message")]
    Unknown,
}

impl SendError {
    /// The service's code, such as `InvalidMessageContents`, where it gave one.
    pub fn code(&self) -> Option<&str> {
        match self {
            SendError::Refused(failure) => Some(&failure.code),
            SendError::Request(error) => error.code(),
            SendError::Closed | SendError::Unknown => None,
        }
    }
}
