//! What a test of a program with queues looks like: a server of its own, and a clock that it moves.
//! Needs nothing else to run: `cargo run --example testing --features testing`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, Instant};

use stanchion_sdk::testing::Server;
use stanchion_sdk::{CreateQueue, DeleteMessage, ReceiveMessage, SendMessage};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let begun = Instant::now();
    let server = Server::start().await;
    println!("a server at {} after {:?}", server.url(), begun.elapsed());

    let client = server.client();
    let queue = client.create_queue(CreateQueue::new("orders")).await?.queue_url;
    client.send_message(SendMessage::new(&queue, "an order")).await?;

    let received = client.receive_message(ReceiveMessage::new(&queue)).await?.messages;
    println!("received {:?}, and the program crashes before it is done", received[0].body);
    let again = client.receive_message(ReceiveMessage::new(&queue)).await?.messages;
    assert!(again.is_empty(), "it is hidden for its visibility timeout");

    server.advance(Duration::from_secs(31)).await;
    let again = client.receive_message(ReceiveMessage::new(&queue)).await?.messages;
    println!("31 seconds later it is there again, for the {}nd time", again[0].receive_count());
    client.delete_message(DeleteMessage::new(&queue, &again[0].receipt_handle)).await?;

    server.advance(Duration::from_secs(3600)).await;
    let none = client.receive_message(ReceiveMessage::new(&queue)).await?.messages;
    assert!(none.is_empty(), "it was deleted");
    println!("an hour and half a minute took {:?}", begun.elapsed());
    Ok(())
}
