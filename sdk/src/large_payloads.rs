//! Bodies that are too large for a message are kept in an object store, and the message carries a
//! pointer: the format of the Amazon SQS extended client libraries, so that senders and receivers of
//! either kind understand each other.
//!
//! Such a message has
//!
//! - the body `["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":…,"s3Key":…}]`,
//! - the attribute [`PAYLOAD_SIZE`], a `Number`: the bytes of the body kept, and,
//! - once received, a receipt handle with bucket and key in front, between the markers
//!   `-..s3BucketName..-` and `-..s3Key..-`, so that whoever deletes the message can delete the body.

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    Client, DeleteMessage, Error, Message, MessageAttribute, MessageAttributes, Outgoing,
    ReceiveMessage, actions::messages::SendMessageReply,
};

/// The attribute that marks a message whose body is kept elsewhere.
pub const PAYLOAD_SIZE: &str = "ExtendedPayloadSize";

/// What older libraries call it.
pub const LEGACY_PAYLOAD_SIZE: &str = "SQSLargePayloadSize";

/// What the libraries put before a pointer; others are accepted.
const POINTER_CLASS: &str = "software.amazon.payloadoffloading.PayloadS3Pointer";

const BUCKET_MARKER: &str = "-..s3BucketName..-";
const KEY_MARKER: &str = "-..s3Key..-";

/// Attributes of a message at most, less the one for the size.
const ATTRIBUTES_MAX: usize = 9;

/// Keeps large bodies of messages in an object store, and fetches them. Cheap to clone.
///
/// The bucket must hold nothing but bodies: a message says by itself which of its objects is meant,
/// also to be deleted.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
///
/// use object_store::memory::InMemory;
/// use stanchion_sdk::{Client, Outgoing, ReceiveMessage, large_payloads::LargePayloads};
///
/// let client = Client::from_env().await?;
/// let payloads = LargePayloads::new(Arc::new(InMemory::new()), "bodies");
/// payloads.send(&client, "films", Outgoing::new("…".repeat(1_000_000))).await?;
///
/// let received = payloads.receive(&client, ReceiveMessage::new("films")).await?;
/// for message in received.messages {
///     println!("{} bytes", message.body.len());
///     payloads.delete(&client, "films", &message.receipt_handle).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct LargePayloads {
    store: Arc<dyn ObjectStore>,
    bucket: Arc<str>,
    prefix: Arc<str>,
    threshold: usize,
    payload_max: u64,
    size_attribute: &'static str,
}

/// What a receive brought.
#[derive(Debug)]
pub struct ReceivedPayloads {
    /// With their bodies, and receipt handles for [`LargePayloads::delete`].
    pub messages: Vec<Message>,
    /// Those whose bodies could not be fetched, as they were received. They come back when their
    /// visibility timeout ends.
    pub failed: Vec<(Message, PayloadError)>,
}

