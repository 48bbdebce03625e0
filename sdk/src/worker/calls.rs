//! What the worker asks servers for, and what their answers mean to it.

use std::sync::Arc;
use std::time::Duration;

use super::core::{Answer, Ticket};
use crate::actions::batches::BatchReply;
use crate::dead_letter::{DeadLetterError, DeadLetters};
use crate::{
    ChangeMessageVisibilityBatch, ChangeMessageVisibilityBatchEntry, Client, DeleteMessageBatch,
    Error, Message, ReceiveMessage,
};

/// One queue on its server.
#[derive(Debug)]
pub(super) struct Remote {
    client: Client,
    pub(super) url: Arc<str>,
    dead_letters: DeadLetters,
}

impl Remote {
    pub(super) fn new(client: Client, url: Arc<str>) -> Remote {
        let dead_letters = DeadLetters::of(client.clone(), &*url);
        Remote { client, url, dead_letters }
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
        answers(&tickets, reply)
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
        answers(&tickets, reply)
    }

    /// Sends a message to the dead-letter queue.
    pub(super) async fn dead_letter(&self, message: &Message, reason: &str) -> Answer {
        match self.dead_letters.send(message, reason).await {
            Ok(()) => Answer::Done,
            Err(DeadLetterError::NoDeadLetterQueue) => {
                tracing::warn!(queue = &*self.url, "there is no dead-letter queue");
                Answer::Refused
            }
            Err(DeadLetterError::Service(error)) => {
                tracing::warn!(queue = &*self.url, %error, "a message did not become a dead letter");
                answer_to(&error)
            }
        }
    }
}

/// The answer for each entry of a batch, whose ids are their places. Of what the server says nothing
/// about, nobody knows anything.
fn answers(tickets: &[Ticket], reply: Result<BatchReply, Error>) -> Vec<(Ticket, Answer)> {
    let BatchReply { successful, failed } = match reply {
        Ok(reply) => reply,
        Err(error) => {
            tracing::warn!(%error, messages = tickets.len(), "a batch failed");
            let answer = answer_to(&error);
            return tickets.iter().map(|ticket| (*ticket, answer)).collect();
        }
    };
    let mut answers: Vec<(Ticket, Answer)> =
        tickets.iter().map(|ticket| (*ticket, Answer::Failed)).collect();
    let mut set = |id: &str, answer| {
        let place = id.parse::<usize>().ok();
        if let Some(entry) = place.and_then(|place| answers.get_mut(place)) {
            entry.1 = answer;
        }
    };
    for done in &successful {
        set(&done.id, Answer::Done);
    }
    for failure in &failed {
        tracing::debug!(code = failure.code, message = failure.message, "an entry failed");
        let answer = match is_lost(&failure.code) {
            true => Answer::Lost,
            false if failure.sender_fault => Answer::Refused,
            false => Answer::Failed,
        };
        set(&failure.id, answer);
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
    use crate::BatchFailure;
    use crate::actions::batches::BatchSuccess;

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
        let successful = ["0", "9"].map(|id| BatchSuccess { id: id.into() }).to_vec();
        let tickets = [1, 2, 3, 4, 5].map(Ticket);
        let reply = Ok(BatchReply { successful, failed });
        let answers: Vec<Answer> =
            answers(&tickets, reply).into_iter().map(|(_, answer)| answer).collect();
        // The last one is mentioned nowhere.
        use Answer::{Done, Failed, Lost, Refused};
        assert_eq!(answers, [Done, Lost, Failed, Refused, Failed]);
    }
}
