//! A whole server but its process: what the configuration says is put together, served, and taken down
//! in order. The program stands on it, and a test that wants a server of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::api::call::App;
use crate::api::server;
use crate::api::tls::Tls;
use crate::audit::{Audit, Sink};
use crate::auth::stored::save_last_used;
use crate::config::{Config, Durability};
use crate::env::SystemClock;
use crate::shard::free_space::FreeSpaceOptions;
use crate::shard::handle::Shards;
use crate::shard::start::{DurabilityLevel, Failure, StartOptions};
use crate::store::Store;
use crate::store::memory::MemoryStore;
#[cfg(feature = "rocksdb")]
use crate::store::rocks::RocksOptions;

/// A server that listens; whoever connects waits until it [serves](Instance::serve).
pub struct Instance {
    app: Arc<App>,
    listeners: Vec<TcpListener>,
    tls: Option<Arc<Tls>>,
    failure: Failure,
    stop: CancellationToken,
}

impl Instance {
    /// Puts a server together, its shards at work and its declared queues there. An error is a
    /// sentence for the operator, and nothing is left of the server.
    pub async fn start(config: &Config) -> Result<Instance, String> {
        // Before the store: a port that is taken is found out without touching anything.
        let listeners = listen(config)?;
        let sink = Sink::open(&config.audit)?;
        let tls = config.transport.tls().map(Tls::load).transpose()?;
        let (shards, failure) = start_shards(config)?;
        let app = App::new(config, shards);
        let stop = CancellationToken::new();
        let instance = Instance { app, listeners, tls, failure, stop };
        match instance.prepare(config, sink).await {
            Ok(()) => Ok(instance),
            Err(why) => {
                instance.stop.cancel();
                instance.app.shards.stop().await;
                Err(why)
            }
        }
    }

    async fn prepare(&self, config: &Config, sink: Option<Sink>) -> Result<(), String> {
        let app = &self.app;
        if let Some(sink) = sink {
            let (data_actions, lost) =
                (config.audit.audit_data_actions, app.metrics.audit_lines_lost());
            let audit = Audit::start(sink, data_actions, lost);
            let audit = audit.map_err(|error| format!("cannot start a thread: {error}"))?;
            // There is none yet.
            let _ = app.audit.set(audit);
        }
        app.bring_about_declared().await?;
        app.issuers.start(&self.stop).await
    }

    /// Where it listens, in the order of the configuration.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// The engine room.
    pub fn shards(&self) -> &Shards {
        &self.app.shards
    }

    /// Tells when the server can no longer be trusted, and has to be stopped.
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Ends [`Instance::serve`] when it is cancelled.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Serves until it is told to stop; then finishes or refuses what is in progress, and returns when
    /// everything is on the disk.
    pub async fn serve(self) {
        let Instance { app, listeners, tls, stop, .. } = self;
        let served = CancellationToken::new();
        let uses = tokio::spawn(save_last_used(app.shards.clone(), served.clone()));
        server::serve(listeners, app.clone(), tls, stop).await;
        served.cancel();
        // Its last word must reach the shards before they stop. It does not panic.
        let _ = uses.await;
        app.shards.stop().await;
        if let Some(audit) = app.audit.get() {
            audit.close().await;
        }
    }
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

fn start_shards(config: &Config) -> Result<(Shards, Failure), String> {
    let Opened { store, free_space, checkpoints } = match config.durability {
        Durability::Memory => {
            Opened { store: Arc::new(MemoryStore::new()), free_space: None, checkpoints: None }
        }
        Durability::Fsync | Durability::Os => on_disk::open(config)?,
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

/// How RocksDB is used, as configured.
#[cfg(feature = "rocksdb")]
pub fn rocks_options(config: &Config) -> RocksOptions {
    RocksOptions {
        memory_bytes: config.cache_memory,
        sync: config.durability == Durability::Fsync,
        ..RocksOptions::default()
    }
}

/// A store, and what there is to know about its folder.
struct Opened {
    store: Arc<dyn Store>,
    free_space: Option<FreeSpaceOptions>,
    checkpoints: Option<std::path::PathBuf>,
}

#[cfg(feature = "rocksdb")]
mod on_disk {
    use std::sync::Arc;

    use super::{Opened, rocks_options};
    use crate::config::{Config, FreeSpaceMark};
    use crate::shard::free_space::FreeSpaceOptions;
    use crate::store::rocks::RocksStore;

    pub(super) fn open(config: &Config) -> Result<Opened, String> {
        let store = RocksStore::open(&config.data, &rocks_options(config))
            .map_err(|error| error.to_string())?;
        let mark_bytes = match config.free_space_mark {
            FreeSpaceMark::Auto => None,
            FreeSpaceMark::Bytes(bytes) => Some(bytes),
        };
        let free_space = FreeSpaceOptions { path: store.path().to_owned(), mark_bytes };
        let checkpoints = std::path::absolute(store.path().join("checkpoints"))
            .map_err(|error| format!("where are we? {error}"))?;
        Ok(Opened {
            store: Arc::new(store),
            free_space: Some(free_space),
            checkpoints: Some(checkpoints),
        })
    }
}

#[cfg(not(feature = "rocksdb"))]
mod on_disk {
    use super::Opened;
    use crate::config::Config;

    pub(super) fn open(_: &Config) -> Result<Opened, String> {
        Err("this build keeps everything in memory: it needs --durability memory".into())
    }
}
