//! The tables `queues` and `template` of the configuration file, checked as strictly as its options.
//!
//! The keys are the attributes of SQS in the spelling of the file's other keys
//! (`VisibilityTimeout` is `visibility_timeout`), taken from their table, so that a new attribute
//! can be declared at once.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::api::sqs::tags;
use crate::config::values::scalar;
use crate::limits::{self, Limits};
use crate::model::attributes::{self, ATTRIBUTES, QueueAttribute, QueueSettings};
use crate::model::queue::{QueueKind, QueueName};
use crate::shard::handle::Tags;

/// Attribute values by the names of SQS.
pub type Given = BTreeMap<String, String>;

/// The keys of a queue that are no attributes by themselves.
const OTHER_KEYS: [&str; 4] = ["dead_letter_queue", "fifo", "max_receive_count", "tags"];

/// The parts of a file that declare something, as they are.
#[derive(Debug, Default)]
pub struct Tables {
    queues: Option<Value>,
    template: Option<Value>,
}

impl Tables {
    /// Takes them out of a file's table.
    pub fn take_from(file: &mut Table) -> Tables {
        Tables { queues: file.remove("queues"), template: file.remove("template") }
    }
}

/// What a file declares.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    /// In the order of their names.
    pub queues: Vec<Declared>,
    /// For queues that are created on use.
    pub template: Template,
}

/// A queue that shall be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// What it is called, and thereby its type.
    pub name: QueueName,
    /// Attributes, checked each and together.
    pub given: Given,
    /// Where its messages go that were received too often, and how often that is.
    pub dead_letters: Option<(QueueName, u32)>,
    /// Tags that it shall have.
    pub tags: Tags,
}

/// How queues are made that are created on use.
#[derive(Clone, Debug)]
pub struct Template {
    standard: QueueSettings,
    fifo: QueueSettings,
    /// The tags of each.
    pub tags: Tags,
}

impl Default for Template {
    fn default() -> Template {
        Template {
            standard: QueueSettings::new(QueueKind::Standard),
            fifo: QueueSettings::new(QueueKind::Fifo),
            tags: Tags::new(),
        }
    }
}

impl Template {
    /// The settings of a new queue of a type.
    pub fn settings(&self, kind: QueueKind) -> QueueSettings {
        match kind {
            QueueKind::Standard => self.standard.clone(),
            QueueKind::Fifo => self.fifo.clone(),
        }
    }
}

impl Declarations {
    /// Checks everything that needs no running server. An error names the key and what is accepted.
    pub fn parse(tables: Tables, limits: &Limits) -> Result<Declarations, String> {
        let queues = tables.queues.map(|value| table("queues", value)).transpose()?;
        let queues = queues.unwrap_or_default().into_iter().map(|(name, value)| {
            let at = format!("queues.{name}");
            Declared::parse(&name, table(&at, value)?, &at, limits)
        });
        let queues = queues.collect::<Result<Vec<_>, _>>()?;
        let template = match tables.template {
            Some(value) => parse_template(table("template", value)?, limits)?,
            None => Template::default(),
        };
        Ok(Declarations { queues, template })
    }
}

impl Declared {
    fn parse(name: &str, mut keys: Table, at: &str, limits: &Limits) -> Result<Declared, String> {
        let parsed = QueueName::parse(name).map_err(|_| {
            format!(
                "{at}: a queue's name has 1 to 80 letters, digits, hyphens and underscores, and \
                 ends in .fifo if it is a FIFO queue."
            )
        })?;
        check_type(&parsed, keys.remove("fifo"), at)?;
        let dead_letters = parse_dead_letters(&parsed, &mut keys, at)?;
        let tags = parse_tags(keys.remove("tags"), name, at)?;
        let given = parse_attributes(keys, at, &OTHER_KEYS, limits)?;
        let of_fifo = settable(limits).find(|row| is_fifo(row) && given.contains_key(row.name));
        if let Some(row) = of_fifo.filter(|_| parsed.kind() == QueueKind::Standard) {
            return Err(format!(
                "{at}.{}: only FIFO queues have it, whose names end in .fifo.",
                key_of(row.name)
            ));
        }
        check_together(&given, QueueSettings::new(parsed.kind()), at, limits)?;
        Ok(Declared { name: parsed, given, dead_letters, tags })
    }
}

/// A template is for queues of both types: what only FIFO queues have is for those.
fn parse_template(mut keys: Table, limits: &Limits) -> Result<Template, String> {
    let at = "template";
    let tags = parse_tags(keys.remove("tags"), at, at)?;
    let given = parse_attributes(keys, at, &["tags"], limits)?;
    let for_fifo = |name: &String| settable(limits).any(|row| row.name == *name && is_fifo(row));
    let of_standard = given.iter().filter(|(name, _)| !for_fifo(name));
    let of_standard = of_standard.map(|(name, value)| (name.clone(), value.clone())).collect();
    Ok(Template {
        standard: check_together(
            &of_standard,
            QueueSettings::new(QueueKind::Standard),
            at,
            limits,
        )?,
        fifo: check_together(&given, QueueSettings::new(QueueKind::Fifo), at, limits)?,
        tags,
    })
}

