//! One connection, from its first byte to its last.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::call::App;
use crate::api::connections::Place;
use crate::api::forwarded::is_trusted;
use crate::api::respond::Peer;
use crate::api::tls::Tls;
use crate::env;

/// What hyper buffers of one connection, which bounds the headers of a request.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// Requests of one HTTP/2 connection at the same time.
const STREAMS_MAX: u32 = 1000;

/// How long the other side may take to hear that its idle connection ends.
const LEAVE_TIME_MAX: Duration = Duration::from_secs(1);

/// HTTP/1.1 or HTTP/2, as the client likes.
type Http = auto::Builder<TokioExecutor>;

/// Where connections come in, and what they share.
pub(super) struct Reception {
    app: Arc<App>,
    /// `None`: they speak HTTP as it is.
    tls: Option<Arc<Tls>>,
    http: Http,
    conversations: TaskTracker,
    stop: CancellationToken,
}

impl Reception {
    pub(super) fn new(
        app: Arc<App>,
        tls: Option<Arc<Tls>>,
        conversations: TaskTracker,
        stop: CancellationToken,
    ) -> Reception {
        Reception { app, tls, http: http(), conversations, stop }
    }

    /// Begins a conversation if there is a place for one; otherwise the connection is closed at once.
    pub(super) fn receive(self: &Arc<Self>, stream: TcpStream, remote: SocketAddr) {
        let app = &self.app;
        let is_proxy = is_trusted(&app.trusted_proxies, remote.ip().to_canonical());
        let Some(place) = app.connections.admit(remote.ip(), is_proxy) else {
            return tracing::debug!(%remote, "too many connections");
        };
        // Answers are written whole; waiting for more to send would only delay them.
        let set_up = stream.set_nodelay(true).and_then(|()| stream.local_addr());
        let Ok(local) = set_up else { return };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let peer = Arc::new(Peer::new(app.clone(), scheme, remote.ip(), local.to_string()));
        let visit = Visit { reception: self.clone(), peer, remote, _place: place };
        // Two kinds of task: those without TLS need no room for it.
        match &self.tls {
            None => self.conversations.spawn(converse(visit, stream)),
            Some(tls) => self.conversations.spawn(converse_in_secret(visit, tls.clone(), stream)),
        };
    }
}

/// How connections speak HTTP. Their times are looked after in [`converse`], which covers what a
/// timer for each request's headers would not: a silent start, idle HTTP/2, answers nobody takes.
fn http() -> Http {
    let mut http = Http::new(TokioExecutor::new());
    http.http1().header_read_timeout(None).max_buf_size(HEADER_BYTES_MAX);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX as u32);
    http
}

/// A client that has connected.
struct Visit {
    reception: Arc<Reception>,
    peer: Arc<Peer>,
    remote: SocketAddr,
    _place: Place,
}

/// A connection over TLS.
async fn converse_in_secret(visit: Visit, tls: Arc<Tls>, stream: TcpStream) {
    let app = visit.reception.app.clone();
    let handshake = tokio::select! {
        handshake = timeout(app.times.handshake, tls.handshake(stream)) => handshake,
        () = visit.reception.stop.cancelled() => return,
    };
    let incidents = &app.connections.incidents;
    match handshake {
        Ok(Ok(stream)) => converse(visit, stream).await,
        Ok(Err(error)) => {
            incidents.handshakes_failed.inc();
            tracing::debug!(remote = %visit.remote, %error, "no TLS");
        }
        Err(_) => {
            incidents.handshakes_late.inc();
            tracing::debug!(remote = %visit.remote, "no TLS in time");
        }
    }
}

/// A connection that can be read and written as HTTP.
async fn converse<S>(visit: Visit, stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Visit { reception, peer, remote, _place } = &visit;
    let Reception { app, http, stop, .. } = &**reception;
    let incidents = &app.connections.incidents;
    let peer_of_requests = peer.clone();
    let service = service_fn(move |request| peer_of_requests.clone().respond(request));
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
    let mut stopped = pin!(stop.cancelled());
    let mut is_stopping = false;
    // Looked at twice in the idle time, so that one is closed after once to one and a half times it.
    let mut look = pin!(env::sleep(app.times.idle / 2));
    let mut was_quiet = false;
    let ended = loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => break ended,
            () = stopped.as_mut(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
            () = look.as_mut() => {
                let is_quiet = peer.activity.was_quiet();
                if is_quiet && was_quiet {
                    incidents.idle.inc();
                    tracing::debug!(%remote, "idle for too long");
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(LEAVE_TIME_MAX, connection.as_mut()).await;
                    return;
                }
                was_quiet = is_quiet;
                look.set(env::sleep(app.times.idle / 2));
            }
        }
    };
    if let Err(error) = ended {
        let error_of_http = error.downcast_ref::<hyper::Error>();
        if error_of_http.is_some_and(hyper::Error::is_parse_too_large) {
            incidents.headers_too_large.inc();
        }
        // Clients go away as they please.
        tracing::debug!(%remote, %error, "connection ended");
    }
}
