//! `stanchion dlq`: dead-letter queues, and what their messages died of.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde::Serialize;
use stanchion_sdk::Client;
use stanchion_sdk::actions::own::server::ListQueueStats;
use stanchion_sdk::actions::queues::ListQueues;

use crate::args::Global;
use crate::commands::queue::attributes::dead_letters_of;
use crate::context::Target;
use crate::failure::{Failure, is_unknown_action};
use crate::filter::Which;
use crate::line::{Line, Value, now_ms};
use crate::output::{Output, Record};
use crate::pages::Pages;
use crate::units::{show_count, show_seconds};

use crate::queues::{Depth, attributes_of_sqs, name_of};

/// The most kinds of dead letters that are told apart.
const KINDS_MAX: usize = 1_000;

/// The longest text that a kind is known by, in characters.
const KIND_CHARS_MAX: usize = 80;

/// What to do with dead-letter queues.
#[derive(Debug, Subcommand)]
#[command(after_help = "To move dead letters back there is `stanchion redrive`.")]
pub(crate) enum DlqCommand {
    /// List the dead-letter queues with their sources
    #[command(after_help = "\
Examples:
  stanchion dlq ls
  stanchion dlq ls -o json")]
    Ls {
        /// Only queues whose names begin so
        prefix: Option<String>,
    },
    Show(Box<Show>),
}

/// Show what kinds of messages are in a dead-letter queue, and what they died of
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion dlq show orders-dlq
  stanchion dlq show orders-dlq --by shape
  stanchion dlq show orders-dlq --by attribute:kind --newer-than 1h

To see the messages themselves: `stanchion peek orders-dlq`. Nothing changes.")]
pub(crate) struct Show {
    /// The dead-letter queue: its name or URL
    queue: String,
    /// What makes a kind: source, reason, group, shape (of the body), or attribute:NAME
    #[arg(long, value_name = "WHAT", default_value = "source")]
    by: By,
    #[command(flatten)]
    which: Which,
}

/// What makes a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    Source,
    Reason,
    Group,
    Shape,
    Attribute(String),
}

impl FromStr for By {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<By, &'static str> {
        match text.split_once(':') {
            Some(("attribute", name)) => Ok(By::Attribute(name.into())),
            None if text == "source" => Ok(By::Source),
            None if text == "reason" => Ok(By::Reason),
            None if text == "group" => Ok(By::Group),
            None if text == "shape" => Ok(By::Shape),
            _ => Err("expected source, reason, group, shape or attribute:NAME"),
        }
    }
}

impl By {
    /// What kind a message is of.
    fn kind(&self, line: &Line) -> String {
        let found = match self {
            By::Source => line.dead_letter_source.as_deref().map(|arn| name_of(arn).to_owned()),
            By::Reason => line.death_reason.clone(),
            By::Group => line.group.clone(),
            By::Shape => Some(shape(&line.body)),
            By::Attribute(name) => line.attributes.get(name).map(Value::show),
        };
        cut(&found.unwrap_or_else(|| "-".into()), KIND_CHARS_MAX)
    }
}

/// Runs it.
pub(crate) async fn run(
    command: DlqCommand,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    match command {
        DlqCommand::Ls { prefix } => {
            let found = list(&target.client, prefix).await?;
            output.list(&found, "No queue sends its dead letters anywhere.")
        }
        DlqCommand::Show(show) => self::show(&target, *show, output).await,
    }
}

/// A dead-letter queue in the list.
#[derive(Debug, Serialize)]
struct Listed {
    queue: String,
    messages: u64,
    in_flight: u64,
    oldest_age_seconds: Option<u64>,
    sources: Vec<String>,
    source_count: u64,
}

impl Record for Listed {
    const COLUMNS: &'static [&'static str] = &["QUEUE", "MESSAGES", "IN FLIGHT", "OLDEST", "FROM"];

    fn row(&self) -> Vec<String> {
        let more = self.source_count.saturating_sub(self.sources.len() as u64);
        let mut sources = self.sources.join(", ");
        if more > 0 {
            sources += &format!(" and {} more", show_count(more));
        }
        vec![
            self.queue.clone(),
            show_count(self.messages),
            show_count(self.in_flight),
            self.oldest_age_seconds.map_or("-".into(), show_seconds),
            sources,
        ]
    }
}

/// Those of Stanchion at a glance, those of other servers one by one.
async fn list(client: &Client, prefix: Option<String>) -> Result<Vec<Listed>, Failure> {
    if client.is_amazon() {
        return list_one_by_one(client, prefix).await;
    }
    let mut listed = Vec::new();
    let mut request = ListQueueStats { queue_name_prefix: prefix, ..ListQueueStats::default() };
    loop {
        let page = match client.list_queue_stats(request.clone()).await {
            Err(error) if is_unknown_action(&error) => {
                return list_one_by_one(client, request.queue_name_prefix).await;
            }
            page => page?,
        };
        let dead = page.queues.into_iter().filter(|queue| queue.dead_letter_source_count > 0);
        listed.extend(dead.map(|queue| Listed {
            queue: name_of(&queue.queue_url).to_owned(),
            messages: queue.available + queue.in_flight + queue.delayed,
            in_flight: queue.in_flight,
            oldest_age_seconds: queue.oldest_message_age_seconds,
            sources:
                queue.dead_letter_source_arns.iter().map(|arn| name_of(arn).to_owned()).collect(),
            source_count: queue.dead_letter_source_count,
        }));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return Ok(listed);
        }
    }
}

