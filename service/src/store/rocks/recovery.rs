//! Decides, before the database is opened, what damage in its logs means.
//!
//! RocksDB alone either drops acknowledged records in silence or refuses to open when nothing
//! acknowledged is gone. Every commit of a shard therefore carries a [`TurnRow`] that says which of
//! its turns were synced before. Of a log with a damaged place, everything from there on is cut off
//! in a *copy* of the database (hard links where files never change), the copy is opened, and the
//! turns it holds are held against what the intact records behind the damage say was synced:
//!
//! - it reaches them: only turns that nobody was told are safe are gone. The copy takes the place of
//!   the database, the damaged logs are set aside, and the server starts;
//! - it does not: acknowledged turns are gone. The copy is removed and nothing was changed.
//!
//! A log that merely ends inside its last record, as a killed process leaves it, needs none of
//! this: RocksDB drops that record by itself.
//!
//! [`TurnRow`]: crate::store::values::TurnRow

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::wal::{Damage, LogCheck, oldest_live_log};
use crate::store::StoreError;
use crate::store::format::{DataFolder, OpenError, sync_dir};

/// What was done about damaged logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Where the damaged logs are now.
    pub aside: PathBuf,
    /// Intact records behind the damage that were dropped with it.
    pub dropped_records: u64,
    /// Synced turns that are gone: zero unless the loss was accepted.
    pub lost_turns: u64,
}

/// Whether acknowledged turns may be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Rather do not open.
    Refuse,
    /// `stanchiond repair --accept-loss`.
    Accept,
}

/// Looks at the logs, and makes the database ready to be opened; `None` when it already was.
/// `open_copy` opens the database in a folder, closes it again, and says what the last turn of each
/// shard in it is.
pub(super) fn recover(
    folder: &DataFolder,
    loss: Loss,
    open_copy: impl FnOnce(&Path) -> Result<BTreeMap<u16, u64>, StoreError>,
) -> Result<Option<Recovered>, OpenError> {
    let (db, copy) = (folder.db(), folder.path().join("db.copy"));
    let disk = |error| OpenError::Io { path: folder.path().to_owned(), error };
    finish_earlier(&db, &copy).map_err(disk)?;
    let logs = Logs::find(&db).map_err(disk)?;
    let check = logs.check().map_err(disk)?;
    let Some(damage) = check.damage else { return Ok(None) };
    if is_unfinished(&check) {
        let Damage { log, offset, .. } = damage;
        tracing::info!(log, offset, "the log ends inside a record that was never finished");
        return Ok(None);
    }
    logs.copy_up_to(damage, &copy).map_err(disk)?;
    let turns = open_copy(&copy)
        .map_err(|error| OpenError::Store { dir: folder.path().to_owned(), error })?;
    let lost_turns = lost_turns(&check, &turns);
    if lost_turns > 0 && loss == Loss::Refuse {
        fs::remove_dir_all(&copy).map_err(disk)?;
        return Err(OpenError::Lost { dir: folder.path().to_owned(), turns: lost_turns });
    }
    let aside = put_in_place(folder, &db, &copy).map_err(disk)?;
    let dropped_records = check.later_records;
    tracing::warn!(
        log = damage.log,
        offset = damage.offset,
        dropped_records,
        lost_turns,
        aside = %aside.display(),
        "the log was damaged: everything behind the damage was dropped, the damaged logs are set \
         aside"
    );
    Ok(Some(Recovered { aside, dropped_records, lost_turns }))
}

/// Looks at the logs of a database, and finds fault with whatever `recover` would do something about.
pub(super) fn inspect(dir: &Path, db: &Path) -> Result<(), OpenError> {
    let check = Logs::find(db).and_then(|logs| logs.check());
    let check = check.map_err(|error| OpenError::Io { path: db.to_owned(), error })?;
    match check.damage {
        Some(Damage { log, offset, .. }) if !is_unfinished(&check) => Err(OpenError::DamagedLog {
            dir: dir.to_owned(),
            log,
            offset,
            later: check.later_records,
        }),
        _ => Ok(()),
    }
}

/// Nothing is wrong but that the last record ends too early: RocksDB drops it by itself.
fn is_unfinished(check: &LogCheck) -> bool {
    let torn = check.damage.is_some_and(|damage| damage.torn);
    torn && check.later_records == 0 && check.synced_up_to.is_empty()
}

