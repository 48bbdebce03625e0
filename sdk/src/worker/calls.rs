//! What the worker asks servers for, and what their answers mean to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OnceCell;

use super::core::{Answer, Ticket};
use crate::actions::messages::SendMessage;
use crate::actions::own::messages::DeadLetterMessage;
use crate::actions::queues::{GetQueueAttributes, GetQueueUrl};
use crate::{
    BatchFailure, ChangeMessageVisibilityBatch, ChangeMessageVisibilityBatchEntry, Client,
    DeleteMessage, DeleteMessageBatch, Error, Message, ReceiveMessage,
};

/// One queue on its server.
#[derive(Debug)]
pub(super) struct Remote {
    client: Client,
    pub(super) url: Arc<str>,
    /// Where its dead letters go, once somebody had to know.
    dead_letters: OnceCell<String>,
}

/// The message attribute that says why a message was sent to a dead-letter queue of Amazon's.
const REASON_ATTRIBUTE: &str = "Stanchion.DeathReason";

/// How many attributes a message may have.
const ATTRIBUTES_MAX: usize = 10;

impl Remote {
    pub(super) fn new(client: Client, url: Arc<str>) -> Remote {
        Remote { client, url, dead_letters: OnceCell::new() }
    }

    pub(super) async fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Message>, Error> {
        let request = ReceiveMessage::new(&*self.url)
            .max(u32::try_from(max).unwrap_or(u32::MAX))
            .wait(wait)
            .visibility(visibility);
        Ok(self.client.receive_message(request).await?.messages)
    }

    /// Deletes up to ten messages.
    pub(super) async fn delete(&self, entries: Vec<(Ticket, String)>) -> Vec<(Ticket, Answer)> {
        let (tickets, handles): (Vec<Ticket>, Vec<String>) = entries.into_iter().unzip();
        let request = DeleteMessageBatch::new(&*self.url, handles);
        let reply = self.client.delete_message_batch(request).await;
        answers(&tickets, reply.map(|reply| reply.failed))
    }

    /// Hides up to ten messages for so many seconds from now on; zero makes them available.
    pub(super) async fn hide(&self, entries: Vec<(Ticket, String, u32)>) -> Vec<(Ticket, Answer)> {
        let tickets: Vec<Ticket> = entries.iter().map(|(ticket, ..)| *ticket).collect();
        let entries = entries.into_iter().enumerate();
        let entries = entries.map(|(place, (_, receipt_handle, visibility_timeout))| {
            let id = place.to_string();
            ChangeMessageVisibilityBatchEntry { id, receipt_handle, visibility_timeout }
        });
        let (queue_url, entries) = (self.url.to_string(), entries.collect());
        let request = ChangeMessageVisibilityBatch { queue_url, entries };
        let reply = self.client.change_message_visibility_batch(request).await;
        answers(&tickets, reply.map(|reply| reply.failed))
    }

    /// Sends a message to the dead-letter queue.
    pub(super) async fn dead_letter(&self, message: &Message, reason: String) -> Answer {
        let result = match self.client.is_amazon() {
            true => self.send_and_delete(message, reason).await,
            false => {
                let request = DeadLetterMessage::new(&*self.url, &message.receipt_handle);
                self.client.dead_letter_message(request.reason(reason)).await.map(|_| Some(()))
            }
        };
        match result {
            Ok(Some(())) => Answer::Done,
            Ok(None) => {
                tracing::warn!(queue = &*self.url, "there is no dead-letter queue");
                Answer::Refused
            }
            Err(error) => {
                tracing::warn!(queue = &*self.url, %error, "a message did not become a dead letter");
                answer_to(&error)
            }
        }
    }

    /// Amazon SQS has no action for this. Not atomic: where the deletion fails the message is in both
    /// queues. None when there is no dead-letter queue.
    async fn send_and_delete(
        &self,
        message: &Message,
        reason: String,
    ) -> Result<Option<()>, Error> {
        let found = self.dead_letters.get_or_try_init(|| self.dead_letter_url()).await;
        let url = match found {
            Ok(url) => url,
            Err(NoUrl::NoQueue) => return Ok(None),
            Err(NoUrl::Failed(error)) => return Err(error),
        };
        let mut send = SendMessage::new(url, &message.body);
        send.message_attributes = message.message_attributes.clone();
        if send.message_attributes.len() < ATTRIBUTES_MAX {
            send = send.attribute(REASON_ATTRIBUTE, reason);
        }
        if let Some(trace) = message.trace_header() {
            send = send.trace_header(trace);
        }
        if let Some(group) = message.group() {
            send = send.group(group);
        }
        if url.ends_with(".fifo") {
            // The same message once, should this be tried again.
            send = send.dedup_id(&message.message_id);
        }
        self.client.send_message(send).await?;
        self.client.delete_message(DeleteMessage::new(&*self.url, &message.receipt_handle)).await?;
        Ok(Some(()))
    }

