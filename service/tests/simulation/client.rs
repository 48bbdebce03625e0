//! What clients ask, and what they make of the answers.

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use stanchion_service::engine::command::{Delivered, Outcome, Receipt};
use stanchion_service::error::Error;
use stanchion_service::model::digest::md5_of_body;
use stanchion_service::model::message::{Attributes, Content, MessageId};
use stanchion_service::model::queue::QueueId;
use stanchion_service::shard::request::Parcel;
use stanchion_service::store::payload::{decode_payload, encode_payload};

/// Something a client waits for.
pub(crate) struct Pending {
    pub(crate) asked: Asked,
    /// When it was asked: the step, and engine time.
    pub(crate) step: u64,
    pub(crate) answer: Answer,
}

/// What it asked.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    /// These letters, by number.
    Send(Vec<usize>),
    Receive {
        queue: usize,
        visibility_ms: u64,
    },
    Delete(Vec<Held>),
    Change,
    Purge,
    Recreate,
}

/// A message a client holds a handle of.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) queue: usize,
    pub(crate) identity: QueueId,
    pub(crate) letter: usize,
    pub(crate) receipt: Receipt,
}

/// Where the answer will be.
pub(crate) enum Answer {
    Parcel(oneshot::Receiver<Result<Parcel, Error>>),
    Unit(oneshot::Receiver<Result<(), Error>>),
}

/// What became of a request.
pub(crate) enum Came {
    NotYet,
    /// The server died; nobody knows.
    Unknown,
    Refused,
    Outcome(QueueId, Outcome),
    Done,
}

impl Pending {
    pub(crate) fn look(&mut self) -> Came {
        match &mut self.answer {
            Answer::Parcel(receiver) => match receiver.try_recv() {
                Ok(Ok(parcel)) => {
                    let queue = parcel.queue;
                    Came::Outcome(queue, parcel.open())
                }
                Ok(Err(_)) => Came::Refused,
                Err(TryRecvError::Empty) => Came::NotYet,
                Err(TryRecvError::Closed) => Came::Unknown,
            },
            Answer::Unit(receiver) => match receiver.try_recv() {
                Ok(Ok(())) => Came::Done,
                Ok(Err(_)) => Came::Refused,
                Err(TryRecvError::Empty) => Came::NotYet,
                Err(TryRecvError::Closed) => Came::Unknown,
            },
        }
    }
}

/// A letter as it is sent: its body is its number.
pub(crate) fn payload_of(id: &MessageId, letter: usize) -> Bytes {
    let body = Bytes::from(letter.to_string());
    let content = Content {
        body_md5: md5_of_body(&body),
        body,
        attributes: Attributes::new(),
        attributes_md5: None,
        trace_header: None,
        sender_id: String::new(),
        group_id: None,
        deduplication_id: None,
    };
    encode_payload(id, &content, None)
}

/// The number of the letter that a message is.
pub(crate) fn letter_of(delivered: &Delivered) -> usize {
    let (_, content) =
        decode_payload(delivered.message.payload.clone(), None).expect("it was encoded");
    let text = std::str::from_utf8(&content.body).expect("letters are numbered");
    text.parse().expect("letters are numbered")
}
