//! Everything that can go into a queue and come out of it.

use std::collections::HashMap;

use bytes::Bytes;

use crate::error::Error;
use crate::model::fifo::{AttemptHash, DedupHash, GroupHash, Seq};
use crate::model::filter::States;
use crate::model::message::{MessageId, MessageState};
use crate::model::queue::QueueKey;
use crate::model::rows::{
    DedupKey, DedupRow, DeliveryRow, GroupRow, Lane, LinePlace, MessageRow, Moved, Place, Write,
};
use crate::model::time::{Millis, Timestamp};

/// A message on its way in.
#[derive(Clone, Debug)]
pub struct Incoming {
    /// Its id.
    pub id: MessageId,
    /// Everything the engine does not look at, encoded.
    pub payload: Bytes,
    /// Its own delay, standard queues only.
    pub delay: Option<Millis>,
    /// Its group.
    pub group: Option<GroupHash>,
    /// FIFO: its deduplication id. Always present there.
    pub dedup: Option<DedupHash>,
}

/// A request for messages.
#[derive(Clone, Copy, Debug)]
pub struct Receive {
    /// 1 to 10.
    pub max: usize,
    /// `None`: the queue's.
    pub visibility: Option<Millis>,
    /// FIFO: `ReceiveRequestAttemptId`.
    pub attempt: Option<AttemptHash>,
    /// `true` for a long poll: too many in flight is then an empty answer instead of an error.
    pub patient: bool,
}

/// What an opened receipt handle says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which message.
    pub place: Place,
    /// Which receive of it.
    pub nonce: u64,
}

/// A look at the available messages, in the order in which they would be received.
#[derive(Clone, Copy, Debug)]
pub struct Survey {
    /// Where to begin.
    pub from: SurveyFrom,
    /// At most so many messages.
    pub max: usize,
    /// None after the message that reaches so many bytes.
    pub bytes_max: usize,
    /// Only messages with smaller numbers.
    pub before: Seq,
    /// Of messages with a delay of their own, only those whose delay had ended by then.
    pub due_by: Timestamp,
}

/// A point in a survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SurveyFrom {
    /// The first available message.
    Start,
    /// FIFO: behind this one of the groups that were received from and may go on.
    Ready((Timestamp, GroupHash)),
    /// FIFO: this place in line.
    Line(LinePlace),
}

/// What a survey came to.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// Messages, those of a group in their order.
    pub found: Vec<Found>,
    /// Where to go on; `None` when everything was looked at. There may be nothing more.
    pub next: Option<SurveyFrom>,
}

/// A message a survey has come upon.
#[derive(Clone, Debug)]
pub struct Found {
    /// Where it is.
    pub place: Place,
    /// What was sent.
    pub message: MessageRow,
}

/// Messages to send to another queue.
#[derive(Clone, Debug)]
pub struct SendOff {
    /// Which, in the order of leaving. Each is loaded, so not many at a time.
    pub places: Vec<Place>,
    /// Where to. That it exists and is of the same kind is for the shard to know.
    pub target: QueueKey,
    /// They go as dead letters: what they keep is in the facts sheet, 8.2. Otherwise they are new
    /// messages to the target (8.5).
    pub dead_letter: bool,
    /// Why, in words.
    pub reason: String,
    /// Only those that are in one of these states.
    pub states: States,
    /// Only what was received last with this nonce: who holds the handle decides.
    pub nonce: Option<u64>,
}

impl SendOff {
    /// Sends on what is available, as new messages.
    pub fn of_available(places: Vec<Place>, target: QueueKey, reason: String) -> SendOff {
        let states = [MessageState::Available, MessageState::Returned].into_iter().collect();
        SendOff { places, target, dead_letter: false, reason, states, nonce: None }
    }
}

/// Messages to delete, by their places.
#[derive(Clone, Debug)]
pub struct Removal {
    /// Which. Those that were never received are loaded, so not many at a time.
    pub places: Vec<Place>,
    /// Only those that are in one of these states.
    pub states: States,
}

/// What a queue can be told to do with its messages.
#[derive(Clone, Debug)]
pub enum Command {
    /// Enqueue, in order. → [`Outcome::Sent`], one result an entry.
    Send(Vec<Incoming>),
    /// Hand out messages. → [`Outcome::Received`], maybe empty.
    Receive(Receive),
    /// Delete by handle. → [`Outcome::Done`], one result an entry.
    Delete(Vec<Receipt>),
    /// Hide until now + the span, by handle. → [`Outcome::Done`].
    ChangeVisibility(Vec<(Receipt, Millis)>),
    /// The reply of a receive could not be delivered: make its messages available at once.
    /// → [`Outcome::Done`], empty.
    Release(Vec<Receipt>),
    /// Find available messages. Changes nothing. → [`Outcome::Surveyed`]
    Survey(Survey),
    /// Give messages up to another queue. → [`Outcome::SentOff`]
    SendOff(SendOff),
    /// Delete messages that nobody holds a handle of. → [`Outcome::Done`], one result a place.
    Remove(Removal),
    /// Take in a message that another queue gave up. → [`Outcome::Done`], empty.
    Accept(Departure),
    /// Take back a message whose target is gone: available again, its counts kept.
    /// → [`Outcome::Done`], empty.
    Restore(Departure),
}

/// What a command came to.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Results of a send, in request order.
    Sent(Vec<Result<Accepted, EntryError>>),
    /// Messages handed out.
    Received(Vec<Delivered>),
    /// Messages a survey found.
    Surveyed(Surveyed),
    /// Where the messages were that left.
    SentOff(Vec<Place>),
    /// Results of deletes and visibility changes, in request order.
    Done(Vec<Result<(), EntryError>>),
}

