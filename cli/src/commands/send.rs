//! `stanchion send` and `stanchion import`: messages from arguments, files and standard input.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use stanchion_sdk::SendMessage;

use crate::args::Global;
use crate::context::Target;
use crate::failure::Failure;
use crate::feed::{Event, Feed, Read};
use crate::interrupt::Interrupt;
use crate::line::{Line, Value, now_ms};
use crate::output::{Output, Record};
use crate::progress;
use crate::units::{parse_duration, show_count};

/// How many refusals are told one by one.
const TOLD: u64 = 5;

/// The longest line, or text for a single message, that is read, in bytes: what the largest message is
/// with every character of it escaped, and more.
const READ_BYTES_MAX: u64 = 8 << 20;

/// Send messages: one, or one for each line
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion send orders 'hello'
  stanchion send orders '{\"id\":7}' --attribute kind=order --attribute tries:Number=0 --delay 30s
  stanchion send orders.fifo hello --group customer-7 --dedup-id order-7
  stanchion send orders --file body.json
  seq 1000 | stanchion send orders --lines
  stanchion send orders --ndjson --file messages.ndjson --errors failed.ndjson

A line of --ndjson is an object with `body` and, if wanted, `attributes`, `group`, `dedup_id`,
`delay_seconds` and `trace_header`. What `export`, `peek` and `receive` print with `-o ndjson` is
such lines. The lines of --errors are too: send them again when what was wrong is mended.")]
pub(crate) struct Send {
    /// The queue: its name or URL
    queue: String,
    /// The message; without it and --file standard input is sent
    #[arg(conflicts_with_all = ["file", "lines", "ndjson"])]
    body: Option<String>,
    /// Send each line as a message
    #[arg(long, conflicts_with = "ndjson")]
    lines: bool,
    /// Send each line, a JSON object, as a message
    #[arg(long)]
    ndjson: bool,
    #[command(flatten)]
    source: Source,
    /// Give every message this attribute: NAME=VALUE, NAME:Number=7 or NAME:Binary=BASE64
    #[arg(long = "attribute", value_name = "ATTRIBUTE", value_parser = Value::parse_named)]
    attributes: Vec<(String, Value)>,
    /// Put every message into this group
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
    /// What a FIFO queue knows a repetition of the message by
    #[arg(long, value_name = "ID", conflicts_with_all = ["lines", "ndjson"])]
    dedup_id: Option<String>,
    /// Hide every message at first, at most 15m
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    delay: Option<Duration>,
}

/// Import messages that were exported, with their attributes, groups and order
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  stanchion export orders > orders.ndjson
  stanchion import orders-copy --file orders.ndjson
  stanchion export orders -c prod | stanchion import orders -c local

A message that is imported is a new one: sent now, by whoever imports, with an id of its own. What is
left of its delay it keeps. A FIFO queue takes a deduplication id once in five minutes; where the
export has one more often, --new-dedup-ids replaces each by the id its message had.")]
pub(crate) struct Import {
    /// The queue: its name or URL
    queue: String,
    /// Give each message the id that it had as its deduplication id
    #[arg(long)]
    new_dedup_ids: bool,
    #[command(flatten)]
    source: Source,
}

/// Where many messages come from, and how they go.
#[derive(Args, Debug)]
struct Source {
    /// Read this file in place of standard input
    #[arg(long, short = 'f', value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write what was not sent to this file, in lines that can be sent again
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Batches at once; a FIFO group keeps its order with any number
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    parallel: u16,
    /// Only read, and say what would be sent
    #[arg(long)]
    dry_run: bool,
}

impl Source {
    fn open(&self) -> Result<Box<dyn BufRead + std::marker::Send>, Failure> {
        let Some(path) = &self.file else {
            if io::stdin().is_terminal() {
                return Err(Failure::Usage(
                    "nothing to send: give a message, --file, or something on standard input"
                        .into(),
                ));
            }
            return Ok(Box::new(BufReader::with_capacity(1 << 16, io::stdin())));
        };
        let file = File::open(path).map_err(Failure::of_file(path))?;
        if file.metadata().is_ok_and(|file| file.is_dir()) {
            return Err(Failure::failed(format!("{}: it is a folder", path.display())));
        }
        Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
    }

