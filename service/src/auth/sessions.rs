//! Sessions: a role, taken by somebody for a while. Nothing about one is stored; what is to be known
//! comes with each request, in its token.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use crate::auth::credentials::{CredentialSource, Credentials, NoCredentials};
use crate::auth::ids::SESSION_KEY_PREFIX;
use crate::auth::roles::Roles;
use crate::auth::session_token::{Grant, Issued, Refusal, SigningKeys};
use crate::error::Error;
use crate::model::caller::Caller;
use crate::model::policy::document::Document;

/// Sessions whose tokens have been looked at, in each of two generations.
const GENERATION_MAX: usize = 2048;

/// The source of temporary credentials.
pub struct Sessions {
    roles: Roles,
    keys: SigningKeys,
    seen: RwLock<Seen>,
}

/// Tokens that have been verified, by their access keys, so that the next request with one need not
/// do it again. When the younger generation is full it becomes the older one, which is forgotten:
/// what is in use is soon back. The lock is held for a look, or to put something in.
#[derive(Default)]
struct Seen {
    younger: HashMap<String, Arc<Session>>,
    older: HashMap<String, Arc<Session>>,
}

struct Session {
    token: Box<str>,
    expires: Duration,
    credentials: Credentials,
}

impl Sessions {
    /// The sessions in these roles.
    pub fn new(roles: Roles, keys: SigningKeys) -> Sessions {
        Sessions { roles, keys, seen: RwLock::default() }
    }

    /// The roles there are.
    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    /// Begins one.
    pub fn begin(&self, grant: Grant<'_>) -> Result<Issued, Error> {
        self.keys.issue(grant)
    }

    fn verify(&self, id: &str, token: &str, now: Duration) -> Result<Arc<Session>, NoCredentials> {
        let (claims, secret) = self.keys.open(token, now).map_err(|refusal| match refusal {
            Refusal::Invalid => NoCredentials::Unknown,
            Refusal::Expired => NoCredentials::Expired,
        })?;
        let role = self.roles.find(&claims.role).filter(|_| claims.access_key_id == id);
        let role = role.ok_or(NoCredentials::Unknown)?;
        // It was read when the session began; a node that cannot read it must not pass it over.
        let parse = |text: &str| Document::parse(text).map(Arc::new);
        let session_policy = match claims.policy.as_deref().map(parse) {
            Some(None) => return Err(NoCredentials::Unknown),
            policy => policy.flatten(),
        };
        let caller = Caller {
            identity: role.session(&claims.name),
            access_key_id: Some(id.into()),
            policies: role.policies.clone(),
            session_policy,
        };
        Ok(Arc::new(Session {
            token: token.into(),
            expires: Duration::from_secs(claims.exp),
            credentials: Credentials { secret, caller: Arc::new(caller) },
        }))
    }
}

impl CredentialSource for Sessions {
    fn find(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        now: Duration,
    ) -> Option<Result<Credentials, NoCredentials>> {
        if !access_key_id.starts_with(SESSION_KEY_PREFIX) {
            return None;
        }
        let Some(token) = token else { return Some(Err(NoCredentials::Unknown)) };
        // A map is whole between any two calls, so a poisoned lock still guards a good one.
        let seen = self.seen.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        let found = seen.younger.get(access_key_id).map(|session| (session.clone(), true));
        let found = found
            .or_else(|| Some((seen.older.get(access_key_id)?.clone(), false)))
            // A token proves nothing without the secret, which it does not tell: how long this
            // takes may be seen.
            .filter(|(session, _)| *session.token == *token);
        drop(seen);
        let (session, is_young) = match found {
            Some((session, _)) if session.expires <= now => {
                return Some(Err(NoCredentials::Expired));
            }
            Some(found) => found,
            None => match self.verify(access_key_id, token, now) {
                Ok(session) => (session, false),
                Err(refusal) => return Some(Err(refusal)),
            },
        };
        if !is_young {
            let mut seen = self.seen.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            seen.put(access_key_id, session.clone());
        }
        Some(Ok(session.credentials.clone()))
    }
}

