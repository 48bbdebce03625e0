//! One handler, two places: by itself this is an AWS Lambda function for an SQS queue (with
//! `ReportBatchItemFailures`); the function host runs it beside our server:
//!
//!     cargo build --example lambda_handler --features lambda
//!     cargo run --example function_host --features functions -- --queue=orders -- target/debug/examples/lambda_handler

use std::io::Write as _;

use stanchion_sdk::lambda;
use stanchion_sdk::worker::{BoxError, Delivery, Outcome};

/// `Worker::builder(client).queue("orders").handler(handle)` takes the same function.
async fn handle(delivery: Delivery) -> Result<Outcome, BoxError> {
    let message = &delivery.message;
    writeln!(std::io::stdout(), "{}: {}", message.message_id, message.body)?;
    Ok(Outcome::Done)
}

#[tokio::main]
async fn main() -> Result<(), lambda::Error> {
    lambda::run(handle).await
}
