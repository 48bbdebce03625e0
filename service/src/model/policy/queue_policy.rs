//! The `Policy` of a queue. Source: facts sheet, 3.2 and 10.2.

use serde::{Deserialize, Serialize};

use super::actions;
use super::document::{Document, Statement};
use super::operands::Operands;
use crate::error::Error;
use crate::limits;

/// A queue's policy: the text that is shown, and what it says. Stored as its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct QueuePolicy {
    text: String,
    document: Document,
}

impl QueuePolicy {
    /// A policy as SetQueueAttributes takes it: `InvalidAttributeValue` for what is none,
    /// `OverLimit` for too much of it, `InvalidParameterValue` for actions that do not exist.
    pub fn parse(text: &str) -> Result<QueuePolicy, Error> {
        check_length(text)?;
        let document = Document::parse(text).ok_or_else(invalid)?;
        check(&document)?;
        Ok(QueuePolicy { text: text.into(), document })
    }

    /// A policy that we have put together.
    pub(super) fn compose(document: Document) -> Result<QueuePolicy, Error> {
        let text = serde_json::to_string(&document)
            .map_err(|error| Error::Internal(format!("writing a policy: {error}").into()))?;
        check_length(&text)?;
        check(&document)?;
        Ok(QueuePolicy { text, document })
    }

    /// As it was given; as AWS would write it where AddPermission or RemovePermission had a hand in
    /// it.
    // Differs from AWS: where the text names no version AWS adds the older one. Clients that compare
    // what they get with what they set, as Terraform does, wait for ever for the two to be equal.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says.
    pub fn document(&self) -> &Document {
        &self.document
    }
}

impl From<QueuePolicy> for String {
    fn from(policy: QueuePolicy) -> String {
        policy.text
    }
}

/// A policy as it was stored. Limits are not looked at again: they may have changed since.
impl TryFrom<String> for QueuePolicy {
    type Error = &'static str;

    fn try_from(text: String) -> Result<QueuePolicy, &'static str> {
        let document = Document::parse(&text).ok_or("a queue's policy is none")?;
        Ok(QueuePolicy { text, document })
    }
}

fn invalid() -> Error {
    Error::InvalidAttributeValue("Invalid value for the parameter Policy.".into())
}

fn check_length(text: &str) -> Result<(), Error> {
    match text.len() {
        ..=limits::POLICY_BYTES_MAX => Ok(()),
        _ => Err(Error::OverLimit(
            format!("Policies cannot be longer than {} bytes", limits::POLICY_BYTES_MAX).into(),
        )),
    }
}

/// What a queue demands of its policy beyond the grammar.
// Differs from AWS: whether users, roles and providers exist is not looked up, there being none to
// look up. Resources may be any ARN; one that is not the queue's never matches.
fn check(document: &Document) -> Result<(), Error> {
    let statements = &document.statements;
    let over = |found: usize, what: &str, max: usize| match found {
        found if found <= max => Ok(()),
        _ => Err(Error::OverLimit(
            format!("{found} {what} the submitted policy, max allowed is {max}").into(),
        )),
    };
    over(statements.len(), "statements were found in", limits::POLICY_STATEMENTS_MAX)?;
    for statement in statements {
        let actions = statement.actions.listed();
        let what = "actions were found in a statement from";
        over(actions.len(), what, limits::POLICY_ACTIONS_MAX)?;
        actions.iter().try_for_each(|action| check_action(action))?;
        let is_resource = |text: &String| text == "*" || text.starts_with("arn:");
        if !statement.resources.listed().iter().all(is_resource) {
            return Err(invalid());
        }
        if statement.conditions.iter().any(|one| one.operands == Operands::Unreadable) {
            return Err(invalid());
        }
    }
    let principals = |statement: &Statement| {
        statement.principals.as_ref().map(|selection| selection.listed().len()).ok_or_else(invalid)
    };
    let principals = statements.iter().map(principals).sum::<Result<usize, Error>>()?;
    over(principals, "principals were found in", limits::POLICY_PRINCIPALS_MAX)?;
    let conditions = statements.iter().map(|statement| statement.conditions.len()).sum();
    over(conditions, "conditions were found in", limits::POLICY_CONDITIONS_MAX)
}

/// `*`, `sqs:` and a permission, or `sqs:` and a pattern.
fn check_action(action: &str) -> Result<(), Error> {
    let (service, name) = match action.split_once(':') {
        None if action == "*" => return Ok(()),
        None => return Err(invalid()),
        Some(parts) => parts,
    };
    if !service.eq_ignore_ascii_case("sqs") {
        return Err(invalid());
    }
    match name.contains(['*', '?']) || actions::find(name).is_some() {
        true => Ok(()),
        false => Err(unknown_action(action)),
    }
}

