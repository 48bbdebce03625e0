//! The public keys of an issuer, as it publishes them: a JSON Web Key Set (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The longest set that is read, in bytes. Those of large providers have a few thousand.
pub const SET_BYTES_MAX: usize = 256 << 10;

/// Keys of a set that are looked at.
const KEYS_MAX: usize = 100;

/// The moduli of RSA that are taken, in bytes: 2048 to 4096 bits. Shorter ones have been factored, or
/// may be; longer ones cost more time than a stranger should be able to ask for.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;

/// How the tokens of issuers may be signed: with a key of which only half is public. `none` is no way
/// to sign, and with HMAC whoever can verify can sign.
pub const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// The keys of a set that tokens can be verified with.
#[derive(Clone, Debug)]
pub struct KeySet(Vec<VerifyingKey>);

#[derive(Clone, Debug)]
struct VerifyingKey {
    id: Option<String>,
    kind: Kind,
    /// The only algorithm that its owner wants it used with.
    algorithm: Option<KeyAlgorithm>,
    key: DecodingKey,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<Value>,
}

impl KeySet {
    /// The keys of a set. Those that are of no use here are passed over; an error says, without the
    /// text, why there is none.
    pub fn parse(text: &[u8]) -> Result<KeySet, String> {
        if text.len() > SET_BYTES_MAX {
            return Err(format!("it is longer than {} KiB", SET_BYTES_MAX >> 10));
        }
        let raw: RawSet = serde_json::from_slice(text)
            .map_err(|_| "it is no JSON Web Key Set: an object with a list `keys`".to_string())?;
        let keys = raw.keys.into_iter().take(KEYS_MAX).filter_map(VerifyingKey::parse);
        let keys: Vec<_> = keys.collect();
        match keys.is_empty() {
            true => {
                Err("it has no public key of RSA (2048 to 4096 bits), P-256, P-384 or Ed25519 \
                         for signatures"
                    .into())
            }
            false => Ok(KeySet(keys)),
        }
    }

    /// The key that a token names and that goes with its algorithm. A token that names none is
    /// verified with the only key there is for it.
    pub fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| key.fits(algorithm));
        match id {
            Some(id) => fitting.find(|key| key.id.as_deref() == Some(id)).map(|key| &key.key),
            None => fitting.next().filter(|_| fitting.next().is_none()).map(|key| &key.key),
        }
    }
}

impl VerifyingKey {
    fn parse(raw: Value) -> Option<VerifyingKey> {
        let jwk: Jwk = serde_json::from_value(raw).ok()?;
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(key) => {
                let modulus = URL_SAFE_NO_PAD.decode(&key.n).ok()?;
                RSA_BYTES.contains(&modulus.len()).then_some(Kind::Rsa)?
            }
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => Kind::P256,
                EllipticCurve::P384 => Kind::P384,
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                Kind::Ed25519
            }
            // A secret that is published is none.
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let (id, algorithm) = (jwk.common.key_id, jwk.common.key_algorithm);
        Some(VerifyingKey { id, kind, algorithm, key })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Kind::Rsa,
            Algorithm::ES256 => Kind::P256,
            Algorithm::ES384 => Kind::P384,
            Algorithm::EdDSA => Kind::Ed25519,
            // HMAC, and whatever else there will be.
            _ => return false,
        };
        let wanted = self.algorithm.is_none_or(|only| only == KeyAlgorithm::from(algorithm));
        self.kind == kind && wanted
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::auth::test_keys;

    fn set(keys: Value) -> Result<KeySet, String> {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes())
    }

    #[test]
    fn a_key_is_found_by_its_id_and_its_kind() {
        let set = KeySet::parse(test_keys::JWKS.as_bytes()).unwrap();
        let finds = |id, algorithm| set.find(id, algorithm).is_some();
        for algorithm in [Algorithm::RS256, Algorithm::PS512] {
            assert!(finds(Some("rsa"), algorithm) && finds(None, algorithm));
            assert!(!finds(Some("ec"), algorithm) && !finds(Some("other"), algorithm));
        }
        assert!(finds(Some("ec"), Algorithm::ES256) && finds(Some("ed"), Algorithm::EdDSA));
        assert!(!finds(Some("ec"), Algorithm::ES384));
        for id in [Some("rsa"), Some("secret"), None] {
            assert!(!finds(id, Algorithm::HS256), "{id:?}");
        }
    }

    #[test]
    fn a_key_is_used_for_what_its_owner_says() {
        let with = |name: &str, value: &str| {
            let jwks: Value = serde_json::from_str(test_keys::JWKS).unwrap();
            let mut key = jwks["keys"][0].clone();
            key[name] = value.into();
            set(json!([key]))
        };
        let set = with("alg", "RS384").unwrap();
        assert!(set.find(Some("rsa"), Algorithm::RS384).is_some());
        assert!(set.find(Some("rsa"), Algorithm::RS256).is_none());
        assert!(with("use", "enc").is_err());
        // Half as long as it must be, and twice.
        assert!(with("n", &"x".repeat(171)).is_err());
        assert!(with("n", &"x".repeat(1366)).is_err());
    }

    #[test]
    fn without_an_id_there_must_be_no_choice() {
        let jwks: Value = serde_json::from_str(test_keys::JWKS).unwrap();
        let mut other = jwks["keys"][0].clone();
        other["kid"] = "another".into();
        let set = set(json!([jwks["keys"][0], other])).unwrap();
        assert!(set.find(None, Algorithm::RS256).is_none());
        assert!(set.find(Some("another"), Algorithm::RS256).is_some());
    }

    #[test]
    fn what_is_no_set_is_refused_and_odd_keys_are_passed_over() {
        for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[]}"#, r#"{"keys":[1,{}]}"#] {
            assert!(KeySet::parse(text.as_bytes()).is_err(), "{text}");
        }
        let secret = json!([{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]);
        assert!(set(secret).unwrap_err().contains("no public key"));
        let jwks: Value = serde_json::from_str(test_keys::JWKS).unwrap();
        let odd =
            json!([null, {"kty": "EC", "crv": "secp256k1", "x": "", "y": ""}, jwks["keys"][0]]);
        assert!(set(odd).is_ok());
        let long = format!("{}{}", test_keys::JWKS, " ".repeat(SET_BYTES_MAX));
        assert!(KeySet::parse(long.as_bytes()).unwrap_err().contains("longer"));
    }
}
