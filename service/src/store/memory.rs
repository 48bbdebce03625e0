//! A store in memory: for servers that keep nothing, and for tests that want to see power cuts,
//! failed commits and successors without a disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{Batch, Durability, Key, Limit, Op, Page, Reads, Snapshot, Space, Store, StoreError};

/// A handle on rows in memory. Clones share the rows and count as the same process; `crash` and
/// `take_over` give the handle of the next process, and fence all older ones.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    /// Which process this handle belongs to.
    process: u64,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// `kill -9`: everything committed is still there.
    Kill,
    /// The power fails: of the commits since the last sync only the first so many are still there.
    PowerCut {
        /// Unsynced commits that survive; see [`MemoryStore::unsynced`].
        survivors: usize,
    },
}

/// What goes wrong next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next commit fails and leaves nothing behind. It is the last of this process.
    CommitLost,
    /// The next commit fails, but its changes are there, unsynced: a crash decides whether they
    /// stay. It is the last of this process.
    CommitUncertain,
    /// The next sync fails, whether of a commit or by itself; what was committed is there, unsynced.
    /// It is the last of this process.
    SyncFails,
    /// So many reads are unavailable.
    Reads(u32),
}

/// What a store was asked to do: tests hold the cost budget against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Single keys read.
    pub gets: u64,
    /// Scans begun.
    pub scans: u64,
    /// Rows that scans returned.
    pub scanned_rows: u64,
    /// Commits.
    pub commits: u64,
    /// Syncs.
    pub syncs: u64,
}

/// Rows by space. Shared with snapshots: the first write after one copies the map it changes.
#[derive(Clone, Debug, Default)]
struct Rows {
    messages: Arc<BTreeMap<Vec<u8>, Bytes>>,
    state: Arc<BTreeMap<Vec<u8>, Bytes>>,
}

/// What processes come and go around.
#[derive(Debug, Default)]
struct Disk {
    rows: Rows,
    /// For every commit since the last sync, how to take it back: keys and what they held.
    unsynced: Vec<Vec<(Key, Option<Bytes>)>>,
    /// The process that may use it.
    owner: u64,
    commit_fault: Option<Fault>,
    /// Set by a failed commit: the error of all later ones.
    failed: Option<StoreError>,
    unavailable_reads: u32,
    counts: Counts,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Ends this process and starts the next, which gets the returned handle and no faults.
    pub fn crash(&self, crash: Crash) -> MemoryStore {
        let mut disk = self.lock();
        if let Crash::PowerCut { survivors } = crash {
            while survivors < disk.unsynced.len() {
                disk.undo_last();
            }
        }
        // What survived is on the disk for good: it was read back from there.
        disk.unsynced.clear();
        disk.commit_fault = None;
        disk.failed = None;
        disk.unavailable_reads = 0;
        disk.owner += 1;
        MemoryStore { disk: Arc::clone(&self.disk), process: disk.owner }
    }

    /// Another process takes the store over from this one, which finds out by being fenced.
    pub fn take_over(&self) -> MemoryStore {
        self.crash(Crash::Kill)
    }

    /// Injects a fault into this process.
    pub fn inject(&self, fault: Fault) {
        let mut disk = self.lock();
        match fault {
            Fault::CommitLost | Fault::CommitUncertain | Fault::SyncFails => {
                disk.commit_fault = Some(fault);
            }
            Fault::Reads(count) => disk.unavailable_reads = count,
        }
    }

    /// Commits a power cut could take back.
    pub fn unsynced(&self) -> usize {
        self.lock().unsynced.len()
    }

