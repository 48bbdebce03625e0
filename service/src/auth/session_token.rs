//! The token of a session: all that any node has to know about temporary credentials, signed, and
//! carried by whoever has them. It holds no secret; the secret access key follows from it for whoever
//! has the key it is signed with.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::auth::credentials::Secret;
use crate::auth::ids;
use crate::env;
use crate::error::Error;

/// The longest token that is looked at, in bytes: one with the longest session policy, each byte of
/// it escaped, is shorter.
pub const TOKEN_BYTES_MAX: usize = 16 << 10;

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionClaims {
    /// The access key that it belongs to.
    #[serde(rename = "akid")]
    pub access_key_id: String,
    /// Makes the secret one that nobody else gets, whatever ids there are.
    #[serde(rename = "jti")]
    pub nonce: String,
    /// The role's ARN.
    pub role: String,
    /// What the session calls itself.
    pub name: String,
    /// The session policy, as it was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
}

/// What the holder of a role is given.
#[derive(Clone)]
pub struct Issued {
    /// `ASIA…`
    pub access_key_id: String,
    /// What requests are to be signed with.
    pub secret: Secret,
    /// What goes with every request.
    pub token: String,
    /// When it ends, since 1970.
    pub expires: Duration,
}

/// Whose session, for how long.
#[derive(Clone, Copy, Debug)]
pub struct Grant<'a> {
    /// The role's ARN.
    pub role: &'a str,
    /// What the session calls itself.
    pub name: &'a str,
    /// The session policy.
    pub policy: Option<&'a str>,
    /// When it is to end, since 1970.
    pub expires: Duration,
}

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// None of ours.
    Invalid,
    /// Past its time.
    Expired,
}

/// The keys that tokens are signed with: the first signs, all verify.
#[derive(Clone)]
pub struct SigningKeys(Vec<SigningKey>);

#[derive(Clone)]
struct SigningKey {
    id: String,
    encoding: EncodingKey,
    decoding: DecodingKey,
    /// For secrets: a key signs tokens, or makes secrets.
    secrets: [u8; 32],
}

impl SigningKeys {
    /// The keys that follow from others, by their ids: the current one first, then those that older
    /// tokens are signed with.
    pub fn derive<'k>(keys: impl IntoIterator<Item = (&'k str, [u8; 32])>) -> SigningKeys {
        let key = |(id, key): (&str, [u8; 32])| {
            let signing = hmac(&key, &[b"stanchion session token"]);
            SigningKey {
                id: id.into(),
                encoding: EncodingKey::from_secret(&signing),
                decoding: DecodingKey::from_secret(&signing),
                secrets: hmac(&key, &[b"stanchion session secret"]),
            }
        };
        SigningKeys(keys.into_iter().map(key).collect())
    }

    /// New credentials.
    pub fn issue(&self, grant: Grant<'_>) -> Result<Issued, Error> {
        let odd = |why: &dyn fmt::Display| {
            Error::Internal(format!("signing a session token: {why}").into())
        };
        let key = self.0.first().ok_or_else(|| odd(&"there is no key"))?;
        let claims = SessionClaims {
            access_key_id: ids::session_key_id(),
            nonce: URL_SAFE_NO_PAD.encode(env::os_random::<16>()),
            role: grant.role.into(),
            name: grant.name.into(),
            policy: grant.policy.map(String::from),
            exp: grant.expires.as_secs(),
        };
        let header = Header { kid: Some(key.id.clone()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims, &key.encoding);
        Ok(Issued {
            token: token.map_err(|error| odd(&error))?,
            secret: key.secret_of(&claims),
            access_key_id: claims.access_key_id,
            expires: grant.expires,
        })
    }

    /// What a token says, and the secret that goes with it. `now` since 1970.
    pub fn open(&self, token: &str, now: Duration) -> Result<(SessionClaims, Secret), Refusal> {
        let key = self.key_of(token).ok_or(Refusal::Invalid)?;
        let mut validation = Validation::new(Algorithm::HS256);
        // The library would look at a clock of its own.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims::<&str>(&[]);
        let claims = jsonwebtoken::decode::<SessionClaims>(token, &key.decoding, &validation)
            .map_err(|_| Refusal::Invalid)?
            .claims;
        // The signature first: what is not ours has not expired.
        if claims.exp <= now.as_secs() {
            return Err(Refusal::Expired);
        }
        let secret = key.secret_of(&claims);
        Ok((claims, secret))
    }

    fn key_of(&self, token: &str) -> Option<&SigningKey> {
        if token.len() > TOKEN_BYTES_MAX {
            return None;
        }
        let id = jsonwebtoken::decode_header(token).ok()?.kid?;
        self.0.iter().find(|key| key.id == id)
    }
}

impl SigningKey {
    /// 40 characters, as AWS's are.
    fn secret_of(&self, claims: &SessionClaims) -> Secret {
        let parts = [&claims.access_key_id, "/", &claims.nonce].map(str::as_bytes);
        Secret(STANDARD.encode(&hmac(&self.secrets, &parts)[..30]).into())
    }
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({}, …)", self.access_key_id)
    }
}

