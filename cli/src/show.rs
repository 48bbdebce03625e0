//! Messages on standard output, as they come: any number of them, none kept.

use std::fmt::Write as _;
use std::io::Read as _;

use anstyle::{AnsiColor, Style};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use clap::{Args, ValueEnum};

use crate::failure::Failure;
use crate::line::{Line, now_ms};
use crate::output::{Format, Output, plain};
use crate::queues::name_of;
use crate::units::show_seconds;

/// The most that a body is unpacked to, in bytes: a short one may pretend to be endless.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;

/// The names of a CSV line: the same for every message.
const CSV_COLUMNS: &[&str] = &[
    "message_id",
    "state",
    "sent_at",
    "receive_count",
    "group",
    "dedup_id",
    "dead_letter_source",
    "death_reason",
    "body",
    "attributes",
];

/// How bodies are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Packing {
    /// Base64 of text
    Base64,
    /// Base64 of what gzip made of text
    Gzip,
}

/// How to show bodies.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Bodies {
    /// Unpack bodies; one that is not packed so is shown as it is
    #[arg(long, value_enum, value_name = "HOW")]
    decode: Option<Packing>,
    /// Indent bodies that are JSON
    #[arg(long)]
    pretty: bool,
    /// Print the bodies alone, each on a line
    #[arg(long)]
    raw: bool,
}

impl Bodies {
    fn unpack(&self, body: String) -> String {
        let body = match self.decode.and_then(|packing| unpacked(&body, packing)) {
            Some(unpacked) => unpacked,
            None => body,
        };
        if !self.pretty {
            return body;
        }
        let json = serde_json::from_str::<&serde_json::value::RawValue>(&body).is_ok();
        if json { indented(&body) } else { body }
    }
}

