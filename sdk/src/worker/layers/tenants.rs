//! A limit on how many messages of one tenant are handled at once, so that one of many does not take
//! all slots.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{Layer, Service};

use crate::worker::{Delivery, Outcome};

/// At most so many messages of a tenant at once. What is above waits a while with its slot, and is
/// then given back for a while: other tenants' messages come before it. Its receive count rises with
/// that; a dead-letter queue's `maxReceiveCount` should allow for it.
#[derive(Clone)]
pub struct TenantLimit {
    limit: usize,
    tenant: TenantOf,
    patience: Duration,
    back_after: Duration,
    tenants: Arc<Tenants>,
}

/// The tenant of a message. None has no limit.
type TenantOf = Arc<dyn Fn(&Delivery) -> Option<String> + Send + Sync>;

/// The tenants that have messages being handled; the others are forgotten.
type Tenants = Mutex<HashMap<String, Weak<Semaphore>>>;

impl TenantLimit {
    /// By what `tenant` says of a message; what it says nothing of has no limit. The limit is at least
    /// one.
    pub fn by(
        limit: usize,
        tenant: impl Fn(&Delivery) -> Option<String> + Send + Sync + 'static,
    ) -> TenantLimit {
        TenantLimit {
            limit: limit.clamp(1, Semaphore::MAX_PERMITS),
            tenant: Arc::new(tenant),
            patience: Duration::from_millis(100),
            back_after: Duration::from_secs(5),
            tenants: Arc::default(),
        }
    }

    /// By the message group: of use on fair queues, which have groups that need no order.
    pub fn by_group(limit: usize) -> TenantLimit {
        TenantLimit::by(limit, |delivery| delivery.message.group().map(str::to_owned))
    }

    /// By a message attribute that is a text or a number.
    pub fn by_attribute(limit: usize, name: impl Into<String>) -> TenantLimit {
        let name = name.into();
        TenantLimit::by(limit, move |delivery| delivery.message.attribute(&name).map(str::to_owned))
    }

    /// How long a message waits with its slot. 100 ms by default.
    pub fn patience(mut self, patience: Duration) -> TenantLimit {
        self.patience = patience;
        self
    }

    /// For how long it is given back then, in whole seconds rounded up. 5 seconds by default.
    pub fn back_after(mut self, after: Duration) -> TenantLimit {
        self.back_after = after;
        self
    }

    /// A permit that waits its turn; None in time means there was none.
    async fn permit(self, tenant: String) -> Option<OwnedSemaphorePermit> {
        let semaphore = {
            // Guards a map that is only looked into: never held across an await.
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            match tenants.get(&tenant).and_then(Weak::upgrade) {
                Some(known) => known,
                None => {
                    tenants.retain(|_, semaphore| semaphore.strong_count() > 0);
                    let new = Arc::new(Semaphore::new(self.limit));
                    tenants.insert(tenant, Arc::downgrade(&new));
                    new
                }
            }
        };
        // A semaphore that nobody closes gives a permit at last.
        tokio::time::timeout(self.patience, semaphore.acquire_owned()).await.ok()?.ok()
    }
}

impl fmt::Debug for TenantLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantLimit").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl<S> Layer<S> for TenantLimit {
    type Service = TenantLimited<S>;

    fn layer(&self, inner: S) -> TenantLimited<S> {
        TenantLimited { inner, limit: self.clone() }
    }
}

/// A handler with a limit for each tenant.
#[derive(Clone, Debug)]
pub struct TenantLimited<S> {
    inner: S,
    limit: TenantLimit,
}

impl<S> Service<Delivery> for TenantLimited<S>
where
    S: Service<Delivery> + Clone + Send + 'static,
    S::Response: Into<Outcome>,
    S::Future: Send,
{
    type Response = Outcome;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Outcome, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        // The one that was found ready is the one to call.
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh);
        let limit = self.limit.clone();
        Box::pin(async move {
            let Some(tenant) = (limit.tenant)(&delivery) else {
                return inner.call(delivery).await.map(Into::into);
            };
            let back_after = limit.back_after;
            match limit.permit(tenant).await {
                Some(_permit) => inner.call(delivery).await.map(Into::into),
                None => Ok(Outcome::Retry(back_after)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, convert::Infallible};

    use tokio::sync::oneshot;
    use tower::{ServiceExt as _, service_fn};

    use super::*;
    use crate::message::Message;

    fn of(group: &str) -> Delivery {
        let attributes = BTreeMap::from([("MessageGroupId".to_owned(), group.to_owned())]);
        Delivery::new("queue", Message { attributes, ..Message::default() })
    }

    #[tokio::test]
    async fn any_number_is_a_limit() {
        let done = service_fn(async |_: Delivery| Ok::<Outcome, Infallible>(Outcome::Done));
        for limit in [0, usize::MAX] {
            let service = TenantLimit::by_group(limit).layer(done);
            assert_eq!(service.oneshot(of("a")).await, Ok(Outcome::Done));
        }
    }

    #[tokio::test]
    async fn what_is_above_a_tenants_limit_is_given_back() {
        let limit = TenantLimit::by_group(1).patience(Duration::ZERO);
        let tenants = limit.tenants.clone();
        let (release, held) = oneshot::channel::<()>();
        let held = Arc::new(tokio::sync::Mutex::new(Some(held)));
        let handler = service_fn(move |_: Delivery| {
            let held = held.clone();
            async move {
                let first = held.lock().await.take();
                if let Some(first) = first {
                    let _ = first.await;
                }
                Ok::<Outcome, Infallible>(Outcome::Done)
            }
        });
        let service = limit.layer(handler);
        let mut first = Box::pin(service.clone().oneshot(of("a")));
        assert!(futures_util::poll!(&mut first).is_pending());
        let back = Outcome::Retry(Duration::from_secs(5));
        assert_eq!(service.clone().oneshot(of("a")).await, Ok(back));
        assert_eq!(service.clone().oneshot(of("b")).await, Ok(Outcome::Done), "others go on");
        release.send(()).expect("the first waits");
        assert_eq!(first.await, Ok(Outcome::Done));
        assert_eq!(
            service.clone().oneshot(of("a")).await,
            Ok(Outcome::Done),
            "there is room again"
        );
        drop(service.oneshot(of("c")).await);
        assert_eq!(tenants.lock().expect("nobody panicked").len(), 1, "the others are forgotten");
    }
}
