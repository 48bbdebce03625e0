//! AWS Signature Version 4, in a header.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign as aws_sign};
use aws_sigv4::sign::v4::SigningParams;
use bytes::Bytes;
use hyper::Request;

/// Signs a request for SQS in a region. Fails with what cannot be signed.
pub(super) fn sign(
    request: &mut Request<Bytes>,
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
) -> Result<(), String> {
    let identity = credentials.clone().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sqs")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let headers = request.headers().iter();
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let uri = request.uri().to_string();
    let body = SignableBody::Bytes(request.body());
    let signable = SignableRequest::new(request.method().as_str(), uri, headers, body);
    let signed = signable.and_then(|signable| aws_sign(signable, &params));
    let (instructions, _) = signed.map_err(|error| error.to_string())?.into_parts();
    instructions.apply_to_request_http1x(request);
    Ok(())
}
