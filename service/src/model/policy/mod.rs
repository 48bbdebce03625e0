//! Access policies: the language of AWS as types, and what Amazon SQS makes of it. Everything here
//! is read once, when a policy is set; who may do what is then a question to the types.

pub mod actions;
mod conditions;
pub mod context;
pub mod document;
pub mod evaluate;
pub mod identity_policy;
mod json;
pub mod operands;
pub mod permission;
mod principals;
pub mod queue_policy;
pub(crate) mod wildcards;
