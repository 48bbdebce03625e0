//! `stanchion redrive`: dead letters go back, all of them by a task of the server's, or chosen ones
//! page by page.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use stanchion_sdk::Client;
use stanchion_sdk::actions::move_tasks::{
    CancelMessageMoveTask, ListMessageMoveTasks, MessageMoveTask, StartMessageMoveTask,
};
use stanchion_sdk::actions::own::messages::{Filter, MoveMessages};

use crate::args::Global;
use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::filter::Which;
use crate::interrupt::Interrupt;
use crate::line::Line;
use crate::output::{Output, Record};
use crate::pages::Pages;
use crate::progress;
use crate::units::show_count;

use crate::queues::{Depth, attributes, name_of};

/// Between two looks at a task.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Kept with the messages that are chosen.
const REASON: &str = "redriven by an operator";

/// Move dead letters back to where they came from, or elsewhere
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion redrive orders-dlq
  stanchion redrive orders-dlq --to orders-repair --rate 50
  stanchion redrive orders-dlq --contains timeout --dry-run
  stanchion redrive orders-dlq --attribute kind=order --max-redrives 3

Without a filter the server moves everything by a task (StartMessageMoveTask), which goes on by itself:
the same command follows a task that runs. Ctrl-C cancels it and says what was moved; the same command
moves the rest. With a filter or --max-redrives the messages that are not in flight are moved page by
page (MoveMessages; Stanchion's own). FIFO groups keep their order both ways.")]
pub(crate) struct Redrive {
    /// The dead-letter queue: its name or URL
    queue: String,
    /// Move to this queue rather than where each message came from
    #[arg(long, value_name = "QUEUE")]
    to: Option<String>,
    /// At most so many messages a second, 1 to 500
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=500))]
    rate: Option<u32>,
    /// Leave messages that were redriven so often already
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_redrives: Option<u32>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    consent: Consent,
}

/// How far a redrive came.
#[derive(Debug, Default, Serialize)]
struct Redriven {
    queue: String,
    moved: u64,
    /// Redriven too often, or of no known source.
    left: u64,
    status: &'static str,
}

impl Record for Redriven {
    const COLUMNS: &'static [&'static str] = &["Queue", "Moved", "Left", "Status"];

    fn row(&self) -> Vec<String> {
        vec![
            self.queue.clone(),
            show_count(self.moved),
            show_count(self.left),
            self.status.to_owned(),
        ]
    }
}

/// Runs it.
pub(crate) async fn run(redrive: Redrive, global: &Global, output: &Output) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    let filter = redrive.which.filter();
    let chosen = filter.is_some() || redrive.max_redrives.is_some();
    let choice = Choice {
        client: &target.client,
        queue: &redrive.queue,
        to: redrive.to.as_deref(),
        filter: with_states(filter.unwrap_or_default()),
        max_redrives: redrive.max_redrives.unwrap_or(u32::MAX),
        rate: redrive.rate,
    };
    if redrive.consent.dry_run {
        return match target.client.is_amazon() && !chosen {
            true => count_only(&target.client, &redrive.queue, output).await,
            false => choice.dry_run(output).await,
        };
    }
    let name = name_of(&redrive.queue);
    // Nothing is lost by it; only who protects a context is asked.
    if target.protected {
        redrive.consent.ask(&target, name, &format!("redrive {name}"))?;
    }
    let interrupt = Interrupt::listen()?;
    match chosen {
        true => choice.run(interrupt, output).await,
        false => whole(&target.client, &redrive, interrupt, output).await,
    }
}

async fn arn(client: &Client, queue: &str) -> Result<String, Failure> {
    let attributes = attributes(client, queue).await?;
    let arn = attributes.get("QueueArn").cloned();
    arn.ok_or_else(|| Failure::failed(format!("the server does not say what {queue} is")))
}