    async fn dead_letter_url(&self) -> Result<String, NoUrl> {
        let request = GetQueueAttributes {
            queue_url: self.url.to_string(),
            attribute_names: vec!["RedrivePolicy".into()],
        };
        let reply = self.client.get_queue_attributes(request).await.map_err(NoUrl::Failed)?;
        let policy = reply.attributes.get("RedrivePolicy");
        let (owner, name) = policy.and_then(|policy| target_of(policy)).ok_or(NoUrl::NoQueue)?;
        let request =
            GetQueueUrl { queue_owner_aws_account_id: Some(owner), ..GetQueueUrl::new(name) };
        Ok(self.client.get_queue_url(request).await.map_err(NoUrl::Failed)?.queue_url)
    }
}

enum NoUrl {
    NoQueue,
    Failed(Error),
}

/// The account and the name of the queue that a redrive policy names by its ARN.
fn target_of(redrive_policy: &str) -> Option<(String, String)> {
    let policy: serde_json::Value = serde_json::from_str(redrive_policy).ok()?;
    let arn = policy.get("deadLetterTargetArn")?.as_str()?;
    let mut parts = arn.rsplit(':');
    let (name, owner) = (parts.next()?, parts.next()?);
    Some((owner.to_owned(), name.to_owned()))
}

/// The answer for each entry of a batch, whose ids are their places.
fn answers(tickets: &[Ticket], failed: Result<Vec<BatchFailure>, Error>) -> Vec<(Ticket, Answer)> {
    let failed = match failed {
        Ok(failed) => failed,
        Err(error) => {
            tracing::warn!(%error, messages = tickets.len(), "a batch failed");
            let answer = answer_to(&error);
            return tickets.iter().map(|ticket| (*ticket, answer)).collect();
        }
    };
    let mut answers: Vec<(Ticket, Answer)> =
        tickets.iter().map(|ticket| (*ticket, Answer::Done)).collect();
    for failure in failed {
        let place = failure.id.parse::<usize>().ok();
        if let Some(answer) = place.and_then(|place| answers.get_mut(place)) {
            tracing::debug!(code = failure.code, message = failure.message, "an entry failed");
            answer.1 = match is_lost(&failure.code) {
                true => Answer::Lost,
                false if failure.sender_fault => Answer::Refused,
                false => Answer::Failed,
            };
        }
    }
    answers
}

fn answer_to(error: &Error) -> Answer {
    match error {
        // Some will be there in a while.
        Error::Credentials(_) => Answer::Failed,
        error if error.is_retryable() => Answer::Failed,
        error if error.code().is_some_and(is_lost) => Answer::Lost,
        _ => Answer::Refused,
    }
}

/// What servers say of a receipt handle that does not hold its message any more.
fn is_lost(code: &str) -> bool {
    matches!(
        code,
        "ReceiptHandleIsInvalid"
            | "InvalidParameterValue"
            | "InvalidParameterValueException"
            | "MessageNotInflight"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_letter_queue_is_found_in_the_policy() {
        let policy = r#"{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:123456789012:dead","maxReceiveCount":"3"}"#;
        assert_eq!(target_of(policy), Some(("123456789012".into(), "dead".into())));
        assert_eq!(target_of("{}"), None);
    }

    #[test]
    fn each_entry_has_its_own_answer() {
        let failure = |id: &str, code: &str, sender_fault| BatchFailure {
            id: id.into(),
            code: code.into(),
            message: None,
            sender_fault,
        };
        let failed = vec![
            failure("1", "ReceiptHandleIsInvalid", true),
            failure("2", "InternalError", false),
            failure("3", "AccessDenied", true),
            failure("9", "nobody asked", true),
        ];
        let tickets = [1, 2, 3, 4].map(Ticket);
        let answers: Vec<Answer> =
            answers(&tickets, Ok(failed)).into_iter().map(|(_, answer)| answer).collect();
        assert_eq!(answers, [Answer::Done, Answer::Lost, Answer::Failed, Answer::Refused]);
    }
}
