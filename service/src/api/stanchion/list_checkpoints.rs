//! ListCheckpoints.

use serde::{Deserialize, Serialize};

use super::Action;
use super::checkpoint::CheckpointOutput;
use crate::api::call::Call;
use crate::error::Error;

/// Lists the checkpoints that there are, a hundred at most, in the order of their names.
#[derive(Debug, Deserialize)]
pub struct ListCheckpoints {}

/// All of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListCheckpointsOutput {
    checkpoints: Vec<CheckpointOutput>,
}

impl Action for ListCheckpoints {
    const NAME: &'static str = "ListCheckpoints";
    type Output = ListCheckpointsOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListCheckpointsOutput, Error> {
        let checkpoints = call.app.shards.list_checkpoints().await?;
        Ok(ListCheckpointsOutput { checkpoints: checkpoints.into_iter().map(Into::into).collect() })
    }
}