async fn whole(
    client: &Client,
    redrive: &Redrive,
    mut interrupt: Interrupt,
    output: &Output,
) -> Result<(), Failure> {
    let source_arn = arn(client, &redrive.queue).await?;
    let name = name_of(&source_arn).to_owned();
    if newest(client, &source_arn).await?.is_some_and(|task| task.status == "RUNNING") {
        output.note(&format!("{name} is being redriven already: following that"));
    } else {
        let destination_arn = match &redrive.to {
            Some(to) => Some(arn(client, to).await?),
            None => None,
        };
        let start = StartMessageMoveTask {
            source_arn: source_arn.clone(),
            destination_arn,
            max_number_of_messages_per_second: redrive.rate,
        };
        client.start_message_move_task(start).await?;
    }
    let mut bar: Option<ProgressBar> = None;
    let mut cancelled = false;
    let task = loop {
        let Some(task) = newest(client, &source_arn).await? else {
            return Err(Failure::failed("the server has forgotten the task"));
        };
        let bar = bar.get_or_insert_with(|| {
            progress::messages("moved", task.approximate_number_of_messages_to_move)
        });
        bar.set_position(task.approximate_number_of_messages_moved);
        if !matches!(&*task.status, "RUNNING" | "CANCELLING") {
            bar.finish_and_clear();
            break task;
        }
        if interrupt.is_asked() && !cancelled {
            cancelled = true;
            // One that has ended meanwhile cannot be cancelled; the next look says so.
            if let Some(task_handle) = task.task_handle
                && let Err(error) =
                    client.cancel_message_move_task(CancelMessageMoveTask { task_handle }).await
                && error.code() != Some("ResourceNotFoundException")
            {
                return Err(error.into());
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = interrupt.asked(), if !cancelled => {}
        }
    };
    let moved = task.approximate_number_of_messages_moved;
    let to_move = task.approximate_number_of_messages_to_move.unwrap_or(moved);
    let status = match &*task.status {
        "COMPLETED" => "completed",
        "CANCELLED" => "cancelled",
        _ => "failed",
    };
    let left = to_move.saturating_sub(moved);
    report(&Redriven { queue: name, moved, left, status }, output)?;
    match status {
        "completed" => Ok(()),
        "cancelled" => Err(Failure::Partly("cancelled; the same command moves the rest".into())),
        _ => Err(Failure::Partly(format!(
            "the task failed: {}",
            task.failure_reason.as_deref().unwrap_or("the server does not say why")
        ))),
    }
}

async fn newest(client: &Client, source_arn: &str) -> Result<Option<MessageMoveTask>, Failure> {
    let request = ListMessageMoveTasks { source_arn: source_arn.into(), max_results: Some(1) };
    Ok(client.list_message_move_tasks(request).await?.results.into_iter().next())
}

fn report(redriven: &Redriven, output: &Output) -> Result<(), Failure> {
    if !output.is_human() {
        return output.item(redriven);
    }
    let (moved, queue) = (show_count(redriven.moved), &redriven.queue);
    let left = match redriven.left {
        0 => String::new(),
        left => format!(", {} left", show_count(left)),
    };
    output.line(&format!("Moved {moved} messages of {queue}{left}"))
}

/// What is in flight is somebody's.
fn with_states(filter: Filter) -> Filter {
    let settled = ["Available", "Delayed", "Returned"].map(str::to_owned).to_vec();
    Filter { states: Some(filter.states.unwrap_or(settled)), ..filter }
}

/// Chosen messages.
struct Choice<'a> {
    client: &'a Client,
    queue: &'a str,
    to: Option<&'a str>,
    filter: Filter,
    max_redrives: u32,
    rate: Option<u32>,
}

