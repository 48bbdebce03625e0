//! Nobody in who does not belong: what a server that verifies signatures answers to whom.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_sdk_sqs::config::Credentials;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, client::conn::http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use stanchion_tests::{
    Server,
    http::{self, Answer},
    process::root_key,
    sdk,
    sign::{Signer, form, get, json},
};
use tempfile::TempDir;

const MINUTE: Duration = Duration::from_secs(60);

async fn send(server: &Server, request: Request<Bytes>) -> Answer {
    http::send(server.address(), request.map(Full::new)).await
}

/// Status and code of a refusal, which both protocols must tell alike.
#[track_caller]
fn code(answer: &Answer) -> (u16, String) {
    let text = String::from_utf8_lossy(&answer.body);
    let code = match answer.header("x-amzn-query-error") {
        "" => text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")),
        header => header.split_once(';'),
    };
    (answer.status, code.unwrap_or_else(|| panic!("no code: {text}")).0.to_owned())
}

#[tokio::test]
async fn an_sdk_needs_roots_secret() {
    let server = Server::start_signed(&["--account", "111122223333"]);
    let sqs = sdk::client(&server);
    let url = sdk::create(&sqs, "q", &[]).await;
    sdk::send(&sqs, &url, "m").await;
    let message = sdk::receive_one(&sqs, &url).await;
    assert_eq!(sdk::system(&message, "SenderId"), "111122223333");
    sdk::delete(&sqs, &url, &message).await;

    let wrong = |key: &str, secret: &str, token: Option<&str>| {
        let credentials = Credentials::new(key, secret, token.map(Into::into), None, "tests");
        sdk::client_with(&server.url(), credentials)
    };
    for (sqs, code) in [
        (wrong(sdk::ROOT_KEY, "somebody else's", None), "SignatureDoesNotMatch"),
        (wrong("AKIAUNKNOWN", sdk::ROOT_SECRET, None), "InvalidClientTokenId"),
        (wrong(sdk::ROOT_KEY, sdk::ROOT_SECRET, Some("token")), "InvalidClientTokenId"),
    ] {
        let refused =
            sdk::failure(sqs.send_message().queue_url(&url).message_body("m").send().await);
        assert_eq!((refused.status, &*refused.code), (403, code));
    }
    assert_eq!(sdk::counters(&sqs, &url).await, [0, 0, 0]);
}

/// What is wrong with a signature, and what it is answered.
fn wrong_signers() -> Vec<(Signer, u16, &'static str)> {
    let (root, now) = (Signer::root(), SystemTime::now());
    vec![
        (Signer { at: now - 16 * MINUTE, ..root }, 403, "SignatureDoesNotMatch"),
        (Signer { at: now + 16 * MINUTE, ..root }, 403, "SignatureDoesNotMatch"),
        (Signer { secret: "another secret", ..root }, 403, "SignatureDoesNotMatch"),
        (Signer { service: "sns", ..root }, 403, "SignatureDoesNotMatch"),
        (Signer { region: "Moon", ..root }, 403, "SignatureDoesNotMatch"),
        (Signer { key: "AKIAUNKNOWN", ..root }, 403, "InvalidClientTokenId"),
        (Signer { token: Some("another's"), ..root }, 403, "InvalidClientTokenId"),
        (
            Signer { at: now - 5 * MINUTE, presigned: Some(4 * MINUTE), ..root },
            400,
            "RequestExpired",
        ),
        (
            Signer { at: now + 16 * MINUTE, presigned: Some(MINUTE), ..root },
            403,
            "SignatureDoesNotMatch",
        ),
    ]
}

