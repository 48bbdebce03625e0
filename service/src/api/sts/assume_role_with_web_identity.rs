//! AssumeRoleWithWebIdentity: whoever shows a token of an issuer that a role trusts takes the role.
//! Nobody signs it: it is how a program gets what to sign with.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::session::{AssumedRoleUser, Credentials, Given, Granted, Wish, now};
use super::validation::{Validation, WEB_IDENTITY_TOKEN, refuse_unsupported};
use crate::api::action::{Action, Service};
use crate::api::call::Call;
use crate::audit::Note;
use crate::error::Error;
use crate::limits::SESSION_S_MAX;
use crate::model::policy::actions::Permission;

/// The action.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssumeRoleWithWebIdentity {
    role_arn: Option<String>,
    role_session_name: Option<String>,
    web_identity_token: Option<String>,
    policy: Option<String>,
    duration_seconds: Option<String>,
    policy_arns: Option<IgnoredAny>,
    provider_id: Option<IgnoredAny>,
}

/// What it answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    subject_from_web_identity_token: String,
    audience: String,
    assumed_role_user: AssumedRoleUser,
    credentials: Credentials,
    provider: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed_policy_size: Option<usize>,
}

impl Action for AssumeRoleWithWebIdentity {
    const NAME: &'static str = "AssumeRoleWithWebIdentity";
    const SERVICE: Service = Service::Sts;
    const PERMISSION: Permission = Permission::role(Self::NAME);

    type Output = Answer;

    async fn run(self, call: &Call<'_>) -> Result<Answer, Error> {
        let mut validation = Validation::default();
        let given = Given {
            role_arn: self.role_arn.as_deref(),
            role_session_name: self.role_session_name.as_deref(),
            policy: self.policy.as_deref(),
            duration_seconds: self.duration_seconds.as_deref(),
        };
        let wish = Wish::read(given, &mut validation);
        let token = validation.text(&WEB_IDENTITY_TOKEN, self.web_identity_token.as_deref());
        validation.done()?;
        refuse_unsupported(&[
            ("PolicyArns", self.policy_arns.is_some()),
            ("ProviderId", self.provider_id.is_some()),
        ])?;
        wish.check_policy()?;
        let identity = Box::pin(call.app.issuers.verify(token, now())).await?;
        let role = call.app.sessions.roles().find(wish.role);
        let role = role.filter(|role| role.trusts_token(&identity.issuer, &identity.claims));
        if let Some(record) = call.record {
            record.note(Note {
                action: Self::PERMISSION.to_string(),
                resource: wish.role.into(),
                refused: role.is_none(),
                by: Some(format!("{} {}", identity.issuer_url, identity.subject)),
            });
        }
        // One answer for all that may be in the way: which roles there are is not told.
        let refused = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        let role = role.ok_or_else(|| Error::AccessDenied(refused.into()))?;
        let Granted { credentials, user, packed_policy_size } =
            wish.grant(call, role, SESSION_S_MAX)?;
        Ok(Answer {
            subject_from_web_identity_token: identity.subject,
            audience: identity.audience,
            assumed_role_user: user,
            credentials,
            provider: identity.issuer_url,
            packed_policy_size,
        })
    }
}
