//! A policy of a user or a role: what it may do. Source: facts sheet, 10.2.

use std::sync::Arc;

use super::document::Document;
use super::operands::Operands;
use crate::error::Error;
use crate::limits;

/// A policy of a user or a role: the text that is shown, and what it says. Stored as its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityPolicy {
    text: Arc<str>,
    document: Arc<Document>,
}

impl IdentityPolicy {
    /// A policy as somebody gives it in `parameter`: `InvalidParameterValue` for what is none, or
    /// names principals, which the policy's owner is; `OverLimit` for too much of it.
    pub fn parse(text: &str, parameter: &'static str) -> Result<IdentityPolicy, Error> {
        let max = limits::IDENTITY_POLICY_BYTES_MAX;
        if text.len() > max {
            let text = format!("Policies cannot be longer than {max} bytes");
            return Err(Error::OverLimit(text.into()));
        }
        // The text may be long, and the caller knows it.
        let invalid = |why| Error::InvalidParameter(format!("The {parameter} {why}.").into());
        let document = Arc::new(Document::of_identity(text).map_err(invalid)?);
        Ok(IdentityPolicy { text: text.into(), document })
    }

    /// A policy as it was stored. Limits are not looked at again: they may have changed since.
    pub fn stored(text: &str) -> Option<IdentityPolicy> {
        let document = Arc::new(Document::parse(text)?);
        Some(IdentityPolicy { text: text.into(), document })
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub fn document(&self) -> &Arc<Document> {
        &self.document
    }
}

impl Document {
    /// A policy of a user, a role or a session, which says what they may do. Who may is not for it to
    /// say, and what can never match is refused: it may be what was meant to keep somebody out. An
    /// error goes on from the policy's name.
    pub fn of_identity(text: &str) -> Result<Document, &'static str> {
        let document = Document::parse(text).ok_or("is not a policy")?;
        for statement in &document.statements {
            if statement.principals.is_some() {
                return Err("is that of an identity and must not name principals");
            }
            let is_action = |action: &String| action == "*" || action.contains(':');
            if !statement.actions.listed().iter().all(is_action) {
                return Err("has an action that is not <service>:<name> or *");
            }
            let is_resource = |name: &String| name == "*" || name.starts_with("arn:");
            if !statement.resources.listed().iter().all(is_resource) {
                return Err("has a resource that is neither an ARN nor *");
            }
            if statement.conditions.iter().any(|one| one.operands == Operands::Unreadable) {
                return Err("has a condition with a value that cannot be compared");
            }
        }
        Ok(document)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        IdentityPolicy::parse(text, "Policy").unwrap_err().to_string()
    }

    #[test]
    fn what_an_identity_may_do_is_kept_as_it_was_written() {
        let text = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
            "Action":["sqs:*","stanchion:CreateAccessKey"],"Resource":"*"}]}"#;
        let policy = IdentityPolicy::parse(text, "Policy").unwrap();
        assert_eq!(policy.text(), text);
        assert_eq!(IdentityPolicy::stored(text), Some(policy));
    }

    #[test]
    fn what_is_no_policy_of_an_identity_is_refused() {
        let statement = |more: &str| format!(r#"{{"Statement":[{{"Effect":"Allow",{more}}}]}}"#);
        assert_eq!(refusal("{}"), "The Policy is not a policy.");
        assert_eq!(refusal("not json"), "The Policy is not a policy.");
        let named = statement(r#""Principal":"*","Action":"sqs:*","Resource":"*""#);
        assert!(refusal(&named).contains("principals"));
        let action = statement(r#""Action":"SendMessage","Resource":"*""#);
        assert!(refusal(&action).contains("action"));
        let resource = statement(r#""Action":"sqs:*","Resource":"orders""#);
        assert!(refusal(&resource).contains("resource"));
        let network = r#""IpAddress":{"aws:SourceIp":"nowhere"}"#;
        let network = format!(r#""Action":"sqs:*","Resource":"*","Condition":{{{network}}}"#);
        assert!(refusal(&statement(&network)).contains("condition"));
        let long = statement(&format!(r#""Action":"sqs:*","Resource":"arn:{}""#, "a".repeat(6144)));
        assert_eq!(refusal(&long), "Policies cannot be longer than 6144 bytes");
    }
}
