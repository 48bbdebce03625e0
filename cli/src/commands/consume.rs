//! `stanchion consume`: runs a command for each message. What it exits with decides what becomes of
//! the message; the SDK's worker does everything else.

use std::pin::pin;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Args;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use stanchion_sdk::worker::{Backoff, BoxError, Delivery, Outcome, Worker};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::args::Global;
use crate::commands::queue::attributes::dead_letters_of;
use crate::context::Target;
use crate::failure::Failure;
use crate::line::{Line, Value};
use crate::output::{Output, Record};
use crate::program;
use crate::units::{parse_duration, show_count};

use crate::queues::{attributes, name_of};

/// The longest value that goes into the environment, in bytes: a system refuses to start a command
/// with longer ones.
const VARIABLE_BYTES_MAX: usize = 64 << 10;

/// Run a command for each message
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion consume orders -- ./handle-order
  stanchion consume orders --concurrency 8 --timeout 5m -- python3 handle.py
  stanchion consume orders --max 1 -- sh -c 'echo \"$STANCHION_MESSAGE_ID: $(cat)\"'

The body is the command's standard input. Its environment has STANCHION_QUEUE, STANCHION_MESSAGE_ID,
STANCHION_RECEIVE_COUNT, STANCHION_SENT_AT, if there are any STANCHION_GROUP, STANCHION_DEDUP_ID,
STANCHION_SEQUENCE_NUMBER and STANCHION_TRACE_HEADER, and an attribute NAME as STANCHION_ATTRIBUTE_NAME,
with _ for what is no letter or digit. Values with a NUL or of more than 64 KiB are left out.

A command that exits with 0 has its message deleted; with 65 (or another --dead-letter-on) the message
goes to the dead-letter queue; with anything else, it comes again after the back-off. While a command
runs its message stays hidden. The first Ctrl-C lets commands finish, the second ends them. A command
that is ended, by that or by --timeout, is ended with everything that it started.")]
pub(crate) struct Consume {
    /// The queue: its name or URL
    queue: String,
    /// Commands at once; of a FIFO group never more than one
    #[arg(long, short = 'j', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1024))]
    concurrency: u16,
    /// Exit codes that say that no repetition will help
    #[arg(long, value_name = "CODE", value_delimiter = ',', default_value = "65")]
    dead_letter_on: Vec<i32>,
    /// How long a message stays away after its first failure; twice as long after each further one
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "2s")]
    backoff: Duration,
    /// The longest back-off
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "15m")]
    backoff_max: Duration,
    /// How long messages are hidden; renewed while their commands run
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "30s")]
    visibility: Duration,
    /// End a command, and what it started, after so long; its message comes again
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How long commands may go on after the first Ctrl-C
    #[arg(long, value_name = "TIME", value_parser = parse_duration, default_value = "20s")]
    drain: Duration,
    /// End after so many messages that do not come again; commands that run by then are finished
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max: Option<u64>,
    /// Only say what would be run
    #[arg(long)]
    dry_run: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// How messages ended.
#[derive(Debug, Default)]
struct Tally {
    done: AtomicU64,
    again: AtomicU64,
    dead: AtomicU64,
}

/// How many messages ended how.
#[derive(Debug, Serialize)]
struct Consumed {
    queue: String,
    done: u64,
    again: u64,
    dead: u64,
    abandoned: usize,
}

impl Record for Consumed {
    const COLUMNS: &'static [&'static str] = &["Queue", "Done", "Again", "Dead", "Abandoned"];

    fn row(&self) -> Vec<String> {
        let counts = [self.done, self.again, self.dead].map(show_count);
        let abandoned = self.abandoned.to_string();
        std::iter::once(self.queue.clone()).chain(counts).chain([abandoned]).collect()
    }
}

/// Runs it.
pub(crate) async fn run(consume: Consume, global: &Global, output: &Output) -> Result<(), Failure> {
    program::check(&consume.command)?;
    let target = Target::resolve(global).await?;
    // A worker goes on asking for a queue that is missing; who types wants to know.
    let found = attributes(&target.client, &consume.queue).await?;
    let name = name_of(&consume.queue).to_owned();
    if consume.dry_run {
        let sentence = format!("Would run {:?} for each message of {name}", consume.command);
        let record = serde_json::json!({"queue": name, "command": consume.command});
        return output.done(&sentence, &record);
    }
    output.show_warnings();
    let tally = Arc::new(Tally::default());
    let job = Arc::new(Job {
        queue: name.clone(),
        command: consume.command,
        dead_letter_on: consume.dead_letter_on,
        has_dead_letters: dead_letters_of(&found).is_some(),
        timeout: consume.timeout,
        tally: tally.clone(),
        output: Output::new(output.format()),
    });
    let max = consume.max.unwrap_or(u64::MAX);
    let stop = Arc::new(tokio::sync::Notify::new());
    let full = stop.clone();
    // Where one is wanted, no second is begun with.
    let room = usize::try_from(max).unwrap_or(usize::MAX).min(consume.concurrency.into());
    let worker = Worker::builder(target.client)
        .queue(&*consume.queue)
        .concurrency(room.max(1))
        .backoff(Backoff::doubling(consume.backoff, consume.backoff_max))
        .visibility(consume.visibility)
        .drain_timeout(consume.drain)
        .handler(move |delivery: Delivery| {
            let (job, full) = (job.clone(), full.clone());
            async move {
                let outcome = job.handle(&delivery).await;
                if job.tally.settled() >= max {
                    full.notify_one();
                }
                outcome
            }
        })
        .build()
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let handle = worker.handle();
    let stopping = tokio::spawn(async move {
        stop.notified().await;
        handle.stop();
    });
    let drained = worker.run_until_signal().await;
    stopping.abort();
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let consumed = Consumed {
        queue: name,
        done: count(&tally.done),
        again: count(&tally.again),
        dead: count(&tally.dead),
        abandoned: drained.abandoned,
    };
    match output.is_human() {
        true => output.note(&format!(
            "{} done, {} to come again, {} dead letters",
            consumed.done, consumed.again, consumed.dead
        )),
        false => output.item(&consumed)?,
    }
    match consumed.abandoned {
        0 => Ok(()),
        some => Err(Failure::Partly(format!("{some} messages were not finished: they come again"))),
    }
}