/// Bytes of all logs of a database: what a start would have to read.
pub(super) fn log_bytes(db: &Path) -> u64 {
    let logs = files(db).unwrap_or_default().into_iter().filter(|path| log_number(path).is_some());
    // A log may be removed while we look.
    logs.filter_map(|path| path.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// Synced turns that the intact records behind the damage know of and the copy does not hold.
fn lost_turns(check: &LogCheck, turns: &BTreeMap<u16, u64>) -> u64 {
    let held = |shard| turns.get(shard).copied().unwrap_or(0);
    check.synced_up_to.iter().map(|(shard, synced)| synced.saturating_sub(held(shard))).sum()
}

/// A process may have died while it recovered. The database is moved away only when its copy is
/// complete: without a database the copy is the one to take, beside one it is a draft.
fn finish_earlier(db: &Path, copy: &Path) -> io::Result<()> {
    match (db.exists(), copy.exists()) {
        (_, false) => Ok(()),
        (true, true) => fs::remove_dir_all(copy),
        (false, true) => fs::rename(copy, db),
    }
}

/// Exchanges the database for its copy and keeps the damaged logs.
fn put_in_place(folder: &DataFolder, db: &Path, copy: &Path) -> io::Result<PathBuf> {
    let aside = (1u32..)
        .map(|number| folder.path().join(format!("damaged-{number}")))
        .find(|path| !path.exists())
        .ok_or_else(|| io::Error::other("too many folders with damaged logs"))?;
    fs::rename(db, &aside)?;
    fs::rename(copy, db)?;
    sync_dir(folder.path())?;
    // The tables are the same files as the database's own. Kept here, they would hold on to space
    // that a compaction wants to free.
    for path in files(&aside)? {
        if path.extension().is_some_and(|extension| extension == "sst") {
            fs::remove_file(path)?;
        }
    }
    Ok(aside)
}

/// The files of a closed database.
struct Logs {
    db: PathBuf,
    /// Live logs, by number.
    live: BTreeMap<u64, PathBuf>,
}

impl Logs {
    fn find(db: &Path) -> io::Result<Logs> {
        // Older ones are in the tables and only wait for their removal.
        let oldest = oldest_needed(db)?;
        let mut live = BTreeMap::new();
        for path in files(db)? {
            if let Some(number) = log_number(&path)
                && oldest <= number
            {
                live.insert(number, path);
            }
        }
        Ok(Logs { db: db.to_owned(), live })
    }

    fn check(&self) -> io::Result<LogCheck> {
        let mut check = LogCheck::default();
        for (number, path) in &self.live {
            check.read(*number, File::open(path)?)?;
        }
        Ok(check)
    }

    /// Copies the database as it would be if nothing had been logged behind the damage.
    fn copy_up_to(&self, damage: Damage, copy: &Path) -> io::Result<()> {
        fs::create_dir(copy)?;
        for path in files(&self.db)? {
            let Some(name) = path.file_name() else { continue };
            let target = copy.join(name);
            match log_number(&path) {
                Some(log) if damage.log < log => {}
                Some(log) if damage.log == log => copy_bytes(&path, damage.offset, &target)?,
                Some(_) => fs::hard_link(&path, &target)?,
                None if path.extension().is_some_and(|extension| extension == "sst") => {
                    fs::hard_link(&path, &target)?;
                }
                // The manifest grows, and the other files are small.
                None => copy_bytes(&path, u64::MAX, &target)?,
            }
        }
        sync_dir(copy)
    }
}

/// Copies a closed database into a folder that must not exist. Tables never change, so both may have
/// the same files where they are on one disk.
pub(super) fn copy_db(db: &Path, copy: &Path) -> io::Result<()> {
    fs::create_dir(copy)?;
    for path in files(db)? {
        let Some(name) = path.file_name() else { continue };
        let target = copy.join(name);
        let table = path.extension().is_some_and(|extension| extension == "sst");
        if !table || fs::hard_link(&path, &target).is_err() {
            copy_bytes(&path, u64::MAX, &target)?;
        }
    }
    sync_dir(copy)
}

fn copy_bytes(source: &Path, bytes: u64, target: &Path) -> io::Result<()> {
    let mut copy = File::create_new(target)?;
    io::copy(&mut File::open(source)?.take(bytes), &mut copy)?;
    copy.sync_all()
}

/// Regular files in a folder; none if there is no such folder.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// `000123.log` → 123.
fn log_number(path: &Path) -> Option<u64> {
    let log = path.extension().is_some_and(|extension| extension == "log");
    log.then(|| path.file_stem()?.to_str()?.parse().ok()).flatten()
}

/// What the current manifest says is the oldest log still needed.
fn oldest_needed(db: &Path) -> io::Result<u64> {
    match fs::read_to_string(db.join("CURRENT")) {
        Ok(name) => oldest_live_log(BufReader::new(File::open(db.join(name.trim()))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}
