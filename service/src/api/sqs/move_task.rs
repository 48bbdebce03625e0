//! What the three actions of message move tasks share: the queues that ARNs name, and the handle of
//! a task. Source: facts sheet, 8.5.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::model::queue::QueueKey;
use crate::model::task::TaskId;
use crate::shard::handle::QueueInfo;

/// What to take messages out of a source needs, beside the permission of the action itself.
pub const OF_SOURCE: [Permission; 3] = [
    Permission::sqs("ReceiveMessage"),
    Permission::sqs("DeleteMessage"),
    Permission::sqs("GetQueueAttributes"),
];

/// The queue that a parameter names by its ARN, for whoever has the permission of the action and
/// all of the others on it.
pub fn queue(
    call: &Call<'_>,
    arn: &str,
    name: &'static str,
    permission: Permission,
    others: &[Permission],
) -> Result<Arc<QueueInfo>, Error> {
    let Some(key) = QueueKey::parse_arn(arn) else {
        // An ARN of something else names no queue.
        return Err(match arn.starts_with("arn:") && arn.split(':').count() >= 6 {
            true => Error::ResourceNotFound(name),
            false => Error::InvalidParameter(
                format!(
                    "You must use this format to specify the {name}: \
                     arn:<partition>:<service>:<region>:<account-id>:<resource-id>"
                )
                .into(),
            ),
        });
    };
    find(call, &key, name, permission, others)
}

/// The same, of a name.
pub fn find(
    call: &Call<'_>,
    key: &QueueKey,
    name: &'static str,
    permission: Permission,
    others: &[Permission],
) -> Result<Arc<QueueInfo>, Error> {
    let find = |permission: &Permission| {
        call.find(*permission, key).map_err(|error| match error {
            Error::QueueDoesNotExist | Error::QueueOutOfReach => Error::ResourceNotFound(name),
            error => error,
        })
    };
    let queue = find(&permission)?;
    others.iter().try_for_each(|other| find(other).map(drop))?;
    Ok(queue)
}

/// A queue that is gone since it was looked up was not found.
pub fn not_found(error: Error) -> Error {
    match error {
        Error::QueueDoesNotExist => Error::ResourceNotFound("SourceArn"),
        error => error,
    }
}

/// A task, as its handle says it.
#[derive(Debug, PartialEq, Eq)]
pub struct TaskHandle {
    /// Which one.
    pub task: TaskId,
    /// Its source.
    pub source: QueueKey,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct HandleJson {
    task_id: String,
    source_arn: String,
}

impl TaskHandle {
    /// As callers keep it.
    pub fn seal(&self) -> String {
        let task_id = format!("{:016x}", self.task.0);
        let json = HandleJson { task_id, source_arn: self.source.arn() };
        STANDARD.encode(serde_json::json!(json).to_string())
    }

    /// As [`TaskHandle::seal`] made it.
    pub fn open(text: &str) -> Result<TaskHandle, Error> {
        let read = || {
            let json: HandleJson = serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()?;
            let task = TaskId(u64::from_str_radix(&json.task_id, 16).ok()?);
            Some(TaskHandle { task, source: QueueKey::parse_arn(&json.source_arn)? })
        };
        let invalid = "Value for parameter TaskHandle is invalid.";
        read().ok_or(Error::InvalidParameter(invalid.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_a_small_json_document_in_base64() {
        let source = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:dead").unwrap();
        let handle = TaskHandle { task: TaskId(0x10_0000_0001), source };
        let json = STANDARD.decode(handle.seal()).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(json["taskId"], "0000001000000001");
        assert_eq!(json["sourceArn"], "arn:aws:sqs:us-east-1:000000000000:dead");
        assert_eq!(TaskHandle::open(&handle.seal()), Ok(handle));
    }

    #[test]
    fn what_is_no_handle_is_refused() {
        let sealed = |json: &str| STANDARD.encode(json);
        for text in [
            String::new(),
            "?".into(),
            sealed("{}"),
            sealed("[]"),
            sealed(r#"{"taskId":"x","sourceArn":"arn:aws:sqs:us-east-1:000000000000:dead"}"#),
            sealed(r#"{"taskId":"1","sourceArn":"dead"}"#),
        ] {
            assert!(matches!(TaskHandle::open(&text), Err(Error::InvalidParameter(_))), "{text}");
        }
    }
}
