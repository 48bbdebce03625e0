//! Requests made by hand and signed by the signer of the AWS SDK for Rust, also in ways that no SDK
//! would.

use std::time::{Duration, SystemTime};

use aws_sdk_sqs::config::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4::SigningParams,
};
use bytes::Bytes;
use hyper::Request;

use crate::{Server, sdk};

/// How a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Signer {
    /// The access key.
    pub key: &'static str,
    /// Its secret.
    pub secret: &'static str,
    /// Its session token.
    pub token: Option<&'static str>,
    /// The region of the scope.
    pub region: &'static str,
    /// The service of the scope.
    pub service: &'static str,
    /// What the signer's clock shows.
    pub at: SystemTime,
    /// In the URL, for so long, rather than in a header.
    pub presigned: Option<Duration>,
}

impl Signer {
    /// Root of the tests' servers, now.
    pub fn root() -> Signer {
        Signer {
            key: sdk::ROOT_KEY,
            secret: sdk::ROOT_SECRET,
            token: None,
            region: "us-east-1",
            service: "sqs",
            at: SystemTime::now(),
            presigned: None,
        }
    }

    /// Signs a request.
    ///
    /// # Panics
    /// When it cannot be signed.
    pub fn sign(&self, mut request: Request<Bytes>) -> Request<Bytes> {
        let token = self.token.map(str::to_owned);
        let identity = Credentials::new(self.key, self.secret, token, None, "tests").into();
        let mut settings = SigningSettings::default();
        if self.presigned.is_some() {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = self.presigned;
        }
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(self.at)
            .settings(settings)
            .build()
            .expect("nothing is missing")
            .into();
        let headers = request.headers().iter();
        let headers = headers.map(|(name, value)| (name.as_str(), value.to_str().expect("text")));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(request.body()),
        )
        .expect("the request can be signed");
        let (instructions, _) = sign(signable, &params).expect("it is signed").into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

/// An action over AWS JSON, unsigned.
///
/// # Panics
/// When a part is illegal.
pub fn json(server: &Server, target: &str, input: &str) -> Request<Bytes> {
    Request::post("/")
        .header("host", server.address().to_string())
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", target)
        .body(Bytes::copy_from_slice(input.as_bytes()))
        .expect("the request is well-formed")
}

/// A form over AWS Query, unsigned.
///
/// # Panics
/// When a part is illegal.
pub fn form(server: &Server, form: &str) -> Request<Bytes> {
    Request::post("/")
        .header("host", server.address().to_string())
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(Bytes::copy_from_slice(form.as_bytes()))
        .expect("the request is well-formed")
}

/// A GET, unsigned.
///
/// # Panics
/// When a part is illegal.
pub fn get(server: &Server, target: &str) -> Request<Bytes> {
    Request::get(target)
        .header("host", server.address().to_string())
        .body(Bytes::new())
        .expect("the request is well-formed")
}
