//! The actions of Amazon SQS. A new one is a file with an [`Action`] and a line in [`ACTIONS`].

pub mod add_permission;
pub mod batch;
pub mod cancel_message_move_task;
pub mod change_message_visibility;
pub mod change_message_visibility_batch;
#[cfg(test)]
mod compatibility;
pub mod create_queue;
pub mod delete_message;
pub mod delete_message_batch;
pub mod delete_queue;
pub mod get_queue_attributes;
pub mod get_queue_url;
pub mod list_dead_letter_source_queues;
pub mod list_message_move_tasks;
pub mod list_queue_tags;
pub mod list_queues;
pub mod message;
pub mod move_task;
pub mod purge_queue;
pub mod receive_message;
pub mod redrive;
pub mod remove_permission;
pub mod send_message;
pub mod send_message_batch;
pub mod set_queue_attributes;
pub mod start_message_move_task;
pub mod tag_queue;
pub mod tags;
pub mod untag_queue;

use crate::api::action::{Action, Row, row};

/// Every action, in the order of their names.
pub const ACTIONS: &[Row] = &[
    row::<add_permission::AddPermission>(),
    row::<cancel_message_move_task::CancelMessageMoveTask>(),
    row::<change_message_visibility::ChangeMessageVisibility>(),
    row::<change_message_visibility_batch::ChangeMessageVisibilityBatch>(),
    row::<create_queue::CreateQueue>(),
    row::<delete_message::DeleteMessage>(),
    row::<delete_message_batch::DeleteMessageBatch>(),
    row::<delete_queue::DeleteQueue>(),
    row::<get_queue_attributes::GetQueueAttributes>(),
    row::<get_queue_url::GetQueueUrl>(),
    row::<list_dead_letter_source_queues::ListDeadLetterSourceQueues>(),
    row::<list_message_move_tasks::ListMessageMoveTasks>(),
    row::<list_queue_tags::ListQueueTags>(),
    row::<list_queues::ListQueues>(),
    row::<purge_queue::PurgeQueue>(),
    row::<receive_message::ReceiveMessage>(),
    row::<remove_permission::RemovePermission>(),
    row::<send_message::SendMessage>(),
    row::<send_message_batch::SendMessageBatch>(),
    row::<set_queue_attributes::SetQueueAttributes>(),
    row::<start_message_move_task::StartMessageMoveTask>(),
    row::<tag_queue::TagQueue>(),
    row::<untag_queue::UntagQueue>(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policy::actions;

    #[test]
    fn the_readme_lists_exactly_these_actions() {
        let readme = include_str!("../../../../README.md");
        let (_, list) = readme.split_once("<!-- actions:").expect("the list begins");
        let (list, _) = list.split_once("<!-- end of actions -->").expect("the list ends");
        let listed: Vec<&str> = list
            .lines()
            .filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0))
            .collect();
        let served: Vec<&str> = ACTIONS.iter().map(|row| row.name).collect();
        assert_eq!(listed, served);
    }

    #[test]
    fn every_action_has_a_permission_that_policies_can_name() {
        for row in ACTIONS {
            let name = row.name.strip_suffix("Batch").unwrap_or(row.name);
            assert!(actions::find(name).is_some(), "{name}");
        }
    }
}
