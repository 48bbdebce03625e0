//! Tokens of OpenID Connect: who somebody is, on the word of an issuer that the configuration names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, Header, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::auth::claims::Claims;
use crate::auth::fresh_keys::{FreshKeys, KeySource, NoKey};
use crate::error::Error;

/// How far an issuer's clock may be ahead of ours.
const SKEW: Duration = Duration::from_secs(60);

/// An issuer as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerOptions {
    /// What roles call it.
    pub name: String,
    /// What its tokens call it: `iss`, to the letter.
    pub url: String,
    /// Whom its tokens must be meant for, one of these.
    pub audiences: Vec<String>,
    /// How its tokens may be signed.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are.
    pub keys: KeySource,
}

#[derive(Debug)]
struct Issuer {
    options: IssuerOptions,
    keys: Arc<FreshKeys>,
}

/// All issuers, by what their tokens call them.
#[derive(Debug, Default)]
pub struct Issuers(BTreeMap<String, Issuer>);

/// Somebody whom an issuer vouches for.
#[derive(Clone, Debug, PartialEq)]
pub struct WebIdentity {
    /// The issuer's name in the configuration.
    pub issuer: String,
    /// What it calls itself.
    pub issuer_url: String,
    /// Who it is.
    pub subject: String,
    /// Whom the token is meant for, as far as that is us.
    pub audience: String,
    /// All that the token says.
    pub claims: Claims,
}

impl Issuers {
    /// The configured issuers, whose keys have not been read.
    pub fn new(options: &[IssuerOptions]) -> Issuers {
        let issuer = |options: &IssuerOptions| {
            let keys = Arc::new(FreshKeys::new(options.keys.clone()));
            (options.url.clone(), Issuer { options: options.clone(), keys })
        };
        Issuers(options.iter().map(issuer).collect())
    }

    /// Reads their keys, and keeps them fresh until told to stop. An error names the file that cannot
    /// be read; what is on the network may be there later.
    pub async fn start(&self, stop: &CancellationToken) -> Result<(), String> {
        for Issuer { options, keys } in self.0.values() {
            if matches!(options.keys, KeySource::File(_)) {
                let read = keys.read().await;
                read.map_err(|why| format!("issuers.{}.jwks_file: {why}", options.name))?;
            }
            tokio::spawn(keys.clone().keep(options.name.clone(), stop.clone()));
        }
        Ok(())
    }

    /// Whom a token is about, if one of the issuers made it, for us, and it is good now (`now` since
    /// 1970): else `InvalidIdentityToken`, `ExpiredTokenException` or `IDPCommunicationError`.
    pub async fn verify(&self, token: &str, now: Duration) -> Result<WebIdentity, Error> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| no_token())?;
        // What has to be understood and is not.
        if header.crit.is_some() {
            return Err(no_token());
        }
        let issuer = self.issuer_of(token)?;
        let claims = issuer.read(token, &header).await?;
        check_time(&claims, now)?;
        let audience = claims
            .audiences()
            .find(|one| issuer.options.audiences.iter().any(|known| known == one))
            .ok_or_else(wrong_audience)?;
        Ok(WebIdentity {
            issuer: issuer.options.name.clone(),
            issuer_url: issuer.options.url.clone(),
            subject: claims.subject().ok_or_else(no_token)?.into(),
            audience: audience.into(),
            claims,
        })
    }

    /// Whose a token claims to be.
    fn issuer_of(&self, token: &str) -> Result<&Issuer, Error> {
        #[derive(Deserialize)]
        struct Claimed {
            iss: String,
        }
        let claimed = jsonwebtoken::dangerous::insecure_decode_claims::<Claimed>(token);
        let url = claimed.map_err(|_| no_token())?.iss;
        self.0.get(&url).ok_or_else(|| {
            let url: String = url.chars().take(256).collect();
            invalid(format!("No OpenIDConnect provider found in your account for {url}"))
        })
    }
}

