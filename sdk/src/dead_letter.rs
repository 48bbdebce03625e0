//! Sends a message that was received to the dead-letter queue of its queue, now and with a reason.

use std::{fmt::Debug, sync::Arc};

use serde::Deserialize;
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::{
    Client, DeadLetterMessage, DeleteMessage, Error, GetQueueAttributes, GetQueueUrl, Message,
    MessageAttribute, Outgoing,
};

/// What the reason is called: a system attribute at Stanchion; at a service that has no such action,
/// a message attribute of the dead letter.
pub const DEATH_REASON: &str = "Stanchion.DeathReason";

/// Bytes of a reason at most; what is longer is cut.
const REASON_BYTES_MAX: usize = 1024;

/// Attributes of a message at most. Source: facts sheet, 4.4.
const ATTRIBUTES_MAX: usize = 10;

/// Bytes of a message at most. Source: facts sheet, 4.3.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The way to the dead-letter queue of one queue. Cheap to clone.
///
/// At Stanchion a message goes there at once and in one step, with what a dead letter keeps and the
/// reason as the system attribute [`DEATH_REASON`].
///
/// At Amazon, and wherever else there is no such action, a copy is sent to the dead-letter queue of the
/// queue's redrive policy and then the message is deleted. **That is not atomic**: when the second
/// step fails, the message comes back after its visibility timeout although its copy is a dead letter
/// already. The copy has another id, and none of the attributes of a dead letter; the reason is its
/// message attribute [`DEATH_REASON`], where there is room for one more. It needs `sqs:SendMessage`
/// on the dead-letter queue, and `sqs:GetQueueUrl` and `sqs:GetQueueAttributes`.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    client: Client,
    queue_url: Arc<str>,
    copies: bool,
    /// The URL of the queue that copies go to. A redrive policy that is changed meanwhile is not
    /// looked at again.
    target: Arc<OnceCell<String>>,
}

/// Why a message did not become a dead letter. It stays where it is, and comes back when its
/// visibility timeout ends.
#[derive(Clone, Debug, Error)]
pub enum DeadLetterError {
    /// The queue has no redrive policy, so there is nowhere to send it.
    #[error("the queue has no dead-letter queue")]
    NoDeadLetterQueue,
    /// The service refused, or did not answer.
    #[error("the message was not dead-lettered")]
    Service(#[from] Error),
}

impl DeadLetters {
    /// Of the queue with a URL.
    pub fn of(client: Client, queue_url: impl Into<String>) -> DeadLetters {
        let copies = client.is_amazon();
        DeadLetters { client, queue_url: queue_url.into().into(), copies, target: Arc::default() }
    }

    /// Copies and deletes at Stanchion too, so that a program can be tried as it will be at Amazon.
    #[must_use]
    pub fn by_copying(mut self) -> DeadLetters {
        self.copies = true;
        self
    }

