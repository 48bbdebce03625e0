//! PauseQueue.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::shard::handle::{Pause, QueueInfo};

/// Holds up what clients do to a queue, until ResumeQueue, over restarts too. Paused receives find
/// nothing, and long ones wait their time; paused sends are refused with `RequestThrottled`. Deletes,
/// changes of visibility, dead letters that arrive, and expiry go on.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PauseQueue {
    queue_url: Option<String>,
    operation: Option<String>,
}

/// What is paused now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PausedOutput {
    receive: bool,
    send: bool,
}

impl From<&QueueInfo> for PausedOutput {
    fn from(queue: &QueueInfo) -> PausedOutput {
        PausedOutput { receive: queue.paused.receive, send: queue.paused.send }
    }
}

impl Action for PauseQueue {
    const NAME: &'static str = "PauseQueue";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = PausedOutput;

    async fn run(self, call: &Call<'_>) -> Result<PausedOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let change = parse_operation(self.operation.as_deref(), true)?;
        Ok((&*call.app.shards.pause(&queue.key, change).await?).into())
    }
}

/// Which operation `Operation` means: both, where it is absent.
pub(super) fn parse_operation(given: Option<&str>, paused: bool) -> Result<Pause, Error> {
    let (receive, send) = match given {
        None | Some("Both") => (true, true),
        Some("Receive") => (true, false),
        Some("Send") => (false, true),
        Some(other) => {
            return Err(Error::invalid("Operation", other, "Must be Receive, Send or Both."));
        }
    };
    Ok(Pause { receive: receive.then_some(paused), send: send.then_some(paused) })
}
