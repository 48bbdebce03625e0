//! The store on RocksDB: two column families, one log, one sync per synced commit.

mod old_logs;
mod options;
mod recovery;
mod restore;
mod view;
mod wal;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};
use rocksdb::{CompactOptions, DB, FlushOptions, WriteBatch, WriteOptions};

use self::old_logs::OldLogs;
pub use self::options::RocksOptions;
use self::options::{WalTracking, open_db};
pub use self::recovery::{Loss, Recovered};
use self::recovery::{log_bytes, recover};
pub use self::restore::restore;
pub use self::view::RocksView;
use self::view::{View, family, store_error};
use super::codec::decode;
use super::format::{DataFolder, OpenError};
use super::keys::{parse_turn_key, turns_range};
use super::values::TurnRow;
use super::{Batch, Durability, Key, Limit, Op, Page, Reads, Snapshot, Space, Store, StoreError};

/// Rows on a local disk.
pub struct RocksStore {
    db: DB,
    old_logs: OldLogs,
    /// `fsync` on synced commits; without it the kernel flushes when it likes.
    sync: bool,
    /// The first failed write. It is final: memory and disk may disagree from then on, and a sync
    /// that failed once may pretend to work the second time.
    failed: OnceLock<StoreError>,
    keys_read: AtomicU64,
    tombstones_skipped: AtomicU64,
    /// Outlives `db`, which is declared before it: the lock is released last.
    folder: DataFolder,
}

impl RocksStore {
    /// Opens a data folder, creating it if it is missing, and recovers it if its log is damaged and
    /// nothing acknowledged is gone.
    pub fn open(dir: &Path, options: &RocksOptions) -> Result<RocksStore, OpenError> {
        let folder = DataFolder::open(dir)?;
        recover(&folder, Loss::Refuse, |copy| turns_in(copy, options))?;
        let db = open_db(&folder.db(), options, WalTracking::On)
            .map_err(|error| OpenError::Store { dir: dir.to_owned(), error })?;
        let old_logs = OldLogs::delete_of(&folder.db())
            .map_err(|error| OpenError::Io { path: folder.db(), error })?;
        Ok(RocksStore {
            db,
            old_logs,
            sync: options.sync,
            failed: OnceLock::new(),
            keys_read: AtomicU64::new(0),
            tombstones_skipped: AtomicU64::new(0),
            folder,
        })
    }

    /// The folder that holds everything: its disk is the one whose free space counts.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn rocks_batch(&self, batch: &Batch) -> WriteBatch {
        let size = |op: &Op| match op {
            Op::Put(key, value) => key.bytes.len() + value.len() + 12,
            Op::Delete(key) => key.bytes.len() + 6,
            Op::DeleteRange(from, to) => from.bytes.len() + to.bytes.len() + 8,
        };
        let bytes = 12 + batch.ops.iter().map(size).sum::<usize>();
        let mut rocks = WriteBatch::with_capacity_bytes(bytes);
        let (messages, state) = (family(&self.db, Space::Messages), family(&self.db, Space::State));
        let family = |key: &Key| match key.space {
            Space::Messages => messages,
            Space::State => state,
        };
        for op in &batch.ops {
            match op {
                Op::Put(key, value) => rocks.put_cf(family(key), &key.bytes, value),
                Op::Delete(key) => rocks.delete_cf(family(key), &key.bytes),
                Op::DeleteRange(from, to) => {
                    rocks.delete_range_cf(family(from), &from.bytes, &to.bytes);
                }
            }
        }
        rocks
    }

    /// Runs a write unless one has failed before, and remembers if it fails.
    fn write(&self, run: impl FnOnce() -> Result<(), rocksdb::Error>) -> Result<(), StoreError> {
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        run().map_err(|error| self.failed.get_or_init(|| store_error(error)).clone())
    }
}

/// Opens a damaged data folder. With [`Loss::Accept`] it gives up synced turns where it must, and
/// forgets about logs that are missing. `None` when there was nothing to do.
pub fn repair(
    dir: &Path,
    loss: Loss,
    options: &RocksOptions,
) -> Result<Option<Recovered>, OpenError> {
    let folder = DataFolder::open(dir)?;
    let recovered = recover(&folder, loss, |copy| turns_in(copy, options))?;
    let tracking = if loss == Loss::Accept { WalTracking::Off } else { WalTracking::On };
    open_db(&folder.db(), options, tracking)
        .map_err(|error| OpenError::Store { dir: dir.to_owned(), error })?;
    Ok(recovered)
}

