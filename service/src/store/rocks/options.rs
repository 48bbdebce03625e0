//! How RocksDB is set up.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, DBRecoveryMode,
    LogLevel, Options, WriteBufferManager,
};

use super::old_logs;
use super::view::{MESSAGES, store_error};
use crate::store::StoreError;

const MIB: usize = 1 << 20;
/// LZ4's acceleration, which RocksDB takes as a negative level.
const LZ4_HASTE: i32 = -8;
const DAY_S: u64 = 24 * 60 * 60;

/// What may be chosen about the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RocksOptions {
    /// Bytes of memory for block cache and memtables together.
    pub memory_bytes: usize,
    /// Bytes of log after which memtables are written out: bounds the replay at a start.
    pub log_bytes_max: u64,
    /// Whether synced commits reach the disk before they return; `false` leaves it to the kernel.
    pub sync: bool,
}

impl Default for RocksOptions {
    fn default() -> RocksOptions {
        RocksOptions { memory_bytes: 192 * MIB, log_bytes_max: 128 << 20, sync: true }
    }
}

/// Whether RocksDB holds the logs against what its manifest remembers of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalTracking {
    /// A log that is missing or shorter than it once was is corruption.
    On,
    /// The logs were cut on purpose.
    Off,
}

/// Opens the database in a folder, creating it if it is missing.
pub(super) fn open_db(
    path: &Path,
    options: &RocksOptions,
    tracking: WalTracking,
) -> Result<DB, StoreError> {
    let cache = Cache::new_lru_cache(options.memory_bytes);
    let db_options = db_options(options, &cache, tracking);
    DB::open_cf_descriptors(&db_options, path, families(options, &cache)).map_err(store_error)
}

/// Opens the database in a folder to look at it: not a byte is written.
pub(super) fn open_db_read_only(path: &Path, options: &RocksOptions) -> Result<DB, StoreError> {
    let cache = Cache::new_lru_cache(options.memory_bytes);
    let mut db_options = db_options(options, &cache, WalTracking::On);
    db_options.create_if_missing(false);
    db_options.create_missing_column_families(false);
    DB::open_cf_descriptors_read_only(&db_options, path, families(options, &cache), false)
        .map_err(store_error)
}

fn families(options: &RocksOptions, cache: &Cache) -> [ColumnFamilyDescriptor; 2] {
    use DBCompressionType::{Lz4, None};
    let mut messages = family_options(options, cache, 16 << 10);
    // Messages are written in the order of their keys, so their tables do not overlap, and go down
    // the levels by renaming. That works only where all levels compress alike.
    messages.set_compression_type(Lz4);
    // Quick to give up on what does not compress; text still shrinks to a half or less.
    messages.set_compression_options(-14, LZ4_HASTE, 0, 0);
    let mut state = family_options(options, cache, 4 << 10);
    // What lives short is not worth compressing.
    state.set_compression_per_level(&[None, None, Lz4, Lz4, Lz4, Lz4, Lz4]);
    [
        ColumnFamilyDescriptor::new(MESSAGES, messages),
        ColumnFamilyDescriptor::new(rocksdb::DEFAULT_COLUMN_FAMILY_NAME, state),
    ]
}

fn db_options(options: &RocksOptions, cache: &Cache, tracking: WalTracking) -> Options {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);

    // Memtables are charged to the block cache: one budget for both, of which they take at most two
    // thirds. No stall: a flush that lags behind slows writers down through level 0 instead.
    let memtables = options.memory_bytes / 3 * 2;
    let manager =
        WriteBufferManager::new_write_buffer_manager_with_cache(memtables, false, cache.clone());
    db.set_write_buffer_manager(&manager);
    db.set_max_background_jobs(2);
    // Tables go to the disk as they are written, not all at their end: a sync of the log would have
    // to wait for them.
    db.set_bytes_per_sync(MIB as u64);

    // `recovery.rs` has read the logs before: what reaches RocksDB ends in a torn record at worst.
    db.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    db.set_recycle_log_file_num(0);
    db.set_track_and_verify_wals_in_manifest(tracking == WalTracking::On);
    db.set_max_total_wal_size(options.log_bytes_max);
    // Into the archive, for `old_logs.rs` to delete.
    db.set_wal_ttl_seconds(old_logs::KEPT_S);
    // Both families are written out together. Otherwise one could be ahead of a damaged log and the
    // other behind, and no cut through the log would make them agree.
    db.set_atomic_flush(true);

    // Its own diary, bounded: what matters is in ours.
    db.set_log_level(LogLevel::Warn);
    db.set_max_log_file_size(MIB);
    db.set_keep_log_file_num(4);
    db.set_stats_dump_period_sec(0);
    db
}

fn family_options(options: &RocksOptions, cache: &Cache, block_bytes: usize) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(block_bytes);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_bloom_filter(10.0, false);

    let mut family = Options::default();
    family.set_block_based_table_factory(&table);
    // The manager above decides when to flush; this bounds a single memtable.
    family.set_write_buffer_size(options.memory_bytes / 3);
    family.set_max_write_buffer_number(3);
    family.set_level_compaction_dynamic_level_bytes(true);

    // A queue deletes at its head: tables that are mostly tombstones are rewritten soon, and
    // everything is in the end.
    family.add_compact_on_deletion_collector_factory(10_000, 5_000, 0.5);
    family.set_ttl(DAY_S);
    family.set_periodic_compaction_seconds(7 * DAY_S);
    family
}
