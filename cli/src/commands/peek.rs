//! `stanchion peek`, `tail` and `count`: looking at messages without receiving them.

use std::collections::VecDeque;

use clap::Args;
use serde::Serialize;

use crate::args::Global;
use crate::context::Target;
use crate::failure::Failure;
use crate::filter::Which;
use crate::interrupt::Interrupt;
use crate::output::{Output, Record};
use crate::pages::Pages;
use crate::show::{Bodies, Stream};
use crate::units::show_count;

use crate::queues::{Depth, attributes, name_of};

/// How long a page waits for what arrives, in seconds: as long as the server does.
const FOLLOW_SECONDS: u32 = 20;

/// Look at messages without receiving them
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion peek orders
  stanchion peek orders --state in-flight,returned --min-receives 3
  stanchion peek orders --json-path '$.customer' --json-equals 7 --pretty
  stanchion peek orders-dlq --attribute kind=order --all -o ndjson

Nothing changes: no count, no timeout. That is Stanchion's own; Amazon SQS cannot.")]
pub(crate) struct Peek {
    /// The queue: its name or URL
    queue: String,
    /// Up to so many messages, the oldest first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..))]
    max: u64,
    /// All messages
    #[arg(long, conflicts_with = "max")]
    all: bool,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    bodies: Bodies,
}

impl Peek {
    /// The oldest messages of a queue.
    pub(crate) fn of(queue: String, max: u64, bodies: Bodies) -> Peek {
        Peek { queue, max, all: false, which: Which::default(), bodies }
    }
}

/// Runs `peek`.
pub(crate) async fn run(peek: Peek, global: &Global, output: &Output) -> Result<(), Failure> {
    let Peek { queue, max, all, which, bodies } = peek;
    let target = Target::resolve(global).await?;
    let max = if all { u64::MAX } else { max };
    let mut stream = Stream::new(output, &bodies);
    let mut pages = Pages::oldest(&target.client, &queue, which.filter()).of_at_most(max);
    let mut interrupt = Interrupt::listen()?;
    while stream.shown() < max {
        let page = tokio::select! {
            page = pages.next() => page?,
            () = interrupt.asked() => break,
        };
        let Some(page) = page else { break };
        for message in page {
            if stream.shown() < max {
                stream.push(message.into())?;
            }
        }
        stream.flush()?;
    }
    if interrupt.is_asked() {
        stream.end("There was no such message so far.")?;
        return Err(Failure::Partly("stopped before the end of the queue".into()));
    }
    stream.end(&format!("There is no such message in {}.", name_of(&queue)))
}

/// Show the newest messages, and with -f what arrives
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion tail orders
  stanchion tail -f orders
  stanchion tail -f orders --attribute kind=order --raw
  stanchion tail -f orders -n 100 -o ndjson

Nobody else misses a message because of it. That is Stanchion's own; Amazon SQS cannot.")]
pub(crate) struct Tail {
    /// The queue: its name or URL
    queue: String,
    /// Go on with what arrives
    #[arg(long, short = 'f')]
    follow: bool,
    /// Begin with so many that are there; by default 10, and none with -f
    #[arg(long, short = 'n', value_name = "N")]
    last: Option<usize>,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    bodies: Bodies,
}

/// Runs `tail`.
pub(crate) async fn tail(tail: Tail, global: &Global, output: &Output) -> Result<(), Failure> {
    let Tail { queue, follow, last, max, which, bodies } = tail;
    let target = Target::resolve(global).await?;
    let last = last.unwrap_or(if follow { 0 } else { 10 });
    let max = max.unwrap_or(u64::MAX);
    let filter = which.filter();
    let mut stream = Stream::new(output, &bodies);
    let mut pages = match last {
        0 => Pages::now(&target.client, &queue, filter),
        _ => Pages::oldest(&target.client, &queue, filter),
    };
    let mut newest = VecDeque::new();
    while let Some(page) = pages.next().await? {
        for message in page {
            newest.push_back(message);
            if newest.len() > last.max(1) && last > 0 {
                newest.pop_front();
            }
        }
    }
    for message in newest {
        if stream.shown() < max {
            stream.push(message.into())?;
        }
    }
    stream.flush()?;
    // From here on Ctrl-C is how it ends, and what it printed is to be whole.
    let mut interrupt = Interrupt::listen()?;
    while follow && stream.shown() < max {
        pages.follow(FOLLOW_SECONDS);
        let page = tokio::select! {
            page = pages.next() => page?,
            () = interrupt.asked() => break,
        };
        for message in page.unwrap_or_default() {
            if stream.shown() < max {
                stream.push(message.into())?;
            }
        }
        stream.flush()?;
    }
    stream.end(&format!("There is no such message in {}.", name_of(&queue)))
}

/// Count messages: those of a queue, or those that a filter means
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion count orders
  stanchion count orders --older-than 1h
  stanchion count orders --contains refund -o json")]
pub(crate) struct Count {
    /// The queue: its name or URL
    queue: String,
    #[command(flatten)]
    which: Which,
}

#[derive(Serialize)]
struct Counts {
    queue: String,
    available: u64,
    in_flight: u64,
    delayed: u64,
    total: u64,
}

impl Record for Counts {
    const COLUMNS: &'static [&'static str] =
        &["Queue", "Available", "In flight", "Delayed", "Total"];

    fn row(&self) -> Vec<String> {
        let counts = [self.available, self.in_flight, self.delayed, self.total].map(show_count);
        std::iter::once(self.queue.clone()).chain(counts).collect()
    }
}

#[derive(Serialize)]
struct Found {
    queue: String,
    messages: u64,
}

impl Record for Found {
    const COLUMNS: &'static [&'static str] = &["Queue", "Messages"];

    fn row(&self) -> Vec<String> {
        vec![self.queue.clone(), show_count(self.messages)]
    }
}

/// Runs `count`.
pub(crate) async fn count(count: Count, global: &Global, output: &Output) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    let queue = name_of(&count.queue).to_owned();
    let Some(filter) = count.which.filter() else {
        let depth = Depth::of(&attributes(&target.client, &count.queue).await?);
        let Depth { available, in_flight, delayed } = depth;
        let total = depth.total();
        return output.item(&Counts { queue, available, in_flight, delayed, total });
    };
    let mut messages = 0;
    let mut pages = Pages::oldest(&target.client, &count.queue, Some(filter));
    while let Some(page) = pages.next().await? {
        messages += page.len() as u64;
    }
    output.item(&Found { queue, messages })
}
