//! One handler, two places: by itself this is an AWS Lambda function for an SQS queue (with
//! `ReportBatchItemFailures`); the function host runs it beside our server:
//!
//!     cargo build --example lambda_handler --features lambda
//!     cargo run --example function_host --features functions -- --queue=orders -- target/debug/examples/lambda_handler

use std::io::Write as _;

use stanchion_sdk::{Message, lambda};

async fn handle(message: Message) -> Result<(), std::io::Error> {
    writeln!(std::io::stdout(), "{}: {}", message.message_id, message.body)
}

#[tokio::main]
async fn main() -> Result<(), lambda::Error> {
    lambda::run(handle).await
}
