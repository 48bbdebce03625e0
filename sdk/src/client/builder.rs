//! How a client is made.

use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use hyper::Uri;

use super::clock::Clock;
use super::credentials::CredentialsCache;
use super::retry::RetryPolicy;
use super::transport::{Transport, TransportOptions};
use super::{Client, Inner};

/// Where this SDK is told of no region.
const DEFAULT_REGION: &str = "us-east-1";

/// Why a client cannot be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BuildError {
    /// The endpoint is no URL of `http` or `https`.
    #[error("the endpoint {0:?} is no URL such as http://127.0.0.1:9324")]
    Endpoint(String),
    /// The certificates cannot be read.
    #[error("TLS: {0}")]
    Tls(String),
    /// Nothing says who signs.
    #[error("no credentials: give some, or say unsigned()")]
    NoCredentials,
}

/// What a client is made of; the rest has defaults.
#[derive(Debug)]
pub struct ClientBuilder {
    endpoint: Option<Endpoint>,
    region: Option<String>,
    signer: Option<Signer>,
    timeout: Duration,
    retry: RetryPolicy,
    http2: bool,
    connect_timeout: Duration,
    certificate_authority: Option<Vec<u8>>,
}

#[derive(Debug)]
enum Endpoint {
    /// Amazon SQS in the region, which may become known later.
    Amazon,
    Url(String),
}

#[derive(Debug)]
enum Signer {
    Nobody,
    Provider(SharedCredentialsProvider),
}

impl Default for ClientBuilder {
    fn default() -> ClientBuilder {
        ClientBuilder {
            endpoint: None,
            region: None,
            signer: None,
            timeout: Duration::from_secs(10),
            retry: RetryPolicy::default(),
            http2: false,
            connect_timeout: Duration::from_secs(3),
            certificate_authority: None,
        }
    }
}

impl ClientBuilder {
    /// Where the server is: `http://127.0.0.1:9324`. By default Amazon SQS in the region.
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(Endpoint::Url(url.into()));
        self
    }

    /// Amazon SQS in the region, wherever environment and profiles would send AWS' own tools
    /// (`AWS_ENDPOINT_URL`).
    pub fn amazon(mut self) -> Self {
        self.endpoint = Some(Endpoint::Amazon);
        self
    }

    /// The region, `us-east-1` by default: part of the signature, and of which queues there are.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// Signs with this key and secret.
    pub fn credentials(self, key: impl Into<String>, secret: impl Into<String>) -> Self {
        let credentials = Credentials::new(key, secret, None, None, "given");
        self.credentials_provider(SharedCredentialsProvider::new(credentials))
    }

    /// Signs with what this provides, asked again before it expires.
    pub fn credentials_provider(mut self, provider: SharedCredentialsProvider) -> Self {
        self.signer = Some(Signer::Provider(provider));
        self
    }

    /// Signs nothing: for a server that authenticates nobody, and queues open to everybody.
    pub fn unsigned(mut self) -> Self {
        self.signer = Some(Signer::Nobody);
        self
    }

    /// Signs nothing if nothing else was said.
    pub fn or_unsigned(mut self) -> Self {
        self.signer = self.signer.or(Some(Signer::Nobody));
        self
    }

    /// This endpoint if no other was given.
    pub fn or_endpoint(mut self, url: impl Into<String>) -> Self {
        self.endpoint = self.endpoint.or_else(|| Some(Endpoint::Url(url.into())));
        self
    }

    /// How long an attempt may take, beside what it waits for messages; 10 seconds by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long connecting may take; 3 seconds by default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How often to try again.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Speaks HTTP/2: one connection for all requests. HTTP/1.1 by default, with one for each that is
    /// under way, which is quicker on one machine.
    pub fn http2(mut self, on: bool) -> Self {
        self.http2 = on;
        self
    }

    /// Believes servers with certificates of these authorities (PEM), and no others.
    pub fn certificate_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificate_authority = Some(pem.into());
        self
    }

    /// Makes the client; connects to nobody yet.
    pub fn build(self) -> Result<Client, BuildError> {
        let region = self.region.unwrap_or_else(|| DEFAULT_REGION.into());
        let endpoint = match self.endpoint {
            Some(Endpoint::Url(url)) => url,
            Some(Endpoint::Amazon) | None => amazon(&region),
        };
        let uri = endpoint_uri(&endpoint).ok_or(BuildError::Endpoint(endpoint))?;
        let credentials = match self.signer {
            Some(Signer::Provider(provider)) => Some(CredentialsCache::new(provider)),
            Some(Signer::Nobody) => None,
            None => return Err(BuildError::NoCredentials),
        };
        let transport = Transport::new(&TransportOptions {
            http2: self.http2,
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            certificate_authority: self.certificate_authority,
            tls: uri.scheme_str() == Some("https"),
        })?;
        let (timeout, retry) = (self.timeout, self.retry);
        let clock = Clock::default();
        let inner = Inner { endpoint: uri, region, credentials, clock, transport, timeout, retry };
        Ok(Client { inner: Arc::new(inner) })
    }
}

