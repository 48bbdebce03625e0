//! Watches the room on the disk. A log that cannot be written is the end of the process, so sends
//! are refused long before; receives and deletes, which make room, go on until half of the mark.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::store::Store;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The mark is never asked to be more than this because of the disk's size.
const SHARE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// What the room that is left allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Everything.
    Ample,
    /// No sends, no new queues.
    Short,
    /// Nothing that writes.
    None,
}

/// Where to look, and when it is too little.
#[derive(Clone, Debug)]
pub struct FreeSpaceOptions {
    /// A folder on the disk in question.
    pub path: PathBuf,
    /// Bytes that must be free for sends; `None` chooses twice what the store needs to reopen, or 5 %
    /// of the disk (at most 4 GiB), whichever is more.
    pub mark_bytes: Option<u64>,
}

/// The last thing that was seen. Without a disk there is always room.
#[derive(Debug, Default)]
pub(super) struct FreeSpace {
    room: AtomicU8,
}

impl FreeSpace {
    pub(super) fn room(&self) -> Room {
        match self.room.load(Ordering::Relaxed) {
            0 => Room::Ample,
            1 => Room::Short,
            _ => Room::None,
        }
    }

    fn set(&self, room: Room) {
        self.room.store(room as u8, Ordering::Relaxed);
    }
}

/// The thread that looks. Ends when it is dropped.
pub(super) struct Watch {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Looks once, then keeps looking.
    pub(super) fn start(
        options: FreeSpaceOptions,
        store: Arc<dyn Store>,
        space: Arc<FreeSpace>,
    ) -> std::io::Result<Watch> {
        look(&options, &*store, &space);
        let (stop, stopped) = sync_channel(0);
        let thread = std::thread::Builder::new()
            .name("free-space".into())
            .spawn(move || keep_looking(&options, &*store, &space, &stopped))?;
        Ok(Watch { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell, not even that it panicked.
            let _ = thread.join();
        }
    }
}

fn keep_looking(
    options: &FreeSpaceOptions,
    store: &dyn Store,
    space: &FreeSpace,
    stopped: &Receiver<()>,
) {
    while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
        look(options, store, space);
    }
}

fn look(options: &FreeSpaceOptions, store: &dyn Store, space: &FreeSpace) {
    let disk = match rustix::fs::statvfs(&options.path) {
        Ok(disk) => disk,
        Err(error) => {
            tracing::warn!(%error, path = %options.path.display(), "cannot see the free space");
            return;
        }
    };
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    let total_bytes = disk.f_blocks.saturating_mul(disk.f_frsize);
    let mark_bytes = options.mark_bytes.unwrap_or_else(|| mark(store.reopen_bytes(), total_bytes));
    let room = judge(free_bytes, mark_bytes);
    // Written out, log and memtables need no room to reopen: on a small disk they alone can make it
    // short.
    if room == Room::Short
        && options.mark_bytes.is_none()
        && mark_bytes > mark(0, total_bytes)
        && let Err(error) = store.flush()
    {
        tracing::warn!(%error, "cannot write the log out to make room");
    }
    if room != space.room() {
        tracing::warn!(free_bytes, mark_bytes, ?room, "the room on the disk has changed");
        space.set(room);
    }
}

fn mark(reopen_bytes: u64, total_bytes: u64) -> u64 {
    reopen_bytes.saturating_mul(2).max((total_bytes / 20).min(SHARE_BYTES_MAX))
}

fn judge(free_bytes: u64, mark_bytes: u64) -> Room {
    match free_bytes {
        _ if free_bytes >= mark_bytes => Room::Ample,
        _ if free_bytes >= mark_bytes / 2 => Room::Short,
        _ => Room::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * 1024 * 1024;

    #[test]
    fn the_mark_is_twice_the_reopening_or_a_twentieth_of_the_disk_up_to_4_gib() {
        assert_eq!(mark(GIB, 10 * GIB), 2 * GIB);
        assert_eq!(mark(0, 40 * GIB), 2 * GIB);
        assert_eq!(mark(GIB, 1000 * GIB), 4 * GIB);
    }

    #[test]
    fn sends_end_at_the_mark_and_the_rest_at_half_of_it() {
        assert_eq!(judge(100, 100), Room::Ample);
        assert_eq!(judge(99, 100), Room::Short);
        assert_eq!(judge(50, 100), Room::Short);
        assert_eq!(judge(49, 100), Room::None);
    }

    #[test]
    fn a_disk_with_less_than_the_mark_is_seen_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let options = FreeSpaceOptions { path: folder.path().into(), mark_bytes: Some(u64::MAX) };
        let space = Arc::new(FreeSpace::default());
        let store = Arc::new(crate::store::memory::MemoryStore::new());
        let watch = Watch::start(options, store, Arc::clone(&space)).unwrap();
        assert_eq!(space.room(), Room::None);
        drop(watch);
    }
}