/// A command and all that it started: what is left of them ends when this is dropped before it is told
/// that the command has ended.
struct Group(Option<Pid>);

impl Group {
    /// From now on its number may be another's.
    fn is_over(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It fails when none of them is left, which is what was wanted.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

impl Tally {
    fn settled(&self) -> u64 {
        self.done.load(Ordering::Relaxed) + self.dead.load(Ordering::Relaxed)
    }
}

/// What is to be done with each message.
struct Job {
    queue: String,
    command: Vec<String>,
    dead_letter_on: Vec<i32>,
    /// Where none are, a message would come again at once.
    has_dead_letters: bool,
    timeout: Option<Duration>,
    tally: Arc<Tally>,
    output: Output,
}

impl Job {
    async fn handle(&self, delivery: &Delivery) -> Result<Outcome, BoxError> {
        let id = &delivery.message.message_id;
        let run = self.run(delivery);
        let ended = match self.timeout {
            Some(timeout) => tokio::time::timeout(timeout, run)
                .await
                .unwrap_or_else(|_| Err(format!("took longer than {timeout:?}"))),
            None => run.await,
        };
        let why = match ended {
            Ok(Some(0)) => {
                self.tally.done.fetch_add(1, Ordering::Relaxed);
                return Ok(Outcome::Done);
            }
            Ok(Some(code)) if self.dead_letter_on.contains(&code) && !self.has_dead_letters => {
                format!("exit code {code}, and there is no dead-letter queue")
            }
            Ok(Some(code)) if self.dead_letter_on.contains(&code) => {
                self.tally.dead.fetch_add(1, Ordering::Relaxed);
                self.output.note(&format!("{id}: exit code {code}: a dead letter"));
                return Ok(Outcome::DeadLetter(format!("{} exited with {code}", self.program())));
            }
            Ok(Some(code)) => format!("exit code {code}"),
            Ok(None) => "ended by a signal".into(),
            Err(why) => why,
        };
        self.tally.again.fetch_add(1, Ordering::Relaxed);
        self.output.note(&format!("{id}: {why}: it comes again"));
        Err(why.into())
    }

    fn program(&self) -> &str {
        // The command line is refused without one.
        self.command.first().map_or("", String::as_str)
    }

    /// The exit code, none if a signal ended it.
    async fn run(&self, delivery: &Delivery) -> Result<Option<i32>, String> {
        let mut command = Command::new(self.program());
        command
            .args(self.command.iter().skip(1))
            .envs(self.environment(delivery))
            .stdin(Stdio::piped())
            // Ctrl-C is for us: the command is to finish.
            .process_group(0)
            .kill_on_drop(true);
        let mut child =
            command.spawn().map_err(|error| format!("cannot run {}: {error}", self.program()))?;
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
        let stdin = child.stdin.take();
        let body = delivery.message.body.as_bytes();
        let mut feed = pin!(async move {
            if let Some(mut stdin) = stdin {
                // A command need not read what it does not want.
                let _ = stdin.write_all(body).await;
            }
        });
        // What it leaves behind may hold its standard input, and not read it either.
        let ended = tokio::select! {
            ended = child.wait() => ended,
            () = &mut feed => child.wait().await,
        };
        group.is_over();
        ended.map(|status| status.code()).map_err(|error| error.to_string())
    }

    fn environment(&self, delivery: &Delivery) -> Vec<(String, String)> {
        let line = Line::from((*delivery.message).clone());
        let known = [
            ("QUEUE", Some(self.queue.clone())),
            ("MESSAGE_ID", line.message_id),
            ("RECEIVE_COUNT", line.receive_count.map(|count| count.to_string())),
            ("SENT_AT", line.sent_at.map(|at| at.to_string())),
            ("GROUP", line.group),
            ("DEDUP_ID", line.dedup_id),
            ("SEQUENCE_NUMBER", line.sequence_number),
            ("TRACE_HEADER", line.trace_header),
        ];
        let known = known.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let attribute = |(name, value): (String, Value)| {
            let plain =
                |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
            let name: String = name.chars().map(plain).collect();
            (format!("ATTRIBUTE_{name}"), value.show())
        };
        known
            .chain(line.attributes.into_iter().map(attribute))
            .filter(|(_, value)| value.len() <= VARIABLE_BYTES_MAX && !value.contains('\0'))
            .map(|(name, value)| (format!("STANCHION_{name}"), value))
            .collect()
    }
}
