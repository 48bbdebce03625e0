//! ListMessageGroups.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::api::sqs::list_queues::max_results;
use crate::error::Error;
use crate::limits;
use crate::model::message::MessageId;
use crate::model::policy::actions::Permission;
use crate::model::queue::QueueKind;
use crate::model::time::Millis;
use crate::shard::groups::Group;

/// Shows the message groups of a FIFO or fair queue that have messages.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMessageGroups {
    queue_url: Option<String>,
    message_group_id: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Groups, and where to go on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMessageGroupsOutput {
    groups: Vec<GroupOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GroupOutput {
    message_group_id: String,
    waiting: u64,
    in_flight: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    returned: Option<u64>,
    head_message_id: MessageId,
    head_age_seconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    noisy: Option<bool>,
}

impl Action for ListMessageGroups {
    const NAME: &'static str = "ListMessageGroups";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = ListMessageGroupsOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListMessageGroupsOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let max = max_results(
            self.max_results,
            limits::GROUPS_RESULTS_MAX,
            limits::GROUPS_RESULTS_DEFAULT,
        )?;
        let shards = &call.app.shards;
        let (groups, next_token) = match self.message_group_id {
            Some(id) => (shards.group(&queue.key, &id).await?.into_iter().collect(), None),
            None => {
                let token = self.next_token.filter(|token| !token.is_empty());
                let groups = shards.groups(&queue.key, token.as_deref(), max).await?;
                (groups.groups, groups.token)
            }
        };
        let show = |group| GroupOutput::new(group, queue.kind());
        Ok(ListMessageGroupsOutput { groups: groups.into_iter().map(show).collect(), next_token })
    }
}

impl GroupOutput {
    fn new(group: Group, kind: QueueKind) -> GroupOutput {
        let fifo = kind == QueueKind::Fifo;
        let Millis(age) = group.head_age;
        GroupOutput {
            message_group_id: group.id,
            waiting: group.waiting,
            in_flight: group.in_flight,
            returned: fifo.then_some(group.returned),
            head_message_id: group.head,
            head_age_seconds: age / 1000,
            held: fifo.then_some(group.held),
            noisy: (!fifo).then_some(group.noisy),
        }
    }
}
