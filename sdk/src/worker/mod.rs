//! Runs a handler for the messages of queues, with as much of it at once as there is room for, and
//! settles each message as the handler says. Nothing is deleted whose handler did not say so.
//!
//! ```no_run
//! use stanchion_sdk::{Client, worker::{BoxError, Delivery, Worker}};
//!
//! async fn handle(delivery: Delivery) -> Result<(), BoxError> {
//!     println!("{}", delivery.message.body);
//!     Ok(())
//! }
//!
//! # async fn run() -> Result<(), BoxError> {
//! let client = Client::builder().endpoint("http://127.0.0.1:9324").unsigned().build()?;
//! // Until SIGTERM or SIGINT.
//! Worker::builder(client).queue("orders").concurrency(16).handler(handle).run().await?;
//! # Ok(())
//! # }
//! ```
//!
//! `docs/sdk-worker.md` says how it behaves and what to set. The rules are in `core`, a state machine
//! that knows no client and no clock; `run.rs` carries out what it says.

mod backoff;
mod builder;
mod calls;
mod core;
mod delivery;
mod handle;
mod handler;
pub mod layers;
mod metrics;
mod outcome;
mod run;
mod signals;

use std::{convert::Infallible, fmt, sync::Arc};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use backoff::Backoff;
pub use builder::{BuildError, FnHandler, NoHandler, Source, WorkerBuilder};
pub use delivery::{Delivery, Work};
pub use handle::WorkerHandle;
pub use handler::{Many, One, Serve};
pub use metrics::{Counter, Gauge, Histogram, WorkerMetrics};
pub use outcome::{BoxError, Outcome, Permanent};

use crate::Client;
use builder::Policy;
use handle::Wish;

/// Takes messages from queues and handles them.
pub struct Worker {
    client: Client,
    urls: Vec<Arc<str>>,
    handler: Box<dyn Serve>,
    core: core::Core,
    settings: core::Settings,
    policy: Policy,
    stop_on: CancellationToken,
    wish: Arc<watch::Sender<Wish>>,
    metrics: Arc<WorkerMetrics>,
}

/// How a worker ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Messages that were not settled when the last deadline came. They come again when their
    /// visibility timeouts end.
    pub abandoned: usize,
}

impl Worker {
    /// How to make one.
    pub fn builder(client: Client) -> WorkerBuilder<NoHandler> {
        WorkerBuilder::new(client)
    }

    /// What stops it, pauses it and shows its figures.
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle { wish: self.wish.clone(), metrics: self.metrics.clone() }
    }

    /// Works until its handle, or the token it was given, says to stop. To drop the future is to end
    /// without any of the care that a stop takes: what was held comes again after its visibility
    /// timeout.
    pub async fn run(self) -> Drained {
        let wish = self.wish.clone();
        let stop_on = self.stop_on.clone();
        run::Driver::new(self).run(wish.subscribe(), stop_on).await
    }

    /// Works until SIGTERM or SIGINT (elsewhere than on Unix Ctrl-C): the first drains, the second
    /// stops now.
    pub async fn run_until_signal(self) -> Drained {
        let handle = self.handle();
        let signals = async move {
            // Listened to from one to the next, so that none between them is missed.
            let mut signals = signals::Signals::new()?;
            loop {
                signals.next().await?;
                handle.stop_harder();
            }
        };
        let deaf = async move {
            let Err(error): Result<Infallible, std::io::Error> = signals.await;
            tracing::error!(%error, "signals cannot be heard: only the handle stops this worker");
            std::future::pending().await
        };
        tokio::select! {
            drained = self.run() => drained,
            drained = deaf => drained,
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("queues", &self.urls).finish_non_exhaustive()
    }
}
