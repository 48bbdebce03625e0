//! One HTTP request, from its headers to its answer: which protocol and action, how much room there
//! is, on whose behalf; then the action, and whatever comes of it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::mem;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::api::action::{self, Answer, Row, Service};
use crate::api::activity::Activity;
use crate::api::admission::Ticket;
use crate::api::body::Arriving;
use crate::api::call::{App, Call, Origin};
use crate::api::error_table;
use crate::api::forwarded::{self, is_host, is_trusted};
use crate::api::protocol::query::Form;
use crate::api::protocol::{Input, Protocol, json};
use crate::audit::Record;
use crate::auth::signature::verify::Verified;
use crate::env::{self, Clock, SystemClock};
use crate::error::Error;
use crate::limits;

/// An answer, in one piece.
pub type Reply = Response<Full<Bytes>>;

/// What a long poll may take beyond the time of other requests.
const LONG_POLL_MAX: Duration = Duration::from_secs(limits::RECEIVE_WAIT_S_MAX as u64);

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const QUERY_ERROR: HeaderName = HeaderName::from_static("x-amzn-query-error");

/// What all requests of one connection share.
pub struct Peer {
    /// What all requests share.
    pub app: Arc<App>,
    /// The other end.
    pub remote: IpAddr,
    /// `https` with TLS, otherwise `http`.
    pub scheme: &'static str,
    /// Its headers say how the client really reached us.
    pub is_trusted_proxy: bool,
    /// It may read the metrics although it signs nothing.
    pub may_see_metrics: bool,
    /// Our own address on this connection, for clients that do not say how they call us.
    pub local: String,
    /// Whether it asks for anything.
    pub activity: Activity,
}

