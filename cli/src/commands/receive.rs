//! `stanchion receive`, and what can be done with what was received: `delete` and `extend`.

use std::time::Duration;

use clap::Args;
use stanchion_sdk::actions::batches::BatchReply;
use stanchion_sdk::actions::own::messages::DeleteMessages;
use stanchion_sdk::{
    ChangeMessageVisibilityBatch, ChangeMessageVisibilityBatchEntry, DeleteMessageBatch,
    ReceiveMessage,
};

use crate::args::Global;
use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::filter::Which;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::show::{Bodies, Stream};
use crate::units::{parse_duration, show_count, show_seconds, whole_seconds};

use crate::queues::name_of;

/// The most that one receive, and one batch, has.
const BATCH: usize = 10;

/// Receive messages, and delete them or let them come back
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion receive orders
  stanchion receive orders --max 100 --delete -o ndjson > orders.ndjson
  stanchion receive orders --wait 20s --visibility 5m --pretty
  stanchion receive orders --delete --raw | wc -l

Without --delete the messages come back when their visibility timeout ends. With it each is deleted
after it was printed.")]
pub(crate) struct Receive {
    /// The queue: its name or URL
    queue: String,
    /// Up to so many messages
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1,
        value_parser = clap::value_parser!(u64).range(1..))]
    max: u64,
    /// Wait so long for a first message, at most 20s
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0")]
    wait: Duration,
    /// Delete what was printed
    #[arg(long, short = 'd')]
    delete: bool,
    /// Hide what is received for so long; by default what the queue says
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    visibility: Option<Duration>,
    /// Change nothing: only look, as `peek` does
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    bodies: Bodies,
}

/// Runs `receive`.
pub(crate) async fn run(receive: Receive, global: &Global, output: &Output) -> Result<(), Failure> {
    let Receive { queue, max, wait, delete, visibility, dry_run, bodies } = receive;
    if dry_run {
        let peek = super::peek::Peek::of(queue, max, bodies);
        return super::peek::run(peek, global, output).await;
    }
    let target = Target::resolve(global).await?;
    let client = &target.client;
    let mut stream = Stream::new(output, &bodies);
    let mut undeleted = 0;
    let mut interrupt = Interrupt::listen()?;
    while stream.shown() < max {
        let room = (max - stream.shown()).min(BATCH as u64);
        let mut request = ReceiveMessage::new(&queue).max(u32::try_from(room).unwrap_or(1));
        // Only a first message is waited for.
        request = request.wait(if stream.shown() == 0 { wait } else { Duration::ZERO });
        if let Some(visibility) = visibility {
            request = request.visibility(visibility);
        }
        let messages = tokio::select! {
            reply = client.receive_message(request) => reply?.messages,
            () = interrupt.asked() => break,
        };
        if messages.is_empty() {
            break;
        }
        let handles: Vec<_> =
            messages.iter().map(|message| message.receipt_handle.clone()).collect();
        for message in messages {
            stream.push(message.into())?;
        }
        // Deleted only once it is out: who reads may be gone.
        stream.flush()?;
        if delete {
            let reply =
                client.delete_message_batch(DeleteMessageBatch::new(&queue, handles)).await?;
            undeleted += reply.failed.len();
        }
    }
    stream.end(&match interrupt.is_asked() {
        true => "Nothing was received.".into(),
        false => format!("There is nothing to receive in {}.", name_of(&queue)),
    })?;
    match undeleted {
        0 if interrupt.is_asked() => Err(Failure::Partly("stopped".into())),
        0 => Ok(()),
        some => Err(Failure::Partly(format!("{some} messages were printed and not deleted"))),
    }
}

/// Delete messages: by their receipt handles, or all that a filter means
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion delete orders AQEB…
  stanchion delete orders --contains test --dry-run
  stanchion delete orders --id 5f0c9a1e-4d0b-4f8e-9d0e-1c2b3a495867 --yes
  stanchion delete orders --state returned --min-receives 5

A filter deletes whatever the messages' state; that is Stanchion's own. To delete every message of a
queue there is `stanchion queue purge`.")]
pub(crate) struct Delete {
    /// The queue: its name or URL
    queue: String,
    /// What `receive` printed
    handles: Vec<String>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    consent: Consent,
}

