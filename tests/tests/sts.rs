//! Temporary credentials: a token of an issuer becomes a key to sign with, for an unmodified SDK.

#[path = "../../service/src/auth/test_keys.rs"]
#[allow(dead_code, reason = "one of the keys is enough")]
mod test_keys;

use std::{
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use stanchion_tests::{
    Server,
    http::{self, Answer},
    install,
    process::PATIENCE,
    tls::Certificates,
};
use tempfile::TempDir;

const ISSUER: &str = "https://issuer.example";
const ROLE: &str = "arn:aws:iam::000000000000:role/orders";

/// A server that believes an issuer, and that only root and whoever has a role may use.
struct World {
    server: Server,
    folder: TempDir,
}

impl World {
    fn new() -> World {
        World::with_keys(test_keys::JWKS)
    }

    fn with_keys(jwks: &str) -> World {
        let folder = TempDir::new().expect("a scratch folder can be made");
        let file = folder.path().join("jwks.json");
        fs::write(&file, jwks).expect("the folder takes a file");
        let keys = format!("jwks_file = '{}'", file.display());
        World::with(folder, &keys, &[])
    }

    /// A server that has its issuer's keys from where these lines of the configuration say.
    fn with(folder: TempDir, keys: &str, args: &[&str]) -> World {
        let file = |name: &str| folder.path().join(name);
        let config = format!(
            r#"
            root_credentials_file = '{root}'

            [issuers.cluster]
            url = '{ISSUER}'
            audiences = ['stanchion']
            {keys}

            [roles.orders]
            max_session_s = 7200
            policies = [{{ Version = '2012-10-17', Statement = [
                {{ Effect = 'Allow', Action = 'sqs:*', Resource = 'arn:aws:sqs:*:*:orders' }},
                {{ Effect = 'Deny', Action = 'sqs:PurgeQueue', Resource = '*' }},
                {{ Effect = 'Allow', Action = 'sts:AssumeRole', Resource = '*' }},
            ] }}]
            [[roles.orders.trust]]
            issuer = 'cluster'
            claims = {{ sub = 'system:serviceaccount:shop:*' }}

            [roles.reader]
            policies = ['{{"Statement":{{"Effect":"Allow","Action":"sqs:ReceiveMessage","Resource":"*"}}}}']
            [[roles.reader.trust]]
            principals = ['{ROLE}']
            external_id = 'q-7'
            "#,
            root = root_key(folder.path()).display(),
        );
        fs::write(file("stanchion.toml"), config).expect("the folder takes a file");
        let path = file("stanchion.toml");
        let config = ["--config", path.to_str().expect("a path of ours")];
        let server = Server::start_with(&[&config[..], args].concat());
        World { server, folder }
    }

    /// Calls an action of STS, unsigned.
    async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let version = [("Action", action), ("Version", "2011-06-15")];
        let pairs = version.iter().chain(parameters);
        let form: Vec<String> =
            pairs.map(|(name, value)| format!("{name}={}", escape(value))).collect();
        let request = Request::post("/")
            .header("host", self.server.address().to_string())
            .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
            .body(Full::new(Bytes::from(form.join("&"))))
            .expect("the request is well-formed");
        http::send(self.server.address(), request).await
    }

    /// The first answer with a status, of a server that reads its issuer's keys now and then.
    async fn assume_until(&self, status: u16) -> Answer {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.assume(&token(json!({})), &[]).await;
            if answer.status == status {
                return answer;
            }
            // All that may come before: the keys are not there yet.
            assert_eq!(element(&answer, "Code"), "IDPCommunicationError");
            assert!(Instant::now() < deadline, "{answer:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn assume(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut parameters =
            vec![("RoleArn", ROLE), ("RoleSessionName", "pod-7"), ("WebIdentityToken", token)];
        parameters.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        parameters.extend(more);
        self.call("AssumeRoleWithWebIdentity", &parameters).await
    }
}

/// A file with root's key, for no one else to read.
fn root_key(folder: &Path) -> PathBuf {
    let path = folder.join("root.toml");
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(&path);
    let text = "access_key_id = 'AKIAROOTOFTESTS00000'\n\
                secret_access_key = 'only-in-tests-0123456789-0123456789'\n";
    file.and_then(|mut file| file.write_all(text.as_bytes())).expect("the folder takes a file");
    path
}

fn escape(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// A token of the issuer, with some claims changed.
fn token(changes: Value) -> String {
    let mut claims = json!({
        "iss": ISSUER, "sub": "system:serviceaccount:shop:orders", "aud": ["stanchion"],
        "exp": now() + 3600, "iat": now(), "nbf": now(),
    });
    for (name, value) in changes.as_object().expect("changes are an object") {
        claims[name] = value.clone();
    }
    let key = EncodingKey::from_ed_der(&STANDARD.decode(test_keys::ED).expect("the key is base64"));
    let header = Header { kid: Some("ed".into()), ..Header::new(Algorithm::EdDSA) };
    jsonwebtoken::encode(&header, &claims, &key).expect("claims can be signed")
}

/// What stands between a tag and its end.
fn element(answer: &Answer, name: &str) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let inner = text
        .split_once(&format!("<{name}>"))
        .and_then(|(_, rest)| Some(rest.split_once(&format!("</{name}>"))?.0.to_owned()));
    inner.unwrap_or_else(|| panic!("no {name} in {text}"))
}

#[test]
fn boto3_gets_credentials_for_a_token_and_uses_them() {
    let Some(python) = install::python("requirements.txt") else { return };
    let world = World::new();
    let file = world.folder.path().join("token");
    fs::write(&file, token(json!({}))).expect("the folder takes a file");
    let output = Command::new(python.join("bin/python"))
        .arg("-B")
        .arg(install::clients().join("python/web_identity.py"))
        .env("AWS_WEB_IDENTITY_TOKEN_FILE", &file)
        .env("AWS_ROLE_ARN", ROLE)
        .env("AWS_ROLE_SESSION_NAME", "pod-7")
        .env("AWS_ENDPOINT_URL_STS", world.server.url())
        .env("AWS_ENDPOINT_URL_SQS", world.server.url())
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ENDPOINT_URL")
        .output()
        .expect("python can be run");
    let said = String::from_utf8_lossy(&output.stdout);
    let expected = ["identity", "messages", "policies", "narrowed", "refused", "tokens"];
    let expected: String = expected.map(|one| format!("ok {one}\n")).concat();
    assert_eq!(said, expected, "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_answer_is_that_of_sts() {
    let world = World::new();
    let policy = r#"{"Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}"#;
    let more = [("DurationSeconds", "900"), ("Policy", policy)];
    let answer = world.assume(&token(json!({})), &more).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/xml"));
    let text = String::from_utf8_lossy(&answer.body);
    assert!(text.contains(
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <AssumeRoleWithWebIdentityResult>"
    ));
    assert_eq!(element(&answer, "Provider"), ISSUER);
    assert_eq!(element(&answer, "Audience"), "stanchion");
    let subject = element(&answer, "SubjectFromWebIdentityToken");
    assert_eq!(subject, "system:serviceaccount:shop:orders");
    let arn = "arn:aws:sts::000000000000:assumed-role/orders/pod-7";
    assert_eq!(element(&answer, "Arn"), arn);
    assert_eq!(element(&answer, "PackedPolicySize"), "4");
    let key = element(&answer, "AccessKeyId");
    assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
    assert_eq!(element(&answer, "SecretAccessKey").len(), 40);
    assert!(element(&answer, "Expiration").ends_with('Z'));
    assert_eq!(element(&answer, "RequestId"), answer.header("x-amzn-requestid"));
}

#[tokio::test]
async fn whoever_may_not_is_told_why_as_sts_tells_it() {
    let world = World::new();
    let none = "eyJhbGciOiJub25lIiwia2lkIjoiZWQifQ.e30.";
    #[rustfmt::skip]
    let cases = [
        (token(json!({"exp": now() - 1})),           400, "ExpiredTokenException"),
        (token(json!({"nbf": now() + 600})),         400, "InvalidIdentityToken"),
        (token(json!({"aud": "other"})),             400, "InvalidIdentityToken"),
        (token(json!({"iss": "https://x.example"})), 400, "InvalidIdentityToken"),
        (none.to_owned(),                            400, "InvalidIdentityToken"),
        ("garbage".to_owned(),                       400, "InvalidIdentityToken"),
        ("x".repeat(20_001),                         400, "ValidationError"),
        (token(json!({"sub": "system:serviceaccount:other:orders"})), 403, "AccessDenied"),
    ];
    for (token, status, code) in cases {
        let answer = world.assume(&token, &[]).await;
        assert_eq!((answer.status, &*element(&answer, "Code")), (status, code));
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(
            text.contains("<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">")
        );
        assert!(!text.contains("Detail"), "{text}");
    }
    let good = token(json!({}));
    #[rustfmt::skip]
    let cases = [
        (("RoleArn", "arn:aws:iam::000000000000:role/missing"), 403, "AccessDenied"),
        (("RoleArn", "arn:aws:iam::000000000000:role/reader"),  403, "AccessDenied"),
        (("RoleArn", "short"),                                  400, "ValidationError"),
        (("RoleSessionName", "a b"),                            400, "ValidationError"),
        (("DurationSeconds", "899"),                            400, "ValidationError"),
        (("DurationSeconds", "7201"),                           400, "ValidationError"),
        (("Policy", "{}"),                                      400, "MalformedPolicyDocument"),
        (("PolicyArns.member.1.arn", "arn:aws:iam::aws:policy/x"), 400, "ValidationError"),
    ];
    for (parameter, status, code) in cases {
        let answer = world.assume(&good, &[parameter]).await;
        assert_eq!((answer.status, &*element(&answer, "Code")), (status, code), "{parameter:?}");
    }
    for action in ["AssumeRole", "GetCallerIdentity"] {
        let answer = world.call(action, &[]).await;
        let found = (answer.status, &*element(&answer, "Code"));
        assert_eq!(found, (403, "MissingAuthenticationToken"), "{action}");
    }
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_noticed() {
    let world = World::with_keys(&test_keys::JWKS.replace("\"ed\"", "\"old\""));
    let answer = world.assume(&token(json!({})), &[]).await;
    assert_eq!(element(&answer, "Code"), "InvalidIdentityToken");
    let jwks = world.folder.path().join("jwks.json");
    fs::write(&jwks, test_keys::JWKS).expect("the file is written");
    // It is looked for at most once a second.
    while world.assume(&token(json!({})), &[]).await.status != 200 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_fetched_over_tls_from_whom_the_authority_vouches_for() {
    let certificates = Certificates::new();
    let address = certificates.serve_json(test_keys::JWKS).await;
    let keys = |authority: &Path| {
        let authority = authority.display();
        format!("jwks_url = 'https://{address}/keys'\njwks_ca_file = '{authority}'")
    };
    let folder = || TempDir::new().expect("a scratch folder can be made");
    let world = World::with(folder(), &keys(&certificates.authority()), &[]);
    let answer = world.assume_until(200).await;
    assert!(element(&answer, "AccessKeyId").starts_with("ASIA"));

    // Somebody else in its place is not asked for anything.
    let stranger = Certificates::new();
    let world = World::with(folder(), &keys(&stranger.authority()), &[]);
    let answer = world.assume(&token(json!({})), &[]).await;
    let refusal = (answer.status, element(&answer, "Code"));
    assert_eq!(refusal, (400, "IDPCommunicationError".to_owned()));
    assert!(world.server.says("cannot read the keys of an issuer"));
    assert!(world.server.says("invalid peer certificate"));
}

#[tokio::test]
async fn a_request_that_waits_for_somebody_else_is_answered_in_its_time() {
    // It accepts connections, and that is all.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/keys", silent.local_addr().expect("it has an address"));
    let folder = TempDir::new().expect("a scratch folder can be made");
    let keys = format!("jwks_url = '{url}'");
    let world = World::with(folder, &keys, &["--max-request-seconds", "1"]);
    let answer = world.assume_until(408).await;
    assert_eq!(element(&answer, "Code"), "RequestTimeout");
    assert_eq!(element(&answer, "Message"), "The request was not answered in time.");
}

#[test]
fn a_file_of_keys_that_is_none_keeps_the_server_from_starting() {
    let folder = Arc::new(TempDir::new().expect("a scratch folder can be made"));
    let config = folder.path().join("stanchion.toml");
    let text =
        "[issuers.cluster]\nurl = 'x'\naudiences = ['x']\njwks_file = '/nowhere/jwks.json'\n";
    fs::write(&config, text).expect("the folder takes a file");
    let data = Arc::new(TempDir::new().expect("a scratch folder can be made"));
    let args = ["--config", config.to_str().expect("a path of ours")];
    let refused = Server::try_start(data, &args).expect_err("it must not start");
    assert!(refused.output.contains("issuers.cluster.jwks_file: /nowhere/jwks.json"));
}
