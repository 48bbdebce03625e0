//! How clients reach the server: TLS, and how much of it they may take up.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::RangedU64ValueParser;

/// TLS, and the bounds of connections, times and rates.
#[derive(Clone, Debug, Args)]
#[allow(rustdoc::broken_intra_doc_links, reason = "what is said of an option is its help text")]
pub struct TransportConfig {
    /// Speaks TLS 1.2 and 1.3, and nothing else, on every address, with the certificate chain in this
    /// PEM file. It is read again when it changes and on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,

    /// The private key of the certificate, a PEM file
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,

    /// Accepts only clients with a certificate that an authority in this PEM file has signed
    #[arg(long, value_name = "FILE")]
    pub tls_client_ca: Option<PathBuf>,

    /// Closes at once what connects beyond so many connections; fewer where the process may open
    /// fewer files
    #[arg(long, value_name = "N", default_value = "110000",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub max_connections: usize,

    /// Closes at once what connects from one address, or one /64 network of IPv6, beyond so many
    /// connections; those of --trust-proxy are not counted
    #[arg(long, value_name = "N", default_value = "50000",
        value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    pub max_connections_per_address: usize,

    /// Closes a connection when for so long no request was in progress on it; this is also how long
    /// headers may take to arrive and an answer to be taken
    #[arg(long, value_name = "SECONDS", default_value = "120",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400))]
    pub max_idle_seconds: u64,

    /// How long a TLS handshake may take
    #[arg(long, value_name = "SECONDS", default_value = "10",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400))]
    pub max_handshake_seconds: u64,

    /// Answers 408 to a request whose body takes longer to arrive
    #[arg(long, value_name = "SECONDS", default_value = "60",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400))]
    pub max_body_seconds: u64,

    /// Answers 408 to a request whose body comes more slowly on average, after --body-grace-seconds;
    /// 0 for no limit
    #[arg(long, value_name = "BYTES", default_value_t = 240)]
    pub min_body_bytes_per_second: u32,

    /// How long a body may take before it is asked how fast it comes
    #[arg(long, value_name = "SECONDS", default_value = "5",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400))]
    pub body_grace_seconds: u64,

    /// Answers 408 to a request that takes longer, from its headers to its answer; a long poll may
    /// take 20 seconds more
    #[arg(long, value_name = "SECONDS", default_value = "120",
        value_parser = RangedU64ValueParser::<u64>::new().range(1..=86_400))]
    pub max_request_seconds: u64,

    /// Answers RequestThrottled to an access key that asks more often than this on average; requests
    /// without one count by their address [default: no limit]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub requests_per_second_per_key: Option<u32>,

    /// How many requests an access key may make at once [default: those of a second]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub request_burst_per_key: Option<u32>,

    /// Answers RequestThrottled to requests that name one queue more often than this on average; a
    /// batch is one request [default: no limit]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub requests_per_second_per_queue: Option<u32>,

    /// How many requests may name one queue at once [default: those of a second]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    pub request_burst_per_queue: Option<u32>,
}

/// Where a server's certificate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of clients' certificates; `None`: clients need none.
    pub client_ca: Option<PathBuf>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// A connection without a request in progress.
    pub idle: Duration,
    /// A TLS handshake.
    pub handshake: Duration,
    /// The body of a request, to arrive.
    pub body: Duration,
    /// The same, before its speed counts.
    pub body_grace: Duration,
    /// Bytes of a body a second, on average, at the least.
    pub body_rate: Option<NonZeroU32>,
    /// A request, from its headers to its answer; the wait of a long poll comes on top.
    pub request: Duration,
}

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// On average; at least 1.
    pub per_second: u32,
    /// At once; at least 1.
    pub burst: u32,
}

