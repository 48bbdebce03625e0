//! Moving all messages of a dead-letter queue back, or elsewhere.

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{Action, actions, replies};

/// Starts to move the messages of a dead-letter queue.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StartMessageMoveTask {
    /// The dead-letter queue.
    pub source_arn: String,
    /// Where to; by default each message goes where it came from.
    pub destination_arn: Option<String>,
    /// 1 to 500; by default as fast as it goes.
    pub max_number_of_messages_per_second: Option<u32>,
}

/// A move task has begun.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StartMessageMoveTaskReply {
    /// What cancels it.
    pub task_handle: String,
}

impl Action for StartMessageMoveTask {
    const TARGET: &'static str = "AmazonSQS.StartMessageMoveTask";
    // The second would find the first one running, and its handle would be lost.
    const REPEATABLE: bool = false;
    type Reply = StartMessageMoveTaskReply;
}

/// Ends a move task; what was moved stays moved.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CancelMessageMoveTask {
    /// What the start answered.
    pub task_handle: String,
}

/// A move task is cancelled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CancelMessageMoveTaskReply {
    /// How many had been moved.
    pub approximate_number_of_messages_moved: u64,
}

/// Lists the move tasks of a dead-letter queue, the newest first.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMessageMoveTasks {
    /// The dead-letter queue.
    pub source_arn: String,
    /// 1 to 10; without it 1.
    pub max_results: Option<u32>,
}

/// Move tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListMessageMoveTasksReply {
    /// The newest first.
    pub results: Vec<MessageMoveTask>,
}

/// A move task, and how far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MessageMoveTask {
    /// While it runs.
    pub task_handle: Option<String>,
    /// `RUNNING`, `COMPLETED`, `CANCELLING`, `CANCELLED` or `FAILED`.
    pub status: String,
    /// The dead-letter queue.
    pub source_arn: String,
    /// As it was given.
    pub destination_arn: Option<String>,
    /// As it was given.
    pub max_number_of_messages_per_second: Option<u32>,
    /// So far.
    pub approximate_number_of_messages_moved: u64,
    /// When it began.
    pub approximate_number_of_messages_to_move: Option<u64>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub started_timestamp: u64,
}

actions! { "AmazonSQS":
    CancelMessageMoveTask => CancelMessageMoveTaskReply,
    ListMessageMoveTasks => ListMessageMoveTasksReply,
}
replies! { StartMessageMoveTaskReply, CancelMessageMoveTaskReply, ListMessageMoveTasksReply }
