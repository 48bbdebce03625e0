//! What is fuzzed: each target takes any bytes, and panics when something is wrong with how they
//! are read. Shared by the programs of `cargo fuzz` and by `service/tests/hostile.rs`, which calls
//! them in every test run.

#![allow(dead_code, reason = "a program of cargo fuzz calls one of them")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use stanchion_service::api::protocol::query::Form;
use stanchion_service::api::protocol::{Input, Protocol};
use stanchion_service::api::sqs::change_message_visibility_batch::ChangeMessageVisibilityBatch;
use stanchion_service::api::sqs::create_queue::CreateQueue;
use stanchion_service::api::sqs::list_queues::ListQueues;
use stanchion_service::api::sqs::receive_message::ReceiveMessage;
use stanchion_service::api::sqs::send_message_batch::SendMessageBatch;
use stanchion_service::api::sqs::untag_queue::UntagQueue;
use stanchion_service::api::sts::assume_role::AssumeRole;
use stanchion_service::api::sts::assume_role_with_web_identity::AssumeRoleWithWebIdentity;
use stanchion_service::auth::credentials::Secret;
use stanchion_service::auth::jwks::KeySet;
use stanchion_service::auth::root::{RootKey, RootSource};
use stanchion_service::auth::session_token::SigningKeys;
use stanchion_service::auth::signature::Request;
use stanchion_service::auth::signature::verify::Verifier;
use stanchion_service::error::Error;
use stanchion_service::model::caller::Caller;
use stanchion_service::model::fifo::GroupHash;
use stanchion_service::model::policy::actions::Permission;
use stanchion_service::model::policy::context::Context;
use stanchion_service::model::policy::evaluate::{Question, Resource, decide};
use stanchion_service::model::policy::identity_policy::IdentityPolicy;
use stanchion_service::model::policy::queue_policy::QueuePolicy;
use stanchion_service::model::queue::{AccountId, QueueId, QueueKey, Slot};
use stanchion_service::model::receipt::ReceiptKey;
use stanchion_service::model::rows::{DedupRow, DeliveryRow, GroupRow, HintRow, MessageRow};
use stanchion_service::model::task::MoveTask;
use stanchion_service::store::codec::{Value, decode, encode};
use stanchion_service::store::keys;
use stanchion_service::store::payload::{decode_payload, encode_payload};
use stanchion_service::store::values::{
    AccessKeyRow, DeadRow, OutboxRow, QueueRow, ServerRow, TombstoneRow, TurnRow, UserRow,
};
use stanchion_service::store::{Key, Space};

/// A request's body in AWS JSON.
pub(crate) fn json(bytes: &[u8]) {
    read_inputs(Protocol::Json, &Input::Json(Bytes::copy_from_slice(bytes)));
}

/// A request in AWS Query: a line with its path, a line with its query string, then its body.
pub(crate) fn query(bytes: &[u8]) {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let mut part = || parts.next().unwrap_or_default();
    let (path, target, body) = (part(), part(), part());
    let form = Form::read(body, &String::from_utf8_lossy(target)).and_then(|mut form| {
        form.apply_path(&String::from_utf8_lossy(path))?;
        Ok(form)
    });
    match form {
        Ok(form) => read_inputs(Protocol::Query, &Input::Query(form)),
        Err(error) => check_refusal(Protocol::Query, &error),
    }
}

/// Reads an input as that of the actions whose inputs are not like those of others.
fn read_inputs(protocol: Protocol, input: &Input) {
    fn read<T: DeserializeOwned>(protocol: Protocol, input: &Input) {
        if let Err(error) = input.decode::<T>() {
            check_refusal(protocol, &error);
        }
    }
    read::<AssumeRole>(protocol, input);
    read::<AssumeRoleWithWebIdentity>(protocol, input);
    read::<ChangeMessageVisibilityBatch>(protocol, input);
    read::<CreateQueue>(protocol, input);
    read::<ListQueues>(protocol, input);
    read::<ReceiveMessage>(protocol, input);
    read::<SendMessageBatch>(protocol, input);
    read::<UntagQueue>(protocol, input);
}

/// It is the client's fault, and it can be told in either rendering.
fn check_refusal(protocol: Protocol, error: &Error) {
    assert!(!matches!(error, Error::Internal(_)), "{error}");
    assert!(!protocol.encode_error(error, "id").is_empty());
    assert!(!Protocol::QueryInJson.encode_error(error, "id").is_empty());
}

/// The secret of the key that [`receipt`] opens handles with.
pub(crate) const RECEIPT_SECRET: &[u8] = b"of the fuzzer";

/// A receipt handle that a client claims to have been given.
pub(crate) fn receipt(bytes: &[u8]) {
    let key = ReceiptKey::derive(RECEIPT_SECRET);
    let text = String::from_utf8_lossy(bytes);
    if let Ok(handle) = key.open(&text, Slot(0), QueueId(0)) {
        assert_eq!(key.seal(&handle), text, "a handle has one spelling");
    }
}

/// The bodies of the signed requests among the seeds: nobody else has the secret.
const SIGNED_BODIES: [&[u8]; 2] = [b"{\"QueueName\":\"MyQueue\"}", b""];