impl Choice<'_> {
    /// The messages of a page by where they go, in their order, and how many stay.
    fn sort(&self, page: impl Iterator<Item = Line>) -> (BTreeMap<String, Vec<String>>, u64) {
        let mut left = 0;
        let mut by_destination: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in page {
            let source = line.dead_letter_source.as_deref().map(name_of);
            let guarded = line.redrive_count.unwrap_or(0) >= self.max_redrives;
            match (self.to.or(source), line.message_id) {
                (Some(to), Some(id)) if !guarded => {
                    by_destination.entry(to.to_owned()).or_default().push(id);
                }
                _ => left += 1,
            }
        }
        (by_destination, left)
    }

    fn pages(&self) -> Pages<'_> {
        let pages = Pages::oldest(self.client, self.queue, Some(self.filter.clone()));
        // A page is moved at once: what a rate allows in a second is enough of one.
        pages.of_at_most(self.rate.map_or(u64::MAX, u64::from))
    }

    async fn dry_run(&self, output: &Output) -> Result<(), Failure> {
        let mut pages = self.pages();
        let mut would: BTreeMap<String, u64> = BTreeMap::new();
        let mut left = 0;
        while let Some(page) = pages.next().await? {
            let (by_destination, stay) = self.sort(page.into_iter().map(Line::from));
            left += stay;
            for (to, ids) in by_destination {
                *would.entry(to).or_default() += ids.len() as u64;
            }
        }
        let queue = name_of(self.queue);
        let total: u64 = would.values().sum();
        let mut sentence = format!("Would move {} messages of {queue}", show_count(total));
        for (to, count) in &would {
            sentence += &format!("\n  {} to {to}", show_count(*count));
        }
        if left > 0 {
            sentence += &format!("\n  {} would stay", show_count(left));
        }
        let record =
            serde_json::json!({"queue": queue, "would_move": total, "to": would, "left": left});
        output.done(&sentence, &record)
    }

    async fn run(&self, mut interrupt: Interrupt, output: &Output) -> Result<(), Failure> {
        let queue = name_of(self.queue).to_owned();
        let mut redriven = Redriven { queue, ..Redriven::default() };
        let bar = progress::messages("moved", None);
        let mut pages = self.pages();
        let mut failed = None;
        let began = Instant::now();
        'pages: while !interrupt.is_asked() {
            let page = match pages.next().await {
                Ok(Some(page)) => page,
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            let (by_destination, left) = self.sort(page.into_iter().map(Line::from));
            redriven.left += left;
            for (to, ids) in by_destination {
                if let Err(error) = self.take(&to, ids, &mut redriven.moved).await {
                    failed = Some(error);
                    break 'pages;
                }
            }
            bar.set_position(redriven.moved);
            if let Some(rate) = self.rate {
                let due = Duration::from_secs_f64(redriven.moved as f64 / f64::from(rate));
                tokio::select! {
                    () = tokio::time::sleep_until((began + due).into()) => {}
                    () = interrupt.asked() => {}
                }
            }
        }
        bar.finish_and_clear();
        if let Some(error) = failed {
            return match redriven.moved {
                0 => Err(error),
                moved => Err(Failure::Partly(format!(
                    "{error}; {} were moved, and the same command moves the rest",
                    show_count(moved)
                ))),
            };
        }
        redriven.status = if interrupt.is_asked() { "cancelled" } else { "completed" };
        report(&redriven, output)?;
        match redriven.status {
            "completed" => Ok(()),
            _ => Err(Failure::Partly("cancelled; the same command moves the rest".into())),
        }
    }

    /// Moves these messages, and counts those that it moved. A page of them stands together, so that they
    /// are found at once.
    async fn take(&self, to: &str, ids: Vec<String>, moved: &mut u64) -> Result<(), Failure> {
        let mut request = MoveMessages {
            queue_url: self.queue.into(),
            destination_queue_url: to.into(),
            filter: Filter {
                states: self.filter.states.clone(),
                message_ids: Some(ids.clone()),
                ..Filter::default()
            },
            reason: Some(REASON.into()),
            max_results: u32::try_from(ids.len()).ok(),
            ..MoveMessages::default()
        };
        let mut missing = ids.len();
        loop {
            let page = self.client.move_messages(request.clone()).await?;
            *moved += page.message_ids.len() as u64;
            missing = missing.saturating_sub(page.message_ids.len());
            request.next_token = page.next_token;
            if request.next_token.is_none() || missing == 0 {
                return Ok(());
            }
        }
    }
}

/// Where messages cannot be looked at.
async fn count_only(client: &Client, queue: &str, output: &Output) -> Result<(), Failure> {
    let count = Depth::of(&attributes(client, queue).await?).available;
    let queue = name_of(queue);
    let record = serde_json::json!({"queue": queue, "would_move": count});
    output.done(&format!("Would move about {} messages of {queue}", show_count(count)), &record)
}
