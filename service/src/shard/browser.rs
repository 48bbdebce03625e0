//! The thread that reads rows for people who look into queues. One, and of low priority: however
//! much they look, it takes what the shards leave.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::error::Error;

/// Walks that may wait for the thread.
const JOBS_MAX: usize = 64;

/// How nice the thread is to others: while they are busy it gets about a tenth of what they get.
const NICENESS: i32 = 10;

type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread.
pub(super) struct Browser {
    /// Guards nothing but the way itself, which ends with the server.
    jobs: Mutex<Option<SyncSender<Job>>>,
}

impl Browser {
    /// Starts the thread; it ends when the browser is stopped or dropped.
    pub(super) fn start() -> io::Result<(Browser, JoinHandle<()>)> {
        let (sender, jobs) = sync_channel::<Job>(JOBS_MAX);
        let thread = std::thread::Builder::new().name("browser".into()).spawn(move || {
            // On Linux this means the calling thread alone. Where it is not allowed, all are equal.
            if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                tracing::debug!(%error, "the browser keeps its priority");
            }
            for job in jobs {
                // Whoever waits for the outcome of a panic learns that there is none.
                drop(catch_unwind(AssertUnwindSafe(job)));
            }
        })?;
        Ok((Browser { jobs: Mutex::new(Some(sender)) }, thread))
    }

    /// Does some work there: milliseconds of it, because others wait.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, outcome) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Nobody needs the outcome of what nobody waits for.
            if !reply.is_closed() {
                drop(reply.send(work()));
            }
        });
        let sent = match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.try_send(job),
            None => Err(TrySendError::Disconnected(job)),
        };
        match sent {
            Ok(()) => outcome.await.map_err(|_| Error::Internal("the browser panicked".into())),
            Err(TrySendError::Full(_)) => {
                Err(Error::ServiceUnavailable("Too many are looking into queues.".into()))
            }
            Err(TrySendError::Disconnected(_)) => {
                Err(Error::ServiceUnavailable("The server is shutting down.".into()))
            }
        }
    }

    /// Lets the thread end after what it has to do.
    pub(super) fn stop(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