/// Where the server has no list of them: those that the redrive policies of all queues name.
async fn list_one_by_one(client: &Client, prefix: Option<String>) -> Result<Vec<Listed>, Failure> {
    let mut sources: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut request = ListQueues { max_results: Some(1_000), ..ListQueues::default() };
    loop {
        let page = client.list_queues(request.clone()).await?;
        for url in page.queue_urls {
            if let Some(policy) = dead_letters_of(&attributes_of_sqs(client, &url).await?) {
                let target = name_of(&policy.queue).to_owned();
                sources.entry(target).or_default().push(name_of(&url).to_owned());
            }
        }
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
    }
    let mut listed = Vec::new();
    let prefix = prefix.unwrap_or_default();
    for (queue, sources) in sources.into_iter().filter(|(queue, _)| queue.starts_with(&prefix)) {
        let Depth { available, in_flight, .. } = match attributes_of_sqs(client, &queue).await {
            Ok(attributes) => Depth::of(&attributes),
            // A policy may name a queue that is gone.
            Err(error) if error.is_queue_missing() => continue,
            Err(error) => return Err(error.into()),
        };
        listed.push(Listed {
            queue,
            messages: available + in_flight,
            in_flight,
            oldest_age_seconds: None,
            source_count: sources.len() as u64,
            sources,
        });
    }
    Ok(listed)
}

/// Dead letters of a kind.
#[derive(Debug, Serialize)]
struct Kind {
    kind: String,
    messages: u64,
    first_died_at: Option<u64>,
    last_died_at: Option<u64>,
    most_redrives: u32,
    /// Of one of them.
    reason: Option<String>,
    /// Of one of them.
    message_id: Option<String>,
    /// Of one of them, its beginning.
    body: String,
}

impl Record for Kind {
    const COLUMNS: &'static [&'static str] =
        &["KIND", "MESSAGES", "FIRST DIED", "LAST DIED", "REASON", "SUCH AS"];

    fn row(&self) -> Vec<String> {
        let ago = |at: Option<u64>| match at {
            Some(at) => {
                format!("{} ago", show_seconds(now_ms().saturating_sub(at) / 1_000))
            }
            None => "-".into(),
        };
        vec![
            self.kind.clone(),
            show_count(self.messages),
            ago(self.first_died_at),
            ago(self.last_died_at),
            self.reason.as_deref().map_or("-".into(), |reason| cut(reason, KIND_CHARS_MAX)),
            cut(&self.body, 40),
        ]
    }
}

async fn show(target: &Target, show: Show, output: &Output) -> Result<(), Failure> {
    let Show { queue, by, which } = show;
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    let mut pages = Pages::oldest(&target.client, &queue, which.filter());
    while let Some(page) = pages.next().await? {
        for line in page.into_iter().map(Line::from) {
            let mut kind = by.kind(&line);
            if kinds.len() >= KINDS_MAX && !kinds.contains_key(&kind) {
                kind = "(others)".into();
            }
            let kind = kinds.entry(kind.clone()).or_insert_with(|| Kind {
                kind,
                messages: 0,
                first_died_at: None,
                last_died_at: None,
                most_redrives: 0,
                reason: line.death_reason.clone(),
                message_id: line.message_id.clone(),
                body: cut(&line.body, 200),
            });
            kind.messages += 1;
            kind.most_redrives = kind.most_redrives.max(line.redrive_count.unwrap_or(0));
            let died = line.died_at;
            kind.first_died_at = [kind.first_died_at, died].into_iter().flatten().min();
            kind.last_died_at = kind.last_died_at.max(died);
        }
    }
    let mut kinds: Vec<Kind> = kinds.into_values().collect();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.messages));
    output.list(&kinds, &format!("There is no such message in {}.", name_of(&queue)))
}

/// A text of one line, with at most so many characters.
fn cut(text: &str, most: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut shown: String = text.chars().map(plain).take(most).collect();
    if text.chars().nth(most).is_some() {
        shown.push('…');
    }
    shown
}

/// What a body looks like: JSON by the types of its values, anything else by its text with all numbers
/// alike.
fn shape(body: &str) -> String {
    if let Ok(json) = serde_json::from_str(body) {
        return shape_of_json(&json, 4);
    }
    let mut shape = String::new();
    for c in body.chars().take(4 * KIND_CHARS_MAX) {
        match c.is_ascii_digit() {
            true if shape.ends_with('#') => {}
            true => shape.push('#'),
            false => shape.push(c),
        }
    }
    shape
}

fn shape_of_json(json: &serde_json::Value, depth: usize) -> String {
    use serde_json::Value::{Array, Bool, Null, Number, Object, String};
    match json {
        Null => "null".into(),
        Bool(_) => "boolean".into(),
        Number(_) => "number".into(),
        String(_) => "text".into(),
        Array(_) | Object(_) if depth == 0 => "…".into(),
        Array(items) => match items.first() {
            Some(first) => format!("[{}]", shape_of_json(first, depth - 1)),
            None => "[]".into(),
        },
        Object(fields) => {
            let field = |(name, value)| format!("{name}: {}", shape_of_json(value, depth - 1));
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_of_one_shape_are_of_one_kind() {
        let json = |id: u32| format!(r#"{{"order":{{"id":{id},"lines":[{{"sku":"a"}}]}}}}"#);
        assert_eq!(shape(&json(7)), "{order: {id: number, lines: [{sku: text}]}}");
        assert_eq!(shape(&json(7)), shape(&json(8)));
        assert_eq!(shape("order 17 of 2026"), "order # of #");
        assert_eq!(shape("[[[[[1]]]]]"), "[[[[…]]]]");
    }

    #[test]
    fn kinds_are_typed() {
        assert_eq!("attribute:kind".parse(), Ok(By::Attribute("kind".into())));
        assert_eq!("shape".parse(), Ok(By::Shape));
        assert!("colour".parse::<By>().is_err());
    }
}
