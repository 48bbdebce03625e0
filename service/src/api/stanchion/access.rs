//! What the actions about users and access keys have in common: whose they are, what they are
//! called, and how they are shown.

use std::sync::Arc;

use serde::Serialize;

use crate::api::call::{Call, required};
use crate::error::Error;
use crate::model::queue::AccountId;
use crate::model::user::{AccessKey, Owner, PolicyName, UserKey, UserName};

/// The account that a request is about: the one it names, or the caller's. That of others is root's
/// affair.
pub(super) fn account(call: &Call<'_>, given: Option<&str>) -> Result<AccountId, Error> {
    let Some(given) = given else { return Ok(call.account.clone()) };
    let account = AccountId::parse(given)
        .ok_or_else(|| Error::invalid("AccountId", given, "Must be twelve digits."))?;
    if account != call.account && !call.is_root() {
        return Err(call.refuse("Only root may manage other accounts."));
    }
    Ok(account)
}

/// Whose a listing is: of the account that a request names, or, when it names none and root asks, of
/// all.
pub(super) fn accounts(call: &Call<'_>, given: Option<&str>) -> Result<Option<AccountId>, Error> {
    match given {
        None if call.is_root() => Ok(None),
        given => account(call, given).map(Some),
    }
}

/// The user that a request names, who need not exist.
pub(super) fn user(
    call: &Call<'_>,
    account_id: Option<&str>,
    name: Option<&str>,
) -> Result<UserKey, Error> {
    let name = required(name, "UserName")?;
    Ok(UserKey { account: account(call, account_id)?, name: parse_user_name(name)? })
}

/// A user's name.
pub(super) fn parse_user_name(name: &str) -> Result<UserName, Error> {
    UserName::parse(name).ok_or_else(|| {
        let reason = "Must be 1 to 64 letters, digits and any of +=,.@_-";
        Error::InvalidParameter(format!("The UserName is invalid. Reason: {reason}").into())
    })
}

/// The name of a policy.
pub(super) fn parse_policy_name(name: &str) -> Result<PolicyName, Error> {
    PolicyName::parse(name).ok_or_else(|| {
        let reason = "Must be 1 to 128 letters, digits and any of +=,.@_-";
        Error::InvalidParameter(format!("The PolicyName is invalid. Reason: {reason}").into())
    })
}

/// The access key that a request names, which must be one that the caller may manage: another is as
/// unknown as one that is not there.
pub(super) fn access_key(call: &Call<'_>, id: Option<&str>) -> Result<Arc<AccessKey>, Error> {
    let id = required(id, "AccessKeyId")?;
    let key = call.app.shards.directory().now().key(id).cloned();
    let key = key.ok_or(Error::ResourceNotFound("AccessKeyId"))?;
    if *key.owner.account() != call.account && !call.is_root() {
        call.record_refusal("The access key is another account's.");
        return Err(Error::ResourceNotFound("AccessKeyId"));
    }
    check_owner(call, &key.owner)?;
    Ok(key)
}

/// Whoever may manage an account's users is not thereby its root.
pub(super) fn check_owner(call: &Call<'_>, owner: &Owner) -> Result<(), Error> {
    match owner {
        Owner::Root(account) if !call.is_root_of(account) => {
            Err(call.refuse("Only root may manage the access keys of an account's root."))
        }
        _ => Ok(()),
    }
}

/// An access key without its secret.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AccessKeyOutput {
    access_key_id: String,
    account_id: String,
    /// Absent: the account's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    status: &'static str,
    created_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<u64>,
}

impl From<&AccessKey> for AccessKeyOutput {
    fn from(key: &AccessKey) -> AccessKeyOutput {
        AccessKeyOutput {
            access_key_id: key.id.to_string(),
            account_id: key.owner.account().as_str().into(),
            user_name: key.owner.user().map(|user| user.name.as_str().into()),
            status: if key.active { "Active" } else { "Inactive" },
            created_at: key.created_at.0,
            last_used_at: key.last_used.at().map(|at| at.0),
        }
    }
}
