//! GetCallerIdentity: who am I? Whoever signs may ask.

use serde::{Deserialize, Serialize};

use crate::api::action::{Action, Service};
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;

/// The action.
#[derive(Debug, Deserialize)]
pub struct GetCallerIdentity {}

/// What it answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    arn: String,
    user_id: String,
    account: String,
}

impl Action for GetCallerIdentity {
    const NAME: &'static str = "GetCallerIdentity";
    const SERVICE: Service = Service::Sts;
    const PERMISSION: Permission = Permission::role(Self::NAME);

    type Output = Answer;

    async fn run(self, call: &Call<'_>) -> Result<Answer, Error> {
        let caller = &call.caller;
        match (caller.arn(), caller.user_id(), caller.account()) {
            (Some(arn), Some(user_id), Some(account)) => {
                Ok(Answer { arn, user_id, account: account.as_str().into() })
            }
            _ => Err(Error::MissingAuthenticationToken),
        }
    }
}
