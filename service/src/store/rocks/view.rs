//! Reads of RocksDB: of the present, or of one moment.

use std::fs::File;
use std::io;
use std::path::Path;

use bytes::{Bytes, BytesMut};
use rocksdb::{ColumnFamily, DB, DBRawIterator, ErrorKind, ReadOptions, SnapshotWithThreadMode};

use super::options::{RocksOptions, open_db_read_only};
use super::recovery::inspect;
use crate::store::checkpoints::CheckpointNote;
use crate::store::format::{FORMAT, OpenError, RESTORE_DRAFT, check_format, lock_file};
use crate::store::{Key, Limit, Page, Snapshot, Space, StoreError};

/// Deleted entries one scan steps over before it gives up and says where to go on: a few
/// milliseconds of work.
const SKIPPED_ENTRIES_MAX: u64 = 20_000;

/// Steps a scan takes through deleted entries. Each at least doubles the last, so the whole of a
/// 64-bit number is behind them.
const GALLOP_STEPS_MAX: usize = 64;

/// Where fewer than one in so many numbers is a row, a scan of messages looks for more of them
/// further on.
const SPARSE: usize = 4;

/// What a scan of messages reads from a table at once.
const READ_AHEAD_BYTES: usize = 256 << 10;

/// Values that were read together share memory up to so much: who holds on to one holds on to the
/// others.
const PART_BYTES: usize = 16 << 10;

/// What to read.
pub(super) enum View<'a> {
    /// The last commit.
    Live(&'a DB),
    /// The moment the snapshot was taken.
    At(&'a DB, SnapshotWithThreadMode<'a, DB>),
}

/// How a walk through a range ended.
enum Walk {
    Finished(Page),
    /// Too many deleted entries in a row. RocksDB does not say where it stood; these rows come
    /// before that place.
    GaveUp(Vec<(Vec<u8>, Bytes)>),
}

impl View<'_> {
    fn db(&self) -> &DB {
        match self {
            View::Live(db) | View::At(db, _) => db,
        }
    }

    fn iterator(&self, space: Space, options: ReadOptions) -> DBRawIterator<'_> {
        let family = family(self.db(), space);
        match self {
            View::Live(db) => db.raw_iterator_cf_opt(family, options),
            View::At(_, snapshot) => snapshot.raw_iterator_cf_opt(family, options),
        }
    }

    /// Rows of a range in order, wherever it is.
    fn page(&self, space: Space, from: &[u8], to: &[u8], limit: Limit) -> Result<Page, StoreError> {
        match self.walk(space, from, to, limit, SKIPPED_ENTRIES_MAX)? {
            Walk::Finished(page) => Ok(page),
            Walk::GaveUp(rows) if rows.is_empty() => self.gallop(space, from, to, limit),
            Walk::GaveUp(rows) => Ok(resume_behind(rows)),
        }
    }

    /// Goes through deleted entries in steps of which each is known to be empty when the next
    /// begins. The first is short enough that densely numbered entries cannot make it give up.
    fn gallop(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: Limit,
    ) -> Result<Page, StoreError> {
        let mut start = from.to_vec();
        let mut step = SKIPPED_ENTRIES_MAX / 4;
        for _ in 0..GALLOP_STEPS_MAX {
            let end = advance(&start, step).filter(|end| end.as_slice() < to);
            let end = end.as_deref().unwrap_or(to);
            match self.walk(space, &start, end, limit, SKIPPED_ENTRIES_MAX)? {
                Walk::Finished(page) if page.rows.is_empty() && end < to => {
                    start = end.to_vec();
                    step = step.saturating_mul(2);
                }
                Walk::Finished(mut page) => {
                    if page.next.is_none() && end < to {
                        page.next = Some(end.to_vec());
                    }
                    return Ok(page);
                }
                Walk::GaveUp(rows) if !rows.is_empty() => return Ok(resume_behind(rows)),
                // Some way was made: the rest is for the next call.
                Walk::GaveUp(_) if start != from => {
                    return Ok(Page { rows: Vec::new(), next: Some(start) });
                }
                Walk::GaveUp(_) if step > 1 => step /= 8,
                // So many versions of one key: there is no way around them.
                Walk::GaveUp(_) => break,
            }
        }
        match self.walk(space, &start, to, limit, 0)? {
            Walk::Finished(page) => Ok(page),
            Walk::GaveUp(rows) => Ok(resume_behind(rows)),
        }
    }

    /// Reads rows in order; with `skip_max` zero it never gives up.
    fn walk(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: Limit,
        skip_max: u64,
    ) -> Result<Walk, StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        options.set_max_skippable_internal_keys(skip_max);
        if space == Space::Messages {
            // Messages are read ahead once, in order: the cache is for what is read again.
            options.fill_cache(false);
            options.set_readahead_size(READ_AHEAD_BYTES);
        }
        let mut iterator = self.iterator(space, options);
        let mut page = Page::default();
        let mut part = BytesMut::new();
        let mut bytes = 0;
        iterator.seek(from);
        while let Some((key, value)) = iterator.item() {
            if limit.rows <= page.rows.len() || limit.bytes <= bytes {
                page.next = Some(key.to_vec());
                break;
            }
            bytes += value.len();
            page.rows.push((key.to_vec(), copy_into(&mut part, value)));
            iterator.next();
        }
        match iterator.status() {
            Ok(()) => Ok(Walk::Finished(page)),
            Err(error) if error.kind() == ErrorKind::Incomplete => Ok(Walk::GaveUp(page.rows)),
            Err(error) => Err(store_error(error)),
        }
    }
}

