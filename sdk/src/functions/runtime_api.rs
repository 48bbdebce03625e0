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
use hyper_util::rt::TokioIo;
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
        // Without a timer a connection stays open however long the function works on an event.
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
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
        (&Method::POST, ["invocation", id, "error"]) => {
            let body = match read(body, ERROR_BYTES_MAX).await {
                Ok(body) => body,
                // That it failed counts; why is more than anybody reads.
                Err(Unread::TooLarge) => Bytes::new(),
                Err(Unread::Broken) => return refuse(StatusCode::BAD_REQUEST, "InvalidRequest"),
            };
            answer(process, calls, id, Err(FunctionError::read(kind, body))).await
        }
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    /// A server, and where the calls of its process arrive.
    struct Api {
        address: SocketAddr,
        calls: mpsc::Receiver<(ProcessId, Call)>,
        _server: AbortOnDropHandle<()>,
    }

    impl Api {
        async fn serve() -> Api {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (sender, calls) = mpsc::channel(8);
            let server = tokio::spawn(serve(listener, ProcessId(7), sender));
            Api { address, calls, _server: AbortOnDropHandle::new(server) }
        }

        /// Sends a request and reads its answer to the end, in a task of its own.
        fn request(
            &self,
            method: &str,
            path: &str,
            headers: &str,
            body: &[u8],
        ) -> tokio::task::JoinHandle<String> {
            let (address, length) = (self.address, body.len());
            let head = format!(
                "{method} /2018-06-01/runtime/{path} HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\
                 {headers}content-length: {length}\r\n\r\n"
            );
            let body = body.to_vec();
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                stream.write_all(head.as_bytes()).await.unwrap();
                // A server that has read enough may close before all is written.
                let _ = stream.write_all(&body).await;
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer).await;
                String::from_utf8(answer).unwrap()
            })
        }

        async fn answered(
            &mut self,
        ) -> (String, Result<Bytes, FunctionError>, oneshot::Sender<bool>) {
            match self.calls.recv().await {
                Some((ProcessId(7), Call::Answer { request_id, result, is_accepted })) => {
                    (request_id, result, is_accepted)
                }
                other => panic!("an answer, not {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn the_next_event_comes_with_its_headers() {
        let mut api = Api::serve().await;
        let asked = api.request("GET", "invocation/next", "", b"");
        let Some((_, Call::Next(give))) = api.calls.recv().await else { panic!("a call for next") };
        let invocation = Invocation {
            request_id: "id-1".into(),
            deadline_ms: 1_700_000_000_123,
            function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".into(),
            trace: "Root=1-5f-1".into(),
            event: Bytes::from_static(b"{\"Records\":[]}"),
        };
        give.send(invocation).unwrap();
        let answer = asked.await.unwrap();
        for part in [
            "HTTP/1.1 200 OK\r\n",
            "lambda-runtime-aws-request-id: id-1\r\n",
            "lambda-runtime-deadline-ms: 1700000000123\r\n",
            "lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:000000000000:function:f\r\n",
            "lambda-runtime-trace-id: Root=1-5f-1\r\n",
            "\r\n\r\n{\"Records\":[]}",
        ] {
            assert!(answer.contains(part), "{part:?} in {answer}");
        }

        // A host that has no more events ends the runtime.
        let asked = api.request("GET", "invocation/next", "", b"");
        let Some((_, Call::Next(give))) = api.calls.recv().await else { panic!("a call for next") };
        drop(give);
        assert!(asked.await.unwrap().starts_with("HTTP/1.1 500 "));
    }

    #[tokio::test]
    async fn only_the_invocation_at_hand_can_be_answered() {
        let mut api = Api::serve().await;
        for (is_accepted, status) in [(true, "202"), (false, "400")] {
            let asked = api.request("POST", "invocation/id-1/response", "", b"{}");
            let (request_id, result, tell) = api.answered().await;
            assert_eq!((&*request_id, result), ("id-1", Ok(Bytes::from_static(b"{}"))));
            tell.send(is_accepted).unwrap();
            assert!(asked.await.unwrap().starts_with(&format!("HTTP/1.1 {status} ")));
        }
        let kind = "lambda-runtime-function-error-type: Runtime.Oops\r\n";
        let asked = api.request("POST", "invocation/id-1/error", kind, br#"{"errorMessage":"no"}"#);
        let (_, result, tell) = api.answered().await;
        assert_eq!(result.unwrap_err().to_string(), "Runtime.Oops: no");
        tell.send(true).unwrap();
        assert!(asked.await.unwrap().starts_with("HTTP/1.1 202 "));
    }

    #[tokio::test]
    async fn an_answer_of_more_than_6_mib_is_a_failure() {
        let mut api = Api::serve().await;
        let large = vec![b' '; PAYLOAD_BYTES_MAX + 1];
        let _asked = api.request("POST", "invocation/id-1/response", "", &large);
        let (_, result, tell) = api.answered().await;
        assert_eq!(result.unwrap_err().error_type, "Function.ResponseSizeTooLarge");
        tell.send(true).unwrap();
    }

    #[tokio::test]
    async fn an_error_of_many_words_is_one() {
        let mut api = Api::serve().await;
        let kind = "lambda-runtime-function-error-type: Runtime.Oops\r\n";
        let words = vec![b' '; ERROR_BYTES_MAX + 1];
        let _asked = api.request("POST", "invocation/id-1/error", kind, &words);
        let (_, result, tell) = api.answered().await;
        assert_eq!(result.unwrap_err().error_type, "Runtime.Oops");
        tell.send(true).unwrap();
    }

    #[tokio::test]
    async fn an_error_at_the_start_is_passed_on_and_what_is_not_offered_is_not_found() {
        let mut api = Api::serve().await;
        let error = br#"{"errorMessage":"no module","errorType":"ImportError","stackTrace":[]}"#;
        let asked = api.request("POST", "init/error", "", error);
        let Some((_, Call::InitError(error))) = api.calls.recv().await else { panic!("an error") };
        assert_eq!(error.to_string(), "ImportError: no module");
        assert!(asked.await.unwrap().starts_with("HTTP/1.1 202 "));
        for (method, path) in [("GET", "restore/next"), ("POST", "invocation/next"), ("GET", "")] {
            let answer = api.request(method, path, "", b"").await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 404 "), "{method} {path}: {answer}");
        }
    }
}
