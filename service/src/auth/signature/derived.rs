//! Signing keys that were derived before: a key is good for a day, and deriving it takes as long as
//! all the rest of a verification.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use aws_sigv4::sign::v4::generate_signing_key;

use super::read::Credential;
use crate::auth::credentials::Secret;
use crate::model::calendar::Moment;

/// How many keys are remembered. One that is not is derived anew.
const PLACES: usize = 4096;

/// A signing key: of SHA-256, and so of its length.
pub type SigningKey = [u8; 32];

/// Keys of the latest callers. Each key has one place, which whoever comes later takes over: so the
/// memory is bounded, and readers take no lock.
pub struct DerivedKeys {
    places: Box<[ArcSwapOption<Derived>]>,
    hasher: RandomState,
}

/// A key and all that it was derived from.
pub struct Derived {
    /// The key.
    pub key: SigningKey,
    secret: Secret,
    access_key_id: Box<str>,
    scope: Box<str>,
}

impl Default for DerivedKeys {
    fn default() -> DerivedKeys {
        let places = (0..PLACES).map(|_| ArcSwapOption::empty()).collect();
        DerivedKeys { places, hasher: RandomState::new() }
    }
}

impl DerivedKeys {
    /// The key of a credential, remembered or derived. A secret that has changed gives another key.
    pub fn get(&self, credential: &Credential<'_>, at: Moment, secret: &Secret) -> Arc<Derived> {
        let found = self.place(credential).load_full().filter(|derived| {
            *derived.access_key_id == *credential.access_key_id()
                && *derived.scope == *credential.scope()
                && derived.secret == *secret
        });
        found.unwrap_or_else(|| Arc::new(Derived::derive(credential, at, secret)))
    }

    /// Remembers the key of a credential. Only for who has proved to have the secret: others could
    /// drive out keys that are of use.
    pub fn keep(&self, credential: &Credential<'_>, derived: &Arc<Derived>) {
        let place = self.place(credential);
        if !place.load().as_ref().is_some_and(|there| Arc::ptr_eq(there, derived)) {
            place.store(Some(derived.clone()));
        }
    }

    fn place(&self, credential: &Credential<'_>) -> &ArcSwapOption<Derived> {
        let hash = self.hasher.hash_one((credential.access_key_id(), credential.scope()));
        // The remainder is below `PLACES`.
        &self.places[(hash % PLACES as u64) as usize]
    }
}

impl Derived {
    fn derive(credential: &Credential<'_>, at: Moment, secret: &Secret) -> Derived {
        let time = UNIX_EPOCH + Duration::from_secs(at.0);
        let derived =
            generate_signing_key(&secret.0, time, credential.region(), credential.service());
        let mut key = SigningKey::default();
        key.copy_from_slice(derived.as_ref());
        Derived {
            key,
            secret: secret.clone(),
            access_key_id: credential.access_key_id().into(),
            scope: credential.scope().into(),
        }
    }
}
