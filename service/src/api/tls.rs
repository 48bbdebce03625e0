//! TLS: the certificate, read again when its files change, and the handshake.

use std::fmt::Display;
use std::future::pending;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::api::connections::Connections;
use crate::config::transport::TlsFiles;
use crate::env;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// What clients may ask for by ALPN, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What TLS needs, and where that is from.
pub struct Tls {
    files: TlsFiles,
    /// The files as they were just before they were first read.
    first: Look,
    /// For new connections; open ones go on as they began.
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files. An error names the option and the file.
    pub fn load(files: TlsFiles) -> Result<Arc<Tls>, String> {
        let first = Look::at(&files);
        let config = ArcSwap::from_pointee(read(&files)?);
        Ok(Arc::new(Tls { files, first, config }))
    }

    /// Agrees with a client on keys, however long that takes.
    pub async fn handshake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }

    /// Reads the files again whenever they have changed and at every SIGHUP, for ever. What cannot be
    /// used is refused with a line in the log, and what was there before stays.
    pub fn watch(self: Arc<Self>, connections: Arc<Connections>) -> impl Future<Output = ()> {
        let mut hangup = hangups();
        async move {
            let mut seen = self.first;
            loop {
                let is_told = tokio::select! {
                    () = heard(&mut hangup) => true,
                    () = env::sleep(LOOK_EVERY) => false,
                };
                let tls = self.clone();
                let found = spawn_blocking(move || {
                    // Looked at before they are read: a change in between is found the next time.
                    let look = Look::at(&tls.files);
                    let config = (is_told || look != seen).then(|| read(&tls.files));
                    (look, config)
                });
                // Reading does not panic.
                let Ok((look, config)) = found.await else { continue };
                seen = look;
                match config {
                    None => {}
                    Some(Ok(config)) => {
                        self.config.store(Arc::new(config));
                        connections.incidents.certificates_loaded.inc();
                        tracing::info!("new connections use the certificate as it is now");
                    }
                    Some(Err(why)) => {
                        connections.incidents.certificates_refused.inc();
                        tracing::error!("the certificate in use stays: {why}");
                    }
                }
            }
        }
    }
}

/// For a server without TLS: SIGHUP, which elsewhere has files read again, does not end it.
pub fn pass_over_hangups() -> impl Future<Output = ()> {
    let mut hangup = hangups();
    async move {
        loop {
            heard(&mut hangup).await;
            tracing::info!("SIGHUP: without TLS there is nothing to read again");
        }
    }
}

/// To be called at once, and not where a future is first polled: from here on SIGHUP is no reason to
/// end.
fn hangups() -> Option<Signal> {
    let hangup = signal(SignalKind::hangup());
    hangup.inspect_err(|error| tracing::warn!(%error, "SIGHUP will not be heard")).ok()
}

async fn heard(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => {
            hangup.recv().await;
        }
        None => pending().await,
    }
}

/// What tells a file from another one, or from itself before it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look([Option<[i64; 4]>; 3]);

impl Look {
    fn at(files: &TlsFiles) -> Look {
        let one = |path: &Path| {
            // A file that is missing for a moment is another one then.
            let is = path.metadata().ok()?;
            Some([is.ino() as i64, is.size() as i64, is.mtime(), is.mtime_nsec()])
        };
        let client_ca = files.client_ca.as_deref().and_then(one);
        Look([one(&files.certificate), one(&files.key), client_ca])
    }
}

/// TLS as the files say.
fn read(files: &TlsFiles) -> Result<ServerConfig, String> {
    let TlsFiles { certificate, key, client_ca } = files;
    let chain = certificates("tls_certificate", certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => {
            refused("tls_key", key, "there is no private key in it")
        }
        error => refused("tls_key", key, error),
    })?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in certificates("tls_client_ca", path)? {
                roots.add(authority).map_err(|error| refused("tls_client_ca", path, error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            let verifier =
                verifier.build().map_err(|error| refused("tls_client_ca", path, error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, secret).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let why = format!("the key does not belong to {}", certificate.display());
            refused("tls_key", key, why)
        }
        rustls::Error::InvalidCertificate(_) => refused("tls_certificate", certificate, error),
        error => refused("tls_key", key, error),
    })?;
    config.alpn_protocols = PROTOCOLS.map(Vec::from).into();
    Ok(config)
}

/// Every certificate of a file; at least one.
fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => {
            Err(refused(option, path, "there is no certificate in it"))
        }
        Ok(found) => Ok(found),
        Err(error) => Err(refused(option, path, error)),
    }
}

fn refused(option: &str, path: &Path, why: impl Display) -> String {
    format!("{option}: {}: {why}", path.display())
}
