//! TLS: who gets a connection, with which certificate, and what happens when that changes.

use std::{fs, io::Read, net::TcpStream, sync::Arc, time::Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, client::conn::http1, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ProtocolVersion, version};
use stanchion_tests::{
    Server, http,
    process::PATIENCE,
    sdk,
    tls::{Certificates, Manner},
};
use tempfile::TempDir;

fn start(certificates: &Certificates, more: &[&str]) -> Server {
    let arguments = certificates.arguments();
    let all: Vec<_> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
    Server::start_with(&all)
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).header("host", "localhost").body(Full::default()).unwrap()
}

/// The certificate that a new connection is shown.
async fn shown(certificates: &Certificates, server: &Server) -> Vec<u8> {
    let stream = certificates.connect(server.address(), &Manner::default()).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// A metric of a server, asked for over TLS.
async fn metric(certificates: &Certificates, server: &Server, name: &str) -> u64 {
    let deadline = Instant::now() + PATIENCE;
    let stream = loop {
        // A server with little patience may find a busy machine's handshake too slow.
        if let Ok(stream) = certificates.connect(server.address(), &Manner::default()).await {
            break stream;
        }
        assert!(Instant::now() < deadline, "no connection");
    };
    let answer = http::send_over(stream, get("/metrics")).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
}

#[tokio::test]
async fn an_sdk_works_and_is_given_urls_that_say_https() {
    let certificates = Certificates::new();
    let server = start(&certificates, &[]);
    assert!(server.url().starts_with("https://"));
    let sqs = sdk::client_trusting(&certificates.authority_pem(), &server);
    let url = sdk::create(&sqs, "q", &[]).await;
    assert_eq!(url, format!("{}/000000000000/q", server.url()));
    sdk::send(&sqs, &url, "in secret").await;
    let message = sdk::receive_one(&sqs, &url).await;
    assert_eq!(sdk::body(&message), "in secret");
    sdk::delete(&sqs, &url, &message).await;
}

#[tokio::test]
async fn alpn_chooses_between_http_2_and_http_1() {
    let certificates = Certificates::new();
    let server = start(&certificates, &[]);
    let cases: [(&[&str], Option<&str>); 4] = [
        (&["h2", "http/1.1"], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ];
    for (alpn, chosen) in cases {
        let manner = Manner { alpn, ..Manner::default() };
        let stream = certificates.connect(server.address(), &manner).await.unwrap();
        let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(agreed.as_deref(), chosen.map(str::as_bytes), "{alpn:?}");
        let status = if chosen == Some("h2") {
            let (mut sender, connection) =
                http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let request = Request::get(format!("{}/health", server.url()));
            let request = request.body(Full::<Bytes>::default()).unwrap();
            sender.send_request(request).await.unwrap().status().as_u16()
        } else {
            http::send_over(stream, get("/health")).await.status
        };
        assert_eq!(status, 200, "{alpn:?}");
    }
    let manner = Manner { alpn: &["spdy/1"], ..Manner::default() };
    let refused = certificates.connect(server.address(), &manner).await;
    assert!(refused.is_err(), "there is nothing to agree on");
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let certificates = Certificates::new();
    let server = start(&certificates, &[]);
    for (version, agreed) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let manner = Manner { versions: &[version], ..Manner::default() };
        let stream = certificates.connect(server.address(), &manner).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(agreed));
        assert_eq!(http::send_over(stream, get("/health")).await.status, 200);
    }
}

#[tokio::test]
async fn who_speaks_plain_http_gets_no_answer() {
    let certificates = Certificates::new();
    let server = start(&certificates, &[]);
    let said = http::exchange(server.address(), b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(said.is_err() || !said.unwrap().contains("HTTP"), "no HTTP");
    assert_eq!(metric(&certificates, &server, "stanchion_tls_handshakes_failed_total").await, 1);
}

#[tokio::test]
async fn a_handshake_takes_its_time_and_no_longer() {
    let certificates = Certificates::new();
    let server = start(&certificates, &["--max-handshake-seconds", "1"]);
    let mut silent = TcpStream::connect(server.address()).unwrap();
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "the connection is closed");
    assert!(metric(&certificates, &server, "stanchion_tls_handshakes_late_total").await >= 1);
}

