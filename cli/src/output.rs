//! The only writer to standard output and standard error: tables for people, JSON, NDJSON or CSV for
//! programs.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::io::{self, BufWriter, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use comfy_table::{Attribute, Cell};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::failure::Failure;

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned text for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// A JSON document on each line
    Ndjson,
    /// Comma-separated values, with a line of names
    Csv,
}

/// What a command prints: its JSON form is stable, its table is for people. CSV has the fields of the
/// JSON form in their order, so they are declared in the order of the table's columns.
pub(crate) trait Record: Serialize {
    /// The headings of the table.
    const COLUMNS: &'static [&'static str];

    /// The row of the table, one text for each heading.
    fn row(&self) -> Vec<String>;
}

/// Text that a terminal takes for nothing but text: what would move its cursor, colour it or answer for
/// whoever sits there is written as JSON escapes it. Lines and tabs stay.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let is_harmless = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    if text.chars().all(is_harmless) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmless(c) {
            shown.push(c);
        } else {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        }
    }
    Cow::Owned(shown)
}

/// Where everything goes that is printed. What others wrote (bodies, attributes, names, answers of
/// servers) reaches a terminal only as [`plain`] text.
#[derive(Debug)]
pub(crate) struct Output {
    format: Format,
    terminal: bool,
    colour: bool,
    colour_errors: bool,
}

impl Output {
    /// Colours only where somebody sees them, and does not mind (`NO_COLOR`).
    pub(crate) fn new(format: Format) -> Output {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let terminal = io::stdout().is_terminal();
        Output {
            format,
            terminal,
            colour: wanted && terminal,
            colour_errors: wanted && io::stderr().is_terminal(),
        }
    }

    /// How to print.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Whether the reader is a person.
    pub(crate) fn is_human(&self) -> bool {
        self.format == Format::Table
    }

    /// Prints many things; `nothing` is said to people where there are none.
    pub(crate) fn list<R: Record>(&self, records: &[R], nothing: &str) -> Result<(), Failure> {
        match self.format {
            Format::Table if records.is_empty() => {
                self.note(nothing);
                Ok(())
            }
            Format::Table => self.text(&self.table(R::COLUMNS, records.iter().map(Record::row))),
            Format::Json => self.line(&serde_json::to_string_pretty(records).map_err(unprintable)?),
            Format::Ndjson => records.iter().try_for_each(|record| self.ndjson(record)),
            Format::Csv => self.csv(records),
        }
    }

