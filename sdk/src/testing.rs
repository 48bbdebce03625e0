//! A private server in the process, for tests of programs that use queues: in memory, on a free port,
//! and with a clock that the test moves. It starts in milliseconds, any number of them run side by side,
//! and dropped it is gone. It is the server itself, not a stand-in for it.
//!
//! ```
//! use std::time::Duration;
//! use stanchion_sdk::{CreateQueue, ReceiveMessage, SendMessage};
//! use stanchion_sdk::testing::Server;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::start().await;
//! let client = server.client();
//! let queue = client.create_queue(CreateQueue::new("orders")).await?.queue_url;
//! client.send_message(SendMessage::new(&queue, "hello")).await?;
//!
//! let first = client.receive_message(ReceiveMessage::new(&queue)).await?;
//! assert_eq!(first.messages.len(), 1);
//! // Nobody deletes it: when its visibility timeout has ended it is there again.
//! server.advance(Duration::from_secs(31)).await;
//! let second = client.receive_message(ReceiveMessage::new(&queue)).await?;
//! assert_eq!(second.messages[0].receive_count(), 2);
//! # Ok(())
//! # }
//! ```

use std::ffi::OsString;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stanchion_service::config::CommandLine;
use stanchion_service::instance::Instance;
use stanchion_service::model::time::Millis;
use stanchion_service::shard::handle::Shards;
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::Client;

/// What every server of a test is started with.
const OPTIONS: [&str; 6] =
    ["stanchiond", "--listen", "127.0.0.1:0", "--durability", "memory", "--virtual-clock"];

/// A server that is the test's own. Whoever can reach the loopback address may do everything, signed
/// or not. Dropped, it ends at once, whatever is in progress.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    client: Client,
    running: Running,
}

impl Server {
    /// A server with the defaults of `stanchiond`.
    ///
    /// # Panics
    /// When the system has no port or no thread to give.
    pub async fn start() -> Server {
        Server::start_with(&[]).await
    }

    /// A server with further options, as on the command line of `stanchiond`: `&["--limits",
    /// "strict"]`. The environment is not looked at.
    ///
    /// # Panics
    /// When an option is refused, or the system has no port or no thread to give.
    pub async fn start_with(options: &[&str]) -> Server {
        let options: Vec<OsString> = OPTIONS.iter().chain(options).map(OsString::from).collect();
        let started = Running::start(options).await;
        let (address, running) =
            started.unwrap_or_else(|why| panic!("the server does not start: {why}"));
        let client = Client::builder()
            .endpoint(format!("http://{address}"))
            .region("us-east-1")
            .unsigned()
            .build()
            .unwrap_or_else(|error| panic!("a client of {address}: {error}"));
        Server { address, client, running }
    }

    /// Where it is: the endpoint to give to any other client of SQS.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Moves the server's clock ahead, by whole milliseconds: delays, visibility timeouts, retention and
    /// everything else that is a matter of time have run on when this returns. A long poll goes on
    /// waiting: it is the client's time that it takes. Between moves the clock runs as always.
    ///
    /// # Panics
    /// When the server has failed.
    pub async fn advance(&self, by: Duration) {
        let by = Millis(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        if let Err(error) = self.running.shards.advance_clock(by).await {
            panic!("the clock cannot be moved: {error}");
        }
    }
}

/// The server's threads.
struct Running {
    shards: Shards,
    /// Has the thread end when it is dropped.
    end: Option<DropGuard>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts a server on a thread of its own: a test's runtime has one thread as a rule, and what
    /// occupies it must not hold up the server.
    async fn start(options: Vec<OsString>) -> Result<(SocketAddr, Running), String> {
        let end = CancellationToken::new();
        let ended = end.clone();
        // Also when nobody waits for the start any more.
        let end = end.drop_guard();
        let (ready, started) = oneshot::channel();
        let thread = thread::Builder::new().name("test-server".into()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return drop(ready.send(Err(error.to_string()))),
            };
            runtime.block_on(ended.run_until_cancelled(serve(options, ready)));
            runtime.shutdown_background();
        });
        let thread = thread.map_err(|error| error.to_string())?;
        let started = started.await.map_err(|_| "its thread has panicked".to_owned())?;
        let (address, shards) = started?;
        Ok((address, Running { shards, end: Some(end), thread: Some(thread) }))
    }
}

