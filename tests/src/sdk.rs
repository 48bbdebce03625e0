//! The AWS SDK for Rust, pointed at a server of ours, and shorthands that keep the cases readable.

use std::{collections::HashMap, fmt::Debug};

use aws_sdk_sqs::{
    Client,
    config::{
        BehaviorVersion, Credentials, Region, SharedHttpClient, http::HttpResponse,
        retry::RetryConfig,
    },
    error::{ProvideErrorMetadata, SdkError},
    types::{Message, QueueAttributeName},
};

use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};

use crate::Server;

/// The access key that servers which ask for one are started with, and all clients have: the others
/// do not look at it.
pub const ROOT_KEY: &str = "AKIAROOTOFTHETESTS00";

/// Its secret.
pub const ROOT_SECRET: &str = "root/of+the/tests+0123456789abcdefghijkl";

/// What the service said no with.
#[derive(Debug, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status.
    pub status: u16,
    /// The code a user of the SDK sees.
    pub code: String,
    /// The text.
    pub message: String,
}

/// An unmodified SDK client, which never retries: a test wants to see the first answer.
pub fn client(server: &Server) -> Client {
    client_at(&server.url())
}

/// The same, for whatever listens at an endpoint.
pub fn client_at(endpoint: &str) -> Client {
    client_with(endpoint, Credentials::new(ROOT_KEY, ROOT_SECRET, None, None, "tests"))
}

/// The same, with another key.
pub fn client_with(endpoint: &str, credentials: Credentials) -> Client {
    client_over(aws_smithy_http_client::Builder::new().build_http(), endpoint, credentials)
}

/// The same, over TLS, for a server with a certificate of an authority (PEM).
///
/// # Panics
/// When the certificate is none.
pub fn client_trusting(authority: &str, server: &Server) -> Client {
    let trusted = TrustStore::empty().with_pem_certificate(authority);
    let context = TlsContext::builder().with_trust_store(trusted).build().expect("it is legal");
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context)
        .build_https();
    let credentials = Credentials::new(ROOT_KEY, ROOT_SECRET, None, None, "tests");
    client_over(http, &server.url(), credentials)
}

fn client_over(http: SharedHttpClient, endpoint: &str, credentials: Credentials) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// The failure in a result that must be one.
///
/// # Panics
/// When the call succeeded, or never got an answer.
pub fn failure<T, E>(result: Result<T, SdkError<E, HttpResponse>>) -> Failure
where
    T: Debug,
    E: ProvideErrorMetadata + Debug,
{
    let error = result.expect_err("the service refuses this");
    let status = error.raw_response().map(|response| response.status().as_u16());
    Failure {
        status: status.unwrap_or_else(|| panic!("no answer: {error:?}")),
        code: error.code().unwrap_or_default().to_owned(),
        message: error.message().unwrap_or_default().to_owned(),
    }
}

/// Creates a queue with the given attributes and returns its URL. A name that ends in `.fifo` makes
/// a FIFO queue.
///
/// # Panics
/// When the service refuses.
pub async fn create(client: &Client, name: &str, attributes: &[(&str, &str)]) -> String {
    let mut attributes = self::attributes(attributes);
    if name.ends_with(".fifo") {
        attributes.insert(QueueAttributeName::FifoQueue, "true".into());
    }
    let attributes = (!attributes.is_empty()).then_some(attributes);
    let created = client.create_queue().queue_name(name).set_attributes(attributes).send().await;
    created.expect("the queue is created").queue_url.expect("a queue has a URL")
}

/// Pairs of text as the SDK's attribute map.
pub fn attributes(pairs: &[(&str, &str)]) -> HashMap<QueueAttributeName, String> {
    pairs.iter().map(|(name, value)| (QueueAttributeName::from(*name), value.to_string())).collect()
}

