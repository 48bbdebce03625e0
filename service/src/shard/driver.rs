//! The thread of a shard: takes what has gathered in the mailbox, makes a turn of it, and sleeps
//! until there is more or a deadline comes.

use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError};
use std::thread::JoinHandle;

use super::core::{ShardCore, Wake};
use super::reclaim::Compaction;
use super::request::Request;
use crate::store::{Store, StoreError};

/// Requests one turn takes at most.
const TURN_REQUESTS_MAX: usize = 1_024;

/// What a shard's thread works with, beside its core.
pub(super) struct Driver {
    pub(super) mailbox: Receiver<Request>,
    /// The mailboxes of all shards, its own among them.
    pub(super) shards: Vec<SyncSender<Request>>,
    pub(super) compactor: SyncSender<Compaction>,
    pub(super) stopping: Arc<AtomicBool>,
}

impl Driver {
    /// Starts the thread. `failed` hears why, should it end before it is told to.
    pub(super) fn spawn(
        self,
        name: String,
        core: ShardCore,
        failed: impl FnOnce(String) + Send + 'static,
    ) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name(name).spawn(move || {
            // Whatever happens, core and mailbox are dropped before the failure is told, and with
            // them every reply: whoever waits for one learns that there is none.
            let ended = catch_unwind(AssertUnwindSafe(move || self.run(core)));
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => failed(error.to_string()),
                Err(panic) => failed(format!("panic: {}", text_of(&*panic))),
            }
        })
    }

    fn run(self, mut core: ShardCore) -> Result<(), StoreError> {
        while !self.stopping.load(Ordering::Acquire) {
            let Some(requests) = self.gather(core.wake()) else { return Ok(()) };
            core.step(requests)?;
            let mut full = BTreeSet::new();
            for (shard, keys) in core.take_hints() {
                // What is behind something that did not fit waits with it.
                if full.contains(&shard) {
                    core.hint_again(shard, keys);
                    continue;
                }
                // Never waits: two shards that wait for each other wait for ever. And a shard that
                // is gone takes the process with it.
                let told = self.shards[shard].try_send(Request::Arrivals(keys));
                if let Err(TrySendError::Full(Request::Arrivals(keys))) = told {
                    full.insert(shard);
                    core.hint_again(shard, keys);
                }
            }
            if let Some(compaction) = core.take_compaction()
                && let Err(TrySendError::Full(compaction)) = self.compactor.try_send(compaction)
            {
                core.compact_later(compaction);
            }
        }
        Ok(())
    }

    /// What has arrived, at most a turn's worth; waits for it as long as there is nothing else to
    /// do. `None` when nobody is left who could ask.
    fn gather(&self, wake: Wake) -> Option<Vec<Request>> {
        let first = match wake {
            Wake::Never => Some(self.mailbox.recv().ok()?),
            Wake::In(span) => match self.mailbox.recv_timeout(span) {
                Ok(request) => Some(request),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return None,
            },
            Wake::Now => match self.mailbox.try_recv() {
                Ok(request) => Some(request),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => return None,
            },
        };
        // Whoever is about to ask may do so first: a fuller turn shares its sync with more.
        std::thread::yield_now();
        let rest = self.mailbox.try_iter();
        Some(first.into_iter().chain(rest).take(TURN_REQUESTS_MAX).collect())
    }
}

/// Starts the thread that gives space back to the disk: seconds of work that no shard may wait for.
/// Ends when every shard has let go of its end, or after the present range when it is told to.
pub(super) fn spawn_compactor(
    store: Arc<dyn Store>,
    compactions: Receiver<Compaction>,
    stopping: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("compactor".into()).spawn(move || {
        for compaction in compactions {
            if stopping.load(Ordering::Acquire) {
                return;
            }
            if let Err(error) = compact(&*store, &compaction, &stopping) {
                // A hint nobody depends on; if the disk is in trouble, a commit will tell.
                tracing::warn!(%error, "could not give space back to the disk");
            }
        }
    })
}

fn compact(
    store: &dyn Store,
    compaction: &Compaction,
    stopping: &AtomicBool,
) -> Result<(), StoreError> {
    for range in &compaction.dead {
        store.drop_dead(&range.from, &range.to)?;
    }
    for range in compaction.dead.iter().chain(&compaction.mixed) {
        if stopping.load(Ordering::Acquire) {
            return Ok(());
        }
        store.compact(&range.from, &range.to)?;
    }
    Ok(())
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "no message",
    }
}
