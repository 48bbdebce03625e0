//! What is refused before a signature is looked at, in the words of AWS, and in which order.

use super::*;
use crate::api::error_table::row;

/// A header that is right, as far as it can be read.
const HEADER: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260115/us-east-1/sqs/aws4_request, \
                      SignedHeaders=host;x-amz-date, Signature=00";

/// Code, status and text of what a request is answered.
fn refusal(sent: &Sent) -> (&'static str, u16, String) {
    let error = verify(sent).expect_err("it is refused");
    let row = row(&error);
    (row.query_code, row.status, error.to_string())
}

fn with_header(header: &str) -> Sent {
    let mut sent = get("/");
    sent.headers_mut().insert("x-amz-date", "20260115T120000Z".parse().unwrap());
    sent.headers_mut().insert("authorization", header.parse().unwrap());
    sent
}

#[test]
fn a_header_that_cannot_be_read_is_incomplete() {
    let without = |part: &str| HEADER.replace(part, "");
    #[rustfmt::skip]
    let cases = [
        (without("Signature=00"),     "requires 'Signature' parameter."),
        (without("SignedHeaders=host;x-amz-date,"), "requires 'SignedHeaders' parameter."),
        ("AWS4-HMAC-SHA256".into(),   "requires 'Credential' parameter. Authorization header requires 'Signature'"),
        (without("/20260115"),        "Credential must have exactly 5 slash-delimited elements"),
        (without("AKIDEXAMPLE"),      "Credential must have exactly 5 slash-delimited elements"),
        (HEADER.replace("sqs/", "sqs//"), "Credential must have exactly 5 slash-delimited elements"),
        (without("="),                "not a valid key=value pair (missing equal-sign)"),
        (format!("{HEADER}, Signature=11"), "two 'Signature' parameters"),
        ("Bearer token".into(),       "Unsupported AWS 'algorithm': 'Bearer'."),
        ("AWS4-HMAC-SHA1 x=y".into(), "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA1'."),
        (String::new(),               "Unsupported AWS 'algorithm': ''."),
        ("AWS4-ECDSA-P256-SHA256 x=y".into(), "Unsupported AWS 'algorithm'"),
    ];
    for (header, part) in cases {
        let (code, status, text) = refusal(&with_header(&header));
        assert_eq!((code, status), ("IncompleteSignature", 400), "{header}");
        assert!(text.contains(part), "{header}: {text}");
    }
}

#[test]
fn a_date_is_needed_and_in_one_format() {
    let mut sent = with_header(HEADER);
    for odd in ["", "2026-01-15T12:00:00Z", "Thu, 15 Jan 2026 12:00:00 GMT", "20260230T120000Z"] {
        sent.headers_mut().insert("x-amz-date", odd.parse().unwrap());
        let (code, status, text) = refusal(&sent);
        assert_eq!((code, status), ("IncompleteSignature", 400));
        let expected = format!("Date must be in ISO-8601 'basic format'. Got '{odd}'.");
        assert!(text.starts_with(&expected), "{text}");
    }
    sent.headers_mut().remove("x-amz-date");
    let (_, _, text) = refusal(&sent);
    assert!(text.contains("existence of either a 'X-Amz-Date' or a 'Date' header."), "{text}");
    // The older header will do; it must be signed then.
    sent.headers_mut().insert("date", "20260115T120000Z".parse().unwrap());
    assert_eq!(refusal(&sent).2, "'date' must be a 'SignedHeader' in the AWS Authorization.");
}

#[test]
fn a_presigned_url_is_complete_and_says_everything_once() {
    let signed = Signer::presigned(300).sign(get("/?Action=ListQueues"));
    let target = signed.uri().to_string();
    let names = ["Algorithm", "Credential", "Date", "SignedHeaders", "Signature"];
    let mut odd: Vec<String> =
        names.iter().map(|name| target.replace(&format!("X-Amz-{name}="), "x=")).collect();
    odd.extend(names.iter().map(|name| format!("{target}&X-Amz-{name}=x")));
    for seconds in ["", "0", "-1", "604801", "x", "99999999999999999999"] {
        odd.push(target.replace("X-Amz-Expires=300", &format!("X-Amz-Expires={seconds}")));
    }
    odd.push(target.replace("AWS4-HMAC-SHA256", "AWS4-HMAC-SHA1"));
    for target in odd {
        let (code, status, text) = refusal(&get(&target));
        assert_eq!((code, status), ("IncompleteSignature", 400), "{target}: {text}");
    }
    let both = {
        let mut sent = with_header(HEADER);
        *sent.uri_mut() = target.parse().unwrap();
        sent
    };
    let (code, status, text) = refusal(&both);
    assert_eq!((code, status), ("IncompleteSignature", 400));
    assert!(text.starts_with("Found both 'X-Amz-Algorithm' as a query-string param"), "{text}");
    let mut twice = with_header(HEADER);
    twice.headers_mut().append("authorization", HEADER.parse().unwrap());
    assert_eq!(refusal(&twice).0, "IncompleteSignature");
}

