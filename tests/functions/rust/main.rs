//! A function as one writes it for Lambda: it knows nothing of the host.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    if std::env::var_os("FUNCTION_BROKEN").is_some() {
        return Err("broken as told".into());
    }
    lambda_runtime::run(service_fn(handle)).await
}

async fn handle(event: LambdaEvent<Value>) -> Result<Value, Error> {
    if event.payload.get("Records").is_none() {
        return Ok(event.payload);
    }
    let batch: SqsEvent = serde_json::from_value(event.payload)?;
    let mut response = SqsBatchResponse::default();
    for message in batch.records {
        let body: Value = serde_json::from_str(message.body.as_deref().unwrap_or_default())?;
        note(body["name"].as_str().unwrap_or_default())?;
        match body["do"].as_str().unwrap_or_default() {
            "fail" => response.add_failure(message.message_id.unwrap_or_default()),
            "throw" => return Err("thrown as told".into()),
            "sleep" => tokio::time::sleep(Duration::from_secs(3_600)).await,
            "crash" => std::process::exit(7),
            "wait" => wait().await,
            _ => {}
        }
    }
    Ok(serde_json::to_value(response)?)
}

fn note(name: &str) -> Result<(), Error> {
    // A line of the log, so that those can be looked at.
    let _ = writeln!(std::io::stdout(), "handling {name}");
    if let Some(diary) = std::env::var_os("FUNCTION_DIARY") {
        let mut diary = OpenOptions::new().append(true).create(true).open(diary)?;
        diary.write_all(format!("{name}\n").as_bytes())?;
    }
    Ok(())
}

async fn wait() {
    if let Some(gate) = std::env::var_os("FUNCTION_GATE") {
        while !Path::new(&gate).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
