//! Connections: accepted, bounded in time and header size, served, and at the end let go.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::call::App;
use crate::api::respond::Peer;

/// Connections the kernel may hold for us before we accept them.
const BACKLOG: u32 = 4096;

/// How long a connection may take to send the headers of its next request, the time it is idle
/// included. Clients keep idle connections for about a minute.
const HEADER_TIME_MAX: Duration = Duration::from_secs(120);

/// What hyper buffers of one connection, which bounds the headers of a request.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Requests of one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 1000;

/// How long running requests may take once the server is told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// How long to wait when the kernel has no connection to give, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// HTTP/1.1 or HTTP/2, as the client likes.
type Http = auto::Builder<TokioExecutor>;

/// Listens on an address; port 0 takes a free one.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // A restart need not wait for the last connections of the run before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Takes as many file descriptors as this process may have: every connection is one, and common
/// defaults are low.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays at {:?}", limit.current);
    }
}

/// Serves until told to stop; then accepts no more, answers waiting polls empty, and returns when
/// the last request is answered, or after a few seconds at most.
pub async fn serve(listeners: Vec<TcpListener>, app: Arc<App>, stop: CancellationToken) {
    let connections = TaskTracker::new();
    for listener in listeners {
        connections.spawn(accept(listener, app.clone(), connections.clone(), stop.clone()));
    }
    stop.cancelled().await;
    connections.close();
    app.shards.drain();
    if timeout(DRAIN_TIME_MAX, connections.wait()).await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "stopping before all requests are answered"
        );
    }
}

async fn accept(
    listener: TcpListener,
    app: Arc<App>,
    connections: TaskTracker,
    stop: CancellationToken,
) {
    let http = Arc::new(http());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, remote)) => {
                connections.spawn(converse(
                    stream,
                    remote,
                    app.clone(),
                    http.clone(),
                    stop.clone(),
                ));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                #[allow(
                    clippy::disallowed_methods,
                    reason = "the kernel's time, not the engine's"
                )]
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How connections speak HTTP.
fn http() -> Http {
    let mut http = Http::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIME_MAX)
        .max_buf_size(HEADER_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32);
    http
}

/// One connection, from its first byte to its last.
async fn converse(
    stream: TcpStream,
    remote: SocketAddr,
    app: Arc<App>,
    http: Arc<Http>,
    stop: CancellationToken,
) {
    let _open = app.metrics.connection();
    // Answers are written whole; waiting for more to send would only delay them.
    let set_up = stream.set_nodelay(true).and_then(|()| stream.local_addr());
    let Ok(local) = set_up else { return };
    let peer = Arc::new(Peer::new(app, remote.ip(), local.to_string()));
    let service = service_fn(move |request| peer.clone().respond(request));

    let connection = http.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients go away as they please.
        tracing::debug!(%remote, %error, "connection ended");
    }
}
