//! The member `Filter`, which says what messages an action means.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::error::Error;
use crate::limits;
use crate::model::filter::Filter;
use crate::model::json_path::JsonPath;
use crate::model::message::{MessageId, MessageState};
use crate::model::time::Millis;

/// A filter as it comes. Unlike elsewhere, a member that is unknown is refused: a misspelt one would
/// let every message through.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
struct FilterInput {
    states: Option<Vec<String>>,
    message_ids: Option<Vec<String>>,
    message_group_id: Option<String>,
    attribute: Option<AttributeFilter>,
    body_contains: Option<String>,
    json_path: Option<String>,
    json_equals: Option<Value>,
    min_age_seconds: Option<u32>,
    max_age_seconds: Option<u32>,
    min_receive_count: Option<u32>,
    max_receive_count: Option<u32>,
}

/// A message attribute that must be there.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AttributeFilter {
    name: String,
    value: Option<String>,
}

/// Parses the member `Filter`; one that is absent lets every message through.
pub(super) fn parse(filter: Option<Map<String, Value>>) -> Result<Filter, Error> {
    let input: FilterInput = serde_json::from_value(Value::Object(filter.unwrap_or_default()))
        .map_err(|error| refused(&error.to_string()))?;
    let json = match (input.json_path, input.json_equals) {
        (None, None) => None,
        (None, Some(_)) => return Err(refused("JsonEquals needs a JsonPath")),
        (Some(path), to) => match JsonPath::parse(&path) {
            Some(path) => Some((path, to)),
            None => {
                let reason = "Must be a path of names, indices and wildcards, as $.a[0]['b'].*";
                return Err(Error::invalid("Filter.JsonPath", path, reason));
            }
        },
    };
    let states = input.states.map(|names| names.iter().map(|name| parse_state(name)).collect());
    Ok(Filter {
        states: states.transpose()?.unwrap_or_default(),
        ids: parse_ids("Filter.MessageIds", input.message_ids.unwrap_or_default())?
            .into_iter()
            .collect(),
        group: input.message_group_id,
        attribute: input.attribute.map(|attribute| (attribute.name, attribute.value)),
        body: input.body_contains,
        json,
        age_min: input.min_age_seconds.map(Millis::from_secs),
        age_max: input.max_age_seconds.map(Millis::from_secs),
        receives_min: input.min_receive_count,
        receives_max: input.max_receive_count,
    })
}

/// Parses ids of messages, of which a request may name a hundred.
fn parse_ids(name: &'static str, ids: Vec<String>) -> Result<Vec<MessageId>, Error> {
    if ids.len() > limits::FILTER_IDS_MAX {
        let reason = format!("Must name at most {} ids.", limits::FILTER_IDS_MAX);
        return Err(Error::invalid(name, ids.len(), reason));
    }
    ids.into_iter().map(|id| parse_id(name, id)).collect()
}

/// Parses the id of a message.
pub(super) fn parse_id(name: &'static str, id: String) -> Result<MessageId, Error> {
    MessageId::parse(&id).ok_or_else(|| Error::invalid(name, id, "Must be a message id."))
}

fn parse_state(name: &str) -> Result<MessageState, Error> {
    let reason = "Must be Available, Delayed, InFlight or Returned.";
    MessageState::parse(name).ok_or_else(|| Error::invalid("Filter.States", name, reason))
}

fn refused(reason: &str) -> Error {
    Error::InvalidParameter(
        format!("Value for parameter Filter is invalid. Reason: {reason}.").into(),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(filter: Value) -> Result<Filter, Error> {
        match filter {
            Value::Object(members) => parse(Some(members)),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn no_filter_means_every_message() {
        assert!(parse(None).unwrap().is_open());
        assert!(parsed(json!({})).unwrap().is_open());
        assert!(parsed(json!({ "States": null, "MessageIds": [] })).unwrap().is_open());
    }

    #[test]
    fn every_member_narrows() {
        for filter in [
            json!({ "States": ["InFlight"] }),
            json!({ "MessageIds": ["00000000-0000-4000-8000-000000000000"] }),
            json!({ "MessageGroupId": "g" }),
            json!({ "Attribute": { "Name": "a" } }),
            json!({ "BodyContains": "x" }),
            json!({ "JsonPath": "$.a", "JsonEquals": 1 }),
            json!({ "MinAgeSeconds": 1 }),
            json!({ "MaxAgeSeconds": 1 }),
            json!({ "MinReceiveCount": 1 }),
            json!({ "MaxReceiveCount": 1 }),
        ] {
            assert!(!parsed(filter.clone()).unwrap().is_open(), "{filter}");
        }
    }

    #[test]
    fn what_is_misspelt_or_out_of_range_is_refused() {
        let ids = vec!["00000000-0000-4000-8000-000000000000"; limits::FILTER_IDS_MAX + 1];
        for filter in [
            json!({ "State": ["InFlight"] }),
            json!({ "States": ["Inflight"] }),
            json!({ "States": "InFlight" }),
            json!({ "MessageIds": ["x"] }),
            json!({ "MessageIds": ["00000000000040008000000000000000"] }),
            json!({ "MessageIds": ids }),
            json!({ "Attribute": { "Value": "a" } }),
            json!({ "Attribute": { "Name": "a", "Type": "String" } }),
            json!({ "JsonPath": "$..a" }),
            json!({ "JsonEquals": 1 }),
            json!({ "MinAgeSeconds": -1 }),
            json!({ "MaxReceiveCount": 4_294_967_296_u64 }),
        ] {
            assert!(parsed(filter.clone()).is_err(), "{filter}");
        }
    }
}
