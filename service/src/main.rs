//! `stanchiond`: reads the configuration, opens the store, starts the shards, serves until it is told
//! to stop.

mod offline;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::thread::available_parallelism;

use stanchion_service::api::server;
use stanchion_service::config::auth::AuthMode;
use stanchion_service::config::{
    CommandLine, Config, ConfigError, Durability, LogFormat, LogLevel, Task,
};
use stanchion_service::instance::Instance;
use stanchion_service::shard::start::Failure;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Messages are allocated by the tasks of requests and freed by a shard's thread: an allocator that is
/// quick at that. Measured with batches of ten: see `benches/RESULTS.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The exit code of a configuration that is refused; everything else that goes wrong is 1.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    let line = match CommandLine::load(std::env::args_os(), |name| std::env::var(name).ok()) {
        Ok(line) => line,
        // Help and version come this way too.
        Err(ConfigError::Clap { error, .. }) if !error.use_stderr() => error.exit(),
        Err(error) => return fail(BAD_CONFIGURATION, &error),
    };
    log_to_stderr(&line.config);
    // The allocator asks for huge pages, which keeps memory resident that is spoken for and not
    // used: 12 KiB of every idle connection. Where the kernel knows no such switch, nothing is lost.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let done = match line.task {
        None => serve(&line.config),
        Some(Task::Repair { accept_loss }) => offline::repair(&line.config, accept_loss),
        Some(Task::Restore { from }) => offline::restore(&line.config, &from),
        Some(Task::Verify) => offline::verify(&line.config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

/// Says what is wrong, for whoever started the program.
fn fail(code: u8, error: &dyn std::fmt::Display) -> ExitCode {
    let text = error.to_string();
    // Clap's errors say so themselves.
    let prefix = if text.starts_with("error:") { "" } else { "error: " };
    // Where nobody reads standard error, the exit code has to do.
    let _ = writeln!(io::stderr(), "{prefix}{}", text.trim_end());
    ExitCode::from(code)
}

fn serve(config: &Config) -> Result<(), String> {
    server::raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers(config))
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start threads: {error}"))?;
    runtime.block_on(async {
        let instance = Instance::start(config).await?;
        let addresses = instance.addresses().map_err(|error| error.to_string())?;
        greet(config, &addresses);
        let failed = tokio::spawn(wait_for_the_end(instance.failure(), instance.stop()));
        instance.serve().await;
        match failed.await {
            Ok(None) => Ok(()),
            Ok(Some(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    })
}

/// As many threads as the shards leave processors.
fn workers(config: &Config) -> usize {
    let processors = available_parallelism().map_or(1, usize::from);
    config.workers.unwrap_or(processors.saturating_sub(config.shards).max(1))
}

/// Waits for a signal or for a shard to fail, and has everything else stop. Returns why a shard
/// failed, if that is why. A second signal does not wait for anything.
async fn wait_for_the_end(mut failure: Failure, stop: CancellationToken) -> Option<String> {
    let signals = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt)] = signals else {
        stop.cancel();
        return Some("cannot listen for signals".into());
    };
    let why = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        Ok(why) = failure.wait_for(Option::is_some) => why.clone(),
    };
    tracing::info!("stopping");
    stop.cancel();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("stopping at once");
        std::process::exit(1);
    });
    why
}

/// The banner: where the server is, and what it promises.
fn greet(config: &Config, addresses: &[SocketAddr]) {
    let mut text = format!("stanchiond {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<12}{value}");
    };
    let tls = config.transport.tls();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = None;
    for address in addresses {
        let url = format!("{scheme}://{address}");
        line("listening", &url);
        endpoint.get_or_insert(url);
    }
    if let Some(tls) = tls {
        let clients = if tls.client_ca.is_some() { ", clients show certificates" } else { "" };
        line("tls", &format!("certificate {}{clients}", tls.certificate.display()));
    }
    match config.durability {
        Durability::Memory => line("data", "in memory: nothing survives the end of the process"),
        _ => line("data", &config.data.display().to_string()),
    }
    line(
        "durability",
        match config.durability {
            Durability::Fsync => "fsync: what is answered survives a power cut",
            Durability::Os => {
                "os: what is answered survives a crash of the server, not a power cut"
            }
            Durability::Memory => "memory",
        },
    );
    line(
        "messages",
        match config.at_rest.has_keys() {
            true => "encrypted, but where a queue is set otherwise",
            false => "stored as they come: there are no master keys",
        },
    );
    line("limits", config.limits().name);
    line(
        "auth",
        match config.auth.mode() {
            AuthMode::Sigv4 => "sigv4: every request must be signed",
            AuthMode::Off => "off: whoever reaches this address may do everything",
        },
    );
    line("account", config.account.as_str());
    line("region", config.region.as_str());
    if config.virtual_clock {
        line("clock", "virtual: moves ahead when told to");
    }
    let endpoint = config.public_url.as_ref().or(endpoint.as_ref()).map_or("", String::as_str);
    line("try", &format!("aws --endpoint-url {endpoint} sqs create-queue --queue-name hello"));
    // The server works as well when nobody reads its greeting.
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

fn log_to_stderr(config: &Config) {
    let level = match config.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // Libraries have little to say that helps: their warnings.
    let ours = Targets::new()
        .with_default(LevelFilter::WARN.min(level))
        .with_target("stanchion_service", level)
        .with_target("stanchiond", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    let registry = tracing_subscriber::registry().with(ours);
    match config.log_format {
        LogFormat::Text => {
            registry.with(lines.with_ansi(io::stderr().is_terminal())).init();
        }
        LogFormat::Json => registry.with(lines.json()).init(),
    }
}
