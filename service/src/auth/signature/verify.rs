//! Whether a signature is good: in time, for us, by a key that we know, and of this request. Source:
//! facts sheet, 11.3 to 11.5.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use aws_sigv4::sign::v4::calculate_signature;
use subtle::ConstantTimeEq;

use super::Request;
use super::canonical::{SessionToken, canonical_request, sha256_hex, string_to_sign};
use super::derived::{Derived, DerivedKeys};
use super::read::{Credential, Place, Signature, read};
use crate::auth::credentials::{CredentialSource, Credentials, NoCredentials};
use crate::error::{Error, Unmatched};
use crate::limits::SIGNATURE_SKEW_S;
use crate::model::calendar::Moment;
use crate::model::caller::Caller;
use crate::model::queue::Region;

/// How the scope of every credential ends.
const TERMINATOR: &str = "aws4_request";

/// Verifies signatures.
pub struct Verifier {
    sources: Vec<Arc<dyn CredentialSource>>,
    keys: DerivedKeys,
    /// The one region that requests may be signed for; any, if none is named.
    region: Option<Region>,
}

/// Who has signed a request, and for where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who.
    pub caller: Arc<Caller>,
    /// The region of the credential's scope.
    pub region: Region,
}

impl Verifier {
    /// Asks these sources for access keys, in this order.
    pub fn new(sources: Vec<Arc<dyn CredentialSource>>, region: Option<Region>) -> Verifier {
        Verifier { sources, keys: DerivedKeys::default(), region }
    }

    /// Who has signed a request to a service (`sqs`), at a real time since 1970; `None` where nobody
    /// has. The errors come in the order of AWS: what cannot be read, time, scope, key, token, and
    /// the signature at last.
    pub fn verify(
        &self,
        request: &Request<'_>,
        service: &str,
        now: Duration,
    ) -> Result<Option<Verified>, Error> {
        let Some(signature) = read(request)? else { return Ok(None) };
        check_time(&signature, Moment::of(now))?;
        let region = self.check_scope(&signature, service)?;
        check_signed_headers(request, &signature)?;
        let (source, credentials) = self.find(&signature, now)?;
        let key = self.keys.get(&signature.credential, signature.at, &credentials.secret);
        check_signature(request, &signature, &key)?;
        self.keys.keep(&signature.credential, &key);
        source.note_use(signature.credential.access_key_id(), now);
        Ok(Some(Verified { caller: credentials.caller, region }))
    }

    /// The region, if everything else about the scope is right too.
    fn check_scope(&self, signature: &Signature<'_>, service: &str) -> Result<Region, Error> {
        let credential = &signature.credential;
        let region = Region::parse(credential.region())
            .filter(|region| self.region.as_ref().is_none_or(|only| region == only));
        let day = &signature.at.to_string()[..8];
        match region {
            Some(region)
                if credential.service() == service
                    && credential.terminator() == TERMINATOR
                    && credential.date() == day =>
            {
                Ok(region)
            }
            region => Err(wrong_scope(credential, region.is_none(), service, day)),
        }
    }

    /// The credentials of the key, and whose key it is.
    fn find(
        &self,
        signature: &Signature<'_>,
        now: Duration,
    ) -> Result<(&dyn CredentialSource, Credentials), Error> {
        let (key, token) = (signature.credential.access_key_id(), signature.token.as_deref());
        let found =
            self.sources.iter().find_map(|source| Some((&**source, source.find(key, token, now)?)));
        match found {
            Some((source, Ok(credentials))) => Ok((source, credentials)),
            Some((_, Err(NoCredentials::Expired))) => Err(Error::ExpiredToken),
            Some((_, Err(NoCredentials::Unknown))) | None => Err(Error::InvalidClientTokenId),
        }
    }
}

/// A header's date is within a quarter of an hour of ours; a presigned URL is good for as long as it
/// says, without a moment of grace.
fn check_time(signature: &Signature<'_>, now: Moment) -> Result<(), Error> {
    let at = signature.at;
    if at > now.plus(SIGNATURE_SKEW_S) {
        return Err(Error::SignatureNotYetCurrent { at, now });
    }
    match signature.place {
        Place::Query { expires_s: Some(expires_s) } if at.plus(expires_s) < now => {
            Err(Error::RequestExpired)
        }
        Place::Query { expires_s: None } | Place::Header(_) if at < now.minus(SIGNATURE_SKEW_S) => {
            Err(Error::SignatureExpired { at, now })
        }
        _ => Ok(()),
    }
}

