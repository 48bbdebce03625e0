//! Client, worker runtime and function host for Stanchion and Amazon SQS.
//!
//! | to | there is |
//! | --- | --- |
//! | call an action | [`Client`], with a method for each; what they take is in [`actions`] |
//! | send from many tasks | [`Producer`], which makes batches and keeps the order of groups |
//! | handle messages | [`Worker`](worker::Worker), which receives, keeps and settles them |
//! | send and receive values | [`TypedQueue`]; what cannot be read goes to [`DeadLetters`] |
//! | ask and answer | [`Requester`] and [`Replier`] |
//! | follow a trace | [`TraceContext`] |
//!
//! Features add `functions` (functions written for AWS Lambda as workers), `lambda` (a handler as such a
//! function), `large-payloads` (bodies in an object store) and `testing` (a server in the process of a
//! test). The default one, `aws-config`, finds credentials and region where AWS' own tools do.
//!
//! ```no_run
//! use std::time::Duration;
//! use stanchion_sdk::{Client, CreateQueue, DeleteMessage, ReceiveMessage, SendMessage};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! // `Client::from_env()` asks where AWS' own tools look, and works against Amazon SQS.
//! let client = Client::builder().endpoint("http://127.0.0.1:9324").unsigned().build()?;
//! let queue = client.create_queue(CreateQueue::new("orders")).await?.queue_url;
//!
//! client.send_message(SendMessage::new(&queue, "hello").attribute("kind", "greeting")).await?;
//!
//! let receive = ReceiveMessage::new(&queue).max(10).wait(Duration::from_secs(20));
//! for message in client.receive_message(receive).await?.messages {
//!     println!("{}", message.body);
//!     client.delete_message(DeleteMessage::new(&queue, message.receipt_handle)).await?;
//! }
//! # Ok(())
//! # }
//! ```

/// The README's program compiles.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

pub mod actions;
pub mod client;
pub mod dead_letter;
mod digest;
pub mod error;
#[cfg(feature = "functions")]
pub mod functions;
#[cfg(feature = "lambda")]
pub mod lambda;
#[cfg(feature = "large-payloads")]
pub mod large_payloads;
pub mod message;
pub mod producer;
pub mod request_reply;
#[cfg(feature = "testing")]
pub mod testing;
pub mod trace_context;
pub mod typed;
mod waits;
pub mod worker;

pub use actions::batches::{
    BatchFailure, ChangeMessageVisibilityBatch, ChangeMessageVisibilityBatchEntry,
    DeleteMessageBatch, DeleteMessageBatchEntry, SendMessageBatch, SendMessageBatchEntry,
};
pub use actions::messages::{ChangeMessageVisibility, DeleteMessage, ReceiveMessage, SendMessage};
pub use actions::own::messages::DeadLetterMessage;
pub use actions::queues::{CreateQueue, GetQueueAttributes, GetQueueUrl, SetQueueAttributes};
pub use client::retry::RetryPolicy;
pub use client::{BuildError, Client, ClientBuilder};
pub use dead_letter::{DeadLetterError, DeadLetters};
pub use error::{Error, ServiceError};
pub use message::{Attributes, Message, MessageAttribute, MessageAttributes};
pub use producer::{Outgoing, Producer, SendError, Sent};
pub use request_reply::{Replier, Requester};
pub use trace_context::TraceContext;
pub use typed::{TypedMessage, TypedQueue};
