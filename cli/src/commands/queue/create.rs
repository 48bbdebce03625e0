//! `stanchion queue create` and `set`.

use clap::Args;
use serde::Serialize;
use stanchion_sdk::Client;
use stanchion_sdk::actions::queues::{CreateQueue, SetQueueAttributes};
use stanchion_sdk::message::Attributes;

use super::attributes::{Change, DeadLetters, changes, dead_letters_of};
use super::settings::{MAX_RECEIVES, Settings};
use crate::context::Target;
use crate::failure::Failure;
use crate::input::parse_pair;
use crate::output::Output;
use crate::queues::{attributes, is_fifo, name_of};

/// How long a dead-letter queue keeps messages that is created beside its source: as long as there
/// is, because a message's age begins when it was first sent.
const DEAD_LETTERS_KEPT_SECONDS: u32 = 14 * 86_400;

/// A new queue.
#[derive(Args, Debug)]
pub(crate) struct Create {
    /// What to call it; the name of a FIFO queue ends in .fifo
    name: String,
    #[command(flatten)]
    settings: Settings,
    /// A tag
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
    tag: Vec<(String, String)>,
    /// A FIFO queue, which its name says already
    #[arg(long)]
    fifo: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// What a queue shall be set to.
#[derive(Args, Debug)]
pub(crate) struct Set {
    /// The queue: its name, or its URL
    pub(super) queue: String,
    #[command(flatten)]
    settings: Settings,
    /// Messages are received for ever: no dead letters
    #[arg(long, conflicts_with_all = ["dlq", "max_receives"])]
    no_dlq: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Created<'a> {
    queue: &'a str,
    queue_url: Option<String>,
    attributes: Attributes,
    dead_letter_queue: Option<&'a str>,
    dead_letter_queue_created: bool,
    dry_run: bool,
}

impl Create {
    pub(super) async fn run(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        let Create { name, settings, tag, fifo, dry_run } = self;
        if *fifo && !is_fifo(name) {
            let text = format!("the name of a FIFO queue ends in .fifo: {name}.fifo");
            return Err(Failure::Usage(text));
        }
        if settings.max_receives.is_some() && settings.dlq.is_none() {
            return Err(Failure::Usage("--max-receives goes with --dlq".into()));
        }
        let client = &target.client;
        let mut request = CreateQueue::new(name);
        request.attributes.extend(settings.attributes()?);
        request.tags = tag.iter().cloned().collect();
        let mut beside = None;
        if let Some(queue) = &settings.dlq {
            let max_receives = settings.max_receives.unwrap_or(MAX_RECEIVES);
            let found = dead_letter_queue(client, name, queue, *dry_run).await?;
            let policy = DeadLetters::policy(&found.arn, max_receives);
            request.attributes.insert("RedrivePolicy".into(), policy);
            beside = Some(found);
        }
        let dead_letter_queue_created = beside.as_ref().is_some_and(|beside| beside.created);
        let attributes = request.attributes.clone();
        let queue_url = match dry_run {
            true => None,
            false => {
                let created = client.create_queue(request).await.map_err(already_there);
                Some(created.map_err(|failure| beside_alone(failure, beside.as_ref()))?.queue_url)
            }
        };
        let dead_letter_queue = settings.dlq.as_deref().map(name_of);
        let verb = if *dry_run { "Would create" } else { "Created" };
        let sentence = match dead_letter_queue.filter(|_| dead_letter_queue_created) {
            Some(dead) => format!("{verb} {name}, and {dead} for its dead letters"),
            None => format!("{verb} {name}"),
        };
        let record = Created {
            queue: name,
            queue_url,
            attributes,
            dead_letter_queue,
            dead_letter_queue_created,
            dry_run: *dry_run,
        };
        output.done(&sentence, &record)
    }
}

fn already_there(error: stanchion_sdk::Error) -> Failure {
    let exists = matches!(error.code(), Some("QueueNameExists" | "QueueAlreadyExists"));
    let failure = Failure::from(error);
    match exists {
        true => failure.with_hint("`stanchion queue set` changes what a queue is set to"),
        false => failure,
    }
}

/// Says what is there although the command failed.
fn beside_alone(failure: Failure, beside: Option<&Beside>) -> Failure {
    match beside.filter(|beside| beside.created) {
        Some(beside) => failure.with_hint(format!(
            "{} was created for its dead letters before that, and is still there",
            name_of(&beside.arn)
        )),
        None => failure,
    }
}

/// A queue for dead letters.
pub(super) struct Beside {
    pub(super) arn: String,
    /// It was missing.
    pub(super) created: bool,
}

/// Finds the queue for dead letters of `source`, and creates it where there is none of that name; with
/// `dry_run` only says so, and the ARN is what it would be called.
pub(super) async fn dead_letter_queue(
    client: &Client,
    source: &str,
    queue: &str,
    dry_run: bool,
) -> Result<Beside, Failure> {
    if is_fifo(name_of(source)) != is_fifo(name_of(queue)) {
        let text = format!(
            "the dead-letter queue of a FIFO queue is a FIFO queue, and that of another is not: \
             {} and {}",
            name_of(source),
            name_of(queue)
        );
        return Err(Failure::Usage(text));
    }
    if queue.starts_with("arn:") {
        return Ok(Beside { arn: queue.into(), created: false });
    }
    let found = match attributes(client, queue).await {
        Ok(found) => found,
        Err(error) if error.is_queue_missing() => {
            if dry_run {
                return Ok(Beside { arn: queue.into(), created: true });
            }
            let new = CreateQueue::new(name_of(queue))
                .attribute("MessageRetentionPeriod", DEAD_LETTERS_KEPT_SECONDS);
            let url = client.create_queue(new).await?.queue_url;
            let attributes = attributes(client, &url).await?;
            return Ok(Beside { arn: arn_of(&attributes, queue)?, created: true });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Beside { arn: arn_of(&found, queue)?, created: false })
}

fn arn_of(attributes: &Attributes, queue: &str) -> Result<String, Failure> {
    let arn = attributes.get("QueueArn").cloned();
    arn.ok_or_else(|| Failure::failed(format!("the server does not say the ARN of {queue}")))
}

#[derive(Serialize)]
struct Changed<'a> {
    queue: &'a str,
    changes: &'a [Change],
    dry_run: bool,
}

impl Set {
    pub(super) async fn run(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        let Set { queue, settings, no_dlq, dry_run } = self;
        let client = &target.client;
        let mut wanted = settings.attributes()?;
        let redrives = *no_dlq || settings.dlq.is_some() || settings.max_receives.is_some();
        if wanted.is_empty() && !redrives {
            return Err(Failure::Usage("say what to set, such as --visibility 1m".into()));
        }
        let actual = attributes(client, queue).await?;
        if *no_dlq {
            wanted.insert("RedrivePolicy".into(), String::new());
        } else if redrives {
            let policy = self.redrive_policy(client, &actual).await?;
            wanted.insert("RedrivePolicy".into(), policy);
        }
        let changes = changes(&actual, &wanted);
        if !changes.is_empty() && !dry_run {
            let attributes =
                changes.iter().map(|change| (change.attribute.clone(), change.to.clone()));
            let attributes = attributes.collect();
            let queue_url = queue.clone();
            client.set_queue_attributes(SetQueueAttributes { queue_url, attributes }).await?;
        }
        let name = name_of(queue);
        let shown: Vec<_> = changes.iter().map(|change| format!("\n  {}", change.show())).collect();
        let sentence = match (changes.is_empty(), dry_run) {
            (true, _) => format!("{name} is set so already"),
            (false, true) => format!("Would change {name}:{}", shown.concat()),
            (false, false) => format!("Changed {name}:{}", shown.concat()),
        };
        output.done(&sentence, &Changed { queue: name, changes: &changes, dry_run: *dry_run })
    }

    /// What is not said about dead letters is as it was.
    async fn redrive_policy(
        &self,
        client: &Client,
        actual: &Attributes,
    ) -> Result<String, Failure> {
        let before = dead_letters_of(actual);
        let max_receives = self.settings.max_receives;
        let max_receives = max_receives
            .or(before.as_ref().map(|before| before.max_receives))
            .unwrap_or(MAX_RECEIVES);
        let arn = match (&self.settings.dlq, before) {
            (Some(dlq), _) => dead_letter_queue(client, &self.queue, dlq, self.dry_run).await?.arn,
            (None, Some(before)) => before.queue,
            (None, None) => {
                return Err(Failure::Usage("there is no dead-letter queue: say --dlq too".into()));
            }
        };
        Ok(DeadLetters::policy(&arn, max_receives))
    }
}
