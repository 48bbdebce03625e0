//! CreateAccessKey.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Action;
use super::access::{AccessKeyOutput, account, check_owner, parse_policy_name, parse_user_name};
use crate::api::call::Call;
use crate::error::Error;
use crate::model::policy::actions::Permission;
use crate::model::policy::identity_policy::IdentityPolicy;
use crate::model::user::{Owner, Policies, UserKey};

/// Makes an access key for a user, and the user where there is none of the name; without a user, for
/// the root of an account. The secret is in the answer and nowhere else.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAccessKey {
    account_id: Option<String>,
    user_name: Option<String>,
    /// By their names, as text.
    policies: Option<BTreeMap<String, String>>,
}

/// The key, and for once its secret.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateAccessKeyOutput {
    #[serde(flatten)]
    key: AccessKeyOutput,
    secret_access_key: String,
}

impl fmt::Debug for CreateAccessKeyOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.key.fmt(f)
    }
}

impl Action for CreateAccessKey {
    const NAME: &'static str = "CreateAccessKey";
    const PERMISSION: Permission = Permission::account(Self::NAME);
    type Output = CreateAccessKeyOutput;

    async fn run(self, call: &Call<'_>) -> Result<CreateAccessKeyOutput, Error> {
        let account = account(call, self.account_id.as_deref())?;
        let policies = parse_policies(self.policies.unwrap_or_default())?;
        let owner = match self.user_name.as_deref() {
            Some(name) => Owner::User(UserKey { account, name: parse_user_name(name)? }),
            None if !policies.is_empty() => {
                return Err(Error::InvalidParameterCombination(
                    "Policies are those of a user: UserName must be given with them.".into(),
                ));
            }
            None => Owner::Root(account),
        };
        check_owner(call, &owner)?;
        let key = call.app.shards.create_access_key(owner, policies).await?;
        let secret_access_key = key.secret.0.to_string();
        Ok(CreateAccessKeyOutput { key: (&*key).into(), secret_access_key })
    }
}

fn parse_policies(given: BTreeMap<String, String>) -> Result<Policies, Error> {
    let parse = |(name, text): (String, String)| {
        Ok((parse_policy_name(&name)?, IdentityPolicy::parse(&text, "Policies")?))
    };
    given.into_iter().map(parse).collect()
}
