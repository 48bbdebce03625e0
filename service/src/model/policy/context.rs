//! What is known about a request beyond who does what to what: the keys of conditions and variables.
//! Source: facts sheet, 10.4.

use crate::model::caller::{Caller, Identity};

/// Looks up what a request brings along. It is asked only for keys that a policy names, so nothing
/// need be made ready.
pub trait Context {
    /// The values of a key, whose name is compared without regard to case; none where the request
    /// does not have it.
    fn values(&self, key: &str) -> Vec<String>;
}

/// A request with nothing to it.
impl Context for () {
    fn values(&self, _key: &str) -> Vec<String> {
        Vec::new()
    }
}

/// What follows from who asks; `None` for keys that do not.
pub(super) fn value_of_caller(caller: &Caller, key: &str) -> Option<Vec<String>> {
    let is = |name: &str| key.eq_ignore_ascii_case(name);
    let value = match () {
        () if is("aws:PrincipalArn") => principal_arn(caller),
        () if is("aws:PrincipalAccount") => caller.account().map(|id| id.as_str().into()),
        () if is("aws:PrincipalType") => Some(principal_type(&caller.identity).into()),
        () if is("aws:userid") => caller.user_id().or(Some("anonymous".into())),
        () if is("aws:username") => match &caller.identity {
            Identity::User { name, .. } => Some(name.clone()),
            _ => None,
        },
        () => return None,
    };
    Some(value.into_iter().collect())
}

/// Of somebody in a role it is the role's, and not the session's.
fn principal_arn(caller: &Caller) -> Option<String> {
    match &caller.identity {
        Identity::Session { account, role, .. } => {
            Some(format!("arn:aws:iam::{}:role/{role}", account.as_str()))
        }
        _ => caller.arn(),
    }
}

fn principal_type(identity: &Identity) -> &'static str {
    match identity {
        Identity::Anonymous => "Anonymous",
        Identity::Root(_) => "Account",
        Identity::User { .. } => "User",
        Identity::Session { .. } => "AssumedRole",
    }
}
