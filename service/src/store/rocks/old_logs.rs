//! Logs that nobody needs any more are deleted in pieces. A file system that tells the disk about
//! freed space (`discard`) does so while a sync waits: a log deleted at once held all syncs up for
//! 12 ms, a piece for a fraction of one.
//!
//! RocksDB puts old logs into its archive, from which it would delete them itself after a day.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the archive is looked into.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is freed at a time, and the pause after it: a log is gone within a tenth of the time that it
/// takes to write the next.
const PIECE_BYTES: u64 = 2 << 20;
const PIECE_PAUSE: Duration = Duration::from_millis(2);

/// After how long RocksDB would delete them.
pub(super) const KEPT_S: u64 = 24 * 60 * 60;

/// Deletes old logs until it is dropped; what is left then goes at the next start.
pub(super) struct OldLogs {
    /// Held while a file is taken away.
    archive: Arc<Mutex<()>>,
    /// Dropped to stop.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl OldLogs {
    /// Looks after the archive of the database in a folder.
    pub(super) fn delete_of(db: &Path) -> io::Result<OldLogs> {
        let archive = Arc::new(Mutex::new(()));
        let (stop, stopped) = channel();
        let (folder, held) = (db.join("archive"), archive.clone());
        let work = move || work(&folder, &held, &stopped);
        let thread = thread::Builder::new().name("old-logs".into()).spawn(work)?;
        Ok(OldLogs { archive, stop: Some(stop), thread: Some(thread) })
    }

    /// Nothing is taken away from the archive as long as this is held.
    pub(super) fn hold(&self) -> MutexGuard<'_, ()> {
        // It guards nothing that a panic could have left half done.
        self.archive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OldLogs {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has said what went wrong.
            let _ = thread.join();
        }
    }
}

fn work(archive: &Path, held: &Mutex<()>, stopped: &Receiver<()>) {
    while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        for log in logs(archive) {
            let _held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = || stopped.recv_timeout(PIECE_PAUSE) == Err(RecvTimeoutError::Timeout);
            if let Err(error) = delete(&log, pause) {
                tracing::warn!(%error, log = %log.display(), "an old log could not be deleted");
            }
        }
    }
}

/// None if nothing was ever put there.
fn logs(archive: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(archive).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Deletes a file piece by piece, as long as `go_on` says so after each.
fn delete(log: &Path, go_on: impl Fn() -> bool) -> io::Result<()> {
    let file = File::options().write(true).open(log)?;
    let mut bytes = file.metadata()?.len();
    while bytes > PIECE_BYTES {
        bytes -= PIECE_BYTES;
        file.set_len(bytes)?;
        if !go_on() {
            return Ok(());
        }
    }
    fs::remove_file(log)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_shrinks_piece_by_piece_and_is_gone_in_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("000007.log");
        File::create(&log).unwrap().set_len(3 * PIECE_BYTES + 1).unwrap();
        let length = || fs::metadata(&log).unwrap().len();
        delete(&log, || false).unwrap();
        assert_eq!(length(), 2 * PIECE_BYTES + 1);
        let lengths = std::cell::RefCell::new(Vec::new());
        delete(&log, || {
            lengths.borrow_mut().push(length());
            true
        })
        .unwrap();
        assert_eq!(*lengths.borrow(), [PIECE_BYTES + 1, 1]);
        assert!(!log.exists());
    }

    #[test]
    fn what_an_earlier_process_left_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("archive")).unwrap();
        let log = dir.path().join("archive/000007.log");
        fs::write(&log, "old").unwrap();
        let old = OldLogs::delete_of(dir.path()).unwrap();
        while log.exists() {
            thread::yield_now();
        }
        drop(old);
    }
}
