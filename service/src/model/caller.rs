//! Who makes a request.

use std::fmt;
use std::sync::Arc;

use super::policy::document::Document;
use super::queue::AccountId;

/// Whoever makes a request, as far as it is known, and what they bring with them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub identity: Identity,
    /// The key that the request is signed with.
    pub access_key_id: Option<String>,
    /// What the identity may do: the policies of the user or the role.
    pub policies: Vec<Arc<Document>>,
    /// What this session may do at the most; narrows, never widens.
    pub session_policy: Option<Arc<Document>>,
}

/// An identity of IAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Nobody: the request is not signed.
    Anonymous,
    /// The owner of an account, who may do everything to it.
    Root(AccountId),
    /// A user of an account.
    User {
        /// Whose.
        account: AccountId,
        /// The name, without a path.
        name: String,
        /// `AIDA…`
        id: String,
    },
    /// Somebody in a role.
    Session {
        /// Whose role.
        account: AccountId,
        /// The role's name.
        role: String,
        /// `AROA…`
        role_id: String,
        /// What the session calls itself.
        name: String,
    },
}

impl Identity {
    /// The ARN, as GetCallerIdentity shows it (facts sheet, 11.6).
    pub fn arn(&self) -> Option<String> {
        match self {
            Identity::Anonymous => None,
            Identity::Root(account) => Some(format!("arn:aws:iam::{}:root", account.as_str())),
            Identity::User { account, name, .. } => {
                Some(format!("arn:aws:iam::{}:user/{name}", account.as_str()))
            }
            Identity::Session { account, role, name, .. } => {
                Some(format!("arn:aws:sts::{}:assumed-role/{role}/{name}", account.as_str()))
            }
        }
    }
}

impl Caller {
    /// An account's owner.
    pub fn root(account: AccountId) -> Caller {
        Caller::of(Identity::Root(account))
    }

    /// Somebody who has signed nothing.
    pub fn anonymous() -> Caller {
        Caller::of(Identity::Anonymous)
    }

    fn of(identity: Identity) -> Caller {
        Caller { identity, access_key_id: None, policies: Vec::new(), session_policy: None }
    }

    /// The account; nobody has none.
    pub fn account(&self) -> Option<&AccountId> {
        match &self.identity {
            Identity::Anonymous => None,
            Identity::Root(account)
            | Identity::User { account, .. }
            | Identity::Session { account, .. } => Some(account),
        }
    }

    /// The ARN, as GetCallerIdentity shows it.
    pub fn arn(&self) -> Option<String> {
        self.identity.arn()
    }

    /// The unique id: `UserId` of GetCallerIdentity, `aws:userid`, `SenderId` of what is sent.
    pub fn user_id(&self) -> Option<String> {
        match &self.identity {
            Identity::Anonymous => None,
            Identity::Root(account) => Some(account.as_str().into()),
            Identity::User { id, .. } => Some(id.clone()),
            Identity::Session { role_id, name, .. } => Some(format!("{role_id}:{name}")),
        }
    }
}

/// A secret access key. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
