//! Fetching a document over HTTP: one GET, bounded in time and length, that follows no redirect.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri, body::Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `https`, or `http` on this machine.
    pub url: Uri,
    /// The certificates of whom to believe; the system's where there is none.
    pub ca_file: Option<PathBuf>,
    /// A token to show, read anew each time.
    pub token_file: Option<PathBuf>,
}

/// Fetches what is at a place. Takes no longer than `time_max`, and no more than `bytes_max`. An error
/// says what went wrong, for the log.
pub async fn get(place: &Place, bytes_max: usize, time_max: Duration) -> Result<Bytes, String> {
    match timeout(time_max, connect_and_get(place, bytes_max)).await {
        Ok(fetched) => fetched,
        Err(_) => Err(format!("no answer within {} s", time_max.as_secs_f32())),
    }
}

async fn connect_and_get(place: &Place, bytes_max: usize) -> Result<Bytes, String> {
    let host = place.url.host().ok_or("the URL names no host")?;
    // An address of IPv6 stands in brackets.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_tls = place.url.scheme_str() == Some("https");
    let port = place.url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let request = request(place).await?;
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(failed(&format!("connecting to {host} port {port}")))?;
    if !is_tls {
        return exchange(stream, request, bytes_max).await;
    }
    let name = ServerName::try_from(host.to_owned()).map_err(failed("the host's name"))?;
    let config = tls(place.ca_file.clone()).await?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    exchange(stream.map_err(failed("TLS"))?, request, bytes_max).await
}

async fn request(place: &Place) -> Result<Request<Empty<Bytes>>, String> {
    let path = place.url.path_and_query().map_or("/", |path| path.as_str());
    let authority = place.url.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::get(path)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "application/json")
        .header(header::USER_AGENT, concat!("stanchiond/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    if let Some(file) = &place.token_file {
        let token = tokio::fs::read_to_string(file).await.map_err(failed(&shown(file)))?;
        let mut value = HeaderValue::try_from(format!("Bearer {}", token.trim()))
            .map_err(|_| format!("{}: no token", shown(file)))?;
        value.set_sensitive(true);
        request = request.header(header::AUTHORIZATION, value);
    }
    request.body(Empty::new()).map_err(failed("the request"))
}

/// One request, one answer, and an end.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
    bytes_max: usize,
) -> Result<Bytes, String> {
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(failed("HTTP"))?;
    let answer = async move {
        let answer = sender.send_request(request).await.map_err(failed("HTTP"))?;
        read(answer, bytes_max).await
    };
    // The connection ends by itself once nobody holds the sender or the body; how is of no interest.
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

async fn read(answer: Response<Incoming>, bytes_max: usize) -> Result<Bytes, String> {
    if answer.status() != StatusCode::OK {
        return Err(format!("the answer is {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), bytes_max).collect().await;
    let too_long = || format!("the answer is incomplete, or longer than {} KiB", bytes_max >> 10);
    Ok(body.map_err(|_| too_long())?.to_bytes())
}

/// Whom to believe: read anew each time, so that certificates may be replaced.
async fn tls(ca_file: Option<PathBuf>) -> Result<ClientConfig, String> {
    let roots = tokio::task::spawn_blocking(move || roots(ca_file.as_deref())).await;
    let roots = roots.map_err(failed("certificates"))??;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(failed("TLS"))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca_file else {
        // The system's list may have some that are odd.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return match roots.is_empty() {
            true => Err("the system has no certificates to believe".into()),
            false => Ok(roots),
        };
    };
    let certificates = CertificateDer::pem_file_iter(file).map_err(failed(&shown(file)))?;
    for certificate in certificates {
        let certificate = certificate.map_err(failed(&shown(file)))?;
        roots.add(certificate).map_err(failed(&shown(file)))?;
    }
    match roots.is_empty() {
        true => Err(format!("{}: there is no certificate", shown(file))),
        false => Ok(roots),
    }
}

fn shown(file: &Path) -> String {
    file.display().to_string()
}

/// Puts in front of an error what it is about.
fn failed<E: fmt::Display>(what: &str) -> impl FnOnce(E) -> String {
    let what = what.to_owned();
    move |error| format!("{what}: {error}")
}

/// Reads a file of no more than `bytes_max`.
pub async fn read_file(file: &Path, bytes_max: usize) -> Result<Vec<u8>, String> {
    use tokio::io::AsyncReadExt;
    let read = async {
        let mut bytes = Vec::new();
        let file = tokio::fs::File::open(file).await?;
        // One byte more than there may be tells that there are more.
        file.take(bytes_max as u64 + 1).read_to_end(&mut bytes).await?;
        io::Result::Ok(bytes)
    };
    read.await.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A server that says `answer` to the first who asks, and tells what it was asked; with `None` it
    /// says nothing and waits.
    async fn server(answer: Option<String>) -> (Place, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys?x=1", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = vec![0; 4096];
            let length = stream.read(&mut asked).await.unwrap();
            match answer {
                // Whoever has heard enough goes away.
                Some(answer) => drop(stream.write_all(answer.as_bytes()).await),
                None => drop(stream.read(&mut [0]).await),
            }
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        (Place { url: url.parse().unwrap(), ca_file: None, token_file: None }, served)
    }

    fn ok(body: &str) -> Option<String> {
        Some(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    }

    #[tokio::test]
    async fn what_is_there_is_fetched_and_a_token_is_shown() {
        let (place, served) = server(ok("{}")).await;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc\n").unwrap();
        let place = Place { token_file: Some(file.path().into()), ..place };
        assert_eq!(get(&place, 2, LONG).await, Ok(Bytes::from("{}")));
        let asked = served.await.unwrap();
        assert!(asked.starts_with("GET /keys?x=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains("authorization: Bearer abc\r\n"), "{asked}");
    }

    #[tokio::test]
    async fn what_is_too_long_too_slow_or_elsewhere_is_an_error() {
        let (place, _served) = server(ok("{ }")).await;
        assert!(get(&place, 2, LONG).await.unwrap_err().contains("longer"));
        let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_string();
        let (place, _served) = server(Some(endless + &"2\r\n{}\r\n".repeat(100))).await;
        assert!(get(&place, 150, LONG).await.unwrap_err().contains("longer"));
        let (place, _served) = server(None).await;
        let soon = Duration::from_millis(20);
        assert!(get(&place, 2, soon).await.unwrap_err().contains("no answer"));
        let moved = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n".to_string();
        let (place, _served) = server(Some(moved)).await;
        assert!(get(&place, 2, LONG).await.unwrap_err().contains("302"));
        let (place, _served) = server(Some("garbage".into())).await;
        assert!(get(&place, 2, LONG).await.is_err());
        // Port 1 is nobody's.
        let place = Place { url: "http://127.0.0.1:1/".parse().unwrap(), ..place };
        assert!(get(&place, 2, LONG).await.unwrap_err().contains("connecting"));
    }

    #[tokio::test]
    async fn files_that_are_needed_and_missing_are_named() {
        let place = |file: &str| Place {
            url: "https://127.0.0.1:1/".parse().unwrap(),
            ca_file: Some(file.into()),
            token_file: None,
        };
        let missing = tls(place("/nowhere/ca.pem").ca_file).await.unwrap_err();
        assert!(missing.contains("/nowhere/ca.pem"), "{missing}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let none = tls(Some(empty.path().into())).await.unwrap_err();
        assert!(none.contains("no certificate"), "{none}");
        let place = Place { token_file: Some("/nowhere/token".into()), ..place("x") };
        assert!(get(&place, 2, LONG).await.unwrap_err().contains("/nowhere/token"));
    }
}
