//! What operators need beside SQS: actions of our own, over AWS JSON at the same address, as
//! `X-Amz-Target: Stanchion.<Action>`. Their errors, pages and names follow those of SQS.

mod access;
pub mod advance_clock;
pub mod checkpoint;
pub mod create_access_key;
pub mod dead_letter_message;
pub mod delete_access_key;
pub mod delete_checkpoint;
pub mod delete_messages;
pub mod delete_user;
pub mod delete_user_policy;
mod filter;
pub mod get_server_info;
pub mod list_access_keys;
pub mod list_checkpoints;
pub mod list_message_groups;
pub mod list_queue_stats;
pub mod list_users;
pub mod move_messages;
pub mod pause_queue;
pub mod peek_messages;
pub mod purge_message_group;
pub mod put_user_policy;
pub mod reset;
pub mod resume_queue;
pub mod rotate_keys;
pub mod simulate_policy;
pub mod skip_message_group_head;
pub mod update_access_key;

use crate::api::action::{Action, Row, row};

/// Every action of our own, in the order of their names.
pub const ACTIONS: &[Row] = &[
    row::<advance_clock::AdvanceClock>(),
    row::<checkpoint::Checkpoint>(),
    row::<create_access_key::CreateAccessKey>(),
    row::<dead_letter_message::DeadLetterMessage>(),
    row::<delete_access_key::DeleteAccessKey>(),
    row::<delete_checkpoint::DeleteCheckpoint>(),
    row::<delete_messages::DeleteMessages>(),
    row::<delete_user::DeleteUser>(),
    row::<delete_user_policy::DeleteUserPolicy>(),
    row::<get_server_info::GetServerInfo>(),
    row::<list_access_keys::ListAccessKeys>(),
    row::<list_checkpoints::ListCheckpoints>(),
    row::<list_message_groups::ListMessageGroups>(),
    row::<list_queue_stats::ListQueueStats>(),
    row::<list_users::ListUsers>(),
    row::<move_messages::MoveMessages>(),
    row::<pause_queue::PauseQueue>(),
    row::<peek_messages::PeekMessages>(),
    row::<purge_message_group::PurgeMessageGroup>(),
    row::<put_user_policy::PutUserPolicy>(),
    row::<reset::Reset>(),
    row::<resume_queue::ResumeQueue>(),
    row::<rotate_keys::RotateKeys>(),
    row::<simulate_policy::SimulatePolicy>(),
    row::<skip_message_group_head::SkipMessageGroupHead>(),
    row::<update_access_key::UpdateAccessKey>(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_describes_exactly_these_actions() {
        let page = include_str!("../../../../docs/admin-actions.md");
        let heading = |line: &'static str| line.strip_prefix("## `")?.strip_suffix('`');
        let described: Vec<&str> = page.lines().filter_map(heading).collect();
        let actions: Vec<&str> = ACTIONS.iter().map(|row| row.name).collect();
        assert_eq!(described, actions);
    }
}
