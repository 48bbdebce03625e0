//! Many tasks send through one producer. With a server of `make run`:
//!
//! ```sh
//! cargo run --example producer
//! ```
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::{error::Error, time::Instant};

use stanchion_sdk::{Client, CreateQueue, Outgoing, Producer};
use tokio::task::JoinSet;

const TASKS: usize = 100;
const MESSAGES_EACH: usize = 100;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let client = Client::builder()
        .endpoint("http://127.0.0.1:9324")
        .region("us-east-1")
        .unsigned()
        .build()?;
    let queue_url = client.create_queue(CreateQueue::new("example-producer")).await?.queue_url;
    let producer = Producer::builder(client, queue_url).build();

    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let producer = producer.clone();
        tasks.spawn(async move {
            for number in 0..MESSAGES_EACH {
                let message =
                    Outgoing::new(format!("message {number}")).attribute("task", task.to_string());
                producer.send(message).await?;
            }
            Ok::<_, stanchion_sdk::SendError>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    producer.close().await;

    let (sent, seconds) = (TASKS * MESSAGES_EACH, start.elapsed().as_secs_f64());
    println!("{sent} messages in {seconds:.2} s, {:.0} a second", sent as f64 / seconds);
    Ok(())
}
