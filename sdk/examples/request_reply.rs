//! One task asks, another answers, over queues. With a server of `make run`:
//!
//! ```sh
//! cargo run --example request_reply
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::{convert::Infallible, error::Error};

use stanchion_sdk::{
    Client, CreateQueue, Message,
    request_reply::{Replier, Requester},
};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::builder()
        .endpoint("http://127.0.0.1:9324")
        .region("us-east-1")
        .unsigned()
        .build()?;
    let questions = client.create_queue(CreateQueue::new("example-questions")).await?.queue_url;

    let stop = CancellationToken::new();
    let replier = Replier::builder(client.clone()).build();
    let answering = tokio::spawn({
        let (questions, stop) = (questions.clone(), stop.clone());
        async move { replier.run(questions, stop, shout).await }
    });

    let requester = Requester::builder(client, questions).build().await?;
    for question in ["who is there?", "what is new?"] {
        let reply = requester.request(question).await?;
        println!("{question} {}", reply.body);
    }

    requester.close().await?;
    stop.cancel();
    answering.await?;
    Ok(())
}

async fn shout(request: Message) -> Result<String, Infallible> {
    Ok(request.body.to_uppercase())
}
