//! A server as a child process: started on a free port, asked whether it is ready, weighed through
//! `/proc` and `/metrics`, stopped or killed. It never outlives its [`Server`].

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, setrlimit};
use tokio::sync::oneshot;

use crate::http::Connection;

/// How long a server may take from its start until it is ready.
const READY_PATIENCE: Duration = Duration::from_secs(120);

/// How long a server may take from SIGTERM to its end.
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// Time between two looks at something that has no event to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Seconds in a clock tick of `/proc/<pid>/stat`: always 1/100 on Linux.
const TICK_S: f64 = 0.01;

/// What to run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; they make it print a line with `http://<address>` to stdout.
    pub arguments: Vec<String>,
    /// The file that gets its stderr.
    pub log: PathBuf,
}

impl Launch {
    /// `stanchiond` on a data folder and a free port, with more arguments behind.
    pub fn stanchiond(program: &Path, data: &Path, more: &[&str]) -> Launch {
        let mut arguments = vec!["--data".into(), data.display().to_string()];
        arguments.extend(["--listen".into(), "127.0.0.1:0".into()]);
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        Launch { program: program.into(), arguments, log: data.with_extension("log") }
    }

    /// A floor (`null` or `log`) that keeps its log in a folder.
    pub fn floor(program: &Path, kind: &str, data: &Path) -> Launch {
        let arguments = vec![kind.into(), "--data".into(), data.display().to_string()];
        Launch { program: program.into(), arguments, log: data.with_extension("log") }
    }
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    address: SocketAddr,
    ready_after: Duration,
}

impl Server {
    /// Starts a server and waits until `GET /ready` is 200.
    ///
    /// Fails, quoting the end of its log, when it ends or takes longer than two minutes.
    pub async fn start(launch: &Launch) -> io::Result<Server> {
        let started = Instant::now();
        let mut child = Command::new(&launch.program)
            .args(&launch.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&launch.log)?)
            .spawn()
            .map_err(|error| {
                let program = launch.program.display();
                io::Error::new(error.kind(), format!("{program} does not start: {error}"))
            })?;
        let stdout = child.stdout.take().expect("stdout is piped");
        // From here on the child is killed on every way out.
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server { child, address: nowhere, ready_after: Duration::ZERO };
        let ready = async {
            server.address = banner_address(stdout).await?;
            while !server.is_ready().await {
                if let Some(status) = server.child.try_wait()? {
                    return Err(io::Error::other(format!("it ended with {status}")));
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Ok(())
        };
        let outcome = tokio::time::timeout(READY_PATIENCE, ready).await;
        outcome.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| {
            let (program, log) = (launch.program.display(), tail(&launch.log));
            io::Error::other(format!("{program} is not ready: {error}\n{log}"))
        })?;
        server.ready_after = started.elapsed();
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From its start to the first 200 of `GET /ready`.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// SIGKILL, now.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// SIGTERM; returns how long it took to end. Fails unless it ends with code 0 in time.
    pub async fn stop(&mut self) -> io::Result<Duration> {
        let started = Instant::now();
        kill_process(self.pid()?, Signal::TERM)?;
        while started.elapsed() < STOP_PATIENCE {
            match self.child.try_wait()? {
                Some(status) if status.success() => return Ok(started.elapsed()),
                Some(status) => {
                    return Err(io::Error::other(format!("SIGTERM ended it with {status}")));
                }
                None => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "it did not end after SIGTERM"))
    }

    /// What it has used since its start.
    pub fn usage(&self) -> io::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// `GET /metrics`, summed over labels; empty when the server has none.
    pub async fn metrics(&self) -> Metrics {
        match self.get("/metrics").await {
            Ok(text) => Metrics::parse(&text),
            Err(_) => Metrics::default(),
        }
    }

    fn pid(&self) -> io::Result<Pid> {
        Pid::from_raw(self.child.id() as i32).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    async fn is_ready(&self) -> bool {
        self.get("/ready").await.is_ok()
    }

    async fn get(&self, path: &str) -> io::Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        let exchange = async {
            let mut connection = Connection::open(self.address).await?;
            let response = connection.call(request.as_bytes()).await?;
            match response.status {
                200 => Ok(String::from_utf8_lossy(response.body).into_owned()),
                status => Err(io::Error::other(format!("{path} was answered {status}"))),
            }
        };
        tokio::time::timeout(Duration::from_secs(5), exchange).await?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the line with `http://<address>`, and keeps reading afterwards so that the pipe never
/// fills.
async fn banner_address(stdout: impl io::Read + Send + 'static) -> io::Result<SocketAddr> {
    let (found, address) = oneshot::channel();
    std::thread::spawn(move || {
        let mut found = Some(found);
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let (Some(address), true) = (address_in(&line), found.is_some()) {
                let _ = found.take().map(|found| found.send(address));
            }
        }
    });
    address.await.map_err(|_| io::Error::other("it printed no address"))
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || ".:[]".contains(c)));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// The last lines of a server's log.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// What a process has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time of all its threads, in seconds.
    pub cpu_s: f64,
    /// Context switches of its living threads.
    pub switches: u64,
    /// Resident bytes now.
    pub resident_bytes: u64,
    /// Resident bytes at the worst moment.
    pub resident_bytes_max: u64,
    /// Bytes it caused to be written to the device.
    pub written_bytes: u64,
}

