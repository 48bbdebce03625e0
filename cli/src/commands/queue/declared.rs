//! `stanchion queue export` and `apply`: queues as a file says, in the server's own format.

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stanchion_sdk::Client;
use stanchion_sdk::actions::queues::{CreateQueue, ListQueueTags, SetQueueAttributes, TagQueue};
use stanchion_sdk::message::Attributes;

use super::attributes::{Change, DeadLetters, SETTINGS, changes, dead_letters_of};
use crate::context::Target;
use crate::failure::Failure;
use crate::input::read_text;
use crate::output::{Format, Output, Record};
use crate::queues::{attributes, is_fifo, name_of, names};

/// How many queues are exported at most.
const QUEUES_MAX: usize = 100_000;

/// The file.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// By their names.
    #[serde(default)]
    queues: BTreeMap<String, Table>,
}

/// A queue in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Table {
    /// By the keys of [`SETTINGS`].
    #[serde(flatten)]
    settings: Map<String, Value>,
    /// By name, or an ARN where it is somebody else's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dead_letter_queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_receive_count: Option<u32>,
    /// The name says it already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fifo: Option<bool>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
}

/// A queue as the file wants it.
#[derive(Debug, PartialEq)]
struct Wanted {
    name: String,
    /// Without `RedrivePolicy`.
    attributes: Attributes,
    dead_letters: Option<DeadLetters>,
    tags: BTreeMap<String, String>,
}

impl File {
    /// Reads TOML, or JSON if it begins like that.
    fn parse(text: &str) -> Result<File, String> {
        match text.trim_start().starts_with('{') {
            true => serde_json::from_str(text).map_err(|error| error.to_string()),
            false => toml::from_str(text).map_err(|error| error.to_string()),
        }
    }

    fn read(file: &str) -> Result<Vec<Wanted>, Failure> {
        let text = read_text(file)?;
        let named = |error: String| Failure::failed(format!("{file}: {}", error.trim_end()));
        let parsed = File::parse(&text).map_err(named)?;
        parsed.queues.into_iter().map(|(name, table)| table.wanted(name).map_err(named)).collect()
    }
}

impl Table {
    /// A queue as it is; `own` is how ARNs of its account and region begin.
    fn of(attributes: &Attributes, tags: BTreeMap<String, String>) -> Table {
        let set = SETTINGS.iter().filter_map(|setting| {
            Some((setting.key.to_owned(), setting.value(attributes.get(setting.name)?)))
        });
        let own = attributes.get("QueueArn").and_then(|arn| arn.rsplit_once(':'));
        let dead_letters = dead_letters_of(attributes);
        let target = |arn: &str| match (own, arn.rsplit_once(':')) {
            (Some((own, _)), Some((there, name))) if own == there => name.to_owned(),
            _ => arn.to_owned(),
        };
        Table {
            settings: set.collect(),
            dead_letter_queue: dead_letters.as_ref().map(|dead| target(&dead.queue)),
            max_receive_count: dead_letters.map(|dead| dead.max_receives),
            fifo: None,
            tags,
        }
    }

    /// What it asks for. Fails with the key and what is wrong with it.
    fn wanted(self, name: String) -> Result<Wanted, String> {
        if self.fifo.is_some_and(|fifo| fifo != is_fifo(&name)) {
            return Err(format!("queues.{name}.fifo: the name of a FIFO queue ends in .fifo"));
        }
        let mut attributes = Attributes::new();
        for (key, value) in self.settings {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
                let mut known: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
                known.extend(["dead_letter_queue", "fifo", "max_receive_count", "tags"]);
                let known = known.join(", ");
                return Err(format!("queues.{name}: there is no key {key}; there are {known}"));
            };
            let text = match value {
                Value::String(text) => text,
                Value::Null => continue,
                value => value.to_string(),
            };
            attributes.insert(setting.name.to_owned(), text);
        }
        let dead_letters = match (self.dead_letter_queue, self.max_receive_count) {
            (None, None) => None,
            (Some(queue), Some(max_receives)) => Some(DeadLetters { queue, max_receives }),
            _ => {
                return Err(format!(
                    "queues.{name}: dead_letter_queue and max_receive_count go together"
                ));
            }
        };
        let other_kind =
            dead_letters.as_ref().filter(|dead| is_fifo(name_of(&dead.queue)) != is_fifo(&name));
        if let Some(dead) = other_kind {
            return Err(format!(
                "queues.{name}.dead_letter_queue: {} is of the other kind; that of a FIFO queue is \
                 a FIFO queue",
                dead.queue
            ));
        }
        Ok(Wanted { name, attributes, dead_letters, tags: self.tags })
    }
}

