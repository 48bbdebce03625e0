//! SendMessage.

use serde::Deserialize;

use super::message::{MessageInput, SentOutput};
use super::{Action, batch};
use crate::api::call::Call;
use crate::error::Error;
use crate::model::digest::md5_of_body;
use crate::model::policy::actions::Permission;

/// Enqueues one message.
#[derive(Debug, Deserialize)]
pub struct SendMessage(MessageInput);

impl Action for SendMessage {
    const NAME: &'static str = "SendMessage";
    const PERMISSION: Permission = Permission::sqs("SendMessage");
    type Output = SentOutput;

    async fn run(self, call: &Call<'_>) -> Result<SentOutput, Error> {
        let SendMessage(input) = self;
        let queue = call.queue_with_key(input.queue_url.as_deref())?;
        let body_md5 = md5_of_body(input.body().as_bytes());
        let (message, digests) = input.parse(body_md5, &queue, call, || "MessageBody".into())?;
        let sent = batch::single(call.app.shards.send(&queue.key, vec![message]).await?)?;
        Ok(digests.answer(None, sent))
    }
}
