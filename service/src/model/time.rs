//! Points in time and spans, in whole milliseconds, as SQS shows them.

use std::fmt;

/// Milliseconds since the Unix epoch, on the engine's clock (see `env.rs`), never the wall's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub u64);

/// A span of whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds, the unit of every SQS parameter.
    pub const fn from_secs(seconds: u32) -> Millis {
        Millis(seconds as u64 * 1000)
    }
}

impl Timestamp {
    /// The far future: later than any deadline.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// This moment and a span more; stays at [`Timestamp::MAX`] instead of wrapping.
    pub const fn plus(self, span: Millis) -> Timestamp {
        Timestamp(self.0.saturating_add(span.0))
    }

    /// The span from `earlier` to this moment; zero when `earlier` is later.
    pub const fn since(self, earlier: Timestamp) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds since the Unix epoch, rounded down.
    pub const fn secs(self) -> u64 {
        self.0 / 1000
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
