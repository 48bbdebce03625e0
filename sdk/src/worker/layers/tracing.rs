//! A span around each call of a handler.

use std::task::{Context, Poll};

use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field, instrument::Instrumented};

use crate::worker::Work;

/// Puts a span `handle` around each call: with the queue, and of the first message its id, group,
/// receive count and trace header, and how many there are in the batch.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingLayer;

impl<S> Layer<S> for TracingLayer {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { inner }
    }
}

/// A handler with a span around it.
#[derive(Clone, Debug)]
pub struct Traced<S> {
    inner: S,
}

impl<S: Service<R>, R: Work> Service<R> for Traced<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = Instrumented<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let span = span(&request);
        let entered = span.enter();
        let future = self.inner.call(request);
        drop(entered);
        future.instrument(span)
    }
}

fn span(request: &impl Work) -> Span {
    let deliveries = request.deliveries();
    let span = tracing::info_span!(
        "handle",
        queue = field::Empty,
        message_id = field::Empty,
        group = field::Empty,
        receive_count = field::Empty,
        trace = field::Empty,
        messages = deliveries.len(),
    );
    let Some(first) = deliveries.first() else { return span };
    span.record("queue", &*first.queue);
    span.record("message_id", &first.message.message_id);
    span.record("receive_count", first.message.receive_count());
    if let Some(group) = first.message.group() {
        span.record("group", group);
    }
    if let Some(trace) = first.message.trace_header() {
        span.record("trace", trace);
    }
    span
}
