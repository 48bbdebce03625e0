//! Our own actions, which no SDK knows, signed by an SDK.

use std::sync::{Arc, Mutex};

use aws_sdk_sqs::{
    Client,
    config::{
        ConfigBag, Credentials, Intercept, RuntimeComponents,
        interceptors::AfterDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use serde_json::Value;

use crate::{
    Server,
    sdk::{self, Failure, failure},
};

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

/// A client that signs with a key, as `CreateAccessKey` answered it.
///
/// # Panics
/// When that is no answer to it.
pub fn signing(server: &Server, made: &Value) -> Client {
    let text = |name: &str| made[name].as_str().expect("a key has an id and a secret");
    let (id, secret) = (text("AccessKeyId"), text("SecretAccessKey"));
    sdk::client_with(&server.url(), Credentials::new(id, secret, None, None, "tests"))
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
