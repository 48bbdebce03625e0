//! Requests signed by `aws-sigv4`, as SDKs sign them, and what becomes of them when something about
//! them changes.

mod random;
mod refused;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials as Key;
use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4::SigningParams;
use hyper::{Request as HttpRequest, Version};

use super::Request;
use super::canonical::{SessionToken, canonical_request, sha256_hex};
use super::read::read;
use super::verify::{Verified, Verifier};
use crate::auth::credentials::{CredentialSource, Credentials, NoCredentials, Secret};
use crate::error::Error;
use crate::model::calendar::Moment;
use crate::model::caller::Caller;
use crate::model::queue::{AccountId, Region};

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const HOST: &str = "sqs.us-east-1.amazonaws.com";

/// When the examples are signed: 2026-01-15 at noon.
const NOON: Moment = Moment(1_768_478_400);

/// Knows one key for good, and one that is temporary.
struct Keys;

impl CredentialSource for Keys {
    fn find(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        _now: Duration,
    ) -> Option<Result<Credentials, NoCredentials>> {
        let known = match (access_key_id, token) {
            (KEY, None) | ("ASIATEMPORARY", Some("to/ken==")) => {
                let caller = Arc::new(Caller::root(AccountId::parse("111122223333")?));
                Ok(Credentials { secret: Secret(SECRET.into()), caller })
            }
            ("ASIATEMPORARY", Some("over")) => Err(NoCredentials::Expired),
            (KEY | "ASIATEMPORARY", _) => Err(NoCredentials::Unknown),
            _ => return None,
        };
        Some(known)
    }
}

fn verifier() -> Verifier {
    Verifier::new(vec![Arc::new(Keys)], None)
}

/// A request with its body, signed or not.
type Sent = HttpRequest<Vec<u8>>;

fn get(target: &str) -> Sent {
    HttpRequest::get(target).header("host", HOST).body(Vec::new()).unwrap()
}

fn post(body: &str) -> Sent {
    HttpRequest::post("/")
        .header("host", HOST)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", "AmazonSQS.GetQueueUrl")
        .body(body.into())
        .unwrap()
}

/// What is signed of a request.
fn seen(sent: &Sent) -> Request<'_> {
    let authority = sent.uri().authority().map(|authority| authority.as_str());
    Request {
        method: sent.method().as_str(),
        path: sent.uri().path(),
        query: sent.uri().query().unwrap_or_default(),
        headers: sent.headers(),
        authority: authority.filter(|_| sent.version() == Version::HTTP_2),
        body: sent.body(),
    }
}

/// How a request is signed.
#[derive(Clone)]
struct Signer {
    key: &'static str,
    secret: &'static str,
    token: Option<&'static str>,
    region: &'static str,
    service: &'static str,
    at: Moment,
    /// In the URL, for so many seconds.
    presigned_s: Option<u64>,
    token_mode: SessionTokenMode,
}

impl Default for Signer {
    fn default() -> Signer {
        Signer {
            key: KEY,
            secret: SECRET,
            token: None,
            region: "us-east-1",
            service: "sqs",
            at: NOON,
            presigned_s: None,
            token_mode: SessionTokenMode::Include,
        }
    }
}

impl Signer {
    fn presigned(seconds: u64) -> Signer {
        Signer { presigned_s: Some(seconds), ..Signer::default() }
    }

    fn sign(&self, mut request: Sent) -> Sent {
        let token = self.token.map(String::from);
        let identity = Key::new(self.key, self.secret, token, None, "tests").into();
        let mut settings = SigningSettings::default();
        settings.session_token_mode = self.token_mode;
        if let Some(seconds) = self.presigned_s {
            settings.signature_location = SignatureLocation::QueryParams;
            settings.expires_in = Some(Duration::from_secs(seconds));
        }
        let params = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service)
            .time(UNIX_EPOCH + Duration::from_secs(self.at.0))
            .settings(settings)
            .build()
            .unwrap()
            .into();
        let text = |value: &'_ hyper::header::HeaderValue| value.to_str().unwrap().to_owned();
        let headers: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), text(value))).collect();
        let uri = request.uri().to_string();
        let signable = SignableRequest::new(
            request.method().as_str(),
            uri,
            headers.iter().map(|(name, value)| (*name, &**value)),
            SignableBody::Bytes(request.body()),
        );
        let (instructions, _) = sign(signable.unwrap(), &params).unwrap().into_parts();
        instructions.apply_to_request_http1x(&mut request);
        request
    }
}

