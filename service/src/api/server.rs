//! Listening: connections are accepted until the server is told to stop, and at the end let go.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::call::App;
use crate::api::converse::Reception;
use crate::api::tls::{self, Tls};
use crate::env;

/// Connections the kernel may hold for us before we accept them.
const BACKLOG: u32 = 4096;

/// How long running requests may take once the server is told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// How long to wait when the kernel has no connection to give, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
/// the last request is answered, or after a few seconds at most. Every listener speaks TLS, or none.
pub async fn serve(
    listeners: Vec<TcpListener>,
    app: Arc<App>,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
) {
    let conversations = TaskTracker::new();
    match &tls {
        Some(tls) => {
            let watch = tls.clone().watch(app.connections.clone());
            conversations.spawn(stop.clone().run_until_cancelled_owned(watch));
        }
        None => {
            conversations.spawn(stop.clone().run_until_cancelled_owned(tls::pass_over_hangups()));
        }
    }
    let reception = Reception::new(app.clone(), tls, conversations.clone(), stop.clone());
    let reception = Arc::new(reception);
    for listener in listeners {
        conversations.spawn(accept(listener, reception.clone(), stop.clone()));
    }
    stop.cancelled().await;
    conversations.close();
    app.shards.drain();
    if timeout(DRAIN_TIME_MAX, conversations.wait()).await.is_err() {
        tracing::warn!(
            connections = app.connections.count(),
            "stopping before all requests are answered"
        );
    }
}

async fn accept(listener: TcpListener, reception: Arc<Reception>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, remote)) => reception.receive(stream, remote),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                env::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
