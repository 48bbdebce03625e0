//! ListAccessKeys.

use serde::{Deserialize, Serialize};

use super::Action;
use super::access::{AccessKeyOutput, accounts, parse_user_name};
use crate::api::call::Call;
use crate::api::sqs::list_queues::max_results;
use crate::error::Error;
use crate::limits::ACCESS_RESULTS_MAX;
use crate::model::policy::actions::Permission;

/// Lists access keys, in the order of their ids, never their secrets. Without an account, root sees
/// those of all accounts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccessKeys {
    account_id: Option<String>,
    user_name: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// Keys, and where to go on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAccessKeysOutput {
    access_keys: Vec<AccessKeyOutput>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Action for ListAccessKeys {
    const NAME: &'static str = "ListAccessKeys";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = ListAccessKeysOutput;

    async fn run(self, call: &Call<'_>) -> Result<ListAccessKeysOutput, Error> {
        let whose = accounts(call, self.account_id.as_deref())?;
        let user = self.user_name.as_deref().map(parse_user_name).transpose()?;
        let max = max_results(self.max_results, ACCESS_RESULTS_MAX, ACCESS_RESULTS_MAX)?;
        // The last id of the page before: any text is a place among ids.
        let after = self.next_token.unwrap_or_default();
        let entries = call.app.shards.directory().now();
        let keys = entries.list_keys(&after, max + 1, |key| {
            whose.as_ref().is_none_or(|account| key.owner.account() == account)
                && user
                    .as_ref()
                    .is_none_or(|name| key.owner.user().is_some_and(|user| user.name == *name))
        });
        let next_token = (keys.len() > max).then(|| keys[max - 1].id.to_string());
        let access_keys = keys.iter().take(max).map(|key| (&**key).into()).collect();
        Ok(ListAccessKeysOutput { access_keys, next_token })
    }
}
