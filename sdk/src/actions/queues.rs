//! Creating queues, finding them, and what they are set to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use super::{actions, replies};
use crate::message::Attributes;

/// Creates a queue, or finds it where there is one with the same settings.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateQueue {
    /// 1 to 80 letters, digits, `-` and `_`; the name of a FIFO queue ends in `.fifo`.
    pub queue_name: String,
    /// Settings as texts by their names, such as `VisibilityTimeout`.
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    pub attributes: Attributes,
    /// At most 50.
    #[serde(rename = "tags", skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

impl CreateQueue {
    /// A queue of this name; a FIFO queue if it ends in `.fifo`.
    pub fn new(name: impl Into<String>) -> CreateQueue {
        let queue_name: String = name.into();
        let fifo = queue_name.ends_with(".fifo");
        let attributes = fifo.then(|| ("FifoQueue".into(), "true".into())).into_iter().collect();
        CreateQueue { queue_name, attributes, tags: BTreeMap::new() }
    }

    /// Sets an attribute.
    pub fn attribute(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.attributes.insert(name.into(), value.to_string());
        self
    }

    /// Gives it a tag.
    pub fn tag(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.tags.insert(key.into(), value.into());
        self
    }
}

/// Finds a queue.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetQueueUrl {
    /// Its name.
    pub queue_name: String,
    /// Whose queue; by default the caller's.
    #[serde(rename = "QueueOwnerAWSAccountId")]
    pub queue_owner_aws_account_id: Option<String>,
}

impl GetQueueUrl {
    /// The caller's queue of this name.
    pub fn new(name: impl Into<String>) -> GetQueueUrl {
        GetQueueUrl { queue_name: name.into(), queue_owner_aws_account_id: None }
    }
}

/// A queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct QueueUrlReply {
    /// What other requests call it.
    pub queue_url: String,
}

/// Lists queues.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueues {
    /// Only queues whose names begin so.
    pub queue_name_prefix: Option<String>,
    /// 1 to 1,000; without it at most 1,000 come and no token.
    pub max_results: Option<u32>,
    /// Where the last page ended.
    pub next_token: Option<String>,
}

/// A page of queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListQueuesReply {
    /// Their URLs.
    pub queue_urls: Vec<String>,
    /// There are more.
    pub next_token: Option<String>,
}

/// Lists the queues that send their dead letters to this one.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListDeadLetterSourceQueues {
    /// The dead-letter queue: its URL, or its name.
    pub queue_url: String,
    /// 1 to 1,000.
    pub max_results: Option<u32>,
    /// Where the last page ended.
    pub next_token: Option<String>,
}

/// A page of queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ListDeadLetterSourceQueuesReply {
    /// Their URLs.
    #[serde(rename = "queueUrls")]
    pub queue_urls: Vec<String>,
    /// There are more.
    #[serde(rename = "NextToken")]
    pub next_token: Option<String>,
}

/// Asks what a queue is set to, and how many messages it holds.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GetQueueAttributes {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Which; `All` is all of them.
    pub attribute_names: Vec<String>,
}

impl GetQueueAttributes {
    /// Everything about this queue.
    pub fn all(queue_url: impl Into<String>) -> GetQueueAttributes {
        GetQueueAttributes { queue_url: queue_url.into(), attribute_names: vec!["All".into()] }
    }
}

/// What a queue is set to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AttributesReply {
    /// Texts by their names.
    pub attributes: Attributes,
}

/// Sets attributes of a queue.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SetQueueAttributes {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Texts by their names; an empty one takes a policy away.
    pub attributes: Attributes,
}

/// Deletes a queue and every message in it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteQueue {
    /// The queue: its URL, or its name.
    pub queue_url: String,
}

/// Deletes every message in a queue.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PurgeQueue {
    /// The queue: its URL, or its name.
    pub queue_url: String,
}

/// Gives a queue tags.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TagQueue {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// At most 50, with those that it has.
    pub tags: BTreeMap<String, String>,
}

/// Takes tags from a queue.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UntagQueue {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Unknown ones are ignored.
    pub tag_keys: Vec<String>,
}

/// Asks for a queue's tags.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListQueueTags {
    /// The queue: its URL, or its name.
    pub queue_url: String,
}

/// A queue's tags.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TagsReply {
    /// Values by their keys.
    pub tags: BTreeMap<String, String>,
}

actions! { "AmazonSQS":
    CreateQueue => QueueUrlReply,
    GetQueueUrl => QueueUrlReply,
    ListQueues => ListQueuesReply,
    ListDeadLetterSourceQueues => ListDeadLetterSourceQueuesReply,
    GetQueueAttributes => AttributesReply,
    SetQueueAttributes => (),
    DeleteQueue => (),
    PurgeQueue => (),
    TagQueue => (),
    UntagQueue => (),
    ListQueueTags => TagsReply,
}
replies! {
    QueueUrlReply, ListQueuesReply, ListDeadLetterSourceQueuesReply, AttributesReply, TagsReply,
}