/// Opens a copy of a database whose logs were cut, and reads the last turn of each shard.
fn turns_in(copy: &Path, options: &RocksOptions) -> Result<BTreeMap<u16, u64>, StoreError> {
    // The logs are shorter than the manifest remembers: that is why we are here.
    let db = open_db(copy, options, WalTracking::Off)?;
    let range = turns_range();
    let all = Limit { rows: usize::MAX, bytes: usize::MAX };
    let page = View::Live(&db).scan(&range.from, &range.to, all)?;
    let turn = |(key, value)| -> Result<(u16, u64), StoreError> {
        let key: Vec<u8> = key;
        Ok((parse_turn_key(&key)?, decode::<TurnRow>(value)?.turn))
    };
    page.rows.into_iter().map(turn).collect()
}

impl Store for RocksStore {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        self.keys_read.fetch_add(1, Relaxed);
        View::Live(&self.db).get(key)
    }

    fn multi_get(&self, keys: &[Key]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.keys_read.fetch_add(keys.len() as u64, Relaxed);
        let mut values = vec![None; keys.len()];
        for space in [Space::Messages, Space::State] {
            let places = || (0..keys.len()).filter(|&at| keys[at].space == space);
            let wanted = places().map(|at| &keys[at].bytes);
            let found = self.db.batched_multi_get_cf(family(&self.db, space), wanted, false);
            for (at, value) in places().zip(found) {
                values[at] = value.map_err(store_error)?.map(|v| Bytes::copy_from_slice(&v));
            }
        }
        Ok(values)
    }

    fn scan(&self, from: &Key, to: &Key, limit: Limit) -> Result<Page, StoreError> {
        // RocksDB counts per thread.
        set_perf_stats(PerfStatsLevel::EnableCount);
        let mut counts = PerfContext::default();
        counts.reset();
        let page = View::Live(&self.db).scan(from, to, limit)?;
        let skipped = counts.metric(PerfMetric::InternalDeleteSkippedCount);
        self.tombstones_skipped.fetch_add(skipped, Relaxed);
        self.keys_read.fetch_add(page.rows.len() as u64, Relaxed);
        Ok(page)
    }

    fn commit(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let batch = self.rocks_batch(&batch);
        let mut options = WriteOptions::default();
        options.set_sync(self.sync && durability == Durability::Synced);
        self.write(|| self.db.write_opt(batch, &options))
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.write(|| self.db.flush_wal(self.sync))
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        Ok(Box::new(View::At(&self.db, self.db.snapshot())))
    }

    fn checkpoint(&self, to: &Path) -> Result<(), StoreError> {
        // What is in the log after a failed sync nobody knows.
        if let Some(error) = self.failed.get() {
            return Err(error.clone());
        }
        // It looks at the logs in the archive, though it wants none of them.
        let _hold = self.old_logs.hold();
        let checkpoint = Checkpoint::new(&self.db).map_err(store_error)?;
        checkpoint.create_checkpoint(to).map_err(store_error)
    }

    fn drop_dead(&self, from: &Key, to: &Key) -> Result<(), StoreError> {
        // RocksDB drops tables that lie in the range as a whole, and counts its last key in: this one
        // is behind every row that is meant, and before `to`.
        let mut last = to.bytes.clone();
        while let Some(byte) = last.pop() {
            if let Some(less) = byte.checked_sub(1) {
                last.push(less);
                break;
            }
        }
        if last.is_empty() {
            return Ok(());
        }
        last.extend([u8::MAX; 64]);
        // Tables do not come back with a log that a power cut shortened. So even where nobody else
        // waits for the disk.
        self.write(|| self.db.flush_wal(true))?;
        let family = family(&self.db, from.space);
        self.db.delete_file_in_range_cf(family, &from.bytes, &last).map_err(store_error)
    }

    fn compact(&self, from: &Key, to: &Key) -> Result<(), StoreError> {
        let mut options = CompactOptions::default();
        // Let RocksDB's own compactions go on meanwhile.
        options.set_exclusive_manual_compaction(false);
        let family = family(&self.db, from.space);
        self.db.compact_range_cf_opt(family, Some(&from.bytes), Some(&to.bytes), &options);
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        self.sync()?;
        if !self.sync {
            return Ok(());
        }
        // A log that is empty cannot be damaged either.
        let families = [family(&self.db, Space::Messages), family(&self.db, Space::State)];
        self.write(|| self.db.flush_cfs_opt(&families, &FlushOptions::default()))
    }

    fn reads(&self) -> Reads {
        Reads {
            keys: self.keys_read.load(Relaxed),
            tombstones: self.tombstones_skipped.load(Relaxed),
        }
    }

    fn reopen_bytes(&self) -> u64 {
        let memtables = [Space::Messages, Space::State].map(|space| {
            let name = "rocksdb.cur-size-all-mem-tables";
            self.db.property_int_value_cf(family(&self.db, space), name).ok().flatten().unwrap_or(0)
        });
        memtables.iter().sum::<u64>() + log_bytes(&self.folder.db())
    }
}
