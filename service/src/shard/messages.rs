//! What clients do with messages: they send, receive, delete and hide them. All encoding, hashing and
//! sealing of it happens here, in the task of the request, not on the shard's thread.

use std::sync::Arc;
use std::time::Duration;

use super::free_space::Room;
use super::handle::{QueueInfo, Shards};
use super::peek::odd_row;
use super::request::Patience;
use crate::cipher::Cipher;
use crate::engine::command::{
    Accepted, Command, Delivered, EntryError, Incoming, Outcome, Receipt, Receive,
};
use crate::env;
use crate::error::Error;
use crate::model::fifo::Seq;
use crate::model::message::{NewMessage, ReceivedMessage, Sent, ShownMessage};
use crate::model::queue::{QueueId, QueueKey, QueueKind, Slot};
use crate::model::receipt::ReceiptHandle;
use crate::model::rows::MessageRow;
use crate::model::time::{Millis, Timestamp};
use crate::store::StoreError;
use crate::store::payload::{decode_payload, encode_payload};

/// A receive as the API asks for it.
#[derive(Clone, Debug)]
pub struct ReceiveRequest {
    /// 1 to 10.
    pub max: usize,
    /// `None`: the queue's.
    pub visibility: Option<Millis>,
    /// How long to wait for a first message; zero for a short poll.
    pub wait: Millis,
    /// FIFO: `ReceiveRequestAttemptId`.
    pub attempt_id: Option<String>,
}

impl Shards {
    /// Enqueues in order; one result an entry. Answers when the messages are as durable as the
    /// server is configured to make them.
    pub async fn send(
        &self,
        key: &QueueKey,
        messages: Vec<NewMessage>,
    ) -> Result<Vec<Result<Sent, Error>>, Error> {
        self.needs(Room::Ample)?;
        let kind = key.name.kind();
        let sealing = self.sealing(key)?;
        // What is sealed for one queue is for no other that may have the name by now.
        let queue = sealing.as_ref().map(|info| info.id);
        let cipher = sealing.as_ref().and_then(|info| info.sealing());
        let incoming = |message| self.incoming(kind, message, cipher);
        let messages = messages.into_iter().map(incoming).collect();
        let parcel = self.command(key, queue, Command::Send(messages), None).await?;
        let Outcome::Sent(results) = parcel.open() else { return Err(odd_outcome()) };
        let sent = |result: Result<_, EntryError>| match result {
            Ok(Accepted { id, seq, .. }) => {
                let number = (kind == QueueKind::Fifo).then(|| seq.to_string());
                Ok(Sent { id, sequence_number: number })
            }
            // Handles can expire; sends have none.
            Err(_) => Err(odd_outcome()),
        };
        Ok(results.into_iter().map(sent).collect())
    }

    /// Hands out messages, waiting for a first one as long as asked. With too many polls waiting
    /// already, one that would have to wait gets `ServiceUnavailable`.
    pub async fn receive(
        &self,
        key: &QueueKey,
        request: ReceiveRequest,
    ) -> Result<Vec<ReceivedMessage>, Error> {
        self.needs(Room::Short)?;
        let patience = match request.wait {
            Millis(0) => None,
            wait => {
                let permit = Some(self.inner.poll_permit()?);
                let until = self.inner.time.boot() + Duration::from_millis(wait.0);
                Some(Patience { until, permit })
            }
        };
        let receive = Receive {
            max: request.max,
            visibility: request.visibility,
            attempt: request.attempt_id.map(|id| self.inner.ids.attempt(&id)),
            patient: patience.is_some(),
        };
        let parcel = self.command(key, None, Command::Receive(receive), patience).await?;
        let (slot, queue) = (parcel.slot, parcel.queue);
        let Outcome::Received(messages) = parcel.open() else { return Err(odd_outcome()) };
        let info = match messages.is_empty() {
            true => None,
            false => self.opening(key, queue)?,
        };
        let cipher = info.as_ref().and_then(|info| info.cipher());
        let received = |message| self.received(key.name.kind(), slot, queue, message, cipher);
        messages.into_iter().map(received).collect()
    }

    /// Deletes by receipt handle; one result a handle.
    pub async fn delete(
        &self,
        key: &QueueKey,
        handles: Vec<String>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let entries = handles.into_iter().map(|handle| (handle, ())).collect();
        let command = |receipts: Vec<_>| {
            Command::Delete(receipts.into_iter().map(|(receipt, ())| receipt).collect())
        };
        self.by_handle(key, entries, command).await
    }

    /// Hides messages until now + seconds, by receipt handle; one result a change.
    pub async fn change_visibility(
        &self,
        key: &QueueKey,
        changes: Vec<(String, u32)>,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        let command = |changes: Vec<(Receipt, u32)>| {
            let span = |(receipt, seconds)| (receipt, Millis::from_secs(seconds));
            Command::ChangeVisibility(changes.into_iter().map(span).collect())
        };
        self.by_handle(key, changes, command).await
    }