/// The name says what type of queue it is; who says it once more must say the same.
fn check_type(name: &QueueName, fifo: Option<Value>, at: &str) -> Result<(), String> {
    match (fifo, name.kind()) {
        (None, _)
        | (Some(Value::Boolean(true)), QueueKind::Fifo)
        | (Some(Value::Boolean(false)), QueueKind::Standard) => Ok(()),
        (Some(Value::Boolean(true)), QueueKind::Standard) => Err(format!(
            "{at}.fifo: true is for queues whose name ends in .fifo, as [queues.\"{name}.fifo\"]. \
             The type of a queue is in its name and cannot be changed."
        )),
        (Some(Value::Boolean(false)), QueueKind::Fifo) => Err(format!(
            "{at}.fifo: a queue whose name ends in .fifo is a FIFO queue. The type of a queue is \
             in its name and cannot be changed."
        )),
        // A dot separates keys.
        (Some(Value::Table(_)), _) => Err(format!(
            "{at}.fifo: true or false, please. If you mean the queue {name}.fifo, put its name in \
             quotes: [queues.\"{name}.fifo\"]."
        )),
        (Some(_), _) => Err(format!("{at}.fifo: true or false, please.")),
    }
}

fn parse_dead_letters(
    source: &QueueName,
    keys: &mut Table,
    at: &str,
) -> Result<Option<(QueueName, u32)>, String> {
    let target = keys.remove("dead_letter_queue");
    let count = keys.remove("max_receive_count");
    let (target, count) = match (target, count) {
        (None, None) => return Ok(None),
        (Some(target), Some(count)) => (target, count),
        (None, Some(_)) => {
            return Err(format!("{at}.max_receive_count: it needs a dead_letter_queue beside it."));
        }
        (Some(_), None) => {
            return Err(format!("{at}.dead_letter_queue: it needs a max_receive_count beside it."));
        }
    };
    let name = target.as_str().and_then(|name| QueueName::parse(name).ok());
    let name = name.ok_or_else(|| {
        format!("{at}.dead_letter_queue: {target} is not accepted; the name of a queue, please.")
    })?;
    if name.kind() != source.kind() {
        return Err(format!(
            "{at}.dead_letter_queue: {name} is a queue of the other type; that of a FIFO queue must \
             be a FIFO queue, and that of a standard queue a standard queue."
        ));
    }
    let max = limits::MAX_RECEIVE_COUNT_MAX;
    let parsed = count.as_integer().and_then(|count| u32::try_from(count).ok());
    let parsed = parsed.filter(|count| (1..=max).contains(count)).ok_or_else(|| {
        format!(
            "{at}.max_receive_count: {count} is not accepted; a number from 1 to {max}, please."
        )
    })?;
    Ok(Some((name, parsed)))
}

fn parse_tags(value: Option<Value>, queue: &str, at: &str) -> Result<Tags, String> {
    let Some(value) = value else { return Ok(Tags::new()) };
    let pairs = table(&format!("{at}.tags"), value)?.into_iter().map(|(key, value)| {
        let value = scalar(value).ok_or_else(|| format!("{at}.tags.{key}: a text, please."))?;
        Ok((key, value))
    });
    let tags: Tags = pairs.collect::<Result<_, String>>()?;
    tags::check(&tags, queue).map_err(|error| format!("{at}.tags: {error}"))?;
    Ok(tags)
}

/// The values of attributes, as texts; `others` are the keys beside them, for the error.
fn parse_attributes(
    keys: Table,
    at: &str,
    others: &[&str],
    limits: &Limits,
) -> Result<Given, String> {
    let value_of = |(key, value): (String, Value)| {
        let row = settable(limits).find(|row| key_of(row.name) == key).ok_or_else(|| {
            let mut known: Vec<String> = settable(limits).map(|row| key_of(row.name)).collect();
            known.extend(others.iter().map(ToString::to_string));
            known.sort_unstable();
            format!("{at}: there is no key {key}. There are {}.", known.join(", "))
        })?;
        let text = match value {
            // A policy may be written as what it is.
            value @ Value::Table(_) => serde_json::to_string(&value).ok(),
            value => scalar(value),
        };
        let text = text.filter(|text| match row.range(limits) {
            Some((min, max)) => text.parse().is_ok_and(|number| (min..=max).contains(&number)),
            None => true,
        });
        let text = text.ok_or_else(|| format!("{at}.{key}: {}, please.", accepted(row, limits)))?;
        Ok((row.name.into(), text))
    };
    keys.into_iter().map(value_of).collect()
}

