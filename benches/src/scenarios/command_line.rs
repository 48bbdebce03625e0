//! What the command line does with a million messages, in how much memory, and how soon it begins.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Context;
use crate::process::{Server, Usage};
use crate::report::{Bound, Report};

/// Lines sent and messages exported at scale 1.
const MESSAGES: u64 = 1_000_000;
/// A line of a log, or a small order.
const LINE_BYTES: usize = 200;
/// What a run may take at most, however many messages there are.
const MEMORY_MIB_MAX: f64 = 64.0;
/// How soon a command that asks the server one thing is through.
const START_MS_MAX: f64 = 20.0;
/// Runs of which the median is taken.
const STARTS: usize = 21;

pub(super) async fn run(context: &Context, report: &mut Report) -> io::Result<()> {
    let count = context.messages(MESSAGES);
    let server = Server::start(&context.place.stanchiond("cli", &[])).await?;
    let stanchion = Stanchion {
        program: context.place.program("stanchion"),
        endpoint: format!("http://{}", server.address()),
    };
    let (lines, exported) = (context.place.data("lines"), context.place.data("exported"));
    write_lines(&lines, count)?;
    stanchion.run(&["queue", "create", "sent"])?;
    stanchion.run(&["queue", "create", "imported"])?;
    let (lines, exported) = (text(&lines)?, text(&exported)?);
    let cases: [(&str, &[&str]); 3] = [
        ("send --lines", &["send", "sent", "--lines", "--file", lines]),
        ("export", &["export", "sent", "--to", exported]),
        ("import", &["import", "imported", "--file", exported]),
    ];
    for (what, arguments) in cases {
        let (took, memory) = stanchion.run(arguments)?;
        let rate = count as f64 / took.as_secs_f64();
        report.time(format!("{what}: rate"), rate, "messages/s", Bound::None);
        let memory = memory as f64 / f64::from(1 << 20);
        report.count(format!("{what}: memory"), memory, "MiB", Bound::AtMost(MEMORY_MIB_MAX));
    }
    let counted = stanchion.output(&["count", "imported", "--output", "ndjson"])?;
    let counted: serde_json::Value = serde_json::from_slice(&counted)?;
    let counted = counted["available"].as_f64().unwrap_or_default();
    report.count("messages that came through", counted, "", Bound::AtLeast(count as f64));
    for arguments in [&["--version"] as &[&str], &["queue", "ls"]] {
        let mut times = Vec::with_capacity(STARTS);
        for _ in 0..STARTS {
            let began = Instant::now();
            stanchion.output(arguments)?;
            times.push(began.elapsed());
        }
        times.sort();
        let ms = times[STARTS / 2].as_secs_f64() * 1_000.0;
        let what = format!("stanchion {}: from start to end", arguments.join(" "));
        report.time(what, ms, "ms", Bound::AtMost(START_MS_MAX));
    }
    drop(server);
    context.place.discard("cli")
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other("the data folder's name is no text"))
}

fn write_lines(path: &PathBuf, count: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in 0..count {
        writeln!(file, "{line:x<LINE_BYTES$}")?;
    }
    file.flush()
}

/// The command line, and whom it talks to.
struct Stanchion {
    program: PathBuf,
    endpoint: String,
}

impl Stanchion {
    fn start(&self, arguments: &[&str], stdout: Stdio) -> io::Result<Child> {
        Command::new(&self.program)
            .args(arguments)
            .args(["--endpoint", &self.endpoint, "--unsigned"])
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()
    }

    /// Runs a command. Returns how long it took, and its resident bytes at the worst moment.
    fn run(&self, arguments: &[&str]) -> io::Result<(Duration, u64)> {
        let began = Instant::now();
        let mut child = self.start(arguments, Stdio::null())?;
        let mut resident = 0;
        loop {
            // What it says at the end is little: nobody has to read it meanwhile.
            if child.try_wait()?.is_some() {
                break;
            }
            // It may have ended since; then what it took before is known.
            if let Ok(usage) = Usage::of(child.id()) {
                resident = resident.max(usage.resident_bytes_max);
            }
            thread::sleep(Duration::from_millis(5));
        }
        let took = began.elapsed();
        succeeded(arguments, child)?;
        Ok((took, resident))
    }

    /// What a command prints.
    fn output(&self, arguments: &[&str]) -> io::Result<Vec<u8>> {
        succeeded(arguments, self.start(arguments, Stdio::piped())?)
    }
}

fn succeeded(arguments: &[&str], child: Child) -> io::Result<Vec<u8>> {
    let output = child.wait_with_output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("stanchion {}: {said}", arguments.join(" "))))
        }
    }
}
