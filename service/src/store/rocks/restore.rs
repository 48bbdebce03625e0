//! From a checkpoint back to a data folder.
//!
//! Everything is made in a folder of its own inside the new one, which may be a mounted disk and
//! cannot be renamed. As long as that folder is there, no server starts; so the new folder is
//! either whole or refused.

use std::fs;
use std::io;
use std::path::Path;

use super::RocksStore;
use super::options::RocksOptions;
use super::recovery::copy_db;
use crate::store::checkpoints::CheckpointNote;
use crate::store::codec::{decode, encode};
use crate::store::format::{
    FORMAT, OpenError, RESTORE_DRAFT, lock, refused, sync_dir, write_format,
};
use crate::store::keys::server_key;
use crate::store::values::ServerRow;
use crate::store::{Batch, Durability, Op, Store, StoreError};

/// Starts that the restored server leaves out, at least. The server that the checkpoint is of may
/// have been started again since: what it numbered then must not fit what this one will number. A
/// receipt handle deletes by number.
const STARTS_LEFT_OUT_MIN: u32 = 1_024;

/// And at most so many more, by chance, so that two folders restored from one checkpoint differ too.
const STARTS_LEFT_OUT_SPREAD: u32 = 1 << 14;

/// Makes a data folder of a checkpoint, which stays as it is. `to` must be new or empty; `chance` is
/// a random number. A server may start on it when this returns, and not before.
pub fn restore(
    from: &Path,
    to: &Path,
    options: &RocksOptions,
    chance: u32,
) -> Result<CheckpointNote, OpenError> {
    let note = CheckpointNote::read(from);
    let note = note.ok_or_else(|| OpenError::NotACheckpoint(from.to_owned()))?;
    if note.format > FORMAT {
        return Err(OpenError::NewerFormat { dir: from.to_owned(), found: note.format });
    }
    fs::create_dir_all(to).map_err(|error| refused(to, to, error))?;
    check_vacant(to)?;
    let _lock = lock(to)?;
    // Nobody else restores now, and no server was quicker.
    check_vacant(to)?;

    let draft = to.join(RESTORE_DRAFT);
    let disk = |error| refused(to, to, error);
    clear_away(to, &draft).map_err(disk)?;
    let restored = fill(from, &draft, options, chance);
    if restored.is_err() {
        // Nothing has left the draft so far, so nothing but the draft is to go.
        if let Err(error) = fs::remove_dir_all(&draft) {
            tracing::warn!(%error, draft = %draft.display(), "cannot remove half a restore");
        }
    }
    restored?;
    put_in_place(to, &draft)?;
    Ok(note)
}

/// Refuses a folder with anything in it but what an earlier restore or a fresh disk leaves there.
fn check_vacant(dir: &Path) -> Result<(), OpenError> {
    let disk = |error| OpenError::Io { path: dir.to_owned(), error };
    // Whatever lies beside the draft came out of it.
    if dir.join(RESTORE_DRAFT).exists() {
        return Ok(());
    }
    for entry in fs::read_dir(dir).map_err(disk)? {
        let found = entry.map_err(disk)?.file_name().to_string_lossy().into_owned();
        if !matches!(&*found, "lock" | "lost+found") {
            return Err(OpenError::NotEmpty { dir: dir.to_owned(), found });
        }
    }
    Ok(())
}

/// Removes what a restore that died has left.
fn clear_away(to: &Path, draft: &Path) -> io::Result<()> {
    if !draft.exists() {
        return Ok(());
    }
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    };
    gone(fs::remove_dir_all(to.join("db")))?;
    gone(fs::remove_file(to.join("FORMAT")))?;
    fs::remove_dir_all(draft)
}

/// Makes a whole data folder of the checkpoint, under another name.
fn fill(from: &Path, draft: &Path, options: &RocksOptions, chance: u32) -> Result<(), OpenError> {
    let disk = |error| refused(draft, draft, error);
    fs::create_dir(draft).map_err(disk)?;
    copy_db(&from.join("db"), &draft.join("db")).map_err(disk)?;
    write_format(draft)?;
    let store = RocksStore::open(draft, options)?;
    begin_anew(&store, chance).map_err(|error| OpenError::Store { dir: from.to_owned(), error })
}

/// The restored server is one of its own: it numbers nothing as the one did whose copy it is.
fn begin_anew(store: &RocksStore, chance: u32) -> Result<(), StoreError> {
    let row = store.get(&server_key())?;
    let row =
        row.ok_or_else(|| StoreError::Corrupt("the server's own record is missing".into()))?;
    let mut server: ServerRow = decode(row)?;
    let leap = STARTS_LEFT_OUT_MIN + chance % STARTS_LEFT_OUT_SPREAD;
    server.epoch = (server.epoch + leap).min(ServerRow::EPOCH_MAX);
    let ops = vec![Op::Put(server_key(), encode(&server))];
    store.commit(Batch { ops }, Durability::Synced)?;
    store.flush()
}

fn put_in_place(to: &Path, draft: &Path) -> Result<(), OpenError> {
    let disk = |error| refused(to, to, error);
    fs::rename(draft.join("db"), to.join("db")).map_err(disk)?;
    sync_dir(to).map_err(disk)?;
    write_format(to)?;
    // From here on it is a data folder.
    fs::remove_dir_all(draft).and_then(|()| sync_dir(to)).map_err(disk)
}
