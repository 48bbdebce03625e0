//! What the ways to take a role have in common: how long, how narrowed, and what is answered.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::validation::{POLICY, ROLE_ARN, ROLE_SESSION_NAME, Validation};
use crate::api::call::Call;
use crate::auth::roles::Role;
use crate::auth::session_token::Grant;
use crate::env::{Clock, SystemClock};
use crate::error::Error;
use crate::limits::{SESSION_POLICY_BYTES_MAX, SESSION_S_DEFAULT, SESSION_S_MAX, SESSION_S_MIN};
use crate::model::calendar;
use crate::model::policy::document::Document;

/// A session that somebody wishes to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// The role's ARN.
    pub(super) role: &'a str,
    /// What the session is to call itself.
    pub(super) name: &'a str,
    /// What it is to be narrowed to.
    policy: Option<&'a str>,
    /// For how long, in seconds.
    duration_s: Option<u32>,
}

/// What every way to take a role is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Given<'a> {
    pub(super) role_arn: Option<&'a str>,
    pub(super) role_session_name: Option<&'a str>,
    pub(super) policy: Option<&'a str>,
    pub(super) duration_seconds: Option<&'a str>,
}

impl<'a> Wish<'a> {
    /// What is given, of which `validation` notes what is wrong.
    pub(super) fn read(given: Given<'a>, validation: &mut Validation) -> Wish<'a> {
        let policy = validation.text(&POLICY, given.policy);
        let range = SESSION_S_MIN..=SESSION_S_MAX;
        Wish {
            role: validation.text(&ROLE_ARN, given.role_arn),
            name: validation.text(&ROLE_SESSION_NAME, given.role_session_name),
            policy: (!policy.is_empty()).then_some(policy),
            duration_s: validation.seconds("durationSeconds", range, given.duration_seconds),
        }
    }

    /// `MalformedPolicyDocument` or `PackedPolicyTooLarge` where the session policy is none.
    pub(super) fn check_policy(&self) -> Result<(), Error> {
        let Some(text) = self.policy else { return Ok(()) };
        if text.len() > SESSION_POLICY_BYTES_MAX {
            return Err(Error::PackedPolicyTooLarge(packed(text)));
        }
        let policy = Document::of_identity(text);
        let refuse = |_| Error::MalformedPolicyDocument("Syntax errors in policy.".into());
        policy.map(drop).map_err(refuse)
    }

    /// The session, in a role that the caller may take. `at_most_s` is the longest for this caller.
    pub(super) fn grant(
        &self,
        call: &Call<'_>,
        role: &Arc<Role>,
        at_most_s: u32,
    ) -> Result<Granted, Error> {
        let max = role.session_s_max;
        let duration_s = self.duration_s.unwrap_or(SESSION_S_DEFAULT.min(max).min(at_most_s));
        if duration_s > max {
            let text =
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return Err(Error::ValidationError(text.into()));
        }
        if duration_s > at_most_s {
            let text = "The requested DurationSeconds exceeds the 1 hour session limit for roles \
                        assumed by role chaining.";
            return Err(Error::ValidationError(text.into()));
        }
        let now = Duration::from_secs(now().as_secs());
        let issued = call.app.sessions.begin(Grant {
            role: self.role,
            name: self.name,
            policy: self.policy,
            expires: now + Duration::from_secs(duration_s.into()),
        })?;
        let identity = role.session(self.name);
        Ok(Granted {
            credentials: Credentials {
                access_key_id: issued.access_key_id,
                secret_access_key: issued.secret.0.to_string(),
                session_token: issued.token,
                expiration: iso_8601(issued.expires),
            },
            user: AssumedRoleUser {
                assumed_role_id: format!("{}:{}", role.id(), self.name),
                arn: identity.arn().unwrap_or_default(),
            },
            packed_policy_size: self.policy.map(packed),
        })
    }
}

/// What a session policy takes of what there is for it, in percent.
fn packed(policy: &str) -> usize {
    (policy.len() * 100).div_ceil(SESSION_POLICY_BYTES_MAX)
}

/// A session, for whoever takes it.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) credentials: Credentials,
    pub(super) user: AssumedRoleUser,
    pub(super) packed_policy_size: Option<usize>,
}

/// What requests of a session are to be signed with.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Credentials {
    access_key_id: String,
    secret_access_key: String,
    session_token: String,
    /// ISO 8601, in whole seconds.
    expiration: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({}, …)", self.access_key_id)
    }
}

/// Who somebody is that has taken a role.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AssumedRoleUser {
    assumed_role_id: String,
    arn: String,
}

/// The real time: tokens and sessions are not for a virtual clock.
pub(super) fn now() -> Duration {
    SystemClock.wall()
}

fn iso_8601(moment: Duration) -> String {
    let seconds = moment.as_secs();
    let (year, month, day) = calendar::date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_sdks_read_them() {
        assert_eq!(iso_8601(Duration::from_secs(0)), "1970-01-01T00:00:00Z");
        assert_eq!(iso_8601(Duration::from_secs(1_700_000_000)), "2023-11-14T22:13:20Z");
        assert_eq!(iso_8601(Duration::from_secs(1_709_210_096)), "2024-02-29T12:34:56Z");
    }

    #[test]
    fn a_session_policy_is_short_and_says_what_not_who() {
        let check = |policy: &str| {
            let wish = Wish { role: "", name: "", policy: Some(policy), duration_s: None };
            wish.check_policy()
        };
        let policy = r#"{"Statement":{"Effect":"Allow","Action":"sqs:*","Resource":"*"}}"#;
        assert_eq!(check(policy), Ok(()));
        let somebody = policy.replace("\"Action\"", "\"Principal\":\"*\",\"Action\"");
        // What can never match may be what was meant to keep somebody out.
        let nothing = policy.replace("sqs:*", "SendMessage");
        let nowhere = policy.replace("Resource\":\"*", "Resource\":\"orders");
        for odd in ["x", "{}", &somebody, &nothing, &nowhere] {
            assert!(matches!(check(odd), Err(Error::MalformedPolicyDocument(_))), "{odd}");
        }
        assert_eq!(check(&"ä".repeat(2048)), Err(Error::PackedPolicyTooLarge(200)));
        assert_eq!((packed("x"), packed(&"x".repeat(2048))), (1, 100));
    }
}
