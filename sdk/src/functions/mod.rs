//! Functions written for AWS Lambda as workers of a queue.
//!
//! A [`FunctionHost`] starts a function's processes, gives each its own Lambda Runtime API, receives
//! from a queue and invokes the function with the events that Lambda would build. What differs from
//! Lambda is in `docs/functions.md`.
//!
//! ```no_run
//! use std::time::Duration;
//! use stanchion_sdk::{Client, functions::FunctionHost};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder().endpoint("http://127.0.0.1:9324").unsigned().build()?;
//! let host = FunctionHost::builder("orders-handler", ["./my-function"])
//!     .queue(client, "orders")
//!     .timeout(Duration::from_secs(5))
//!     .processes(0, 8)
//!     .report_batch_item_failures(true)
//!     .start()
//!     .await?;
//!
//! let answer = host.invoke(r#"{"Records":[]}"#).await?;
//! println!("{}", String::from_utf8_lossy(&answer));
//! host.stop();
//! host.stopped().await;
//! # Ok(())
//! # }
//! ```

mod builder;
mod core;
mod driver;
mod error;
mod event;
mod filter;
mod host;
mod logs;
mod metrics;
mod process;
mod runtime_api;

pub use builder::FunctionHostBuilder;
pub use error::{FunctionError, InvokeError, StartError};
pub use filter::{BadPattern, FilterPattern};
pub use host::FunctionHost;
pub use logs::{LogLine, LogStream};
pub use metrics::FunctionMetrics;
