//! AssumeRole: whoever signs takes a role that trusts them, if their own policies let them.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::session::{AssumedRoleUser, Credentials, Given, Granted, Wish};
use super::validation::{EXTERNAL_ID, Validation, refuse_unsupported};
use crate::api::action::{Action, Service};
use crate::api::call::Call;
use crate::error::Error;
use crate::limits::{CHAINED_SESSION_S_MAX, SESSION_S_MAX};
use crate::model::caller::Identity;
use crate::model::policy::actions::Permission;

/// The action.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AssumeRole {
    role_arn: Option<String>,
    role_session_name: Option<String>,
    policy: Option<String>,
    duration_seconds: Option<String>,
    external_id: Option<String>,
    policy_arns: Option<IgnoredAny>,
    tags: Option<IgnoredAny>,
    transitive_tag_keys: Option<IgnoredAny>,
    serial_number: Option<IgnoredAny>,
    token_code: Option<IgnoredAny>,
    source_identity: Option<IgnoredAny>,
    provided_contexts: Option<IgnoredAny>,
}

/// What it answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    credentials: Credentials,
    assumed_role_user: AssumedRoleUser,
    #[serde(skip_serializing_if = "Option::is_none")]
    packed_policy_size: Option<usize>,
}

impl Action for AssumeRole {
    const NAME: &'static str = "AssumeRole";
    const SERVICE: Service = Service::Sts;
    const PERMISSION: Permission = Permission::role(Self::NAME);

    type Output = Answer;

    async fn run(self, call: &Call<'_>) -> Result<Answer, Error> {
        let Some(arn) = call.caller.arn() else { return Err(Error::MissingAuthenticationToken) };
        let mut validation = Validation::default();
        let given = Given {
            role_arn: self.role_arn.as_deref(),
            role_session_name: self.role_session_name.as_deref(),
            policy: self.policy.as_deref(),
            duration_seconds: self.duration_seconds.as_deref(),
        };
        let wish = Wish::read(given, &mut validation);
        let external_id = validation.text(&EXTERNAL_ID, self.external_id.as_deref());
        validation.done()?;
        refuse_unsupported(&[
            ("PolicyArns", self.policy_arns.is_some()),
            ("Tags", self.tags.is_some()),
            ("TransitiveTagKeys", self.transitive_tag_keys.is_some()),
            ("SerialNumber", self.serial_number.is_some()),
            ("TokenCode", self.token_code.is_some()),
            ("SourceIdentity", self.source_identity.is_some()),
            ("ProvidedContexts", self.provided_contexts.is_some()),
        ])?;
        wish.check_policy()?;
        // One answer for all that may be in the way: which roles there are is not told.
        let refused = || {
            let role = wish.role;
            let text = format!(
                "User: {arn} is not authorized to perform: sts:AssumeRole on resource: {role}"
            );
            Error::AccessDenied(text.into())
        };
        call.ask_for_role(wish.role).map_err(|_| refused())?;
        let external_id = (!external_id.is_empty()).then_some(external_id);
        let role = call.app.sessions.roles().find(wish.role);
        let role = role.filter(|role| role.trusts_caller(&call.caller, external_id));
        let role = role.ok_or_else(|| {
            call.record_refusal("There is no such role, or it does not trust the caller.");
            refused()
        })?;
        // Whoever is in a role already may be so for longer, but not in this way for ever.
        let at_most_s = match call.caller.identity {
            Identity::Session { .. } => CHAINED_SESSION_S_MAX,
            _ => SESSION_S_MAX,
        };
        let Granted { credentials, user, packed_policy_size } =
            wish.grant(call, role, at_most_s)?;
        Ok(Answer { credentials, assumed_role_user: user, packed_policy_size })
    }
}