    /// Whether `--errors` is the file that is read, by whatever name, or as standard input.
    fn would_overwrite_itself(&self) -> bool {
        let file = |path: &Path| {
            let file = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
            Some((file.dev(), file.ino()))
        };
        let read = file(self.file.as_deref().unwrap_or(Path::new("/dev/stdin")));
        read.is_some() && read == self.errors.as_deref().and_then(file)
    }
}

/// One message that was sent.
#[derive(Serialize)]
struct SentOne {
    message_id: String,
    sequence_number: Option<String>,
}

impl Record for SentOne {
    const COLUMNS: &'static [&'static str] = &["Message", "Sequence number"];

    fn row(&self) -> Vec<String> {
        let number = self.sequence_number.clone();
        vec![self.message_id.clone(), number.unwrap_or_else(|| "-".into())]
    }
}

/// Runs `send`.
pub(crate) async fn run(send: Send, global: &Global, output: &Output) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    let defaults = Line {
        attributes: send.attributes.into_iter().collect(),
        group: send.group,
        dedup_id: send.dedup_id,
        delay_seconds: send.delay.map(|delay| {
            let up = u64::from(delay.subsec_nanos() > 0);
            u32::try_from(delay.as_secs() + up).unwrap_or(u32::MAX)
        }),
        ..Line::default()
    };
    if send.lines || send.ndjson {
        let input = send.source.open()?;
        let ndjson = send.ndjson;
        let lines = texts(input).map(move |text| {
            let line = if ndjson { parse(text?)? } else { Line::of(text?) };
            Ok(with_defaults(line, &defaults))
        });
        return feed(&target, &send.queue, send.source, lines, output).await;
    }
    let body = match send.body {
        Some(body) => body,
        None => {
            let mut body = String::new();
            send.source.open()?.take(READ_BYTES_MAX + 1).read_to_string(&mut body)?;
            if body.len() as u64 > READ_BYTES_MAX {
                let text = "no queue takes a message of that size: --lines sends each line";
                return Err(Failure::Usage(text.into()));
            }
            // What a shell appends is not meant.
            body.strip_suffix('\n').map(str::to_owned).unwrap_or(body)
        }
    };
    one(&target, &send.queue, Line { body, ..defaults }, send.source.dry_run, output).await
}

/// Runs `import`.
pub(crate) async fn import(
    import: Import,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    let Import { queue, new_dedup_ids, source } = import;
    let fifo = crate::queues::is_fifo(&queue);
    let lines = texts(source.open()?).map(move |text| {
        let mut line = parse(text?)?;
        if fifo {
            if new_dedup_ids {
                line.dedup_id = line.message_id.clone().or(line.dedup_id);
            }
        } else {
            line.keep_delay(now_ms());
            // Standard queues have none.
            line.dedup_id = None;
        }
        Ok(line)
    });
    feed(&target, &queue, source, lines, output).await
}

async fn one(
    target: &Target,
    queue: &str,
    line: Line,
    dry_run: bool,
    output: &Output,
) -> Result<(), Failure> {
    let entry = line.entry(String::new()).map_err(Failure::Usage)?;
    if dry_run {
        let sentence = format!("Would send {} bytes to {queue}", line.body.len());
        return output.done(&sentence, &line);
    }
    let request = SendMessage {
        queue_url: queue.into(),
        message_body: entry.message_body,
        delay_seconds: entry.delay_seconds,
        message_attributes: entry.message_attributes,
        message_system_attributes: entry.message_system_attributes,
        message_group_id: entry.message_group_id,
        message_deduplication_id: entry.message_deduplication_id,
    };
    let sent = target.client.send_message(request).await?;
    let sent = SentOne { message_id: sent.message_id, sequence_number: sent.sequence_number };
    if output.is_human() {
        return output.line(&format!("Sent {}", sent.message_id));
    }
    output.item(&sent)
}

