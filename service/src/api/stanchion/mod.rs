//! What operators need beside SQS: actions of our own, over AWS JSON at the same address, as
//! `X-Amz-Target: Stanchion.<Action>`. Their errors, pages and names follow those of SQS.

pub mod advance_clock;
mod filter;
pub mod get_server_info;
pub mod list_queue_stats;
pub mod peek_messages;

use crate::api::action::{Action, Row, row};

/// Every action of our own, in the order of their names.
pub const ACTIONS: &[Row] = &[
    row::<advance_clock::AdvanceClock>(),
    row::<get_server_info::GetServerInfo>(),
    row::<list_queue_stats::ListQueueStats>(),
    row::<peek_messages::PeekMessages>(),
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
