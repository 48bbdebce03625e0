//! Where a message stands in a distributed trace. W3C's `traceparent` becomes the system attribute
//! `AWSTraceHeader` and back, so it travels beside a message and takes none of its ten attributes.

use std::fmt::{self, Display, Formatter};

use crate::{Message, SendMessage};

/// The trace a message belongs to, and the span it was sent from: what `traceparent` of W3C Trace
/// Context and the header `X-Amzn-Trace-Id` of AWS X-Ray both say. `tracestate` is not carried: the
/// other form has no place for it.
///
/// ```
/// use stanchion_sdk::TraceContext;
///
/// let incoming = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = TraceContext::from_traceparent(incoming).unwrap();
/// let carried = context.to_trace_header();
/// assert_eq!(
///     carried,
///     "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1",
/// );
/// assert_eq!(TraceContext::from_trace_header(&carried), Some(context));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceContext {
    /// The trace; never 0.
    pub trace_id: u128,
    /// The span that what carries this is a consequence of; never 0.
    pub span_id: u64,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl TraceContext {
    /// The beginning of a new trace.
    pub fn root(sampled: bool) -> TraceContext {
        TraceContext { trace_id: fastrand::u128(1..), span_id: fastrand::u64(1..), sampled }
    }

    /// A new span of the same trace: what a receiver hands on with the messages it sends in turn.
    #[must_use]
    pub fn child(self) -> TraceContext {
        TraceContext { span_id: fastrand::u64(1..), ..self }
    }

    /// Reads a `traceparent`; `None` when it is none. What later versions of the format append is
    /// passed over, as they demand.
    pub fn from_traceparent(text: &str) -> Option<TraceContext> {
        let mut parts = text.trim().split('-');
        let [version, trace_id, span_id, flags] = std::array::from_fn(|_| parts.next());
        let version = lower_hex(version?, 2)?;
        if version == 0xff || (version == 0 && parts.next().is_some()) {
            return None;
        }
        let context = TraceContext {
            trace_id: lower_hex(trace_id?, 32)?,
            span_id: u64::try_from(lower_hex(span_id?, 16)?).ok()?,
            sampled: lower_hex(flags?, 2)? & 1 == 1,
        };
        context.legal()
    }

    /// As the value of a `traceparent`, version 0.
    pub fn to_traceparent(self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, u8::from(self.sampled))
    }

    /// Reads the value of an `AWSTraceHeader`; `None` when it names no trace or no parent. A trace
    /// whose sampling is undecided counts as not sampled.
    pub fn from_trace_header(text: &str) -> Option<TraceContext> {
        let field = |name| {
            let mut pairs = text.split(';').filter_map(|pair| pair.trim().split_once('='));
            pairs.find_map(|(key, value)| (key == name).then_some(value))
        };
        let (time, unique) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let context = TraceContext {
            trace_id: lower_hex(time, 8)? << 96 | lower_hex(unique, 24)?,
            span_id: u64::try_from(lower_hex(field("Parent")?, 16)?).ok()?,
            sampled: field("Sampled") == Some("1"),
        };
        context.legal()
    }

    /// As the value of an `AWSTraceHeader`.
    pub fn to_trace_header(self) -> String {
        let (time, unique) = (self.trace_id >> 96, self.trace_id & ((1 << 96) - 1));
        let TraceContext { span_id, sampled, .. } = self;
        let sampled = u8::from(sampled);
        format!("Root=1-{time:08x}-{unique:024x};Parent={span_id:016x};Sampled={sampled}")
    }

    fn legal(self) -> Option<TraceContext> {
        (self.trace_id != 0 && self.span_id != 0).then_some(self)
    }
}

/// As a `traceparent`.
impl Display for TraceContext {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_traceparent())
    }
}

impl SendMessage {
    /// Sends `context` along, as the message's `AWSTraceHeader`.
    #[must_use]
    pub fn trace_context(self, context: TraceContext) -> SendMessage {
        self.trace_header(context.to_trace_header())
    }
}

impl Message {
    /// The trace that its sender sent along; `None` when there is none, or none that can be read.
    pub fn trace_context(&self) -> Option<TraceContext> {
        TraceContext::from_trace_header(self.trace_header()?)
    }
}

/// Exactly `digits` digits, lower case as both formats write them.
fn lower_hex(text: &str, digits: usize) -> Option<u128> {
    let legal = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f');
    let all_legal = text.len() == digits && text.bytes().all(legal);
    all_legal.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const HEADER: &str =
        "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";

    #[test]
    fn both_forms_say_the_same() {
        let context = TraceContext::from_traceparent(PARENT).unwrap();
        assert_eq!(context.to_trace_header(), HEADER);
        assert_eq!(TraceContext::from_trace_header(HEADER), Some(context));
        assert_eq!(context.to_string(), PARENT);
        let small = TraceContext { trace_id: 1, span_id: 2, sampled: false };
        assert_eq!(TraceContext::from_traceparent(&small.to_traceparent()), Some(small));
        assert_eq!(TraceContext::from_trace_header(&small.to_trace_header()), Some(small));
    }

    #[test]
    fn a_child_is_of_the_same_trace() {
        let root = TraceContext::root(true);
        let child = root.child();
        assert_eq!((child.trace_id, child.sampled), (root.trace_id, true));
        assert_ne!(child.span_id, root.span_id);
    }

    #[test]
    fn a_later_version_is_read_and_what_it_appends_is_not() {
        let later = format!("cc{}-more", &PARENT[2..]);
        assert_eq!(TraceContext::from_traceparent(&later), TraceContext::from_traceparent(PARENT));
    }

    #[test]
    fn fields_of_a_header_come_in_any_order_and_among_others() {
        let header = "Self=1-67891234-12456789abcdef012345678;Sampled=?; Parent=00f067aa0ba902b7;\
                      Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Lineage=25";
        let context = TraceContext::from_trace_header(header).unwrap();
        assert!(!context.sampled);
        assert_eq!(context.span_id, 0x00f0_67aa_0ba9_02b7);
    }

    #[test]
    fn what_is_no_context_is_none() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::from_traceparent(text), None, "{text}");
        }
        for text in [
            "",
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736",
            "Root=2-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7",
            "Root=1-4bf92f35-77b34da6a3ce929d0e0e47;Parent=00f067aa0ba902b7",
            "Root=1-00000000-000000000000000000000000;Parent=00f067aa0ba902b7",
        ] {
            assert_eq!(TraceContext::from_trace_header(text), None, "{text}");
        }
    }
}
