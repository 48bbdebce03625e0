//! Users, their keys and what they may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

use crate::actions::{Action, actions, replies};

/// Makes an access key for a user, and the user where there is none.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAccessKey {
    /// Twelve digits; by default the caller's account.
    pub account_id: Option<String>,
    /// Without it the account's root.
    pub user_name: Option<String>,
    /// Policies by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, String>,
}

impl Action for CreateAccessKey {
    const TARGET: &'static str = "Stanchion.CreateAccessKey";
    // The second would be another key.
    const REPEATABLE: bool = false;
    type Reply = CreateAccessKeyReply;
}

/// An access key, with its secret: nobody shows that again.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateAccessKeyReply {
    /// Its id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
    /// Whose it is.
    pub account_id: String,
    /// Whose it is in the account, if not root's.
    pub user_name: Option<String>,
    /// `Active`.
    pub status: String,
    /// When it was made.
    pub created_at: u64,
}

/// Without the secret.
impl std::fmt::Debug for CreateAccessKeyReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = f.debug_struct("CreateAccessKeyReply");
        text.field("access_key_id", &self.access_key_id).field("account_id", &self.account_id);
        text.field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

/// Lists access keys.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccessKeys {
    /// By default the caller's; for root, all.
    pub account_id: Option<String>,
    /// Only of a user of this name.
    pub user_name: Option<String>,
    /// 1 to 100.
    pub max_results: Option<u32>,
    /// Where the last page ended.
    pub next_token: Option<String>,
}

/// A page of access keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListAccessKeysReply {
    /// In the order of their ids.
    pub access_keys: Vec<AccessKey>,
    /// There are more.
    pub next_token: Option<String>,
}

/// An access key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AccessKey {
    /// Its id.
    pub access_key_id: String,
    /// Whose it is.
    pub account_id: String,
    /// Whose it is in the account, if not root's.
    pub user_name: Option<String>,
    /// `Active` or `Inactive`.
    pub status: String,
    /// When it was made.
    pub created_at: u64,
    /// If it was used.
    pub last_used_at: Option<u64>,
}

/// Disables an access key, or enables it again.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateAccessKey {
    /// Its id.
    pub access_key_id: String,
    /// `Active` or `Inactive`.
    pub status: String,
}

/// Deletes an access key.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteAccessKey {
    /// Its id.
    pub access_key_id: String,
}

/// Lists users and what they may do.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsers {
    /// By default the caller's; for root, all.
    pub account_id: Option<String>,
    /// Only users of this name.
    pub user_name: Option<String>,
    /// 1 to 100.
    pub max_results: Option<u32>,
    /// Where the last page ended.
    pub next_token: Option<String>,
}

/// A page of users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ListUsersReply {
    /// In the order of their accounts and names.
    pub users: Vec<User>,
    /// There are more.
    pub next_token: Option<String>,
}

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct User {
    /// Whose user it is.
    pub account_id: String,
    /// Its name.
    pub user_name: String,
    /// Another for another user of the same name.
    pub user_id: String,
    /// What policies call it.
    pub arn: String,
    /// When it was made.
    pub created_at: u64,
    /// Its policies by their names.
    pub policies: BTreeMap<String, String>,
}

/// Deletes a user, its policies and its keys.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteUser {
    /// Its name.
    pub user_name: String,
    /// By default the caller's.
    pub account_id: Option<String>,
}

/// Gives a user a policy.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutUserPolicy {
    /// Whose.
    pub user_name: String,
    /// Replaces the one that is called so.
    pub policy_name: String,
    /// In JSON.
    pub policy: String,
    /// By default the caller's.
    pub account_id: Option<String>,
}

/// Takes a policy from a user.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteUserPolicy {
    /// Whose.
    pub user_name: String,
    /// What it is called.
    pub policy_name: String,
    /// By default the caller's.
    pub account_id: Option<String>,
}

/// Asks whether somebody may do something to a queue, and why.
#[skip_serializing_none]
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SimulatePolicy {
    /// The queue: its URL, or its name.
    pub queue_url: String,
    /// Such as `SendMessage` or `stanchion:PeekMessages`.
    pub action: String,
    /// Who: an ARN, an account's id, or `anonymous`; by default whoever asks.
    pub principal: Option<String>,
    /// The policies of that identity; by default those that are stored.
    pub policies: Option<Vec<String>>,
    /// The policy of the session.
    pub session_policy: Option<String>,
    /// Values of condition keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, Vec<String>>,
}

/// Whether it is allowed, and what decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SimulatePolicyReply {
    /// `allowed`, `explicitDeny` or `implicitDeny`.
    pub decision: String,
    /// `identity`, `resource` or `session`.
    pub policy_type: Option<String>,
    /// Which policy of that kind, from zero.
    pub policy_index: Option<u64>,
    /// Which of its statements, from zero.
    pub statement_index: Option<u64>,
    /// The statement's `Sid`.
    pub statement_id: Option<String>,
}

actions! { "Stanchion":
    ListAccessKeys => ListAccessKeysReply,
    UpdateAccessKey => (),
    DeleteAccessKey => (),
    ListUsers => ListUsersReply,
    DeleteUser => (),
    PutUserPolicy => (),
    DeleteUserPolicy => (),
    SimulatePolicy => SimulatePolicyReply,
}
replies! { CreateAccessKeyReply, ListAccessKeysReply, ListUsersReply, SimulatePolicyReply }
