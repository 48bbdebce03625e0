//! How requests and answers are written. A protocol turns what came in into the typed input of an
//! action and its typed output into bytes; what an action is called is all it knows about it.

pub mod json;
pub mod query;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::query::answer::Dialect;
use crate::api::action::Service;
use crate::error::Error;

/// The protocol of a request, and therefore of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// AWS JSON 1.0.
    Json,
    /// AWS Query, answered in XML.
    Query,
    /// AWS Query as STS answers it: in XML of a namespace of its own.
    QueryOfSts,
    /// AWS Query of a client that accepts JSON.
    QueryInJson,
}

/// What an action is told.
#[derive(Debug)]
pub enum Input {
    /// An object in JSON.
    Json(Bytes),
    /// Parameters.
    Query(query::Form),
}

impl Input {
    /// The input of an action.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        match self {
            Input::Json(body) => json::decode(body),
            Input::Query(form) => form.decode(),
        }
    }
}

impl Protocol {
    /// The same, as a service answers it.
    pub fn of(self, service: Service) -> Protocol {
        match (self, service) {
            (Protocol::Query, Service::Sts) => Protocol::QueryOfSts,
            (protocol, _) => protocol,
        }
    }

    /// The body of the answer to an action, with about so many bytes of text if it is mostly that.
    pub fn encode<Output: Serialize>(
        self,
        output: &Output,
        text_bytes: Option<usize>,
        action: &str,
        request_id: &str,
    ) -> Result<Vec<u8>, Error> {
        match self {
            Protocol::Json => json::encode(output, text_bytes),
            Protocol::Query => query::answer::xml(Dialect::Sqs, output, action, request_id),
            Protocol::QueryOfSts => query::answer::xml(Dialect::Sts, output, action, request_id),
            Protocol::QueryInJson => query::answer::json(output, action, request_id),
        }
    }

    /// The body of an error.
    pub fn encode_error(self, error: &Error, request_id: &str) -> Vec<u8> {
        match self {
            Protocol::Json => json::encode_error(error),
            Protocol::Query => query::answer::xml_error(Dialect::Sqs, error, request_id),
            Protocol::QueryOfSts => query::answer::xml_error(Dialect::Sts, error, request_id),
            Protocol::QueryInJson => query::answer::json_error(error, request_id),
        }
    }

    /// `Content-Type` of every answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Protocol::Json => json::CONTENT_TYPE,
            Protocol::Query | Protocol::QueryOfSts => query::answer::XML,
            Protocol::QueryInJson => query::answer::JSON,
        }
    }
}
