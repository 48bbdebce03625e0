//! ResumeQueue.

use serde::Deserialize;

use super::Action;
use super::pause_queue::{PausedOutput, parse_operation};
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;

/// Lets go on what PauseQueue held up. Long polls that wait are served at once.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ResumeQueue {
    queue_url: Option<String>,
    operation: Option<String>,
}

impl Action for ResumeQueue {
    const NAME: &'static str = "ResumeQueue";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = PausedOutput;

    async fn run(self, call: &Call<'_>) -> Result<PausedOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let change = parse_operation(self.operation.as_deref(), false)?;
        Ok((&*call.app.shards.pause(&queue.key, change).await?).into())
    }
}
