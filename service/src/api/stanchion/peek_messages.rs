//! PeekMessages.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::{Action, filter};
use crate::api::call::Call;
use crate::api::sqs::list_queues::max_results;
use crate::api::sqs::receive_message::{MessageOutput, parse_wait};
use crate::error::Error;
use crate::limits;
use crate::model::message::{MessageState, PeekedMessage};
use crate::model::policy::actions::Permission;
use crate::model::time::{Millis, Timestamp};
use crate::shard::peek::{Peek, Show, Start};

/// Shows the messages of a queue as they are, a page at a time, and what arrives. Nothing changes:
/// no count, no timeout, and there are no handles.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PeekMessages {
    queue_url: Option<String>,
    filter: Option<Map<String, Value>>,
    start_from: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
    wait_time_seconds: Option<i64>,
}

/// A page. It may be empty although there is more, when few messages pass the filter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PeekOutput {
    messages: Vec<Box<RawValue>>,
    /// There may be more: hand it in for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
    /// There is no more: hand it in as `NextToken` for what arrives from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    tail_token: Option<String>,
}

/// A message, written out.
struct Written(Result<Box<RawValue>, serde_json::Error>);

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PeekedOutput {
    #[serde(flatten)]
    message: MessageOutput,
    state: MessageState,
    /// In flight: when its visibility timeout ends, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    visible_at: Option<u64>,
    /// Delayed: when its delay ends, in milliseconds since the Unix epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    delayed_until: Option<u64>,
}

impl Action for PeekMessages {
    const NAME: &'static str = "PeekMessages";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = PeekOutput;

    async fn run(self, call: &Call<'_>) -> Result<PeekOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let peek = Peek {
            filter: filter::parse(self.filter)?,
            start: parse_start(self.start_from, self.next_token)?,
            max: max_results(
                self.max_results,
                limits::PEEK_MESSAGES_MAX,
                limits::PEEK_MESSAGES_DEFAULT,
            )?,
            bytes_max: limits::PEEK_BYTES_MAX,
            wait: parse_wait(self.wait_time_seconds, 0)?,
        };
        if peek.wait > Millis(0) {
            call.ticket.park();
        }
        let page = call.app.shards.peek::<Written>(&queue.key, peek).await?;
        let (next_token, tail_token) = match page.at_end {
            true => (None, Some(page.token)),
            false => (Some(page.token), None),
        };
        let messages = page.messages.into_iter().map(|Written(message)| message);
        let messages = messages
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Internal(format!("writing a message: {error}").into()))?;
        Ok(PeekOutput { messages, next_token, tail_token })
    }
}

impl Show for Written {
    fn show(message: PeekedMessage) -> Written {
        Written(to_raw_value(&PeekedOutput::new(message)))
    }
}

impl PeekedOutput {
    fn new(peeked: PeekedMessage) -> PeekedOutput {
        let PeekedMessage { state, hidden_until, message } = peeked;
        let until = |hidden_by| hidden_until.filter(|_| state == hidden_by).map(|Timestamp(ms)| ms);
        PeekedOutput {
            message: MessageOutput::of_peek(message),
            state,
            visible_at: until(MessageState::InFlight),
            delayed_until: until(MessageState::Delayed),
        }
    }
}

/// `StartFrom` and `NextToken`, of which a request has one.
fn parse_start(from: Option<String>, token: Option<String>) -> Result<Start, Error> {
    match (from.as_deref(), token.filter(|token| !token.is_empty())) {
        (None, Some(token)) => Ok(Start::Token(token)),
        (Some(_), Some(_)) => Err(Error::InvalidParameterCombination(
            "StartFrom and NextToken exclude each other.".into(),
        )),
        (None | Some("Oldest"), None) => Ok(Start::Oldest),
        (Some("Now"), None) => Ok(Start::Now),
        (Some(other), None) => {
            Err(Error::invalid("StartFrom", other, "Must be Oldest or Now, if provided."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_begins_in_one_place() {
        let start = |from: Option<&str>, token: Option<&str>| {
            parse_start(from.map(Into::into), token.map(Into::into))
        };
        assert_eq!(start(None, None), Ok(Start::Oldest));
        assert_eq!(start(Some("Oldest"), Some("")), Ok(Start::Oldest));
        assert_eq!(start(Some("Now"), None), Ok(Start::Now));
        assert_eq!(start(None, Some("t")), Ok(Start::Token("t".into())));
        assert!(start(Some("Now"), Some("t")).is_err());
        assert!(start(Some("now"), None).is_err());
    }
}
