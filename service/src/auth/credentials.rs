//! Whose an access key is. Each kind of key has a source of its own: root's comes from the
//! configuration, users' are stored, temporary ones carry what is to be known about them in their
//! session token.

use std::sync::Arc;
use std::time::Duration;

pub use crate::model::caller::Secret;

use crate::model::caller::Caller;

/// An access key that may be used.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// What requests are signed with.
    pub secret: Secret,
    /// Who signs with it.
    pub caller: Arc<Caller>,
}

/// Why an access key may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCredentials {
    /// Nobody has it, or it has been disabled, or its session token is missing, wrong or another's:
    /// `InvalidClientTokenId`.
    Unknown,
    /// Its session token is past its time: `ExpiredToken`.
    Expired,
}

/// Where access keys are looked up, in memory: a request waits for it.
pub trait CredentialSource: Send + Sync {
    /// The credentials of an access key, `None` when the key is none of this source. `token` is
    /// the session token that came with the request; `now` is the real time since 1970.
    fn find(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        now: Duration,
    ) -> Option<Result<Credentials, NoCredentials>>;

    /// A request was signed with one of this source's keys, and rightly so.
    fn note_use(&self, _access_key_id: &str, _now: Duration) {}
}
