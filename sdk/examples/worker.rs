//! A worker: `cargo run --example worker` beside `make run`. It sends itself twenty orders, some of
//! which it cannot cope with, and works until Ctrl-C.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use stanchion_sdk::{
    Client, CreateQueue, GetQueueAttributes, SendMessage, SetQueueAttributes,
    worker::{
        Backoff, BoxError, Delivery, Outcome, Permanent, Worker,
        layers::{TenantLimit, TracingLayer},
    },
};

/// An order is a number.
async fn handle(delivery: Delivery) -> Result<Outcome, BoxError> {
    let message = &delivery.message;
    // No retry helps against a body that cannot be read: it becomes a dead letter.
    let order: u32 = message.body.parse().map_err(Permanent::new)?;
    if order.is_multiple_of(7) && message.receive_count() == 1 {
        // An error is tried again, later each time.
        return Err("the warehouse does not answer".into());
    }
    if order > 1_000 {
        return Ok(Outcome::DeadLetter("nobody orders that much".into()));
    }
    println!("order {order}, received {} time(s)", message.receive_count());
    Ok(Outcome::Done)
}

#[tokio::main]
async fn main() -> Result<(), BoxError> {
    let client = Client::builder().endpoint("http://127.0.0.1:9324").unsigned().build()?;
    let queue = client.create_queue(CreateQueue::new("orders")).await?.queue_url;
    let dead = client.create_queue(CreateQueue::new("orders-dead")).await?.queue_url;
    let attributes = client.get_queue_attributes(GetQueueAttributes::all(dead)).await?.attributes;
    let arn = attributes.get("QueueArn").ok_or("a queue has an ARN")?;
    let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"10"}}"#);
    let attributes = [("RedrivePolicy".to_owned(), policy)].into();
    client
        .set_queue_attributes(SetQueueAttributes { queue_url: queue.clone(), attributes })
        .await?;

    for order in (1..=18).map(|order| order.to_string()).chain(["many".into(), "9999".into()]) {
        client.send_message(SendMessage::new(&queue, order).group("customer")).await?;
    }

    let worker = Worker::builder(client)
        .queue(&queue)
        .concurrency(8)
        .handler_timeout(Duration::from_secs(10))
        .backoff(Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60)))
        .handler(handle)
        .layer(TenantLimit::by_group(4))
        .layer(TracingLayer)
        .build()?;
    let metrics = worker.handle().metrics().clone();
    let drained = worker.run_until_signal().await;
    println!("{drained:?}; {} done, {} dead", metrics.deleted.get(), metrics.dead_lettered.get());
    Ok(())
}