/// Prints queues as a file.
pub(super) async fn export(
    target: &Target,
    queues: Vec<String>,
    prefix: Option<String>,
    output: &Output,
) -> Result<(), Failure> {
    if matches!(output.format(), Format::Csv | Format::Ndjson) {
        return Err(Failure::Usage("an export is TOML, or with `-o json` JSON".into()));
    }
    let client = &target.client;
    let queues = match queues.is_empty() {
        true => names(client, prefix, QUEUES_MAX).await?,
        false => queues,
    };
    let mut file = File::default();
    for queue in queues {
        let attributes = attributes(client, &queue).await?;
        let table = Table::of(&attributes, tags_of(client, &queue).await?);
        file.queues.insert(name_of(&queue).to_owned(), table);
    }
    match output.format() {
        Format::Table => {
            let text = toml::to_string_pretty(&file);
            output.text(&text.map_err(|error| Failure::failed(error.to_string()))?)
        }
        _ => output.done("", &file),
    }
}

async fn tags_of(client: &Client, queue: &str) -> Result<BTreeMap<String, String>, Failure> {
    Ok(client.list_queue_tags(ListQueueTags { queue_url: queue.into() }).await?.tags)
}

/// Brings queues about.
#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// The file; `-` is standard input
    file: String,
    /// Only show the plan
    #[arg(long)]
    dry_run: bool,
}

/// What is to be done about a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Deed {
    Create,
    Change,
    Nothing,
}

/// A line of the plan.
#[derive(Serialize)]
struct Step {
    action: Deed,
    queue: String,
    changes: Vec<Change>,
    tags: BTreeMap<String, String>,
    /// It was carried out.
    done: bool,
    error: Option<String>,
    #[serde(skip)]
    dead_letters: Option<DeadLetters>,
}

impl Record for Step {
    const COLUMNS: &'static [&'static str] = &["", "QUEUE", "CHANGES"];

    fn row(&self) -> Vec<String> {
        let mut changes: Vec<_> = self.changes.iter().map(Change::show).collect();
        changes.extend(self.tags.iter().map(|(key, value)| format!("tag {key}={value}")));
        let deed = match self.action {
            Deed::Create => "create",
            Deed::Change => "change",
            Deed::Nothing => "",
        };
        let changes = match self.action {
            Deed::Nothing => "as it should be".into(),
            _ => changes.join("\n"),
        };
        vec![deed.into(), self.queue.clone(), changes]
    }
}

impl Apply {
    pub(super) async fn run(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        let wanted = File::read(&self.file)?;
        let mut plan = plan(&target.client, wanted).await?;
        let nothing = "The file names no queues.";
        if self.dry_run {
            return output.list(&plan, nothing);
        }
        if output.is_human() {
            output.list(&plan, nothing)?;
        }
        carry_out(&target.client, &mut plan).await;
        if !output.is_human() {
            output.list(&plan, nothing)?;
        }
        let count = |deed| plan.iter().filter(|step| step.done && step.action == deed).count();
        let (created, changed) = (count(Deed::Create), count(Deed::Change));
        let failed: Vec<_> =
            plan.iter().filter_map(|step| Some((step, step.error.as_ref()?))).collect();
        for (step, error) in &failed {
            output.error(&format!("{}: {error}", step.queue));
        }
        let summary = format!("{created} created, {changed} changed");
        match (failed.len(), created + changed) {
            (0, _) if output.is_human() => output.line(&summary),
            (0, _) => Ok(()),
            (failed, 0) => Err(Failure::failed(format!("{failed} failed"))),
            (failed, _) => Err(Failure::Partly(format!("{summary}, {failed} failed"))),
        }
    }
}

