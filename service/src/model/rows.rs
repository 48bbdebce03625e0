//! What is remembered about a queue, row by row, as types. `store/keys.rs` and `store/codec.rs`
//! turn rows into bytes; the engine reads and writes only these.

use bytes::Bytes;

use super::fifo::{AttemptHash, DedupHash, GroupHash, Seq};
use super::message::MessageId;
use super::time::{Millis, Timestamp};

/// Which range of keys holds a message: delayed ones stay apart for ever, so that they never lie
/// in the way of a receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Sent without a delay of its own.
    #[default]
    Main,
    /// Sent with a delay to a standard queue; its `timers` row says when it is due.
    Delayed,
}

/// The address of a message inside its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Which range.
    pub lane: Lane,
    /// Where in it.
    pub seq: Seq,
}

/// What never changes after the send. The head is what the engine decides by; the payload (body,
/// attributes, digests, ids) is opaque to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    /// What the engine needs to know.
    pub head: MessageHead,
    /// Encoded by `store::codec::encode_payload`, opaque below the API.
    pub payload: Bytes,
    /// Set on messages that came from another queue.
    pub moved: Option<Box<Moved>>,
}

impl MessageRow {
    /// Bytes this row holds in memory, for budgets.
    pub fn weight(&self) -> usize {
        self.payload.len() + 96
    }
}

/// The part of a message row that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageHead {
    /// `SentTimestamp`: when the message was first sent. Kept by a dead-letter move.
    pub sent_at: Timestamp,
    /// Where its retention starts: `sent_at`, except after a move that restarts it.
    pub retained_from: Timestamp,
    /// When its own delay ends; `None` when it had none.
    pub due_at: Option<Timestamp>,
    /// Its message group; `None` when it has none.
    pub group: Option<GroupHash>,
    /// Receives in earlier queues.
    pub earlier_receives: u32,
    /// First receive in an earlier queue.
    pub earlier_first_received_at: Option<Timestamp>,
}

impl MessageHead {
    /// The head of a message that is sent now.
    pub fn sent(
        now: Timestamp,
        due_at: Option<Timestamp>,
        group: Option<GroupHash>,
    ) -> MessageHead {
        MessageHead {
            sent_at: now,
            retained_from: now,
            due_at,
            group,
            earlier_receives: 0,
            earlier_first_received_at: None,
        }
    }
}

/// Where a moved message came from, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The ARN of the queue it came from.
    pub source_arn: String,
    /// `true` for a dead letter, `false` for a redrive or an admin's move.
    pub dead_letter: bool,
    /// Receives in the source alone.
    pub receive_count: u32,
    /// When it left the source.
    pub moved_at: Timestamp,
    /// In words, for people: `maxReceiveCount 3 exceeded`.
    pub reason: String,
    /// How often it was taken away from where dead letters are, over all its queues: one that comes
    /// back again and again is not to be redriven for ever.
    pub redrives: u32,
}

impl Moved {
    /// The redrives of a message that is moved once more, as a dead letter or otherwise.
    pub fn redrives_after(earlier: Option<&Moved>, dead_letter: bool) -> u32 {
        let redriven = !dead_letter && earlier.is_some_and(|moved| moved.dead_letter);
        earlier.map_or(0, |moved| moved.redrives).saturating_add(redriven.into())
    }
}

/// One receive of a queue, never used again: 24 bits of start epoch, then a 40-bit counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiveId(pub u64);

/// What changes about a message: exists only while it has been received from *this* queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// The lane its message row is in.
    pub lane: Lane,
    /// Hidden until then; in the past: available again.
    pub visible_at: Timestamp,
    /// The last receive: the twelve hours count from here.
    pub received_at: Timestamp,
    /// Receives from this queue.
    pub receive_count: u32,
    /// The first of them.
    pub first_received_at: Timestamp,
    /// Random, per receive: tells the latest receipt handle from older ones.
    pub nonce: u64,
    /// Copied from the message: expiry and order need no second read.
    pub retained_from: Timestamp,
    /// Copied from the message.
    pub group: Option<GroupHash>,
    /// FIFO: the receive attempt that holds it and how many messages that attempt got; removed by
    /// anything that changes the visibility.
    pub attempt: Option<(AttemptHash, u8)>,
}

/// The messages that were given out last by one receive, with their deliveries: most are received
/// together and deleted together, and so is their row.
pub type ReceiveRow = Vec<(Seq, DeliveryRow)>;