/// Who has signed a request, a while after noon.
fn verify_at(sent: &Sent, after_noon_s: i64) -> Result<Option<Verified>, Error> {
    let now = Duration::from_secs(NOON.0.saturating_add_signed(after_noon_s));
    verifier().verify(&seen(sent), "sqs", now)
}

fn verify(sent: &Sent) -> Result<Option<Verified>, Error> {
    verify_at(sent, 0)
}

#[track_caller]
fn accepts(sent: &Sent) {
    let verified = verify(sent).unwrap_or_else(|error| panic!("{error}: {error:?} of {sent:?}"));
    assert_eq!(verified.expect("it is signed").region.as_str(), "us-east-1");
}

fn mismatches(sent: &Sent) -> bool {
    matches!(verify(sent), Err(Error::SignatureDoesNotMatch(_)))
}

/// The canonical request of a signed one.
fn canonical(sent: &Sent) -> String {
    let request = seen(sent);
    let signature = read(&request).unwrap().unwrap();
    let body_hash = sha256_hex(sent.body());
    let text = canonical_request(&request, &signature, SessionToken::Signed, &body_hash);
    String::from_utf8(text).unwrap()
}

#[test]
fn the_worked_example_of_the_facts_sheet_is_accepted() {
    let mut sent = post(r#"{"QueueName":"MyQueue"}"#);
    let headers = sent.headers_mut();
    headers.insert("x-amz-date", "20260115T120000Z".parse().unwrap());
    let authorization = "AWS4-HMAC-SHA256 \
        Credential=AKIDEXAMPLE/20260115/us-east-1/sqs/aws4_request,\
        SignedHeaders=content-type;host;x-amz-date;x-amz-target,  \
        Signature=cdb1f927665967d249d6bba7dc7da685204199bfae905b28647f9ca848211f68";
    headers.insert("authorization", authorization.parse().unwrap());
    assert_eq!(
        sha256_hex(sent.body()),
        "307f2f5eaa4450343a0794762365e9ecd3913574e46550d1d5bf27ef79b905fa"
    );
    assert_eq!(
        sha256_hex(canonical(&sent).as_bytes()),
        "49492b96ca30e6d50ee747c3d23d07b7d44dac762f2d23ecf5848e967c2a0f60"
    );
    accepts(&sent);
}

#[test]
fn the_worked_example_of_a_presigned_url_is_accepted() {
    let sent =
        get("/123456789012/MyQueue?Action=ReceiveMessage&MaxNumberOfMessages=1&Version=2012-11-05\
         &X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=AKIDEXAMPLE%2F20260115%2Fus-east-1%2Fsqs%2Faws4_request\
         &X-Amz-Date=20260115T120000Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host\
         &X-Amz-Signature=b10e2ba3325026b0d09e9062542d06383a4adfa93e4d3a651a32c85b1acf0e8a");
    assert_eq!(
        sha256_hex(canonical(&sent).as_bytes()),
        "6d0d6861c4063f3be9ac227574dc0f7baf64f9797684fc923a78075d8a1516e2"
    );
    accepts(&sent);
}

#[test]
fn a_request_without_a_signature_is_nobodys() {
    assert_eq!(verify(&post("{}")), Ok(None));
    assert_eq!(verify(&get("/?Action=ListQueues&Signature=1")), Ok(None));
}

#[test]
fn each_trap_of_the_canonical_request_is_stepped_over() {
    let signed = |target: &str| canonical(&Signer::default().sign(get(target)));
    let line = |target: &str, at: usize| signed(target).lines().nth(at).unwrap().to_owned();
    #[rustfmt::skip]
    let paths = [
        ("/",                       "/"),
        ("/000000000000/q.fifo",    "/000000000000/q.fifo"),
        ("/a%20b",                  "/a%2520b"),
        ("/a=b:c",                  "/a%3Db%3Ac"),
        ("/a//b/./c/../d/",         "/a/b/d/"),
        ("/../..",                  "/"),
        ("/a/..",                   "/"),
        ("/a/b/.",                  "/a/b/"),
    ];
    for (path, canonical) in paths {
        assert_eq!(line(path, 1), canonical, "{path}");
        accepts(&Signer::default().sign(get(path)));
    }
    #[rustfmt::skip]
    let queries = [
        ("",                        ""),
        ("b=2&a=1",                 "a=1&b=2"),
        ("a=2&a=1&a",               "a=&a=1&a=2"),
        ("a=1=2",                   "a=1%3D2"),
        ("a=%2f%7e~%c3%a9",         "a=%2F~~%C3%A9"),
        ("a=+",                     "a=%2B"),
        ("a=%20&a=%2B",             "a=%20&a=%2B"),
        ("a-b=1&a.b=2&aB=3&a_b=4",  "a-b=1&a.b=2&aB=3&a_b=4"),
        ("&&a=1&",                  "a=1"),
        ("a%3D=1",                  "a%3D=1"),
    ];
    for (query, canonical) in queries {
        assert_eq!(line(&format!("/?{query}"), 2), canonical, "{query}");
        // The signer takes a plus for a blank, as forms do.
        if !query.contains('+') {
            accepts(&Signer::default().sign(get(&format!("/?{query}"))));
        }
    }
}

#[test]
fn header_values_are_folded_and_joined() {
    let sent = HttpRequest::get("/")
        .header("Host", HOST)
        .header("X-Blanks", "  a   b  \"c   d\" ")
        .header("X-Several", "2")
        .header("X-Several", " 1  1")
        .header("X-Empty", "")
        .header("X-Amz-Content-Sha256", sha256_hex(b""))
        .body(Vec::new())
        .unwrap();
    let sent = Signer::default().sign(sent);
    let text = canonical(&sent);
    for line in ["x-blanks:a b \"c d\"", "x-several:2,1 1", "x-empty:"] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    accepts(&sent);
    // What a proxy adds is not signed, and does no harm.
    let mut sent = sent;
    sent.headers_mut().insert("x-forwarded-for", "10.0.0.1".parse().unwrap());
    accepts(&sent);
}

#[test]
fn the_host_has_its_port_and_is_the_authority_of_http_2() {
    for host in ["localhost:9324", "[::1]:9324", "queues.example"] {
        let mut sent = post("{}");
        sent.headers_mut().insert("host", host.parse().unwrap());
        let mut sent = Signer::default().sign(sent);
        accepts(&sent);
        // As a server sees it that was asked over HTTP/2.
        sent.headers_mut().remove("host");
        *sent.uri_mut() = format!("http://{host}/").parse().unwrap();
        assert!(mismatches(&sent));
        *sent.version_mut() = Version::HTTP_2;
        accepts(&sent);
        *sent.uri_mut() = "http://elsewhere/".parse().unwrap();
        assert!(mismatches(&sent));
    }
}

#[test]
fn a_form_is_signed_as_a_body() {
    let form = HttpRequest::post("/")
        .header("host", HOST)
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(b"Action=ListQueues&Version=2012-11-05".to_vec())
        .unwrap();
    let mut sent = Signer::default().sign(form);
    assert_eq!(canonical(&sent).lines().nth(2), Some(""));
    accepts(&sent);
    sent.body_mut().extend_from_slice(b"&QueueNamePrefix=a");
    assert!(mismatches(&sent));
}

#[test]
fn a_body_that_comes_with_a_get_is_not_smuggled_in() {
    let mut sent = Signer::presigned(60).sign(get("/?Action=ListQueues"));
    accepts(&sent);
    sent.body_mut().extend_from_slice(b"Action=DeleteQueue&QueueUrl=q");
    assert!(mismatches(&sent));
}

#[test]
fn a_digest_in_a_header_is_that_of_the_body() {
    let with_digest = |digest: &str| {
        let mut sent = post("{}");
        sent.headers_mut().insert("x-amz-content-sha256", digest.parse().unwrap());
        Signer::default().sign(sent)
    };
    accepts(&with_digest(&sha256_hex(b"{}")));
    accepts(&with_digest(&sha256_hex(b"{}").to_uppercase()));
    assert!(mismatches(&with_digest(&sha256_hex(b"{} "))));
    // The body's digest counts all the same; the header is signed as any other.
    accepts(&with_digest("UNSIGNED-PAYLOAD"));
}

#[test]
fn a_session_token_may_be_signed_or_added_to_a_url_later() {
    let session = Signer { key: "ASIATEMPORARY", token: Some("to/ken=="), ..Signer::default() };
    accepts(&session.sign(post("{}")));
    let presigned = Signer { presigned_s: Some(60), ..session };
    accepts(&presigned.sign(get("/?Action=ListQueues")));
    let without = Signer { token_mode: SessionTokenMode::Exclude, ..presigned.clone() };
    let sent = without.sign(get("/?Action=ListQueues"));
    let target = match sent.uri().query().unwrap() {
        query if query.contains("X-Amz-Security-Token") => format!("/?{query}"),
        query => format!("/?{query}&X-Amz-Security-Token=to%2Fken%3D%3D"),
    };
    accepts(&get(&target));
    // The rest of the URL is signed as ever.
    assert!(mismatches(&get(&target.replace("ListQueues", "PurgeQueue"))));
}

#[test]
fn a_presigned_url_is_good_until_it_expires_and_as_often_as_one_likes() {
    let sent = Signer::presigned(300).sign(get("/123456789012/q?Action=ReceiveMessage"));
    for after in [0, 0, 300, -900] {
        assert!(verify_at(&sent, after).is_ok(), "{after}");
    }
    assert_eq!(verify_at(&sent, 301), Err(Error::RequestExpired));
    assert!(matches!(verify_at(&sent, -901), Err(Error::SignatureNotYetCurrent { .. })));
    let week = Signer::presigned(604_800).sign(get("/"));
    assert!(verify_at(&week, 604_800).is_ok());
}

#[test]
fn clocks_may_differ_by_a_quarter_of_an_hour() {
    let sent = Signer::default().sign(post("{}"));
    for after in [-900, 0, 900] {
        assert!(verify_at(&sent, after).is_ok(), "{after}");
    }
    let text = |after| verify_at(&sent, after).unwrap_err().to_string();
    assert_eq!(
        text(901),
        "Signature expired: 20260115T120000Z is now earlier than 20260115T120001Z \
         (20260115T121501Z - 15 min.)"
    );
    assert_eq!(
        text(-901),
        "Signature not yet current: 20260115T120000Z is still later than 20260115T115959Z \
         (20260115T114459Z + 15 min.)"
    );
}

#[test]
fn a_remembered_key_is_good_for_its_secret_alone() {
    struct Changing(std::sync::atomic::AtomicUsize);
    impl CredentialSource for Changing {
        fn find(
            &self,
            _: &str,
            _: Option<&str>,
            now: Duration,
        ) -> Option<Result<Credentials, NoCredentials>> {
            let call = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let secret = if call < 2 { SECRET } else { "another secret than before" };
            let mut found = Keys.find(KEY, None, now)?.ok()?;
            found.secret = Secret(secret.into());
            Some(Ok(found))
        }
    }
    let verifier = Verifier::new(vec![Arc::new(Changing(0.into()))], None);
    let sent = Signer::default().sign(post("{}"));
    let verify = || verifier.verify(&seen(&sent), "sqs", Duration::from_secs(NOON.0));
    assert!(verify().is_ok() && verify().is_ok());
    assert!(matches!(verify(), Err(Error::SignatureDoesNotMatch(_))));
}

#[test]
fn the_service_and_the_region_are_for_the_asker_to_say() {
    let sts = Signer { service: "sts", ..Signer::default() };
    let sent = sts.sign(post("{}"));
    let now = Duration::from_secs(NOON.0);
    assert!(verifier().verify(&seen(&sent), "sts", now).unwrap().is_some());
    assert!(verifier().verify(&seen(&sent), "sqs", now).is_err());

    let elsewhere = Signer { region: "eu-west-1", ..Signer::default() }.sign(post("{}"));
    let verified = verify(&elsewhere).unwrap().unwrap();
    assert_eq!(verified.region, Region::parse("eu-west-1").unwrap());
    let strict = Verifier::new(vec![Arc::new(Keys)], Region::parse("us-east-1"));
    assert_eq!(
        strict.verify(&seen(&elsewhere), "sqs", now).unwrap_err().to_string(),
        "Credential should be scoped to a valid region, not 'eu-west-1'. "
    );
}