/// What has to be done that everything is as wanted.
async fn plan(client: &Client, wanted: Vec<Wanted>) -> Result<Vec<Step>, Failure> {
    let mut plan = Vec::with_capacity(wanted.len());
    for queue in wanted {
        let found = match attributes(client, &queue.name).await {
            Ok(found) => Some(found),
            Err(error) if error.is_queue_missing() => None,
            Err(error) => return Err(error.into()),
        };
        let tags = match found {
            Some(_) => tags_of(client, &queue.name).await?,
            None => BTreeMap::new(),
        };
        plan.push(step(queue, found.as_ref(), &tags));
    }
    Ok(plan)
}

/// What has to be done about a queue that is so, or is not there.
fn step(wanted: Wanted, found: Option<&Attributes>, tags: &BTreeMap<String, String>) -> Step {
    let none = Attributes::new();
    let Wanted { name, attributes, dead_letters, tags: wanted_tags } = wanted;
    let mut changes = changes(found.unwrap_or(&none), &attributes);
    let before = found.and_then(dead_letters_of);
    // In the file it is a name where it is one's own.
    let same = |is: &DeadLetters, shall: &DeadLetters| {
        let queue = match shall.queue.starts_with("arn:") {
            true => is.queue == shall.queue,
            false => name_of(&is.queue) == name_of(&shall.queue),
        };
        queue && is.max_receives == shall.max_receives
    };
    let dead_letters =
        dead_letters.filter(|shall| !before.as_ref().is_some_and(|before| same(before, shall)));
    let show = |dead: &DeadLetters| {
        format!("{} after {} receives", name_of(&dead.queue), dead.max_receives)
    };
    changes.extend(dead_letters.as_ref().map(|shall| Change {
        attribute: "RedrivePolicy".into(),
        from: before.as_ref().map(show),
        to: show(shall),
    }));
    let tags: BTreeMap<_, _> =
        wanted_tags.into_iter().filter(|(key, value)| tags.get(key) != Some(value)).collect();
    let action = match found {
        None => Deed::Create,
        Some(_) if changes.is_empty() && tags.is_empty() => Deed::Nothing,
        Some(_) => Deed::Change,
    };
    Step { queue: name, action, changes, tags, done: false, error: None, dead_letters }
}

/// Creates what is missing, then sets what differs: a dead-letter queue is there before anything is
/// said to send to it.
async fn carry_out(client: &Client, plan: &mut [Step]) {
    for step in plan.iter_mut().filter(|step| step.action == Deed::Create) {
        let mut request = CreateQueue::new(&step.queue);
        request.attributes.extend(step.attributes());
        request.tags = step.tags.clone();
        step.error = client.create_queue(request).await.err().map(|error| error.to_string());
    }
    for step in plan.iter_mut().filter(|step| step.error.is_none()) {
        match step.set(client).await {
            Ok(()) => step.done = step.action != Deed::Nothing,
            Err(failure) => step.error = Some(failure.to_string()),
        }
    }
}

impl Step {
    /// What differs, without `RedrivePolicy`.
    fn attributes(&self) -> Attributes {
        let plain = self.changes.iter().filter(|change| change.attribute != "RedrivePolicy");
        plain.map(|change| (change.attribute.clone(), change.to.clone())).collect()
    }

