//! DeleteAccessKey.

use serde::Deserialize;

use super::Action;
use super::access::access_key;
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::shard::directory::AccessChange;

/// Deletes an access key. Its user stays, with its policies.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteAccessKey {
    access_key_id: Option<String>,
}

impl Action for DeleteAccessKey {
    const NAME: &'static str = "DeleteAccessKey";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let id = access_key(call, self.access_key_id.as_deref())?.id.to_string();
        call.app.shards.change_access(AccessChange::DeleteKey(id)).await
    }
}
