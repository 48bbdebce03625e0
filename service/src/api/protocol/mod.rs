//! How requests and answers are written. A protocol turns bytes into the typed input of an action
//! and its typed output into bytes; what an action is called is all it knows about it.

pub mod json;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

/// The protocol of a request, and therefore of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON 1.0.
    Json,
}

impl Protocol {
    /// The input of an action.
    pub fn decode<Input: DeserializeOwned>(self, body: &[u8]) -> Result<Input, Error> {
        match self {
            Protocol::Json => json::decode(body),
        }
    }

    /// The body of an answer to an action.
    pub fn encode<Output: Serialize>(
        self,
        output: &Output,
        _action: &str,
        _request_id: &str,
    ) -> Result<Vec<u8>, Error> {
        match self {
            Protocol::Json => json::encode(output),
        }
    }

    /// The body of an error.
    pub fn encode_error(self, error: &Error) -> Vec<u8> {
        match self {
            Protocol::Json => json::encode_error(error),
        }
    }

    /// `Content-Type` of every answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Protocol::Json => json::CONTENT_TYPE,
        }
    }
}