    async fn set(&self, client: &Client) -> Result<(), Failure> {
        let is_new = self.action == Deed::Create;
        let mut wanted = if is_new { Attributes::new() } else { self.attributes() };
        if let Some(dead) = &self.dead_letters {
            let arn = match dead.queue.starts_with("arn:") {
                true => dead.queue.clone(),
                false => {
                    let found = attributes(client, &dead.queue).await?;
                    found.get("QueueArn").cloned().unwrap_or_default()
                }
            };
            wanted.insert("RedrivePolicy".into(), DeadLetters::policy(&arn, dead.max_receives));
        }
        let queue_url = self.queue.clone();
        if !wanted.is_empty() {
            let request = SetQueueAttributes { queue_url: queue_url.clone(), attributes: wanted };
            client.set_queue_attributes(request).await?;
        }
        if !is_new && !self.tags.is_empty() {
            client.tag_queue(TagQueue { queue_url, tags: self.tags.clone() }).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(text: &str) -> Result<Wanted, String> {
        let mut file = File::parse(text)?;
        let (name, table) = file.queues.pop_first().ok_or("no queue")?;
        table.wanted(name)
    }

    #[test]
    fn toml_and_json_say_the_same() {
        let toml = "[queues.orders]\nvisibility_timeout = 60\ntags = { team = \"billing\" }\n\
                    dead_letter_queue = \"dead\"\nmax_receive_count = 5\n\
                    redrive_allow_policy = { redrivePermission = \"denyAll\" }";
        let json = json!({"queues": {"orders": {"visibility_timeout": 60, "max_receive_count": 5,
            "tags": {"team": "billing"}, "dead_letter_queue": "dead",
            "redrive_allow_policy": {"redrivePermission": "denyAll"}}}});
        let wanted_toml = wanted(toml).unwrap();
        assert_eq!(wanted_toml, wanted(&json.to_string()).unwrap());
        assert_eq!(wanted_toml.attributes["VisibilityTimeout"], "60");
        let allow = &wanted_toml.attributes["RedriveAllowPolicy"];
        assert_eq!(allow, r#"{"redrivePermission":"denyAll"}"#);
    }

    #[test]
    fn what_a_file_cannot_mean_is_refused_with_its_key() {
        for (text, part) in [
            ("[queues.a]\nvisibility = 60", "there is no key visibility"),
            ("[queues.a]\nmax_receive_count = 5", "go together"),
            ("[queues.a]\nfifo = true", "queues.a.fifo"),
            ("[queues.a]\ndead_letter_queue = \"d.fifo\"\nmax_receive_count = 1", "other kind"),
            ("[template]", "template"),
        ] {
            let error = wanted(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_queue_that_was_exported_is_as_the_export_says() {
        let attributes: Attributes = [
            ("QueueArn", "arn:aws:sqs:us-east-1:000000000000:orders"),
            ("VisibilityTimeout", "30"),
            ("SqsManagedSseEnabled", "true"),
            ("Policy", r#"{"Version":"2012-10-17","Statement":[]}"#),
            ("RedrivePolicy", r#"{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:000000000000:dead","maxReceiveCount":3}"#),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let tags: BTreeMap<_, _> = [("team".to_owned(), "billing".to_owned())].into();
        let table = Table::of(&attributes, tags.clone());
        assert_eq!(table.dead_letter_queue.as_deref(), Some("dead"));
        let file = File { queues: [("orders".to_owned(), table)].into() };
        let text = toml::to_string_pretty(&file).unwrap();
        let read = File::parse(&text).unwrap();
        assert_eq!(read, file, "{text}");

        let step_of = |found: Option<&Attributes>| step(wanted(&text).unwrap(), found, &tags);
        assert_eq!(step_of(Some(&attributes)).action, Deed::Nothing);
        assert_eq!(step_of(None).action, Deed::Create);
        let mut other = attributes.clone();
        other.insert("VisibilityTimeout".into(), "31".into());
        other.remove("RedrivePolicy");
        let changed = step_of(Some(&other));
        let shown: Vec<_> = changed.changes.iter().map(Change::show).collect();
        let redrive = "RedrivePolicy: none → dead after 3 receives";
        assert_eq!(shown, ["Visibility timeout: 31s → 30s", redrive]);
    }
}
