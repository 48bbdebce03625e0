//! Bytes that survive. A handful of verbs that serve RocksDB, memory with faults, and one day an
//! object store. Nothing above this trait knows a column family, and nothing in it knows what a
//! visibility timeout is.

pub mod checkpoints;
pub mod codec;
pub mod format;
pub mod keys;
pub mod memory;
pub mod payload;
pub mod reader;
#[cfg(feature = "rocksdb")]
pub mod rocks;
pub mod values;

use std::path::Path;

use bytes::Bytes;

/// How the rows of a queue are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Space {
    /// Bulk, written once: message rows.
    Messages,
    /// Everything else, by a tag byte in the key (see `keys.rs`).
    State,
}

/// A key: its space and its bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Where it lives.
    pub space: Space,
    /// Fixed-width big-endian integers, so that byte order is number order.
    pub bytes: Vec<u8>,
}

/// How much one scan may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// At most so many rows.
    pub rows: usize,
    /// Stops after the row that reaches so many bytes of values.
    pub bytes: usize,
}

/// What a scan returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// In key order.
    pub rows: Vec<(Vec<u8>, Bytes)>,
    /// Where to go on; `None` when the range is exhausted. May be set although there is nothing more,
    /// and although no row was returned, when the scan gave up among deleted rows.
    pub next: Option<Vec<u8>>,
}

/// What must be true when `commit` returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Survives the end of the process (`kill -9`), not a power cut.
    Buffered,
    /// Survives a power cut, together with everything committed before.
    Synced,
}

/// Why a store could not do as told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Another holder has taken over; nothing more may be written.
    #[error("fenced: another process has taken over this store")]
    Fenced,
    /// Not now: the same call may succeed later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// The data do not read as they should.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// Anything else the disk says.
    #[error("{0}")]
    Io(String),
}

/// Changes that become true together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// In order; a later change to the same key wins.
    pub ops: Vec<Op>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Writes a value.
    Put(Key, Bytes),
    /// Removes a row, which may be missing.
    Delete(Key),
    /// Removes every row with `from <= key < to` (one space). Dear in thousands.
    DeleteRange(Key, Key),
}

/// What a store has read since it was opened: what tells whether the cost of a receive depends on
/// what lies around the messages it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// Rows asked for by their keys, found or not, and rows returned by scans.
    pub keys: u64,
    /// Deleted rows that scans stepped over.
    pub tombstones: u64,
}

/// A consistent view of one moment, for reads outside the shard.
pub trait Snapshot: Send {
    /// As [`Store::get`].
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError>;
    /// As [`Store::scan`].
    fn scan(&self, from: &Key, to: &Key, limit: Limit) -> Result<Page, StoreError>;
}

/// All a shard may ask of a disk. Blocking: called on the shard's own thread. Shared by all shards
/// of a process; commits of several shards may run at once.
pub trait Store: Send + Sync {
    /// The value of a key as of the last returned commit.
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError>;

    /// The values of many keys, in their order.
    fn multi_get(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Entries with `from <= key < to` (both of one space) in key order, bounded.
    fn scan(&self, from: &Key, to: &Key, limit: Limit) -> Result<Page, StoreError>;

    /// Atomic: all of the batch or nothing, visible to reads when it returns, as durable as asked.
    /// Any error is final: the caller must not write again.
    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError>;

    /// Makes every commit so far survive a power cut. An error is final, as that of a commit.
    fn sync(&self) -> Result<(), StoreError>;

    /// A view of this moment.
    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StoreError>;

    /// Writes a complete, openable copy into `to`, which must not exist.
    fn checkpoint(&self, to: &Path) -> Result<(), StoreError>;

    /// Drops what it can of the rows with `from <= key < to` without reading them. None of them is of
    /// use to anybody, as commits so far say, which are made to survive a power cut first; any of them
    /// may still be there afterwards. Called off the shard's thread.
    fn drop_dead(&self, from: &Key, to: &Key) -> Result<(), StoreError>;

    /// Gives the space of deleted rows in `from <= key < to` back to the disk. A hint; may take
    /// seconds, so it is called off the shard's thread.
    fn compact(&self, from: &Key, to: &Key) -> Result<(), StoreError>;

    /// [`Store::sync`], and leaves the next start nothing to replay; the last call before a clean
    /// stop.
    fn flush(&self) -> Result<(), StoreError>;

    /// What it has read; nothing, for a store that does not count.
    fn reads(&self) -> Reads {
        Reads::default()
    }

    /// Bytes of log and memtables that a reopening would need room for; part of the free-space
    /// mark.
    fn reopen_bytes(&self) -> u64;
}
