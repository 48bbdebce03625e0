//! DeleteUser.

use serde::Deserialize;

use super::Action;
use super::access::user;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::shard::directory::AccessChange;

/// Deletes a user, its policies and its access keys.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteUser {
    account_id: Option<String>,
    user_name: Option<String>,
}

impl Action for DeleteUser {
    const NAME: &'static str = "DeleteUser";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let user = user(call, self.account_id.as_deref(), self.user_name.as_deref())?;
        call.app.shards.change_access(AccessChange::DeleteUser(user)).await
    }
}
