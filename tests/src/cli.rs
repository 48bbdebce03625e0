//! The command line, run as people run it: what it prints, what it exits with.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Server, binary, process::PATIENCE, sdk};

/// `stanchion`, with a folder of its own for its contexts, and nothing of the environment of whoever
/// runs the tests.
#[derive(Debug)]
pub struct Cli {
    home: TempDir,
    endpoint: Option<String>,
    key: Option<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Cli {
    /// For a server that asks for no signatures.
    pub fn new(server: &Server) -> Cli {
        Cli::at(Some(server.url()))
    }

    /// For a server that root's key of [`sdk`] is given to.
    pub fn signed(server: &Server) -> Cli {
        Cli::new(server).with_key(sdk::ROOT_KEY, sdk::ROOT_SECRET)
    }

    /// For what listens there, or for what its contexts say.
    ///
    /// # Panics
    /// When no scratch folder can be made.
    pub fn at(endpoint: Option<String>) -> Cli {
        let home = TempDir::new().expect("a scratch folder can be made");
        Cli { home, endpoint, key: None }
    }

    /// Signs with this.
    pub fn with_key(mut self, key: &str, secret: &str) -> Cli {
        self.key = Some((key.into(), secret.into()));
        self
    }

    /// Its folder: where a test puts files too.
    pub fn folder(&self) -> &Path {
        self.home.path()
    }

    /// The command, ready to run; its standard input is empty.
    pub fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        self.program(binary::stanchion(), args)
    }

    /// Another program, where the command would run and in its environment.
    pub fn program<S: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: &[S]) -> Command {
        let mut command = Command::new(program);
        command.args(args).current_dir(self.folder());
        command.env_clear().env("HOME", self.folder()).env("STANCHION_HOME", self.folder());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        // Nowhere is there a cloud that would give credentials.
        command.env("AWS_EC2_METADATA_DISABLED", "true");
        if let Some(endpoint) = &self.endpoint {
            command.env("STANCHION_ENDPOINT", endpoint);
        }
        if let Some((key, secret)) = &self.key {
            command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", secret);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ran {
        self.command(args).output().expect("stanchion can be run").into()
    }

    /// Runs it with this on standard input.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn run_with<S: AsRef<OsStr>>(&self, args: &[S], input: &str) -> Ran {
        let mut child = self.start_with_input(args);
        let mut stdin = child.stdin.take().expect("it was piped");
        let input = input.to_owned();
        // Beside reading: it may print before it has read everything, or read nothing at all.
        let writer = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
        let ran = child.wait_with_output().expect("stanchion can be waited for").into();
        writer.join().expect("writing does not panic");
        ran
    }

    /// Starts it with a standard input that stays open.
    ///
    /// # Panics
    /// When it cannot be run.
    pub fn start_with_input<S: AsRef<OsStr>>(&self, args: &[S]) -> Child {
        self.command(args).stdin(Stdio::piped()).spawn().expect("stanchion can be run")
    }

    /// Runs it and expects it to do well: its standard output.
    ///
    /// # Panics
    /// When it does not.
    pub fn ok<S: AsRef<OsStr>>(&self, args: &[S]) -> String {
        self.run(args).expect_code(0).out
    }

    /// Runs it with `--output json` and expects it to do well: what it printed.
    ///
    /// # Panics
    /// When it does not, or prints something else.
    pub fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(&[args, &["--output", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Ran {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        // Ended by a signal, it has no code.
        let code = output.status.code().unwrap_or(-1);
        Ran { code, out: text(&output.stdout), err: text(&output.stderr) }
    }
}

impl Ran {
    /// Itself, if it ended so.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }
}

/// Whether the process of this number runs. One that has ended may wait for somebody to ask how.
pub fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

/// Waits until `found` is so.
///
/// # Panics
/// When it is not within [`PATIENCE`].
#[track_caller]
pub fn eventually(what: &str, mut found: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !found() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
