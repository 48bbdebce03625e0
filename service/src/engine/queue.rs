//! One queue: what is in flight, what came back, where fresh messages start, and the counters.

use crate::engine::command::{Command, Context, Effects, Need, Step};
use crate::model::attributes::QueueSettings;
use crate::model::fifo::Seq;
use crate::model::rows::{DeliveryRow, HintRow};
use crate::model::time::Timestamp;

/// Messages of a queue by state. Exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Ready to be received.
    pub available: u64,
    /// Received, neither deleted nor visible again.
    pub in_flight: u64,
    /// Waiting for the end of their first delay.
    pub delayed: u64,
}

/// The state machine of one queue.
#[derive(Debug)]
pub struct Queue {}

impl Queue {
    /// A queue as its rows left it: `deliveries` are all of its delivery rows, in any order.
    /// `first_seq` is the first sequence number of this start's epoch; numbers given from now on
    /// are at least that. A new queue has a default hint and no deliveries.
    pub fn open(
        settings: QueueSettings,
        hint: HintRow,
        deliveries: Vec<(Seq, DeliveryRow)>,
        first_seq: Seq,
        now: Timestamp,
    ) -> Queue {
        todo!()
    }

    /// The settings in force.
    pub fn settings(&self) -> &QueueSettings {
        todo!()
    }

    /// Puts new settings in force from `now` on (facts sheet, 3.8).
    pub fn configure(&mut self, settings: QueueSettings, now: Timestamp) {
        todo!()
    }

    /// Rows a command will certainly ask for: loading them for a whole turn at once saves reads.
    /// Never wrong to ignore.
    pub fn plan(&self, command: &Command, now: Timestamp) -> Vec<Need> {
        todo!()
    }

    /// Applies one command. When it answers [`Step::More`], nothing has changed and `command` is as
    /// it was: load the rows, add them to what was loaded before, and call again. When it answers
    /// [`Step::Done`], `command` has been used up. Same queue, command, context: same outcome.
    pub fn apply(&mut self, command: &mut Command, context: &mut Context<'_>) -> Step {
        todo!()
    }

    /// Does what time asks for: ends visibility timeouts and delays, drops what is past its
    /// retention. Bounded work per call (about 1,000 rows). `Step::More` as for `apply`;
    /// `Step::Done` when this step is through; call again at [`Queue::next_deadline`], which may
    /// be at once.
    pub fn expire(&mut self, context: &mut Context<'_>) -> Step {
        todo!()
    }

    /// The earliest moment `expire` has something to do; `None` while there is nothing. At or
    /// before the present while work is left over.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        todo!()
    }

    /// Whether a receive could get something now. Cheap, and never wrong with `false`; a `true`
    /// may turn out empty.
    pub fn has_work(&self) -> bool {
        todo!()
    }

    /// Messages by state.
    pub fn counters(&self) -> Counters {
        todo!()
    }

    /// The row that sums this queue up, to be committed with the writes of a turn that changed it.
    pub fn hint(&self) -> HintRow {
        todo!()
    }

    /// Bytes in the read-ahead window.
    pub fn window_bytes(&self) -> usize {
        todo!()
    }

    /// Empties the read-ahead window; it fills again from the store when needed.
    pub fn drop_window(&mut self) {
        todo!()
    }

    /// When the message that has waited longest became available; for the age metric. `None` when
    /// nothing is available or it is not known without a read.
    pub fn oldest_available_since(&self) -> Option<Timestamp> {
        todo!()
    }

    /// In flight plus returned: what this queue holds in memory.
    pub fn held(&self) -> usize {
        todo!()
    }
}