impl Issuer {
    /// What a token says, if the issuer has signed it, and for us.
    async fn read(&self, token: &str, header: &Header) -> Result<Claims, Error> {
        let IssuerOptions { url, audiences, algorithms, .. } = &self.options;
        // The token must not choose how it is verified: not by no signature, and not by HMAC with a
        // key that everybody knows.
        if !algorithms.contains(&header.alg) {
            return Err(invalid(format!("The algorithm {:?} is not accepted", header.alg)));
        }
        let key = self.keys.find(header.kid.as_deref(), header.alg).await;
        let key = key.map_err(|why| match why {
            NoKey::Unknown => {
                invalid("Couldn't retrieve verification key from your identity provider")
            }
            NoKey::NotRead => Error::IdpCommunicationError,
        })?;
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[url]);
        validation.set_audience(audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // The library would look at a clock of its own.
        validation.validate_exp = false;
        let read = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation);
        read.map(|read| Claims(read.claims)).map_err(|error| {
            use jsonwebtoken::errors::ErrorKind::{InvalidAudience, InvalidSignature};
            match error.kind() {
                InvalidAudience => wrong_audience(),
                InvalidSignature => invalid("The token's signature is not that of its issuer"),
                _ => no_token(),
            }
        })
    }
}

fn check_time(claims: &Claims, now: Duration) -> Result<(), Error> {
    let expires = claims.moment("exp").ok_or_else(no_token)?;
    if expires <= now {
        let (now, expires) = (now.as_secs(), expires.as_secs());
        return Err(Error::IdentityTokenExpired { now, expires });
    }
    match claims.moment("nbf") {
        Some(begins) if begins > now + SKEW => Err(invalid("The token is not yet valid")),
        None if claims.0.contains_key("nbf") => Err(no_token()),
        _ => Ok(()),
    }
}

fn invalid(why: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::InvalidIdentityToken(why.into())
}

fn no_token() -> Error {
    invalid(
        "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access \
         Token)",
    )
}

