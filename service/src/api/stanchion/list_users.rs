//! ListUsers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Action;
use super::access::{accounts, parse_user_name};
use crate::api::call::Call;
use crate::api::sqs::list_queues::max_results;
use crate::error::Error;
use crate::limits::ACCESS_RESULTS_MAX;
use crate::model::policy::actions::Permission;
use crate::model::queue::AccountId;
use crate::model::user::{User, UserKey, UserName};

/// Lists users and what they may do, in the order of their accounts and names. Without an account,
/// root sees those of all accounts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsers {
    account_id: Option<String>,
    user_name: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Users, and where to go on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListUsersOutput {
    users: Vec<UserOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct UserOutput {
    account_id: String,
    user_name: String,
    user_id: String,
    arn: String,
    created_at: u64,
    /// By their names, as text.
    policies: BTreeMap<String, String>,
}

impl Action for ListUsers {
    const NAME: &'static str = "ListUsers";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = ListUsersOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListUsersOutput, Error> {
        let whose = accounts(call, self.account_id.as_deref())?;
        let name = self.user_name.as_deref().map(parse_user_name).transpose()?;
        let max = max_results(self.max_results, ACCESS_RESULTS_MAX, ACCESS_RESULTS_MAX)?;
        let after = self.next_token.filter(|token| !token.is_empty());
        let after = after.map(|token| parse_token(&token)).transpose()?;
        let entries = call.app.shards.directory().now();
        let users = entries.list_users(after.as_ref(), max + 1, |user| {
            whose.as_ref().is_none_or(|account| user.key.account == *account)
                && name.as_ref().is_none_or(|name| user.key.name == *name)
        });
        let next_token = (users.len() > max).then(|| token(&users[max - 1].key));
        let users = users.iter().take(max).map(|user| UserOutput::from(&**user)).collect();
        Ok(ListUsersOutput { users, next_token })
    }
}

impl From<&User> for UserOutput {
    fn from(user: &User) -> UserOutput {
        let (account, name) = (user.key.account.as_str(), user.key.name.as_str());
        let texts = user.policies.iter();
        UserOutput {
            account_id: account.into(),
            user_name: name.into(),
            user_id: user.id.clone(),
            arn: format!("arn:aws:iam::{account}:user/{name}"),
            created_at: user.created_at.0,
            policies: texts.map(|(name, one)| (name.as_str().into(), one.text().into())).collect(),
        }
    }
}

/// The last user of a page.
fn token(user: &UserKey) -> String {
    format!("{}/{}", user.account.as_str(), user.name.as_str())
}

fn parse_token(token: &str) -> Result<UserKey, Error> {
    let parts = token.split_once('/').and_then(|(account, name)| {
        Some(UserKey { account: AccountId::parse(account)?, name: UserName::parse(name)? })
    });
    parts.ok_or_else(|| Error::InvalidParameter("Invalid or expired next token.".into()))
}