#[tokio::test]
async fn a_new_certificate_is_used_while_old_connections_go_on() {
    let certificates = Certificates::new();
    let server = start(&certificates, &[]);
    let stream = certificates.connect(server.address(), &Manner::default()).await.unwrap();
    let first = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let (mut open, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);

    // The files are looked at now and then; nobody says that they have changed. Halfway they do not
    // fit together, which is no success.
    let second = certificates.renew();
    assert!(server.says("new connections use the certificate as it is now"));
    assert_ne!(first, second.to_vec());
    assert_eq!(shown(&certificates, &server).await, second.to_vec());
    assert!(metric(&certificates, &server, "stanchion_tls_certificates_loaded_total").await >= 1);
    let answer = open.send_request(get("/health")).await.unwrap();
    assert_eq!(answer.status(), 200, "the old connection goes on");
}

#[tokio::test]
async fn sighup_reads_the_certificate_again() {
    let certificates = Certificates::new();
    let server = start(&certificates, &[]);
    let first = shown(&certificates, &server).await;
    server.hang_up();
    assert!(server.says("new connections use the certificate as it is now"), "changed or not");
    assert_eq!(shown(&certificates, &server).await, first);
}

#[tokio::test]
async fn a_pair_that_does_not_fit_is_refused_and_the_old_one_stays() {
    let certificates = Certificates::new();
    let server = start(&certificates, &[]);
    let first = shown(&certificates, &server).await;
    let other = Certificates::new();
    fs::copy(other.key(), certificates.key()).unwrap();
    server.hang_up();
    assert!(server.says("the certificate in use stays"));
    let key = certificates.key().display().to_string();
    assert!(server.says(&format!("tls_key: {key}: the key does not belong to")));
    assert_eq!(shown(&certificates, &server).await, first);
    let refused = "stanchion_tls_certificates_refused_total";
    assert!(metric(&certificates, &server, refused).await >= 1);

    fs::remove_file(certificates.certificate()).unwrap();
    server.hang_up();
    let missing = format!("tls_certificate: {}: ", certificates.certificate().display());
    assert!(server.says(&missing));
    assert_eq!(shown(&certificates, &server).await, first);
}

#[tokio::test]
async fn where_clients_show_certificates_nobody_else_is_served() {
    let certificates = Certificates::new();
    let authority = certificates.authority().display().to_string();
    let server = start(&certificates, &["--tls-client-ca", &authority]);
    let known = certificates.issue();
    let stranger = Certificates::new().issue();
    for versions in [[&version::TLS12], [&version::TLS13]] {
        let manner = Manner { versions: &versions, shows: Some(&known), ..Manner::default() };
        let stream = certificates.connect(server.address(), &manner).await.unwrap();
        assert_eq!(http::send_over(stream, get("/health")).await.status, 200);
        for shows in [None, Some(&stranger)] {
            let manner = Manner { versions: &versions, shows, ..Manner::default() };
            // With TLS 1.3 a client believes that it is through until it reads.
            let served = match certificates.connect(server.address(), &manner).await {
                Err(_) => false,
                Ok(stream) => {
                    let (mut sender, connection) =
                        http1::handshake(TokioIo::new(stream)).await.unwrap();
                    tokio::spawn(connection);
                    sender.send_request(get("/health")).await.is_ok()
                }
            };
            assert!(!served, "{versions:?}");
        }
    }
}

#[test]
fn files_that_are_no_good_are_named_with_their_option() {
    let certificates = Certificates::new();
    let text = |path: std::path::PathBuf| path.display().to_string();
    let [certificate, key] = [text(certificates.certificate()), text(certificates.key())];
    let other_key = Certificates::new();
    let other_key = (text(other_key.key()), other_key);
    let ca = ["--tls-client-ca", &key];
    let cases: [(&str, &str, &[&str], &str, &str); 5] = [
        ("/nonexistent/x.pem", &key, &[], "tls_certificate: /nonexistent/x.pem", "No such file"),
        (&certificate, "/nonexistent/x.key", &[], "tls_key: /nonexistent/x.key", "No such file"),
        (&key, &key, &[], "tls_certificate: ", "no certificate"),
        (&certificate, &other_key.0, &[], "tls_key: ", "does not belong"),
        (&certificate, &key, &ca, "tls_client_ca: ", "no certificate"),
    ];
    for (certificate, key, more, named, why) in cases {
        let args = [&["--tls-certificate", certificate, "--tls-key", key], more].concat();
        let folder = Arc::new(TempDir::new().unwrap());
        let refused = Server::try_start(folder, &args).expect_err("the server refuses to start");
        assert!(refused.output.contains(named), "{named}: {}", refused.output);
        assert!(refused.output.contains(why), "{why}: {}", refused.output);
    }
}
