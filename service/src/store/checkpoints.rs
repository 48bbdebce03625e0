//! Copies of a store that were made while its server ran, and where they are kept.
//!
//! ```text
//! DIR/NAME/CHECKPOINT   what it is, as JSON; the last thing that is written
//! DIR/NAME/db/          the database, whose tables are hard links
//! DIR/.new/             one that is being made
//! DIR/.old/             one that is being removed
//! ```
//!
//! A checkpoint has no `FORMAT`, so no server starts on one by mistake and changes it.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::format::{CHECKPOINT, FORMAT, sync_dir};
use super::{Store, StoreError};
use crate::model::calendar::date;
use crate::model::time::Timestamp;

/// Checkpoints that are kept at once: each holds on to the tables it was made of.
pub const CHECKPOINTS_MAX: usize = 100;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 80;

/// What a checkpoint is called: 1 to 80 letters, digits, `-`, `_` or `.`, of which a dot may not be
/// the first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckpointName(String);

impl CheckpointName {
    /// Parses a name; `None` where it is none.
    pub fn parse(text: &str) -> Option<CheckpointName> {
        let legal = |c: u8| c.is_ascii_alphanumeric() || b"-_.".contains(&c);
        let ok = (1..=NAME_BYTES_MAX).contains(&text.len())
            && !text.starts_with('.')
            && text.bytes().all(legal);
        ok.then(|| CheckpointName(text.into()))
    }

    /// The name of one that was given none: the moment in UTC, such as `20260131T235959.123Z`.
    pub fn of(moment: Timestamp) -> CheckpointName {
        let (year, month, day) = date(moment.secs() / 86_400);
        let (seconds, millis) = (moment.secs() % 86_400, moment.0 % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        CheckpointName(format!(
            "{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{millis:03}Z"
        ))
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<CheckpointName> for String {
    fn from(name: CheckpointName) -> String {
        name.0
    }
}

impl TryFrom<String> for CheckpointName {
    type Error = String;

    fn try_from(text: String) -> Result<CheckpointName, String> {
        CheckpointName::parse(&text).ok_or_else(|| format!("{text:?} is no checkpoint's name"))
    }
}

/// What a checkpoint says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointNote {
    /// Its name.
    pub name: CheckpointName,
    /// When it was made: milliseconds since the Unix epoch, on the engine's clock.
    pub made_at_ms: u64,
    /// Bytes of its files. As long as the server has the same tables, the disk has them once.
    pub bytes: u64,
    /// The format of the rows in it.
    pub format: u32,
    /// The version of the server that made it.
    version: String,
}

impl CheckpointNote {
    /// What the checkpoint in a folder says; `None` where there is none that is whole.
    pub fn read(folder: &Path) -> Option<CheckpointNote> {
        let text = fs::read(folder.join(CHECKPOINT)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Why there is no checkpoint, or still one.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The name is taken.
    #[error("there is a checkpoint of this name")]
    Exists,
    /// The name is not.
    #[error("there is no checkpoint of this name")]
    Missing,
    /// [`CHECKPOINTS_MAX`] are there.
    #[error("there are {CHECKPOINTS_MAX} checkpoints; delete one first")]
    TooMany,
    /// The store would not be copied.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The disk would not do it.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// The folder of checkpoints. Blocking; not for two at a time.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    /// Checkpoints in a folder, which is made when the first is.
    pub fn new(dir: PathBuf) -> Checkpoints {
        Checkpoints { dir }
    }

    /// Where a checkpoint is.
    pub fn folder(&self, name: &CheckpointName) -> PathBuf {
        self.dir.join(&name.0)
    }

    /// Copies the store as it is now: everything that was committed before the call, and every
    /// commit whole. When it returns, the copy is on the disk.
    pub fn make(
        &self,
        store: &dyn Store,
        name: CheckpointName,
        now: Timestamp,
    ) -> Result<CheckpointNote, CheckpointError> {
        let folder = self.folder(&name);
        if folder.exists() {
            return Err(CheckpointError::Exists);
        }
        if self.list()?.len() >= CHECKPOINTS_MAX {
            return Err(CheckpointError::TooMany);
        }
        fs::create_dir_all(&self.dir)?;
        // An earlier one may have died here.
        let draft = self.dir.join(".new");
        remove(&draft)?;
        let made = self.make_in(&draft, &folder, store, name, now);
        if made.is_err()
            && let Err(error) = remove(&draft)
        {
            tracing::warn!(%error, draft = %draft.display(), "cannot remove half a checkpoint");
        }
        made
    }

    fn make_in(
        &self,
        draft: &Path,
        folder: &Path,
        store: &dyn Store,
        name: CheckpointName,
        now: Timestamp,
    ) -> Result<CheckpointNote, CheckpointError> {
        fs::create_dir(draft)?;
        let db = draft.join("db");
        store.checkpoint(&db)?;
        let note = CheckpointNote {
            name,
            made_at_ms: now.0,
            bytes: bytes_in(&db)?,
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
        };
        let mut file = File::create_new(draft.join(CHECKPOINT))?;
        serde_json::to_writer_pretty(&file, &note).map_err(io::Error::from)?;
        writeln!(file)?;
        file.sync_all()?;
        sync_dir(draft)?;
        fs::rename(draft, folder)?;
        sync_dir(&self.dir)?;
        Ok(note)
    }

    /// Every checkpoint, in the order of their names.
    pub fn list(&self) -> Result<Vec<CheckpointNote>, CheckpointError> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut notes = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            // What is not ours is nobody's checkpoint.
            if let Some(name) = name.to_str().and_then(CheckpointName::parse) {
                notes.extend(CheckpointNote::read(&self.folder(&name)));
            }
        }
        notes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(notes)
    }

    /// Removes a checkpoint: at once for whoever looks, file by file for the disk.
    pub fn delete(&self, name: &CheckpointName) -> Result<(), CheckpointError> {
        let old = self.dir.join(".old");
        remove(&old)?;
        match fs::rename(self.folder(name), &old) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CheckpointError::Missing);
            }
            renamed => renamed?,
        }
        sync_dir(&self.dir)?;
        Ok(remove(&old)?)
    }
}

/// Removes a folder that may be missing.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

fn bytes_in(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_any_disk_takes() {
        for name in ["a", "2026-01-31", "before_upgrade.1", &"n".repeat(80)] {
            assert!(CheckpointName::parse(name).is_some(), "{name}");
        }
        for name in ["", ".", "..", ".new", "a/b", "a b", "ä", &"n".repeat(81)] {
            assert_eq!(CheckpointName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn without_a_name_it_is_called_after_its_moment() {
        for (ms, name) in [
            (0, "19700101T000000.000Z"),
            (951_782_400_000, "20000229T000000.000Z"),
            (1_772_323_199_999, "20260228T235959.999Z"),
            (1_772_323_200_000, "20260301T000000.000Z"),
            (4_107_542_400_000, "21000301T000000.000Z"),
        ] {
            assert_eq!(CheckpointName::of(Timestamp(ms)).to_string(), name);
        }
    }
}
