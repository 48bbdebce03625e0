//! The SDK's client against the real server, against servers that lie, and against moto's.

mod actions;
mod environment;
mod moto;
mod trouble;

use std::time::Duration;

use stanchion_sdk::{Client, CreateQueue, RetryPolicy};
use stanchion_tests::{
    Server,
    sdk::{ROOT_KEY, ROOT_SECRET},
};

/// A client that has root's key, and asks once.
fn client(server: &Server) -> Client {
    client_at(&server.url(), RetryPolicy::never())
}

fn client_at(url: &str, retry: RetryPolicy) -> Client {
    let builder = Client::builder().endpoint(url).credentials(ROOT_KEY, ROOT_SECRET);
    // Only a failing test waits so long.
    builder.timeout(Duration::from_secs(60)).retry(retry).build().expect("the endpoint is one")
}

async fn queue(client: &Client, name: &str) -> String {
    client.create_queue(CreateQueue::new(name)).await.expect("the queue is created").queue_url
}
