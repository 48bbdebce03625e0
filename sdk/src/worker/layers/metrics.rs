//! Figures of one handler, for workers that have several behind one service.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::future::BoxFuture;
use tower::{Layer, Service};

use crate::worker::metrics::{Counter, Gauge, Histogram};

/// What [`MetricsLayer`] measures.
#[derive(Debug, Default)]
pub struct HandlerMetrics {
    /// Calls under way.
    pub running: Gauge,
    /// Calls that came to a result.
    pub succeeded: Counter,
    /// Calls that came to an error.
    pub failed: Counter,
    /// Calls that came to no end: timed out, panicked, or dropped when the worker stopped.
    pub dropped: Counter,
    /// How long calls took, however they ended.
    pub duration: Histogram,
}

/// Measures the calls of a handler. A worker has figures of its own
/// ([`WorkerMetrics`](crate::worker::WorkerMetrics)); this is for a part of its work.
#[derive(Clone, Debug, Default)]
pub struct MetricsLayer {
    metrics: Arc<HandlerMetrics>,
}

impl MetricsLayer {
    /// Measures into `metrics`.
    pub fn new(metrics: Arc<HandlerMetrics>) -> MetricsLayer {
        MetricsLayer { metrics }
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metered<S>;

    fn layer(&self, inner: S) -> Metered<S> {
        Metered { inner, metrics: self.metrics.clone() }
    }
}

/// A handler whose calls are measured.
#[derive(Clone, Debug)]
pub struct Metered<S> {
    inner: S,
    metrics: Arc<HandlerMetrics>,
}

impl<S, R> Service<R> for Metered<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.metrics.running.add(1);
        // Counts what comes to no end as well: by being dropped.
        let mut call = Call { metrics: self.metrics.clone(), began: Instant::now(), ended: None };
        let future = self.inner.call(request);
        Box::pin(async move {
            let result = future.await;
            call.end(result.is_ok());
            result
        })
    }
}

struct Call {
    metrics: Arc<HandlerMetrics>,
    began: Instant,
    ended: Option<bool>,
}

impl Call {
    fn end(&mut self, is_ok: bool) {
        self.ended = Some(is_ok);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.metrics.running.sub(1);
        self.metrics.duration.record(self.began.elapsed());
        let counter = match self.ended {
            Some(true) => &self.metrics.succeeded,
            Some(false) => &self.metrics.failed,
            None => &self.metrics.dropped,
        };
        counter.add(1);
    }
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn every_call_is_counted_however_it_ends() {
        let metrics = Arc::new(HandlerMetrics::default());
        let handler = tower::service_fn(|wanted: u8| async move {
            match wanted {
                0 => Ok(()),
                1 => Err("no"),
                _ => std::future::pending().await,
            }
        });
        let service = MetricsLayer::new(metrics.clone()).layer(handler);
        assert_eq!(service.clone().oneshot(0).await, Ok(()));
        assert_eq!(service.clone().oneshot(1).await, Err("no"));
        drop(service.clone().call(2));
        let counts = [&metrics.succeeded, &metrics.failed, &metrics.dropped].map(Counter::get);
        assert_eq!(counts, [1, 1, 1]);
        assert_eq!((metrics.running.get(), metrics.duration.count()), (0, 3));
    }
}
