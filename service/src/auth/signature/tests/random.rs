//! Whatever `aws-sigv4` signs is accepted, and nothing that was changed afterwards.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Anything that can stand between two slashes, escaped or not.
fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9._~-]{0,8}",
        "[!$&'()*,;=:@-]{1,4}",
        select(vec![".", "..", "", "%20", "%2F", "%25", "%C3%A9"]).prop_map(String::from),
    ]
}

fn path() -> impl Strategy<Value = String> {
    proptest::collection::vec(segment(), 0..6)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

/// Any text, with whatever must be escaped escaped, and some of what need not be.
fn escaped_text() -> impl Strategy<Value = String> {
    (any::<String>(), any::<u8>())
        .prop_map(|(text, choice)| {
            let bytes = text.bytes().take(40).enumerate();
            let escape = |(at, byte): (usize, u8)| match byte {
                _ if choice.rotate_left(at as u32 % 8) & 1 == 1 => format!("%{byte:02x}"),
                byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => {
                    char::from(byte).to_string()
                }
                byte => format!("%{byte:02X}"),
            };
            bytes.map(escape).collect()
        })
        // What is cut through is no text any more.
        .prop_filter("UTF-8", |text: &String| {
            percent_encoding::percent_decode_str(text).decode_utf8().is_ok()
        })
}

fn query() -> impl Strategy<Value = String> {
    let pair = ("[a-zA-Z0-9.]{1,4}", escaped_text());
    let pairs = proptest::collection::vec(pair, 0..6);
    pairs.prop_map(|pairs| {
        let pairs = pairs.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("&")
    })
}

prop_compose! {
    fn request()(
        path in path(),
        query in query(),
        is_post in any::<bool>(),
        port in any::<u16>(),
        headers in proptest::collection::vec(("x-[a-z]{1,6}", "[ -~]{0,30}"), 0..5),
        body in proptest::collection::vec(any::<u8>(), 0..200),
    ) -> Sent {
        let method = if is_post { "POST" } else { "GET" };
        let mut request = HttpRequest::builder()
            .method(method)
            .uri(format!("{path}?{query}"))
            .header("host", format!("queues.example:{port}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        request.body(if is_post { body } else { Vec::new() }).unwrap()
    }
}

/// Changes one thing that is signed, so that it means something else.
fn change(sent: &mut Sent, what: u8, at: Index, by: u8) {
    let text = |sent: &Sent, name: &str| sent.headers()[name].to_str().unwrap().to_owned();
    let target = |sent: &Sent| sent.uri().to_string();
    let is_presigned = !sent.headers().contains_key("authorization");
    match what {
        0 => *sent.method_mut() = hyper::Method::PUT,
        1 if !sent.body().is_empty() => {
            let at = at.index(sent.body().len());
            sent.body_mut()[at] ^= 1 << (by % 8);
        }
        1 => sent.body_mut().push(by),
        2 => {
            let (path, query) = target(sent).split_once('?').map(own).unwrap();
            *sent.uri_mut() =
                format!("{}/more?{query}", path.trim_end_matches('/')).parse().unwrap();
        }
        3 => *sent.uri_mut() = format!("{}&more={by}", target(sent)).parse().unwrap(),
        4 => drop(sent.headers_mut().insert("host", "queues.example:0x".parse().unwrap())),
        // A digit of the signature.
        5 if is_presigned => {
            let target = target(sent);
            let (before, after) = target.split_once("X-Amz-Signature=").map(own).unwrap();
            let after = flip(&after, at.index(64));
            *sent.uri_mut() = format!("{before}X-Amz-Signature={after}").parse().unwrap();
        }
        5 => {
            let header = text(sent, "authorization");
            let (before, signature) = header.split_once("Signature=").map(own).unwrap();
            let header = format!("{before}Signature={}", flip(&signature, at.index(64)));
            sent.headers_mut().insert("authorization", header.parse().unwrap());
        }
        // The date, by a second.
        _ if is_presigned => {
            *sent.uri_mut() = target(sent).replace("T120000Z", "T120001Z").parse().unwrap();
        }
        _ => drop(sent.headers_mut().insert("x-amz-date", "20260115T120001Z".parse().unwrap())),
    }
}

fn own((one, other): (&str, &str)) -> (String, String) {
    (one.to_owned(), other.to_owned())
}

/// Another digit in one place.
fn flip(digits: &str, at: usize) -> String {
    let other = |c: char| if c == '0' { '1' } else { '0' };
    digits.char_indices().map(|(i, c)| if i == at { other(c) } else { c }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_signed_is_accepted(request in request(), presigned in any::<bool>()) {
        let signer = if presigned { Signer::presigned(60) } else { Signer::default() };
        let sent = signer.sign(request);
        let verified = verify(&sent);
        prop_assert!(matches!(&verified, Ok(Some(_))), "{verified:?} of {sent:?}");
    }

    #[test]
    fn what_is_changed_is_refused(
        request in request(),
        presigned in any::<bool>(),
        what in 0..7_u8,
        at in any::<Index>(),
        by in any::<u8>(),
    ) {
        let signer = if presigned { Signer::presigned(60) } else { Signer::default() };
        let mut sent = signer.sign(request);
        change(&mut sent, what, at, by);
        prop_assert!(mismatches(&sent), "{what}: {sent:?}");
    }

    #[test]
    fn a_changed_header_is_refused(request in request(), value in "[!-~]{1,9}") {
        let mut sent = request;
        sent.headers_mut().insert("x-changed", "as it was".parse().unwrap());
        let mut sent = Signer::default().sign(sent);
        sent.headers_mut().insert("x-changed", value.parse().unwrap());
        prop_assert!(mismatches(&sent));
        sent.headers_mut().append("x-changed", "as it was".parse().unwrap());
        prop_assert!(mismatches(&sent));
        sent.headers_mut().remove("x-changed");
        prop_assert!(mismatches(&sent));
        // Blanks are nobody's business.
        sent.headers_mut().insert("x-changed", "  as   it was ".parse().unwrap());
        prop_assert!(verify(&sent).is_ok());
    }
}
