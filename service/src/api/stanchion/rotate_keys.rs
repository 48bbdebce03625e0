//! RotateKeys.

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::call::Call;
use crate::error::Error;

/// Seals every key that is stored anew, under the master key that is to seal it at present: the
/// current one, or the one that a queue's `KmsMasterKeyId` names. When it is answered, nothing is
/// sealed under any other. Messages stay as they are, since their keys do.
#[derive(Debug, Deserialize)]
pub struct RotateKeys {}

/// What was done.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RotateKeysOutput {
    /// The current master key.
    master_key_id: String,
    /// Keys that were under another one than they are now.
    rewrapped: u64,
}

impl Action for RotateKeys {
    const NAME: &'static str = "RotateKeys";
    type Output = RotateKeysOutput;

    async fn run(self, call: &Call<'_>) -> Result<RotateKeysOutput, Error> {
        let shards = &call.app.shards;
        let rewrapped = shards.rotate_keys().await?;
        Ok(RotateKeysOutput { master_key_id: shards.keyring().current().into(), rewrapped })
    }
}
