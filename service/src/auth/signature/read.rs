//! Finds the signature of a request, in the header `Authorization` or among the parameters of a
//! presigned URL, and takes it apart. What it says is not looked at here.

use std::borrow::Cow;

use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use percent_encoding::percent_decode_str;

use super::Request;
use crate::error::Error;
use crate::limits::PRESIGNED_S_MAX;
use crate::model::calendar::Moment;

/// The one algorithm there is.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How much of what cannot be read an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 128;

/// A signature, as the request has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// Where it stands.
    pub place: Place,
    /// Whose key, and what it is derived for.
    pub credential: Credential<'a>,
    /// When the request was signed.
    pub at: Moment,
    /// The names of the headers that are signed: `host;x-amz-date`.
    pub signed_headers: Cow<'a, str>,
    /// 64 hexadecimal digits, if it can be any good.
    pub signature: Cow<'a, str>,
    /// The token that belongs to a temporary key.
    pub token: Option<Cow<'a, str>>,
}

/// Where a signature stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the header `Authorization`. Its date has a header of its own, which is named here.
    Header(&'static str),
    /// In the URL.
    Query {
        /// For how many seconds it is good, where it says so.
        expires_s: Option<u64>,
    },
}

/// `<access key>/<date>/<region>/<service>/aws4_request`, as given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential<'a> {
    text: Cow<'a, str>,
    /// Where the slashes are.
    slashes: [usize; 4],
}

impl<'a> Credential<'a> {
    fn parse(text: Cow<'a, str>) -> Result<Credential<'a>, Error> {
        let mut slashes = [0; 4];
        let mut found = 0;
        for (at, _) in text.match_indices('/') {
            if let Some(slash) = slashes.get_mut(found) {
                *slash = at;
            }
            found += 1;
        }
        if found != slashes.len() || text.starts_with('/') {
            return Err(incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{}'",
                shown(&text)
            )));
        }
        Ok(Credential { text, slashes })
    }

    /// Whose key.
    pub fn access_key_id(&self) -> &str {
        &self.text[..self.slashes[0]]
    }

    /// Everything after the key: what the signature is good for.
    pub fn scope(&self) -> &str {
        &self.text[self.slashes[0] + 1..]
    }

    /// The day, as `20260115`.
    pub fn date(&self) -> &str {
        self.part(0)
    }

    /// The region.
    pub fn region(&self) -> &str {
        self.part(1)
    }

    /// The service.
    pub fn service(&self) -> &str {
        self.part(2)
    }

    /// `aws4_request`, if it is right.
    pub fn terminator(&self) -> &str {
        &self.text[self.slashes[3] + 1..]
    }

    fn part(&self, at: usize) -> &str {
        &self.text[self.slashes[at] + 1..self.slashes[at + 1]]
    }
}

/// The signature of a request; `None` where it has none. Fails where there are two, where one is
/// incomplete or cannot be read, and where it is of an older version.
pub fn read<'a>(request: &Request<'a>) -> Result<Option<Signature<'a>>, Error> {
    let mut headers = request.headers.get_all(AUTHORIZATION).iter();
    let header = headers.next();
    let is_presigned = parameters(request.query).any(|(name, _)| {
        matches!(name, "X-Amz-Algorithm" | "X-Amz-Credential" | "X-Amz-Signature")
    });
    match (header, is_presigned) {
        (Some(_), true) => Err(incomplete(
            "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.",
        )),
        (Some(_), false) if headers.next().is_some() => {
            Err(incomplete("There is more than one 'Authorization' header."))
        }
        (Some(header), false) => {
            let text = header.to_str();
            let text = text.map_err(|_| incomplete("Authorization header has illegal characters."));
            in_header(request, text?).map(Some)
        }
        (None, true) => in_query(request).map(Some),
        (None, false) if has_older_signature(request) => Err(Error::InvalidSecurity),
        (None, false) => Ok(None),
    }
}