fn unpacked(body: &str, packing: Packing) -> Option<String> {
    let bytes = BASE64_STANDARD.decode(body.trim()).ok()?;
    if packing == Packing::Base64 {
        return String::from_utf8(bytes).ok();
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*bytes)
        .take(UNPACKED_BYTES_MAX)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// JSON with a value on each line. Nothing is parsed, so that numbers, the order of names and names
/// that come twice stay as they are.
fn indented(json: &str) -> String {
    let mut shown = String::with_capacity(json.len() * 2);
    let mut depth = 0;
    let mut in_text = false;
    let mut escaped = false;
    let new_line = |shown: &mut String, depth: usize| {
        shown.push('\n');
        shown.extend(std::iter::repeat_n("  ", depth));
    };
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        if in_text {
            shown.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            c if c.is_ascii_whitespace() => {}
            '{' | '[' => {
                shown.push(c);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = rest.next_if(|c| matches!(c, '}' | ']')) {
                    shown.push(end);
                } else {
                    depth += 1;
                    new_line(&mut shown, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut shown, depth);
                shown.push(c);
            }
            ',' => {
                shown.push(c);
                new_line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            c => {
                in_text = c == '"';
                shown.push(c);
            }
        }
    }
    shown
}

/// Prints messages one after the other.
#[derive(Debug)]
pub(crate) struct Stream<'a> {
    output: &'a Output,
    bodies: &'a Bodies,
    shown: u64,
    /// Not printed yet: a page is one write.
    text: String,
}

impl<'a> Stream<'a> {
    /// Nothing yet.
    pub(crate) fn new(output: &'a Output, bodies: &'a Bodies) -> Stream<'a> {
        Stream { output, bodies, shown: 0, text: String::new() }
    }

    /// How many there were.
    pub(crate) fn shown(&self) -> u64 {
        self.shown
    }

    /// Another one.
    pub(crate) fn push(&mut self, mut line: Line) -> Result<(), Failure> {
        line.body = self.bodies.unpack(line.body);
        let first = self.shown == 0;
        self.shown += 1;
        if self.bodies.raw {
            self.text += &line.body;
            self.text.push('\n');
            return Ok(());
        }
        match self.output.format() {
            Format::Table => self.for_people(&line),
            Format::Json => {
                self.text += if first { "[\n" } else { ",\n" };
                self.text += &json(&line)?;
            }
            Format::Ndjson => {
                self.text += &json(&line)?;
                self.text.push('\n');
            }
            Format::Csv => self.csv(&line, first)?,
        }
        Ok(())
    }

    /// Prints what came since the last call.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.text);
        match self.output.is_human() && !self.bodies.raw {
            _ if text.is_empty() => Ok(()),
            // With styles, which were put around what is plain already.
            true => self.output.text(&text),
            false => self.output.foreign(&text),
        }
    }

    /// There are no more; `nothing` is said to people where there were none.
    pub(crate) fn end(mut self, nothing: &str) -> Result<(), Failure> {
        if self.output.format() == Format::Json && !self.bodies.raw {
            self.text += if self.shown == 0 { "[]\n" } else { "\n]\n" };
        }
        if self.shown == 0 && self.output.is_human() && !self.bodies.raw {
            self.output.note(nothing);
        }
        self.flush()
    }

    fn for_people(&mut self, line: &Line) {
        let bold = self.output.style(Style::new().bold());
        let dim = self.output.style(Style::new().dimmed());
        let red = self.output.style(AnsiColor::Red.on_default());
        let ago = |at: u64| show_seconds(now_ms().saturating_sub(at) / 1_000);
        let id = line.message_id.as_deref().unwrap_or("-");
        let text = &mut self.text;
        // Writing to a string does not fail.
        let _ = write!(text, "{bold}{}{bold:#}", in_line(id));
        if let Some(state) = &line.state {
            let _ = write!(text, " {state}");
        }
        if let Some(at) = line.sent_at {
            let _ = write!(text, " · sent {} ago", ago(at));
        }
        if let Some(count) = line.receive_count {
            let _ = write!(text, " · received {count} times");
        }
        if let Some(group) = &line.group {
            let _ = write!(text, " · group {}", in_line(group));
        }
        for (name, value) in &line.attributes {
            let _ = write!(text, " · {}={}", in_line(name), in_line(&value.show()));
        }
        text.push('\n');
        if let Some(source) = &line.dead_letter_source {
            let why = line.death_reason.as_deref().unwrap_or("received too often");
            let (source, why) = (in_line(name_of(source)), in_line(why));
            let _ = write!(text, "{red}dead letter of {source}: {why}{red:#}");
            if let Some(at) = line.died_at {
                let _ = write!(text, ", {} ago", ago(at));
            }
            text.push('\n');
        }
        if let Some(handle) = &line.receipt_handle {
            let _ = writeln!(text, "{dim}{}{dim:#}", in_line(handle));
        }
        let _ = writeln!(text, "{}\n", plain(&line.body));
    }

    fn csv(&mut self, line: &Line, first: bool) -> Result<(), Failure> {
        let value =
            serde_json::to_value(line).map_err(|error| Failure::failed(error.to_string()))?;
        let cell = |name: &&str| match value.get(*name) {
            None => String::new(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        let mut writer = csv::Writer::from_writer(Vec::new());
        let written = match first {
            true => writer.write_record(CSV_COLUMNS),
            false => Ok(()),
        };
        let written = written.and_then(|()| writer.write_record(CSV_COLUMNS.iter().map(cell)));
        written.map_err(|error| Failure::failed(error.to_string()))?;
        let bytes = writer.into_inner().map_err(|error| Failure::failed(error.to_string()))?;
        self.text += &String::from_utf8_lossy(&bytes);
        Ok(())
    }
}

/// Plain text without lines of its own, which could pass for another message.
fn in_line(text: &str) -> String {
    plain(text).replace('\n', "\\n")
}

fn json(line: &Line) -> Result<String, Failure> {
    serde_json::to_string(line).map_err(|error| Failure::failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn bodies_are_unpacked_where_they_are_packed() {
        let base64 = Bodies { decode: Some(Packing::Base64), ..Bodies::default() };
        assert_eq!(base64.unpack("aGVsbG8=".into()), "hello");
        assert_eq!(base64.unpack("hello!".into()), "hello!");
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(b"hello").expect("a vector takes any bytes");
        let packed = BASE64_STANDARD.encode(encoder.finish().expect("the same"));
        let gzip = Bodies { decode: Some(Packing::Gzip), ..Bodies::default() };
        assert_eq!(gzip.unpack(packed), "hello");
        assert_eq!(gzip.unpack("aGVsbG8=".into()), "aGVsbG8=");
    }

    #[test]
    fn json_is_indented_and_stays_as_it_is() {
        let pretty = Bodies { pretty: true, ..Bodies::default() };
        let json = r#"{"b": [1.0,{}, "a\"{,b"] ,"a":[ ],"b":2}"#;
        let expected =
            "{\n  \"b\": [\n    1.0,\n    {},\n    \"a\\\"{,b\"\n  ],\n  \"a\": [],\n  \"b\": 2\n}";
        assert_eq!(pretty.unpack(json.into()), expected);
        assert_eq!(pretty.unpack("{not json".into()), "{not json");
    }
}
