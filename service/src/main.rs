//! `stanchiond`: reads the configuration, opens the store, starts the shards, serves until it is told
//! to stop.

mod offline;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::available_parallelism;

use stanchion_service::api::call::App;
use stanchion_service::api::server;
use stanchion_service::api::tls::Tls;
use stanchion_service::audit::{Audit, Sink};
use stanchion_service::auth::stored::save_last_used;
use stanchion_service::config::auth::AuthMode;
use stanchion_service::config::{
    CommandLine, Config, ConfigError, Durability, FreeSpaceMark, LogFormat, LogLevel, Task,
};
use stanchion_service::env::SystemClock;
use stanchion_service::shard::free_space::FreeSpaceOptions;
use stanchion_service::shard::handle::Shards;
use stanchion_service::shard::start::{DurabilityLevel, Failure, StartOptions};
use stanchion_service::store::Store;
use stanchion_service::store::memory::MemoryStore;
use stanchion_service::store::rocks::{RocksOptions, RocksStore};
use tokio::net::TcpListener;
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
        // Before the store: a port that is taken is found out without touching anything.
        let listeners = listen(config)?;
        let audit = Sink::open(&config.audit)?;
        let tls = config.transport.tls().map(Tls::load).transpose()?;
        let (shards, failure) = start_shards(config)?;
        let app = App::new(config, shards.clone());
        if let Some(sink) = audit {
            let (data_actions, lost) =
                (config.audit.audit_data_actions, app.metrics.audit_lines_lost());
            let audit = Audit::start(sink, data_actions, lost);
            let audit = audit.map_err(|error| format!("cannot start a thread: {error}"))?;
            // There is none yet.
            let _ = app.audit.set(audit);
        }
        if let Err(why) = app.bring_about_declared().await {
            shards.stop().await;
            return Err(why);
        }
        let stop = CancellationToken::new();
        if let Err(why) = app.issuers.start(&stop).await {
            shards.stop().await;
            return Err(why);
        }
        greet(config, &listeners)?;

        let failed = tokio::spawn(wait_for_the_end(failure, stop.clone()));
        let served = CancellationToken::new();
        let uses = tokio::spawn(save_last_used(shards.clone(), served.clone()));
        server::serve(listeners, app.clone(), tls, stop).await;
        served.cancel();
        // Its last word must reach the shards before they stop. It does not panic.
        let _ = uses.await;
        shards.stop().await;
        if let Some(audit) = app.audit.get() {
            audit.close().await;
        }
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

fn listen(config: &Config) -> Result<Vec<TcpListener>, String> {
    let listen = |address: &SocketAddr| {
        server::listen(*address).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => {
                format!("cannot listen on {address}: another program does already")
            }
            _ => format!("cannot listen on {address}: {error}"),
        })
    };
    config.listen.iter().map(listen).collect()
}

fn rocks_options(config: &Config) -> RocksOptions {
    RocksOptions {
        memory_bytes: config.cache_memory,
        sync: config.durability == Durability::Fsync,
        ..RocksOptions::default()
    }
}

fn start_shards(config: &Config) -> Result<(Shards, Failure), String> {
    let (store, free_space, checkpoints): (Arc<dyn Store>, _, _) = match config.durability {
        Durability::Memory => (Arc::new(MemoryStore::new()), None, None),
        Durability::Fsync | Durability::Os => {
            let store = RocksStore::open(&config.data, &rocks_options(config))
                .map_err(|error| error.to_string())?;
            let mark_bytes = match config.free_space_mark {
                FreeSpaceMark::Auto => None,
                FreeSpaceMark::Bytes(bytes) => Some(bytes),
            };
            let free_space = FreeSpaceOptions { path: store.path().to_owned(), mark_bytes };
            let checkpoints = std::path::absolute(store.path().join("checkpoints"))
                .map_err(|error| format!("where are we? {error}"))?;
            (Arc::new(store), Some(free_space), Some(checkpoints))
        }
    };
    // The folder is there by now, and ours.
    let folder = (config.durability != Durability::Memory).then_some(&*config.data);
    let keyring = config.at_rest.keyring(folder)?;
    let options = StartOptions {
        shards: config.shards,
        durability: match config.durability {
            Durability::Fsync => DurabilityLevel::Fsync,
            Durability::Os => DurabilityLevel::Os,
            Durability::Memory => DurabilityLevel::Memory,
        },
        accept_clock: config.accept_clock,
        virtual_clock: config.virtual_clock,
        sixty_second_rules: config.limits().sixty_second_rules,
        in_flight_max: config.limits().in_flight_max,
        window_bytes_max: config.read_ahead_memory,
        requests_max: config.max_requests_in_flight,
        parked_polls_max: config.max_parked_polls,
        free_space,
        checkpoints,
        keyring: Arc::new(keyring),
        ..StartOptions::new(store, Arc::new(SystemClock))
    };
    Shards::start(options).map_err(|error| error.to_string())
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
fn greet(config: &Config, listeners: &[TcpListener]) -> Result<(), String> {
    let mut text = format!("stanchiond {}\n", env!("CARGO_PKG_VERSION"));
    let mut line = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "  {name:<12}{value}");
    };
    let tls = config.transport.tls();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let mut endpoint = None;
    for listener in listeners {
        let address = listener.local_addr().map_err(|error| error.to_string())?;
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
    Ok(())
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