/// The lines of an input, those that are no text as well as can be. None of them is longer than
/// [`READ_BYTES_MAX`] in memory, and the first that cannot be read is the last.
fn texts(mut input: impl BufRead) -> impl Iterator<Item = Result<String, (String, String)>> {
    let mut ended = false;
    std::iter::from_fn(move || {
        while !ended {
            let mut bytes = Vec::new();
            let read = input.by_ref().take(READ_BYTES_MAX).read_until(b'\n', &mut bytes);
            let is_whole = bytes.last() == Some(&b'\n') || (bytes.len() as u64) < READ_BYTES_MAX;
            let rest = match read {
                Ok(_) if is_whole => Ok(0),
                Ok(_) => input.skip_until(b'\n'),
                Err(error) => Err(error),
            };
            let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match rest {
                Ok(0) if bytes.is_empty() => ended = true,
                Ok(0) => {}
                Ok(_) => return Some(Err((lossy(&bytes), "the line is too long".into()))),
                Err(error) => {
                    ended = true;
                    return Some(Err((lossy(&bytes), format!("it cannot be read: {error}"))));
                }
            }
            bytes.pop_if(|byte| *byte == b'\n');
            bytes.pop_if(|byte| *byte == b'\r');
            // A message has at least a byte.
            if bytes.is_empty() {
                continue;
            }
            return Some(
                String::from_utf8(bytes)
                    .map_err(|error| (lossy(error.as_bytes()), "not UTF-8".into())),
            );
        }
        None
    })
}

fn parse(text: String) -> Read {
    match serde_json::from_str::<Line>(&text) {
        // Why it failed last time is not why it fails this time.
        Ok(line) => Ok(Line { error: None, ..line }),
        Err(error) => Err((text, error.to_string())),
    }
}

fn with_defaults(mut line: Line, defaults: &Line) -> Line {
    for (name, value) in &defaults.attributes {
        line.attributes.entry(name.clone()).or_insert_with(|| value.clone());
    }
    line.group = line.group.or_else(|| defaults.group.clone());
    line.delay_seconds = line.delay_seconds.or(defaults.delay_seconds);
    line
}

/// How many went, and how many did not.
#[derive(Debug, Default, Serialize)]
struct Fed {
    queue: String,
    sent: u64,
    failed: u64,
    left: u64,
    seconds: f64,
    messages_per_second: f64,
}

impl Record for Fed {
    const COLUMNS: &'static [&'static str] =
        &["Queue", "Sent", "Failed", "Left", "Seconds", "Messages/s"];

    fn row(&self) -> Vec<String> {
        vec![
            self.queue.clone(),
            show_count(self.sent),
            show_count(self.failed),
            show_count(self.left),
            format!("{:.1}", self.seconds),
            format!("{:.0}", self.messages_per_second),
        ]
    }
}

