//! One server process: start, wait until it is ready, kill, start again on the same folder.

use std::{
    ffi::OsString,
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;

use crate::{binary, brittle_disk::BrittleDisk, http, sdk};

/// How long anything a healthy server does promptly may take on a busy machine. Only a failing test
/// waits this long.
pub const PATIENCE: Duration = Duration::from_secs(120);

const ROOT_KEY_VARIABLE: &str = "STANCHION_ROOT_ACCESS_KEY_ID";
const ROOT_SECRET_VARIABLE: &str = "STANCHION_ROOT_SECRET_ACCESS_KEY";

/// Root's key as a server takes it from its environment.
pub fn root_key() -> Vec<(&'static str, OsString)> {
    vec![(ROOT_KEY_VARIABLE, sdk::ROOT_KEY.into()), (ROOT_SECRET_VARIABLE, sdk::ROOT_SECRET.into())]
}

/// A running `stanchiond`. Dropped, it is killed, and its folder removed; when the test is failing,
/// its output is shown.
#[derive(Debug)]
pub struct Server {
    folder: Arc<TempDir>,
    args: Vec<String>,
    env: Vec<(&'static str, OsString)>,
    child: Child,
    endpoint: Endpoint,
    output: Output,
}

/// Where a server said it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Endpoint {
    /// `http` or `https`.
    scheme: &'static str,
    address: SocketAddr,
}

/// A server that ended instead of starting.
#[derive(Debug)]
pub struct Refused {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said, both streams.
    pub output: String,
}

impl Server {
    /// A server with defaults on an empty folder.
    pub fn start() -> Server {
        Server::start_with(&[])
    }

    /// A server on an empty folder, with further arguments.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_with(args: &[&str]) -> Server {
        let folder = TempDir::new().expect("a scratch folder can be made");
        Server::try_start(Arc::new(folder), args).unwrap_or_else(|refused| {
            panic!("stanchiond did not start: {}\n{}", refused.status, refused.output)
        })
    }

    /// A server that root's key of [`sdk`] is given to: every request must be signed.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_signed(args: &[&str]) -> Server {
        let folder = TempDir::new().expect("a scratch folder can be made");
        Server::try_start_with_env(Arc::new(folder), args, root_key())
            .unwrap_or_else(|refused| panic!("no start: {}\n{}", refused.status, refused.output))
    }

    /// A server on `folder`, with further arguments; [`Refused`] when it ends by itself.
    pub fn try_start(folder: Arc<TempDir>, args: &[&str]) -> Result<Server, Refused> {
        Server::try_start_with_env(folder, args, Vec::new())
    }

    /// The same, with further variables in its environment.
    pub fn try_start_with_env(
        folder: Arc<TempDir>,
        args: &[&str],
        env: Vec<(&'static str, OsString)>,
    ) -> Result<Server, Refused> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        let (child, endpoint, output) = launch(folder.path(), &args, &env)?;
        Ok(Server { folder, args, env, child, endpoint, output })
    }

    /// A server on an empty folder whose syncs can be made to fail.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_on(disk: &BrittleDisk) -> Server {
        let folder = TempDir::new().expect("a scratch folder can be made");
        let env = vec![("LD_PRELOAD", disk.library().into())];
        Server::try_start_with_env(Arc::new(folder), &[], env)
            .unwrap_or_else(|refused| panic!("no start: {}\n{}", refused.status, refused.output))
    }

    /// Starts again on the same folder with the same arguments, on a new port, after
    /// [`kill`](Self::kill) or [`terminate`](Self::terminate).
    ///
    /// # Panics
    /// When it does not start, or still runs.
    pub fn start_again(&mut self) {
        let ended = self.child.try_wait().expect("the server is our child");
        assert!(ended.is_some(), "the server still runs");
        let (child, endpoint, output) = launch(self.folder.path(), &self.args, &self.env)
            .unwrap_or_else(|refused| panic!("no restart: {}\n{}", refused.status, refused.output));
        (self.child, self.endpoint, self.output) = (child, endpoint, output);
    }

    /// SIGKILL: what it had not written is gone.
    pub fn kill(&mut self) {
        self.child.kill().expect("the server can be killed");
        self.child.wait().expect("the server is our child");
    }

    /// Sends SIGTERM and leaves it at that.
    pub fn ask_to_stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("the server can be signalled");
    }

    /// Sends SIGHUP, at which files are read again.
    pub fn hang_up(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::HUP).expect("the server can be signalled");
    }

    /// SIGTERM, and how the server ended.
    ///
    /// # Panics
    /// When it does not end within [`PATIENCE`].
    pub fn terminate(&mut self) -> ExitStatus {
        self.ask_to_stop();
        self.wait()
    }

    /// Waits until the server has ended by itself.
    ///
    /// # Panics
    /// When it does not end within [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        ended(&mut self.child).expect("the server ends when asked to")
    }

    /// Has every write to a file fail from now on, as on a broken disk.
    pub fn fail_writes(&self) {
        let nothing = Rlimit { current: Some(0), maximum: Some(0) };
        let pid = Pid::from_child(&self.child);
        prlimit(Some(pid), Resource::Fsize, nothing).expect("our child's limits can be lowered");
    }

    /// The process id, for reading `/proc`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address it said it listens on.
    pub fn address(&self) -> SocketAddr {
        self.endpoint.address
    }

    /// The endpoint to give to a client.
    pub fn url(&self) -> String {
        format!("{}://{}", self.endpoint.scheme, self.endpoint.address)
    }

    /// The data folder.
    pub fn folder(&self) -> &Arc<TempDir> {
        &self.folder
    }

    /// Everything that has been heard from it so far, both streams.
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// Whether it says `text` at last: what it wrote may take a moment to be heard.
    pub fn says(&self, text: &str) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if self.output().contains(text) {
                return true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Either may fail when it has ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            #[expect(clippy::print_stderr, reason = "a failing test is explained by the log")]
            {
                eprintln!("--- stanchiond said:\n{}---", self.output());
            }
        }
    }
}

