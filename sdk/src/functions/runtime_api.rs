//! The Lambda Runtime API of one process: it turns HTTP into calls and knows nothing of queues.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::core::ProcessId;
use super::error::FunctionError;
use super::event::PAYLOAD_BYTES_MAX;

const VERSION: &str = "/2018-06-01/runtime/";

/// What a function may say about an error, in bytes.
const ERROR_BYTES_MAX: usize = 256 * 1024;

/// A process needs one or two connections.
const CONNECTIONS_MAX: usize = 16;

/// What a process wants.
#[derive(Debug)]
pub(crate) enum Call {
    /// Its next event.
    Next(oneshot::Sender<Invocation>),
    /// To answer an invocation. Whether it is the one that it has is told back.
    Answer {
        request_id: String,
        result: Result<Bytes, FunctionError>,
        is_accepted: oneshot::Sender<bool>,
    },
    /// To say that it cannot start.
    InitError(FunctionError),
}

/// An event, and what the process is told with it.
#[derive(Debug)]
pub(crate) struct Invocation {
    pub(crate) request_id: String,
    /// Milliseconds since 1970.
    pub(crate) deadline_ms: u128,
    pub(crate) function_arn: String,
    pub(crate) trace: String,
    pub(crate) event: Bytes,
}

/// Where calls go, of all processes.
pub(crate) type Calls = mpsc::Sender<(ProcessId, Call)>;

/// Serves one process until it is dropped.
pub(crate) async fn serve(listener: TcpListener, process: ProcessId, calls: Calls) {
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
        }
        let Ok((stream, _)) = listener.accept().await else {
            // Out of files: some will be closed.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // Events are answered in small writes.
        let _ = stream.set_nodelay(true);
        while connections.try_join_next().is_some() {}
        let calls = calls.clone();
        let service = service_fn(move |request| {
            let calls = calls.clone();
            async move { Ok::<_, Infallible>(respond(request, process, &calls).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        connections.spawn(connection);
    }
}

async fn respond(
    request: Request<Incoming>,
    process: ProcessId,
    calls: &Calls,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let path = head.uri.path().strip_prefix(VERSION).unwrap_or_default();
    let segments: Vec<&str> = path.split('/').collect();
    let kind = head.headers.get("lambda-runtime-function-error-type");
    let kind = kind.and_then(|kind| kind.to_str().ok());
    match (&head.method, &segments[..]) {
        (&Method::GET, ["invocation", "next"]) => next(process, calls).await,
        (&Method::POST, ["invocation", id, "response"]) => {
            let read = read(body, PAYLOAD_BYTES_MAX).await;
            let is_too_large = matches!(read, Err(Unread::TooLarge));
            let result = match read {
                Ok(answer) => Ok(answer),
                Err(Unread::TooLarge) => Err(FunctionError {
                    error_type: "Function.ResponseSizeTooLarge".into(),
                    message: format!("the response is larger than {PAYLOAD_BYTES_MAX} bytes"),
                    payload: Bytes::new(),
                }),
                Err(Unread::Broken) => return refuse(StatusCode::BAD_REQUEST, "InvalidRequest"),
            };
            let answered = answer(process, calls, id, result).await;
            if is_too_large {
                refuse(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge")
            } else {
                answered
            }
        }
        (&Method::POST, ["invocation", id, "error"]) => match read(body, ERROR_BYTES_MAX).await {
            Ok(body) => answer(process, calls, id, Err(FunctionError::read(kind, body))).await,
            Err(_) => refuse(StatusCode::BAD_REQUEST, "InvalidRequest"),
        },
        (&Method::POST, ["init", "error"]) => {
            let body = read(body, ERROR_BYTES_MAX).await.unwrap_or_default();
            // Who listens no more stops the process anyway.
            let _ = calls.send((process, Call::InitError(FunctionError::read(kind, body)))).await;
            accepted()
        }
        _ => refuse(StatusCode::NOT_FOUND, "NotFound"),
    }
}

async fn next(process: ProcessId, calls: &Calls) -> Response<Full<Bytes>> {
    let (give, take) = oneshot::channel();
    let asked = calls.send((process, Call::Next(give))).await;
    let invocation = if asked.is_ok() { take.await.ok() } else { None };
    // A runtime ends at a 500.
    let Some(invocation) = invocation else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "Stopped");
    };
    let Invocation { request_id, deadline_ms, function_arn, trace, event } = invocation;
    let mut response = Response::new(Full::new(event));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in [
        ("lambda-runtime-aws-request-id", request_id),
        ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", function_arn),
        ("lambda-runtime-trace-id", trace),
    ] {
        // What is no header value was replaced before.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    response
}

async fn answer(
    process: ProcessId,
    calls: &Calls,
    request_id: &str,
    result: Result<Bytes, FunctionError>,
) -> Response<Full<Bytes>> {
    let (tell, is_accepted) = oneshot::channel();
    let request_id = request_id.to_owned();
    let call = Call::Answer { request_id, result, is_accepted: tell };
    let told = calls.send((process, call)).await;
    let is_accepted = told.is_ok() && is_accepted.await.unwrap_or(false);
    if is_accepted { accepted() } else { refuse(StatusCode::BAD_REQUEST, "InvalidRequestID") }
}

enum Unread {
    TooLarge,
    Broken,
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, Unread> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Err(_) => Err(Unread::Broken),
    }
}

fn accepted() -> Response<Full<Bytes>> {
    json(StatusCode::ACCEPTED, r#"{"status":"OK"}"#.into())
}

fn refuse(status: StatusCode, kind: &str) -> Response<Full<Bytes>> {
    let reason = status.canonical_reason().unwrap_or_default();
    json(status, format!(r#"{{"errorMessage":"{reason}","errorType":"{kind}"}}"#))
}

fn json(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
