//! What a handler says about a message.

use std::{fmt, time::Duration};

/// Any error, as tower's services have it. Everything that is an error becomes one with `?`; so do
/// texts, with `.into()`.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What is to become of a message. `()` becomes [`Outcome::Done`], so a handler that has nothing to
/// say ends with `Ok(())`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It is deleted.
    #[default]
    Done,
    /// It comes again after this time, in whole seconds rounded up; never later than 12 hours after
    /// it was received.
    Retry(Duration),
    /// It goes to the queue's dead-letter queue now, with this reason. Where the queue has none it
    /// comes again, after the time that the back-off says.
    DeadLetter(String),
    /// The worker does nothing: the handler has settled it itself, or it is to come again when its
    /// visibility timeout ends. On a FIFO queue the rest of its group is handed back.
    Ignore,
}

impl From<()> for Outcome {
    fn from((): ()) -> Outcome {
        Outcome::Done
    }
}

/// An error that no retry helps against: returned by a handler, its message goes to the dead-letter
/// queue with the error as the reason.
///
/// ```
/// use stanchion_sdk::worker::{BoxError, Permanent};
///
/// fn parse(body: &str) -> Result<u64, BoxError> {
///     Ok(body.parse().map_err(Permanent::new)?)
/// }
/// let error = parse("seven").unwrap_err();
/// assert!(error.is::<Permanent>());
/// ```
pub struct Permanent(BoxError);

impl Permanent {
    /// Says that `error` is permanent.
    pub fn new(error: impl Into<BoxError>) -> Permanent {
        Permanent(error.into())
    }
}

impl fmt::Display for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Permanent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl std::error::Error for Permanent {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

/// The longest reason that a server takes, in bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// A reason as a server takes it: at most 1,024 bytes, and no control characters.
pub(super) fn clean_reason(reason: &str) -> String {
    let mut clean = String::with_capacity(reason.len().min(REASON_BYTES_MAX));
    for c in reason.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if clean.len() + c.len_utf8() > REASON_BYTES_MAX {
            break;
        }
        clean.push(c);
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_cut_and_its_lines_are_joined() {
        assert_eq!(clean_reason("line\nline"), "line line");
        assert_eq!(clean_reason(&"x".repeat(2_000)).len(), 1_024);
        assert_eq!(clean_reason(&"é".repeat(600)).len(), 1_024);
        assert_eq!(clean_reason(&format!("x{}", "é".repeat(600))).len(), 1_023);
    }

    #[test]
    fn a_permanent_error_reads_like_what_it_holds() {
        let error = Permanent::new("no such customer");
        assert_eq!(error.to_string(), "no such customer");
    }
}
