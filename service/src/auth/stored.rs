//! Access keys that the server keeps: users' and accounts'.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::credentials::{CredentialSource, Credentials, NoCredentials};
use crate::env;
use crate::shard::directory::{AccessChange, Directory};
use crate::shard::handle::Shards;

/// How often it is written down when keys were used last.
const SAVE_EVERY: Duration = Duration::from_secs(5 * 60);

/// The keys of the directory.
pub struct StoredKeys(Arc<Directory>);

impl StoredKeys {
    /// The keys of a directory.
    pub fn new(directory: Arc<Directory>) -> StoredKeys {
        StoredKeys(directory)
    }
}

impl CredentialSource for StoredKeys {
    fn find(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        _now: Duration,
    ) -> Option<Result<Credentials, NoCredentials>> {
        let entries = self.0.now();
        let key = entries.key(access_key_id)?;
        // No session token goes with a key that is for good.
        if !key.active || token.is_some() {
            return Some(Err(NoCredentials::Unknown));
        }
        let (secret, caller) = (key.secret.clone(), Arc::clone(&key.caller));
        Some(Ok(Credentials { secret, caller }))
    }

    fn note_use(&self, access_key_id: &str, now: Duration) {
        if let Some(key) = self.0.now().key(access_key_id) {
            key.last_used.note(now);
        }
    }
}

/// Writes down when keys were used last, every few minutes and once more when told to stop.
pub async fn save_last_used(shards: Shards, stop: CancellationToken) {
    loop {
        let stopped = stop.run_until_cancelled(env::sleep(SAVE_EVERY)).await.is_none();
        if let Err(error) = shards.change_access(AccessChange::SaveLastUsed).await {
            tracing::warn!(%error, "when access keys were used last could not be saved");
        }
        if stopped {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::SystemClock;
    use crate::model::caller::Caller;
    use crate::model::queue::AccountId;
    use crate::model::time::Timestamp;
    use crate::model::user::{Owner, Policies};
    use crate::shard::start::StartOptions;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn a_key_is_found_while_it_may_be_used() {
        let store = Arc::new(MemoryStore::new());
        let options = StartOptions::new(store, Arc::new(SystemClock));
        let (shards, _failure) = Shards::start(options).unwrap();
        let keys = StoredKeys::new(Arc::clone(shards.directory()));
        let account = AccountId::parse("111122223333").unwrap();
        let owner = Owner::Root(account.clone());
        let made = shards.create_access_key(owner, Policies::new()).await.unwrap();
        let now = Duration::from_secs(1_700_000_000);
        let find = |id: &str, token: Option<&str>| keys.find(id, token, now);

        let found = find(&made.id, None).unwrap().unwrap();
        assert_eq!(found.secret, made.secret);
        assert_eq!(found.caller.identity, Caller::root(account).identity);
        assert_eq!(found.caller.access_key_id.as_deref(), Some(&*made.id));
        assert_eq!(made.last_used.at(), None, "nothing was signed with it yet");
        keys.note_use(&made.id, now);
        assert_eq!(made.last_used.at(), Some(Timestamp(1_700_000_000_000)));

        let refused = |found: Option<Result<Credentials, _>>| found.unwrap().err();
        assert_eq!(refused(find(&made.id, Some("token"))), Some(NoCredentials::Unknown));
        assert!(find("AKIAIOSFODNN7EXAMPLE", None).is_none());
        let id = made.id.to_string();
        shards.change_access(AccessChange::SetActive { id, active: false }).await.unwrap();
        assert_eq!(refused(find(&made.id, None)), Some(NoCredentials::Unknown));
        shards.change_access(AccessChange::DeleteKey(made.id.to_string())).await.unwrap();
        assert!(find(&made.id, None).is_none());
    }
}