/// One attribute of a queue; the empty text when it is not set.
///
/// # Panics
/// When the service refuses.
pub async fn attribute(client: &Client, url: &str, name: &str) -> String {
    let name = QueueAttributeName::from(name);
    let answer =
        client.get_queue_attributes().queue_url(url).attribute_names(name.clone()).send().await;
    let found = answer.expect("the queue has attributes").attributes;
    found.and_then(|mut found| found.remove(&name)).unwrap_or_default()
}

/// The ARN of a queue.
pub async fn arn(client: &Client, url: &str) -> String {
    attribute(client, url, "QueueArn").await
}

/// How many messages are available, in flight and delayed.
///
/// # Panics
/// When the service refuses, or a counter is no number.
pub async fn counters(client: &Client, url: &str) -> [u64; 3] {
    let mut counters = [0; 3];
    let names = [
        "ApproximateNumberOfMessages",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateNumberOfMessagesDelayed",
    ];
    for (counter, name) in counters.iter_mut().zip(names) {
        *counter = attribute(client, url, name).await.parse().expect("a counter is a number");
    }
    counters
}

/// Sends a body to a standard queue and returns the message's id.
///
/// # Panics
/// When the service refuses.
pub async fn send(client: &Client, url: &str, body: &str) -> String {
    let sent = client.send_message().queue_url(url).message_body(body).send().await;
    sent.expect("the message is accepted").message_id.expect("a message has an id")
}

/// Sends a body to a FIFO queue, with itself as deduplication id, and returns its sequence number.
///
/// # Panics
/// When the service refuses.
pub async fn send_to_group(client: &Client, url: &str, group: &str, body: &str) -> String {
    let sent = client
        .send_message()
        .queue_url(url)
        .message_body(body)
        .message_group_id(group)
        .message_deduplication_id(body)
        .send()
        .await;
    sent.expect("the message is accepted").sequence_number.expect("a FIFO message has a number")
}

/// Receives up to ten messages with all their attributes, waiting up to `wait_s` for the first.
///
/// # Panics
/// When the service refuses.
pub async fn receive(client: &Client, url: &str, wait_s: i32) -> Vec<Message> {
    let received = client
        .receive_message()
        .queue_url(url)
        .max_number_of_messages(10)
        .wait_time_seconds(wait_s)
        .message_system_attribute_names("All".into())
        .message_attribute_names("All")
        .send()
        .await;
    received.expect("the service answers").messages.unwrap_or_default()
}

/// Receives exactly one message.
///
/// # Panics
/// When there is none, or more than one.
pub async fn receive_one(client: &Client, url: &str) -> Message {
    let mut messages = receive(client, url, 20).await;
    assert_eq!(messages.len(), 1, "one message: {messages:?}");
    messages.remove(0)
}

/// Deletes a received message.
///
/// # Panics
/// When the service refuses.
pub async fn delete(client: &Client, url: &str, message: &Message) {
    let handle = handle(message);
    let deleted = client.delete_message().queue_url(url).receipt_handle(handle).send().await;
    deleted.expect("the message is deleted");
}

/// Makes a received message available again at once.
///
/// # Panics
/// When the service refuses.
pub async fn give_back(client: &Client, url: &str, message: &Message) {
    let changed = client
        .change_message_visibility()
        .queue_url(url)
        .receipt_handle(handle(message))
        .visibility_timeout(0)
        .send()
        .await;
    changed.expect("the visibility is changed");
}

/// A message's body.
///
/// # Panics
/// When it has none, which no service answer lacks.
pub fn body(message: &Message) -> &str {
    message.body().expect("a message has a body")
}

/// The bodies of messages, in order.
pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(body).collect()
}

/// A received message's receipt handle.
///
/// # Panics
/// When it has none, which no service answer lacks.
pub fn handle(message: &Message) -> &str {
    message.receipt_handle().expect("a received message has a handle")
}

/// A system attribute of a received message; the empty text when it is absent.
pub fn system<'a>(message: &'a Message, name: &str) -> &'a str {
    let attributes = message.attributes();
    attributes.and_then(|all| all.get(&name.into())).map(String::as_str).unwrap_or_default()
}
