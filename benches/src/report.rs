//! Figures, the bounds they are held against, and the Markdown they end up in.
//!
//! A figure is either a count, which is the same on every machine, or a time, which is not. In CI
//! only counts can fail.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::load::Sample;

/// What a figure must keep.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// No larger than this.
    AtMost(f64),
    /// No smaller than this.
    AtLeast(f64),
    /// Exactly this.
    Exactly(f64),
    /// Reported only.
    None,
}

/// Whether a figure depends on the speed of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Messages, bytes, keys: the same everywhere.
    Count,
    /// Seconds, and whatever is divided by seconds.
    Time,
}

/// One line of a report.
#[derive(Debug, Clone)]
pub struct Figure {
    what: String,
    value: f64,
    unit: &'static str,
    bound: Bound,
    kind: Kind,
}

impl Figure {
    fn verdict(&self, counts_only: bool) -> Verdict {
        if counts_only && self.kind == Kind::Time {
            return Verdict::Reported;
        }
        let kept = match self.bound {
            Bound::None => return Verdict::Reported,
            Bound::AtMost(most) => self.value <= most,
            Bound::AtLeast(least) => least <= self.value,
            Bound::Exactly(exact) => self.value == exact,
        };
        if kept { Verdict::Pass } else { Verdict::Fail }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Fail,
    Reported,
}

/// The figures of one scenario, in the order they were found.
#[derive(Debug, Clone)]
pub struct Report {
    name: String,
    counts_only: bool,
    figures: Vec<Figure>,
    notes: Vec<String>,
}

impl Report {
    /// An empty report. With `counts_only` no time can fail.
    pub fn new(name: &str, counts_only: bool) -> Report {
        Report { name: name.into(), counts_only, figures: Vec::new(), notes: Vec::new() }
    }

    /// Adds a figure that is the same on every machine.
    pub fn count(&mut self, what: impl Into<String>, value: f64, unit: &'static str, bound: Bound) {
        self.add(Figure { what: what.into(), value, unit, bound, kind: Kind::Count });
    }

    /// Adds a figure that depends on the machine.
    pub fn time(&mut self, what: impl Into<String>, value: f64, unit: &'static str, bound: Bound) {
        self.add(Figure { what: what.into(), value, unit, bound, kind: Kind::Time });
    }

    /// Adds a sentence below the table.
    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Adds what a loaded server cost, without bounds.
    pub fn sample(&mut self, what: &str, sample: &Sample) {
        let measured = &sample.measured;
        let none = Bound::None;
        self.time(format!("{what}: rate"), measured.messages_per_s(), "messages/s", none);
        self.time(format!("{what}: latency p50"), measured.latency_ms(0.5), "ms", none);
        self.time(format!("{what}: latency p99"), measured.latency_ms(0.99), "ms", none);
        self.time(format!("{what}: server CPU"), sample.cpu_us_per_request, "µs/request", none);
        self.time(format!("{what}: server CPU"), sample.cpu_us_per_message, "µs/message", none);
        let switches = sample.switches_per_request;
        self.time(format!("{what}: context switches"), switches, "/request", none);
        if let Some(syncs) = sample.syncs_per_s {
            self.time(format!("{what}: syncs"), syncs, "/s", none);
        }
        if let Some(commands) = sample.commands_per_turn {
            self.time(format!("{what}: turn size"), commands, "commands", none);
        }
    }

    /// How many figures break their bound.
    pub fn failures(&self) -> usize {
        let failed = |figure: &&Figure| figure.verdict(self.counts_only) == Verdict::Fail;
        self.figures.iter().filter(failed).count()
    }

    /// Whether anything was found at all.
    pub fn is_empty(&self) -> bool {
        self.figures.is_empty()
    }

    /// A table, and the notes below it.
    pub fn markdown(&self) -> String {
        let mut text = String::from("| figure | value | bound | |\n| --- | ---: | ---: | --- |\n");
        for figure in &self.figures {
            let bound = match figure.bound {
                Bound::AtMost(most) => format!("≤ {}", number(most)),
                Bound::AtLeast(least) => format!("≥ {}", number(least)),
                Bound::Exactly(exact) => format!("= {}", number(exact)),
                Bound::None => "–".into(),
            };
            let verdict = match figure.verdict(self.counts_only) {
                Verdict::Pass => "pass",
                Verdict::Fail => "**FAIL**",
                Verdict::Reported => "",
            };
            let (what, value, unit) = (&figure.what, number(figure.value), figure.unit);
            let _ = writeln!(text, "| {what} | {value} {unit} | {bound} | {verdict} |");
        }
        for note in &self.notes {
            let _ = write!(text, "\n{note}\n");
        }
        text
    }

