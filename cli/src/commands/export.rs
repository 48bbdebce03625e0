//! `stanchion export`: a queue as lines of JSON. `import` (see `send.rs`) reads them.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use stanchion_sdk::{Client, ReceiveMessage};

use crate::args::Global;
use crate::context::Target;
use crate::failure::Failure;
use crate::filter::Which;
use crate::interrupt::Interrupt;
use crate::line::Line;
use crate::output::{Format, Output, Record};
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
    // What it prints can be imported, and a document or a table cannot.
    if export.to.is_none() && matches!(output.format(), Format::Json | Format::Csv) {
        return Err(Failure::Usage(
            "an export is NDJSON, a message on each line: leave --output, or write it --to a file"
                .into(),
        ));
    }
    let depth = Depth::of(&attributes(client, queue).await?);
    let total = filter.is_none().then(|| depth.total());

    let mut sink = Sink { file: None, output, exported: 0 };
    if let Some(path) = &export.to {
        sink.file = Some((path.clone(), File::create(path).map_err(Failure::of_file(path))?));
    }
    let interrupt = Interrupt::listen()?;
    let bar = progress::messages("exported", total);
    let began = Instant::now();
    let copied = match export.by_receive {
        true => {
            let request = ReceiveMessage::new(queue).max(10).visibility(export.visibility);
            copy_received(client, request, &interrupt, &mut sink, &bar).await
        }
        false => {
            let pages = Pages::oldest(client, queue, filter);
            copy_pages(pages, &interrupt, &mut sink, &bar).await
        }
    };
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let exported = Exported {
        queue: name_of(queue).to_owned(),
        exported: sink.exported,
        seconds,
        messages_per_second: sink.exported as f64 / seconds.max(1e-6),
    };
    if output.is_human() || export.to.is_none() {
        output.note(&format!(
            "Exported {} messages of {} in {seconds:.1} s, {:.0} messages/s",
            show_count(exported.exported),
            exported.queue,
            exported.messages_per_second
        ));
    } else {
        output.item(&exported)?;
    }
    match copied {
        Err(failure) if sink.exported == 0 => Err(failure),
        Err(failure) => Err(Failure::Partly(format!("stopped: {failure}"))),
        Ok(()) if interrupt.is_asked() => {
            Err(Failure::Partly("stopped before the end of the queue".into()))
        }
        Ok(()) => Ok(()),
    }
}

async fn copy_pages(
    mut pages: Pages<'_>,
    interrupt: &Interrupt,
    sink: &mut Sink<'_>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    while !interrupt.is_asked()
        && let Some(page) = pages.next().await?
    {
        bar.inc(page.len() as u64);
        sink.write(page.into_iter().map(Line::from))?;
    }
    Ok(())
}

async fn copy_received(
    client: &Client,
    request: ReceiveMessage,
    interrupt: &Interrupt,
    sink: &mut Sink<'_>,
    bar: &ProgressBar,
) -> Result<(), Failure> {
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
    Ok(())
}

/// How many messages went into a file.
#[derive(Serialize)]
struct Exported {
    queue: String,
    exported: u64,
    seconds: f64,
    messages_per_second: f64,
}

impl Record for Exported {
    const COLUMNS: &'static [&'static str] = &["Queue", "Exported", "Seconds", "Messages/s"];

    fn row(&self) -> Vec<String> {
        vec![
            self.queue.clone(),
            show_count(self.exported),
            format!("{:.1}", self.seconds),
            format!("{:.0}", self.messages_per_second),
        ]
    }
}

/// Where lines go, a page at a time.
struct Sink<'a> {
    file: Option<(PathBuf, File)>,
    output: &'a Output,
    exported: u64,
}

impl Sink<'_> {
    fn write(&mut self, lines: impl Iterator<Item = Line>) -> Result<(), Failure> {
        let mut text = String::new();
        let mut count = 0;
        for line in lines {
            let json = serde_json::to_string(&line);
            text += &json.map_err(|error| Failure::failed(error.to_string()))?;
            text.push('\n');
            count += 1;
        }
        match &mut self.file {
            _ if text.is_empty() => {}
            Some((path, file)) => {
                file.write_all(text.as_bytes()).map_err(Failure::of_file(path))?
            }
            None => self.output.foreign(&text)?,
        }
        self.exported += count;
        Ok(())
    }
}
