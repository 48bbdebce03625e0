//! Checkpoint.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::shard::checkpoints;
use crate::store::checkpoints::CheckpointName;

/// Copies everything as it is now into a folder of its own, while the server goes on. `stanchiond
/// restore` makes a data folder of the copy.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Checkpoint {
    name: Option<String>,
}

/// A checkpoint: what it is called, and where on the server's disk it is.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CheckpointOutput {
    name: String,
    folder: String,
    /// Bytes of its files, most of which the disk holds but once as long as the server has them too.
    bytes: u64,
    /// Milliseconds since the Unix epoch, on the clock that delays and timeouts follow.
    made_at: u64,
}

impl From<checkpoints::Checkpoint> for CheckpointOutput {
    fn from(checkpoint: checkpoints::Checkpoint) -> CheckpointOutput {
        let checkpoints::Checkpoint { note, folder } = checkpoint;
        CheckpointOutput {
            made_at: note.made_at_ms,
            bytes: note.bytes,
            name: note.name.to_string(),
            folder: folder.display().to_string(),
        }
    }
}

impl Action for Checkpoint {
    const NAME: &'static str = "Checkpoint";
    type Output = CheckpointOutput;

    async fn run(self, call: &Call<'_>) -> Result<CheckpointOutput, Error> {
        let name = self.name.map(parse_name).transpose()?;
        Ok(call.app.shards.make_checkpoint(name).await?.into())
    }
}

/// The `Name` of a checkpoint.
pub(super) fn parse_name(text: String) -> Result<CheckpointName, Error> {
    CheckpointName::parse(&text).ok_or_else(|| {
        let reason = "Can only include alphanumeric characters, hyphens, underscores and dots, of \
                      which a dot cannot be the first. 1 to 80 in length.";
        Error::invalid("Name", text, reason)
    })
}