    /// What was asked of the store since it was made.
    pub fn counts(&self) -> Counts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        // Nothing here panics halfway through a change that matters: a poisoned lock means that an
        // assertion of a test failed while it held the guard.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Result<MutexGuard<'_, Disk>, StoreError> {
        let disk = self.lock();
        if disk.owner == self.process { Ok(disk) } else { Err(StoreError::Fenced) }
    }

    fn read(&self) -> Result<MutexGuard<'_, Disk>, StoreError> {
        let mut disk = self.open()?;
        if disk.unavailable_reads > 0 {
            disk.unavailable_reads -= 1;
            return Err(StoreError::Unavailable("injected by a test".to_owned()));
        }
        Ok(disk)
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let mut disk = self.read()?;
        disk.counts.gets += 1;
        Ok(disk.rows.get(key))
    }

    fn multi_get(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut disk = self.read()?;
        disk.counts.gets += keys.len() as u64;
        Ok(keys.iter().map(|key| disk.rows.get(key)).collect())
    }

    fn scan(&self, from: &Key, to: &Key, limit: Limit) -> Result<Page, StoreError> {
        let mut disk = self.read()?;
        let page = disk.rows.scan(from, to, limit);
        disk.counts.scans += 1;
        disk.counts.scanned_rows += page.rows.len() as u64;
        Ok(page)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let mut disk = self.open()?;
        if let Some(error) = &disk.failed {
            return Err(error.clone());
        }
        let fault = disk.commit_fault.take_if(|fault| *fault != Fault::SyncFails);
        if fault != Some(Fault::CommitLost) {
            disk.apply(batch);
        }
        if fault.is_some() {
            return Err(disk.fail("a commit failed: injected by a test"));
        }
        match durability {
            Durability::Synced => disk.sync(),
            Durability::Buffered => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut disk = self.open()?;
        if let Some(error) = &disk.failed {
            return Err(error.clone());
        }
        disk.sync()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        Ok(Box::new(self.read()?.rows.clone()))
    }

    fn checkpoint(&self, _: &Path) -> Result<(), StoreError> {
        Err(StoreError::Io("a store in memory has no files to copy".to_owned()))
    }

    fn drop_dead(&self, from: &Key, to: &Key) -> Result<(), StoreError> {
        self.sync()?;
        let mut disk = self.open()?;
        let all = Limit { rows: usize::MAX, bytes: usize::MAX };
        for (bytes, _) in disk.rows.scan(from, to, all).rows {
            disk.rows.of_mut(from.space).remove(&bytes);
        }
        Ok(())
    }

    fn compact(&self, _: &Key, _: &Key) -> Result<(), StoreError> {
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.sync()
    }

    fn reads(&self) -> Reads {
        let counts = self.counts();
        Reads { keys: counts.gets + counts.scanned_rows, tombstones: 0 }
    }

    fn reopen_bytes(&self) -> u64 {
        0
    }
}

impl Snapshot for Rows {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        Ok(Rows::get(self, key))
    }

    fn scan(&self, from: &Key, to: &Key, limit: Limit) -> Result<Page, StoreError> {
        Ok(Rows::scan(self, from, to, limit))
    }
}

impl Rows {
    fn of(&self, space: Space) -> &BTreeMap<Vec<u8>, Bytes> {
        match space {
            Space::Messages => &self.messages,
            Space::State => &self.state,
        }
    }

    fn of_mut(&mut self, space: Space) -> &mut BTreeMap<Vec<u8>, Bytes> {
        Arc::make_mut(match space {
            Space::Messages => &mut self.messages,
            Space::State => &mut self.state,
        })
    }

    fn get(&self, key: &Key) -> Option<Bytes> {
        self.of(key.space).get(&key.bytes).cloned()
    }

    fn scan(&self, from: &Key, to: &Key, limit: Limit) -> Page {
        let mut page = Page::default();
        // `BTreeMap::range` panics on a range that ends before it starts; ours is then empty.
        if to.bytes <= from.bytes {
            return page;
        }
        let mut bytes = 0;
        for (key, value) in self.of(from.space).range(from.bytes.clone()..to.bytes.clone()) {
            if limit.rows <= page.rows.len() || limit.bytes <= bytes {
                page.next = Some(key.clone());
                break;
            }
            bytes += value.len();
            page.rows.push((key.clone(), value.clone()));
        }
        page
    }
}

impl Disk {
    /// Makes a batch visible, and remembers how to take it back.
    fn apply(&mut self, batch: Batch) {
        self.counts.commits += 1;
        let mut undo = Vec::with_capacity(batch.ops.len());
        for op in batch.ops {
            match op {
                Op::Put(key, value) => {
                    let old = self.rows.of_mut(key.space).insert(key.bytes.clone(), value);
                    undo.push((key, old));
                }
                Op::Delete(key) => {
                    let old = self.rows.of_mut(key.space).remove(&key.bytes);
                    undo.push((key, old));
                }
                Op::DeleteRange(from, to) => {
                    let all = Limit { rows: usize::MAX, bytes: usize::MAX };
                    for (bytes, old) in self.rows.scan(&from, &to, all).rows {
                        self.rows.of_mut(from.space).remove(&bytes);
                        undo.push((Key { space: from.space, bytes }, Some(old)));
                    }
                }
            }
        }
        self.unsynced.push(undo);
    }

    fn undo_last(&mut self) {
        for (key, old) in self.unsynced.pop().into_iter().flatten().rev() {
            let rows = self.rows.of_mut(key.space);
            match old {
                Some(value) => rows.insert(key.bytes, value),
                None => rows.remove(&key.bytes),
            };
        }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        if self.commit_fault.take_if(|fault| *fault == Fault::SyncFails).is_some() {
            return Err(self.fail("a sync failed: injected by a test"));
        }
        self.counts.syncs += 1;
        self.unsynced.clear();
        Ok(())
    }

