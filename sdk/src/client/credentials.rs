//! What requests are signed with: kept until shortly before it expires.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
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

    /// Credentials that are good for a while. Who provides them may take as long as `patience`; when
    /// that fails, what is there is used for as long as it is good.
    pub(super) async fn get(&self, patience: Duration) -> Result<Arc<Credentials>, Error> {
        if let Some(current) = self.good_for(AHEAD) {
            return Ok(current);
        }
        // Together with the wait for the lock, so that many who wait do so side by side.
        let fetched = tokio::time::timeout(patience, self.fetch()).await;
        let fetched =
            fetched.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(patience)));
        fetched.or_else(|error| match self.good_for(Duration::ZERO) {
            Some(current) => {
                tracing::warn!(%error, "credentials cannot be renewed yet");
                Ok(current)
            }
            None => Err(Error::Credentials(Arc::new(error))),
        })
    }

    async fn fetch(&self) -> Result<Arc<Credentials>, CredentialsError> {
        let _alone = self.fetching.lock().await;
        if let Some(current) = self.good_for(AHEAD) {
            return Ok(current);
        }
        let fetched = Arc::new(self.provider.provide_credentials().await?);
        self.put(Some(fetched.clone()));
        Ok(fetched)
    }

    /// The server does not take them any more: the next request fetches others.
    pub(super) fn forget(&self) {
        self.put(None);
    }

    /// What is there, if it is good for so long.
    fn good_for(&self, span: Duration) -> Option<Arc<Credentials>> {
        // Nothing panics while it holds this.
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        let good = current.expiry().is_none_or(|expiry| SystemTime::now() + span < expiry);
        good.then_some(current)
    }

    fn put(&self, credentials: Option<Arc<Credentials>>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = credentials;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use aws_credential_types::provider::{ProvideCredentials, future};

    use super::*;

    /// Has credentials that expire in so many seconds the first time, and then fails, or never answers.
    #[derive(Debug)]
    struct Once {
        expires_in_s: u64,
        hangs: bool,
        asked: AtomicUsize,
    }

    impl ProvideCredentials for Once {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let expiry = SystemTime::now() + Duration::from_secs(self.expires_in_s);
            match self.asked.fetch_add(1, Relaxed) {
                0 => future::ProvideCredentials::ready(Ok(Credentials::new(
                    "key",
                    "secret",
                    None,
                    Some(expiry),
                    "test",
                ))),
                _ if self.hangs => future::ProvideCredentials::new(std::future::pending()),
                _ => future::ProvideCredentials::ready(Err(CredentialsError::provider_error("no"))),
            }
        }
    }

    fn cache(expires_in_s: u64, hangs: bool) -> CredentialsCache {
        let provider = Once { expires_in_s, hangs, asked: AtomicUsize::new(0) };
        CredentialsCache::new(SharedCredentialsProvider::new(provider))
    }

    #[tokio::test]
    async fn what_cannot_be_renewed_is_used_while_it_is_good() {
        for hangs in [false, true] {
            let cache = cache(50, hangs);
            for _ in 0..3 {
                let credentials = cache.get(Duration::from_millis(1)).await;
                assert_eq!(
                    credentials.map(|it| it.access_key_id().to_owned()).ok(),
                    Some("key".into())
                );
            }
        }
    }

    #[tokio::test]
    async fn who_does_not_answer_is_not_waited_for_and_may_be_asked_again() {
        for hangs in [false, true] {
            let cache = cache(0, hangs);
            let _expired = cache.get(Duration::from_millis(1)).await;
            let (one, other) = tokio::join!(
                cache.get(Duration::from_millis(1)),
                cache.get(Duration::from_millis(1))
            );
            for refused in [one, other] {
                assert!(refused.is_err_and(|error| error.is_retryable()));
            }
        }
        let none = SharedCredentialsProvider::new(Nobody);
        let refused = CredentialsCache::new(none).get(Duration::from_secs(60)).await.unwrap_err();
        assert!(!refused.is_retryable(), "{refused}");
    }

    #[derive(Debug)]
    struct Nobody;

    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let error = CredentialsError::not_loaded_no_source();
            future::ProvideCredentials::ready(Err(error))
        }
    }
}
