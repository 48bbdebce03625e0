//! Copies of the store while it runs. The shards take no part: RocksDB copies what is committed, and
//! every commit is whole.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::free_space::Room;
use super::handle::{Shards, busy};
use crate::error::Error;
use crate::store::checkpoints::{CheckpointError, CheckpointName, CheckpointNote, Checkpoints};

/// Where checkpoints go, and the one at a time that is made or removed.
pub(super) struct Backups {
    checkpoints: Checkpoints,
    one_at_a_time: Arc<Semaphore>,
}

impl Backups {
    /// Checkpoints in a folder.
    pub(super) fn new(dir: PathBuf) -> Backups {
        Backups { checkpoints: Checkpoints::new(dir), one_at_a_time: Arc::new(Semaphore::new(1)) }
    }
}

/// A checkpoint and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// What it says about itself.
    pub note: CheckpointNote,
    /// Its folder.
    pub folder: PathBuf,
}

impl Shards {
    /// Copies the store as it is now; answers when the copy is on the disk. Everything that was
    /// answered before is in it. Without a name it is called after the moment.
    ///
    /// Fails with `UnsupportedOperation` where the store is in memory.
    pub async fn make_checkpoint(&self, name: Option<CheckpointName>) -> Result<Checkpoint, Error> {
        self.needs(Room::Ample)?;
        let now = self.now();
        let name = name.unwrap_or_else(|| CheckpointName::of(now));
        let store = Arc::clone(&self.inner.store);
        let given = name.clone();
        let made = self.with_checkpoints(given, move |checkpoints| {
            let note = checkpoints.make(&*store, name, now)?;
            let folder = checkpoints.folder(&note.name);
            Ok(Checkpoint { note, folder })
        });
        made.await
    }

    /// Every checkpoint, in the order of their names.
    pub async fn list_checkpoints(&self) -> Result<Vec<Checkpoint>, Error> {
        let nameless = String::new();
        let listed = self.with_checkpoints(nameless, |checkpoints| {
            let notes = checkpoints.list()?;
            let placed = notes.into_iter().map(|note| {
                let folder = checkpoints.folder(&note.name);
                Checkpoint { note, folder }
            });
            Ok(placed.collect())
        });
        listed.await
    }

    /// Removes a checkpoint.
    pub async fn delete_checkpoint(&self, name: CheckpointName) -> Result<(), Error> {
        let given = name.clone();
        self.with_checkpoints(given, move |checkpoints| checkpoints.delete(&name)).await
    }

    /// Works on the checkpoints, off the threads that serve requests. `name` is for the error.
    async fn with_checkpoints<T: Send + 'static>(
        &self,
        name: impl ToString,
        work: impl FnOnce(&Checkpoints) -> Result<T, CheckpointError> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(backups) = &self.inner.backups else {
            return Err(Error::UnsupportedOperation(
                "This server keeps everything in memory: there is nothing to copy.".into(),
            ));
        };
        let permit = Arc::clone(&backups.one_at_a_time).try_acquire_owned();
        let permit = permit.map_err(|_| busy("Another checkpoint is being made or deleted."))?;
        let checkpoints = backups.checkpoints.clone();
        let done = tokio::task::spawn_blocking(move || {
            // Until the work is done, even if nobody waits for it any more.
            let _permit = permit;
            work(&checkpoints)
        });
        let done = done.await.map_err(|error| Error::Internal(error.to_string().into()))?;
        done.map_err(|error| describe(&error, name))
    }
}

fn describe(error: &CheckpointError, name: impl ToString) -> Error {
    match error {
        CheckpointError::Exists => {
            Error::invalid("Name", name, "There is a checkpoint of this name.")
        }
        CheckpointError::Missing => {
            Error::invalid("Name", name, "There is no checkpoint of this name.")
        }
        CheckpointError::TooMany => Error::OverLimit(
            "There are too many checkpoints; delete one with DeleteCheckpoint first.".into(),
        ),
        // Whoever makes backups can do something about a disk that is full.
        CheckpointError::Store(_) | CheckpointError::Io(_) => {
            tracing::warn!(%error, "a checkpoint went wrong");
            Error::ServiceUnavailable(format!("The checkpoint went wrong: {error}").into())
        }
    }
}
