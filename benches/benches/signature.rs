//! What it costs to verify the signature of a request of a KiB: less than 10 µs is promised.
//!
//! ```sh
//! cargo bench -p stanchion-benches --bench signature
//! ```

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use criterion::{Criterion, criterion_group, criterion_main};
use hyper::Request;
use stanchion_service::auth::credentials::Secret;
use stanchion_service::auth::root::{RootKey, RootSource};
use stanchion_service::auth::signature;
use stanchion_service::auth::signature::verify::Verifier;
use stanchion_service::model::queue::AccountId;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const NOW: Duration = Duration::from_secs(1_768_478_400);

/// A request as an SDK sends it, signed in its headers or in its URL.
fn signed(mut request: Request<Vec<u8>>, presigned: bool) -> Request<Vec<u8>> {
    let identity = Credentials::new(KEY, SECRET, None, None, "benches").into();
    let mut settings = SigningSettings::default();
    if presigned {
        settings.signature_location = SignatureLocation::QueryParams;
        settings.expires_in = Some(Duration::from_secs(300));
    }
    let params = SigningParams::builder()
        .identity(&identity)
        .region("us-east-1")
        .name("sqs")
        .time(UNIX_EPOCH + NOW)
        .settings(settings)
        .build()
        .expect("nothing is missing")
        .into();
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().expect("text")))
        .collect();
    let signable = SignableRequest::new(
        request.method().as_str(),
        request.uri().to_string(),
        headers.into_iter(),
        SignableBody::Bytes(request.body()),
    )
    .expect("it can be signed");
    let (instructions, _) = sign(signable, &params).expect("it is signed").into_parts();
    instructions.apply_to_request_http1x(&mut request);
    request
}

fn header_signed() -> Request<Vec<u8>> {
    let body = format!(
        r#"{{"QueueUrl":"http://localhost:9324/000000000000/orders","MessageBody":"{}"}}"#,
        "x".repeat(1024)
    );
    let request = Request::post("/")
        .header("host", "localhost:9324")
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.SendMessage")
        .header("x-amzn-query-mode", "true")
        .header("user-agent", "aws-sdk-rust/1.3.10 os/linux lang/rust/1.95.0")
        .header("amz-sdk-invocation-id", "1d0f1a3c-6c2c-4f6e-9f5a-0f6c9f4d8a3b")
        .header("amz-sdk-request", "attempt=1; max=3")
        .body(body.into_bytes())
        .expect("it is well-formed");
    signed(request, false)
}

fn presigned() -> Request<Vec<u8>> {
    let target =
        "/000000000000/orders?Action=ReceiveMessage&MaxNumberOfMessages=10&WaitTimeSeconds=20";
    let request = Request::get(target).header("host", "localhost:9324").body(Vec::new());
    signed(request.expect("it is well-formed"), true)
}

fn verify(criterion: &mut Criterion) {
    let key = RootKey { access_key_id: KEY.into(), secret: Secret(SECRET.into()) };
    let account = AccountId::parse("000000000000").expect("twelve digits");
    let verifier = Verifier::new(vec![Arc::new(RootSource::new(key, account))], None);
    for (name, request) in
        [("header-signed, 1 KiB", header_signed()), ("presigned URL", presigned())]
    {
        let seen = signature::Request {
            method: request.method().as_str(),
            path: request.uri().path(),
            query: request.uri().query().unwrap_or_default(),
            headers: request.headers(),
            authority: None,
            body: request.body(),
        };
        let verified = verifier.verify(&seen, "sqs", NOW);
        assert!(matches!(verified, Ok(Some(_))), "{verified:?}");
        criterion.bench_function(name, |bencher| {
            bencher.iter(|| verifier.verify(black_box(&seen), "sqs", NOW));
        });
    }
}

criterion_group!(benches, verify);
criterion_main!(benches);
