//! `stanchion function`: functions written for AWS Lambda as workers of a queue.

use std::io::Read as _;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;
use stanchion_sdk::functions::{FilterPattern, FunctionHost, FunctionHostBuilder};

use crate::args::Global;
use crate::context::Target;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{Output, Record};
use crate::program;
use crate::units::{parse_duration, show_count};

/// What to do with a function.
#[derive(Debug, Subcommand)]
pub(crate) enum FunctionCommand {
    Run(Box<Run>),
    Invoke(Invoke),
}

/// Invoke a function with the messages of a queue
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion function run --queue orders --concurrency 8 -- ./my-function
  stanchion function run --queue orders --handler app.handler -- python3 -m awslambdaric app.handler
  stanchion function run --queue orders --filter '{\"body\":{\"kind\":[\"order\"]}}' -- ./my-function

The command is a function on one of AWS' runtime clients; each of its processes has a Lambda Runtime API
of its own. What it handles is deleted, what it does not comes again after the queue's visibility
timeout. The first Ctrl-C lets it finish what it has, the second ends it.")]
pub(crate) struct Run {
    /// The queue: its name or URL
    #[arg(long)]
    queue: String,
    /// The most processes
    #[arg(long, short = 'j', value_name = "N", default_value_t = 1)]
    concurrency: usize,
    /// The fewest processes, also when there is nothing to do
    #[arg(long, value_name = "N", default_value_t = 0)]
    min: usize,
    /// The most messages of one event: 1 to 10, and up to 10,000 with a window
    #[arg(long, value_name = "N", default_value_t = 10)]
    batch_size: usize,
    /// How long to wait for a batch to fill, at most 5 minutes; standard queues only
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "0s")]
    window: Duration,
    /// Take the function's word for which messages of a batch failed (ReportBatchItemFailures)
    #[arg(long)]
    partial: bool,
    /// Only messages like this, as Lambda's event filters have it; others are deleted
    #[arg(long, value_name = "JSON", value_parser = parse_filter)]
    filter: Vec<FilterPattern>,
    /// Only say what would be run
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    function: Function,
}

/// Invoke a function once, with an event by hand
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion function invoke --event '{\"Records\":[]}' -- ./my-function
  stanchion function invoke -- ./my-function < event.json")]
pub(crate) struct Invoke {
    /// The event; without it, standard input
    #[arg(long, value_name = "JSON")]
    event: Option<String>,
    #[command(flatten)]
    function: Function,
}

/// What is run, and how.
#[derive(Args, Debug)]
struct Function {
    /// What the function is called
    #[arg(long, value_name = "NAME", default_value = "function")]
    name: String,
    /// What the runtime is told to call (_HANDLER)
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// How long an invocation may take; then the process is killed
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "3s")]
    timeout: Duration,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

impl Function {
    fn host(&self) -> FunctionHostBuilder {
        let host = FunctionHost::builder(&*self.name, &self.command).timeout(self.timeout);
        match &self.handler {
            Some(handler) => host.handler(handler),
            None => host,
        }
    }
}

fn parse_filter(text: &str) -> Result<FilterPattern, String> {
    FilterPattern::parse(text).map_err(|error| error.to_string())
}

/// What a function did.
#[derive(Debug, Serialize)]
struct Ran {
    function: String,
    invocations: u64,
    errors: u64,
    handled: u64,
    failed: u64,
    filtered: u64,
}

impl Record for Ran {
    const COLUMNS: &'static [&'static str] =
        &["Function", "Invocations", "Errors", "Handled", "Failed", "Filtered"];

    fn row(&self) -> Vec<String> {
        let counts = [self.invocations, self.errors, self.handled, self.failed, self.filtered];
        std::iter::once(self.function.clone()).chain(counts.map(show_count)).collect()
    }
}

/// Runs it.
pub(crate) async fn run(
    command: FunctionCommand,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        FunctionCommand::Run(run) => work(*run, global, output).await,
        FunctionCommand::Invoke(invoke) => self::invoke(invoke, output).await,
    }
}

async fn work(run: Run, global: &Global, output: &Output) -> Result<(), Failure> {
    let Run { queue, concurrency, min, batch_size, window, partial, filter, dry_run, function } =
        run;
    program::check(&function.command)?;
    if dry_run {
        let sentence = format!("Would invoke {:?} with the messages of {queue}", function.command);
        let record = serde_json::json!({"queue": queue, "command": function.command});
        return output.done(&sentence, &record);
    }
    let target = Target::resolve(global).await?;
    let mut interrupt = Interrupt::listen_to_two()?;
    output.show_warnings();
    let logs = Output::new(output.format());
    let mut host = function
        .host()
        .queue(target.client, &queue)
        .processes(min, concurrency)
        .batch_size(batch_size)
        .batching_window(window)
        .report_batch_item_failures(partial)
        .on_log(move |line| logs.log(&line.to_string()));
    for pattern in filter {
        host = host.filter(pattern);
    }
    let host = host.start().await?;
    output
        .note(&format!("Invoking {} with the messages of {queue}. Ctrl-C ends it.", function.name));
    tokio::select! {
        () = host.stopped() => {}
        () = interrupt.asked() => host.stop(),
    }
    tokio::select! {
        () = host.stopped() => {}
        () = interrupt.insisted() => host.stop_now(),
    }
    host.stopped().await;
    let metrics = host.metrics();
    output.item(&Ran {
        function: function.name,
        invocations: metrics.invocations(),
        errors: metrics.errors(),
        handled: metrics.handled(),
        failed: metrics.failed(),
        filtered: metrics.filtered(),
    })
}

async fn invoke(invoke: Invoke, output: &Output) -> Result<(), Failure> {
    program::check(&invoke.function.command)?;
    let event = match invoke.event {
        Some(event) => event,
        None => {
            let mut event = String::new();
            std::io::stdin().read_to_string(&mut event)?;
            event
        }
    };
    let logs = Output::new(output.format());
    let host = invoke.function.host().on_log(move |line| logs.log(&line.to_string()));
    let mut interrupt = Interrupt::listen()?;
    let host = host.start().await?;
    let answer = tokio::select! {
        answer = host.invoke(event) => answer.map_err(|error| Failure::failed(error.to_string())),
        // Its processes would not hear of it: they are a group of their own.
        () = interrupt.asked() => {
            host.stop_now();
            Err(Failure::failed("interrupted"))
        }
    };
    host.stop();
    host.stopped().await;
    let answer = answer?;
    output.foreign(&format!("{}\n", String::from_utf8_lossy(&answer).trim_end()))
}
