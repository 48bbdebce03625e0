//! One HTTP request, from its headers to its answer: which protocol and action, how much room there
//! is, on whose behalf; then the action, and whatever comes of it.

use std::convert::Infallible;
use std::future::poll_fn;
use std::mem;
use std::net::{IpAddr, SocketAddr};
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
use ipnet::IpNet;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::api::action::{self, Answer, Row, Service};
use crate::api::activity::Activity;
use crate::api::admission::Ticket;
use crate::api::body::Arriving;
use crate::api::call::{App, Call, Origin};
use crate::api::error_table;
use crate::api::protocol::query::Form;
use crate::api::protocol::{Input, Protocol, json};
use crate::audit::{Event, Record};
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
        let audit = self.app.audit.get();
        let record = audit.map(|_| Box::<Record>::default());
        let outcome =
            self.run(&mut protocol, parts, body, request_id, &mut action, record.as_deref()).await;
        let name = action.map_or("unknown", |action| action.name);
        let (code, refused, reply) = match outcome {
            Ok((body, ticket)) => ("OK", false, success(protocol, body, ticket)),
            Err(error) => {
                log(&error, name, request_id);
                let row = error_table::row(&error);
                (row.query_code, error.is_refusal(), failure(protocol, &error, request_id))
            }
        };
        if let (Some(audit), Some(record)) = (audit, &record) {
            let permission = action.map(|action| action.permission);
            let now = SystemClock.wall();
            let event = Event { record, request_id, permission, refused, outcome: code, now };
            Box::pin(audit.put(event, self.app.times.request)).await;
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
            record.set_source(source);
        }
        let service = action.service.name();
        let Verified { caller, region } =
            self.app.authenticate(parts, &body, service, SystemClock.wall())?;
        if let Some(record) = record {
            record.set_caller(caller.clone());
        }
        self.app.throttle.admit_key(caller.access_key_id.as_deref())?;
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
        if self.is_trusted_proxy { forwarded(&parts.headers, origin) } else { origin }
    }

    /// Where the client is: the last address in the chain that is none of our proxies'.
    fn source(&self, headers: &HeaderMap) -> IpAddr {
        match self.is_trusted_proxy {
            true => forwarded_for(headers, &self.app.trusted_proxies).unwrap_or(self.remote),
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

/// What a proxy says about how the client reached it: `Forwarded` (RFC 7239) or the older headers.
/// The first of several proxies is the one the client saw.
fn forwarded(headers: &HeaderMap, direct: Origin) -> Origin {
    let first = |name: &'static str| {
        let value = text_header(headers, name)?.split(',').next()?.trim();
        (!value.is_empty()).then_some(value)
    };
    let parameter = |name: &str| {
        first("forwarded")?.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
        })
    };
    Origin {
        scheme: parameter("proto")
            .or_else(|| first("x-forwarded-proto"))
            .and_then(|scheme| ["http", "https"].into_iter().find(|known| *known == scheme))
            .unwrap_or(direct.scheme),
        host: parameter("host")
            .or_else(|| first("x-forwarded-host"))
            .filter(|host| is_host(host))
            .map_or(direct.host, String::from),
    }
}

/// From whom a chain of proxies has a request, each of which has added whom it had it from: so the
/// last that we do not trust is the client, and what stands before it is what the client says.
fn forwarded_for(headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let hops = |name: &'static str| {
        let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(str::trim).collect::<Vec<_>>()
    };
    let parameter = |hop: &'_ str| {
        hop.split(';').find_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            key.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"').into())
        })
    };
    let chain: Vec<Option<String>> = match headers.contains_key("forwarded") {
        true => hops("forwarded").into_iter().map(parameter).collect(),
        false => hops("x-forwarded-for").into_iter().map(|hop| Some(hop.into())).collect(),
    };
    let mut nearest = None;
    for hop in chain.into_iter().rev() {
        // An address with or without a port; a proxy may also hide it.
        let Some(address) = hop.as_deref().and_then(address) else { break };
        nearest = Some(address);
        if !is_trusted(trusted, address) {
            break;
        }
    }
    nearest
}

fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

pub(super) fn is_trusted(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// Whether this can stand in a URL as the name of a host, with or without a port. Whatever else a
/// client calls us goes into no URL.
fn is_host(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._~:[]".contains(c);
    !text.is_empty() && text.chars().all(legal)
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

fn text_header(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<&str> {
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

    fn parts(uri: &str, headers: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_proxy_says_how_it_was_reached() {
        let origin = |headers: &[(&'static str, &str)]| {
            let parts = parts("/", headers);
            let direct = Origin { scheme: "http", host: "10.0.0.1:9324".into() };
            let Origin { scheme, host } = forwarded(&parts.headers, direct);
            format!("{scheme}://{host}")
        };
        assert_eq!(origin(&[]), "http://10.0.0.1:9324");
        assert_eq!(
            origin(&[("x-forwarded-proto", "https"), ("x-forwarded-host", "sqs.example, inner")]),
            "https://sqs.example"
        );
        assert_eq!(
            origin(&[("forwarded", "for=1.2.3.4;Proto=https;host=\"sqs.example:8443\", for=x")]),
            "https://sqs.example:8443"
        );
        assert_eq!(
            origin(&[("forwarded", "host=\"[2001:db8::1]:80\"")]),
            "http://[2001:db8::1]:80"
        );
        for (name, odd) in [
            ("x-forwarded-proto", "javascript"),
            ("x-forwarded-host", "you@evil.example"),
            ("x-forwarded-host", "evil.example/path"),
            ("x-forwarded-host", ","),
            ("forwarded", "host=\"a b\""),
            ("forwarded", "host;proto"),
        ] {
            assert_eq!(origin(&[(name, odd)]), "http://10.0.0.1:9324", "{name}: {odd}");
        }
    }

    #[test]
    fn conditions_see_no_more_of_a_header_than_they_can_afford() {
        let seen = |agent: &str| user_agent(&parts("/", &[("user-agent", agent)]).headers).unwrap();
        assert_eq!(&*seen("curl/8"), "curl/8");
        let long = "x".repeat(limits::CONDITION_BYTES_MAX);
        assert_eq!(*seen(&long), long);
        assert_eq!(*seen(&format!("{long}y")), long);
        assert_eq!(user_agent(&HeaderMap::new()), None);
    }

    #[test]
    fn the_client_is_whom_the_first_trusted_proxy_saw() {
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = |headers: &[(&'static str, &str)]| {
            let found = forwarded_for(&parts("/", headers).headers, &trusted);
            found.map_or_else(String::new, |address| address.to_string())
        };
        for (headers, expected) in [
            (&[][..], ""),
            (&[("x-forwarded-for", "192.0.2.7")], "192.0.2.7"),
            // What a client claims stands before what the proxies saw.
            (&[("x-forwarded-for", "127.0.0.1, 192.0.2.7, 10.1.1.1")], "192.0.2.7"),
            (&[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "192.0.2.7")], "192.0.2.7"),
            (&[("x-forwarded-for", "10.2.2.2,10.1.1.1")], "10.2.2.2"),
            (&[("x-forwarded-for", "192.0.2.7:4711")], "192.0.2.7"),
            (&[("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::1"),
            (&[("x-forwarded-for", "1.1.1.1, unknown")], ""),
            (&[("x-forwarded-for", "::ffff:192.0.2.7")], "192.0.2.7"),
            (&[("forwarded", "for=1.1.1.1, for=\"[2001:db8::1]\";proto=https")], "2001:db8::1"),
            (&[("forwarded", "proto=https"), ("x-forwarded-for", "1.1.1.1")], ""),
        ] {
            assert_eq!(client(headers), expected, "{headers:?}");
        }
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_failure() {
        let outcome = catch_panic(Box::pin(async { panic!("a bug, on purpose") })).await;
        assert_eq!(outcome, Err(Error::Internal("an action panicked".into())));
    }
}
