//! What tells a running worker to pause, to go on and to end.

use std::sync::Arc;

use tokio::sync::watch;

use super::WorkerMetrics;

/// A hold on a [`Worker`](super::Worker) while it runs. Cheap to clone.
#[derive(Clone, Debug)]
pub struct WorkerHandle {
    pub(super) wish: Arc<watch::Sender<Wish>>,
    pub(super) metrics: Arc<WorkerMetrics>,
}

/// What is wished for at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) is_paused: bool,
    pub(super) stop: Stop,
}

/// How soon the worker is to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    #[default]
    Not,
    Drained,
    Now,
}

impl WorkerHandle {
    /// Receives no more, hands back what no handler has begun with, and lets handlers finish. The
    /// worker ends when all is settled, or with [`stop_now`](Self::stop_now) after its drain timeout.
    pub fn stop(&self) {
        self.wish.send_modify(|wish| wish.stop = wish.stop.max(Stop::Drained));
    }

    /// The same, but handlers are dropped at their next await, and their messages handed back. The
    /// worker ends after its stop timeout at the latest.
    pub fn stop_now(&self) {
        self.wish.send_modify(|wish| wish.stop = Stop::Now);
    }

    /// The first call is [`stop`](Self::stop), the second [`stop_now`](Self::stop_now): what signals
    /// do.
    pub fn stop_harder(&self) {
        self.wish.send_modify(|wish| {
            wish.stop = match wish.stop {
                Stop::Not => Stop::Drained,
                Stop::Drained | Stop::Now => Stop::Now,
            }
        });
    }

    /// Receives no more, and hands back what no handler has begun with. Handlers go on.
    pub fn pause(&self) {
        self.wish.send_modify(|wish| wish.is_paused = true);
    }

    /// Receives again.
    pub fn resume(&self) {
        self.wish.send_modify(|wish| wish.is_paused = false);
    }

    /// The worker's figures.
    pub fn metrics(&self) -> &Arc<WorkerMetrics> {
        &self.metrics
    }
}