/// Copies a value behind others, so that few of them take memory of their own.
fn copy_into(part: &mut BytesMut, value: &[u8]) -> Bytes {
    if part.capacity() < value.len() {
        if PART_BYTES / 2 < value.len() {
            return Bytes::copy_from_slice(value);
        }
        *part = BytesMut::with_capacity(PART_BYTES);
    }
    part.extend_from_slice(value);
    part.split().freeze()
}

impl Snapshot for View<'_> {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        let family = family(self.db(), key.space);
        let value = match self {
            View::Live(db) => db.get_pinned_cf(family, &key.bytes),
            View::At(_, snapshot) => snapshot.get_pinned_cf(family, &key.bytes),
        };
        Ok(value.map_err(store_error)?.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &Key, to: &Key, limit: Limit) -> Result<Page, StoreError> {
        if to.bytes <= from.bytes {
            return Ok(Page::default());
        }
        let (space, from, to) = (from.space, from.bytes.as_slice(), to.bytes.as_slice());
        // Messages are mostly numbered without gaps, so what is asked for lies right ahead. A walk
        // that ends there reads only that: otherwise RocksDB would also read ahead in every table
        // of level 0 that lies behind it, and past the last row.
        let near = match space {
            Space::Messages => advance(from, limit.rows as u64).filter(|near| near.as_slice() < to),
            Space::State => None,
        };
        let Some(near) = near else { return self.page(space, from, to, limit) };
        let mut page = self.page(space, from, &near, limit)?;
        if page.next.is_none() {
            let bytes: usize = page.rows.iter().map(|(_, value)| value.len()).sum();
            if limit.rows <= page.rows.len() * SPARSE || limit.bytes <= bytes {
                page.next = Some(near);
            } else {
                let rows = limit.rows - page.rows.len();
                let rest = Limit { rows, bytes: limit.bytes - bytes };
                let behind = self.page(space, &near, to, rest)?;
                page.rows.extend(behind.rows);
                page.next = behind.next;
            }
        }
        Ok(page)
    }
}

/// A stopped server's data folder, or a checkpoint, to be looked at: nothing in it is changed.
pub struct RocksView {
    db: DB,
    /// No server starts meanwhile.
    _lock: Option<File>,
}

impl RocksView {
    /// Opens a folder whose format is known and whose log has no damage.
    pub fn open(dir: &Path, options: &RocksOptions) -> Result<RocksView, OpenError> {
        let lock = hold(dir)?;
        let db = dir.join("db");
        inspect(dir, &db)?;
        let db = open_db_read_only(&db, options)
            .map_err(|error| OpenError::Store { dir: dir.to_owned(), error })?;
        Ok(RocksView { db, _lock: lock })
    }
}

impl Snapshot for RocksView {
    fn get(&self, key: &Key) -> Result<Option<Bytes>, StoreError> {
        View::Live(&self.db).get(key)
    }

    fn scan(&self, from: &Key, to: &Key, limit: Limit) -> Result<Page, StoreError> {
        View::Live(&self.db).scan(from, to, limit)
    }
}

/// Keeps servers out of a folder that somebody looks at, without changing it. A checkpoint has no
/// lock, because no server starts on one.
fn hold(dir: &Path) -> Result<Option<File>, OpenError> {
    match CheckpointNote::read(dir) {
        Some(note) if note.format > FORMAT => {
            return Err(OpenError::NewerFormat { dir: dir.to_owned(), found: note.format });
        }
        Some(_) => return Ok(None),
        None if dir.join(RESTORE_DRAFT).exists() => {
            return Err(OpenError::RestoreUnfinished(dir.to_owned()));
        }
        None if check_format(dir)?.is_none() => {
            return Err(OpenError::NotADataFolder(dir.to_owned()));
        }
        None => {}
    }
    let path = dir.join("lock");
    match File::open(&path) {
        Ok(file) => lock_file(dir, path, file).map(Some),
        // No server has been here since the folder was restored.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::Io { path, error }),
    }
}

/// The column family of a space. `state` is the default one, which RocksDB insists on having.
pub(super) fn family(db: &DB, space: Space) -> &ColumnFamily {
    let name = match space {
        Space::Messages => MESSAGES,
        Space::State => rocksdb::DEFAULT_COLUMN_FAMILY_NAME,
    };
    db.cf_handle(name).expect("`open_db` opens or creates both column families")
}

/// The column family of message rows.
pub(super) const MESSAGES: &str = "messages";

pub(super) fn store_error(error: rocksdb::Error) -> StoreError {
    match error.kind() {
        ErrorKind::Corruption => StoreError::Corrupt(error.into_string()),
        ErrorKind::Busy | ErrorKind::TimedOut | ErrorKind::TryAgain => {
            StoreError::Unavailable(error.into_string())
        }
        _ => StoreError::Io(error.into_string()),
    }
}

/// Rows, and the key right after the last of them.
fn resume_behind(rows: Vec<(Vec<u8>, Bytes)>) -> Page {
    let next = rows.last().map(|(key, _)| [key.as_slice(), &[0]].concat());
    Page { rows, next }
}

/// The key so many numbers on: keys end in big-endian integers. `None` past the last one.
fn advance(key: &[u8], step: u64) -> Option<Vec<u8>> {
    let mut key = key.to_vec();
    let mut carry = u128::from(step);
    for byte in key.iter_mut().rev() {
        let sum = carry + u128::from(*byte);
        *byte = sum as u8;
        carry = sum >> 8;
    }
    (carry == 0).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_advances_with_carry() {
        assert_eq!(advance(&[0, 255, 255], 1), Some(vec![1, 0, 0]));
        assert_eq!(advance(&[0, 0, 1], 0x1_0000), Some(vec![1, 0, 1]));
        assert_eq!(advance(&[255, 255], 1), None);
    }
}