impl Peer {
    /// The peer at an address.
    pub fn new(app: Arc<App>, scheme: &'static str, remote: IpAddr, local: String) -> Peer {
        // A peer of IPv4 on an IPv6 socket is the IPv4 peer it is.
        let remote = remote.to_canonical();
        let is_trusted_proxy = is_trusted(&app.trusted_proxies, remote);
        let may_see_metrics = is_trusted(&app.metrics_from, remote);
        let activity = Activity::default();
        Peer { app, scheme, remote, is_trusted_proxy, may_see_metrics, local, activity }
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub async fn respond(self: Arc<Self>, request: Request<Incoming>) -> Result<Reply, Infallible> {
        let _busy = self.activity.begin();
        // Handed on by reference: whatever a future is given by value, it keeps room for twice.
        let (mut parts, body) = request.into_parts();
        let mut body = Arriving::new(body, &self.app.times, &self.app.connections.incidents);
        let mut is_read = false;
        let mut text = Uuid::encode_buffer();
        // Random bytes are pooled there, so this costs no system call.
        let request_id = Uuid::from_bytes(env::message_id().0);
        let request_id = &*request_id.hyphenated().encode_lower(&mut text);
        let mut reply = match (&parts.method, parts.uri.path()) {
            (&Method::GET | &Method::HEAD, "/health") => plain(StatusCode::OK, "ok\n"),
            (&Method::GET | &Method::HEAD, "/ready") => self.readiness(),
            (&Method::GET, "/metrics") => self.metrics(&parts.headers),
            (&Method::GET | &Method::POST, _) => {
                is_read = true;
                self.answer(&mut parts, &mut body, request_id).await
            }
            _ => no_action(),
        };
        if !is_read && !body.discard().await {
            reply.headers_mut().insert(header::CONNECTION, CLOSE);
        }
        // Digits and dashes are always a legal value.
        if let Ok(value) = HeaderValue::from_str(request_id) {
            reply.headers_mut().insert(REQUEST_ID, value);
        }
        Ok(reply)
    }

    async fn answer(&self, parts: &mut Parts, body: &mut Arriving<'_>, request_id: &str) -> Reply {
        let started = body.started();
        let mut protocol = find_protocol(&parts.headers);
        let mut action = None;
        let pending = self.app.audit.get().map(|audit| Box::new(audit.begin(request_id)));
        let record = pending.as_ref().map(|pending| pending.record());
        let outcome = self.run(&mut protocol, parts, body, request_id, &mut action, record).await;
        let name = action.map_or("unknown", |action| action.name);
        let (code, refused, reply) = match outcome {
            Ok((body, ticket)) => ("OK", false, success(protocol, body, ticket)),
            Err(error) => {
                log(&error, name, request_id);
                let row = error_table::row(&error);
                (row.query_code, error.is_refusal(), failure(protocol, &error, request_id))
            }
        };
        if let Some(pending) = pending {
            Box::pin(pending.end(refused, code, self.app.times.request)).await;
        }
        self.app.metrics.observe(name, code, protocol, started.elapsed());
        reply
    }

    async fn run(
        &self,
        protocol: &mut Protocol,
        parts: &mut Parts,
        body: &mut Arriving<'_>,
        request_id: &str,
        found: &mut Option<&'static Row>,
        record: Option<&Record>,
    ) -> Result<(Vec<u8>, Ticket), Error> {
        let claimed = body.claimed();
        if claimed > limits::REQUEST_BODY_BYTES_MAX {
            return Err(Error::RequestTooLarge(limits::REQUEST_BODY_BYTES_MAX));
        }
        let ticket = self.app.admission.admit(claimed)?;
        let deadline = body.started() + self.app.times.request;
        let body = body.read(&ticket).await?;
        let (action, form) = self.find_action(*protocol, parts, &body)?;
        *protocol = protocol.of(action.service);
        *found = Some(action);
        let source = self.source(&parts.headers);
        if let Some(record) = record {
            record.set_permission(action.permission);
            record.set_source(source);
        }
        let service = action.service.name();
        let Verified { caller, region } =
            self.app.authenticate(parts, &body, service, SystemClock.wall())?;
        if let Some(record) = record {
            record.set_caller(caller.clone());
        }
        self.app.throttle.admit_key(caller.access_key_id.as_deref(), source)?;
        let input = form.map_or_else(|| Input::Json(body), Input::Query);
        let call = Call {
            app: &self.app,
            permission: action.permission,
            account: caller.account().unwrap_or(&self.app.account).clone(),
            caller,
            region,
            trace_header: text_header(&parts.headers, "x-amzn-trace-id").map(String::from),
            origin: self.origin(parts),
            source,
            user_agent: match self.app.authorises() {
                true => user_agent(&parts.headers),
                false => None,
            },
            ticket: &ticket,
            request_id,
            record,
        };
        // Headers are slices of the connection's read buffer; a poll that waits must not hold it.
        drop((mem::take(&mut parts.headers), mem::take(&mut parts.uri)));
        let answer = catch_panic((action.handle)(*protocol, input, &call));
        let body = self.in_time(answer, deadline, &ticket).await?;
        ticket.charge_response(body.len());
        Ok((body, ticket))
    }

    /// An answer, unless it takes too long: then what was begun is finished without anybody who waits
    /// for it. An answer that is there at once takes no timer.
    async fn in_time(
        &self,
        answer: impl Future<Output = Result<Vec<u8>, Error>>,
        deadline: Instant,
        ticket: &Ticket,
    ) -> Result<Vec<u8>, Error> {
        let mut answer = pin!(answer);
        let mut outcome = timeout_at(deadline, answer.as_mut()).await;
        if outcome.is_err() && ticket.is_parked() {
            // A long poll waits because it was asked to.
            outcome = timeout_at(deadline + LONG_POLL_MAX, answer).await;
        }
        outcome.unwrap_or_else(|_| {
            self.app.connections.incidents.requests_late.inc();
            Err(Error::RequestTimeout("answered"))
        })
    }

    /// Which action is asked for, and the parameters if it is asked for with some.
    fn find_action(
        &self,
        protocol: Protocol,
        parts: &Parts,
        body: &[u8],
    ) -> Result<(&'static Row, Option<Form>), Error> {
        if protocol == Protocol::Json {
            let target = text_header(&parts.headers, "x-amz-target").unwrap_or_default();
            return Ok((action::find_target(target)?, None));
        }
        let mut form = Form::read(body, parts.uri.query().unwrap_or_default())?;
        let action = action::find_query(form.action()?, form.version())?;
        // Only queues have paths.
        if action.service == Service::Sqs {
            form.apply_path(self.app.beneath_public_url(parts.uri.path()))?;
        }
        Ok((action, Some(form)))
    }

    /// What the client called this server. HTTP/2 has it in the target, HTTP/1.1 in `Host`.
    fn origin(&self, parts: &Parts) -> Origin {
        let host = parts.uri.authority().map(|authority| authority.as_str());
        let host = host.or_else(|| text_header(&parts.headers, header::HOST));
        let origin = Origin {
            scheme: self.scheme,
            host: host.filter(|host| is_host(host)).unwrap_or(&self.local).into(),
        };
        match self.is_trusted_proxy {
            true => forwarded::origin(&parts.headers, self.app.proxy_headers, origin),
            false => origin,
        }
    }

    /// Where the client is: the last address in the chain that is none of our proxies'.
    fn source(&self, headers: &HeaderMap) -> IpAddr {
        match self.is_trusted_proxy {
            true => forwarded::source(headers, self.app.proxy_headers, &self.app.trusted_proxies)
                .unwrap_or(self.remote),
            false => self.remote,
        }
    }

    fn readiness(&self) -> Reply {
        let shards = &self.app.shards;
        match () {
            () if !shards.is_healthy() => {
                plain(StatusCode::SERVICE_UNAVAILABLE, "a shard has failed\n")
            }
            () if !shards.accepts_sends() => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "the disk is nearly full: sends are refused\n",
            ),
            () => plain(StatusCode::OK, "ready\n"),
        }
    }

