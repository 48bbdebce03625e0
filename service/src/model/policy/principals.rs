//! Whether somebody is who a statement names. Source: facts sheet, 10.5.

use super::document::{Effect, Principal, Selection};
use crate::model::caller::{Caller, Identity};
use crate::model::queue::AccountId;

/// Whether a statement of a policy is about this caller. `owner` is the account that the policy is of.
pub(super) fn include(
    principals: &Selection<Principal>,
    effect: Effect,
    caller: &Caller,
    owner: &AccountId,
) -> bool {
    let is_root = matches!(caller.identity, Identity::Root(_));
    match principals {
        Selection::Any(list) => list.iter().any(|principal| match (principal, effect) {
            // What an account is given, its own policies hand out: those that other accounts have
            // are asked anyway, and within the queue's account nothing else is.
            (Principal::Account { id, .. }, Effect::Allow) if id == owner => {
                covers(principal, caller) && is_root
            }
            _ => covers(principal, caller),
        }),
        Selection::AllBut(list) => !list.iter().any(|principal| match (principal, effect) {
            // To spare an account from a denial spares its owner, not everybody in it: each of
            // them has to be named too. In an `Allow` it keeps out all of them.
            (Principal::Account { .. }, Effect::Deny) => covers(principal, caller) && is_root,
            _ => covers(principal, caller),
        }),
    }
}

/// Whether a principal is this caller, or somebody who stands for them.
fn covers(principal: &Principal, caller: &Caller) -> bool {
    match principal {
        Principal::Anyone => true,
        Principal::Account { id, .. } => caller.account() == Some(id),
        Principal::Arn(arn) => is_called(caller, arn),
        // Nobody signs as a service, and providers vouch only for who then has a role.
        Principal::Service(_) | Principal::Federated(_) | Principal::CanonicalUser(_) => false,
    }
}

/// Whether an ARN is a caller's own, or that of the role they are in. Partitions are not compared: a
/// caller has none.
fn is_called(caller: &Caller, arn: &str) -> bool {
    let mut parts = arn.splitn(6, ':').skip(2);
    let (Some(service), Some(_region), Some(account), Some(name)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    if caller.account().is_none_or(|own| own.as_str() != account) {
        return false;
    }
    let (kind, path) = name.split_once('/').unwrap_or((name, ""));
    match (&caller.identity, service, kind) {
        (Identity::User { name, .. }, "iam", "user") => path == name,
        (Identity::Session { role, .. }, "iam", "role") => path == role,
        (Identity::Session { role, name, .. }, "sts", "assumed-role") => {
            path.split_once('/') == Some((role, name))
        }
        _ => false,
    }
}
