//! Requests that no SDK would send: raw bytes, and hand-made AWS JSON.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1, header::HeaderMap};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::process::PATIENCE;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A header's value, or the empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON; null when it is empty.
    ///
    /// # Panics
    /// When it is neither.
    pub fn json(&self) -> Value {
        if self.body.is_empty() {
            return Value::Null;
        }
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    /// The part of an error's `__type` after the `#`.
    pub fn error_type(&self) -> String {
        let json = self.json();
        let id = json["__type"].as_str().unwrap_or_default();
        id.rsplit('#').next().unwrap_or_default().to_owned()
    }

    /// An error's `message`.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

/// One AWS JSON 1.0 call with any body, well-formed or not. It carries a credential scope, as SDKs
/// send one, and no valid signature.
///
/// # Panics
/// When the connection fails.
pub async fn call(address: SocketAddr, action: &str, body: impl Into<Bytes>) -> Answer {
    call_target(address, &format!("AmazonSQS.{action}"), body).await
}

/// One call of an action of our own, which no SDK knows.
///
/// # Panics
/// When the connection fails.
pub async fn admin(address: SocketAddr, action: &str, input: Value) -> Answer {
    call_target(address, &format!("Stanchion.{action}"), input.to_string()).await
}

/// The same, of an action that must succeed: its output.
///
/// # Panics
/// When the connection fails, or the action does.
pub async fn admin_done(address: SocketAddr, action: &str, input: Value) -> Value {
    let answer = admin(address, action, input).await;
    assert_eq!(answer.status, 200, "{action}: {answer:?}");
    answer.json()
}

async fn call_target(address: SocketAddr, target: &str, body: impl Into<Bytes>) -> Answer {
    let request = Request::post("/")
        .header("host", address.to_string())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", target)
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, \
             SignedHeaders=host, Signature=0",
        )
        .body(Full::new(body.into()))
        .expect("the request is well-formed");
    send(address, request).await
}

/// One request on a connection of its own.
///
/// # Panics
/// When the connection fails.
pub async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Answer {
    let stream = tokio::net::TcpStream::connect(address).await.expect("the server accepts");
    send_over(stream, request).await
}

/// One request on a connection that nobody has used yet.
///
/// # Panics
/// When the connection fails.
pub async fn send_over<S>(stream: S, request: Request<Full<Bytes>>) -> Answer
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.expect("the connection speaks HTTP");
    tokio::spawn(connection);
    let response = sender.send_request(request).await.expect("the server answers");
    let (head, body) = response.into_parts();
    let body = body.collect().await.expect("the answer is complete").to_bytes();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

/// A GET on a connection of its own.
///
/// # Panics
/// When the connection fails.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    let request = Request::get(path)
        .header("host", address.to_string())
        .body(Full::default())
        .expect("the request is well-formed");
    send(address, request).await
}

/// The status of a GET, without a runtime.
pub fn get_blocking(address: SocketAddr, path: &str) -> io::Result<u16> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let answer = exchange(address, request.as_bytes())?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other("no status line"))
}

/// Writes `bytes` as they are and reads until the server closes the connection.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(bytes)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