/// What can be wrong with a body that is kept elsewhere.
#[derive(Debug, Error)]
pub enum PayloadError {
    /// The message has too many or too large attributes, or one that is reserved.
    #[error("{0}")]
    Attributes(&'static str),
    /// The message claims to have its body elsewhere, and does not say where.
    #[error("the body is no pointer to a payload")]
    Pointer(#[source] serde_json::Error),
    /// The body is in a bucket that is not ours.
    #[error("the body is in the bucket {0:?}, which is another one")]
    Bucket(String),
    /// The key cannot be one of an object.
    #[error("the body has an illegal key")]
    Key(#[from] object_store::path::Error),
    /// The body is larger than [`LargePayloads::max_payload`].
    #[error("the body of {0} bytes is larger than allowed")]
    TooLarge(u64),
    /// The body is no text.
    #[error("the body is no text")]
    Text(#[from] std::str::Utf8Error),
    /// The object store failed, or has no such object.
    #[error("the object store failed")]
    Store(#[from] object_store::Error),
    /// The queue service refused, or did not answer.
    #[error("the queue service failed")]
    Service(#[from] Error),
}

/// Where a body is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pointer {
    #[serde(rename = "s3BucketName")]
    bucket: String,
    #[serde(rename = "s3Key")]
    key: String,
}

impl LargePayloads {
    /// Keeps bodies in `store`, which is the bucket that others know as `bucket`.
    pub fn new(store: Arc<dyn ObjectStore>, bucket: impl Into<String>) -> LargePayloads {
        LargePayloads {
            store,
            bucket: bucket.into().into(),
            prefix: "".into(),
            threshold: 1024 * 1024,
            payload_max: 2 * 1024 * 1024 * 1024,
            size_attribute: PAYLOAD_SIZE,
        }
    }

    /// Keeps what is larger than `bytes`, body and attributes together; by default 1 MiB, as much as
    /// a message may have. With 0 every body is kept.
    #[must_use]
    pub fn threshold(mut self, bytes: usize) -> Self {
        self.threshold = bytes;
        self
    }

    /// What keys begin with, such as `orders/`; nothing by default.
    #[must_use]
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into().into();
        self
    }

    /// Fetches bodies of at most so many bytes, by default 2 GiB: a body is held in memory.
    #[must_use]
    pub fn max_payload(mut self, bytes: u64) -> Self {
        self.payload_max = bytes;
        self
    }

    /// Calls the attribute [`LEGACY_PAYLOAD_SIZE`], for receivers that know no other.
    #[must_use]
    pub fn legacy_attribute(mut self) -> Self {
        self.size_attribute = LEGACY_PAYLOAD_SIZE;
        self
    }

    /// Sends a message, with its body kept if it is large. When the service refuses the message for
    /// good, the body is deleted again; after any other failure a message may point to it.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub async fn send(
        &self,
        client: &Client,
        queue_url: impl Into<String>,
        message: Outgoing,
    ) -> Result<SendMessageReply, PayloadError> {
        let message = self.offload(message).await?;
        let kept =
            if is_marked(&message.message_attributes) { Some(message.body.clone()) } else { None };
        match client.send_message(message.to_queue(queue_url)).await {
            Ok(reply) => Ok(reply),
            Err(error) => {
                // After a refusal that may pass, an attempt before it may have sent the message.
                if let (Some(pointer), Error::Service(_)) = (kept, &error)
                    && !error.is_retryable()
                {
                    // The refusal is what the caller wants to know.
                    let _ = self.delete_object(&self.read_pointer(&pointer)?).await;
                }
                Err(error.into())
            }
        }
    }

    /// Receives messages, with their bodies fetched.
    ///
    /// # Errors
    /// When the receive itself fails.
    pub async fn receive(
        &self,
        client: &Client,
        request: ReceiveMessage,
    ) -> Result<ReceivedPayloads, Error> {
        let found = client.receive_message(request).await?.messages;
        let mut received =
            ReceivedPayloads { messages: Vec::with_capacity(found.len()), failed: Vec::new() };
        for mut message in found {
            match self.fetch(&mut message).await {
                Ok(()) => received.messages.push(message),
                Err(error) => received.failed.push((message, error)),
            }
        }
        Ok(received)
    }

    /// Deletes a message, and then its body if that was kept. If that fails, an object without a
    /// message remains; the other way round there would be a message without its body.
    ///
    /// # Errors
    /// [`PayloadError`]; with [`Store`](PayloadError::Store) the message is deleted and its body is
    /// not.
    pub async fn delete(
        &self,
        client: &Client,
        queue_url: impl Into<String>,
        receipt_handle: &str,
    ) -> Result<(), PayloadError> {
        let (pointer, handle) = split_handle(receipt_handle);
        client.delete_message(DeleteMessage::new(queue_url, handle)).await?;
        match pointer {
            Some(pointer) => self.delete_object(&pointer).await,
            None => Ok(()),
        }
    }

    /// Keeps the body of a message if it is large, and returns what to send in its place, for a
    /// [`Producer`](crate::Producer) for instance.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub async fn offload(&self, message: Outgoing) -> Result<Outgoing, PayloadError> {
        if message.size() <= self.threshold {
            return Ok(message);
        }
        if message.message_attributes.len() > ATTRIBUTES_MAX {
            let text = "a message whose body is kept elsewhere has at most 9 attributes";
            return Err(PayloadError::Attributes(text));
        }
        if is_marked(&message.message_attributes) {
            return Err(PayloadError::Attributes("the attribute for the size is reserved"));
        }
        if self.threshold > 0 && message.size() - message.body.len() > self.threshold {
            return Err(PayloadError::Attributes("the attributes alone are too large"));
        }
        let key = format!("{}{}", self.prefix, Uuid::new_v4());
        let size = MessageAttribute::number(message.body.len());
        self.store.put(&Path::parse(&key)?, PutPayload::from(message.body.into_bytes())).await?;
        let pointer = Pointer { bucket: self.bucket.to_string(), key };
        let body = pointer.to_body();
        Ok(Outgoing { body, ..message }.attribute(self.size_attribute, size))
    }

    /// Fetches the body of a message that was received, if it is kept, and makes the message what it
    /// was when it was sent. Only its digests remain those of the pointer, and its receipt handle is
    /// one for [`delete`](Self::delete); for other uses there is [`plain_handle`].
    ///
    /// # Errors
    /// [`PayloadError`]; the message is as it was then.
    pub async fn fetch(&self, message: &mut Message) -> Result<(), PayloadError> {
        if !is_marked(&message.message_attributes) {
            return Ok(());
        }
        let pointer = self.read_pointer(&message.body)?;
        let object = self.store.get(&Path::parse(&pointer.key)?).await?;
        if object.meta.size > self.payload_max {
            return Err(PayloadError::TooLarge(object.meta.size));
        }
        let body = object.bytes().await?;
        message.body = std::str::from_utf8(&body)?.to_owned();
        message.message_attributes.retain(|name, _| !is_mark(name));
        message.receipt_handle = pointer.to_handle(&message.receipt_handle);
        Ok(())
    }

    fn read_pointer(&self, body: &str) -> Result<Pointer, PayloadError> {
        let (_, pointer): (String, Pointer) =
            serde_json::from_str(body).map_err(PayloadError::Pointer)?;
        self.check(&pointer)?;
        Ok(pointer)
    }

    async fn delete_object(&self, pointer: &Pointer) -> Result<(), PayloadError> {
        self.check(pointer)?;
        match self.store.delete(&Path::parse(&pointer.key)?).await {
            // Deleted before: a message may be received and deleted twice.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn check(&self, pointer: &Pointer) -> Result<(), PayloadError> {
        match *pointer.bucket == *self.bucket {
            true => Ok(()),
            false => Err(PayloadError::Bucket(pointer.bucket.clone())),
        }
    }
}

impl Pointer {
    fn to_body(&self) -> String {
        serde_json::to_string(&(POINTER_CLASS, self)).expect("texts can be written as JSON")
    }

    fn to_handle(&self, handle: &str) -> String {
        let Pointer { bucket, key } = self;
        format!("{BUCKET_MARKER}{bucket}{BUCKET_MARKER}{KEY_MARKER}{key}{KEY_MARKER}{handle}")
    }
}

/// The service's own part of a receipt handle: for changing the visibility of a message whose body
/// was fetched, and whatever else asks for a handle.
pub fn plain_handle(receipt_handle: &str) -> &str {
    split_handle(receipt_handle).1
}

fn split_handle(receipt_handle: &str) -> (Option<Pointer>, &str) {
    match marked(receipt_handle) {
        Some((pointer, handle)) => (Some(pointer), handle),
        None => (None, receipt_handle),
    }
}

fn marked(receipt_handle: &str) -> Option<(Pointer, &str)> {
    let (bucket, rest) = receipt_handle.strip_prefix(BUCKET_MARKER)?.split_once(BUCKET_MARKER)?;
    let (key, handle) = rest.strip_prefix(KEY_MARKER)?.split_once(KEY_MARKER)?;
    Some((Pointer { bucket: bucket.into(), key: key.into() }, handle))
}

fn is_mark(name: &str) -> bool {
    name == PAYLOAD_SIZE || name == LEGACY_PAYLOAD_SIZE
}

fn is_marked(attributes: &MessageAttributes) -> bool {
    attributes.keys().any(|name| is_mark(name))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    /// As the libraries write them.
    const BODY: &str = r#"["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"bodies","s3Key":"6d4bdc5b-1be9-4a5f-8d40-08fd6a7a7d3e"}]"#;
    const HANDLE: &str = "-..s3BucketName..-bodies-..s3BucketName..--..s3Key..-6d4bdc5b-1be9-4a5f-8d40-08fd6a7a7d3e-..s3Key..-AQEBhandle==";
    const KEY: &str = "6d4bdc5b-1be9-4a5f-8d40-08fd6a7a7d3e";

    fn payloads() -> LargePayloads {
        LargePayloads::new(Arc::new(InMemory::new()), "bodies").threshold(10)
    }

    /// What a receiver gets of what was sent.
    fn received(sent: Outgoing) -> Message {
        Message {
            body: sent.body,
            message_attributes: sent.message_attributes,
            receipt_handle: "AQEBhandle==".into(),
            ..Message::default()
        }
    }

    fn marked_message(body: &str, mark: &str) -> Message {
        received(Outgoing::new(body).attribute(mark, MessageAttribute::number(11)))
    }

    #[test]
    fn pointers_and_handles_are_written_as_the_libraries_write_them() {
        let pointer = Pointer { bucket: "bodies".into(), key: KEY.into() };
        assert_eq!(pointer.to_body(), BODY);
        assert_eq!(pointer.to_handle("AQEBhandle=="), HANDLE);
        assert_eq!(split_handle(HANDLE), (Some(pointer), "AQEBhandle=="));
        assert_eq!(plain_handle(HANDLE), "AQEBhandle==");
    }

    #[test]
    fn a_handle_without_a_pointer_is_left_alone() {
        for handle in
            ["", "AQEBhandle==", "-..s3BucketName..-", "-..s3BucketName..-a-..s3BucketName..-"]
        {
            assert_eq!(split_handle(handle), (None, handle));
        }
    }

    #[tokio::test]
    async fn a_small_body_stays_in_its_message() {
        let message = Outgoing::new("0123456789");
        assert_eq!(payloads().offload(message.clone()).await.unwrap(), message);
        let message = message.attribute("a", "1");
        assert_ne!(
            payloads().offload(message.clone()).await.unwrap(),
            message,
            "11 bytes and more"
        );
    }

    #[tokio::test]
    async fn a_large_body_comes_back_and_goes_with_its_message() {
        let payloads = payloads().key_prefix("of/orders/");
        let sent = payloads.offload(Outgoing::new("0123456789é").group("g")).await.unwrap();
        assert_eq!(sent.message_attributes[PAYLOAD_SIZE], MessageAttribute::number(12));
        assert_eq!(sent.group_id.as_deref(), Some("g"));
        assert!(sent.body.contains(r#""s3Key":"of/orders/"#), "{}", sent.body);

        let mut message = received(sent);
        payloads.fetch(&mut message).await.unwrap();
        assert_eq!(message.body, "0123456789é");
        assert!(message.message_attributes.is_empty());
        let (pointer, handle) = split_handle(&message.receipt_handle);
        assert_eq!(handle, "AQEBhandle==");

        let pointer = pointer.unwrap();
        payloads.delete_object(&pointer).await.unwrap();
        let mut again = marked_message(&pointer.to_body(), PAYLOAD_SIZE);
        let gone = payloads.fetch(&mut again).await;
        assert!(matches!(gone, Err(PayloadError::Store(_))), "{gone:?}");
        payloads.delete_object(&pointer).await.expect("twice is as good as once");
    }

    #[tokio::test]
    async fn what_older_libraries_wrote_is_read() {
        let payloads = payloads();
        payloads.store.put(&Path::from(KEY), "an old body".into()).await.unwrap();
        let body = BODY.replace(POINTER_CLASS, "com.amazon.sqs.javamessaging.MessageS3Pointer");
        let mut message = marked_message(&body, LEGACY_PAYLOAD_SIZE);
        payloads.fetch(&mut message).await.unwrap();
        assert_eq!(
            (message.body.as_str(), message.receipt_handle.as_str()),
            ("an old body", HANDLE)
        );

        let sent = payloads.legacy_attribute().offload(Outgoing::new("01234567890")).await.unwrap();
        assert!(sent.message_attributes.contains_key(LEGACY_PAYLOAD_SIZE));
    }

    #[tokio::test]
    async fn a_pointer_that_leads_nowhere_changes_nothing() {
        let payloads = payloads().max_payload(3);
        payloads.store.put(&Path::from("large"), "more".into()).await.unwrap();
        payloads.store.put(&Path::from("binary"), vec![0xff].into()).await.unwrap();
        let at = |key: &str| BODY.replace(KEY, key);
        for (body, expected) in [
            ("no pointer".into(), "no pointer"),
            (r#"["only a class"]"#.into(), "no pointer"),
            (BODY.replace("bodies", "others"), "another one"),
            (at("a//b"), "illegal key"),
            (at("../etc"), "illegal key"),
            (at("missing"), "store failed"),
            (at("large"), "of 4 bytes"),
            (at("binary"), "no text"),
        ] {
            let mut message = marked_message(&body, PAYLOAD_SIZE);
            let before = message.clone();
            let error = payloads.fetch(&mut message).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{body}: {error}");
            assert_eq!(message, before);
        }
    }

    #[tokio::test]
    async fn attributes_must_leave_room() {
        let large = Outgoing::new("a body of more than ten bytes");
        let mut crowded = large.clone();
        for number in 0..10 {
            crowded = crowded.attribute(format!("{number}"), "1");
        }
        let heavy = large.clone().attribute("name", "larger than ten bytes");
        let reserved = large.attribute(PAYLOAD_SIZE, MessageAttribute::number(1));
        for message in [crowded, heavy, reserved] {
            let refused = payloads().offload(message).await;
            assert!(matches!(refused, Err(PayloadError::Attributes(_))), "{refused:?}");
        }
    }
}