    /// Runs a command for messages that handles name: garbage and foreign handles are answered
    /// here, the rest by the shard.
    async fn by_handle<T: Copy + HandleDetail>(
        &self,
        key: &QueueKey,
        entries: Vec<(String, T)>,
        command: impl FnOnce(Vec<(Receipt, T)>) -> Command,
    ) -> Result<Vec<Result<(), Error>>, Error> {
        self.needs(Room::Short)?;
        let info = self.find(key).ok_or(Error::QueueDoesNotExist)?;
        let mut results = Vec::with_capacity(entries.len());
        let mut receipts = Vec::with_capacity(entries.len());
        for (handle, detail) in &entries {
            results.push(self.inner.receipts.open(handle, info.slot, info.id).map(|opened| {
                let receipt = Receipt { place: opened.place, nonce: opened.nonce };
                receipts.push((receipt, *detail));
            }));
        }
        if receipts.is_empty() {
            return Ok(results);
        }
        let parcel = self.command(key, Some(info.id), command(receipts), None).await?;
        let Outcome::Done(done) = parcel.open() else { return Err(odd_outcome()) };
        let mut done = done.into_iter();
        for ((handle, detail), result) in entries.into_iter().zip(&mut results) {
            if result.is_ok() {
                let outcome = done.next().ok_or_else(odd_outcome)?;
                *result = outcome.map_err(|error| describe(error, handle, detail.seconds()));
            }
        }
        Ok(results)
    }

    /// The queue, if what is sent to it is to be sealed.
    fn sealing(&self, key: &QueueKey) -> Result<Option<Arc<QueueInfo>>, Error> {
        if !self.inner.keyring.seals_messages() {
            return Ok(None);
        }
        let info = self.find(key).ok_or(Error::QueueDoesNotExist)?;
        Ok(Some(info).filter(|info| info.sealing().is_some()))
    }

    /// The queue, if what came from it may be sealed. Fails when it is gone, and with it its key.
    fn opening(&self, key: &QueueKey, queue: QueueId) -> Result<Option<Arc<QueueInfo>>, Error> {
        if !self.inner.keyring.seals_messages() {
            return Ok(None);
        }
        let info = self.find(key).filter(|info| info.id == queue);
        info.map(Some).ok_or(Error::QueueDoesNotExist)
    }

    fn incoming(&self, kind: QueueKind, message: NewMessage, cipher: Option<&Cipher>) -> Incoming {
        let NewMessage { content, delay } = message;
        let id = env::message_id();
        let ids = &self.inner.ids;
        let dedup = content.deduplication_id.as_deref().filter(|_| kind == QueueKind::Fifo);
        Incoming {
            id,
            payload: encode_payload(&id, &content, cipher),
            delay,
            group: content.group_id.as_deref().map(|group| ids.group(group)),
            dedup: dedup.map(|dedup| ids.dedup(dedup)),
        }
    }

    fn received(
        &self,
        kind: QueueKind,
        slot: Slot,
        queue: QueueId,
        delivered: Delivered,
        cipher: Option<&Cipher>,
    ) -> Result<ReceivedMessage, Error> {
        let Delivered { place, nonce, message, receive_count, first_received_at } = delivered;
        let handle = ReceiptHandle { slot, queue, place, nonce };
        let first_received_at = Some(first_received_at);
        let receives = Receives { receive_count, first_received_at };
        Ok(ReceivedMessage {
            receipt_handle: self.inner.receipts.seal(&handle),
            message: shown(kind, place.seq, message, receives, cipher).map_err(odd_row)?,
        })
    }
}

/// How often a message was received, and when first, over all queues.
pub(super) struct Receives {
    pub(super) receive_count: u32,
    pub(super) first_received_at: Option<Timestamp>,
}

/// A message as users see it.
pub(super) fn shown(
    kind: QueueKind,
    seq: Seq,
    message: MessageRow,
    receives: Receives,
    cipher: Option<&Cipher>,
) -> Result<ShownMessage, StoreError> {
    let (id, mut content) = decode_payload(message.payload, cipher)?;
    let fifo = kind == QueueKind::Fifo;
    // A dead letter is deduplicated by its message id (facts sheet, 8.2).
    if fifo && message.moved.as_ref().is_some_and(|moved| moved.dead_letter) {
        content.deduplication_id = Some(id.to_string());
    }
    Ok(ShownMessage {
        id,
        content,
        sent_at: message.head.sent_at,
        first_received_at: receives.first_received_at,
        receive_count: receives.receive_count,
        sequence_number: fifo.then(|| seq.to_string()),
        moved: message.moved,
    })
}

/// What an entry with a handle carries beside it.
trait HandleDetail {
    /// The visibility timeout asked for, for the error that quotes it.
    fn seconds(&self) -> u32;
}

impl HandleDetail for () {
    fn seconds(&self) -> u32 {
        0
    }
}

impl HandleDetail for u32 {
    fn seconds(&self) -> u32 {
        *self
    }
}

fn describe(error: EntryError, handle: String, seconds: u32) -> Error {
    match error {
        EntryError::Expired => Error::ReceiptHandleExpired(handle),
        EntryError::Gone => Error::MessageNotAvailable(handle),
        EntryError::BeyondLimit => Error::VisibilityBeyondLimit(seconds),
    }
}

/// A command answers what it was asked for, and nothing else.
pub(super) fn odd_outcome() -> Error {
    Error::Internal("a command came to an outcome of another kind".into())
}
