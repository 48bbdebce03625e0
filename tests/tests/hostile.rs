//! Whatever it is sent, the server answers: no fault of its own, no wait, no closed connection, and
//! no more memory than before.

use std::fs;

use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use stanchion_tests::{
    Server,
    hostile::{QUEUES, Random},
    http,
    process::PATIENCE,
    sdk,
};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

const CONNECTIONS: u64 = 8;
const REQUESTS: u64 = 20_000;

/// What the server may grow by while it answers the second half of the requests. The messages that
/// some of them receive cost a little each; a leak would cost much more.
const GROWTH_BYTES_MAX: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_request_is_answered() {
    let asked = std::env::var("STANCHION_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = asked.unwrap_or(1);
    let server = Server::start();
    let sqs = sdk::client(&server);
    for name in QUEUES {
        sdk::create(&sqs, name, &[]).await;
    }
    let first = half(&server, seed).await;
    let before = resident_bytes(&server);
    let second = half(&server, seed + CONNECTIONS).await;
    let grown = resident_bytes(&server).saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "seed {seed}: {grown} bytes more");

    // Requests that are all refused at the door would test nothing.
    let good = first + second;
    assert!(good > REQUESTS / 20, "only {good} requests of {REQUESTS} succeeded");
    assert_eq!(http::get(server.address(), "/ready").await.status, 200);
    assert!(!server.output().contains("panicked"), "seed {seed}: {}", server.output());
    // The queues are still there and do their work.
    let created = sdk::create(&sqs, "afterwards", &[]).await;
    sdk::send(&sqs, &created, "alive").await;
    assert_eq!(sdk::bodies(&sdk::receive(&sqs, &created, 20).await), ["alive"]);
}

/// The largest body there may be, of the shortest values there are.
#[tokio::test]
async fn many_values_take_little_memory() {
    const BODY_BYTES: usize = 16 << 20;
    let values = |before: &str, value: &str, after: &str| {
        let count = BODY_BYTES / (value.len() + 1) - 100;
        format!("{before}{}{after}", vec![value; count].join(","))
    };
    let server = Server::start();
    sdk::create(&sdk::client(&server), "q", &[]).await;
    for (target, body) in [
        ("AmazonSQS.SendMessageBatch", values(r#"{"QueueUrl":"q","Entries":["#, "{}", "]}")),
        (
            "AmazonSQS.ReceiveMessage",
            values(r#"{"QueueUrl":"q","AttributeNames":["#, r#""""#, "]}"),
        ),
        (
            "Stanchion.PeekMessages",
            values(r#"{"QueueUrl":"q","Filter":{"JsonEquals":["#, "0", "]}}"),
        ),
    ] {
        let before = status_bytes(&server, "VmHWM:");
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .body(Full::new(body.into()))
            .unwrap();
        let answer = http::send(server.address(), request).await;
        assert_eq!((answer.status, &*answer.error_type()), (400, "SerializationException"));
        // The body itself, and what it was read into piece by piece.
        let grown = status_bytes(&server, "VmHWM:") - before;
        assert!(grown < 4 * BODY_BYTES as u64, "{target}: {grown} bytes");
    }
}

/// Half of the requests, over connections that are kept; how many succeeded.
async fn half(server: &Server, seed: u64) -> u64 {
    let mut connections = JoinSet::new();
    for seed in seed..seed + CONNECTIONS {
        connections.spawn(connection(server.address(), seed, REQUESTS / 2 / CONNECTIONS));
    }
    connections.join_all().await.into_iter().sum()
}

async fn connection(address: std::net::SocketAddr, seed: u64, requests: u64) -> u64 {
    let stream = TcpStream::connect(address).await.expect("the server accepts");
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.expect("the connection speaks HTTP");
    tokio::spawn(connection);
    let mut random = Random(seed);
    let mut good = 0;
    for number in 0..requests {
        let request = random.request();
        let answer = async {
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let (head, body) = answer.into_parts();
            hyper::Result::Ok((head.status, body.collect().await?.to_bytes()))
        };
        match timeout(PATIENCE, answer).await {
            Ok(Ok((status, _))) if !status.is_server_error() => {
                good += u64::from(status.is_success());
            }
            wrong => panic!("{wrong:?} to the second of {}", last_two(seed, number)),
        }
    }
    good
}

/// A request and the one before it, which may be why the connection is gone.
fn last_two(seed: u64, number: u64) -> String {
    let mut random = Random(seed);
    let requests = (0..=number).map(|_| random.request());
    let last: Vec<_> = requests.skip(number.saturating_sub(1).try_into().unwrap()).collect();
    format!("seed {seed}, request {number}: {last:?}")
}

fn resident_bytes(server: &Server) -> u64 {
    status_bytes(server, "VmRSS:")
}

/// What the kernel says about the server's memory.
fn status_bytes(server: &Server, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let field = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    let kib: u64 = field.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}
