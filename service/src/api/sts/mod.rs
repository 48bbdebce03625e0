//! What clients call of AWS's Security Token Service, to be somebody else for a while: over AWS Query
//! at the same address. Source: facts sheet, 11.6.

pub mod assume_role;
pub mod assume_role_with_web_identity;
pub mod get_caller_identity;
mod session;
mod validation;

use crate::api::action::{Row, row};

/// The version of the API, as requests have it in `Version`.
pub const VERSION: &str = "2011-06-15";

/// Every action, in the order of their names.
pub const ACTIONS: &[Row] = &[
    row::<assume_role::AssumeRole>(),
    row::<assume_role_with_web_identity::AssumeRoleWithWebIdentity>(),
    row::<get_caller_identity::GetCallerIdentity>(),
];

#[cfg(test)]
mod tests;
