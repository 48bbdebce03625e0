//! `stanchion export`: a queue as lines of JSON. `import` (see `send.rs`) reads them.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use stanchion_sdk::ReceiveMessage;

use crate::args::Global;
use crate::context::Target;
use crate::failure::Failure;
use crate::filter::Which;
use crate::interrupt::Interrupt;
use crate::line::Line;
use crate::output::Output;
use crate::pages::Pages;
use crate::progress;
use crate::units::{parse_duration, show_count};

use crate::queues::{Depth, attributes, is_fifo, name_of};

/// Export a queue as lines of JSON, and leave it as it is
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion export orders > orders.ndjson
  stanchion export orders --to orders.ndjson --state available
  stanchion export orders --by-receive --visibility 10m --to orders.ndjson

Amazon SQS shows messages only to who receives them: there --by-receive is needed. It hides what it
exports until the visibility timeout ends, and counts as a receive, which may make dead letters of
messages. Give it a timeout longer than the export takes, or messages come twice. It cannot export a
FIFO queue, whose groups show nothing behind what is hidden.")]
pub(crate) struct Export {
    /// The queue: its name or URL
    queue: String,
    /// Write to this file in place of standard output
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Receive the messages, where the server cannot show them otherwise
    #[arg(long)]
    by_receive: bool,
    /// How long --by-receive hides messages
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "5m")]
    visibility: Duration,
    #[command(flatten)]
    which: Which,
}

/// Runs it.
pub(crate) async fn run(export: Export, global: &Global, output: &Output) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    let client = &target.client;
    let filter = export.which.filter();
    let queue = &export.queue;
    if !export.by_receive && client.is_amazon() {
        return Err(Failure::Usage(
            "Amazon SQS shows messages only to who receives them: say --by-receive if that is all \
             right (see --help)"
                .into(),
        ));
    }
    if export.by_receive && is_fifo(queue) {
        return Err(Failure::Usage("a FIFO queue cannot be exported by receives".into()));
    }
    if export.by_receive && filter.is_some() {
        return Err(Failure::Usage("a receive takes no filter".into()));
    }
    let depth = Depth::of(&attributes(client, queue).await?);
    let total = filter.is_none().then_some(depth.available);

    let mut sink = Sink {
        file: match &export.to {
            Some(path) => Some(
                File::create(path)
                    .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?,
            ),
            None => None,
        },
        output,
        exported: 0,
    };
    let interrupt = Interrupt::listen()?;
    let bar = progress::messages("exported", total);
    let began = Instant::now();
    if export.by_receive {
        let request = ReceiveMessage::new(queue).max(10).visibility(export.visibility);
        // Waits a little, because a receive that does not may find nothing where there is something.
        let request = request.wait(Duration::from_secs(1));
        while !interrupt.is_asked() {
            let messages = client.receive_message(request.clone()).await?.messages;
            if messages.is_empty() {
                break;
            }
            bar.inc(messages.len() as u64);
            sink.write(messages.into_iter().map(|message| Line {
                // Good for nothing by the time that anybody reads it.
                receipt_handle: None,
                ..message.into()
            }))?;
        }
    } else {
        let mut pages = Pages::oldest(client, queue, filter);
        while !interrupt.is_asked()
            && let Some(page) = pages.next().await?
        {
            bar.inc(page.len() as u64);
            sink.write(page.into_iter().map(Line::from))?;
        }
    }
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let exported = show_count(sink.exported);
    output.note(&format!(
        "Exported {exported} messages of {} in {seconds:.1} s, {:.0} messages/s",
        name_of(queue),
        sink.exported as f64 / seconds.max(1e-6)
    ));
    match interrupt.is_asked() {
        true => Err(Failure::Partly("stopped before the end of the queue".into())),
        false => Ok(()),
    }
}

/// Where lines go, a page at a time.
struct Sink<'a> {
    file: Option<File>,
    output: &'a Output,
    exported: u64,
}

impl Sink<'_> {
    fn write(&mut self, lines: impl Iterator<Item = Line>) -> Result<(), Failure> {
        let mut text = String::new();
        for line in lines {
            let json = serde_json::to_string(&line);
            text += &json.map_err(|error| Failure::failed(error.to_string()))?;
            text.push('\n');
            self.exported += 1;
        }
        match &mut self.file {
            _ if text.is_empty() => Ok(()),
            Some(file) => Ok(file.write_all(text.as_bytes())?),
            None => self.output.text(&text),
        }
    }
}
