//! What requests are signed with: kept until shortly before it expires.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};

use crate::error::Error;

/// New ones are fetched so long before the old ones expire.
const AHEAD: Duration = Duration::from_secs(60);

/// Credentials, from whoever provides them.
#[derive(Debug)]
pub(super) struct CredentialsCache {
    provider: SharedCredentialsProvider,
    /// Held only to look or to replace.
    current: RwLock<Option<Arc<Credentials>>>,
    /// One fetches, the others wait for it: that is what this lock is for.
    fetching: tokio::sync::Mutex<()>,
}

impl CredentialsCache {
    pub(super) fn new(provider: SharedCredentialsProvider) -> CredentialsCache {
        let fetching = tokio::sync::Mutex::new(());
        CredentialsCache { provider, current: RwLock::new(None), fetching }
    }

    /// Credentials that are good for a while.
    pub(super) async fn get(&self, now: SystemTime) -> Result<Arc<Credentials>, Error> {
        if let Some(current) = self.current(now) {
            return Ok(current);
        }
        let _alone = self.fetching.lock().await;
        if let Some(current) = self.current(now) {
            return Ok(current);
        }
        let fetched = self.provider.provide_credentials().await;
        let fetched = Arc::new(fetched.map_err(|error| Error::Credentials(Arc::new(error)))?);
        self.put(Some(fetched.clone()));
        Ok(fetched)
    }

    /// The server does not take them any more: the next request fetches others.
    pub(super) fn forget(&self) {
        self.put(None);
    }

    fn current(&self, now: SystemTime) -> Option<Arc<Credentials>> {
        // Nothing panics while it holds this.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let good = current.expiry().is_none_or(|expiry| now + AHEAD < expiry);
        good.then_some(current)
    }

    fn put(&self, credentials: Option<Arc<Credentials>>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = credentials;
    }
}