fn in_header<'a>(request: &Request<'a>, header: &'a str) -> Result<Signature<'a>, Error> {
    let (algorithm, rest) = header.trim().split_once(' ').unwrap_or((header, ""));
    match algorithm {
        ALGORITHM => {}
        "AWS" | "AWS3" | "AWS3-HTTPS" => return Err(Error::InvalidSecurity),
        other => return Err(unsupported(other)),
    }
    let [mut credential, mut signature, mut signed_headers] = [None; 3];
    for pair in rest.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            // Differs from AWS: the header is not repeated, which would only help who may not see it.
            return Err(incomplete(format!(
                "'{}' not a valid key=value pair (missing equal-sign) in Authorization header.",
                shown(pair)
            )));
        };
        let place = match name.trim_end() {
            "Credential" => &mut credential,
            "Signature" => &mut signature,
            "SignedHeaders" => &mut signed_headers,
            // One that a later version may add.
            _ => continue,
        };
        if place.replace(value.trim_start()).is_some() {
            return Err(incomplete(format!("Authorization header has two '{name}' parameters.")));
        }
    }
    let date = ["x-amz-date", "date"].into_iter().find_map(|name| {
        // What is no text is no date either.
        Some((name, request.headers.get(name)?.to_str().unwrap_or_default()))
    });
    let (Some(credential), Some(signature), Some(signed_headers), Some((date_name, date))) =
        (credential, signature, signed_headers, date)
    else {
        let missing = [
            (credential.is_none(), "Authorization header requires 'Credential' parameter."),
            (signature.is_none(), "Authorization header requires 'Signature' parameter."),
            (signed_headers.is_none(), "Authorization header requires 'SignedHeaders' parameter."),
            (
                date.is_none(),
                "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' \
                 header.",
            ),
        ];
        return Err(all_that_apply(missing));
    };
    let token = request.headers.get("x-amz-security-token");
    Ok(Signature {
        place: Place::Header(date_name),
        credential: Credential::parse(credential.into())?,
        at: moment(date)?,
        signed_headers: signed_headers.into(),
        signature: signature.into(),
        // Nor is what is no text a token of ours.
        token: token.map(|token| token.to_str().unwrap_or_default().into()),
    })
}

fn in_query<'a>(request: &Request<'a>) -> Result<Signature<'a>, Error> {
    let names = [
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
    ];
    let mut values = [const { None }; 7];
    for (name, value) in parameters(request.query) {
        let Some(at) = names.iter().position(|known| *known == name) else { continue };
        if values[at].replace(percent_decode_str(value).decode_utf8_lossy()).is_some() {
            return Err(incomplete(format!("There is more than one '{name}' parameter.")));
        }
    }
    let [algorithm, credential, signature, signed_headers, date, expires, token] = values;
    let (Some(algorithm), Some(credential), Some(signature), Some(signed_headers), Some(date)) =
        (&algorithm, &credential, signature, signed_headers, &date)
    else {
        let text = "AWS query-string parameters must include 'X-Amz-Algorithm', \
                    'X-Amz-Credential', 'X-Amz-Date', 'X-Amz-SignedHeaders' and 'X-Amz-Signature'. \
                    Re-examine the query-string parameters.";
        return Err(incomplete(text));
    };
    if algorithm != ALGORITHM {
        return Err(unsupported(algorithm));
    }
    let expires_s = expires.map(|text| {
        let seconds = text.parse().ok().filter(|seconds| (1..=PRESIGNED_S_MAX).contains(seconds));
        seconds.ok_or_else(|| {
            let text =
                "X-Amz-Expires must be a number of seconds from 1 to 604800, which is a week.";
            incomplete(text)
        })
    });
    Ok(Signature {
        place: Place::Query { expires_s: expires_s.transpose()? },
        credential: Credential::parse(credential.clone())?,
        at: moment(date)?,
        signed_headers,
        signature,
        token,
    })
}

/// The names and values of a query string or a form, as they stand.
pub fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Whether a request is signed as before 2012: with parameters in the URL or in the form.
fn has_older_signature(request: &Request<'_>) -> bool {
    let content_type = request.headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let may_be_form =
        content_type.is_none_or(|kind| kind.starts_with(b"application/x-www-form-urlencoded"));
    let is_key = |pair: &[u8]| pair.starts_with(b"AWSAccessKeyId=");
    request.query.split('&').any(|pair| is_key(pair.as_bytes()))
        || may_be_form && request.body.split(|byte| *byte == b'&').any(is_key)
}

fn moment(text: &str) -> Result<Moment, Error> {
    Moment::parse(text).ok_or_else(|| {
        incomplete(format!(
            "Date must be in ISO-8601 'basic format'. Got '{}'. See \
             http://en.wikipedia.org/wiki/ISO_8601",
            shown(text)
        ))
    })
}

/// The texts whose condition holds, one after the other.
fn all_that_apply<const N: usize>(texts: [(bool, &'static str); N]) -> Error {
    let texts = texts.into_iter().filter_map(|(applies, text)| applies.then_some(text));
    incomplete(texts.collect::<Vec<_>>().join(" "))
}

fn unsupported(algorithm: &str) -> Error {
    incomplete(format!("Unsupported AWS 'algorithm': '{}'.", shown(algorithm)))
}

fn incomplete(text: impl Into<Cow<'static, str>>) -> Error {
    Error::IncompleteSignature(text.into())
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS_MAX).collect()
}
