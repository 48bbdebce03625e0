//! Sending, receiving, deleting, and hiding for longer.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{Action, actions, replies, seconds};
use crate::digest;
use crate::message::{Message, MessageAttribute, MessageAttributes, TRACE_HEADER};

/// Sends a message.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SendMessage {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// 1 byte to 1 MiB of text, as the queue allows.
    pub message_body: String,
    /// Seconds until it can be received, 0 to 900; by default what the queue says. Not in FIFO queues.
    pub delay_seconds: Option<u32>,
    /// At most 10, part of the message's size.
    #[serde(skip_serializing_if = "MessageAttributes::is_empty")]
    pub message_attributes: MessageAttributes,
    /// `AWSTraceHeader` alone.
    #[serde(skip_serializing_if = "MessageAttributes::is_empty")]
    pub message_system_attributes: MessageAttributes,
    /// The group within which a FIFO queue keeps order, and which a standard queue is fair to.
    pub message_group_id: Option<String>,
    /// What a FIFO queue knows a repetition by for five minutes.
    pub message_deduplication_id: Option<String>,
}

impl SendMessage {
    /// A message of this body, to this queue.
    pub fn new(queue_url: impl Into<String>, body: impl Into<String>) -> SendMessage {
        let (queue_url, message_body) = (queue_url.into(), body.into());
        SendMessage { queue_url, message_body, ..SendMessage::default() }
    }
}

/// What makes a message special is set alike for one and for one of many.
macro_rules! setters {
    ($request:ty) => {
        impl $request {
            /// Hides it at first: at most 15 minutes, and not in FIFO queues.
            pub fn delay(mut self, delay: Duration) -> Self {
                self.delay_seconds = Some(seconds(delay));
                self
            }

            /// Gives it an attribute: a text, or what [`MessageAttribute`] can be.
            pub fn attribute(
                mut self,
                name: impl Into<String>,
                value: impl Into<MessageAttribute>,
            ) -> Self {
                self.message_attributes.insert(name.into(), value.into());
                self
            }

            /// Puts it into a message group.
            pub fn group(mut self, group: impl Into<String>) -> Self {
                self.message_group_id = Some(group.into());
                self
            }

            /// Says what a FIFO queue knows a repetition by.
            pub fn dedup_id(mut self, id: impl Into<String>) -> Self {
                self.message_deduplication_id = Some(id.into());
                self
            }

            /// Makes it part of a trace; does not count as an attribute.
            pub fn trace_header(mut self, header: impl Into<String>) -> Self {
                let value = MessageAttribute::from(header.into());
                self.message_system_attributes.insert(TRACE_HEADER.into(), value);
                self
            }
        }
    };
}

setters!(SendMessage);
setters!(super::batches::SendMessageBatchEntry);

/// A message was sent: it is on the server's disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SendMessageReply {
    /// What receivers will see.
    pub message_id: String,
    /// Its place in a FIFO queue: 20 digits.
    pub sequence_number: Option<String>,
    /// In hexadecimal digits; the client has checked it, like the others.
    #[serde(rename = "MD5OfMessageBody")]
    pub md5_of_message_body: Option<String>,
    /// If it has attributes.
    #[serde(rename = "MD5OfMessageAttributes")]
    pub md5_of_message_attributes: Option<String>,
    /// If it has a trace header.
    #[serde(rename = "MD5OfMessageSystemAttributes")]
    pub md5_of_message_system_attributes: Option<String>,
}

impl Action for SendMessage {
    const TARGET: &'static str = "AmazonSQS.SendMessage";
    type Reply = SendMessageReply;

    fn verify(&self, reply: &SendMessageReply) -> Result<(), String> {
        let body = Some(digest::of_body(&self.message_body));
        digest::check("the body", reply.md5_of_message_body.as_deref(), body)?;
        let attributes = digest::of_attributes(&self.message_attributes);
        let theirs = reply.md5_of_message_attributes.as_deref();
        digest::check("the attributes", theirs, attributes)?;
        let system = digest::of_attributes(&self.message_system_attributes);
        let theirs = reply.md5_of_message_system_attributes.as_deref();
        digest::check("the system attributes", theirs, system)
    }
}