    /// Makes a dead letter of a message that is in flight. Of the reason, control characters are
    /// replaced, and what is beyond 1,024 bytes is cut.
    ///
    /// # Errors
    /// [`DeadLetterError`].
    pub async fn send(&self, message: &Message, reason: &str) -> Result<(), DeadLetterError> {
        let reason = legal_reason(reason);
        if self.copies {
            return self.copy_and_delete(message, reason).await;
        }
        let request = DeadLetterMessage::new(&*self.queue_url, &message.receipt_handle);
        match self.client.dead_letter_message(request.reason(&reason)).await {
            Ok(_) => Ok(()),
            Err(error) if is_unknown_action(&error) => self.copy_and_delete(message, reason).await,
            Err(error) if error.code() == Some("UnsupportedOperation") => {
                Err(DeadLetterError::NoDeadLetterQueue)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn copy_and_delete(
        &self,
        message: &Message,
        reason: String,
    ) -> Result<(), DeadLetterError> {
        let target = self.target.get_or_try_init(|| self.find_target()).await?;
        self.client.send_message(copy_of(message, reason).to_queue(target)).await?;
        let delete = DeleteMessage::new(&*self.queue_url, &message.receipt_handle);
        self.client.delete_message(delete).await?;
        Ok(())
    }

    async fn find_target(&self) -> Result<String, DeadLetterError> {
        let request = GetQueueAttributes {
            queue_url: self.queue_url.to_string(),
            attribute_names: vec!["RedrivePolicy".into()],
        };
        let reply = self.client.get_queue_attributes(request).await?;
        let target = reply.attributes.get("RedrivePolicy").and_then(|policy| target_of(policy));
        let (account, name) = target.ok_or(DeadLetterError::NoDeadLetterQueue)?;
        let request = GetQueueUrl { queue_owner_aws_account_id: Some(account), queue_name: name };
        Ok(self.client.get_queue_url(request).await?.queue_url)
    }
}

/// The account and the name of the dead-letter queue that a redrive policy names.
fn target_of(policy: &str) -> Option<(String, String)> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct RedrivePolicy {
        dead_letter_target_arn: String,
    }
    let policy: RedrivePolicy = serde_json::from_str(policy).ok()?;
    // arn:aws:sqs:us-east-1:123456789012:name
    let mut parts = policy.dead_letter_target_arn.rsplitn(3, ':');
    let (name, account) = (parts.next()?, parts.next()?);
    Some((account.to_owned(), name.to_owned()))
}

/// What is sent in the place of a message: everything that its sender gave it, and the reason.
fn copy_of(message: &Message, reason: String) -> Outgoing {
    let mut copy = Outgoing::new(&message.body);
    copy.message_attributes.clone_from(&message.message_attributes);
    copy.group_id = message.group().map(str::to_owned);
    copy.dedup_id = message.dedup_id().map(str::to_owned);
    if let Some(header) = message.trace_header() {
        copy = copy.trace_header(header);
    }
    if copy.message_attributes.len() == ATTRIBUTES_MAX {
        return copy;
    }
    let with_reason = copy.clone().attribute(DEATH_REASON, MessageAttribute::from(reason));
    if with_reason.size() <= MESSAGE_BYTES_MAX { with_reason } else { copy }
}

/// As the services of others say that they do not know it.
fn is_unknown_action(error: &Error) -> bool {
    let codes =
        ["InvalidAction", "UnknownOperationException", "UnknownOperation", "NotImplemented"];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// Without control characters, and no longer than allowed; never empty, which no attribute may be.
fn legal_reason(reason: &str) -> String {
    let mut legal: String = reason.replace(char::is_control, " ");
    legal.truncate(legal.floor_char_boundary(REASON_BYTES_MAX));
    if legal.is_empty() { "no reason given".into() } else { legal }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_made_legal() {
        assert_eq!(legal_reason("line 1\nline 2"), "line 1 line 2");
        assert_eq!(legal_reason(""), "no reason given");
        let long = legal_reason(&"é".repeat(1000));
        assert_eq!(long, "é".repeat(512));
        assert_eq!(legal_reason(&format!("x{}", "é".repeat(1000))).len(), 1023);
    }

    #[test]
    fn the_target_is_found_in_a_redrive_policy() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:dead.fifo","maxReceiveCount":"3"}"#;
        assert_eq!(target_of(policy), Some(("123456789012".into(), "dead.fifo".into())));
        assert_eq!(target_of("{}"), None);
        assert_eq!(target_of(""), None);
    }

    #[test]
    fn a_copy_keeps_what_the_sender_gave_and_has_the_reason() {
        let mut message = Message { body: "body".into(), ..Message::default() };
        message.message_attributes.insert("kind".into(), "order".into());
        for (name, value) in
            [("MessageGroupId", "g"), ("MessageDeduplicationId", "d"), ("AWSTraceHeader", "Root=1")]
        {
            message.attributes.insert(name.into(), value.into());
        }
        let copy = copy_of(&message, "unreadable".into());
        let expected = Outgoing::new("body")
            .attribute("kind", "order")
            .attribute(DEATH_REASON, "unreadable")
            .group("g")
            .dedup_id("d")
            .trace_header("Root=1");
        assert_eq!(copy, expected);
    }

    #[test]
    fn a_copy_goes_without_the_reason_where_there_is_no_room() {
        let mut message = Message { body: "body".into(), ..Message::default() };
        for number in 0..ATTRIBUTES_MAX {
            message.message_attributes.insert(format!("a{number}"), "1".into());
        }
        let copy = copy_of(&message, "unreadable".into());
        assert_eq!(copy.message_attributes, message.message_attributes);
        let message = Message { body: "x".repeat(MESSAGE_BYTES_MAX), ..Message::default() };
        assert!(copy_of(&message, "unreadable".into()).message_attributes.is_empty());
    }
}
