//! UpdateAccessKey.

use serde::Deserialize;

use super::Action;
use super::access::access_key;
use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::shard::directory::AccessChange;

/// Disables an access key, or enables it again. From the answer on, a disabled one is as unknown as
/// one that never was.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UpdateAccessKey {
    access_key_id: Option<String>,
    status: Option<String>,
}

impl Action for UpdateAccessKey {
    const NAME: &'static str = "UpdateAccessKey";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = ();

    async fn run(self, call: &Call<'_>) -> Result<(), Error> {
        let active = match required(self.status.as_deref(), "Status")? {
            "Active" => true,
            "Inactive" => false,
            other => {
                return Err(Error::invalid("Status", other, "Must be Active or Inactive."));
            }
        };
        let id = access_key(call, self.access_key_id.as_deref())?.id.to_string();
        call.app.shards.change_access(AccessChange::SetActive { id, active }).await
    }
}
