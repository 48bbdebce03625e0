//! Whether somebody may do something: a pure function of policies and what is known about the
//! request. Source: facts sheet, 10.6.

use std::fmt;

use super::actions::{Permission, Scope};
use super::conditions::{self, is_like};
use super::context::{Context, value_of_caller};
use super::document::{Condition, Document, Effect, Selection, Statement, Version};
use super::principals;
use super::wildcards::{ignoring_case, matches, wild};
use crate::model::caller::{Caller, Identity};
use crate::model::queue::{AccountId, QueueKey};

/// What is asked.
pub struct Question<'a> {
    /// Who wants to.
    pub caller: &'a Caller,
    /// Do what.
    pub permission: Permission,
    /// To what.
    pub resource: Resource<'a>,
    /// Under which circumstances.
    pub context: &'a dyn Context,
}

/// What something is done to.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// A queue, which need not exist.
    Queue {
        /// Its name.
        key: &'a QueueKey,
        /// Its policy.
        policy: Option<&'a Document>,
    },
    /// Whatever an account owns: `*`.
    All(&'a AccountId),
    /// Something else, as far as an account has a say in what its own people do with it.
    Other {
        /// The account.
        account: &'a AccountId,
        /// What it is.
        arn: &'a str,
    },
}

/// The answer, and what it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// Whether, and why not.
    pub verdict: Verdict,
    /// The statement that decided; none where the lack of one did, or an account's owner asked.
    pub by: Option<Deciding<'a>>,
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done.
    Allowed,
    /// A policy of this kind says that it must not.
    Refused(PolicyKind),
    /// No policy of this kind says that it may.
    NotAllowed(PolicyKind),
}

/// Where a policy is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// With an identity: a user's, a role's.
    Identity,
    /// With a queue.
    Resource,
    /// With a session, which it narrows.
    Session,
}

/// A statement of one of the policies that were looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deciding<'a> {
    /// Of which policy.
    pub kind: PolicyKind,
    /// The policy among those of its kind, from zero.
    pub policy: usize,
    /// The statement's place in it, from zero.
    pub statement: usize,
    /// What its author calls it.
    pub sid: Option<&'a str>,
}

/// Decides as AWS does: whatever denies, denies; an account's own people need a policy of theirs or of
/// the queue that allows, other accounts' need both; and a session's policy must allow as well.
// Differs from AWS: a session's policy also narrows what a queue's policy gives to that one session
// by its ARN.
pub fn decide<'a>(question: &Question<'a>) -> Decision<'a> {
    let Question { caller, permission, resource, .. } = *question;
    let (owner, queue_policy) = match resource {
        Resource::Queue { key, policy } => (&key.account, policy),
        Resource::All(account) | Resource::Other { account, .. } => (account, None),
    };
    let is_own = caller.account() == Some(owner);
    let is_root = matches!(caller.identity, Identity::Root(_));
    // By far the most common question costs no more than this.
    if is_own && is_root && queue_policy.is_none() && caller.session_policy.is_none() {
        return Decision { verdict: Verdict::Allowed, by: None };
    }

    let asked = Asked {
        question,
        owner,
        action: permission.to_string(),
        arn: match resource {
            Resource::Queue { key, .. } => key.arn(),
            Resource::All(_) => "*".into(),
            Resource::Other { arn, .. } => arn.into(),
        },
    };
    let identity = asked.look_at(PolicyKind::Identity, caller.policies.iter().map(|one| &**one));
    let queue = asked.look_at(PolicyKind::Resource, queue_policy.into_iter());
    let session = asked.look_at(PolicyKind::Session, caller.session_policy.as_deref().into_iter());
    for found in [&identity, &queue, &session] {
        if let Some(by) = found.denies {
            return Decision { verdict: Verdict::Refused(by.kind), by: Some(by) };
        }
    }

    let not_allowed = |kind| Decision { verdict: Verdict::NotAllowed(kind), by: None };
    let queue_may_give = match permission.scope {
        Scope::Shared => true,
        Scope::Owner => is_own,
        Scope::Operator | Scope::Account | Scope::Server | Scope::Role => false,
    };
    let queue_allows = queue.allows.filter(|_| queue_may_give);
    let identity_allows = is_root || identity.allows.is_some();
    let by = match (is_own, &caller.identity) {
        (true, _) if identity_allows => identity.allows,
        (true, _) if queue_allows.is_some() => queue_allows,
        (true, _) => return not_allowed(PolicyKind::Identity),
        (false, Identity::Anonymous) if queue_allows.is_some() => queue_allows,
        (false, Identity::Anonymous) => return not_allowed(PolicyKind::Resource),
        (false, _) if !identity_allows => return not_allowed(PolicyKind::Identity),
        (false, _) if queue_allows.is_some() => queue_allows,
        (false, _) => return not_allowed(PolicyKind::Resource),
    };
    match caller.session_policy {
        Some(_) if session.allows.is_none() => not_allowed(PolicyKind::Session),
        _ => Decision { verdict: Verdict::Allowed, by },
    }
}

