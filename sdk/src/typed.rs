//! Messages whose bodies are values: JSON by serde on the way out and in, and a way out of the queue
//! for bodies that cannot be read.

use std::{any, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    Client, DeadLetterError, DeadLetters, DeleteMessage, Error, Message, Outgoing, ReceiveMessage,
    SendMessage, actions::messages::SendMessageReply,
};

/// A message, and the value that its body is.
#[derive(Clone, Debug)]
pub struct TypedMessage<T> {
    /// The body, read.
    pub value: T,
    /// The message as it was received.
    pub message: Message,
}

/// The body of a message is not what was asked for.
#[derive(Debug, Error)]
#[error("the body is no {expected}: {source}")]
pub struct BodyError {
    /// The type that was asked for.
    pub expected: &'static str,
    /// What is wrong with it, and where.
    pub source: serde_json::Error,
}

/// Why a value was not sent.
#[derive(Debug, Error)]
pub enum TypedSendError {
    /// It cannot be written as JSON.
    #[error("the value cannot be written as JSON")]
    Value(#[from] serde_json::Error),
    /// The service refused, or did not answer.
    #[error("the message was not sent")]
    Send(#[from] Error),
}

/// A message that could not be read, and what was done about it.
#[derive(Debug)]
pub struct Unreadable {
    /// As it was received.
    pub message: Message,
    /// Why.
    pub error: BodyError,
    /// Whether it is a dead letter now. If not, it comes back when its visibility timeout ends.
    pub dead_lettered: Result<(), DeadLetterError>,
}

/// What a typed receive found.
#[derive(Debug)]
pub struct Received<T> {
    /// In the order in which they were received.
    pub messages: Vec<TypedMessage<T>>,
    /// Those that are no `T`.
    pub unreadable: Vec<Unreadable>,
}

/// A queue whose messages are all of one type.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use serde::{Deserialize, Serialize};
/// use stanchion_sdk::{Client, ReceiveMessage, TypedQueue};
///
/// #[derive(Serialize, Deserialize)]
/// struct Order {
///     number: u64,
/// }
///
/// let client = Client::from_env().await?;
/// let url = "http://127.0.0.1:9324/000000000000/orders";
/// let orders = TypedQueue::<Order>::new(client, url);
/// orders.send(&Order { number: 7 }).await?;
/// for order in orders.receive(ReceiveMessage::new(url).max(10)).await?.messages {
///     println!("{}", order.value.number);
///     orders.delete(&order).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct TypedQueue<T> {
    client: Client,
    queue_url: String,
    dead_letters: DeadLetters,
    of: PhantomData<fn(T) -> T>,
}

impl<T> TypedQueue<T> {
    /// The queue with a URL.
    pub fn new(client: Client, queue_url: impl Into<String>) -> TypedQueue<T> {
        let queue_url = queue_url.into();
        let dead_letters = DeadLetters::of(client.clone(), queue_url.clone());
        TypedQueue { client, queue_url, dead_letters, of: PhantomData }
    }

    /// Deletes a message that was received, because it is done with.
    ///
    /// # Errors
    /// When the service refuses, or does not answer.
    pub async fn delete(&self, message: &TypedMessage<T>) -> Result<(), Error> {
        let handle = &message.message.receipt_handle;
        self.client.delete_message(DeleteMessage::new(&self.queue_url, handle)).await?;
        Ok(())
    }

    /// Makes a dead letter of a message that was read and still makes no sense.
    ///
    /// # Errors
    /// [`DeadLetterError`].
    pub async fn dead_letter(
        &self,
        message: &TypedMessage<T>,
        reason: &str,
    ) -> Result<(), DeadLetterError> {
        self.dead_letters.send(&message.message, reason).await
    }
}

impl<T: Serialize> TypedQueue<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// [`TypedSendError`].
    pub async fn send(&self, value: &T) -> Result<SendMessageReply, TypedSendError> {
        self.send_with(value, |message| message).await
    }

    /// Sends a value with more than a body: `send_with(&order, |message| message.group("g"))`.
    ///
    /// # Errors
    /// [`TypedSendError`].
    pub async fn send_with(
        &self,
        value: &T,
        more: impl FnOnce(Outgoing) -> Outgoing,
    ) -> Result<SendMessageReply, TypedSendError> {
        let message = more(Outgoing::json(value)?);
        Ok(self.client.send_message(message.to_queue(&self.queue_url)).await?)
    }
}

impl<T: DeserializeOwned> TypedQueue<T> {
    /// Receives as `request` says, from this queue, and reads the bodies. A message whose body is no
    /// `T` will never be one, so it is sent to the dead-letter queue at once, with the reason.
    ///
    /// # Errors
    /// When the receive itself fails.
    pub async fn receive(&self, mut request: ReceiveMessage) -> Result<Received<T>, Error> {
        request.queue_url.clone_from(&self.queue_url);
        let found = self.client.receive_message(request).await?.messages;
        let mut received =
            Received { messages: Vec::with_capacity(found.len()), unreadable: Vec::new() };
        for message in found {
            match message.json() {
                Ok(value) => received.messages.push(TypedMessage { value, message }),
                Err(error) => {
                    let dead_lettered = self.dead_letters.send(&message, &error.to_string()).await;
                    received.unreadable.push(Unreadable { message, error, dead_lettered });
                }
            }
        }
        Ok(received)
    }
}

impl Message {
    /// The body, read as JSON.
    ///
    /// # Errors
    /// When it is no JSON, or no `T`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, BodyError> {
        let error = |source| BodyError { expected: any::type_name::<T>(), source };
        serde_json::from_str(&self.body).map_err(error)
    }
}

impl SendMessage {
    /// A message whose body is `value` as JSON.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, such as a map whose keys are no texts.
    pub fn json<T: Serialize + ?Sized>(
        queue_url: impl Into<String>,
        value: &T,
    ) -> Result<SendMessage, serde_json::Error> {
        Ok(Outgoing::json(value)?.to_queue(queue_url))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        number: u64,
    }

    #[test]
    fn a_value_comes_back_as_it_was_sent() {
        let sent = SendMessage::json("q", &Order { number: 7 }).unwrap();
        assert_eq!((sent.queue_url.as_str(), sent.message_body.as_str()), ("q", r#"{"number":7}"#));
        let message = Message { body: sent.message_body, ..Message::default() };
        assert_eq!(message.json::<Order>().unwrap(), Order { number: 7 });
    }

    #[test]
    fn what_is_wrong_with_a_body_is_said() {
        let message = Message { body: r#"{"number":"seven"}"#.into(), ..Message::default() };
        let error = message.json::<Order>().unwrap_err().to_string();
        assert!(error.contains("Order") && error.contains("line 1"), "{error}");
    }
}
