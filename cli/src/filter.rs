//! Which messages are meant, as it is typed.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;
use stanchion_sdk::actions::own::messages::{AttributeFilter, Filter};

use crate::units::{parse_duration, whole_seconds};

/// Where a message is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// Never received, and ready to be
    Available,
    /// Its first delay runs
    Delayed,
    /// Received, and hidden
    InFlight,
    /// Received, and ready to be again
    Returned,
}

/// Messages that fulfil all of these.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which messages")]
pub(crate) struct Which {
    /// In one of these states
    #[arg(long = "state", value_name = "STATE", value_enum, value_delimiter = ',')]
    pub(crate) states: Vec<State>,
    /// With one of these ids, at most 100
    #[arg(long = "id", value_name = "ID", value_delimiter = ',')]
    ids: Vec<String>,
    /// Of this message group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// With this message attribute, and this text in it
    #[arg(long, value_name = "NAME[=VALUE]")]
    attribute: Option<String>,
    /// With this text somewhere in the body
    #[arg(long, value_name = "TEXT")]
    contains: Option<String>,
    /// With a body in JSON in which this path leads to something, such as $.order.id
    #[arg(long, value_name = "PATH")]
    json_path: Option<String>,
    /// To this value: JSON, or a text
    #[arg(long, value_name = "VALUE", requires = "json_path")]
    json_equals: Option<String>,
    /// Sent at least so long ago
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older_than: Option<Duration>,
    /// Sent at most so long ago
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    newer_than: Option<Duration>,
    /// Received at least so often
    #[arg(long, value_name = "N")]
    min_receives: Option<u32>,
    /// Received at most so often
    #[arg(long, value_name = "N")]
    max_receives: Option<u32>,
}

impl Which {
    /// As the server understands it; none where every message is meant.
    pub(crate) fn filter(&self) -> Option<Filter> {
        // Whole seconds, so that nothing is meant that was not said.
        let seconds = |whole: u64| u32::try_from(whole).unwrap_or(u32::MAX);
        let states = self.states.iter().map(|state| format!("{state:?}")).collect();
        let attribute = self.attribute.as_ref().map(|typed| match typed.split_once('=') {
            Some((name, value)) => AttributeFilter { name: name.into(), value: Some(value.into()) },
            None => AttributeFilter { name: typed.clone(), value: None },
        });
        let json = |text: &String| serde_json::from_str(text).unwrap_or(Value::from(text.as_str()));
        let filter = Filter {
            states: Some(states).filter(|states: &Vec<_>| !states.is_empty()),
            message_ids: Some(self.ids.clone()).filter(|ids| !ids.is_empty()),
            message_group_id: self.group.clone(),
            attribute,
            body_contains: self.contains.clone(),
            json_path: self.json_path.clone(),
            json_equals: self.json_equals.as_ref().map(json),
            min_age_seconds: self.older_than.map(|span| seconds(whole_seconds(span))),
            max_age_seconds: self.newer_than.map(|span| seconds(span.as_secs())),
            min_receive_count: self.min_receives,
            max_receive_count: self.max_receives,
        };
        (filter != Filter::default()).then_some(filter)
    }
}