impl fmt::Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_700_000_000);

    fn keys(of: &[(&str, u8)]) -> SigningKeys {
        SigningKeys::derive(of.iter().map(|(id, byte)| (*id, [*byte; 32])))
    }

    fn grant() -> Grant<'static> {
        Grant {
            role: "arn:aws:iam::000000000000:role/orders",
            name: "pod-7",
            policy: Some(r#"{"Statement":[]}"#),
            expires: NOW + Duration::from_secs(900),
        }
    }

    #[test]
    fn another_node_with_the_key_derives_the_same_secret() {
        let issued = keys(&[("a", 1)]).issue(grant()).unwrap();
        let (claims, secret) = keys(&[("b", 2), ("a", 1)]).open(&issued.token, NOW).unwrap();
        assert_eq!(secret, issued.secret);
        assert_eq!(secret.0.len(), 40);
        assert_eq!(claims.access_key_id, issued.access_key_id);
        assert_eq!((&*claims.role, &*claims.name), (grant().role, grant().name));
        assert_eq!(claims.policy.as_deref(), grant().policy);
        let another = keys(&[("a", 1)]).issue(grant()).unwrap();
        assert_ne!(another.secret, issued.secret);
    }

    #[test]
    fn the_token_does_not_show_the_secret() {
        let issued = keys(&[("a", 1)]).issue(grant()).unwrap();
        for part in issued.token.split('.') {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains(&*issued.secret.0));
        }
        let shown = format!("{issued:?}");
        assert!(!shown.contains(&*issued.secret.0) && !shown.contains(&issued.token), "{shown}");
        assert_eq!(format!("{:?}", keys(&[("a", 1), ("b", 2)])), r#"["a", "b"]"#);
    }

    #[test]
    fn a_token_ends_and_a_key_that_is_gone_opens_nothing() {
        let issued = keys(&[("a", 1)]).issue(grant()).unwrap();
        let open = |keys: SigningKeys, now| keys.open(&issued.token, now).map(drop);
        let end = issued.expires;
        assert_eq!(open(keys(&[("a", 1)]), end - Duration::from_secs(1)), Ok(()));
        assert_eq!(open(keys(&[("a", 1)]), end), Err(Refusal::Expired));
        for other in [&[("a", 2)][..], &[("b", 1)], &[]] {
            assert_eq!(open(keys(other), NOW), Err(Refusal::Invalid), "{other:?}");
            assert_eq!(open(keys(other), end), Err(Refusal::Invalid), "{other:?}");
        }
        assert!(keys(&[]).issue(grant()).is_err());
    }

    #[test]
    fn no_other_algorithm_is_taken() {
        let keys = keys(&[("a", 1)]);
        let issued = keys.issue(grant()).unwrap();
        let payload = issued.token.split('.').nth(1).unwrap();
        for alg in ["none", "None", "RS256", "HS384", "ES256", "HS999"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "a"}).to_string());
            for signature in ["", issued.token.rsplit('.').next().unwrap()] {
                let token = format!("{header}.{payload}.{signature}");
                assert_eq!(keys.open(&token, NOW).map(drop), Err(Refusal::Invalid), "{alg}");
            }
        }
        // Signed with the right key, but for something else.
        let header = Header { kid: Some("a".into()), ..Header::new(Algorithm::HS384) };
        let claims = keys.open(&issued.token, NOW).unwrap().0;
        let token = jsonwebtoken::encode(&header, &claims, &keys.0[0].encoding).unwrap();
        assert_eq!(keys.open(&token, NOW).map(drop), Err(Refusal::Invalid));
    }

    #[test]
    fn the_longest_policy_fits_and_what_is_longer_is_not_looked_at() {
        let keys = keys(&[("a", 1)]);
        let policy = "\"".repeat(2048);
        let issued = keys.issue(Grant { policy: Some(&policy), ..grant() }).unwrap();
        assert!(keys.open(&issued.token, NOW).is_ok());
        let policy = "x".repeat(TOKEN_BYTES_MAX);
        let issued = keys.issue(Grant { policy: Some(&policy), ..grant() }).unwrap();
        assert_eq!(keys.open(&issued.token, NOW).map(drop), Err(Refusal::Invalid));
    }

    proptest! {
        #[test]
        fn any_other_token_is_refused(at in any::<prop::sample::Index>(), with in "[A-Za-z0-9._=-]") {
            let keys = keys(&[("a", 1)]);
            let token = keys.issue(grant()).unwrap().token;
            let at = at.index(token.len());
            let changed = [&token[..at], &with, &token[at + 1..]].concat();
            let opened = keys.open(&changed, NOW);
            // The last character of a signature has bits to spare.
            prop_assert!(opened.is_err() || changed == token || at + 1 == token.len());
        }

        #[test]
        fn no_text_makes_it_panic(token in "[A-Za-z0-9._-]{0,200}|.{0,60}") {
            prop_assert!(keys(&[("a", 1)]).open(&token, NOW).is_err());
        }
    }
}
