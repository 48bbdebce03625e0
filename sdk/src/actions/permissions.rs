//! The short way to a queue's policy: who else may do what.

use serde::Serialize;

use super::actions;

/// Lets other accounts do something to a queue.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AddPermission {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// What the permission is called.
    pub label: String,
    /// Accounts, each of 12 digits.
    #[serde(rename = "AWSAccountIds")]
    pub aws_account_ids: Vec<String>,
    /// Actions such as `SendMessage`; `*` is all of them.
    pub actions: Vec<String>,
}

/// Takes a permission back.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemovePermission {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// What the permission is called.
    pub label: String,
}

actions! { "AmazonSQS":
    AddPermission => (),
    RemovePermission => (),
}
