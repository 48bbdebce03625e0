//! A message on its way out: everything of it but the queue.

use std::time::Duration;

use serde::Serialize;

use crate::{
    MessageAttribute, MessageAttributes, SendMessage, SendMessageBatchEntry, TraceContext,
    message::TRACE_HEADER,
};

/// A message to be sent, without saying where to. Any text is one.
///
/// ```
/// use stanchion_sdk::Outgoing;
///
/// let message = Outgoing::new("a body").attribute("kind", "order").group("customer-7");
/// assert_eq!(message.size(), "a body".len() + "kind".len() + "String".len() + "order".len());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outgoing {
    /// The body; never empty.
    pub body: String,
    /// Seconds until it becomes available; what the queue says without it. Not for FIFO queues.
    pub delay_seconds: Option<u32>,
    /// At most ten.
    pub message_attributes: MessageAttributes,
    /// `AWSTraceHeader`, or nothing.
    pub message_system_attributes: MessageAttributes,
    /// The message group: the order is kept within it on a FIFO queue, which demands one.
    pub group_id: Option<String>,
    /// For FIFO queues: what is sent again within five minutes with the same id is not enqueued
    /// again.
    pub dedup_id: Option<String>,
}

impl Outgoing {
    /// A message with a body and nothing else.
    pub fn new(body: impl Into<String>) -> Outgoing {
        Outgoing { body: body.into(), ..Outgoing::default() }
    }

    /// A message whose body is `value` as JSON.
    ///
    /// # Errors
    /// When the value cannot be written as JSON, such as a map whose keys are no texts.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Outgoing, serde_json::Error> {
        Ok(Outgoing::new(serde_json::to_string(value)?))
    }

    /// Keeps it back for `delay`, in whole seconds, at most 15 minutes.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Outgoing {
        self.delay_seconds = Some(u32::try_from(delay.as_secs()).unwrap_or(u32::MAX));
        self
    }

    /// Adds an attribute, or replaces that of the same name.
    #[must_use]
    pub fn attribute(
        mut self,
        name: impl Into<String>,
        value: impl Into<MessageAttribute>,
    ) -> Outgoing {
        self.message_attributes.insert(name.into(), value.into());
        self
    }

    /// Puts it into a message group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Outgoing {
        self.group_id = Some(group.into());
        self
    }

    /// Gives it a deduplication id.
    #[must_use]
    pub fn dedup_id(mut self, id: impl Into<String>) -> Outgoing {
        self.dedup_id = Some(id.into());
        self
    }

    /// Sets its `AWSTraceHeader`.
    #[must_use]
    pub fn trace_header(mut self, header: impl Into<String>) -> Outgoing {
        let header = MessageAttribute::from(header.into());
        self.message_system_attributes.insert(TRACE_HEADER.into(), header);
        self
    }

    /// Sends `context` along, as its `AWSTraceHeader`.
    #[must_use]
    pub fn trace_context(self, context: TraceContext) -> Outgoing {
        self.trace_header(context.to_trace_header())
    }

    /// Bytes as the service counts them: the body, and of every attribute name, type and value. The
    /// rest of a message is not counted. Source: facts sheet, 4.3.
    pub fn size(&self) -> usize {
        let weigh = |(name, attribute): (&String, &MessageAttribute)| {
            let text = attribute.string_value.as_ref().map_or(0, String::len);
            let binary = attribute.binary_value.as_ref().map_or(0, Vec::len);
            name.len() + attribute.data_type.len() + text + binary
        };
        self.body.len() + self.message_attributes.iter().map(weigh).sum::<usize>()
    }

    /// As a request of its own.
    pub fn to_queue(self, queue_url: impl Into<String>) -> SendMessage {
        let mut request = SendMessage::new(queue_url, self.body);
        request.delay_seconds = self.delay_seconds;
        request.message_attributes = self.message_attributes;
        request.message_system_attributes = self.message_system_attributes;
        request.message_group_id = self.group_id;
        request.message_deduplication_id = self.dedup_id;
        request
    }

    /// As an entry of a batch.
    pub(super) fn to_entry(&self, id: String) -> SendMessageBatchEntry {
        let mut entry = SendMessageBatchEntry::new(id, self.body.clone());
        entry.delay_seconds = self.delay_seconds;
        entry.message_attributes = self.message_attributes.clone();
        entry.message_system_attributes = self.message_system_attributes.clone();
        entry.message_group_id = self.group_id.clone();
        entry.message_deduplication_id = self.dedup_id.clone();
        entry
    }
}

impl From<&str> for Outgoing {
    fn from(body: &str) -> Outgoing {
        Outgoing::new(body)
    }
}

impl From<String> for Outgoing {
    fn from(body: String) -> Outgoing {
        Outgoing::new(body)
    }
}

/// The queue is forgotten.
impl From<SendMessage> for Outgoing {
    fn from(request: SendMessage) -> Outgoing {
        Outgoing {
            body: request.message_body,
            delay_seconds: request.delay_seconds,
            message_attributes: request.message_attributes,
            message_system_attributes: request.message_system_attributes,
            group_id: request.message_group_id,
            dedup_id: request.message_deduplication_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_what_the_service_counts() {
        let message = Outgoing::new("☕")
            .attribute("City", "Any City")
            .attribute("Greeting", MessageAttribute::binary(b"Hello, World!".to_vec()))
            .group("not counted")
            .trace_header("not counted either");
        let population = MessageAttribute {
            data_type: "Number.int".into(),
            string_value: Some("1250800".into()),
            binary_value: None,
        };
        // The example of the facts sheet, 4.3.
        assert_eq!(message.attribute("Population", population).size(), "☕".len() + 72);
    }

    #[test]
    fn a_request_and_an_entry_carry_everything() {
        let message = Outgoing::new("body")
            .delay(Duration::from_millis(2900))
            .attribute("a", "1")
            .group("g")
            .dedup_id("d")
            .trace_header("Root=1");
        let entry = message.to_entry("7".into());
        assert_eq!((entry.id.as_str(), entry.delay_seconds), ("7", Some(2)));
        assert_eq!(entry.message_group_id.as_deref(), Some("g"));
        assert_eq!(entry.message_system_attributes, message.message_system_attributes);
        assert_eq!(Outgoing::from(message.clone().to_queue("q")), message);
    }
}
