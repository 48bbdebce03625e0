//! The client: signs requests, sends them, tries again where that does no harm, and reads answers.

mod builder;
mod clock;
mod credentials;
mod methods;
pub mod retry;
mod sign;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, Response, Uri};
use serde::Deserialize;
use tracing::Instrument as _;

pub use builder::{BuildError, ClientBuilder};

use self::clock::Clock;
use self::credentials::CredentialsCache;
use self::retry::RetryPolicy;
use self::transport::{NoAnswer, Transport};
use crate::actions::{self, Action, Reply as _};
use crate::error::{Error, ServiceError};

/// Calls a queue service. Cheap to clone; the clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Uri,
    region: String,
    /// None signs nothing.
    credentials: Option<CredentialsCache>,
    clock: Clock,
    transport: Transport,
    timeout: Duration,
    retry: RetryPolicy,
}

impl Client {
    /// How to make one.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// Where the server is.
    pub fn endpoint(&self) -> String {
        self.inner.endpoint.to_string()
    }

    /// The region that requests are signed for.
    pub fn region(&self) -> &str {
        &self.inner.region
    }

    /// Whether requests are signed.
    pub fn is_signed(&self) -> bool {
        self.inner.credentials.is_some()
    }

    /// Whether the server is Amazon's, which knows none of the actions of Stanchion's own.
    pub fn is_amazon(&self) -> bool {
        let host = self.inner.endpoint.host().unwrap_or_default();
        [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|end| host.ends_with(end))
    }

    /// Calls an action. Every action has a method of its own that does this.
    ///
    /// What fails is tried again, as [`RetryPolicy`] says, where it may go better and where a
    /// repetition does no harm should the first attempt have been carried out. A send is taken for one of
    /// those: a FIFO queue drops the second message, and a standard queue may have any of them twice.
    pub async fn call<A: Action>(&self, request: &A) -> Result<A::Reply, Error> {
        let action = actions::name::<A>();
        let span = tracing::debug_span!(
            "call",
            action,
            region = self.inner.region,
            request_id = tracing::field::Empty,
            attempts = tracing::field::Empty,
        );
        self.attempts(action, request).instrument(span).await
    }

