//! An address that stays the same while the server behind it is killed and starts on another port.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Passes connections on. Dropped, it closes them.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    /// Guards where new connections go.
    target: Arc<Mutex<SocketAddr>>,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// Listens on a free port, and passes connections on to `target`.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start(target: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it listens");
        let target = Arc::new(Mutex::new(target));
        let accepting = tokio::spawn(accept(listener, target.clone()));
        Relay { address, target, accepting }
    }

    /// The endpoint to give to a client.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Passes new connections on to another address.
    pub fn point_to(&self, target: SocketAddr) {
        *self.target.lock().expect("nobody panics while it is held") = target;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, target: Arc<Mutex<SocketAddr>>) {
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let target = *target.lock().expect("nobody panics while it is held");
        connections.spawn(async move {
            // A server that is not there closes the connection, as the network would.
            if let Ok(mut server) = TcpStream::connect(target).await {
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}
