//! Certificates that a test makes for itself, and TLS connections that use them.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// An authority, and the files of a server that it vouches for.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Pair {
    certificate: Certificate,
    key: KeyPair,
}

/// How a client speaks TLS.
#[derive(Debug, Default)]
pub struct Manner<'a> {
    /// The versions it knows; none named: all.
    pub versions: &'a [&'static SupportedProtocolVersion],
    /// What it asks for by ALPN.
    pub alpn: &'a [&'a str],
    /// What it shows.
    pub shows: Option<&'a Pair>,
}

impl Certificates {
    /// A new authority, and files with a certificate for 127.0.0.1.
    ///
    /// # Panics
    /// When the files cannot be written.
    pub fn new() -> Certificates {
        let folder = TempDir::new().expect("a scratch folder can be made");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority is legal");
        let certificates = Certificates { folder, authority };
        fs::write(certificates.authority(), certificates.authority.pem())
            .expect("a file is written");
        certificates.renew();
        certificates
    }

    /// A certificate for 127.0.0.1, in no file.
    ///
    /// # Panics
    /// Never: what is asked for is legal.
    pub fn issue(&self) -> Pair {
        let key = key();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a legal name");
        let certificate = params.signed_by(&key, &self.authority).expect("a legal certificate");
        Pair { certificate, key }
    }

    /// Writes a new certificate and its key into the files.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn renew(&self) -> CertificateDer<'static> {
        let pair = self.issue();
        fs::write(self.key(), pair.key.serialize_pem()).expect("a file is written");
        fs::write(self.certificate(), pair.certificate.pem()).expect("a file is written");
        pair.certificate.der().clone()
    }

    /// The file of the server's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("server.pem")
    }

    /// The file of its key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("server.key")
    }

    /// The file of the authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// The authority's certificate, as text.
    pub fn authority_pem(&self) -> String {
        self.authority.pem()
    }

    /// What a server is to be started with.
    pub fn arguments(&self) -> [String; 4] {
        let text = |path: &Path| path.display().to_string();
        [
            "--tls-certificate".into(),
            text(&self.certificate()),
            "--tls-key".into(),
            text(&self.key()),
        ]
    }

    /// Answers every request over TLS with the same document, for as long as the test runs.
    ///
    /// # Panics
    /// When there is no port to listen on.
    pub async fn serve_json(&self, document: &'static str) -> SocketAddr {
        let Pair { certificate, key } = self.issue();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the versions are known")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::from(key))
            .expect("the key is the certificate's");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Who does not trust us goes away.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                // One read takes a request as short as these.
                let asked = stream.read(&mut [0; 4096]).await;
                let length = document.len();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                if asked.is_ok() && stream.write_all(head.as_bytes()).await.is_ok() {
                    let _ = stream.write_all(document.as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        address
    }

    /// A connection to 127.0.0.1 of a client that trusts the authority and nobody else.
    ///
    /// # Panics
    /// When the manner makes no sense.
    pub async fn connect(
        &self,
        address: SocketAddr,
        manner: &Manner<'_>,
    ) -> io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.der().clone()).expect("the authority is one");
        let versions = match manner.versions {
            [] => rustls::ALL_VERSIONS,
            versions => versions,
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("the versions are known")
            .with_root_certificates(roots);
        let mut config = match manner.shows {
            None => builder.with_no_client_auth(),
            Some(Pair { certificate, key }) => {
                let key = PrivatePkcs8KeyDer::from(key.serialize_der());
                let chain = vec![certificate.der().clone()];
                builder
                    .with_client_auth_cert(chain, PrivateKeyDer::from(key))
                    .expect("the key is the certificate's")
            }
        };
        config.alpn_protocols = manner.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::from(address.ip());
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }
}

impl Default for Certificates {
    fn default() -> Certificates {
        Certificates::new()
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("the system has random numbers")
}