#[tokio::test]
async fn each_fault_has_its_answer_on_both_protocols() {
    let server = Server::start_signed(&[]);
    let list = || [json(&server, "AmazonSQS.ListQueues", "{}"), form(&server, "Action=ListQueues")];
    for request in list() {
        assert_eq!(send(&server, Signer::root().sign(request)).await.status, 200);
    }
    for (signer, status, expected) in wrong_signers() {
        for request in list() {
            let answer = send(&server, signer.sign(request)).await;
            assert_eq!(code(&answer), (status, expected.to_owned()), "{signer:?}: {answer:?}");
        }
    }
    for request in list() {
        let mut tampered = Signer::root().sign(request.clone());
        let body = [request.body(), &b"&QueueNamePrefix=a"[..]].concat();
        *tampered.body_mut() = body.into();
        assert_eq!(code(&send(&server, tampered).await), (403, "SignatureDoesNotMatch".into()));
        let mut broken = Signer::root().sign(request.clone());
        broken.headers_mut().insert("x-amz-date", "yesterday".parse().unwrap());
        assert_eq!(code(&send(&server, broken).await), (400, "IncompleteSignature".into()));
        assert_eq!(code(&send(&server, request).await), (403, "AccessDenied".into()));
    }
    let older = form(&server, "Action=ListQueues&AWSAccessKeyId=a&SignatureVersion=2&Signature=x");
    assert_eq!(code(&send(&server, older).await), (403, "InvalidSecurity".into()));
    let own = json(&server, "Stanchion.Reset", "{}");
    assert_eq!(code(&send(&server, own).await), (403, "MissingAuthenticationToken".into()));
    let denied = send(&server, get(&server, "/000000000000/q?Action=ReceiveMessage")).await;
    let text = String::from_utf8_lossy(&denied.body).into_owned();
    let resource = format!("Access to the resource {}/000000000000/q is denied.", server.url());
    assert!(text.contains(&resource), "{text}");
}

#[tokio::test]
async fn who_signs_wrongly_sees_what_should_have_been_signed() {
    let server = Server::start_signed(&["--log-level", "trace"]);
    let signer = Signer { secret: "another secret", ..Signer::root() };
    let answer = send(&server, signer.sign(json(&server, "AmazonSQS.ListQueues", "{}"))).await;
    assert_eq!(answer.error_type(), "InvalidSignatureException");
    let text = answer.message();
    let expected = format!(
        "The Canonical String for this request should have been\n'POST\n/\n\n\
         content-type:application/x-amz-json-1.0\nhost:{}\n",
        server.address()
    );
    assert!(text.contains(&expected), "{text}");
    assert!(
        text.contains("\n\nThe String-to-Sign should have been\n'AWS4-HMAC-SHA256\n"),
        "{text}"
    );
    assert!(server.says("does not match"));
    // Nobody is told the secret, and nobody reads in the log what a client has sent.
    for said in [text, server.output()] {
        assert!(!said.contains(sdk::ROOT_SECRET), "{said}");
    }
    assert!(!server.output().contains("Canonical String"), "{}", server.output());
}

