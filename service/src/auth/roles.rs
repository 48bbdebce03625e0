//! Roles: who may take them, for how long, and what they may do then. The configuration file
//! declares them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::auth::claims::Claims;
use crate::auth::ids;
use crate::model::caller::{Caller, Identity};
use crate::model::policy::document::{Document, Principal};
use crate::model::queue::AccountId;

/// Something that somebody else may be for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// Whose.
    pub account: AccountId,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub policies: Vec<Arc<Document>>,
    /// The longest session, in seconds.
    pub session_s_max: u32,
    /// Who may take it: whoever one of these means.
    pub trusts: Vec<Trust>,
}

/// Somebody who may take a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Who has a token of an issuer, with certain claims.
    Token {
        /// The issuer, by its name in the configuration.
        issuer: String,
        /// Claims that the token must have, all of them, each with patterns of which one must match.
        claims: BTreeMap<String, Vec<String>>,
    },
    /// Who signs the request.
    Principals {
        /// Accounts, users and roles.
        principals: Vec<Principal>,
        /// What the request must say, if anything: the answer to a question that a third party
        /// cannot be made to give for somebody else.
        external_id: Option<String>,
    },
}

impl Role {
    /// The ARN.
    pub fn arn(&self) -> String {
        role_arn(&self.account, &self.name)
    }

    /// `AROA…`
    pub fn id(&self) -> String {
        ids::role_id(&self.account, &self.name)
    }

    /// Who somebody is that has taken it.
    pub fn session(&self, name: &str) -> Identity {
        Identity::Session {
            account: self.account.clone(),
            role: self.name.clone(),
            role_id: self.id(),
            name: name.into(),
        }
    }

    /// Whether a token of an issuer opens it.
    pub fn trusts_token(&self, of: &str, has: &Claims) -> bool {
        self.trusts.iter().any(|trust| match trust {
            Trust::Token { issuer, claims } => {
                issuer == of && claims.iter().all(|(name, patterns)| has.has(name, patterns))
            }
            Trust::Principals { .. } => false,
        })
    }

    /// Whether it may be taken by somebody who signs, as far as the role is concerned.
    pub fn trusts_caller(&self, caller: &Caller, given: Option<&str>) -> bool {
        self.trusts.iter().any(|trust| match trust {
            Trust::Token { .. } => false,
            Trust::Principals { principals, external_id } => {
                external_id.as_deref().is_none_or(|wanted| Some(wanted) == given)
                    && principals.iter().any(|principal| is_meant(principal, caller))
            }
        })
    }
}

/// The ARN of a role.
pub fn role_arn(account: &AccountId, name: &str) -> String {
    format!("arn:aws:iam::{}:role/{name}", account.as_str())
}

/// An account means everybody in it; a role means its sessions.
fn is_meant(principal: &Principal, caller: &Caller) -> bool {
    match principal {
        Principal::Account { id, .. } => caller.account() == Some(id),
        Principal::Arn(arn) => {
            let role = match &caller.identity {
                Identity::Session { account, role, .. } => Some(role_arn(account, role)),
                _ => None,
            };
            caller.arn().as_ref() == Some(arn) || role.as_ref() == Some(arn)
        }
        // A role that anybody may take is nobody's.
        Principal::Anyone
        | Principal::Service(_)
        | Principal::Federated(_)
        | Principal::CanonicalUser(_) => false,
    }
}

/// All roles, by their ARNs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roles(BTreeMap<String, Arc<Role>>);

