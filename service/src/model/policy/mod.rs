//! Access policies: the language of AWS as types, and what Amazon SQS makes of it. Everything here
//! is read once, when a policy is set; who may do what is then a question to the types.

pub mod actions;
pub mod document;
mod json;
pub mod permission;
pub mod queue_policy;