/// Runs `delete`.
pub(crate) async fn delete(
    delete: Delete,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let Delete { queue, handles, which, consent } = delete;
    let target = Target::resolve(global).await?;
    let filter = match (which.filter(), handles.is_empty()) {
        (Some(filter), true) => filter,
        (None, false) if consent.dry_run => {
            let record =
                serde_json::json!({"queue": name_of(&queue), "would_delete": handles.len()});
            return output.done(&format!("Would delete {} messages", handles.len()), &record);
        }
        (None, false) => {
            // Who has the handles has received the messages; only who protects a context is asked.
            if target.protected {
                let name = name_of(&queue);
                let deed = format!("delete {} messages of {name}", handles.len());
                consent.ask(&target, name, &deed)?;
            }
            let mut tally = Tally::default();
            for handles in handles.chunks(BATCH) {
                let request = DeleteMessageBatch::new(&queue, handles);
                tally.add(
                    handles.len(),
                    target.client.delete_message_batch(request).await?,
                    output,
                );
            }
            return tally.say("Deleted", "deleted", output);
        }
        _ => {
            return Err(Failure::Usage(
                "say which messages: either receipt handles, or a filter such as --id".into(),
            ));
        }
    };
    let name = name_of(&queue);
    if !consent.dry_run {
        consent.ask(&target, name, &format!("delete messages of {name}"))?;
    }
    let interrupt = Interrupt::listen()?;
    let dry_run = Some(consent.dry_run);
    let mut request = DeleteMessages {
        queue_url: queue.clone(),
        filter,
        dry_run,
        max_results: Some(1_000),
        next_token: None,
    };
    let mut deleted = 0;
    loop {
        let page = target.client.delete_messages(request.clone()).await?;
        deleted += page.message_ids.len() as u64;
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            break;
        }
        if interrupt.is_asked() {
            return Err(Failure::Partly(format!("stopped: {} were deleted", show_count(deleted))));
        }
    }
    let (verb, key) = match consent.dry_run {
        true => ("Would delete", "would_delete"),
        false => ("Deleted", "deleted"),
    };
    let record = serde_json::json!({"queue": name, key: deleted});
    output.done(&format!("{verb} {} messages of {name}", show_count(deleted)), &record)
}

/// Hide messages that were received for longer, or show them again at once
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion extend orders AQEB… --by 5m
  stanchion extend orders AQEB… --by 0")]
pub(crate) struct Extend {
    /// The queue: its name or URL
    queue: String,
    /// What `receive` printed
    #[arg(required = true)]
    handles: Vec<String>,
    /// From now on, at most 12h; 0 gives the messages back
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    by: Duration,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// Runs `extend`.
pub(crate) async fn extend(
    extend: Extend,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let Extend { queue, handles, by, dry_run } = extend;
    let target = Target::resolve(global).await?;
    // Only 0 gives them back.
    let seconds = whole_seconds(by);
    if dry_run {
        let hidden = show_seconds(seconds);
        let record = serde_json::json!({"queue": name_of(&queue), "would_extend": handles.len()});
        let sentence = format!("Would hide {} messages for {hidden}", handles.len());
        return output.done(&sentence, &record);
    }
    let visibility_timeout = u32::try_from(seconds).unwrap_or(u32::MAX);
    let mut tally = Tally::default();
    for handles in handles.chunks(BATCH) {
        let entry = |(place, handle): (usize, &String)| ChangeMessageVisibilityBatchEntry {
            id: place.to_string(),
            receipt_handle: handle.clone(),
            visibility_timeout,
        };
        let entries = handles.iter().enumerate().map(entry).collect();
        let request = ChangeMessageVisibilityBatch { queue_url: queue.clone(), entries };
        tally.add(
            handles.len(),
            target.client.change_message_visibility_batch(request).await?,
            output,
        );
    }
    tally.say("Extended", "extended", output)
}

/// How many handles were good.
#[derive(Debug, Default)]
struct Tally {
    done: usize,
    failed: usize,
}

impl Tally {
    fn add(&mut self, asked: usize, reply: BatchReply, output: &Output) {
        self.failed += reply.failed.len();
        self.done += asked - reply.failed.len().min(asked);
        for failure in reply.failed {
            output.note(&format!("{}: {}", failure.code, failure.message.unwrap_or_default()));
        }
    }

    fn say(self, verb: &str, key: &str, output: &Output) -> Result<(), Failure> {
        let Tally { done, failed } = self;
        let record = serde_json::json!({key: done, "failed": failed});
        output.done(&format!("{verb} {done} messages"), &record)?;
        match (done, failed) {
            (_, 0) => Ok(()),
            (0, _) => Err(Failure::failed("not one was: the server says why above")),
            (_, failed) => Err(Failure::Partly(format!("{failed} were not"))),
        }
    }
}
