//! ListMessageMoveTasks. Source: facts sheet, 2.3 and 8.5.

use serde::{Deserialize, Serialize};

use super::Action;
use super::list_queues::max_results;
use super::move_task::{TaskHandle, not_found, queue};
use crate::api::call::{Call, required};
use crate::api::error_table;
use crate::error::Error;
use crate::limits::MOVE_TASKS_LISTED_MAX;
use crate::model::policy::actions::Permission;
use crate::model::queue::QueueKey;
use crate::model::task::{MoveTask, TaskFailure, TaskId, TaskStatus};

/// What it needs beside its own permission.
const READ: [Permission; 1] = [Permission::sqs("GetQueueAttributes")];

/// Lists the latest tasks of a source, the newest first. The last ten stay listed as long as the
/// queue exists.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMessageMoveTasks {
    source_arn: Option<String>,
    max_results: Option<i64>,
}

/// Tasks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMessageMoveTasksOutput {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    results: Vec<Entry>,
}

/// One task.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    task_handle: Option<String>,
    status: &'static str,
    source_arn: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destination_arn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_number_of_messages_per_second: Option<u16>,
    approximate_number_of_messages_moved: u64,
    approximate_number_of_messages_to_move: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure_reason: Option<&'static str>,
    started_timestamp: u64,
}

impl Action for ListMessageMoveTasks {
    const NAME: &'static str = "ListMessageMoveTasks";
    const PERMISSION: Permission = Permission::sqs("ListMessageMoveTasks");
    type Output = ListMessageMoveTasksOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListMessageMoveTasksOutput, Error> {
        let source = required(self.source_arn.as_deref(), "SourceArn")?;
        let max = max_results(self.max_results, MOVE_TASKS_LISTED_MAX, 1)?;
        let source = queue(call, source, "SourceArn", call.permission, &READ)?;
        let tasks = call.app.shards.list_move_tasks(&source.key, max).await.map_err(not_found)?;
        let results = tasks.into_iter().map(|(id, task)| entry(&source.key, id, &task)).collect();
        Ok(ListMessageMoveTasksOutput { results })
    }
}

fn entry(source: &QueueKey, id: TaskId, task: &MoveTask) -> Entry {
    let (status, failure_reason) = match task.status {
        TaskStatus::Running => ("RUNNING", None),
        TaskStatus::Cancelling => ("CANCELLING", None),
        TaskStatus::Cancelled => ("CANCELLED", None),
        TaskStatus::Completed => ("COMPLETED", None),
        TaskStatus::Failed(why) => ("FAILED", Some(reason(why))),
    };
    let running = task.status == TaskStatus::Running;
    Entry {
        task_handle: running.then(|| TaskHandle { task: id, source: source.clone() }.seal()),
        status,
        source_arn: source.arn(),
        destination_arn: task.destination.as_ref().map(QueueKey::arn),
        max_number_of_messages_per_second: task.rate,
        approximate_number_of_messages_moved: task.moved,
        approximate_number_of_messages_to_move: task.to_move,
        failure_reason,
        started_timestamp: task.started_at.0,
    }
}

/// What AWS calls it; it has no known name for a task that took too long.
fn reason(failure: TaskFailure) -> &'static str {
    match failure {
        TaskFailure::NoSuchQueue => error_table::row(&Error::QueueDoesNotExist).query_code,
        TaskFailure::UnknownSource => "CouldNotDetermineMessageSource",
        TaskFailure::TookTooLong => "TaskTimedOut",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::fifo::Seq;
    use crate::model::time::Timestamp;

    fn shown(status: TaskStatus, destination: Option<QueueKey>) -> serde_json::Value {
        let source = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:dead").unwrap();
        let rate = destination.is_some().then_some(7);
        let started_at = Timestamp(1_700_000_000_123);
        let (before, moved, to_move) = (Seq(9), 3, 5);
        let task = MoveTask { status, destination, rate, started_at, before, moved, to_move };
        let mut entry = serde_json::to_value(entry(&source, TaskId(1), &task)).unwrap();
        if let Some(handle) = entry.get_mut("TaskHandle") {
            *handle = json!("handle");
        }
        entry
    }

    #[test]
    fn only_a_running_task_has_a_handle_and_only_a_failed_one_a_reason() {
        let there = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:there");
        assert_eq!(
            shown(TaskStatus::Running, there),
            json!({
                "TaskHandle": "handle",
                "Status": "RUNNING",
                "SourceArn": "arn:aws:sqs:us-east-1:000000000000:dead",
                "DestinationArn": "arn:aws:sqs:us-east-1:000000000000:there",
                "MaxNumberOfMessagesPerSecond": 7,
                "ApproximateNumberOfMessagesMoved": 3,
                "ApproximateNumberOfMessagesToMove": 5,
                "StartedTimestamp": 1_700_000_000_123u64,
            })
        );
        assert_eq!(
            shown(TaskStatus::Failed(TaskFailure::NoSuchQueue), None),
            json!({
                "Status": "FAILED",
                "SourceArn": "arn:aws:sqs:us-east-1:000000000000:dead",
                "ApproximateNumberOfMessagesMoved": 3,
                "ApproximateNumberOfMessagesToMove": 5,
                "FailureReason": "AWS.SimpleQueueService.NonExistentQueue",
                "StartedTimestamp": 1_700_000_000_123u64,
            })
        );
    }
}