#[tokio::test]
async fn a_presigned_url_may_be_used_again_and_not_changed() {
    let server = Server::start_signed(&[]);
    sdk::create(&sdk::client(&server), "q", &[]).await;
    let url = "/000000000000/q?Action=SendMessage&MessageBody=by%20n%C3%A9e%20%26%20%E2%98%95";
    let presigned = Signer { presigned: Some(MINUTE), ..Signer::root() };
    let signed = presigned.sign(get(&server, url));
    for _ in 0..3 {
        let answer = send(&server, signed.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let target = signed.uri().to_string();
    for changed in [
        target.replace("SendMessage", "PurgeQueue"),
        target.replace("/q?", "/p?"),
        target.replace("Expires=60", "Expires=61"),
        format!("{target}&DelaySeconds=1"),
    ] {
        let answer = send(&server, get(&server, &changed)).await;
        assert_eq!(code(&answer), (403, "SignatureDoesNotMatch".into()), "{changed}");
    }
    let both = Signer::root().sign(signed);
    assert_eq!(code(&send(&server, both).await), (400, "IncompleteSignature".into()));
}

#[tokio::test]
async fn over_http_2_the_authority_is_signed_as_the_host() {
    let server = Server::start_signed(&[]);
    let mut signed = Signer::root().sign(json(&server, "AmazonSQS.ListQueues", "{}"));
    signed.headers_mut().remove("host");
    *signed.uri_mut() = format!("{}/", server.url()).parse().unwrap();
    let stream = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(signed.map(Full::new)).await.unwrap();
    let (head, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    assert_eq!(head.status, 200, "{body:?}");
}

#[tokio::test]
async fn a_region_is_any_but_with_strict_limits_the_configured_one() {
    for (limits, status) in [("standard", 200), ("strict", 403)] {
        let server = Server::start_signed(&["--limits", limits]);
        let elsewhere = Signer { region: "eu-west-1", ..Signer::root() };
        let create = json(&server, "AmazonSQS.CreateQueue", r#"{"QueueName":"q"}"#);
        let answer = send(&server, elsewhere.sign(create)).await;
        assert_eq!(answer.status, status, "{answer:?}");
        if status == 403 {
            let text = "Credential should be scoped to a valid region, not 'eu-west-1'. ";
            assert_eq!(answer.message(), text);
        }
    }
}

#[tokio::test]
async fn signatures_follow_the_real_clock() {
    let server = Server::start_signed(&["--virtual-clock"]);
    let advance = json(&server, "Stanchion.AdvanceClock", r#"{"Seconds":86400}"#);
    let advanced = send(&server, Signer::root().sign(advance)).await;
    assert_eq!(advanced.status, 200, "{advanced:?}");
    sdk::create(&sdk::client(&server), "q", &[]).await;
}

#[tokio::test]
async fn pages_of_operators_are_open_and_the_metrics_to_some() {
    let server = Server::start_signed(&[]);
    for page in ["/health", "/ready", "/metrics"] {
        assert_eq!(http::get(server.address(), page).await.status, 200, "{page}");
    }
    let mut passed_on = get(&server, "/metrics");
    passed_on.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    assert_eq!(send(&server, passed_on).await.status, 403);
    let closed = Server::start_signed(&["--metrics-from", "192.0.2.0/24"]);
    assert_eq!(http::get(closed.address(), "/metrics").await.status, 403);
    // Who authenticates nobody has nothing to hide.
    let open = Server::start_with(&["--metrics-from", "192.0.2.0/24"]);
    assert_eq!(http::get(open.address(), "/metrics").await.status, 200);
}

#[tokio::test]
async fn roots_key_comes_from_a_file_that_not_everybody_reads() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("root");
    let text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        sdk::ROOT_KEY,
        sdk::ROOT_SECRET
    );
    fs::write(&file, text).unwrap();
    let start = |mode| {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        let args = ["--root-credentials-file", file.to_str().unwrap()];
        Server::try_start(Arc::new(TempDir::new().unwrap()), &args)
    };
    let server = start(0o600).expect("it starts");
    assert!(server.says("sigv4"), "{}", server.output());
    sdk::create(&sdk::client(&server), "q", &[]).await;
    let anonymous = send(&server, json(&server, "AmazonSQS.ListQueues", "{}")).await;
    assert_eq!(anonymous.status, 403);
    let refused = start(0o644).expect_err("everybody may read it");
    assert!(refused.output.contains("chmod 600"), "{}", refused.output);
}

#[tokio::test]
async fn authentication_may_be_off_although_there_is_a_key() {
    let folder = Arc::new(TempDir::new().unwrap());
    let server = Server::try_start_with_env(folder, &["--auth", "off"], root_key()).unwrap();
    assert!(server.says("off: whoever reaches"), "{}", server.output());
    let answer = send(&server, json(&server, "AmazonSQS.ListQueues", "{}")).await;
    assert_eq!(answer.status, 200);
}