/// Puts values in force together, as a call would.
fn check_together(
    given: &Given,
    mut settings: QueueSettings,
    at: &str,
    limits: &Limits,
) -> Result<QueueSettings, String> {
    let Err(error) = attributes::apply(&mut settings, given, limits) else { return Ok(settings) };
    let text = error.to_string();
    // The longest, because some names are the end of others.
    let named = settable(limits).filter(|row| given.contains_key(row.name));
    let culprit = named.filter(|row| text.contains(row.name)).max_by_key(|row| row.name.len());
    Err(match culprit {
        Some(row) => {
            format!("{at}.{}: {text} Accepted: {}.", key_of(row.name), accepted(row, limits))
        }
        None => format!("{at}: {text}"),
    })
}

/// Attributes that a file may give: all that a call may, but those with keys of their own.
fn settable(limits: &Limits) -> impl Iterator<Item = &'static QueueAttribute> {
    let special = |row: &&QueueAttribute| !matches!(row.name, "FifoQueue" | "RedrivePolicy");
    let known = |row: &&QueueAttribute| attributes::find(row.name, limits).is_ok();
    ATTRIBUTES.iter().filter(|row| row.is_settable().0).filter(special).filter(known)
}

fn is_fifo(row: &QueueAttribute) -> bool {
    row.is_settable().1
}

/// `VisibilityTimeout` → `visibility_timeout`; our own without `Stanchion.`.
fn key_of(name: &str) -> String {
    let name = name.strip_prefix("Stanchion.").unwrap_or(name);
    let mut key = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_ascii_uppercase() && !key.is_empty() {
            key.push('_');
        }
        key.push(c.to_ascii_lowercase());
    }
    key
}

/// What may stand behind a key.
fn accepted(row: &QueueAttribute, limits: &Limits) -> String {
    match (row.range(limits), row.name) {
        (Some((min, max)), _) => format!("a whole number from {min} to {max}"),
        (_, "DeduplicationScope") => "\"queue\" or \"messageGroup\"".into(),
        (_, "FifoThroughputLimit") => {
            "\"perQueue\", or \"perMessageGroupId\" beside deduplication_scope = \"messageGroup\""
                .into()
        }
        (_, "Policy" | "RedriveAllowPolicy") => "a policy, as a text in JSON or as a table".into(),
        (_, "KmsMasterKeyId") => "the name of a key".into(),
        _ => "true or false".into(),
    }
}