/// Starts a server and waits until it answers `/ready`, with whatever status: with a full disk it
/// is never ready.
fn launch(
    folder: &Path,
    args: &[String],
    env: &[(&str, OsString)],
) -> Result<(Child, Endpoint, Output), Refused> {
    let mut child = Command::new("sh")
        // A write beyond the limit of `fail_writes` is to fail rather than to end the process.
        .args(["-c", r#"trap '' XFSZ; exec "$0" "$@""#])
        .arg(binary::stanchiond())
        .arg("--data")
        .arg(folder)
        .args(["--listen", "127.0.0.1:0"])
        .args(args)
        .env_remove(ROOT_KEY_VARIABLE)
        .env_remove(ROOT_SECRET_VARIABLE)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("stanchiond can be run");

    let (found, endpoint) = mpsc::channel();
    let output = Output::default();
    let readers = [
        output.follow(child.stdout.take().expect("stdout is piped"), found.clone()),
        output.follow(child.stderr.take().expect("stderr is piped"), found),
    ];

    let deadline = Instant::now() + PATIENCE;
    // Both senders are gone, and the wait over, as soon as the process has ended.
    let Ok(endpoint) = endpoint.recv_timeout(PATIENCE) else {
        let status = ended(&mut child).expect("a server that names no address has ended");
        for reader in readers {
            reader.join().expect("reading does not panic");
        }
        return Err(Refused { status, output: output.text() });
    };
    // Over TLS the banner has to do: what connects after it waits until it is served.
    while endpoint.scheme == "http" && http::get_blocking(endpoint.address, "/ready").is_err() {
        assert!(Instant::now() < deadline, "it does not answer:\n{}", output.text());
        if let Some(status) = child.try_wait().expect("the server is our child") {
            return Err(Refused { status, output: output.text() });
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok((child, endpoint, output))
}

fn ended(child: &mut Child) -> Option<ExitStatus> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("the server is our child") {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    None
}

/// What the process wrote so far. Guards a text that two reading threads append whole lines to.
#[derive(Clone, Debug, Default)]
struct Output(Arc<Mutex<String>>);

impl Output {
    fn text(&self) -> String {
        self.0.lock().expect("no reader panics while it appends").clone()
    }

    /// Collects one stream, and sends the first endpoint found in it.
    fn follow(
        &self,
        stream: impl Read + Send + 'static,
        found: mpsc::Sender<Endpoint>,
    ) -> thread::JoinHandle<()> {
        let output = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if let Some(endpoint) = endpoint_in(&line) {
                    // Nobody listens any more once the first one is known.
                    let _ = found.send(endpoint);
                }
                let mut text = output.0.lock().expect("no reader panics while it appends");
                writeln!(text, "{line}").expect("a string takes any text");
            }
        })
    }
}

/// The endpoint in the banner's line, `listening http://127.0.0.1:PORT`, or `https` instead. Other lines
/// may name addresses of others.
fn endpoint_in(line: &str) -> Option<Endpoint> {
    let line = line.trim_start().strip_prefix("listening")?;
    let (before, rest) = line.split_once("://127.0.0.1:")?;
    let scheme = ["https", "http"].into_iter().find(|scheme| before.ends_with(scheme))?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Endpoint { scheme, address: ([127, 0, 0, 1], digits.parse().ok()?).into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_found_in_a_banner() {
        let found = |line| endpoint_in(line).map(|found| (found.scheme, found.address.port()));
        assert_eq!(found("  listening   http://127.0.0.1:9324"), Some(("http", 9324)));
        assert_eq!(found("  listening   https://127.0.0.1:1"), Some(("https", 1)));
        assert_eq!(found("  listening   http://[::1]:9324"), None);
        assert_eq!(found("cannot fetch https://127.0.0.1:1/keys"), None);
        assert_eq!(found("listening"), None);
    }
}
