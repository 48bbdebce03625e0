//! SimulatePolicy.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Action;
use crate::api::action;
use crate::api::call::{Call, required};
use crate::api::door::tagged;
use crate::auth::roles::role_arn;
use crate::error::Error;
use crate::limits;
use crate::model::caller::{Caller, Identity};
use crate::model::policy::actions::{Permission, Scope};
use crate::model::policy::context::Context;
use crate::model::policy::document::Document;
use crate::model::policy::evaluate::{PolicyKind, Question, Resource, Verdict, decide};
use crate::model::queue::AccountId;
use crate::model::user::{UserKey, UserName};
use crate::shard::handle::Tags;

/// Policies of one identity that a call may give.
const POLICIES_MAX: usize = 20;

/// And their bytes together.
const POLICIES_BYTES_MAX: usize = 4 * limits::IDENTITY_POLICY_BYTES_MAX;

/// Bytes of what a call says about the circumstances.
const CONTEXT_BYTES_MAX: usize = limits::CONDITION_BYTES_MAX;

/// Says whether somebody may do something to a queue, and which statement decides. Nothing is done.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SimulatePolicy {
    queue_url: Option<String>,
    action: Option<String>,
    principal: Option<String>,
    policies: Option<Vec<String>>,
    session_policy: Option<String>,
    context: Option<BTreeMap<String, Vec<String>>>,
}

/// The decision, and what it rests on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SimulatePolicyOutput {
    /// `allowed`, `explicitDeny` or `implicitDeny`, as IAM's own simulator calls them.
    decision: &'static str,
    /// Of which kind the policy is that decided, or that is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_type: Option<&'static str>,
    /// Which of the policies of that kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy_index: Option<usize>,
    /// Which of its statements.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement_index: Option<usize>,
    /// What its author calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    statement_id: Option<String>,
}

impl Action for SimulatePolicy {
    const NAME: &'static str = "SimulatePolicy";
    const PERMISSION: Permission = Permission::operator(Self::NAME);
    type Output = SimulatePolicyOutput;

    async fn run(self, call: &Call<'_>) -> Result<SimulatePolicyOutput, Error> {
        let queue = call.queue(self.queue_url.as_deref())?;
        let permission = parse_action(required(self.action.as_deref(), "Action")?)?;
        let mut caller = match self.principal.as_deref().filter(|arn| !arn.is_empty()) {
            None => (*call.caller).clone(),
            Some(arn) => known(call, parse_principal(arn)?, &queue.key.account),
        };
        if let Some(texts) = self.policies {
            if texts.len() > POLICIES_MAX {
                let reason = format!("Must be at most {POLICIES_MAX}.");
                return Err(Error::invalid("Policies", texts.len(), reason));
            }
            let bytes: usize = texts.iter().map(String::len).sum();
            if bytes > POLICIES_BYTES_MAX {
                let text = format!(
                    "The policies of one identity cannot be longer than {POLICIES_BYTES_MAX} bytes \
                     together"
                );
                return Err(Error::OverLimit(text.into()));
            }
            let policies = texts.iter().map(|text| parse_policy("Policies", text));
            caller.policies = policies.collect::<Result<_, _>>()?;
        }
        if let Some(text) = self.session_policy {
            caller.session_policy = Some(parse_policy("SessionPolicy", &text)?);
        }
        let policy = queue.settings.policy.as_ref().map(|policy| policy.document());
        let given = Given { keys: parse_context(self.context)?, tags: &queue.tags };
        let decision = decide(&Question {
            caller: &caller,
            permission,
            resource: Resource::Queue { key: &queue.key, policy },
            context: &given,
        });
        let (decision, kind, by) = match decision.verdict {
            Verdict::Allowed => ("allowed", decision.by.map(|by| by.kind), decision.by),
            Verdict::Refused(kind) => ("explicitDeny", Some(kind), decision.by),
            Verdict::NotAllowed(kind) => ("implicitDeny", Some(kind), None),
        };
        Ok(SimulatePolicyOutput {
            decision,
            policy_type: kind.map(|kind| match kind {
                PolicyKind::Identity => "identity",
                PolicyKind::Resource => "resource",
                PolicyKind::Session => "session",
            }),
            policy_index: by.map(|by| by.policy),
            statement_index: by.map(|by| by.statement),
            statement_id: by.and_then(|by| by.sid).map(String::from),
        })
    }
}

/// The circumstances that the call gives, and the tags that the queue has.
struct Given<'a> {
    keys: BTreeMap<String, Vec<String>>,
    tags: &'a Tags,
}

impl Context for Given<'_> {
    fn values(&self, key: &str) -> Vec<String> {
        let given = self.keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
        match (given, key.split_once('/')) {
            (Some((_, values)), _) => values.clone(),
            (None, Some((name, tag))) if name.eq_ignore_ascii_case("aws:ResourceTag") => {
                tagged(self.tags, tag)
            }
            (None, _) => Vec::new(),
        }
    }
}

/// A principal with what is known of it: a user or a role's session of the queue's account with its
/// policies. What those of other accounts may do, their people do not tell.
fn known(call: &Call<'_>, identity: Identity, of: &AccountId) -> Caller {
    let caller = match &identity {
        Identity::User { account, name, .. } if account == of => user(call, of, name),
        Identity::Session { account, role, name, .. } if account == of => {
            let role = call.app.sessions.roles().find(&role_arn(account, role));
            role.map(|role| Caller {
                identity: role.session(name),
                policies: role.policies.clone(),
                ..Caller::anonymous()
            })
        }
        _ => None,
    };
    caller.unwrap_or(Caller { identity, ..Caller::anonymous() })
}

