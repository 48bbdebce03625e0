//! The actions of Amazon SQS. A new one is a file with an [`Action`] and a line in [`ACTIONS`].

pub mod batch;
pub mod change_message_visibility;
pub mod change_message_visibility_batch;
pub mod create_queue;
pub mod delete_message;
pub mod delete_message_batch;
pub mod delete_queue;
pub mod get_queue_attributes;
pub mod get_queue_url;
pub mod list_dead_letter_source_queues;
pub mod list_queue_tags;
pub mod list_queues;
pub mod message;
pub mod purge_queue;
pub mod receive_message;
pub mod redrive;
pub mod send_message;
pub mod send_message_batch;
pub mod set_queue_attributes;
pub mod tag_queue;
pub mod tags;
pub mod untag_queue;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::call::Call;
use crate::api::protocol::Protocol;
use crate::error::Error;

/// One action: the members of its input as AWS names them, all optional, and what it does. What is
/// required, in range and consistent is for [`Action::run`] to check, in the words of AWS.
pub trait Action: DeserializeOwned + Send + 'static {
    /// As on the wire: after the dot in `X-Amz-Target`, or the value of `Action=`.
    const NAME: &'static str;

    /// What it answers, its members as AWS names them; `()` for nothing at all.
    type Output: Serialize + Send;

    /// Does it.
    fn run(self, call: &Call<'_>) -> impl Future<Output = Result<Self::Output, Error>> + Send;
}

/// The body of an answer, some time.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<u8>, Error>> + Send + 'a>>;

/// An action as the table knows it.
#[derive(Clone, Copy)]
pub struct Row {
    /// As on the wire.
    pub name: &'static str,
    /// Decodes, runs, encodes.
    pub handle: for<'a> fn(Protocol, Bytes, &'a Call<'a>) -> Answer<'a>,
}

/// Every action, in the order of their names.
pub const ACTIONS: &[Row] = &[
    row::<change_message_visibility::ChangeMessageVisibility>(),
    row::<change_message_visibility_batch::ChangeMessageVisibilityBatch>(),
    row::<create_queue::CreateQueue>(),
    row::<delete_message::DeleteMessage>(),
    row::<delete_message_batch::DeleteMessageBatch>(),
    row::<delete_queue::DeleteQueue>(),
    row::<get_queue_attributes::GetQueueAttributes>(),
    row::<get_queue_url::GetQueueUrl>(),
    row::<list_dead_letter_source_queues::ListDeadLetterSourceQueues>(),
    row::<list_queue_tags::ListQueueTags>(),
    row::<list_queues::ListQueues>(),
    row::<purge_queue::PurgeQueue>(),
    row::<receive_message::ReceiveMessage>(),
    row::<send_message::SendMessage>(),
    row::<send_message_batch::SendMessageBatch>(),
    row::<set_queue_attributes::SetQueueAttributes>(),
    row::<tag_queue::TagQueue>(),
    row::<untag_queue::UntagQueue>(),
];

/// The place of an action in [`ACTIONS`]; names are case-sensitive.
pub fn find(name: &str) -> Result<usize, Error> {
    ACTIONS
        .binary_search_by(|row| row.name.cmp(name))
        .map_err(|_| Error::UnknownAction(name.chars().take(128).collect()))
}

const fn row<A: Action>() -> Row {
    Row { name: A::NAME, handle: handle::<A> }
}

fn handle<'a, A: Action>(protocol: Protocol, body: Bytes, call: &'a Call<'a>) -> Answer<'a> {
    Box::pin(async move {
        let action = protocol.decode::<A>(&body)?;
        // A long poll may wait for long: it keeps what it asked for, not the bytes it came in.
        drop(body);
        protocol.encode(&action.run(call).await?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_finds_every_action() {
        assert!(ACTIONS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for (index, row) in ACTIONS.iter().enumerate() {
            assert_eq!(find(row.name), Ok(index));
        }
        assert!(matches!(find("sendMessage"), Err(Error::UnknownAction(_))));
    }

    #[test]
    fn the_readme_lists_exactly_these_actions() {
        let readme = include_str!("../../../../README.md");
        let (_, list) = readme.split_once("<!-- actions:").expect("the list begins");
        let (list, _) = list.split_once("<!-- end of actions -->").expect("the list ends");
        let listed: Vec<&str> = list
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.strip_suffix("` | supported |"))
            .collect();
        let served: Vec<&str> = ACTIONS.iter().map(|row| row.name).collect();
        assert_eq!(listed, served);
    }
}