fn wrong_audience() -> Error {
    invalid("Incorrect token audience")
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    use jsonwebtoken::EncodingKey;
    use proptest::prelude::*;
    use serde_json::json;
    use tempfile::NamedTempFile;

    use super::*;
    use crate::auth::jwks::ALGORITHMS;
    use crate::auth::test_keys::{EC, ED, JWKS, RSA};

    const NOW: Duration = Duration::from_secs(1_700_000_000);
    const URL: &str = "https://issuer.example";

    fn key(algorithm: Algorithm) -> (&'static str, EncodingKey) {
        let der = |text| STANDARD.decode(text).unwrap();
        match algorithm {
            Algorithm::ES256 => ("ec", EncodingKey::from_ec_der(&der(EC))),
            Algorithm::EdDSA => ("ed", EncodingKey::from_ed_der(&der(ED))),
            _ => ("rsa", EncodingKey::from_rsa_der(&der(RSA))),
        }
    }

    fn claims() -> Value {
        json!({
            "iss": URL, "sub": "system:serviceaccount:shop:orders", "aud": ["other", "stanchion"],
            "exp": NOW.as_secs() + 600, "nbf": NOW.as_secs(), "iat": NOW.as_secs(),
        })
    }

    fn with(changes: Value) -> Value {
        let mut claims = claims();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn sign(claims: &Value, algorithm: Algorithm) -> String {
        let (id, key) = key(algorithm);
        let header = Header { kid: Some(id.into()), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    }

    /// A token with any header and signature.
    fn forge(header: Value, signature: &[u8]) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        [encode(&header), encode(&claims()), URL_SAFE_NO_PAD.encode(signature)].join(".")
    }

    async fn issuers(algorithms: &[Algorithm]) -> (Issuers, NamedTempFile) {
        let file = NamedTempFile::new().unwrap();
        std::fs::write(file.path(), JWKS).unwrap();
        let options = IssuerOptions {
            name: "cluster".into(),
            url: URL.into(),
            audiences: vec!["stanchion".into(), "sts.amazonaws.com".into()],
            algorithms: algorithms.to_vec(),
            keys: KeySource::File(file.path().into()),
        };
        let issuers = Issuers::new(&[options]);
        issuers.start(&CancellationToken::new()).await.unwrap();
        (issuers, file)
    }

    async fn refusal(issuers: &Issuers, token: &str) -> Error {
        issuers.verify(token, NOW).await.unwrap_err()
    }

    #[tokio::test]
    async fn an_issuer_vouches_for_somebody() {
        let (issuers, _file) = issuers(&ALGORITHMS).await;
        for algorithm in [
            Algorithm::RS256,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::ES256,
            Algorithm::EdDSA,
        ] {
            let found = issuers.verify(&sign(&claims(), algorithm), NOW).await.unwrap();
            assert_eq!((&*found.issuer, &*found.issuer_url), ("cluster", URL));
            assert_eq!(found.subject, "system:serviceaccount:shop:orders");
            assert_eq!(found.audience, "stanchion");
        }
        let single = sign(&with(json!({"aud": "sts.amazonaws.com"})), Algorithm::RS256);
        assert_eq!(issuers.verify(&single, NOW).await.unwrap().audience, "sts.amazonaws.com");
    }

    #[tokio::test]
    async fn a_token_must_be_in_its_time() {
        let (issuers, _file) = issuers(&ALGORITHMS).await;
        let now = NOW.as_secs();
        for (changes, good) in [
            (json!({"exp": now + 1}), true),
            (json!({"exp": now + 1, "nbf": now + 60}), true),
            (json!({"nbf": now + 61}), false),
            (json!({"nbf": "soon"}), false),
            (json!({"exp": "later"}), false),
            (json!({"exp": -1}), false),
            (json!({"exp": null}), false),
        ] {
            let verified =
                issuers.verify(&sign(&with(changes.clone()), Algorithm::ES256), NOW).await;
            assert_eq!(verified.is_ok(), good, "{changes}: {verified:?}");
        }
        let late = sign(&with(json!({"exp": now})), Algorithm::ES256);
        let expired = Error::IdentityTokenExpired { now, expires: now };
        assert_eq!(refusal(&issuers, &late).await, expired);
    }

    #[tokio::test]
    async fn a_token_must_be_of_a_known_issuer_and_for_us() {
        let (issuers, _file) = issuers(&ALGORITHMS).await;
        for (changes, why) in [
            (
                json!({"iss": "https://other.example"}),
                "provider found in your account for https://o",
            ),
            (json!({"iss": "https://issuer.example/"}), "provider found"),
            (json!({"iss": [URL]}), "not a valid JWT"),
            (json!({"iss": null}), "not a valid JWT"),
            (json!({"aud": "other"}), "Incorrect token audience"),
            (json!({"aud": []}), "Incorrect token audience"),
            (json!({"aud": null}), "not a valid JWT"),
            (json!({"aud": 5}), "not a valid JWT"),
            (json!({"sub": null}), "not a valid JWT"),
            (json!({"sub": 5}), "not a valid JWT"),
        ] {
            let error = refusal(&issuers, &sign(&with(changes.clone()), Algorithm::EdDSA)).await;
            assert!(matches!(error, Error::InvalidIdentityToken(_)), "{changes}");
            assert!(error.to_string().contains(why), "{changes}: {error}");
        }
    }

    #[tokio::test]
    async fn nobody_verifies_what_everybody_can_sign() {
        let (issuers, _file) = issuers(&ALGORITHMS).await;
        for alg in ["none", "None", "NONE", "", "HS256", "HS512"] {
            for id in [json!("rsa"), json!("secret"), Value::Null] {
                let token = forge(json!({"alg": alg, "kid": id}), b"");
                let error = refusal(&issuers, &token).await;
                assert!(matches!(error, Error::InvalidIdentityToken(_)), "{alg}: {error}");
            }
        }
        // HMAC with what is published, in every form somebody may have hoped for.
        let set: Value = serde_json::from_str(JWKS).unwrap();
        let modulus = set["keys"][0]["n"].as_str().unwrap();
        let decoded = URL_SAFE_NO_PAD.decode(modulus).unwrap();
        for secret in [modulus.as_bytes(), &decoded, b"secret", b"", JWKS.as_bytes()] {
            for id in ["rsa", "secret"] {
                let header = Header { kid: Some(id.into()), ..Header::new(Algorithm::HS256) };
                let key = EncodingKey::from_secret(secret);
                let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
                let error = refusal(&issuers, &token).await;
                assert!(error.to_string().contains("HS256 is not accepted"), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn only_what_the_configuration_lists_is_an_algorithm() {
        let (issuers, _file) = issuers(&[Algorithm::RS256]).await;
        assert!(issuers.verify(&sign(&claims(), Algorithm::RS256), NOW).await.is_ok());
        for other in [Algorithm::RS384, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA] {
            let error = refusal(&issuers, &sign(&claims(), other)).await;
            assert!(error.to_string().contains("not accepted"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_key_that_is_not_the_issuers_opens_nothing() {
        let (issuers, _file) = issuers(&ALGORITHMS).await;
        let (_, key) = key(Algorithm::RS256);
        for id in [Some("other".to_string()), Some("ec".into()), Some(String::new())] {
            let header = Header { kid: id.clone(), ..Header::new(Algorithm::RS256) };
            let token = jsonwebtoken::encode(&header, &claims(), &key).unwrap();
            let error = refusal(&issuers, &token).await;
            assert!(error.to_string().contains("verification key"), "{id:?}: {error}");
        }
        let token = sign(&claims(), Algorithm::RS256);
        let (signed, _) = token.rsplit_once('.').unwrap();
        let other = sign(&with(json!({"sub": "x"})), Algorithm::RS256);
        let (_, signature) = other.rsplit_once('.').unwrap();
        let error = refusal(&issuers, &format!("{signed}.{signature}")).await;
        assert!(error.to_string().contains("signature"), "{error}");
        // Whoever brings a key along is not believed.
        let jwk = &serde_json::from_str::<Value>(JWKS).unwrap()["keys"][0];
        let error = refusal(&issuers, &forge(json!({"alg": "RS256", "jwk": jwk}), b"x")).await;
        assert!(matches!(error, Error::InvalidIdentityToken(_)), "{error}");
        let critical = json!({"alg": "RS256", "kid": "rsa", "crit": ["b64"], "b64": false});
        let error = refusal(&issuers, &forge(critical, b"x")).await;
        assert!(error.to_string().contains("not a valid JWT"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_named_by_its_key() {
        let options = IssuerOptions {
            name: "cluster".into(),
            url: URL.into(),
            audiences: vec!["x".into()],
            algorithms: ALGORITHMS.into(),
            keys: KeySource::File("/nowhere/jwks.json".into()),
        };
        let error = Issuers::new(&[options]).start(&CancellationToken::new()).await.unwrap_err();
        assert!(error.starts_with("issuers.cluster.jwks_file: /nowhere/jwks.json: "), "{error}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_token_that_is_changed_anywhere_is_refused(
            changes in prop::collection::vec((any::<prop::sample::Index>(), "[A-Za-z0-9_.-]"), 1..3),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (issuers, _file) = issuers(&ALGORITHMS).await;
                let token = sign(&claims(), Algorithm::EdDSA);
                let mut changed = token.clone();
                for (at, with) in changes {
                    let at = at.index(token.len() - 1);
                    changed.replace_range(at..=at, &with);
                }
                let verified = issuers.verify(&changed, NOW).await;
                prop_assert!(verified.is_err() || changed == token, "{changed}");
                Ok(())
            })?;
        }
    }
}
