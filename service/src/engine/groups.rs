//! The groups of a queue for somebody who reads its rows beside it: what of each is in flight or
//! returned. How many were never received, and which come first, their rows say.

use std::collections::BTreeMap;

use crate::engine::queue::Queue;
use crate::model::fifo::{GroupHash, Seq};

/// The groups of a queue at one moment, as far as their rows do not say it.
#[derive(Clone, Debug)]
pub struct GroupsView {
    /// Of groups before this one it says everything; `None`: of all.
    pub until: Option<GroupHash>,
    /// Groups with something in flight (FIFO: or returned), from the one on that was asked for.
    pub groups: BTreeMap<GroupHash, ViewedGroup>,
}

/// What of a group was received and not deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ViewedGroup {
    /// Messages in flight.
    pub in_flight: u64,
    /// FIFO: messages that came back and were not received again.
    pub returned: u64,
    /// FIFO: the first of them all.
    pub first: Option<Seq>,
    /// Fair queues: others come first.
    pub noisy: bool,
}

impl Queue {
    /// The groups from one on, at most so many of those that were received from.
    pub fn view_groups(&self, from: GroupHash, max: usize) -> GroupsView {
        let mut hashes: Box<dyn Iterator<Item = GroupHash>> = match self.is_fifo() {
            true => Box::new(self.held.range(from..).map(|(group, _)| *group)),
            false => Box::new(self.deliveries.groups_in_flight(from)),
        };
        let viewed = |group: GroupHash| (group, self.view_group(group));
        let groups = hashes.by_ref().take(max).map(viewed).collect();
        GroupsView { until: hashes.next(), groups }
    }

    fn view_group(&self, group: GroupHash) -> ViewedGroup {
        let in_flight = u64::from(self.deliveries.in_flight_of(group));
        let held = self.held.get(&group).map_or((0, None), |held| held.extent());
        ViewedGroup {
            in_flight,
            returned: (held.0 as u64).saturating_sub(in_flight),
            first: held.1,
            noisy: self.noisy.contains_key(&group),
        }
    }
}
