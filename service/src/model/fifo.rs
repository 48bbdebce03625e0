//! The identifiers of FIFO and fair queues, and the sequence number.

use std::fmt;

use crate::limits;

/// Order of a queue, never reused: 24 bits of start epoch, then a 40-bit counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

impl Seq {
    /// Before every message.
    pub const MIN: Seq = Seq(0);
    /// After every message.
    pub const MAX: Seq = Seq(u64::MAX);

    /// The first sequence number of a start epoch.
    pub const fn first_of_epoch(epoch: u32) -> Seq {
        Seq((epoch as u64) << 40)
    }

    /// The one after this.
    pub const fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

/// Twenty digits, as FIFO queues show it: text order is number order.
impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

/// A message group inside keys: a 128-bit keyed hash of its `MessageGroupId`, never the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupHash(pub u128);

impl GroupHash {
    /// Stands for the messages of a fair queue that carry no group: each its own tenant, so this
    /// one is never noisy.
    pub const UNGROUPED: GroupHash = GroupHash(0);
}

/// A deduplication id inside keys: a 128-bit keyed hash of the id, or of the body's SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupHash(pub u128);

/// A `ReceiveRequestAttemptId` as a 64-bit keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptHash(pub u64);

/// Whether `text` is a legal group, deduplication or attempt id: 1 to 128 printable ASCII
/// characters without blank (facts sheet, 6.1).
pub fn is_legal_id(text: &str) -> bool {
    (1..=limits::FIFO_ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_graphic())
}
