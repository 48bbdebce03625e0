//! What HTTP clients may do besides sending one plain request: HTTP/2, `Expect: 100-continue`,
//! chunked bodies, pipelining; and the three pages for operators.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use stanchion_tests::{Server, http, process::PATIENCE, sdk};

const HEAD: &str = "POST / HTTP/1.1\r\n\
     Host: localhost\r\n\
     Content-Type: application/x-amz-json-1.0\r\n\
     X-Amz-Target: AmazonSQS.CreateQueue\r\n";

#[tokio::test]
async fn the_operators_pages_answer() {
    let server = Server::start();
    sdk::create(&sdk::client(&server), "q", &[]).await;
    for page in ["/health", "/ready"] {
        assert_eq!(http::get(server.address(), page).await.status, 200, "{page}");
    }
    let metrics = http::get(server.address(), "/metrics").await;
    assert_eq!(metrics.status, 200);
    let text = String::from_utf8(metrics.body.to_vec()).unwrap();
    assert!(text.contains("# TYPE stanchion_"), "{text}");
    assert!(text.ends_with("# EOF\n"), "the whole of the text format: {text}");
}

#[tokio::test]
async fn http2_works_with_prior_knowledge() {
    let server = Server::start();
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let calls = (0..20).map(|number| {
        let mut sender = sender.clone();
        let request = Request::post(format!("{}/", server.url()))
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", "AmazonSQS.CreateQueue")
            .body(Full::new(Bytes::from(format!("{{\"QueueName\":\"q{number}\"}}"))))
            .unwrap();
        tokio::spawn(async move {
            let answer = sender.send_request(request).await.unwrap();
            let status = answer.status().as_u16();
            (status, answer.into_body().collect().await.unwrap().to_bytes())
        })
    });
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        let (status, body) = call.await.unwrap();
        assert_eq!(status, 200);
        let expected = format!("{}/000000000000/q{number}", server.url());
        assert!(String::from_utf8_lossy(&body).contains(&expected), "{body:?}");
    }
}

#[test]
fn a_client_may_wait_for_permission_to_send_its_body() {
    let server = Server::start();
    let request = format!(
        "{HEAD}Expect: 100-continue\r\nContent-Length: 17\r\nConnection: close\r\n\r\n\
         {{\"QueueName\":\"q\"}}"
    );
    let answer = http::exchange(server.address(), request.as_bytes()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n"), "{answer}");
    assert!(answer.contains("HTTP/1.1 200 OK\r\n"), "{answer}");
}

#[test]
fn a_body_may_come_in_chunks() {
    let server = Server::start();
    let request = format!(
        "{HEAD}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
         8\r\n{{\"QueueN\r\n9\r\name\":\"q\"}}\r\n0\r\n\r\n"
    );
    let answer = http::exchange(server.address(), request.as_bytes()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("/000000000000/q"), "{answer}");
}

#[test]
fn requests_may_be_pipelined() {
    let server = Server::start();
    let first = format!("{HEAD}Content-Length: 17\r\n\r\n{{\"QueueName\":\"a\"}}");
    let last =
        format!("{HEAD}Content-Length: 17\r\nConnection: close\r\n\r\n{{\"QueueName\":\"b\"}}");
    let answer = http::exchange(server.address(), (first + &last).as_bytes()).unwrap();
    assert_eq!(answer.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{answer}");
    let [a, b] = ["/000000000000/a", "/000000000000/b"].map(|url| answer.find(url));
    assert!(a.is_some() && a < b, "answered in order: {answer}");
}

#[test]
fn nonsense_is_refused_and_the_server_lives() {
    let server = Server::start();
    let large_header = format!("GET / HTTP/1.1\r\nX-Large: {}\r\n\r\n", "x".repeat(10_000_000));
    for nonsense in
        ["\r\n\r\n\r\n", "\u{16}\u{3}\u{1}\0\0\0", "GET / HTTP/9.9\r\n\r\n", &large_header]
    {
        // The answer may be an error or a closed connection, as long as there is an end.
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let written = stream.write_all(nonsense.as_bytes());
        // Without it a server may well wait for the rest of a request.
        let _ = written.and_then(|()| stream.shutdown(Shutdown::Write));
        let ended = stream.read_to_end(&mut Vec::new());
        let ended = ended.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |_| true);
        assert!(ended, "{:?}", &nonsense[..6]);
    }
    assert_eq!(http::get_blocking(server.address(), "/health").unwrap(), 200);
}
