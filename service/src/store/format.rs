//! The data folder: who may use it, and which format it is in. Both are settled before the database
//! inside is touched.
//!
//! ```text
//! DIR/FORMAT       a number, as text
//! DIR/lock         held by the running server
//! DIR/db/          the database
//! DIR/checkpoints/ copies of it (`checkpoints.rs`)
//! DIR/damaged-1/   logs set aside by a recovery; nobody reads them but people
//! DIR/restore.new/ what a restore that has not ended is making
//! ```

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::StoreError;

/// The format this version writes. It reads this one and every older one.
pub const FORMAT: u32 = 2;

/// What a checkpoint says about itself, in its folder.
pub const CHECKPOINT: &str = "CHECKPOINT";

/// The folder inside a data folder in which a restore prepares everything.
pub(super) const RESTORE_DRAFT: &str = "restore.new";

/// Why a data folder could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its lock is held.
    #[error("another stanchiond is using {0}")]
    InUse(PathBuf),
    /// It comes from the future.
    #[error(
        "{dir} is in format {found}, written by a newer stanchiond; this one knows formats up to \
         {FORMAT} and has not touched it"
    )]
    NewerFormat {
        /// The folder.
        dir: PathBuf,
        /// What its `FORMAT` file says.
        found: u32,
    },
    /// A copy that is to stay as it is.
    #[error(
        "{0} is a checkpoint, which no server may change: `stanchiond restore --from {0} --data \
         DIR` makes a data folder of it"
    )]
    IsACheckpoint(PathBuf),
    /// Somebody else's folder, or a checkpoint that was not finished.
    #[error("{0} is not a checkpoint: it has no file CHECKPOINT that could be read")]
    NotACheckpoint(PathBuf),
    /// A restore would have to overwrite something.
    #[error(
        "{dir} is not empty: it holds {found}. A checkpoint is restored into a new or empty folder"
    )]
    NotEmpty {
        /// The folder.
        dir: PathBuf,
        /// The first thing in it.
        found: String,
    },
    /// A restore died.
    #[error("a restore into {0} was not finished: run it again")]
    RestoreUnfinished(PathBuf),
    /// For whoever only looks: a start would have to decide what the damage means.
    #[error(
        "the log of {dir} is damaged: log {log} cannot be read from byte {offset} on, and {later} \
         intact records lie behind. A start, or `stanchiond repair`, finds out whether anything \
         acknowledged is gone"
    )]
    DamagedLog {
        /// The folder.
        dir: PathBuf,
        /// The log's number.
        log: u64,
        /// Where its last good record ends.
        offset: u64,
        /// Intact records behind the damage.
        later: u64,
    },
    /// `FORMAT` is missing beside a database, or is no number.
    #[error("{0} is not a data folder of stanchiond: its FORMAT file is missing or not a number")]
    NotADataFolder(PathBuf),
    /// It, or something in it, cannot be written.
    #[error("the data folder {dir} cannot be written: {error}")]
    NotWritable {
        /// The folder.
        dir: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Going on would lose commits that somebody was told are safe.
    #[error(
        "the log of {dir} is damaged: {turns} turns that were on the disk are gone. Nothing was \
         changed. `stanchiond repair --accept-loss` opens the folder without them"
    )]
    Lost {
        /// The folder.
        dir: PathBuf,
        /// Synced commits that cannot be read back, at least.
        turns: u64,
    },
    /// The database does not open.
    #[error("the database in {dir} does not open: {error}")]
    Store {
        /// The folder.
        dir: PathBuf,
        /// What it says.
        error: StoreError,
    },
    /// Anything else the disk says.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// A data folder that is ours until this is dropped.
#[derive(Debug)]
pub struct DataFolder {
    dir: PathBuf,
    /// The system releases the lock with the file, also after `kill -9`.
    _lock: File,
}