/// An accepted send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The message's id; the original's for a duplicate.
    pub id: MessageId,
    /// The message's sequence number; the original's for a duplicate.
    pub seq: Seq,
    /// Nothing was enqueued: the id was seen within the window.
    pub duplicate: bool,
}

/// Why one entry failed. The handle's text, which the error quotes, is the caller's to add.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryError {
    /// FIFO: the handle's receive is over.
    Expired,
    /// The message is gone, or not where it was expected to be in its life.
    Gone,
    /// More than twelve hours after the receive.
    BeyondLimit,
}

/// A message handed out.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Where it is.
    pub place: Place,
    /// Which receive this is.
    pub nonce: u64,
    /// What was sent.
    pub message: MessageRow,
    /// Receives so far, this one included, over all queues.
    pub receive_count: u32,
    /// The first receive, over all queues.
    pub first_received_at: Timestamp,
}

/// A message leaving one queue for another. Becomes an outbox row, and one day the target's
/// message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// The message as it was in the source.
    pub message: MessageRow,
    /// Where it was there, for a [`Command::Restore`].
    pub place: Place,
    /// Its last delivery there, for a [`Command::Restore`].
    pub delivery: DeliveryRow,
    /// Where it comes from and why: becomes part of the target's row.
    pub moved: Moved,
}

/// A read the engine needs before it can decide. All of one queue's present generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// → [`Answer::Message`]
    Message(Place),
    /// Message rows of a lane from a `seq` on. → [`Answer::Messages`]
    Messages {
        /// Which lane.
        lane: Lane,
        /// From here on, itself included.
        from: Seq,
        /// At most so many.
        rows: usize,
    },
    /// Timers from a point on. → [`Answer::Timers`]
    Timers {
        /// From here on, itself included.
        from: (Timestamp, Seq),
        /// At most so many.
        rows: usize,
    },
    /// Timers of a range, with their messages. → [`Answer::Due`]
    Due {
        /// From here on, itself included.
        from: (Timestamp, Seq),
        /// Up to here, itself included.
        until: (Timestamp, Seq),
        /// At most so many.
        rows: usize,
    },
    /// → [`Answer::Group`]
    Group(GroupHash),
    /// Never-received messages of a group, in order. → [`Answer::Members`]
    Members {
        /// Which group.
        group: GroupHash,
        /// From here on, itself included.
        from: Seq,
        /// At most so many.
        rows: usize,
    },
    /// Groups in line. → [`Answer::Line`]
    Line {
        /// From here on, itself included.
        from: LinePlace,
        /// Before this `seq`.
        before: Seq,
        /// At most so many.
        rows: usize,
    },
    /// → [`Answer::Dedup`]
    Dedup(DedupKey),
}

/// A message whose own delay has ended, and which was never received.
#[derive(Clone, Debug)]
pub struct Due {
    /// When the delay ended.
    pub due_at: Timestamp,
    /// Which message, of the lane of delayed ones.
    pub seq: Seq,
    /// Its group.
    pub group: Option<GroupHash>,
    /// What was sent. Absent only when the store has lost it.
    pub row: Option<MessageRow>,
}

/// What a read found.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The row, if it exists.
    Message(Option<MessageRow>),
    /// Rows in order, and where to go on when there may be more.
    Messages(Vec<(Seq, MessageRow)>, Option<Seq>),
    /// Rows in order, and whether the range is exhausted.
    Timers(Vec<(Timestamp, Seq)>, bool),
    /// Rows in order, and whether the range is exhausted.
    Due(Vec<Due>, bool),
    /// The row, if it exists.
    Group(Option<GroupRow>),
    /// Rows in order, and whether the range is exhausted.
    Members(Vec<Seq>, bool),
    /// Rows in order, and whether the range is exhausted.
    Line(Vec<(LinePlace, GroupHash)>, bool),
    /// The row, if it exists.
    Dedup(Option<DedupRow>),
}

/// The rows that were loaded for one command.
#[derive(Debug, Default)]
pub struct Loaded(pub HashMap<Need, Answer>);

/// What a command does beside its outcome.
#[derive(Debug, Default)]
pub struct Effects {
    /// Row changes, in order.
    pub writes: Vec<Write>,
    /// Messages that leave for another queue.
    pub departures: Vec<Departure>,
    /// Something here must be on the disk before anybody is answered: sends, deletes, every FIFO
    /// operation. Unset for receives and visibility changes of standard queues.
    pub sync: bool,
    /// Messages that are here no longer.
    pub removed: u64,
    /// Of those, messages that expired.
    pub expired: u64,
    /// Sends dropped as duplicates.
    pub duplicates: u64,
}

/// Random numbers from the outside: receipt nonces.
pub trait Rng {
    /// 64 random bits.
    fn next_u64(&mut self) -> u64;
}

/// What a command may see while it is applied.
pub struct Context<'a> {
    /// The moment, on the engine's clock; never earlier than the last one.
    pub now: Timestamp,
    /// Rows that were loaded for this command.
    pub loaded: &'a Loaded,
    /// Receipt nonces.
    pub rng: &'a mut dyn Rng,
    /// The queue that the redrive policy names exists and may take messages.
    pub dead_letter_target: bool,
    /// Bytes the read-ahead window may still grow by.
    pub window_room: usize,
    /// Where changes go.
    pub effects: &'a mut Effects,
}

/// How far a command came.
#[derive(Debug)]
pub enum Step {
    /// It is done; its changes are in the effects and in memory.
    Done(Result<Outcome, Error>),
    /// It needs these rows first. Nothing has changed.
    More(Vec<Need>),
}