    /// Prints one thing: for people its fields one below the other.
    pub(crate) fn item<R: Record>(&self, record: &R) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.fields(R::COLUMNS.iter().copied().zip(record.row())),
            Format::Json => self.line(&serde_json::to_string_pretty(record).map_err(unprintable)?),
            Format::Ndjson => self.ndjson(record),
            Format::Csv => self.csv(std::slice::from_ref(record)),
        }
    }

    /// Prints named values for people, one below the other.
    pub(crate) fn fields<N: AsRef<str>>(
        &self,
        fields: impl IntoIterator<Item = (N, String)>,
    ) -> Result<(), Failure> {
        let fields: Vec<_> = fields.into_iter().collect();
        let length = |name: &N| name.as_ref().chars().count();
        let widest = fields.iter().map(|(name, _)| length(name)).max().unwrap_or(0);
        let bold = self.style(Style::new().bold());
        let mut text = String::new();
        for (name, value) in &fields {
            let padding = widest - length(name) + 2;
            let value = plain(value);
            let line = format!("{bold}{}{bold:#}{:padding$}{value}", name.as_ref(), "");
            text += &format!("{}\n", line.trim_end());
        }
        self.text(&text)
    }

    /// Begins again at the top of the screen, where there is one.
    pub(crate) fn clear(&self) -> Result<(), Failure> {
        if self.is_human() && self.terminal {
            self.text("\x1b[H\x1b[2J")?;
        }
        Ok(())
    }

    /// Says that something was done: to people in a sentence, to programs as a record.
    pub(crate) fn done(&self, sentence: &str, record: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Table => self.line(sentence),
            Format::Json => self.line(&serde_json::to_string_pretty(record).map_err(unprintable)?),
            Format::Ndjson => self.ndjson(record),
            Format::Csv => self.csv(std::slice::from_ref(record)),
        }
    }

    /// A line of JSON.
    pub(crate) fn ndjson(&self, record: &impl Serialize) -> Result<(), Failure> {
        self.line(&serde_json::to_string(record).map_err(unprintable)?)
    }

    /// A line on standard output: a sentence, or JSON, which means the same with its characters escaped.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        self.text(&format!("{}\n", plain(text)))
    }

    /// What others wrote, on standard output: to the byte, unless that is a terminal.
    pub(crate) fn foreign(&self, text: &str) -> Result<(), Failure> {
        if self.terminal { self.text(&plain(text)) } else { self.text(text) }
    }

    /// Text on standard output, styles included: the caller knows what is in it.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
        written.map_err(unwritten)
    }

    /// A remark on standard error: what people want to know and programs do not.
    pub(crate) fn note(&self, text: &str) {
        self.log(&plain(text));
    }

    /// What a program says that somebody had us run, with the colours that it chose.
    pub(crate) fn log(&self, text: &str) {
        // Where nobody reads it, nothing is lost.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// What went wrong.
    pub(crate) fn error(&self, text: &str) {
        let style = self.error_style(AnsiColor::Red);
        self.log(&format!("{style}error:{style:#} {}", plain(text)));
    }

    /// What to try.
    pub(crate) fn hint(&self, text: &str) {
        let style = self.error_style(AnsiColor::Cyan);
        self.log(&format!("{style}hint:{style:#} {}", plain(text)));
    }

    /// From now on shows what the SDK warns of: for commands that go on by themselves whatever happens.
    pub(crate) fn show_warnings(&self) {
        // What a handler failed with the command says itself, and with which message.
        let is_shown = |event: &Metadata<'_>| {
            *event.level() <= Level::WARN && event.fields().field("is_permanent").is_none()
        };
        let warnings = tracing_subscriber::fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(self.colour_errors)
            .with_target(false)
            .without_time()
            .with_filter(filter_fn(is_shown));
        // It fails only where somebody did so before.
        let _ = tracing_subscriber::registry().with(warnings).try_init();
    }

    /// A style where standard output is coloured, and none where it is not.
    pub(crate) fn style(&self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }

    fn error_style(&self, colour: AnsiColor) -> Style {
        if self.colour_errors { colour.on_default().bold() } else { Style::new() }
    }

    fn table(&self, columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        // The table measures what it styles itself; escapes in the text it would count as letters.
        match self.colour {
            true => table.enforce_styling(),
            false => table.force_no_tty(),
        };
        table.style_text_only();
        let heading = |name: &&str| Cell::new(name).add_attribute(Attribute::Bold);
        table.set_header(columns.iter().map(heading));
        rows.for_each(|row| {
            table.add_row(row.iter().map(|cell| plain(cell)));
        });
        // Without borders every cell has a space on either side, the first one too.
        let lines = table.lines();
        lines
            .map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(&line).trim_end()))
            .collect()
    }

    fn csv(&self, records: &[impl Serialize]) -> Result<(), Failure> {
        let mut writer = csv::Writer::from_writer(BufWriter::new(io::stdout().lock()));
        for (place, record) in records.iter().enumerate() {
            let json = serde_json::to_string(record).map_err(unprintable)?;
            let Fields(fields) = serde_json::from_str(&json).map_err(unprintable)?;
            if place == 0 {
                let names = fields.iter().map(|(name, _)| name);
                writer.write_record(names).map_err(csv_failure)?;
            }
            let cells = fields.iter().map(|(_, value)| match value {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            writer.write_record(cells).map_err(csv_failure)?;
        }
        writer.flush().map_err(unwritten)
    }
}

/// The fields of a record in their order, which a JSON object of `serde_json` forgets.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

fn unprintable(error: serde_json::Error) -> Failure {
    Failure::failed(format!("cannot print that: {error}"))
}

fn csv_failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => unwritten(error),
        other => Failure::failed(format!("cannot print that: {other:?}")),
    }
}

/// Where the reader has gone, there is nobody to tell: the end.
fn unwritten(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_command_a_terminal_is_escaped_and_text_stays() {
        assert_eq!(plain("a\tb\nc \u{1f980} é"), "a\tb\nc \u{1f980} é");
        assert_eq!(plain("\u{1b}[2J\r\u{7}\u{7f}\u{9b}1m"), r"\u001b[2J\u000d\u0007\u007f\u009b1m");
        // JSON stays what it is.
        let json = serde_json::to_string("\\\u{9b}").expect("a text is JSON");
        let read: String = serde_json::from_str(&plain(&json)).expect("it still is");
        assert_eq!(read, "\\\u{9b}");
    }
}
