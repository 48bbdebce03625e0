//! Every action, as a request and what answers it, and how both look on the wire.
//!
//! A request is a plain struct with public fields: `new` takes what is required, methods set what is
//! often wanted, and `..` the rest. Durations are sent in whole seconds, rounded up.

pub mod batches;
pub mod messages;
pub mod move_tasks;
pub mod own;
pub mod permissions;
pub mod queues;

use std::time::Duration;

use serde::Serialize;

/// A request, and what is known about its action.
pub trait Action: Serialize + Send + Sync {
    /// As on the wire: `AmazonSQS.SendMessage`.
    const TARGET: &'static str;
    /// The same request may be sent again although the first may have arrived.
    const REPEATABLE: bool = true;
    /// What answers it.
    type Reply: Reply;

    /// What the server may take beside the time that requests take.
    fn wait(&self) -> Duration {
        Duration::ZERO
    }

    /// Holds an answer against what was asked. Fails with what is wrong with it.
    fn verify(&self, _reply: &Self::Reply) -> Result<(), String> {
        Ok(())
    }
}

/// The action's name: what follows the dot.
pub(crate) fn name<A: Action>() -> &'static str {
    A::TARGET.split_once('.').map_or(A::TARGET, |(_, name)| name)
}

/// What answers a request.
pub trait Reply: Sized {
    /// Reads the body of a successful answer.
    fn read(body: &[u8]) -> serde_json::Result<Self>;
}

/// Many actions answer nothing, which is an empty body or an empty object.
impl Reply for () {
    fn read(_: &[u8]) -> serde_json::Result<()> {
        Ok(())
    }
}

/// Ties requests to their targets and answers.
macro_rules! actions {
    ($service:literal: $($request:ident => $reply:ty),* $(,)?) => { $(
        impl $crate::actions::Action for $request {
            const TARGET: &'static str = concat!($service, ".", stringify!($request));
            type Reply = $reply;
        }
    )* };
}

/// Answers that are JSON objects.
macro_rules! replies {
    ($($reply:ty),* $(,)?) => { $(
        impl $crate::actions::Reply for $reply {
            fn read(body: &[u8]) -> serde_json::Result<Self> {
                serde_json::from_slice(if body.is_empty() { b"{}" } else { body })
            }
        }
    )* };
}

pub(crate) use {actions, replies};

/// Whole seconds, rounded up: half a second of delay is not none.
pub(crate) fn seconds(span: Duration) -> u32 {
    let up = u64::from(span.subsec_nanos() > 0);
    u32::try_from(span.as_secs().saturating_add(up)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_second_is_a_whole_one() {
        let spans = [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(1)];
        assert_eq!(spans.map(seconds), [0, 1, 1]);
        assert_eq!(seconds(Duration::MAX), u32::MAX);
    }
}