/// An action that nobody can be given, batches among them.
pub(super) fn unknown_action(action: &str) -> Error {
    // The blank at the end is AWS's.
    let reason = "Please refer to the appropriate WSDL for a list of valid actions. ";
    Error::invalid("ActionName", action, reason)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn statement() -> Value {
        json!({"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"})
    }

    /// The statement of [`statement`] with some members replaced.
    fn with(members: Value) -> String {
        let mut statement = statement();
        for (name, value) in members.as_object().unwrap() {
            statement[name] = value.clone();
        }
        json!({"Version": "2012-10-17", "Statement": statement}).to_string()
    }

    fn refusal(text: &str) -> Error {
        QueuePolicy::parse(text).unwrap_err()
    }

    #[test]
    fn the_text_is_kept_as_it_was_given() {
        let text = " { \"Statement\":\n[{\"Effect\":\"Deny\",\"Principal\":{\"AWS\":\"*\"},\"NotAction\":\
                    \"sqs:*\",\"NotResource\":\"arn:aws:sqs:*:*:x\"}] } ";
        let policy = QueuePolicy::parse(text).unwrap();
        assert_eq!(policy.text(), text);
        let stored = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<QueuePolicy>(&stored).unwrap(), policy);
        assert!(serde_json::from_str::<QueuePolicy>("\"{}\"").is_err());
    }

    #[test]
    fn each_limit_is_kept_and_told() {
        let statements = |count: usize| json!({"Statement": vec![statement(); count]}).to_string();
        let principals =
            |count: usize| with(json!({"Principal": {"AWS": vec!["000000000000"; count]}}));
        let actions = |count: usize| with(json!({"Action": vec!["sqs:SendMessage"; count]}));
        let conditions = |count: usize| {
            let keys: serde_json::Map<String, Value> =
                (0..count).map(|n| (format!("aws:key{n}"), json!("x"))).collect();
            with(json!({"Condition": {"StringEquals": keys}}))
        };
        #[rustfmt::skip]
        let cases = [
            (statements(20), statements(21), "21 statements were found in the submitted policy, max allowed is 20"),
            (principals(50), principals(51), "51 principals were found in the submitted policy, max allowed is 50"),
            (actions(7), actions(8), "8 actions were found in a statement from the submitted policy, max allowed is 7"),
            (conditions(10), conditions(11), "11 conditions were found in the submitted policy, max allowed is 10"),
        ];
        for (most, more, text) in cases {
            assert!(QueuePolicy::parse(&most).is_ok(), "{text}");
            assert_eq!(refusal(&more), Error::OverLimit(text.into()));
        }
        let text = with(json!({}));
        let padded = |bytes: usize| text.clone() + &" ".repeat(bytes - text.len());
        assert!(QueuePolicy::parse(&padded(8192)).is_ok());
        let long = Error::OverLimit("Policies cannot be longer than 8192 bytes".into());
        assert_eq!(refusal(&padded(8193)), long);
    }

    #[test]
    fn principals_and_conditions_count_over_all_statements() {
        let half = |count: usize| {
            let mut statement = statement();
            statement["NotPrincipal"] = json!({"Service": vec!["sns.amazonaws.com"; count]});
            statement.as_object_mut().unwrap().remove("Principal");
            statement
        };
        let policy = |a, b| json!({"Statement": [half(a), half(b)]}).to_string();
        assert!(QueuePolicy::parse(&policy(25, 25)).is_ok());
        assert!(matches!(refusal(&policy(25, 26)), Error::OverLimit(_)));
    }

    #[test]
    fn actions_are_those_of_amazon_sqs() {
        for legal in
            ["*", "sqs:*", "SQS:SendMessage", "sqs:sendmessage", "sqs:Send*", "sqs:?etQueue*"]
        {
            assert!(QueuePolicy::parse(&with(json!({"Action": legal}))).is_ok(), "{legal}");
        }
        for unknown in ["sqs:SendMessageBatch", "sqs:Nonsense", "SQS:"] {
            assert_eq!(
                refusal(&with(json!({"Action": ["sqs:SendMessage", unknown]}))).to_string(),
                format!(
                    "Value {unknown} for parameter ActionName is invalid. Reason: Please refer to \
                     the appropriate WSDL for a list of valid actions. "
                )
            );
        }
        for foreign in ["", "SendMessage", "s3:GetObject", "s*:SendMessage"] {
            assert_eq!(refusal(&with(json!({"Action": foreign}))), invalid(), "{foreign}");
        }
    }

    #[test]
    fn what_is_no_policy_of_a_queue_is_refused() {
        let legal = with(json!({}));
        let cases = [
            "x".to_string(),
            "[]".into(),
            "{}".into(),
            r#"{"Statement":[]}"#.into(),
            r#"{"Statement":[{}]}"#.into(),
            legal.replace("Principal", "principal"),
            legal.replace(r#","Principal":"*""#, ""),
            with(json!({"Resource": "orders"})),
            with(json!({"Resource": []})),
            with(json!({"Resource": null})),
        ];
        for text in cases {
            assert_eq!(refusal(&text), invalid(), "{text}");
        }
    }
}
