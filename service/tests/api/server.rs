//! A server in this process, and plain HTTP to it.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stanchion_service::api::call::App;
use stanchion_service::api::server;
use stanchion_service::config::CommandLine;
use stanchion_service::env::ManualClock;
use stanchion_service::shard::handle::Shards;
use stanchion_service::shard::start::StartOptions;
use stanchion_service::store::memory::MemoryStore;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A server of its own for each test, on a clock that moves when told to.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) shards: Shards,
    pub(crate) stop: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

/// An answer, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Server {
    pub(crate) async fn start(args: &[&str]) -> Server {
        let args = ["stanchiond", "--listen", "127.0.0.1:0"].iter().chain(args);
        let config = CommandLine::load(args.map(OsString::from), |_| None).unwrap().config;
        let clock = Arc::new(ManualClock::at(Duration::from_secs(1_700_000_000)));
        let (shards, _failure) = Shards::start(StartOptions {
            sixty_second_rules: config.limits().sixty_second_rules,
            parked_polls_max: config.max_parked_polls,
            ..StartOptions::new(Arc::new(MemoryStore::new()), clock.clone())
        })
        .unwrap();
        let listener = server::listen(config.listen[0]).unwrap();
        let address = listener.local_addr().unwrap();
        let app = App::new(&config, shards.clone());
        let stop = CancellationToken::new();
        let served = tokio::spawn(server::serve(vec![listener], app, None, stop.clone()));
        Server { address, clock, shards, stop, served }
    }

    /// Sends bytes on a connection of their own, and reads `answers` answers.
    pub(crate) async fn raw(&self, request: &[u8], answers: usize) -> Vec<Answer> {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut received = Vec::new();
        let mut all = Vec::new();
        while all.len() < answers {
            if let Some((answer, length)) = Answer::parse(&received) {
                received.drain(..length);
                // What asks the client to go on is no answer yet.
                all.extend((answer.status != 100).then_some(answer));
                continue;
            }
            let read = stream.read_buf(&mut received).await.unwrap();
            assert!(read > 0, "the connection ended after {all:?}");
        }
        all
    }

    pub(crate) async fn post(&self, headers: &str, body: &str) -> Answer {
        let request = format!(
            "POST / HTTP/1.1\r\nHost: sqs.test:1234\r\nContent-Length: {}\r\n{headers}\r\n{body}",
            body.len()
        );
        self.raw(request.as_bytes(), 1).await.remove(0)
    }

    pub(crate) async fn ask(&self, action: &str, input: Value) -> Answer {
        self.ask_target(&format!("AmazonSQS.{action}"), input).await
    }

    /// As [`Server::ask`], an action of our own.
    pub(crate) async fn admin(&self, action: &str, input: Value) -> Answer {
        self.ask_target(&format!("Stanchion.{action}"), input).await
    }

    async fn ask_target(&self, target: &str, input: Value) -> Answer {
        let headers =
            format!("Content-Type: application/x-amz-json-1.0\r\nX-Amz-Target: {target}\r\n");
        self.post(&headers, &input.to_string()).await
    }

    /// The output of an action that succeeds.
    pub(crate) async fn ok(&self, action: &str, input: Value) -> Value {
        let answer = self.ask(action, input).await;
        assert_eq!(answer.status, 200, "{action}: {answer:?}");
        match answer.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_str(&answer.body).unwrap(),
        }
    }

    /// Status, shape, Query error and text of an action that fails.
    pub(crate) async fn error(&self, action: &str, input: Value) -> (u16, String, String, String) {
        self.ask(action, input).await.error()
    }

    pub(crate) async fn create(&self, name: &str, attributes: Value) -> String {
        let output =
            self.ok("CreateQueue", json!({"QueueName": name, "Attributes": attributes})).await;
        output["QueueUrl"].as_str().unwrap().to_string()
    }

    pub(crate) async fn receive(&self, url: &str) -> Vec<Value> {
        let input = json!({"QueueUrl": url, "MaxNumberOfMessages": 10});
        let output = self.ok("ReceiveMessage", input).await;
        output["Messages"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.served.await.unwrap();
        self.shards.stop().await;
    }
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Answer, usize)> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let body = bytes.get(end..end + length)?;
        answer.body = String::from_utf8(body.to_vec()).unwrap();
        Some((answer, end + length))
    }

    /// Status, shape, Query error and text of what must be an error.
    pub(crate) fn error(&self) -> (u16, String, String, String) {
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_string();
        let query = self.header("x-amzn-query-error").unwrap_or_default();
        (self.status, text("__type"), query, text("message"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_string())
        })
    }
}