/// A group that has messages which were never received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// How many.
    pub fresh: u64,
    /// Its place in line; `None` while it is held (FIFO: something of it was received).
    pub place: Option<LinePlace>,
}

/// A place in the line of groups. A group that arrives takes its first message's `seq` and round
/// zero; one that was received from takes the newest eligible `seq` and the next round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinePlace {
    /// Orders the line.
    pub seq: Seq,
    /// Orders places of one `seq`.
    pub round: u64,
}

/// The first accepted send under a deduplication id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DedupRow {
    /// The message's id.
    pub message_id: MessageId,
    /// The message's sequence number.
    pub seq: Seq,
    /// When it was accepted: the window counts from here.
    pub accepted_at: Timestamp,
}

/// Which five minutes of accepted sends a deduplication row belongs to; expiry drops whole buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupBucket(pub u64);

impl DedupBucket {
    /// The deduplication window (facts sheet, 6.3), and the width of a bucket.
    pub const WINDOW: Millis = Millis(5 * 60 * 1000);

    /// The bucket of a moment.
    pub const fn of(moment: Timestamp) -> DedupBucket {
        DedupBucket(moment.0 / Self::WINDOW.0)
    }
}

/// A queue's cursors and counters, summed up once per turn in the batch that changed them. With it
/// a start reads no messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HintRow {
    /// Next sequence number to give to a message.
    pub next_seq: Seq,
    /// Standard: next `seq` of the main lane that was never received.
    pub fresh: Seq,
    /// Standard: from here up to `fresh` the main lane still has rows of messages that are gone. A
    /// message before `fresh` is alive exactly as long as it has a delivery.
    pub cleared: Seq,
    /// Sweep cursor of the main lane (FIFO) and of the delayed lane (standard): nothing alive below.
    pub low: Seq,
    /// Messages that were received and are not gone. `None` where a version wrote it that did not
    /// count them.
    pub held: Option<u64>,
    /// Messages never received, not delayed, and not counted in `due_count`.
    pub fresh_count: u64,
    /// Standard: messages never received whose own delay has ended.
    pub due_count: u64,
    /// Messages whose first delay has not ended.
    pub delayed_count: u64,
    /// Timers up to and including this were counted as due.
    pub due_cursor: (Timestamp, Seq),
    /// First timer that may be alive.
    pub timers_from: (Timestamp, Seq),
    /// FIFO: first `seq` that still waits for the queue's delay.
    pub undelayed: Seq,
    /// FIFO and fair: groups in line.
    pub line_count: u64,
    /// FIFO and fair: where the line starts.
    pub line_from: LinePlace,
    /// FIFO and fair: last round given in the line.
    pub round: u64,
    /// Fair: where the first grouped message arrived; from here on every message of the main lane
    /// is indexed by group.
    pub fair_from: Option<Seq>,
    /// Messages that were moved in may be older than their neighbours: expiry looks at all.
    pub mixed_ages: bool,
}

/// The address of one row of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKey {
    /// → [`MessageRow`]
    Message(Place),
    /// → [`ReceiveRow`]
    Receive(ReceiveId),
    /// → the group of the message, if any
    Timer(Timestamp, Seq),
    /// → [`GroupRow`]
    Group(GroupHash),
    /// → nothing: a never-received message of a group
    Member(GroupHash, Seq),
    /// → the group that stands there
    Line(LinePlace),
    /// → [`DedupRow`]
    Dedup(DedupKey),
}

/// The address of a deduplication row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DedupKey {
    /// When it was accepted.
    pub bucket: DedupBucket,
    /// The group when the scope is `messageGroup`, [`GroupHash::UNGROUPED`] when it is the queue.
    pub scope: GroupHash,
    /// The id.
    pub id: DedupHash,
}

/// One change to a queue's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Writes a message.
    Message(Place, MessageRow),
    /// Writes what a receive has left.
    Receive(ReceiveId, ReceiveRow),
    /// Writes a timer.
    Timer(Timestamp, Seq, Option<GroupHash>),
    /// Writes a group.
    Group(GroupHash, GroupRow),
    /// Adds a message to its group's index.
    Member(GroupHash, Seq),
    /// Puts a group in line.
    Line(LinePlace, GroupHash),
    /// Remembers a deduplication id.
    Dedup(DedupKey, DedupRow),
    /// Removes a row, which may be missing.
    Remove(RowKey),
    /// Removes the messages of the main lane from one number up to another, as far as their rows
    /// are there. Nobody can come upon them any more.
    Clear(Seq, Seq),
}