    async fn attempts<A: Action>(
        &self,
        action: &'static str,
        request: &A,
    ) -> Result<A::Reply, Error> {
        let invalid =
            |error: serde_json::Error| Error::Invalid { action, reason: error.to_string() };
        let body = Bytes::from(serde_json::to_vec(request).map_err(invalid)?);
        let mut attempt = 1;
        // What is refused for its signature was not done, and may be signed better once.
        let mut may_sign_again = self.is_signed();
        loop {
            let clock = self.inner.clock.correction();
            let error = match self.attempt(action, request, body.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            let expired = matches!(error.code(), Some("ExpiredToken" | "ExpiredTokenException"));
            if expired && let Some(credentials) = &self.inner.credentials {
                credentials.forget();
            }
            let signs_better =
                may_sign_again && (expired || clock != self.inner.clock.correction());
            may_sign_again &= !signs_better;
            let again = self.inner.retry.again(attempt, error.verdict(), A::REPEATABLE);
            if !(again || signs_better) {
                tracing::Span::current().record("attempts", attempt);
                return Err(error);
            }
            let pause = self.inner.retry.pause(attempt, fastrand::f64());
            tracing::debug!(%error, attempt, ?pause, "trying again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn attempt<A: Action>(
        &self,
        action: &'static str,
        request: &A,
        body: Bytes,
    ) -> Result<A::Reply, Error> {
        let signed = self.signed::<A>(action, body).await?;
        let after = self.inner.timeout.saturating_add(request.wait());
        let answer = tokio::time::timeout(after, self.inner.transport.send(signed)).await;
        let answer = answer.map_err(|_| Error::Timeout { action, after })?;
        let answer = answer.map_err(|NoAnswer { source, arrived }| Error::Connection {
            action,
            source,
            arrived,
        })?;
        let request_id = header(&answer, "x-amzn-requestid").map(str::to_owned);
        if let Some(id) = &request_id {
            tracing::Span::current().record("request_id", id);
        }
        if !answer.status().is_success() {
            let refusal = refusal(action, &answer, request_id);
            if self.is_signed() && clock::is_about_signature(&refusal) {
                self.inner.clock.compare(header(&answer, "date"));
            }
            return Err(refusal);
        }
        let read = A::Reply::read(answer.body()).map_err(|error| error.to_string());
        let verified = read.and_then(|reply| request.verify(&reply).map(|()| reply));
        verified.map_err(|reason| Error::Corrupt { action, reason, request_id })
    }

    async fn signed<A: Action>(
        &self,
        action: &'static str,
        body: Bytes,
    ) -> Result<Request<http_body_util::Full<Bytes>>, Error> {
        let request = Request::post(self.inner.endpoint.clone())
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", A::TARGET)
            .body(body);
        let invalid = |reason: String| Error::Invalid { action, reason };
        let mut request = request.map_err(|error| invalid(error.to_string()))?;
        if let Some(cache) = &self.inner.credentials {
            let credentials = cache.get(self.inner.timeout).await?;
            // Servers hold a signature's time against their own clock.
            let now = self.inner.clock.now();
            sign::sign(&mut request, &credentials, &self.inner.region, now).map_err(invalid)?;
        }
        Ok(request.map(http_body_util::Full::new))
    }
}

fn header<'a>(answer: &'a Response<Bytes>, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

/// Reads what a server says that refuses.
fn refusal(action: &'static str, answer: &Response<Bytes>, request_id: Option<String>) -> Error {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Refusal {
        #[serde(rename = "__type")]
        shape: String,
        message: String,
        // Either is written, and by some servers both.
        #[serde(rename = "Message")]
        capital: String,
    }
    let status = answer.status();
    let given: Refusal = serde_json::from_slice(answer.body()).unwrap_or_default();
    let shape = given.shape.rsplit('#').next().unwrap_or_default();
    // Something in between may answer for the server, in words of its own.
    let code = match shape {
        "" => status.canonical_reason().unwrap_or("Unknown").replace(' ', ""),
        shape => shape.to_owned(),
    };
    let message = if given.message.is_empty() { given.capital } else { given.message };
    let status = status.as_u16();
    Error::Service(Arc::new(ServiceError { action, code, message, status, request_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &'static str) -> Error {
        let answer = Response::builder().status(status).body(Bytes::from(body)).unwrap();
        refusal("SendMessage", &answer, Some("id".into()))
    }

    #[test]
    fn a_refusal_keeps_its_code_its_sentence_and_its_request_id() {
        let error = refused(
            400,
            r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}"#,
        );
        assert!(error.is_queue_missing() && !error.is_retryable() && !error.is_denied());
        assert_eq!(error.request_id(), Some("id"));
        assert_eq!(
            error.to_string(),
            "SendMessage: QueueDoesNotExist: The specified queue does not exist. (status 400, request id)"
        );
    }

    #[test]
    fn a_sentence_may_be_there_twice() {
        let twice =
            r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"gone","Message":"gone"}"#;
        assert!(refused(400, twice).to_string().contains("QueueDoesNotExist: gone "));
        let capital = r#"{"__type":"com.amazonaws.sqs#InvalidAddress","Message":"no"}"#;
        assert!(refused(404, capital).to_string().contains("InvalidAddress: no "));
    }

    #[test]
    fn what_may_go_better_later_is_known_by_its_code_and_status() {
        let throttled = r#"{"__type":"com.amazonaws.sqs#RequestThrottled","Message":"Slow down"}"#;
        assert!(refused(403, throttled).is_retryable());
        assert!(!refused(403, throttled).is_denied());
        assert!(refused(500, "").is_retryable());
        let unavailable = refused(503, "<html>try later</html>");
        assert_eq!(unavailable.code(), Some("ServiceUnavailable"));
        assert!(unavailable.is_retryable());
        let denied =
            r#"{"__type":"com.amazon.coral.service#AccessDeniedException","message":"no"}"#;
        assert!(refused(403, denied).is_denied() && !refused(403, denied).is_retryable());
    }
}
