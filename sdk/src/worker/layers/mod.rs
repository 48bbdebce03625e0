//! Middleware for handlers, as tower layers: `Worker::builder(..).handler(..).layer(..)`. The last one
//! given is the outermost. They work around handlers of single messages and of batches alike, but for
//! [`TenantLimit`].

mod metrics;
mod tenants;
mod tracing;

pub use metrics::{HandlerMetrics, Metered, MetricsLayer};
pub use tenants::{TenantLimit, TenantLimited};
pub use tracing::{Traced, TracingLayer};