impl Seen {
    fn put(&mut self, access_key_id: &str, session: Arc<Session>) {
        if self.younger.len() >= GENERATION_MAX {
            self.older = mem::take(&mut self.younger);
        }
        self.younger.insert(access_key_id.into(), session);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::roles::{Role, Trust};
    use crate::model::caller::Identity;
    use crate::model::queue::AccountId;

    const NOW: Duration = Duration::from_secs(1_700_000_000);
    const ARN: &str = "arn:aws:iam::000000000000:role/orders";
    const POLICY: &str =
        r#"{"Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}]}"#;

    fn sessions(role: &str, key: u8) -> Sessions {
        let role = Role {
            account: AccountId::parse("000000000000").unwrap(),
            name: role.into(),
            policies: vec![Arc::new(Document::parse(POLICY).unwrap())],
            session_s_max: 3600,
            trusts: vec![Trust::Token { issuer: "x".into(), claims: [].into() }],
        };
        Sessions::new([role].into_iter().collect(), SigningKeys::derive([("a", [key; 32])]))
    }

    fn begin(sessions: &Sessions, policy: Option<&str>) -> Issued {
        let expires = NOW + Duration::from_secs(900);
        sessions.begin(Grant { role: ARN, name: "pod-7", policy, expires }).unwrap()
    }

    fn find(
        sessions: &Sessions,
        id: &str,
        token: &str,
        now: Duration,
    ) -> Result<Credentials, NoCredentials> {
        sessions.find(id, Some(token), now).expect("it is a session's")
    }

    #[test]
    fn credentials_are_good_on_every_node_until_they_end() {
        let issued = begin(&sessions("orders", 1), Some(POLICY));
        let node = sessions("orders", 1);
        for _ in 0..2 {
            let found = find(&node, &issued.access_key_id, &issued.token, NOW).unwrap();
            assert_eq!(found.secret, issued.secret);
            let caller = found.caller;
            assert_eq!(caller.access_key_id.as_ref(), Some(&issued.access_key_id));
            assert_eq!(
                caller.arn().unwrap(),
                "arn:aws:sts::000000000000:assumed-role/orders/pod-7"
            );
            assert!(caller.session_policy.is_some());
            assert_eq!(caller.policies.len(), 1);
            assert!(matches!(&caller.identity, Identity::Session { .. }));
        }
        for node in [&node, &sessions("orders", 1)] {
            let late = find(node, &issued.access_key_id, &issued.token, issued.expires);
            assert_eq!(late.unwrap_err(), NoCredentials::Expired);
        }
        assert!(find(&node, &issued.access_key_id, &issued.token, NOW).is_ok());
    }

    #[test]
    fn a_key_goes_with_its_own_token_alone() {
        let node = sessions("orders", 1);
        let (mine, yours) = (begin(&node, None), begin(&node, None));
        let id = &*mine.access_key_id;
        assert!(find(&node, id, &mine.token, NOW).is_ok());
        for wrong in [&*yours.token, "", "a.b.c"] {
            assert_eq!(find(&node, id, wrong, NOW).unwrap_err(), NoCredentials::Unknown);
        }
        assert_eq!(node.find(id, None, NOW).unwrap().unwrap_err(), NoCredentials::Unknown);
        assert!(node.find("AKIAIOSFODNN7EXAMPLE", Some(&mine.token), NOW).is_none());
    }

    #[test]
    fn another_servers_key_and_a_role_that_is_gone_open_nothing() {
        let issued = begin(&sessions("orders", 1), None);
        for node in [sessions("orders", 2), sessions("renamed", 1)] {
            let found = find(&node, &issued.access_key_id, &issued.token, NOW);
            assert_eq!(found.unwrap_err(), NoCredentials::Unknown);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_in_use_stays() {
        let node = sessions("orders", 1);
        let (first, last) = (begin(&node, None), begin(&node, None));
        let session = node.verify(&first.access_key_id, &first.token, NOW).unwrap();
        node.seen.write().unwrap().put(&first.access_key_id, session.clone());
        for round in 0..3 {
            for number in 0..GENERATION_MAX - 2 {
                node.seen.write().unwrap().put(&format!("ASIA{round}-{number}"), session.clone());
            }
            assert!(find(&node, &first.access_key_id, &first.token, NOW).is_ok());
            assert!(find(&node, &last.access_key_id, &last.token, NOW).is_ok());
            let seen = node.seen.read().unwrap();
            assert!(seen.younger.len() <= GENERATION_MAX && seen.older.len() <= GENERATION_MAX);
            assert!(seen.younger.contains_key(&first.access_key_id));
        }
    }
}
