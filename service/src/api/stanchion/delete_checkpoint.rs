//! DeleteCheckpoint.

use serde::Deserialize;

use super::Action;
use super::checkpoint::parse_name;
use crate::api::call::Call;
use crate::error::Error;

/// Removes a checkpoint, and with it what the disk kept only for it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteCheckpoint {
    name: Option<String>,
}

impl Action for DeleteCheckpoint {
    const NAME: &'static str = "DeleteCheckpoint";
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let name = parse_name(self.name.ok_or_else(|| Error::missing("Name"))?)?;
        call.app.shards.delete_checkpoint(name).await
    }
}
