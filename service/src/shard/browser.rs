//! The thread that reads rows for people who look into queues. One, of low priority, and while
//! others work it rests between two looks: however much people look, those who send and receive do
//! not feel it.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::engine_time::EngineTime;
use crate::error::Error;

/// Walks that may wait for the thread.
const JOBS_MAX: usize = 64;

/// How nice the thread is to others: while they are busy it gets about a tenth of what they get.
const NICENESS: i32 = 10;

/// How long the thread rests, in times of the work before: what is spent on a look elsewhere, on
/// its connection, is as rare then.
const REST: u32 = 9;

/// A long look was interrupted often enough.
const REST_MAX: Duration = Duration::from_millis(2);

type Job = Box<dyn FnOnce() + Send>;

/// The way to the thread.
pub(super) struct Browser {
    /// Guards nothing but the way itself, which ends with the server.
    jobs: Mutex<Option<SyncSender<Job>>>,
}

impl Browser {
    /// Starts the thread; it ends when the browser is stopped or dropped. `work_done` counts what
    /// others have done.
    pub(super) fn start(
        clock: Arc<EngineTime>,
        work_done: impl Fn() -> u64 + Send + 'static,
    ) -> io::Result<(Browser, JoinHandle<()>)> {
        let (sender, jobs) = sync_channel::<Job>(JOBS_MAX);
        let thread = std::thread::Builder::new().name("browser".into()).spawn(move || {
            // On Linux this means the calling thread alone. Where it is not allowed, all are equal.
            if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                tracing::debug!(%error, "the browser keeps its priority");
            }
            let mut done_before = work_done();
            for job in jobs {
                let started = clock.boot();
                // Whoever waits for the outcome of a panic learns that there is none.
                drop(catch_unwind(AssertUnwindSafe(job)));
                let done = work_done();
                if done != done_before {
                    let took = clock.boot().saturating_sub(started);
                    #[expect(clippy::disallowed_methods, reason = "the pace of the machine")]
                    std::thread::sleep((took * REST).min(REST_MAX));
                }
                done_before = done;
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
