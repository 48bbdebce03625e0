//! What operators need beside SQS: actions of our own, over AWS JSON at the same address, as
//! `X-Amz-Target: Stanchion.<Action>`. Their errors, pages and names follow those of SQS.

pub mod advance_clock;
pub mod checkpoint;
pub mod delete_checkpoint;
pub mod get_server_info;
pub mod list_checkpoints;
pub mod pause_queue;
pub mod reset;
pub mod resume_queue;

use crate::api::action::{Action, Row, row};

/// Every action of our own, in the order of their names.
pub const ACTIONS: &[Row] = &[
    row::<advance_clock::AdvanceClock>(),
    row::<checkpoint::Checkpoint>(),
    row::<delete_checkpoint::DeleteCheckpoint>(),
    row::<get_server_info::GetServerInfo>(),
    row::<list_checkpoints::ListCheckpoints>(),
    row::<pause_queue::PauseQueue>(),
    row::<reset::Reset>(),
    row::<resume_queue::ResumeQueue>(),
];
