//! Clients of a server that asks for signatures: the SDK with any access key, and with it our own
//! actions, which no SDK knows.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};

use aws_sdk_sqs::{
    Client,
    config::{
        BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents,
        interceptors::AfterDeserializationInterceptorContextRef, retry::RetryConfig,
    },
    error::BoxError,
};
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::{
    Server,
    sdk::{Failure, failure},
};

/// Root's key, by its id and its secret.
pub const ROOT: (&str, &str) = ("ROOTOFTHETESTS", "aSecretOfFortyCharactersMoreOrLessForRoot");

/// A file with root's key, which a server is told of with `--root-credentials-file`.
///
/// # Panics
/// When it cannot be written.
pub fn root_credentials() -> NamedTempFile {
    let file = NamedTempFile::new().expect("a file can be made");
    let text = format!("access_key_id = {:?}\nsecret_access_key = {:?}\n", ROOT.0, ROOT.1);
    fs::write(&file, text).expect("a file can be written");
    let own = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&file, own).expect("a file can be kept from others");
    file
}

/// An unmodified SDK client that signs with a key, given by its id and its secret, and never retries.
pub fn client(server: &Server, (id, secret): (&str, &str)) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(server.url())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(id, secret, None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled())
        .build();
    Client::from_conf(config)
}

/// One of our own actions: the SDK signs it, and believes that it lists queues.
pub async fn call(client: &Client, action: &str, input: Value) -> Result<Value, Failure> {
    let target = format!("Stanchion.{action}");
    let answer = Answer::default();
    let done = client
        .list_queues()
        .customize()
        .interceptor(answer.clone())
        .mutate_request(move |request| {
            let body = input.to_string();
            request.headers_mut().insert("x-amz-target", target.clone());
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = body.into();
        })
        .send()
        .await;
    match done {
        Ok(_) => Ok(answer.0.lock().expect("no test panics while it holds this").take()),
        failed => Err(failure(failed)),
    }
}

/// The body of an answer that an SDK has read.
#[derive(Clone, Debug, Default)]
struct Answer(Arc<Mutex<Value>>);

impl Intercept for Answer {
    fn name(&self) -> &'static str {
        "answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().unwrap_or_default();
        let json = if body.is_empty() { Value::Null } else { serde_json::from_slice(body)? };
        *self.0.lock().expect("no test panics while it holds this") = json;
        Ok(())
    }
}