impl Usage {
    /// What this process has used.
    pub fn own() -> io::Result<Usage> {
        Usage::of(std::process::id())
    }

    /// What a process has used that is still there.
    pub fn of(pid: u32) -> io::Result<Usage> {
        let folder = PathBuf::from(format!("/proc/{pid}"));
        let status = fs::read_to_string(folder.join("status"))?;
        let mut switches = 0;
        for task in fs::read_dir(folder.join("task"))? {
            // A thread may end while we look.
            let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            switches += field(&status, "voluntary_ctxt_switches");
            switches += field(&status, "nonvoluntary_ctxt_switches");
        }
        Ok(Usage {
            cpu_s: cpu_s(&fs::read_to_string(folder.join("stat"))?),
            switches,
            resident_bytes: field(&status, "VmRSS") * 1024,
            resident_bytes_max: field(&status, "VmHWM") * 1024,
            written_bytes: field(&fs::read_to_string(folder.join("io"))?, "write_bytes"),
        })
    }
}

/// The number behind `name:` in the text of a file in `/proc`; zero when there is none.
fn field(text: &str, name: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// User plus system time in `/proc/<pid>/stat`: the 12th and 13th field after the name, which ends
/// at the last parenthesis.
fn cpu_s(stat: &str) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() * TICK_S
}

/// The metrics read from a server. A floor has those that make sense for it, under the same names.
pub mod metric {
    /// Turns of all shards that wrote something.
    pub const TURNS: &str = "stanchion_turns_total";
    /// Commands applied in these turns.
    pub const TURN_COMMANDS: &str = "stanchion_turn_commands_sum";
    /// Syncs of the log.
    pub const SYNCS: &str = "stanchion_syncs_total";
    /// Long polls that wait.
    pub const PARKED_POLLS: &str = "stanchion_parked_polls";
    /// Keys read from the store, by `get` and by scans.
    pub const KEYS_READ: &str = "stanchion_store_keys_read_total";
    /// Tombstones that scans stepped over.
    pub const TOMBSTONES: &str = "stanchion_store_tombstones_skipped_total";
}

/// A reading of `/metrics`.
#[derive(Debug, Clone, Default)]
pub struct Metrics(HashMap<String, f64>);

impl Metrics {
    fn parse(text: &str) -> Metrics {
        let mut sums = HashMap::new();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let name = series.split('{').next().unwrap_or(series);
            *sums.entry(name.to_owned()).or_insert(0.0) += value.parse().unwrap_or(0.0);
        }
        Metrics(sums)
    }

    /// What a metric says, over all its labels; `None` if the server does not have it.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// How much a counter grew since an earlier reading; `None` when the server does not have it.
    pub fn since(&self, earlier: &Metrics, name: &str) -> Option<f64> {
        Some(self.get(name)? - earlier.get(name).unwrap_or(0.0))
    }
}

/// Raises the soft limit on open files to the hard one; returns it.
pub fn raise_open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(_) => limit.current.unwrap_or(u64::MAX),
    }
}

/// Bytes on the disk under a folder. Files that vanish meanwhile count nothing.
pub fn folder_bytes(folder: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.blocks() * 512,
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(size).sum()
}

/// Bytes free for us on the disk of a folder.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail * disk.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_a_banner() {
        let address = Some(([127, 0, 0, 1], 4711).into());
        assert_eq!(address_in("  listening on http://127.0.0.1:4711 (durability fsync)"), address);
        assert_eq!(address_in("http://127.0.0.1:4711/"), address);
        assert_eq!(address_in("address http://[::1]:80,"), "[::1]:80".parse().ok());
        assert_eq!(address_in("no address here"), None);
    }

    #[test]
    fn proc_is_read() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 4 0 1 2 3";
        assert_eq!(cpu_s(stat), 3.0);
        assert_eq!(field("VmHWM:\t  12 kB\nVmRSS:\t  8 kB\n", "VmRSS"), 8);
        assert!(0 < Usage::of(std::process::id()).unwrap().resident_bytes);
    }

    #[test]
    fn metrics_are_summed_over_labels() {
        let text = "# TYPE a counter\na_total{shard=\"0\"} 2\na_total{shard=\"1\"} 3\nb 1.5\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.since(&Metrics::default(), "a_total"), Some(5.0));
        assert_eq!(metrics.since(&metrics, "b"), Some(0.0));
        assert_eq!(metrics.since(&metrics, "c"), None);
    }
}
