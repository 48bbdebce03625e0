//! Whether anything happens on a connection.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// The requests of one connection, for who looks now and then whether there are any.
#[derive(Debug, Default)]
pub struct Activity {
    running: AtomicUsize,
    has_ended: AtomicBool,
}

/// A request in progress, until dropped.
#[derive(Debug)]
pub struct Busy<'a>(&'a Activity);

impl Activity {
    /// A request begins.
    pub fn begin(&self) -> Busy<'_> {
        self.running.fetch_add(1, Relaxed);
        Busy(self)
    }

    /// Whether no request was in progress since the last time this was asked.
    pub fn was_quiet(&self) -> bool {
        // In this order: what ends in between is still seen to have ended.
        let running = self.running.load(Relaxed);
        let has_ended = self.has_ended.swap(false, Relaxed);
        running == 0 && !has_ended
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Relaxed);
        self.0.running.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_only_between_requests() {
        let activity = Activity::default();
        assert!(activity.was_quiet());
        let first = activity.begin();
        let second = activity.begin();
        assert!(!activity.was_quiet());
        drop(first);
        assert!(!activity.was_quiet());
        assert!(!activity.was_quiet());
        drop(second);
        assert!(!activity.was_quiet(), "one has ended since");
        assert!(activity.was_quiet());
        drop(activity.begin());
        assert!(!activity.was_quiet(), "one has begun and ended since");
    }
}