/// Receives messages, each of which is hidden from others for a while.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReceiveMessage {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// 1 to 10; without it 1.
    pub max_number_of_messages: Option<u32>,
    /// Seconds that what is received is hidden for, 0 to 43,200; by default what the queue says.
    pub visibility_timeout: Option<u32>,
    /// Seconds to wait for a first message, 0 to 20; by default what the queue says.
    pub wait_time_seconds: Option<u32>,
    /// Which system attributes to show.
    pub message_system_attribute_names: Vec<String>,
    /// Which message attributes to show.
    pub message_attribute_names: Vec<String>,
    /// FIFO queues: a repetition with the same text receives the same messages. Without it the client
    /// makes one up, so that it can repeat a receive whose answer was lost.
    pub receive_request_attempt_id: Option<String>,
}

impl ReceiveMessage {
    /// One message of this queue, with all of its attributes.
    pub fn new(queue_url: impl Into<String>) -> ReceiveMessage {
        ReceiveMessage {
            queue_url: queue_url.into(),
            message_system_attribute_names: vec!["All".into()],
            message_attribute_names: vec!["All".into()],
            ..ReceiveMessage::default()
        }
    }

    /// At most so many messages, 1 to 10.
    pub fn max(mut self, messages: u32) -> Self {
        self.max_number_of_messages = Some(messages);
        self
    }

    /// Waits for a first message, at most 20 seconds.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait_time_seconds = Some(seconds(wait));
        self
    }

    /// Hides what is received for so long, at most 12 hours.
    pub fn visibility(mut self, timeout: Duration) -> Self {
        self.visibility_timeout = Some(seconds(timeout));
        self
    }

    /// FIFO queues: what a repetition is known by.
    pub fn attempt_id(mut self, id: impl Into<String>) -> Self {
        self.receive_request_attempt_id = Some(id.into());
        self
    }
}

/// Messages, none if there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReceiveMessageReply {
    /// At most as many as were asked for.
    pub messages: Vec<Message>,
}

impl Action for ReceiveMessage {
    const TARGET: &'static str = "AmazonSQS.ReceiveMessage";
    type Reply = ReceiveMessageReply;

    fn wait(&self) -> Duration {
        // What the queue says is not known here: the longest that it can.
        Duration::from_secs(self.wait_time_seconds.unwrap_or(20).into())
    }

    fn verify(&self, reply: &ReceiveMessageReply) -> Result<(), String> {
        for message in &reply.messages {
            let body = Some(digest::of_body(&message.body));
            let theirs = (!message.md5_of_body.is_empty()).then_some(&*message.md5_of_body);
            digest::check("a body", theirs, body)?;
            let attributes = digest::of_attributes(&message.message_attributes);
            let theirs = message.md5_of_message_attributes.as_deref();
            digest::check("a message's attributes", theirs, attributes)?;
        }
        Ok(())
    }
}

/// Deletes a message that was received.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteMessage {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Of the message's last receive.
    pub receipt_handle: String,
}

impl DeleteMessage {
    /// The message with this handle.
    pub fn new(queue_url: impl Into<String>, handle: impl Into<String>) -> DeleteMessage {
        DeleteMessage { queue_url: queue_url.into(), receipt_handle: handle.into() }
    }
}

/// Hides a message that was received for another while, from now on; zero shows it at once.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ChangeMessageVisibility {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Of the message's last receive.
    pub receipt_handle: String,
    /// Seconds from now on, 0 to 43,200, and not more than 12 hours after the receive.
    pub visibility_timeout: u32,
}

impl ChangeMessageVisibility {
    /// Of the message with this handle.
    pub fn new(
        queue_url: impl Into<String>,
        handle: impl Into<String>,
        timeout: Duration,
    ) -> ChangeMessageVisibility {
        ChangeMessageVisibility {
            queue_url: queue_url.into(),
            receipt_handle: handle.into(),
            visibility_timeout: seconds(timeout),
        }
    }
}

actions! { "AmazonSQS":
    DeleteMessage => (),
    ChangeMessageVisibility => (),
}
replies! { SendMessageReply, ReceiveMessageReply }
