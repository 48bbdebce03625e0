//! The access key of the server's owner, who may do everything: from the configuration.

use std::sync::Arc;
use std::time::Duration;

use super::credentials::{CredentialSource, Credentials, NoCredentials, Secret};
use crate::model::caller::Caller;
use crate::model::queue::AccountId;

/// An access key and its secret, of whomever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootKey {
    /// The public half.
    pub access_key_id: String,
    /// The other one.
    pub secret: Secret,
}

/// Knows one access key: root's.
pub struct RootSource {
    access_key_id: String,
    credentials: Credentials,
}

impl RootSource {
    /// The key of the owner of an account.
    pub fn new(key: RootKey, account: AccountId) -> RootSource {
        let RootKey { access_key_id, secret } = key;
        let caller = Caller { access_key_id: Some(access_key_id.clone()), ..Caller::root(account) };
        RootSource { access_key_id, credentials: Credentials { secret, caller: Arc::new(caller) } }
    }
}

impl CredentialSource for RootSource {
    fn find(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        _now: Duration,
    ) -> Option<Result<Credentials, NoCredentials>> {
        (access_key_id == self.access_key_id).then(|| match token {
            None => Ok(self.credentials.clone()),
            // A key that is for good has no sessions.
            Some(_) => Err(NoCredentials::Unknown),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_one_key_and_no_sessions() {
        let account = AccountId::parse("111122223333").unwrap();
        let key = RootKey { access_key_id: "ROOT".into(), secret: Secret("secret".into()) };
        let source = RootSource::new(key, account.clone());
        let find = |id, token| source.find(id, token, Duration::ZERO);
        let caller = find("ROOT", None).unwrap().unwrap().caller;
        assert_eq!(caller.identity, Caller::root(account).identity);
        assert_eq!(caller.access_key_id.as_deref(), Some("ROOT"));
        assert_eq!(find("ROOT", Some("token")).unwrap().unwrap_err(), NoCredentials::Unknown);
        assert!(find("ROO", None).is_none() && find("root", None).is_none());
    }
}
