//! One process of a function, and the group of all that it starts.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::logs::{self, LogStream, Writer};

/// How long the outputs of a process that ended are still read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What is run, and with what around it.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) folder: Option<PathBuf>,
}

/// A process group: the function's process leads it, and what it starts belongs to it.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Pid,
    /// The leader was waited for: its number may become another's.
    is_over: AtomicBool,
}

impl Group {
    /// Ends all of them at once.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Asks all of them to end.
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        if !self.is_over.load(Ordering::Acquire) {
            // It fails when none of them is left, which is what was wanted.
            let _ = kill_process_group(self.leader, signal);
        }
    }
}

/// Starts a process with the further variables.
pub(crate) fn start(spec: &Spec, env: Vec<(&str, OsString)>) -> io::Result<(Child, Group)> {
    let mut command = Command::new(&spec.program);
    command
        .args(&spec.args)
        .envs(env)
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(folder) = &spec.folder {
        command.current_dir(folder);
    }
    let child = command.spawn()?;
    // A child that was not waited for has a number, and it fits.
    let leader = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
    let leader = leader.ok_or_else(|| io::Error::other("the process has no number"))?;
    Ok((child, Group { leader, is_over: AtomicBool::new(false) }))
}

/// Passes on what a process writes until it ends; then ends what is left of its group. Returns how it
/// ended, in words.
pub(crate) async fn watch(mut child: Child, group: &Group, writer: Writer) -> String {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let for_err = writer.clone();
    let mut reading = tokio::spawn(async move {
        let out = async {
            if let Some(out) = out {
                logs::read(out, LogStream::Stdout, writer).await;
            }
        };
        let err = async {
            if let Some(err) = err {
                logs::read(err, LogStream::Stderr, for_err).await;
            }
        };
        tokio::join!(out, err);
    });
    let status = child.wait().await;
    // At once: from here on the number may be given to another.
    group.kill();
    group.is_over.store(true, Ordering::Release);
    // A grandchild that left the group may hold the outputs open for ever.
    if tokio::time::timeout(LAST_WORDS, &mut reading).await.is_err() {
        reading.abort();
    }
    match status {
        Ok(status) => describe(status),
        Err(error) => error.to_string(),
    }
}

fn describe(status: ExitStatus) -> String {
    // "exit status: 3", "signal: 9 (SIGKILL)"
    format!("it ended with {status}")
}