fn table(at: &str, value: Value) -> Result<Table, String> {
    match value {
        Value::Table(table) => Ok(table),
        _ => Err(format!("{at}: a table, please.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{STANDARD, STRICT};

    fn parse_with(file: &str, limits: &Limits) -> Result<Declarations, String> {
        let mut file: Table = file.parse().unwrap();
        Declarations::parse(Tables::take_from(&mut file), limits)
    }

    fn parse(file: &str) -> Result<Declarations, String> {
        parse_with(file, &STANDARD)
    }

    #[test]
    fn a_queue_has_the_attributes_of_its_table_by_the_names_of_sqs() {
        let file = r#"
            [queues.orders]
            visibility_timeout = 60
            delay_seconds = "5"
            long_delays = true
            dead_letter_queue = "orders-dead"
            max_receive_count = 3
            tags = { team = "billing", level = 3 }

            [queues."orders.fifo"]
            fifo = true
            content_based_deduplication = true
            policy = { Version = "2012-10-17", Statement = [
                { Effect = "Allow", Principal = "*", Action = "sqs:SendMessage", Resource = "*" },
            ] }

            [queues.orders-dead]
        "#;
        let queues = parse(file).unwrap().queues;
        let names: Vec<&str> = queues.iter().map(|queue| queue.name.as_str()).collect();
        assert_eq!(names, ["orders", "orders-dead", "orders.fifo"]);
        let [orders, dead, fifo] = &queues[..] else { panic!("three queues") };
        let given: Vec<_> = orders.given.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(given, ["DelaySeconds=5", "Stanchion.LongDelays=true", "VisibilityTimeout=60"]);
        assert_eq!(orders.dead_letters, Some((dead.name.clone(), 3)));
        assert_eq!(orders.tags["level"], "3");
        assert!(fifo.given["Policy"].contains("sqs:SendMessage"), "{:?}", fifo.given);
        assert_eq!(parse("").unwrap().queues, []);
    }

    #[test]
    fn a_mistake_is_named_by_its_key_with_what_is_accepted() {
        #[rustfmt::skip]
        let cases: &[(&str, &[&str])] = &[
            ("queues = 3",                                   &["queues: a table"]),
            ("[queues]\nq = 3",                              &["queues.q: a table"]),
            ("[queues.'a b']",                               &["queues.a b:", "letters"]),
            ("[queues.q]\nvisibility = 1",                   &["queues.q:", "no key visibility", "visibility_timeout", "tags", "fifo"]),
            ("[queues.q]\nvisibility_timeout = 43201",       &["queues.q.visibility_timeout:", "0 to 43200"]),
            ("[queues.q]\nvisibility_timeout = 'long'",      &["queues.q.visibility_timeout:", "0 to 43200"]),
            ("[queues.q]\nvisibility_timeout = 1.5",         &["queues.q.visibility_timeout:", "0 to 43200"]),
            ("[queues.q]\nqueue_arn = 'a'",                  &["no key queue_arn"]),
            ("[queues.q]\nredrive_policy = '{}'",            &["no key redrive_policy", "dead_letter_queue"]),
            ("[queues.q]\nsqs_managed_sse_enabled = 'may'",  &["queues.q.sqs_managed_sse_enabled:", "true or false"]),
            ("[queues.q]\npolicy = 'x'",                     &["queues.q.policy:", "JSON"]),
            ("[queues.q]\nredrive_allow_policy = 'x'",       &["queues.q.redrive_allow_policy:", "JSON"]),
            ("[queues.q]\ndeduplication_scope = 'queue'",    &["queues.q.deduplication_scope:", "only FIFO queues"]),
            ("[queues.'q.fifo']\ndeduplication_scope = 'x'", &["queues.q.fifo.deduplication_scope:", "messageGroup"]),
            ("[queues.'q.fifo']\nfifo_throughput_limit = 'perMessageGroupId'", &["queues.q.fifo.fifo_throughput_limit:", "deduplication_scope"]),
            ("[queues.q]\nfifo = true",                      &["queues.q.fifo:", "cannot be changed", "q.fifo"]),
            ("[queues.'q.fifo']\nfifo = false",              &["queues.q.fifo.fifo:", "cannot be changed"]),
            ("[queues.q.fifo]",                              &["queues.q.fifo:", "[queues.\"q.fifo\"]"]),
            ("[queues.q]\nfifo = 'yes'",                     &["queues.q.fifo: true or false"]),
            ("[queues.q]\nmax_receive_count = 3",            &["queues.q.max_receive_count:", "dead_letter_queue"]),
            ("[queues.q]\ndead_letter_queue = 'd'",          &["queues.q.dead_letter_queue:", "max_receive_count"]),
            ("[queues.q]\nmax_receive_count = 0\ndead_letter_queue = 'd'", &["queues.q.max_receive_count:", "1 to 1000"]),
            ("[queues.q]\nmax_receive_count = 1\ndead_letter_queue = 'd.fifo'", &["queues.q.dead_letter_queue:", "other type"]),
            ("[queues.q]\nmax_receive_count = 1\ndead_letter_queue = 7", &["queues.q.dead_letter_queue:", "name of a queue"]),
            ("[queues.q]\ntags = 'x'",                       &["queues.q.tags: a table"]),
            ("[queues.q.tags]\nt = [1]",                     &["queues.q.tags.t: a text"]),
            ("[queues.q.tags]\n'aws:t' = 'x'",               &["queues.q.tags:", "aws:"]),
            ("[template]\nfifo = true",                      &["template: there is no key fifo", "tags"]),
            ("[template]\ndelay_seconds = 901",              &["template.delay_seconds:", "0 to 900"]),
        ];
        for (file, parts) in cases {
            let error = parse(file).map(drop).unwrap_err();
            for part in *parts {
                assert!(error.contains(part), "{file}: {part} in {error}");
            }
        }
    }

    #[test]
    fn what_is_accepted_depends_on_the_limits_in_force() {
        let long = "[queues.q]\nlong_delays = true";
        assert!(parse_with(long, &STANDARD).is_ok());
        assert!(parse_with(long, &STRICT).unwrap_err().contains("no key long_delays"));
    }

    #[test]
    fn a_template_is_for_both_types_and_fifo_attributes_for_one() {
        let file = "[template]\nvisibility_timeout = 7\ncontent_based_deduplication = true";
        let template = parse(file).unwrap().template;
        let standard = template.settings(QueueKind::Standard);
        let fifo = template.settings(QueueKind::Fifo);
        assert_eq!((standard.visibility_timeout_s, fifo.visibility_timeout_s), (7, 7));
        assert!(fifo.fifo.is_some_and(|fifo| fifo.content_based_deduplication));
        let plain = Template::default().settings(QueueKind::Fifo);
        assert_eq!(plain, QueueSettings::new(QueueKind::Fifo));
    }
}