/// A request with a signature: a line with its method and its target, lines of headers, an empty line
/// and the body. Answers whether the signature is good.
pub(crate) fn signature(bytes: &[u8]) -> bool {
    let end = bytes.windows(2).position(|two| two == b"\n\n").unwrap_or(bytes.len());
    let body = bytes.get(end + 2..).unwrap_or_default();
    let mut lines = bytes[..end].split(|byte| *byte == b'\n');
    let first = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let (method, target) = first.split_once(' ').unwrap_or((&first, "/"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    for line in lines.take(100) {
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (&line[..at], line.get(at + 1..).unwrap_or_default());
        let name = HeaderName::from_bytes(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
    }
    let account = AccountId::parse("111122223333").expect("twelve digits");
    let key = RootKey {
        access_key_id: "AKIDEXAMPLE".into(),
        secret: Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into()),
    };
    let verifier = Verifier::new(vec![Arc::new(RootSource::new(key, account))], None);
    let request = Request { method, path, query, headers: &headers, authority: None, body };
    // 2026-01-15, noon.
    match verifier.verify(&request, "sqs", Duration::from_secs(1_768_478_400)) {
        Ok(Some(_)) => {
            assert!(SIGNED_BODIES.contains(&body), "nobody has signed this");
            true
        }
        Ok(None) => false,
        Err(error) => {
            check_refusal(Protocol::Query, &error);
            check_refusal(Protocol::Json, &error);
            false
        }
    }
}

/// A policy that a client wants a queue, or a user, to have.
pub(crate) fn policy(bytes: &[u8]) {
    if let Ok(policy) = IdentityPolicy::parse(&String::from_utf8_lossy(bytes), "Policy") {
        assert_eq!(IdentityPolicy::stored(policy.text()), Some(policy));
    }
    if let Ok(policy) = QueuePolicy::parse(&String::from_utf8_lossy(bytes)) {
        let again = QueuePolicy::parse(policy.text()).expect("what was taken is taken again");
        assert_eq!(again.document(), policy.document());
        let queue = QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:q").expect("an ARN");
        for caller in [Caller::anonymous(), Caller::root(queue.account.clone())] {
            let resource = Resource::Queue { key: &queue, policy: Some(policy.document()) };
            let permission = Permission::sqs("SendMessage");
            let question = Question { caller: &caller, permission, resource, context: &Echo };
            assert_eq!(decide(&question), decide(&question));
        }
    }
}

/// A request that has every key there is, each with itself as its value.
struct Echo;

impl Context for Echo {
    fn values(&self, key: &str) -> Vec<String> {
        vec![key.into()]
    }
}

/// The key of the server whose sessions [`jwt`] opens.
pub(crate) const SESSION_KEY: (&str, [u8; 32]) = ("fuzz", [7; 32]);

/// A session token that a client claims to have been given, or an issuer's keys.
pub(crate) fn jwt(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let keys = SigningKeys::derive([SESSION_KEY]);
    if let Ok((claims, _)) = keys.open(&text, Duration::ZERO) {
        assert_eq!(claims.name, "seed", "nobody else's token is taken");
    }
    let _ = KeySet::parse(bytes);
}

/// A key or a value that the store finds on the disk.
pub(crate) fn rows(bytes: &[u8]) {
    value::<AccessKeyRow>(bytes);
    value::<Option<GroupHash>>(bytes);
    value::<()>(bytes);
    value::<DeadRow>(bytes);
    value::<DedupRow>(bytes);
    value::<DeliveryRow>(bytes);
    value::<GroupHash>(bytes);
    value::<GroupRow>(bytes);
    value::<HintRow>(bytes);
    value::<MessageRow>(bytes);
    value::<MoveTask>(bytes);
    value::<OutboxRow>(bytes);
    value::<QueueRow>(bytes);
    value::<ServerRow>(bytes);
    value::<TombstoneRow>(bytes);
    value::<TurnRow>(bytes);
    value::<UserRow>(bytes);
    if let Ok((id, content)) = decode_payload(Bytes::copy_from_slice(bytes), None) {
        assert_eq!(decode_payload(encode_payload(&id, &content, None), None), Ok((id, content)));
    }

    for space in [Space::Messages, Space::State] {
        if let Ok((slot, generation, row)) = keys::parse_row_key(space, bytes) {
            let key = keys::row_key(slot, generation, &row);
            assert_eq!(key, Key { space, bytes: bytes.to_vec() });
        }
    }
    let same = |key: Key| assert_eq!(key.bytes, bytes);
    let _ = keys::parse_hint_key(bytes).map(|(slot, of)| same(keys::hint_key(slot, of)));
    let _ = keys::parse_queue_key(bytes).map(|(slot, of)| same(keys::queue_key(slot, &of)));
    let _ = keys::parse_tombstone_key(bytes).map(|(slot, of)| same(keys::tombstone_key(slot, &of)));
    let _ = keys::parse_dead_key(bytes).map(|(slot, of)| same(keys::dead_key(slot, of)));
    let _ = keys::parse_outbox_key(bytes).map(|of| same(keys::outbox_key(&of)));
    let _ = keys::parse_task_key(bytes).map(|of| same(keys::task_key(&of)));
    let _ = keys::parse_user_key(bytes).map(|of| same(keys::user_key(&of)));
    let _ = keys::parse_access_key_key(bytes).map(|of| same(keys::access_key_key(&of)));
    let _ = keys::parse_turn_key(bytes).map(|of| same(keys::turn_key(of)));
}

/// What reads as a value means the same when it is written again.
fn value<V: Value + PartialEq>(bytes: &[u8]) {
    if let Ok(value) = decode::<V>(Bytes::copy_from_slice(bytes)) {
        let again = decode::<V>(encode(&value));
        assert!(again.is_ok_and(|again| again == value), "{} changes", V::KIND);
    }
}
