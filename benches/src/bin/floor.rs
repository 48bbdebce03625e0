//! What the machine can do at best: the same HTTP server without a queue behind it.
//!
//! `floor null` answers a fixed text. `floor log` first appends the request's body to one file and
//! syncs it, many waiting requests with one `fdatasync`. What Stanchion is slower than `floor log`
//! is what its queue costs.

#![allow(clippy::print_stdout, reason = "the banner is how a program finds the port")]

use std::convert::Infallible;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use stanchion_benches::aws::{BATCH, Bodies};
use stanchion_benches::process::{metric, raise_open_files};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

#[derive(Debug, Parser)]
#[command(about = "A bare HTTP server to compare with")]
struct Arguments {
    kind: Kind,
    /// The folder for the log.
    #[arg(long, default_value = ".")]
    data: PathBuf,
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A fixed answer.
    Null,
    /// The same, after the body is in a log and the log is synced.
    Log,
}

// The runtime is tokio's default with a worker per core, as in the product.
#[tokio::main]
async fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    raise_open_files();
    let log = match arguments.kind {
        Kind::Null => None,
        Kind::Log => Some(Log::open(&arguments.data)?),
    };
    let floor = Arc::new(Floor { log, receive_reply: receive_reply() });
    let listener = TcpListener::bind(arguments.listen).await?;
    println!("floor {:?} listening on http://{}", arguments.kind, listener.local_addr()?);
    let accept = async {
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            tokio::spawn(serve(stream, Arc::clone(&floor)));
        }
    };
    let mut term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        outcome = accept => outcome,
        _ = term.recv() => Ok(()),
    }
}

struct Floor {
    log: Option<Log>,
    receive_reply: Bytes,
}

async fn serve(stream: TcpStream, floor: Arc<Floor>) {
    let service = service_fn(|request| answer(request, &floor));
    // An error here is a client that went away.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    floor: &Floor,
) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() == Method::GET {
        let text = floor.log.as_ref().map(Log::metrics).unwrap_or_default();
        return Ok(Response::new(Full::new(text.into())));
    }
    let target = request.headers().get("x-amz-target");
    let is_receive = target.is_some_and(|target| target.as_bytes().ends_with(b"ReceiveMessage"));
    let Ok(body) = request.into_body().collect().await else {
        return Ok(json(Bytes::new()));
    };
    if is_receive {
        return Ok(json(floor.receive_reply.clone()));
    }
    if let Some(log) = &floor.log {
        log.append(body.to_bytes()).await;
    }
    Ok(json(Bytes::from_static(SEND_REPLY)))
}

fn json(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let json = HeaderValue::from_static("application/x-amz-json-1.0");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

const SEND_REPLY: &[u8] = br#"{"MessageId":"219f8380-5770-4cc2-8c3e-5c715e145f5e","MD5OfMessageBody":"fafb00f5732ab283681e124bf8747ed1"}"#;

/// A reply of ten messages of 1 KiB, for every receive.
fn receive_reply() -> Bytes {
    let mut bodies = Bodies::new(0);
    let messages: Vec<String> = (0..BATCH)
        .map(|id| {
            let mut handle = String::from("AQEB");
            for byte in &bodies.body()[..100] {
                let _ = write!(handle, "{byte:02x}"); // Writing to a String cannot fail.
            }
            let body = String::from_utf8_lossy(bodies.body()).into_owned();
            format!(
                r#"{{"MessageId":"219f8380-5770-4cc2-8c3e-5c715e145f{id:02}","ReceiptHandle":"{handle}","MD5OfBody":"fafb00f5732ab283681e124bf8747ed1","Body":"{body}"}}"#
            )
        })
        .collect();
    format!(r#"{{"Messages":[{}]}}"#, messages.join(",")).into()
}

/// A body, and who waits for it to be on the disk.
type Waiting = (Bytes, oneshot::Sender<()>);

/// One file and the thread that writes it.
struct Log {
    waiting: mpsc::Sender<Waiting>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    syncs: AtomicU64,
    requests: AtomicU64,
}

impl Log {
    fn open(folder: &Path) -> io::Result<Log> {
        std::fs::create_dir_all(folder)?;
        let file = File::create(folder.join("floor.log"))?;
        // Bounded by the connections: each waits for its answer before it sends again.
        let (waiting, queue) = mpsc::channel();
        let counters = Arc::new(Counters::default());
        let seen = Arc::clone(&counters);
        std::thread::Builder::new().name("log".into()).spawn(move || write(file, queue, &seen))?;
        Ok(Log { waiting, counters })
    }

    async fn append(&self, body: Bytes) {
        let (reply, done) = oneshot::channel();
        let sent = self.waiting.send((body, reply)).is_ok();
        assert!(sent && done.await.is_ok(), "the log cannot be written");
    }

    fn metrics(&self) -> String {
        let syncs = self.counters.syncs.load(Relaxed);
        let requests = self.counters.requests.load(Relaxed);
        let (turns, commands) = (metric::TURNS, metric::TURN_COMMANDS);
        format!("{} {syncs}\n{turns} {syncs}\n{commands} {requests}\n", metric::SYNCS)
    }
}

/// Group commit: everything that waits goes into one write and one sync.
fn write(mut file: File, queue: mpsc::Receiver<Waiting>, counters: &Counters) {
    let (mut bytes, mut replies) = (Vec::new(), Vec::new());
    while let Ok(first) = queue.recv() {
        for (body, reply) in std::iter::once(first).chain(queue.try_iter()) {
            bytes.extend_from_slice(&body);
            replies.push(reply);
        }
        if file.write_all(&bytes).and_then(|()| file.sync_data()).is_err() {
            return; // Whoever waits finds its reply gone, and says so.
        }
        counters.syncs.fetch_add(1, Relaxed);
        counters.requests.fetch_add(replies.len() as u64, Relaxed);
        bytes.clear();
        for reply in replies.drain(..) {
            let _ = reply.send(()); // Fails when the client has hung up.
        }
    }
}