    /// Puts the table under its heading in a Markdown file, in place of the one of the last run at
    /// this scale.
    pub fn record(&self, file: &Path, scale: f64) -> io::Result<()> {
        let heading = format!("## `{}` at scale {scale}", self.name);
        let section = format!("{heading}\n\n{}\n\n{}", machine(), self.markdown());
        let old = fs::read_to_string(file).unwrap_or_default();
        fs::write(file, replace_section(&old, &heading, &section))
    }

    fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }
}

/// Replaces what stands between a heading and the next of its rank, or appends it.
pub fn replace_section(text: &str, heading: &str, section: &str) -> String {
    let is_start = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
    let line = format!("{heading}\n");
    let section = section.trim_end();
    match text.match_indices(&line).map(|(at, _)| at).find(is_start) {
        None => format!("{}\n\n{section}\n", text.trim_end()).trim_start().to_owned(),
        Some(from) => {
            let rest = &text[from + line.len()..];
            let rest = rest.find("\n## ").map_or("", |to| &rest[to..]);
            format!("{}{section}\n{rest}", &text[..from])
        }
    }
}

/// Three significant digits, thousands apart.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        small if small < 10.0 && value.fract() != 0.0 => 2,
        middle if middle < 100.0 && value.fract() != 0.0 => 1,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    let (whole, fraction) =
        text.split_once('.').map_or((text.as_str(), None), |(w, f)| (w, Some(f)));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |rest| ("-", rest));
    let groups: Vec<&str> = whole
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    let fraction = fraction.map(|f| format!(".{f}")).unwrap_or_default();
    format!("{sign}{}{fraction}", groups.join(","))
}

/// One line about where and on what the figures were found.
pub fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model).to_owned();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = read("/proc/meminfo");
    let memory_kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    format!(
        "{cores} cores ({model}), {} GiB, Linux {}, load at the end {}, commit {}",
        memory_kib >> 20,
        kernel.split(['-', '\n']).next().unwrap_or_default(),
        load.split(' ').next().unwrap_or_default(),
        commit(),
    )
}

fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short", "HEAD"]) else { return "unknown".into() };
    let changed = git(&["status", "--porcelain", "--", "service", "benches/src", "Cargo.toml"]);
    match changed.is_some_and(|changes| !changes.is_empty()) {
        true => format!("{commit} with changes"),
        false => commit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_where_it_stands() {
        let text = "# R\n\n## a\n\nold\n\n## b\n\nkept\n";
        let text = replace_section(text, "## a", "## a\n\nnew\n");
        assert_eq!(text, "# R\n\n## a\n\nnew\n\n## b\n\nkept\n");
        let text = replace_section(&text, "## b", "## b\n\nnewer");
        assert_eq!(text, "# R\n\n## a\n\nnew\n\n## b\n\nnewer\n");
        let text = replace_section(&text, "## c", "## c\n\nadded");
        assert_eq!(text, "# R\n\n## a\n\nnew\n\n## b\n\nnewer\n\n## c\n\nadded\n");
    }

    #[test]
    fn only_counts_fail_when_times_do_not_matter() {
        let mut report = Report::new("x", true);
        report.time("slow", 9.0, "s", Bound::AtMost(1.0));
        assert_eq!(report.failures(), 0);
        report.count("lost", 1.0, "messages", Bound::Exactly(0.0));
        assert_eq!(report.failures(), 1);
        report.counts_only = false;
        assert_eq!(report.failures(), 2);
    }

    #[test]
    fn numbers_are_short() {
        let pairs = [(1_234_567.8, "1,234,568"), (0.216, "0.22"), (12.34, "12.3"), (3.0, "3")];
        for (value, text) in pairs {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(-1234.0), "-1,234");
    }
}