/// The statements of some policies that are about a request: the first of each effect.
struct Found<'a> {
    denies: Option<Deciding<'a>>,
    allows: Option<Deciding<'a>>,
}

/// A question with what every statement is compared with.
struct Asked<'q, 'a> {
    question: &'q Question<'a>,
    /// Whose the resource is.
    owner: &'a AccountId,
    action: String,
    arn: String,
}

impl<'a> Asked<'_, 'a> {
    fn look_at(&self, kind: PolicyKind, policies: impl Iterator<Item = &'a Document>) -> Found<'a> {
        let mut found = Found { denies: None, allows: None };
        for (policy, document) in policies.enumerate() {
            for (at, statement) in document.statements.iter().enumerate() {
                let slot = match statement.effect {
                    Effect::Deny => &mut found.denies,
                    Effect::Allow => &mut found.allows,
                };
                if slot.is_none() && self.is_about(kind, document, statement) {
                    let sid = statement.sid.as_deref();
                    *slot = Some(Deciding { kind, policy, statement: at, sid });
                }
            }
        }
        found
    }

    /// Whether a statement is about this request: its action, its resource, whoever makes it, and
    /// whatever else it asks for.
    fn is_about(&self, kind: PolicyKind, document: &Document, statement: &Statement) -> bool {
        let look_up = |name: &str| self.variable(name);
        let variables: conditions::Variables<'_> = match document.version {
            Some(Version::V2012) => Some(&look_up),
            _ => None,
        };
        let is_action =
            |pattern: &String| matches(pattern.chars().map(wild), &self.action, ignoring_case);
        // With a variable that the request does not have, nobody can tell what `NotResource` leaves:
        // nothing to allow, everything to deny.
        let excepts = matches!(statement.resources, Selection::AllBut(_));
        let unknown = excepts && statement.effect == Effect::Allow;
        let is_resource =
            |pattern: &String| is_like(pattern, &self.arn, variables).unwrap_or(unknown);
        let is_caller = match (&statement.principals, kind) {
            (Some(all), _) => {
                principals::include(all, statement.effect, self.question.caller, self.owner)
            }
            // A queue's policy says who; those of an identity are about it.
            (None, PolicyKind::Resource) => false,
            (None, PolicyKind::Identity | PolicyKind::Session) => true,
        };
        let holds = |condition: &Condition| {
            let holds = conditions::holds(condition, &self.values(&condition.key), variables);
            holds.unwrap_or(statement.effect == Effect::Deny)
        };
        is_caller
            && selects(&statement.actions, is_action)
            && selects(&statement.resources, is_resource)
            && statement.conditions.iter().all(holds)
    }

    fn values(&self, key: &str) -> Vec<String> {
        // Who asks is known: nothing else has a say in it.
        value_of_caller(self.question.caller, key)
            .unwrap_or_else(|| self.question.context.values(key))
    }

    /// A variable stands for keys that have one value.
    fn variable(&self, name: &str) -> Option<String> {
        <[String; 1]>::try_from(self.values(name)).ok().map(|[value]| value)
    }
}

fn selects<T>(selection: &Selection<T>, is_meant: impl Fn(&T) -> bool) -> bool {
    match selection {
        Selection::Any(list) => list.iter().any(is_meant),
        Selection::AllBut(list) => !list.iter().any(is_meant),
    }
}

impl Decision<'_> {
    /// Whether it may be done.
    pub fn is_allowed(&self) -> bool {
        self.verdict == Verdict::Allowed
    }
}

impl PolicyKind {
    /// As AWS calls it.
    pub fn name(self) -> &'static str {
        match self {
            PolicyKind::Identity => "identity-based policy",
            PolicyKind::Resource => "resource-based policy",
            PolicyKind::Session => "session policy",
        }
    }
}

impl fmt::Display for Deciding<'_> {
    /// Which statement of which policy: by its `Sid`, or else by its number.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deciding { kind, policy, statement, sid } = self;
        match kind {
            PolicyKind::Identity => write!(f, "{} {policy}, statement ", kind.name())?,
            _ => write!(f, "{}, statement ", kind.name())?,
        }
        match sid {
            Some(sid) => f.write_str(sid),
            None => write!(f, "{statement}"),
        }
    }
}

#[cfg(test)]
mod tests;
