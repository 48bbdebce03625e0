//! Users and access keys, as the API changes them.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::directory::{AccessChange, Directory, NewKey, purpose};
use super::free_space::Room;
use super::handle::Shards;
use super::request::Request;
use crate::env::os_random;
use crate::error::Error;
use crate::model::caller::Secret;
use crate::model::queue::Slot;
use crate::model::user::{AccessKey, Owner, Policies, iam_id};

impl Shards {
    /// The users and access keys there are.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.inner.directory
    }

    /// Makes an access key, and its user where that is new; the user may do what `policies` say, and
    /// what it may already. Answers when it is on the disk.
    pub async fn create_access_key(
        &self,
        owner: Owner,
        policies: Policies,
    ) -> Result<Arc<AccessKey>, Error> {
        self.needs(Room::Ample)?;
        // 80 random bits: no id is ever given twice.
        let id: Arc<str> = iam_id("AKIA", &os_random::<16>()).into();
        // 30 bytes make 40 characters, as AWS' secrets have.
        let secret = STANDARD.encode(os_random::<30>());
        let sealed = self.inner.keyring.seal(&purpose(&id), secret.as_bytes()).into();
        self.change_access(AccessChange::CreateKey(Box::new(NewKey {
            id: Arc::clone(&id),
            secret: Secret(secret.into()),
            sealed,
            owner,
            user_id: iam_id("AIDA", &os_random::<17>()),
            policies,
        })))
        .await?;
        // Nobody else knows of it yet, but whoever deletes its user.
        self.directory().now().key(&id).cloned().ok_or(Error::ResourceNotFound("UserName"))
    }

    /// Seals every secret anew that is not sealed with the current master key; how many these were.
    pub(super) async fn reseal_access_keys(&self) -> Result<u64, Error> {
        let keyring = &self.inner.keyring;
        let mut seals = Vec::new();
        for key in self.directory().now().list_keys("", usize::MAX, |_| true) {
            let resealed = keyring.rewrap(&purpose(&key.id), &key.sealed);
            let resealed = resealed.map_err(|why| {
                Error::Internal(format!("the secret of access key {}: {why}", key.id).into())
            })?;
            seals.extend(resealed.map(|sealed| (Arc::clone(&key.id), sealed.into())));
        }
        let count = seals.len() as u64;
        if count > 0 {
            self.change_access(AccessChange::Reseal(seals)).await?;
        }
        Ok(count)
    }

    /// Makes a change to users and access keys; answers when it is on the disk, and in force.
    pub async fn change_access(&self, change: AccessChange) -> Result<(), Error> {
        self.needs(Room::Short)?;
        self.ask(Slot(0), |reply| Request::Access { change, reply }).await
    }
}
