//! Users of an account, and the access keys that requests are signed with.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;

use super::caller::{Caller, Identity, Secret};
use super::policy::identity_policy::IdentityPolicy;
use super::queue::AccountId;
use super::time::Timestamp;
use crate::error::Error;
use crate::limits;

/// A user's name, without a path: 1 to 64 letters, digits and any of `+=,.@_-`. Source: CreateUser
/// of IAM.
// Differs from AWS: names that differ in nothing but case are those of two users.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Arc<str>);

impl UserName {
    /// Parses a name; `None` where it is none.
    pub fn parse(text: &str) -> Option<UserName> {
        is_name(text, limits::USER_NAME_BYTES_MAX).then(|| UserName(text.into()))
    }

    /// As the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What one of a user's policies is called: as a user's name, but up to 128. Source: PutUserPolicy
/// of IAM.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Arc<str>);

impl PolicyName {
    /// Parses a name; `None` where it is none.
    pub fn parse(text: &str) -> Option<PolicyName> {
        is_name(text, limits::USER_POLICY_NAME_BYTES_MAX).then(|| PolicyName(text.into()))
    }

    /// As the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_name(text: &str, bytes_max: usize) -> bool {
    let legal = |c: u8| c.is_ascii_alphanumeric() || b"+=,.@_-".contains(&c);
    !text.is_empty() && text.len() <= bytes_max && text.bytes().all(legal)
}

/// An id as IAM's look: a prefix that says of what kind it is, and a letter or digit for each byte.
pub fn iam_id(prefix: &str, bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let letters = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 31)]));
    prefix.chars().chain(letters).collect()
}

/// A user's name and whose user it is: unique on a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserKey {
    /// The account.
    pub account: AccountId,
    /// The name.
    pub name: UserName,
}

/// The policies of a user, by their names.
pub type Policies = BTreeMap<PolicyName, IdentityPolicy>;

/// A user. Immutable; a change publishes a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What it is called.
    pub key: UserKey,
    /// `AIDA…`: created again, it is another user.
    pub id: String,
    /// On the engine's clock.
    pub created_at: Timestamp,
    /// What it may do.
    pub policies: Policies,
}

impl User {
    /// Fails with `OverLimit` where its policies are too long together.
    pub fn check_policies(&self) -> Result<(), Error> {
        let bytes: usize = self.policies.values().map(|policy| policy.text().len()).sum();
        if bytes > limits::USER_POLICIES_BYTES_MAX {
            let max = limits::USER_POLICIES_BYTES_MAX;
            let text = format!("The policies of a user cannot be longer than {max} bytes together");
            return Err(Error::OverLimit(text.into()));
        }
        Ok(())
    }

    /// The user, signing with one of its keys.
    pub fn caller(&self, access_key_id: &str) -> Caller {
        let UserKey { account, name } = self.key.clone();
        let name = name.as_str().into();
        Caller {
            identity: Identity::User { account, name, id: self.id.clone() },
            access_key_id: Some(access_key_id.into()),
            policies: self.policies.values().map(|policy| policy.document().clone()).collect(),
            session_policy: None,
        }
    }
}

/// Whose an access key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The account's own: who has it may do everything to the account.
    Root(AccountId),
    /// A user's.
    User(UserKey),
}

impl Owner {
    /// The account.
    pub fn account(&self) -> &AccountId {
        match self {
            Owner::Root(account) | Owner::User(UserKey { account, .. }) => account,
        }
    }

    /// The user, if it is one's.
    pub fn user(&self) -> Option<&UserKey> {
        match self {
            Owner::Root(_) => None,
            Owner::User(user) => Some(user),
        }
    }
}

/// An access key. Immutable but for its last use; a change publishes a new one.
#[derive(Clone, Debug)]
pub struct AccessKey {
    /// `AKIA…`
    pub id: Arc<str>,
    /// Whose.
    pub owner: Owner,
    /// Requests may be signed with it.
    pub active: bool,
    /// On the engine's clock.
    pub created_at: Timestamp,
    /// The secret as it is stored.
    pub sealed: Bytes,
    /// What requests are signed with.
    pub secret: Secret,
    /// Who signs with it.
    pub caller: Arc<Caller>,
    /// When it was used last.
    pub last_used: Arc<LastUsed>,
}

/// When a key was used last, to the minute, in real time; noted by requests without waiting for one
/// another, and saved from time to time.
#[derive(Default)]
pub struct LastUsed {
    /// Milliseconds since the Unix epoch; zero for never.
    at: AtomicU64,
    saved: AtomicU64,
}

impl LastUsed {
    /// How exact it is: within this span a further use writes nothing that other processors share.
    const GRAIN: u64 = 60 * 1000;

    /// As it was saved.
    pub fn since(at: Option<Timestamp>) -> LastUsed {
        let at = at.unwrap_or_default().0;
        LastUsed { at: at.into(), saved: at.into() }
    }

    /// The key is used; `now` since 1970.
    pub fn note(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(self.at.load(Relaxed)) >= Self::GRAIN {
            self.at.store(now, Relaxed);
        }
    }

    /// When it was used last, if ever.
    pub fn at(&self) -> Option<Timestamp> {
        let at = self.at.load(Relaxed);
        (at > 0).then_some(Timestamp(at))
    }

    /// Whether there is something to save; from now on there is not.
    pub fn take_unsaved(&self) -> bool {
        let at = self.at.load(Relaxed);
        self.saved.swap(at, Relaxed) != at
    }
}

impl fmt::Debug for LastUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.at().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_iam() {
        for name in ["a", "Jane.Doe@example.com", "ci+deploy=1,2_-", &"n".repeat(64)] {
            assert!(UserName::parse(name).is_some(), "{name}");
        }
        for name in ["", "a b", "a/b", "a:b", "*", "ä", "a\n", &"n".repeat(65)] {
            assert!(UserName::parse(name).is_none(), "{name}");
        }
        assert!(PolicyName::parse(&"n".repeat(128)).is_some());
        assert!(PolicyName::parse(&"n".repeat(129)).is_none());
    }

    #[test]
    fn the_last_use_is_known_to_the_minute_and_saved_once() {
        let used = LastUsed::default();
        assert_eq!((used.at(), used.take_unsaved()), (None, false));
        used.note(Duration::from_secs(1_700_000_000));
        used.note(Duration::from_secs(1_700_000_059));
        assert_eq!(used.at(), Some(Timestamp(1_700_000_000_000)));
        assert!(used.take_unsaved());
        assert!(!used.take_unsaved());
        used.note(Duration::from_secs(1_700_000_060));
        assert!(used.take_unsaved());
        assert!(!LastUsed::since(used.at()).take_unsaved());
    }
}