impl DataFolder {
    /// Takes hold of a data folder, creating it if it is missing. Nothing is written before the
    /// format is known to be ours.
    pub fn open(dir: &Path) -> Result<DataFolder, OpenError> {
        fs::create_dir_all(dir).map_err(|error| refused(dir, dir, error))?;
        if dir.join(CHECKPOINT).exists() {
            return Err(OpenError::IsACheckpoint(dir.to_owned()));
        }
        if dir.join(RESTORE_DRAFT).exists() {
            return Err(OpenError::RestoreUnfinished(dir.to_owned()));
        }
        let found = check_format(dir)?;
        let lock = lock(dir)?;
        // An older version could not read what will be written from now on.
        if found != Some(FORMAT) {
            write_format(dir)?;
        }
        Ok(DataFolder { dir: dir.to_owned(), _lock: lock })
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// Where the database is.
    pub fn db(&self) -> PathBuf {
        self.dir.join("db")
    }
}

/// What the `FORMAT` file says, if there is one; it is then one we know.
pub(super) fn check_format(dir: &Path) -> Result<Option<u32>, OpenError> {
    let path = dir.join("FORMAT");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        // A folder with a database in it was ours once, so somebody removed the file.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !dir.join("db").exists() => {
            return Ok(None);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(OpenError::NotADataFolder(dir.to_owned()));
        }
        Err(error) => return Err(refused(dir, &path, error)),
    };
    match text.trim().parse::<u32>() {
        Ok(0) | Err(_) => Err(OpenError::NotADataFolder(dir.to_owned())),
        Ok(found) if found > FORMAT => Err(OpenError::NewerFormat { dir: dir.to_owned(), found }),
        Ok(found) => Ok(Some(found)),
    }
}

/// Keeps everybody else out for as long as the file is open.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|error| refused(dir, &path, error))?;
    lock_file(dir, path, file)
}

/// Takes the lock, or says who has it.
pub(super) fn lock_file(dir: &Path, path: PathBuf, file: File) -> Result<File, OpenError> {
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(dir.to_owned())),
        Err(error) => Err(OpenError::Io { path, error: error.into() }),
    }
}

/// All of the file or none of it: a torn `FORMAT` would lock people out.
pub(super) fn write_format(dir: &Path) -> Result<(), OpenError> {
    let (draft, path) = (dir.join("FORMAT.new"), dir.join("FORMAT"));
    let write = || {
        let mut file = File::create(&draft)?;
        writeln!(file, "{FORMAT}")?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        sync_dir(dir)
    };
    write().map_err(|error| refused(dir, &path, error))
}

/// Makes renames, new files and removals in a folder durable.
pub fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A failure to write, in the words that help: people mount folders read-only by mistake.
pub(super) fn refused(dir: &Path, path: &Path, error: io::Error) -> OpenError {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};
    match error.kind() {
        PermissionDenied | ReadOnlyFilesystem => {
            OpenError::NotWritable { dir: dir.to_owned(), error }
        }
        _ => OpenError::Io { path: path.to_owned(), error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_folder_gets_a_format_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        drop(DataFolder::open(&data).unwrap());
        assert_eq!(fs::read_to_string(data.join("FORMAT")).unwrap(), format!("{FORMAT}\n"));
        DataFolder::open(&data).unwrap();
    }

    #[test]
    fn an_older_format_is_raised_before_anything_is_written_in_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("FORMAT"), "1\n").unwrap();
        let _folder = DataFolder::open(dir.path()).unwrap();
        let format = fs::read_to_string(dir.path().join("FORMAT")).unwrap();
        assert_eq!(format, format!("{FORMAT}\n"));
    }

    #[test]
    fn a_folder_in_use_is_refused_with_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataFolder::open(dir.path()).unwrap();
        let error = DataFolder::open(dir.path()).unwrap_err();
        let sentence = format!("another stanchiond is using {}", dir.path().display());
        assert_eq!(error.to_string(), sentence);
        drop(first);
        DataFolder::open(dir.path()).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let newer = FORMAT + 1;
        fs::write(dir.path().join("FORMAT"), newer.to_string()).unwrap();
        let error = DataFolder::open(dir.path()).unwrap_err();
        let found = |found| found == newer;
        assert!(matches!(error, OpenError::NewerFormat { found: it, .. } if found(it)), "{error}");
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "only FORMAT is there");
    }

    #[test]
    fn a_database_without_a_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("db")).unwrap();
        let error = DataFolder::open(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::NotADataFolder(_)), "{error}");
        fs::write(dir.path().join("FORMAT"), "one").unwrap();
        let error = DataFolder::open(dir.path()).unwrap_err();
        assert!(matches!(error, OpenError::NotADataFolder(_)), "{error}");
    }

    #[test]
    fn a_folder_that_cannot_be_written_says_so() {
        // Not by permissions: tests run as root in containers, whom they do not stop.
        let error = io::Error::from(io::ErrorKind::ReadOnlyFilesystem);
        let error = refused(Path::new("/data"), Path::new("/data/lock"), error);
        assert!(error.to_string().starts_with("the data folder /data cannot be written: "));
    }
}
