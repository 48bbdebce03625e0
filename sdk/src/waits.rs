//! Waits: how long they may be, and those that may have no end.

use std::time::{Duration, Instant};

/// Longer than anybody waits, and short enough to be added to any moment.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Until a moment; without one for ever.
pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
