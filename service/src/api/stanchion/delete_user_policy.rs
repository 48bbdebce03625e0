//! DeleteUserPolicy.

use serde::Deserialize;

use super::Action;
use super::access::{parse_policy_name, user};
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::shard::directory::AccessChange;

/// Takes a policy from a user.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteUserPolicy {
    account_id: Option<String>,
    user_name: Option<String>,
    policy_name: Option<String>,
}

impl Action for DeleteUserPolicy {
    const NAME: &'static str = "DeleteUserPolicy";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let user = user(call, self.account_id.as_deref(), self.user_name.as_deref())?;
        let name = parse_policy_name(required(self.policy_name.as_deref(), "PolicyName")?)?;
        call.app.shards.change_access(AccessChange::DeletePolicy { user, name }).await
    }
}