impl TransportConfig {
    /// The files of TLS, if there is to be TLS.
    pub fn tls(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.tls_certificate.clone()?,
            key: self.tls_key.clone()?,
            client_ca: self.tls_client_ca.clone(),
        })
    }

    /// How long things may take.
    pub fn times(&self) -> Times {
        Times {
            idle: Duration::from_secs(self.max_idle_seconds),
            handshake: Duration::from_secs(self.max_handshake_seconds),
            body: Duration::from_secs(self.max_body_seconds),
            body_grace: Duration::from_secs(self.body_grace_seconds),
            body_rate: NonZeroU32::new(self.min_body_bytes_per_second),
            request: Duration::from_secs(self.max_request_seconds),
        }
    }

    /// How often each access key may ask.
    pub fn rate_per_key(&self) -> Option<Rate> {
        rate(self.requests_per_second_per_key, self.request_burst_per_key)
    }

    /// How often each queue may be named.
    pub fn rate_per_queue(&self) -> Option<Rate> {
        rate(self.requests_per_second_per_queue, self.request_burst_per_queue)
    }

    /// What no option can know by itself; an error names the option.
    pub(super) fn check(&self) -> Result<(), String> {
        let needs = |option: bool, name: &str, other: bool, needed: &str| match option && !other {
            true => Err(format!("{name}: it says nothing without {needed}, which is not set.")),
            false => Ok(()),
        };
        let [certificate, key] = [&self.tls_certificate, &self.tls_key].map(Option::is_some);
        needs(certificate, "tls_certificate", key, "tls_key")?;
        needs(key, "tls_key", certificate, "tls_certificate")?;
        needs(self.tls_client_ca.is_some(), "tls_client_ca", certificate, "tls_certificate")?;
        needs(
            self.request_burst_per_key.is_some(),
            "request_burst_per_key",
            self.requests_per_second_per_key.is_some(),
            "requests_per_second_per_key",
        )?;
        needs(
            self.request_burst_per_queue.is_some(),
            "request_burst_per_queue",
            self.requests_per_second_per_queue.is_some(),
            "requests_per_second_per_queue",
        )
    }
}

fn rate(per_second: Option<u32>, burst: Option<u32>) -> Option<Rate> {
    per_second.map(|per_second| Rate { per_second, burst: burst.unwrap_or(per_second) })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        transport: TransportConfig,
    }

    fn parse(args: &str) -> TransportConfig {
        let args = ["stanchiond"].into_iter().chain(args.split_whitespace());
        Line::try_parse_from(args).unwrap().transport
    }

    #[test]
    fn without_options_there_is_no_tls_and_no_rate_limit() {
        let transport = parse("");
        assert_eq!(transport.check(), Ok(()));
        assert_eq!(transport.tls(), None);
        assert_eq!((transport.rate_per_key(), transport.rate_per_queue()), (None, None));
    }

    #[test]
    fn a_burst_is_that_of_a_second_unless_told() {
        let transport = parse("--requests-per-second-per-key 5");
        assert_eq!(transport.rate_per_key(), Some(Rate { per_second: 5, burst: 5 }));
        let transport = parse("--requests-per-second-per-queue 5 --request-burst-per-queue 9");
        assert_eq!(transport.rate_per_queue(), Some(Rate { per_second: 5, burst: 9 }));
    }

    #[test]
    fn what_says_nothing_alone_is_refused_with_what_is_missing() {
        for (args, named, missing) in [
            ("--tls-certificate c", "tls_certificate:", "tls_key"),
            ("--tls-key k", "tls_key:", "tls_certificate"),
            ("--tls-client-ca a", "tls_client_ca:", "tls_certificate"),
            ("--request-burst-per-key 1", "request_burst_per_key:", "requests_per_second_per_key"),
            ("--request-burst-per-queue 1", "request_burst_per_queue:", "requests_per_second_per_"),
        ] {
            let refusal = parse(args).check().unwrap_err();
            assert!(refusal.starts_with(named) && refusal.contains(missing), "{refusal}");
        }
    }
}