    fn metrics(&self, headers: &HeaderMap) -> Reply {
        let is_passed_on = ["forwarded", "x-forwarded-for", "x-forwarded-host"]
            .into_iter()
            .any(|name| headers.contains_key(name));
        if self.app.verifier.is_some() && (is_passed_on || !self.may_see_metrics) {
            return plain(StatusCode::FORBIDDEN, "not from here: see --metrics-from\n");
        }
        let mut reply = plain(StatusCode::OK, self.app.metrics.encode());
        let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        reply
    }
}

/// JSON says so in its content type; everything else is Query (facts sheet, 1).
fn find_protocol(headers: &HeaderMap) -> Protocol {
    let is_json = |value| text_header(headers, header::CONTENT_TYPE).is_some_and(value);
    let accepts = text_header(headers, header::ACCEPT).unwrap_or_default();
    match () {
        () if is_json(json::recognises) => Protocol::Json,
        () if accepts.split(',').any(|kind| kind.trim().starts_with("application/json")) => {
            Protocol::QueryInJson
        }
        () => Protocol::Query,
    }
}

/// A panic while an action runs is this request's misfortune, not the connection's.
async fn catch_panic(mut answer: Answer<'_>) -> Result<Vec<u8>, Error> {
    poll_fn(move |context| {
        // Nothing is used again after a panic: the future is dropped, and what it may have left
        // half done is in the shards, which look after themselves.
        match catch_unwind(AssertUnwindSafe(|| answer.as_mut().poll(context))) {
            Ok(poll) => poll,
            Err(_) => Poll::Ready(Err(Error::Internal("an action panicked".into()))),
        }
    })
    .await
}

fn success(protocol: Protocol, body: Vec<u8>, ticket: Ticket) -> Reply {
    let body = match body.is_empty() {
        true => Bytes::new(),
        // The answer counts as in progress until its last byte is on its way.
        false => Bytes::from_owner(Charged { body, _ticket: ticket }),
    };
    reply(StatusCode::OK, protocol.content_type(), body)
}

fn failure(protocol: Protocol, error: &Error, request_id: &str) -> Reply {
    if *error == Error::MissingAction {
        return no_action();
    }
    let row = error_table::row(error);
    // The table has no status that is none; a test holds it to that.
    let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = protocol.encode_error(error, request_id).into();
    let mut reply = reply(status, protocol.content_type(), body);
    if matches!(error, Error::RequestTooLarge(_) | Error::RequestTimeout(_)) {
        // The rest of the request is still to come, and nobody will read it.
        reply.headers_mut().insert(header::CONNECTION, CLOSE);
    }
    if protocol == Protocol::Json
        && let Ok(value) = HeaderValue::try_from([row.query_code, ";", row.fault()].concat())
    {
        reply.headers_mut().insert(QUERY_ERROR, value);
    }
    reply
}

/// The answer of AWS to a request that names no action (facts sheet, 1.5).
fn no_action() -> Reply {
    plain(StatusCode::NOT_FOUND, "<UnknownOperationException/>\n")
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Reply {
    reply(status, "text/plain; charset=utf-8", text.into())
}

fn reply(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply
}

/// An answer's bytes with the place of its request.
struct Charged {
    body: Vec<u8>,
    _ticket: Ticket,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// The first header of a name, if it is text.
pub(super) fn text_header(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// As much of `User-Agent` as conditions see.
fn user_agent(headers: &HeaderMap) -> Option<Box<str>> {
    let text = text_header(headers, header::USER_AGENT)?;
    // What can be shown as text is ASCII.
    Some(text.get(..limits::CONDITION_BYTES_MAX).unwrap_or(text).into())
}

fn log(error: &Error, action: &str, request_id: &str) {
    match error {
        Error::Internal(_) => tracing::error!(request_id, action, %error, "failed"),
        // A server with too much to do, or no room, has no time for a line on each of thousands.
        _ => tracing::debug!(request_id, action, %error, "refused"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_see_no_more_of_a_header_than_they_can_afford() {
        let seen = |agent: &str| {
            let headers = HeaderMap::from_iter([(header::USER_AGENT, agent.parse().unwrap())]);
            user_agent(&headers).unwrap()
        };
        assert_eq!(&*seen("curl/8"), "curl/8");
        let long = "x".repeat(limits::CONDITION_BYTES_MAX);
        assert_eq!(*seen(&long), long);
        assert_eq!(*seen(&format!("{long}y")), long);
        assert_eq!(user_agent(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_failure() {
        let outcome = catch_panic(Box::pin(async { panic!("a bug, on purpose") })).await;
        assert_eq!(outcome, Err(Error::Internal("an action panicked".into())));
    }
}
