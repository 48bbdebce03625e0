//! Which messages of a queue are meant: what operators look for, move and delete by.

use std::collections::BTreeSet;

use serde_json::Value;

use super::json_path::JsonPath;
use super::message::{AttributeValue, Content, MessageId, MessageState};
use super::time::{Millis, Timestamp};

/// Messages that fulfil all of it. The default means every message.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// In one of these states.
    pub states: States,
    /// One of these; empty: any.
    pub ids: BTreeSet<MessageId>,
    /// Of this group.
    pub group: Option<String>,
    /// With this attribute, and with this value of it. A binary value equals no text.
    pub attribute: Option<(String, Option<String>)>,
    /// With this text somewhere in the body.
    pub body: Option<String>,
    /// With a body in JSON where this path leads to something: to this value.
    pub json: Option<(JsonPath, Option<Value>)>,
    /// Sent at least so long ago.
    pub age_min: Option<Millis>,
    /// Sent at most so long ago.
    pub age_max: Option<Millis>,
    /// Received at least so often, over all queues.
    pub receives_min: Option<u32>,
    /// Received at most so often, over all queues.
    pub receives_max: Option<u32>,
}

/// A set of states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(u8);

impl Default for States {
    fn default() -> States {
        MessageState::ALL.into_iter().collect()
    }
}

impl FromIterator<MessageState> for States {
    fn from_iter<I: IntoIterator<Item = MessageState>>(states: I) -> States {
        States(states.into_iter().fold(0, |bits, state| bits | 1 << state as u8))
    }
}

impl States {
    /// Whether this state is among them.
    pub fn contains(self, state: MessageState) -> bool {
        self.0 & 1 << state as u8 != 0
    }

    /// Whether one of these is among them.
    pub fn contains_any(self, states: impl IntoIterator<Item = MessageState>) -> bool {
        states.into_iter().any(|state| self.contains(state))
    }
}

/// What a filter can decide by without looking at what was sent.
#[derive(Clone, Copy, Debug)]
pub struct Outline {
    /// Where the message is in its life.
    pub state: MessageState,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// Receives so far, over all queues.
    pub receive_count: u32,
}

impl Filter {
    /// Whether it lets every message through.
    pub fn is_open(&self) -> bool {
        let Filter { states, ids, group, attribute, body, json, .. } = self;
        let content = group.is_none() && attribute.is_none() && body.is_none() && json.is_none();
        let ages = self.age_min.is_none() && self.age_max.is_none();
        let receives = self.receives_min.is_none() && self.receives_max.is_none();
        *states == States::default() && ids.is_empty() && content && ages && receives
    }

    /// Whether a message may be meant, by what is known without its content.
    pub fn admits(&self, outline: &Outline, now: Timestamp) -> bool {
        let age = now.since(outline.sent_at);
        let receives = outline.receive_count;
        self.states.contains(outline.state)
            && self.age_min.is_none_or(|min| min <= age)
            && self.age_max.is_none_or(|max| age <= max)
            && self.receives_min.is_none_or(|min| min <= receives)
            && self.receives_max.is_none_or(|max| receives <= max)
    }

    /// Whether a message that [`Filter::admits`] is meant.
    pub fn matches(&self, id: &MessageId, content: &Content) -> bool {
        let attribute = self.attribute.as_ref().is_none_or(|(name, value)| {
            let found = content.attributes.get(name).map(|attribute| &attribute.value);
            match (found, value) {
                (Some(AttributeValue::Text(found)), Some(value)) => found == value,
                (Some(AttributeValue::Binary(_)), Some(_)) | (None, _) => false,
                (Some(_), None) => true,
            }
        });
        (self.ids.is_empty() || self.ids.contains(id))
            && self.group.as_ref().is_none_or(|group| content.group_id.as_ref() == Some(group))
            && attribute
            && self.body.as_ref().is_none_or(|text| contains(&content.body, text.as_bytes()))
            && self.json.as_ref().is_none_or(|(path, to)| path.leads(&content.body, to.as_ref()))
    }
}

/// Whether a body contains a text. In time that grows with the body alone, whatever the text.
fn contains(body: &[u8], text: &[u8]) -> bool {
    memchr::memmem::find(body, text).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::{Attribute, Attributes};

    fn content() -> Content {
        let text = |value: &str| Attribute {
            data_type: "String".into(),
            value: AttributeValue::Text(value.into()),
        };
        let raw = Attribute {
            data_type: "Binary".into(),
            value: AttributeValue::Binary(b"red".as_slice().into()),
        };
        Content {
            body: r#"{"order":{"id":7}}"#.into(),
            body_md5: [0; 16],
            attributes: Attributes::from([("color".into(), text("red")), ("raw".into(), raw)]),
            attributes_md5: None,
            trace_header: None,
            sender_id: "sender".into(),
            group_id: Some("g".into()),
            deduplication_id: None,
        }
    }

    fn matches(filter: Filter) -> bool {
        assert!(!filter.is_open());
        filter.matches(&MessageId([1; 16]), &content())
    }

    #[test]
    fn each_condition_must_hold() {
        let attribute = |name: &str, value: Option<&str>| Filter {
            attribute: Some((name.into(), value.map(Into::into))),
            ..Filter::default()
        };
        let ids = |ids: &[u8]| Filter {
            ids: ids.iter().map(|byte| MessageId([*byte; 16])).collect(),
            ..Filter::default()
        };
        let body = |text: &str| Filter { body: Some(text.into()), ..Filter::default() };
        let group = |group: &str| Filter { group: Some(group.into()), ..Filter::default() };
        let json = |path: &str| Filter {
            json: Some((JsonPath::parse(path).unwrap(), None)),
            ..Filter::default()
        };
        for (filter, expected) in [
            (attribute("color", None), true),
            (attribute("color", Some("red")), true),
            (attribute("color", Some("blue")), false),
            (attribute("shape", None), false),
            (attribute("raw", None), true),
            (attribute("raw", Some("red")), false),
            (ids(&[1, 2]), true),
            (ids(&[2]), false),
            (body("\"id\":7"), true),
            (body("ID"), false),
            (group("g"), true),
            (group("h"), false),
            (json("$.order.id"), true),
            (json("$.order.no"), false),
            (Filter { group: Some("g".into()), ..body("nowhere") }, false),
        ] {
            assert_eq!(matches(filter.clone()), expected, "{filter:?}");
        }
    }

    #[test]
    fn states_ages_and_receive_counts_are_ranges_with_their_ends() {
        let outline =
            Outline { state: MessageState::InFlight, sent_at: Timestamp(1_000), receive_count: 3 };
        let admits = |filter: Filter| filter.admits(&outline, Timestamp(6_000));
        let default = Filter::default;
        assert!(default().is_open() && admits(default()));
        for (filter, expected) in [
            (Filter { states: [MessageState::InFlight].into_iter().collect(), ..default() }, true),
            (Filter { states: [MessageState::Delayed].into_iter().collect(), ..default() }, false),
            (Filter { age_min: Some(Millis(5_000)), ..default() }, true),
            (Filter { age_min: Some(Millis(5_001)), ..default() }, false),
            (Filter { age_max: Some(Millis(5_000)), ..default() }, true),
            (Filter { age_max: Some(Millis(4_999)), ..default() }, false),
            (Filter { receives_min: Some(3), receives_max: Some(3), ..default() }, true),
            (Filter { receives_min: Some(4), ..default() }, false),
            (Filter { receives_max: Some(2), ..default() }, false),
        ] {
            assert_eq!(admits(filter.clone()), expected, "{filter:?}");
        }
    }
}