fn amazon(region: &str) -> String {
    let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://sqs.{region}.amazonaws.com{suffix}")
}

/// An endpoint's URL, with a path.
fn endpoint_uri(text: &str) -> Option<Uri> {
    let uri: Uri = text.parse().ok()?;
    uri.authority()?;
    matches!(uri.scheme_str(), Some("http" | "https")).then_some(uri)
}

#[cfg(feature = "aws-config")]
mod from_env {
    use aws_config::BehaviorVersion;
    use aws_config::profile::ProfileFileCredentialsProvider;
    use aws_config::provider_config::ProviderConfig;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    use aws_types::service_config::ServiceConfigKey;

    use super::{BuildError, Client, ClientBuilder};

    impl ClientBuilder {
        /// Takes credentials, region and endpoint from where AWS' own tools have them: environment
        /// (`AWS_ACCESS_KEY_ID`, `AWS_REGION`, `AWS_ENDPOINT_URL_SQS`, `AWS_ENDPOINT_URL`, …), the
        /// profiles of `~/.aws`, and tokens of web identity. What was set by hand goes before.
        pub async fn or_from_env(self) -> ClientBuilder {
            self.or_from_profile(None).await
        }

        /// The same, of a profile of this name: it signs even where the environment has a key.
        pub async fn or_from_profile(mut self, profile: Option<&str>) -> ClientBuilder {
            let tls = Provider::Rustls(CryptoMode::Ring);
            let http = aws_smithy_http_client::Builder::new().tls_provider(tls).build_https();
            let mut loader =
                aws_config::defaults(BehaviorVersion::latest()).http_client(http.clone());
            if let Some(name) = profile {
                loader = loader.profile_name(name);
            }
            let config = loader.load().await;
            let of_sqs = ServiceConfigKey::builder()
                .service_id("SQS")
                .env("AWS_ENDPOINT_URL")
                .profile("endpoint_url")
                .build()
                .ok()
                .and_then(|key| config.service_config()?.load_config(key));
            let endpoint = of_sqs.or_else(|| config.endpoint_url().map(str::to_owned));
            self.endpoint = self.endpoint.or(endpoint.map(super::Endpoint::Url));
            let region = config.region().map(ToString::to_string);
            self.region = self.region.or(region);
            let provider = match profile {
                // The chain of AWS has the environment's keys before any profile.
                Some(name) => {
                    let region = config.region().cloned();
                    let config =
                        ProviderConfig::without_region().with_http_client(http).with_region(region);
                    let of_profile = ProfileFileCredentialsProvider::builder().profile_name(name);
                    let provider = of_profile.configure(&config).build();
                    Some(SharedCredentialsProvider::new(provider))
                }
                None => config.credentials_provider(),
            };
            self.signer = self.signer.or(provider.map(super::Signer::Provider));
            self
        }
    }

    impl Client {
        /// A client as AWS' own tools would be configured; see [`ClientBuilder::or_from_env`].
        pub async fn from_env() -> Result<Client, BuildError> {
            Client::builder().or_from_env().await.build()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_url_with_a_host() {
        for good in
            ["http://localhost:9324", "https://sqs.eu-west-1.amazonaws.com/", "http://[::1]:1"]
        {
            assert!(endpoint_uri(good).is_some(), "{good}");
        }
        for bad in ["", "localhost:9324", "ftp://x", "/x", "http://"] {
            assert!(endpoint_uri(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn amazon_is_meant_where_nothing_else_is_said() {
        let client = |region| Client::builder().region(region).unsigned().build().unwrap();
        assert_eq!(client("eu-west-1").endpoint(), "https://sqs.eu-west-1.amazonaws.com/");
        assert_eq!(client("cn-north-1").endpoint(), "https://sqs.cn-north-1.amazonaws.com.cn/");
        assert!(client("eu-west-1").is_amazon());
        let ours = || Client::builder().endpoint("http://localhost:9324").unsigned();
        assert!(!ours().build().unwrap().is_amazon());
        assert!(ours().amazon().or_endpoint("http://localhost:9324").build().unwrap().is_amazon());
    }

    #[test]
    fn an_authority_without_a_certificate_is_none() {
        let path = Client::builder().endpoint("https://localhost").unsigned();
        let refused = path.certificate_authority("/etc/ssl/ca.pem").build();
        assert!(matches!(refused, Err(BuildError::Tls(_))), "{refused:?}");
    }

    #[test]
    fn who_signs_must_be_said() {
        assert!(matches!(Client::builder().build(), Err(BuildError::NoCredentials)));
    }
}