    /// The last thing that this process does here.
    fn fail(&mut self, why: &str) -> StoreError {
        let error = StoreError::Io(why.to_owned());
        self.failed = Some(error.clone());
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Limit = Limit { rows: usize::MAX, bytes: usize::MAX };

    fn key(text: &str) -> Key {
        Key { space: Space::State, bytes: text.into() }
    }

    fn put(text: &str) -> Batch {
        Batch { ops: vec![Op::Put(key(text), Bytes::copy_from_slice(text.as_bytes()))] }
    }

    fn rows(store: &MemoryStore) -> String {
        let page = store.scan(&key(""), &key("~"), ALL).unwrap();
        page.rows.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()).collect()
    }

    #[test]
    fn a_power_cut_takes_back_a_suffix_of_the_unsynced_commits() {
        for (survivors, left) in [(0, "ab"), (1, "bc"), (2, "bcd"), (9, "bcd")] {
            let store = MemoryStore::new();
            store.commit(put("a"), Durability::Buffered).unwrap();
            store.commit(put("b"), Durability::Synced).unwrap();
            let mut batch = put("c");
            batch.ops.push(Op::DeleteRange(key("a"), key("b")));
            store.commit(batch, Durability::Buffered).unwrap();
            store.commit(put("d"), Durability::Buffered).unwrap();
            assert_eq!(store.unsynced(), 2);
            assert_eq!(rows(&store.crash(Crash::PowerCut { survivors })), left);
        }
    }

    #[test]
    fn a_killed_process_leaves_everything_it_committed() {
        let store = MemoryStore::new();
        store.commit(put("a"), Durability::Buffered).unwrap();
        let next = store.crash(Crash::Kill);
        assert_eq!(rows(&next), "a");
        assert_eq!(next.unsynced(), 0);
    }

    #[test]
    fn a_process_that_was_replaced_is_fenced() {
        let store = MemoryStore::new();
        let clone = store.clone();
        let next = store.take_over();
        assert_eq!(store.commit(put("a"), Durability::Synced), Err(StoreError::Fenced));
        assert_eq!(clone.get(&key("a")), Err(StoreError::Fenced));
        assert_eq!(rows(&next), "");
    }

    #[test]
    fn a_failed_commit_is_the_last_one() {
        for (fault, left) in [(Fault::CommitLost, ""), (Fault::CommitUncertain, "a")] {
            let store = MemoryStore::new();
            store.inject(fault);
            let error = store.commit(put("a"), Durability::Synced).unwrap_err();
            assert_eq!(store.commit(put("b"), Durability::Synced), Err(error.clone()));
            assert_eq!(store.flush(), Err(error));
            assert_eq!(rows(&store), left);
            let next = store.crash(Crash::PowerCut { survivors: 0 });
            assert_eq!(rows(&next), "");
            next.commit(put("c"), Durability::Synced).unwrap();
        }
    }

    #[test]
    fn reads_are_unavailable_as_often_as_asked() {
        let store = MemoryStore::new();
        store.inject(Fault::Reads(2));
        assert!(matches!(store.get(&key("a")), Err(StoreError::Unavailable(_))));
        assert!(matches!(store.multi_get(&[]), Err(StoreError::Unavailable(_))));
        assert_eq!(store.get(&key("a")), Ok(None));
    }

    #[test]
    fn a_snapshot_does_not_see_later_commits() {
        let store = MemoryStore::new();
        store.commit(put("a"), Durability::Synced).unwrap();
        let snapshot = store.snapshot().unwrap();
        store.commit(put("b"), Durability::Synced).unwrap();
        assert_eq!(snapshot.scan(&key(""), &key("~"), ALL).unwrap().rows.len(), 1);
        assert_eq!(snapshot.get(&key("b")), Ok(None));
        assert_eq!(rows(&store), "ab");
    }

    #[test]
    fn a_scan_says_where_to_go_on() {
        let store = MemoryStore::new();
        for name in ["a", "bb", "c", "d"] {
            store.commit(put(name), Durability::Synced).unwrap();
        }
        let two = store.scan(&key("a"), &key("d"), Limit { rows: 2, bytes: 99 }).unwrap();
        assert_eq!((two.rows.len(), two.next), (2, Some(b"c".to_vec())));
        let bytes = store.scan(&key("a"), &key("d"), Limit { rows: 9, bytes: 2 }).unwrap();
        assert_eq!((bytes.rows.len(), bytes.next), (2, Some(b"c".to_vec())));
        let end = store.scan(&key("c"), &key("d"), Limit { rows: 1, bytes: 99 }).unwrap();
        assert_eq!((end.rows.len(), end.next), (1, None));
        assert_eq!(store.scan(&key("d"), &key("a"), ALL).unwrap(), Page::default());
    }
}
