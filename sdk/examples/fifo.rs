//! A worker of a FIFO queue: `cargo run --example fifo` beside `make run`. Groups run side by side;
//! within one the steps come in order, although some fail at first. Works until Ctrl-C.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use stanchion_sdk::{
    Client, CreateQueue, SendMessage,
    worker::{Backoff, BoxError, Delivery, Worker},
};

async fn handle(delivery: Delivery) -> Result<(), BoxError> {
    let message = &delivery.message;
    let group = message.group().unwrap_or_default();
    if message.body == "step 3" && message.receive_count() == 1 {
        println!("{group}: {} fails; what comes after it waits", message.body);
        return Err("not yet".into());
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    println!("{group}: {}", message.body);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder().endpoint("http://127.0.0.1:9324").unsigned().build()?;
    let mut create = CreateQueue::new("steps.fifo");
    create.attributes.insert("FifoQueue".into(), "true".into());
    create.attributes.insert("ContentBasedDeduplication".into(), "true".into());
    let queue = client.create_queue(create).await?.queue_url;
    for step in 1..=5 {
        for group in ["red", "green", "blue"] {
            let message = SendMessage::new(&queue, format!("step {step}"));
            // Once per run: the same body of another group would be a repetition otherwise.
            let id = format!("{group}-{step}-{}", std::process::id());
            client.send_message(message.group(group).dedup_id(id)).await?;
        }
    }
    let drained = Worker::builder(client)
        .queue(&queue)
        .backoff(Backoff::Fixed(Duration::from_secs(1)))
        .handler(handle)
        .run()
        .await?;
    println!("{drained:?}");
    Ok(())
}
