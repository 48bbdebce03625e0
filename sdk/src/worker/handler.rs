//! Handlers of single messages and of batches, as one thing to the driver.

use futures_util::future::BoxFuture;
use tower::{Service, ServiceExt as _};

use super::{BoxError, Delivery, Outcome};

/// Something that handles messages.
pub trait Serve: Send + 'static {
    /// How many messages it takes at once.
    fn size(&self) -> usize;

    /// Handles at least one and at most so many messages. Nothing happens before the future is
    /// polled, so that a panic is one of the future.
    fn serve(
        &self,
        deliveries: Vec<Delivery>,
    ) -> BoxFuture<'static, Result<Vec<Outcome>, BoxError>>;
}

/// A service of single messages.
#[derive(Clone, Debug)]
pub struct One<S> {
    pub(super) service: S,
}

/// A service of batches.
#[derive(Clone, Debug)]
pub struct Many<S> {
    pub(super) service: S,
    pub(super) size: usize,
}

impl<S> Serve for One<S>
where
    S: Service<Delivery> + Clone + Send + 'static,
    S::Response: Into<Outcome>,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn size(&self) -> usize {
        1
    }

    fn serve(
        &self,
        deliveries: Vec<Delivery>,
    ) -> BoxFuture<'static, Result<Vec<Outcome>, BoxError>> {
        let service = self.service.clone();
        Box::pin(async move {
            let mut outcomes = Vec::with_capacity(deliveries.len());
            for delivery in deliveries {
                let outcome = service.clone().oneshot(delivery).await.map_err(Into::into)?;
                outcomes.push(outcome.into());
            }
            Ok(outcomes)
        })
    }
}

impl<S> Serve for Many<S>
where
    S: Service<Vec<Delivery>, Response = Vec<Outcome>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    fn size(&self) -> usize {
        self.size
    }

    fn serve(
        &self,
        deliveries: Vec<Delivery>,
    ) -> BoxFuture<'static, Result<Vec<Outcome>, BoxError>> {
        let service = self.service.clone();
        Box::pin(async move { service.oneshot(deliveries).await.map_err(Into::into) })
    }
}