type Started = Result<(SocketAddr, Shards), String>;

async fn serve(options: Vec<OsString>, ready: oneshot::Sender<Started>) {
    let instance = async {
        let line = CommandLine::load(options, |_| None).map_err(|error| error.to_string())?;
        let instance = Instance::start(&line.config).await?;
        let addresses = instance.addresses().map_err(|error| error.to_string())?;
        let address = *addresses.first().ok_or("it listens nowhere")?;
        Ok((address, instance))
    };
    match instance.await {
        Ok((address, instance)) => {
            // Nobody may wait for it any more: then it is told to end.
            let _ = ready.send(Ok((address, instance.shards().clone())));
            instance.serve().await;
        }
        Err(why) => drop(ready.send(Err(why))),
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end.take();
        if let Some(thread) = self.thread.take() {
            // It waits for nobody. What went wrong there it has said by itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::queues::ListQueues;
    use crate::{CreateQueue, ReceiveMessage, SendMessage};

    impl Server {
        /// Returns when a poll waits.
        async fn parked(&self) {
            while self.running.shards.stats()[0].parked_polls.get() == 0 {
                tokio::task::yield_now().await;
            }
        }
    }

    async fn queue(client: &Client) -> String {
        client.create_queue(CreateQueue::new("q")).await.unwrap().queue_url
    }

    #[tokio::test]
    async fn a_message_that_nobody_deletes_returns_when_the_clock_is_moved() {
        let server = Server::start().await;
        let client = server.client();
        let url = queue(&client).await;
        client.send_message(SendMessage::new(&url, "a")).await.unwrap();
        let mut counts = Vec::new();
        for _ in 0..3 {
            for seconds in [0, 31] {
                server.advance(Duration::from_secs(seconds)).await;
                let received = client.receive_message(ReceiveMessage::new(&url)).await.unwrap();
                counts.extend(received.messages.iter().map(|message| message.receive_count()));
            }
        }
        assert_eq!(counts, [1, 2, 3, 4]);
    }

    #[tokio::test]
    async fn servers_side_by_side_know_nothing_of_each_other() {
        let (one, other) = tokio::join!(Server::start(), Server::start());
        let url = queue(&one.client()).await;
        queue(&other.client()).await;
        assert!(url.starts_with(&one.url()));
        one.advance(Duration::from_secs(3600)).await;
        drop(one);
        let listed = other.client().list_queues(ListQueues::default()).await.unwrap();
        assert_eq!(listed.queue_urls, [format!("{}/000000000000/q", other.url())]);
    }

    #[tokio::test]
    async fn options_are_those_of_the_server() {
        let server = Server::start_with(&["--limits", "strict", "--account", "111122223333"]).await;
        assert!(queue(&server.client()).await.ends_with("/111122223333/q"));
        let refused =
            Running::start(vec!["stanchiond".into(), "--shards".into(), "0".into()]).await;
        assert!(refused.err().unwrap().contains("--shards"));
    }

    #[tokio::test]
    async fn a_poll_that_waits_gets_what_is_due_when_the_clock_is_moved() {
        let server = Server::start().await;
        let client = server.client();
        let url = queue(&client).await;
        let late = SendMessage::new(&url, "late").delay(Duration::from_secs(600));
        client.send_message(late).await.unwrap();
        let receive = ReceiveMessage::new(&url).wait(Duration::from_secs(20));
        let (received, ()) = tokio::join!(client.receive_message(receive), async {
            server.parked().await;
            server.advance(Duration::from_secs(600)).await;
        });
        assert_eq!(received.unwrap().messages[0].body, "late");
    }

    #[tokio::test]
    async fn a_poll_that_waits_is_over_when_its_server_is_dropped() {
        let server = Server::start().await;
        let client = server.client();
        let url = queue(&client).await;
        let receive = ReceiveMessage::new(&url).wait(Duration::from_secs(20));
        let poll = tokio::spawn(async move { client.receive_message(receive).await });
        server.parked().await;
        let address = server.address;
        drop(server);
        assert!(std::net::TcpStream::connect(address).is_err());
        poll.abort();
    }
}
