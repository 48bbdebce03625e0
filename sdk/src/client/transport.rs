//! Connections: pooled, HTTP/1.1 or HTTP/2, with TLS by rustls.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as HyperError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::builder::BuildError;

/// An answer is at most ten messages of a MiB, each character of which JSON may write with six.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// How long an HTTP/2 connection may be silent while somebody waits for it, until it is asked whether it
/// is alive; and how long it may take to answer.
const KEEP_ALIVE_MAX: Duration = Duration::from_secs(10);

/// A pool of connections to one endpoint.
#[derive(Debug)]
pub(super) struct Transport(Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

/// How to connect.
#[derive(Debug)]
pub(super) struct TransportOptions {
    /// HTTP/2 from the first byte, also without TLS.
    pub(super) http2: bool,
    pub(super) connect_timeout: Duration,
    /// How long an attempt may take.
    pub(super) timeout: Duration,
    /// In PEM, in place of those that the system trusts.
    pub(super) certificate_authority: Option<Vec<u8>>,
    /// Whether the endpoint is `https`.
    pub(super) tls: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct NoAnswer {
    pub(super) source: Arc<dyn std::error::Error + Send + Sync>,
    /// The request may have reached the server.
    pub(super) arrived: bool,
}

impl Transport {
    pub(super) fn new(options: &TransportOptions) -> Result<Transport, BuildError> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(options.connect_timeout));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls(options)?).https_or_http();
        // Where TLS can choose, it prefers HTTP/2 only if told so: many small requests at a time
        // share a connection badly.
        let connector = match options.http2 {
            true => connector.enable_http2().wrap_connector(http),
            false => connector.enable_http1().wrap_connector(http),
        };
        let client = Client::builder(TokioExecutor::new())
            .http2_only(options.http2)
            // All requests share a connection: one that is dead would have all of them time out until
            // the system gives it up, which takes a quarter of an hour.
            .http2_keep_alive_interval(options.timeout.min(KEEP_ALIVE_MAX))
            .http2_keep_alive_timeout(options.timeout.min(KEEP_ALIVE_MAX))
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(20))
            .build(connector);
        Ok(Transport(client))
    }

    /// Sends a request and reads all of the answer.
    pub(super) async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Bytes>, NoAnswer> {
        let answer = self.0.request(request).await.map_err(NoAnswer::from_hyper)?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|source| NoAnswer { source: Arc::from(source), arrived: true })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl NoAnswer {
    fn from_hyper(error: HyperError) -> NoAnswer {
        let arrived = !error.is_connect();
        // Its own sentence only says that it failed; what lies behind it says why.
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        NoAnswer {
            source: Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(text)),
            arrived,
        }
    }
}

fn tls(options: &TransportOptions) -> Result<ClientConfig, BuildError> {
    let mut roots = RootCertStore::empty();
    match &options.certificate_authority {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|error| BuildError::Tls(error.to_string()))?;
                roots.add(certificate).map_err(|error| BuildError::Tls(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(BuildError::Tls("the authority has no certificate in PEM".into()));
            }
        }
        // Reading them takes milliseconds: only where they are needed.
        None if options.tls => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        None => {}
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| BuildError::Tls(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
