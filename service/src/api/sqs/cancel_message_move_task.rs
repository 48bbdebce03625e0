//! CancelMessageMoveTask. Source: facts sheet, 2.3 and 8.5.

use serde::{Deserialize, Serialize};

use super::Action;
use super::move_task::{self, OF_SOURCE, TaskHandle};
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::policy::actions::Permission;

/// Stops a task. What it has moved stays moved.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelMessageMoveTask {
    task_handle: Option<String>,
}

/// How far it came.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelMessageMoveTaskOutput {
    approximate_number_of_messages_moved: u64,
}

impl Action for CancelMessageMoveTask {
    const NAME: &'static str = "CancelMessageMoveTask";
    const PERMISSION: Permission = Permission::sqs("CancelMessageMoveTask");
    type Output = CancelMessageMoveTaskOutput;

    async fn run(self, call: &Call<'_>) -> Result<CancelMessageMoveTaskOutput, Error> {
        let handle = TaskHandle::open(required(self.task_handle.as_deref(), "TaskHandle")?)?;
        let shards = &call.app.shards;
        move_task::find(call, &handle.source, "SourceArn", call.permission, &OF_SOURCE)?;
        let moved = shards.cancel_move_task(&handle.source, handle.task).await?;
        Ok(CancelMessageMoveTaskOutput { approximate_number_of_messages_moved: moved })
    }
}