/// All that is wrong with a scope, as AWS says it: blanks at the ends of sentences included.
fn wrong_scope(
    credential: &Credential<'_>,
    is_region_wrong: bool,
    service: &str,
    day: &str,
) -> Error {
    let mut text = String::new();
    if is_region_wrong {
        let region: String = credential.region().chars().take(64).collect();
        text += &format!("Credential should be scoped to a valid region, not '{region}'. ");
    }
    if credential.service() != service {
        text += &format!("Credential should be scoped to correct service: '{service}'. ");
    }
    if credential.terminator() != TERMINATOR {
        text += &format!("Credential should be scoped with a valid terminator: '{TERMINATOR}'");
    } else if credential.date() != day {
        text += "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date \
                 from HTTP";
    }
    Error::SignatureNotAcceptable(text.into())
}

/// What says for whom a request is, when, and what it asks for, must be signed: the host, the date,
/// a session token and the name of the action.
fn check_signed_headers(request: &Request<'_>, signature: &Signature<'_>) -> Result<(), Error> {
    let (date, token) = match signature.place {
        Place::Header(date) => (Some(date), Some("x-amz-security-token")),
        Place::Query { .. } => (None, None),
    };
    let sent = [token, Some("x-amz-target")];
    let sent = sent.into_iter().flatten().filter(|name| request.headers.contains_key(*name));
    let names = || signature.signed_headers.split(';');
    // A name that stood there a thousand times would make the canonical request as much longer.
    if !names().is_sorted_by(|one, next| one < next) {
        return Err(Error::SignatureNotAcceptable(
            "The names of the signed headers must be sorted, and each stand there once.".into(),
        ));
    }
    let is_signed = |name: &str| names().any(|signed| signed == name);
    match [Some("host"), date].into_iter().flatten().chain(sent).find(|name| !is_signed(name)) {
        None => Ok(()),
        Some(name) => Err(Error::SignatureNotAcceptable(
            format!("'{name}' must be a 'SignedHeader' in the AWS Authorization.").into(),
        )),
    }
}

fn check_signature(
    request: &Request<'_>,
    signature: &Signature<'_>,
    key: &Derived,
) -> Result<(), Error> {
    let body_hash = sha256_hex(request.body);
    let to_sign = |token| {
        let canonical = canonical_request(request, signature, token, &body_hash);
        let to_sign = string_to_sign(signature.at, signature.credential.scope(), &canonical);
        (canonical, to_sign)
    };
    let matches = |to_sign: &str| {
        let ours = calculate_signature(key.key, to_sign.as_bytes());
        bool::from(ours.as_bytes().ct_eq(signature.signature.as_bytes()))
    };
    let (canonical, signed) = to_sign(SessionToken::Signed);
    let is_presigned_for_session =
        matches!(signature.place, Place::Query { .. }) && signature.token.is_some();
    // Some clients add the token to a URL that they have signed before.
    let matches =
        matches(&signed) || is_presigned_for_session && matches(&to_sign(SessionToken::Appended).1);
    if matches && claims_this_body(request, &body_hash) {
        return Ok(());
    }
    let canonical = match String::from_utf8_lossy(&canonical) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    };
    Err(Error::SignatureDoesNotMatch(Box::new(Unmatched { canonical, to_sign: signed })))
}

/// Whether the header that names the body's digest, if it does, names that of this body.
fn claims_this_body(request: &Request<'_>, body_hash: &str) -> bool {
    let claimed =
        request.headers.get_all("x-amz-content-sha256").iter().map(|value| value.as_bytes());
    let mut digests =
        claimed.filter(|claimed| claimed.len() == 64 && claimed.iter().all(u8::is_ascii_hexdigit));
    digests.all(|claimed| claimed.eq_ignore_ascii_case(body_hash.as_bytes()))
}
