//! PutUserPolicy.

use serde::Deserialize;

use super::Action;
use super::access::{parse_policy_name, user};
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::model::policy::identity_policy::IdentityPolicy;
use crate::shard::directory::AccessChange;

/// Gives a user a policy, in place of one of the same name. It is in force from the answer on, for
/// all of the user's keys.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PutUserPolicy {
    account_id: Option<String>,
    user_name: Option<String>,
    policy_name: Option<String>,
    policy: Option<String>,
}

impl Action for PutUserPolicy {
    const NAME: &'static str = "PutUserPolicy";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let user = user(call, self.account_id.as_deref(), self.user_name.as_deref())?;
        let name = parse_policy_name(required(self.policy_name.as_deref(), "PolicyName")?)?;
        let policy = required(self.policy.as_deref(), "Policy")?;
        let policy = IdentityPolicy::parse(policy, "Policy")?;
        call.app.shards.change_access(AccessChange::PutPolicy { user, name, policy }).await
    }
}