impl Roles {
    /// The role of an ARN.
    pub fn find(&self, arn: &str) -> Option<&Arc<Role>> {
        self.0.get(arn)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        Roles(roles.into_iter().map(|role| (role.arn(), Arc::new(role))).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ACCOUNT: &str = "000000000000";

    fn account(text: &str) -> AccountId {
        AccountId::parse(text).unwrap()
    }

    fn role(trust: Trust) -> Role {
        Role {
            account: account(ACCOUNT),
            name: "orders".into(),
            policies: Vec::new(),
            session_s_max: 3600,
            trusts: vec![trust],
        }
    }

    fn caller(identity: Identity) -> Caller {
        Caller { identity, ..Caller::anonymous() }
    }

    #[test]
    fn a_token_opens_a_role_by_its_issuer_and_all_claims() {
        let patterns = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let role = role(Trust::Token {
            issuer: "cluster".into(),
            claims: [
                ("sub".to_string(), patterns(&["system:serviceaccount:shop:*", "x"])),
                ("aud".to_string(), patterns(&["stanchion"])),
            ]
            .into(),
        });
        let claims = |sub: &str, aud: &str| {
            let claims = json!({"sub": sub, "aud": [aud, "other"]});
            Claims(claims.as_object().unwrap().clone())
        };
        let good = claims("system:serviceaccount:shop:orders", "stanchion");
        assert!(role.trusts_token("cluster", &good));
        assert!(role.trusts_token("cluster", &claims("x", "stanchion")));
        assert!(!role.trusts_token("another", &good));
        assert!(!role.trusts_token("cluster", &claims("y", "stanchion")));
        assert!(!role.trusts_token("cluster", &claims("x", "else")));
        assert!(!role.trusts_caller(&Caller::root(account(ACCOUNT)), None));
    }

    #[test]
    fn an_account_means_all_in_it_and_a_role_its_sessions() {
        let trusting = |name: &str| {
            let principals = vec![Principal::parse_aws(name).unwrap()];
            role(Trust::Principals { principals, external_id: None })
        };
        let user = |of: &str| Identity::User {
            account: account(of),
            name: "jo".into(),
            id: "AIDA".into(),
        };
        let here = caller(user(ACCOUNT));
        let there = caller(user("111111111111"));
        let session =
            caller(role(Trust::Principals { principals: vec![], external_id: None }).session("s"));
        for (principal, trusted, refused) in [
            (ACCOUNT, &[&here, &session][..], &[&there][..]),
            ("arn:aws:iam::000000000000:root", &[&here, &session], &[&there]),
            ("arn:aws:iam::000000000000:user/jo", &[&here], &[&there, &session]),
            ("arn:aws:iam::000000000000:role/orders", &[&session], &[&here, &there]),
            ("arn:aws:sts::000000000000:assumed-role/orders/s", &[&session], &[&here]),
            ("arn:aws:sts::000000000000:assumed-role/orders/t", &[], &[&session]),
            ("*", &[], &[&here, &there, &session]),
        ] {
            let role = trusting(principal);
            assert!(trusted.iter().all(|one| role.trusts_caller(one, None)), "{principal}");
            assert!(!refused.iter().any(|one| role.trusts_caller(one, None)), "{principal}");
            assert!(!role.trusts_caller(&Caller::anonymous(), None), "{principal}");
        }
    }

    #[test]
    fn an_external_id_must_be_said_where_it_is_asked_for() {
        let principals = vec![Principal::parse_aws(ACCOUNT).unwrap()];
        let root = Caller::root(account(ACCOUNT));
        let role = role(Trust::Principals { principals, external_id: Some("q-7".into()) });
        assert!(role.trusts_caller(&root, Some("q-7")));
        assert!(!role.trusts_caller(&root, Some("q-8")));
        assert!(!role.trusts_caller(&root, None));
    }

    #[test]
    fn a_role_is_found_by_its_arn() {
        let role = role(Trust::Token { issuer: "x".into(), claims: BTreeMap::new() });
        let arn = "arn:aws:iam::000000000000:role/orders";
        assert_eq!(role.arn(), arn);
        let roles: Roles = [role].into_iter().collect();
        assert!(roles.find(arn).is_some());
        assert!(roles.find("arn:aws:iam::000000000000:role/other").is_none());
    }
}
