//! Runs a function written for AWS Lambda as a worker of a queue:
//!
//!     cargo run --example function_host --features functions -- --queue=orders --concurrency=8 -- ./my-function
//!
//! The first Ctrl-C lets the function finish what it has, the second kills it. `--event JSON` sends one
//! event by hand instead, and prints the answer.

use std::error::Error;
use std::io::{Write as _, stderr, stdout};
use std::time::Duration;

use stanchion_sdk::Client;
use stanchion_sdk::functions::FunctionHost;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut queue, mut event, mut concurrency) = (None, None, 1);
    let mut args = std::env::args().skip(1);
    for arg in args.by_ref() {
        match arg.split_once('=').unwrap_or((&arg, "")) {
            ("--queue", name) => queue = Some(name.to_owned()),
            ("--concurrency", count) => concurrency = count.parse()?,
            ("--event", json) => event = Some(json.to_owned()),
            ("--", _) => break,
            _ => {
                return Err(
                    format!("{arg}? --queue=NAME --concurrency=N --event=JSON -- COMMAND").into()
                );
            }
        }
    }
    let endpoint = std::env::var("AWS_ENDPOINT_URL").unwrap_or("http://127.0.0.1:9324".into());
    let client = Client::builder().endpoint(endpoint).unsigned().build()?;
    let mut host = FunctionHost::builder("example", args)
        .processes(0, concurrency)
        .timeout(Duration::from_secs(5))
        .report_batch_item_failures(true)
        .on_log(|line| {
            let _ = writeln!(stderr(), "{line}");
        });
    if let Some(queue) = queue {
        host = host.queue(client, queue);
    }
    let host = host.start().await?;
    if let Some(event) = event {
        stdout().write_all(&host.invoke(event).await?)?;
        host.stop();
    } else {
        tokio::signal::ctrl_c().await?;
        host.stop();
    }
    tokio::select! {
        () = host.stopped() => {}
        _ = tokio::signal::ctrl_c() => host.stop_now(),
    }
    host.stopped().await;
    write!(stderr(), "{}", host.metrics().prometheus("example"))?;
    Ok(())
}