fn user(call: &Call<'_>, account: &AccountId, name: &str) -> Option<Caller> {
    let key = UserKey { account: account.clone(), name: UserName::parse(name)? };
    let directory = call.app.shards.directory().now();
    Some(Caller { access_key_id: None, ..directory.user(&key)?.caller("") })
}

/// `Context`: values by their keys.
fn parse_context(
    given: Option<BTreeMap<String, Vec<String>>>,
) -> Result<BTreeMap<String, Vec<String>>, Error> {
    let keys = given.unwrap_or_default();
    let bytes: usize = keys
        .iter()
        .flat_map(|(key, values)| [key].into_iter().chain(values))
        .map(String::len)
        .sum();
    match bytes {
        ..=CONTEXT_BYTES_MAX => Ok(keys),
        _ => Err(Error::InvalidParameter(
            format!(
                "Value for parameter Context is invalid. Reason: Must have at most \
                 {CONTEXT_BYTES_MAX} bytes."
            )
            .into(),
        )),
    }
}

/// What an action on a queue needs: `SendMessage`, or with its service, as policies have it.
fn parse_action(text: &str) -> Result<Permission, Error> {
    let (service, name) = match text.split_once(':') {
        None => (None, text),
        Some((service, name)) => (Some(service), name),
    };
    let is_meant = |permission: &Permission| {
        service.is_none_or(|service| service.eq_ignore_ascii_case(permission.service))
    };
    let of_a_queue = |permission: &Permission| {
        let is_list = *permission == Permission::sqs("ListQueues");
        !is_list && !matches!(permission.scope, Scope::Account | Scope::Server | Scope::Role)
    };
    action::all()
        .filter(|row| row.name.eq_ignore_ascii_case(name))
        .map(|row| row.permission)
        .find(|permission| is_meant(permission) && of_a_queue(permission))
        .ok_or_else(|| Error::invalid("Action", text, "Must be an action on a queue."))
}

/// An account, a user or a role's session by its ARN, an account by its id, or `anonymous`.
fn parse_principal(text: &str) -> Result<Identity, Error> {
    let parse = || {
        if text == "anonymous" {
            return Some(Identity::Anonymous);
        }
        if let Some(account) = AccountId::parse(text) {
            return Some(Identity::Root(account));
        }
        let mut parts = text.splitn(6, ':').skip(2);
        let (service, _region) = (parts.next()?, parts.next()?);
        let (account, name) = (AccountId::parse(parts.next()?)?, parts.next()?);
        match (service, &name.split('/').collect::<Vec<_>>()[..]) {
            ("iam", ["root"]) => Some(Identity::Root(account)),
            ("iam", ["user", name]) => {
                Some(Identity::User { account, name: (*name).into(), id: String::new() })
            }
            ("sts", ["assumed-role", role, name]) => Some(Identity::Session {
                account,
                role: (*role).into(),
                role_id: String::new(),
                name: (*name).into(),
            }),
            _ => None,
        }
    };
    let reason = "Must be the ARN of an account's root, a user or a role's session, an account's id, \
                  or anonymous.";
    parse().ok_or_else(|| Error::invalid("Principal", text, reason))
}

fn parse_policy(name: &'static str, text: &str) -> Result<Arc<Document>, Error> {
    let document = Some(text).filter(|text| text.len() <= limits::POLICY_BYTES_MAX);
    let document = document.and_then(Document::parse);
    document.map(Arc::new).ok_or_else(|| {
        Error::InvalidParameter(format!("Invalid value for the parameter {name}.").into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_is_short() {
        let context = |value: String| {
            parse_context(Some(BTreeMap::from([("aws:UserAgent".into(), vec![value])])))
        };
        let room = CONTEXT_BYTES_MAX - "aws:UserAgent".len();
        assert!(context("x".repeat(room)).is_ok());
        assert!(context("x".repeat(room + 1)).is_err());
        assert_eq!(parse_context(None), Ok(BTreeMap::new()));
    }

    #[test]
    fn an_action_is_named_with_or_without_its_service() {
        for (text, permission) in [
            ("SendMessage", Some("sqs:SendMessage")),
            ("SQS:sendmessagebatch", Some("sqs:SendMessage")),
            ("stanchion:PeekMessages", Some("stanchion:PeekMessages")),
            ("PauseQueue", Some("stanchion:PauseQueue")),
            ("sqs:PauseQueue", None),
            ("ListQueues", None),
            ("GetServerInfo", None),
            ("sqs:*", None),
            ("", None),
        ] {
            let parsed = parse_action(text).ok().map(|permission| permission.to_string());
            assert_eq!(parsed.as_deref(), permission, "{text}");
        }
    }

    #[test]
    fn a_principal_is_named_by_its_arn() {
        for arn in [
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:user/ann",
            "arn:aws:sts::111122223333:assumed-role/ops/night",
        ] {
            let identity = parse_principal(arn).unwrap();
            let caller = Caller { identity, ..Caller::anonymous() };
            assert_eq!(caller.arn().as_deref(), Some(arn));
        }
        let root = parse_principal("111122223333");
        assert_eq!(root, parse_principal("arn:aws:iam::111122223333:root"));
        assert_eq!(parse_principal("anonymous"), Ok(Identity::Anonymous));
        for wrong in ["", "*", "ann", "arn:aws:iam::1:root", "arn:aws:iam::111122223333:role/ops"] {
            assert!(parse_principal(wrong).is_err(), "{wrong}");
        }
    }
}