#[test]
fn older_signatures_are_insecure() {
    let form = |body: &str| {
        HttpRequest::post("/").header("host", HOST).body(body.as_bytes().to_vec()).unwrap()
    };
    for sent in [
        get("/?Action=ListQueues&AWSAccessKeyId=AKID&SignatureVersion=2&Signature=x"),
        form("Action=ListQueues&AWSAccessKeyId=AKID&SignatureVersion=2&Signature=x"),
        with_header("AWS AKID:signature"),
        with_header("AWS3-HTTPS AWSAccessKeyId=AKID"),
    ] {
        assert_eq!(
            refusal(&sent),
            (
                "InvalidSecurity",
                403,
                "The request was not made over HTTPS or did not use SigV4 for signing.".into()
            )
        );
    }
}

#[test]
fn a_scope_is_for_us() {
    let scoped =
        |scope: &str| with_header(&HEADER.replace("20260115/us-east-1/sqs/aws4_request", scope));
    #[rustfmt::skip]
    let cases = [
        ("20260115/us-east-1/sns/aws4_request", "Credential should be scoped to correct service: 'sqs'. "),
        ("20260115/Moon/sqs/aws4_request",      "Credential should be scoped to a valid region, not 'Moon'. "),
        ("20260115//sns/aws4_request",          "Credential should be scoped to a valid region, not ''. Credential should be scoped to correct service: 'sqs'. "),
        ("20260115/us-east-1/sqs/aws3_request", "Credential should be scoped with a valid terminator: 'aws4_request'"),
        ("20260114/us-east-1/sqs/aws4_request", "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP"),
    ];
    for (scope, text) in cases {
        assert_eq!(refusal(&scoped(scope)), ("SignatureDoesNotMatch", 403, text.into()), "{scope}");
    }
}

#[test]
fn what_gives_a_request_its_meaning_is_signed() {
    let refuses = |sent: &Sent, part: &str| {
        let (code, status, text) = refusal(sent);
        assert_eq!((code, status), ("SignatureDoesNotMatch", 403), "{text}");
        assert!(text.contains(part), "{text}");
    };
    refuses(&with_header(&HEADER.replace("host;", "")), "'host' must be a 'SignedHeader'");
    refuses(&with_header(&HEADER.replace(";x-amz-date", "")), "'x-amz-date' must be");
    for (name, value) in [("x-amz-target", "AmazonSQS.PurgeQueue"), ("x-amz-security-token", "t")] {
        let mut sent = with_header(HEADER);
        sent.headers_mut().insert(name, value.parse().unwrap());
        refuses(&sent, &format!("'{name}' must be a 'SignedHeader'"));
    }
    for names in ["x-amz-date;host", "host;host;x-amz-date", "host;;x-amz-date"] {
        refuses(&with_header(&HEADER.replace("host;x-amz-date", names)), "must be sorted");
    }
}

#[test]
fn a_key_is_known_and_its_token_its_own() {
    let by = |key, token| Signer { key, token, ..Signer::default() }.sign(post("{}"));
    let unknown = "The security token included in the request is invalid.".to_owned();
    for sent in [
        by("AKIDUNKNOWN", None),
        by(KEY, Some("token")),
        by("ASIATEMPORARY", None),
        by("ASIATEMPORARY", Some("another's")),
    ] {
        assert_eq!(refusal(&sent), ("InvalidClientTokenId", 403, unknown.clone()));
    }
    let expired = "The security token included in the request is expired".to_owned();
    assert_eq!(refusal(&by("ASIATEMPORARY", Some("over"))), ("ExpiredToken", 403, expired));
}

#[test]
fn the_first_fault_is_told() {
    // Everything about it is wrong; one thing after the other is put right.
    let mut signer = Signer {
        key: "AKIDUNKNOWN",
        secret: "of somebody else",
        service: "sns",
        at: NOON.minus(3600),
        ..Signer::default()
    };
    let text = |signer: &Signer| refusal(&signer.sign(post("{}"))).2;
    assert!(text(&signer).starts_with("Signature expired: 20260115T110000Z"));
    signer.at = NOON;
    assert!(text(&signer).starts_with("Credential should be scoped to correct service"));
    signer.service = "sqs";
    assert!(text(&signer).starts_with("The security token"));
    signer.key = KEY;
    assert!(text(&signer).starts_with("The request signature we calculated"));
    signer.secret = SECRET;
    accepts(&signer.sign(post("{}")));
}

#[test]
fn who_signs_wrongly_is_told_what_should_have_been_signed_and_the_log_is_not() {
    let mut sent = Signer::default().sign(post("{}"));
    sent.body_mut().push(b' ');
    let error = verify(&sent).unwrap_err();
    let text = crate::api::error_table::public_text(&error).into_owned();
    let canonical = canonical(&sent);
    let digest = sha256_hex(canonical.as_bytes());
    let expected = format!(
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method. Consult the service documentation for details.\n\
         \n\
         The Canonical String for this request should have been\n'{canonical}'\n\
         \n\
         The String-to-Sign should have been\n\
         'AWS4-HMAC-SHA256\n20260115T120000Z\n20260115/us-east-1/sqs/aws4_request\n{digest}'\n"
    );
    assert_eq!(text, expected);
    assert!(!format!("{error} {error:?}").contains("x-amz-target"));
}