async fn feed(
    target: &Target,
    queue: &str,
    source: Source,
    lines: impl Iterator<Item = Read> + std::marker::Send + 'static,
    output: &Output,
) -> Result<(), Failure> {
    if source.would_overwrite_itself() {
        return Err(Failure::Usage("--errors would overwrite what is read".into()));
    }
    if source.dry_run {
        let (mut good, mut bad) = (0, 0);
        for line in lines {
            match line.and_then(|line| line.entry(String::new()).map_err(|why| (line.body, why))) {
                Ok(_) => good += 1,
                Err((_, why)) => {
                    bad += 1;
                    if bad <= TOLD {
                        output.note(&format!("not a message: {why}"));
                    }
                }
            }
        }
        let record = serde_json::json!({"queue": queue, "would_send": good, "failed": bad});
        let sentence = format!("Would send {} messages to {queue}", show_count(good));
        output.done(&sentence, &record)?;
        return partly(bad, "lines are no messages");
    }
    let mut errors = match &source.errors {
        Some(path) => Some(File::create(path).map_err(Failure::of_file(path))?),
        None => None,
    };
    let began = Instant::now();
    let interrupt = Interrupt::listen()?;
    let bar = progress::messages("sent", None);
    let feed = Feed {
        client: target.client.clone(),
        queue: queue.into(),
        lanes: source.parallel.into(),
        says_what_is_left: errors.is_some(),
    };
    let mut events = feed.start(lines, interrupt.clone());
    let mut fed = Fed { queue: queue.into(), ..Fed::default() };
    let mut broken = None;
    while let Some(event) = events.recv().await {
        let (text, why) = match event {
            Event::Sent(count) => {
                fed.sent += count;
                bar.inc(count);
                continue;
            }
            Event::Broken(error) => {
                broken = Some(error);
                continue;
            }
            Event::Refused(line) => {
                fed.failed += 1;
                let why = line.error.clone();
                (as_json(&line)?, why)
            }
            Event::Unreadable { line, why } => {
                fed.failed += 1;
                (line, Some(format!("not a message: {why}")))
            }
            Event::Left(line) => {
                fed.left += 1;
                (as_json(&line)?, None)
            }
        };
        if let Some(errors) = &mut errors {
            // Not kept back: the second Ctrl-C ends at once.
            errors.write_all(format!("{text}\n").as_bytes())?;
        }
        if let Some(why) = why.filter(|_| fed.failed <= TOLD) {
            bar.suspend(|| output.note(&why));
        }
    }
    bar.finish_and_clear();
    fed.seconds = began.elapsed().as_secs_f64();
    fed.messages_per_second = fed.sent as f64 / fed.seconds.max(1e-6);
    match output.is_human() {
        true => output.line(&format!(
            "Sent {} messages to {queue} in {:.1} s, {:.0} messages/s",
            show_count(fed.sent),
            fed.seconds,
            fed.messages_per_second
        ))?,
        false => output.item(&fed)?,
    }
    let rest = match &source.errors {
        Some(path) => format!("what was not sent is in {}", path.display()),
        None => "--errors FILE keeps what is not sent".into(),
    };
    match broken {
        Some(error) if fed.sent == 0 => return Err(Failure::from(error).with_hint(rest)),
        Some(error) => return Err(Failure::Partly(format!("stopped: {error}; {rest}"))),
        None if interrupt.is_asked() => return Err(Failure::Partly(format!("stopped; {rest}"))),
        None => {}
    }
    partly(fed.failed, &format!("messages were not sent; {rest}"))
}

fn as_json(line: &Line) -> Result<String, Failure> {
    serde_json::to_string(line).map_err(|error| Failure::failed(error.to_string()))
}

fn partly(failed: u64, what: &str) -> Result<(), Failure> {
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Partly(format!("{} {what}", show_count(failed)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: impl io::Read) -> Vec<Result<String, String>> {
        texts(BufReader::new(input)).map(|line| line.map_err(|(_, why)| why)).collect()
    }

    #[test]
    fn lines_are_read_one_by_one_whatever_they_hold() {
        assert_eq!(read(&b"a\r\n\n\r\nb"[..]), [Ok("a".into()), Ok("b".into())]);
        assert_eq!(read(&b"\xff\nb\n"[..]), [Err("not UTF-8".into()), Ok("b".into())]);
        assert_eq!(read(&b""[..]), []);
    }

    #[test]
    fn a_line_without_end_is_no_line_and_not_kept() {
        let long = io::repeat(b'x').take(3 * READ_BYTES_MAX).chain(&b"\nb"[..]);
        assert_eq!(read(long), [Err("the line is too long".into()), Ok("b".into())]);
    }

    #[test]
    fn what_cannot_be_read_ends_it() {
        struct Broken;
        impl io::Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("it is broken"))
            }
        }
        let lines = read((&b"a\n"[..]).chain(Broken));
        assert_eq!(lines, [Ok("a".into()), Err("it cannot be read: it is broken".into())]);
    }
}
