//! AddPermission and RemovePermission: one statement of a queue's policy, by its label. Source:
//! facts sheet, 10.1.

use super::actions::{self, Permission as Action, Scope};
use super::document::{Document, Effect, Principal, Selection, Statement, Version};
use super::queue_policy::{QueuePolicy, unknown_action};
use crate::error::Error;
use crate::limits;
use crate::model::queue::{AccountId, QueueKey};

/// What some accounts may do with a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    label: String,
    accounts: Vec<AccountId>,
    /// Names without prefix.
    actions: Vec<&'static str>,
}

impl Permission {
    /// A permission as AddPermission takes it: a label of 1 to 80 letters, digits, `-` and `_`;
    /// account ids; names of actions without prefix, or `*`.
    pub fn parse(
        label: String,
        accounts: &[String],
        actions: &[String],
    ) -> Result<Permission, Error> {
        let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'_';
        if !(1..=limits::POLICY_LABEL_BYTES_MAX).contains(&label.len()) || !label.bytes().all(legal)
        {
            let reason = "Can only include alphanumeric characters, hyphens, or underscores. 1 to \
                          80 in length";
            return Err(Error::invalid("Label", label, reason));
        }
        if actions.len() > limits::POLICY_ACTIONS_MAX {
            return Err(Error::OverLimit(
                format!(
                    "{} Actions were found, maximum allowed is {}.",
                    actions.len(),
                    limits::POLICY_ACTIONS_MAX
                )
                .into(),
            ));
        }
        let actions = actions.iter().map(|name| parse_action(name)).collect::<Result<_, _>>()?;
        Ok(Permission { label, accounts: parse_accounts(accounts)?, actions })
    }

    /// The policy of a queue with this permission in it.
    pub fn add_to(
        self,
        policy: Option<&QueuePolicy>,
        queue: &QueueKey,
    ) -> Result<QueuePolicy, Error> {
        let mut document = policy.map_or_else(
            || Document {
                version: Some(Version::V2008),
                id: Some(format!("{}/SQSDefaultPolicy", queue.arn())),
                statements: Vec::new(),
            },
            |policy| policy.document().clone(),
        );
        if document.statements.iter().any(|statement| is_labelled(statement, &self.label)) {
            return Err(Error::invalid("Label", self.label, "Already exists."));
        }
        let partition = queue.region.partition();
        let account = |id| Principal::Account { partition: partition.into(), id };
        document.statements.push(Statement {
            sid: Some(self.label),
            effect: Effect::Allow,
            principals: Some(Selection::Any(self.accounts.into_iter().map(account).collect())),
            actions: Selection::Any(
                self.actions.iter().map(|name| format!("SQS:{name}")).collect(),
            ),
            resources: Selection::Any(vec![queue.arn()]),
            conditions: Vec::new(),
        });
        QueuePolicy::compose(document)
    }
}

/// The policy without the statement of this label; with the last one the policy goes too.
pub fn remove(policy: Option<&QueuePolicy>, label: &str) -> Result<Option<QueuePolicy>, Error> {
    let mut document = policy.map(|policy| policy.document().clone());
    let statements = document.as_mut().map(|document| &mut document.statements);
    let labelled = statements.and_then(|statements| {
        let at = statements.iter().position(|statement| is_labelled(statement, label))?;
        Some((statements, at))
    });
    let Some((statements, at)) = labelled else {
        return Err(Error::invalid("Label", label, "can't find label."));
    };
    statements.remove(at);
    document
        .filter(|document| !document.statements.is_empty())
        .map(QueuePolicy::compose)
        .transpose()
}

fn is_labelled(statement: &Statement, label: &str) -> bool {
    statement.sid.as_deref() == Some(label)
}

fn parse_action(name: &str) -> Result<&'static str, Error> {
    match actions::find(name) {
        _ if name == "*" => Ok("*"),
        Some(Action { name, scope: Scope::Shared, .. }) => Ok(name),
        Some(_) => Err(Error::invalid(
            "ActionName",
            format!("SQS:{name}"),
            "Only the queue owner is allowed to invoke this action.",
        )),
        None => Err(unknown_action(&format!("SQS:{name}"))),
    }
}

/// There must be one, and each must be an account's.
// Differs from AWS: whether the account exists is not looked up.
fn parse_accounts(given: &[String]) -> Result<Vec<AccountId>, Error> {
    let parsed: Vec<_> = given.iter().filter_map(|id| AccountId::parse(id)).collect();
    if parsed.is_empty() || parsed.len() < given.len() {
        let wrong = given.iter().filter(|id| AccountId::parse(id).is_none());
        let wrong: Vec<_> = wrong.map(String::as_str).collect();
        let value = format!("[{}]", wrong.join(", "));
        return Err(Error::invalid("PrincipalId", value, "Unable to verify."));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "111122223333";
    const BOB: &str = "444455556666";

    fn queue() -> QueueKey {
        QueueKey::parse_arn("arn:aws:sqs:us-east-1:000000000000:q").unwrap()
    }

    fn parse(label: &str, accounts: &[&str], actions: &[&str]) -> Result<Permission, Error> {
        let owned = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect::<Vec<_>>();
        Permission::parse(label.into(), &owned(accounts), &owned(actions))
    }

    fn add(
        policy: Option<&QueuePolicy>,
        label: &str,
        accounts: &[&str],
        actions: &[&str],
    ) -> Result<QueuePolicy, Error> {
        parse(label, accounts, actions)?.add_to(policy, &queue())
    }

    #[test]
    fn a_first_permission_makes_the_policy_that_aws_makes() {
        let one = add(None, "send", &[ALICE], &["SendMessage"]).unwrap();
        assert_eq!(
            one.text(),
            concat!(
                r#"{"Version":"2008-10-17","#,
                r#""Id":"arn:aws:sqs:us-east-1:000000000000:q/SQSDefaultPolicy","#,
                r#""Statement":[{"Sid":"send","Effect":"Allow","#,
                r#""Principal":{"AWS":"arn:aws:iam::111122223333:root"},"#,
                r#""Action":"SQS:SendMessage","#,
                r#""Resource":"arn:aws:sqs:us-east-1:000000000000:q"}]}"#,
            )
        );
        let two = add(Some(&one), "more", &[ALICE, BOB], &["*", "getqueueurl"]).unwrap();
        let (_, second) = two.text().split_once(r#"},{"Sid":"more""#).unwrap();
        assert_eq!(
            second,
            concat!(
                r#","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111122223333:root","#,
                r#""arn:aws:iam::444455556666:root"]},"Action":["SQS:*","SQS:GetQueueUrl"],"#,
                r#""Resource":"arn:aws:sqs:us-east-1:000000000000:q"}]}"#,
            )
        );
        assert_eq!(QueuePolicy::parse(two.text()), Ok(two));
    }

    #[test]
    fn a_permission_joins_the_policy_that_is_there() {
        let given = r#"{"Version":"2012-10-17","Statement":{"Sid":"mine","Effect":"Deny",
            "Principal":"*","Action":"sqs:*","Resource":"*",
            "Condition":{"Bool":{"aws:SecureTransport":false}}}}"#;
        let given = QueuePolicy::parse(given).unwrap();
        let joined = add(Some(&given), "send", &[ALICE], &["SendMessage"]).unwrap();
        let without = remove(Some(&joined), "send").unwrap().unwrap();
        assert_eq!(without.document(), given.document());
        assert_eq!(remove(Some(&without), "mine"), Ok(None));
    }

    #[test]
    fn in_other_partitions_arns_say_so() {
        let china = QueueKey::parse_arn("arn:aws-cn:sqs:cn-north-1:000000000000:q").unwrap();
        let permission = parse("send", &[ALICE], &["SendMessage"]).unwrap();
        let policy = permission.add_to(None, &china).unwrap();
        assert!(policy.text().contains("arn:aws-cn:iam::111122223333:root"), "{}", policy.text());
    }

    #[test]
    fn permissions_are_refused_in_the_words_of_aws() {
        let eight = ["SendMessage"; 8];
        let longest = "l".repeat(80);
        assert!(parse(&longest, &[ALICE], &eight[..7]).is_ok());
        let too_long = longest + "l";
        let label = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in \
                     length";
        #[rustfmt::skip]
        let cases = [
            ("a b", &[ALICE][..], &["*"][..], format!("Value a b for parameter Label is invalid. Reason: {label}")),
            (&*too_long, &[ALICE], &["*"], format!("Value {too_long} for parameter Label is invalid. Reason: {label}")),
            ("l", &[ALICE], &eight, "8 Actions were found, maximum allowed is 7.".into()),
            ("l", &[ALICE], &["DeleteQueue"], "Value SQS:DeleteQueue for parameter ActionName is invalid. Reason: Only the queue owner is allowed to invoke this action.".into()),
            ("l", &[ALICE], &["SendMessageBatch"], "Value SQS:SendMessageBatch for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions. ".into()),
            ("l", &[ALICE], &["sqs:SendMessage"], "Value SQS:sqs:SendMessage for parameter ActionName is invalid. Reason: Please refer to the appropriate WSDL for a list of valid actions. ".into()),
            ("l", &[], &["*"], "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.".into()),
            ("l", &[ALICE, "alice", "1"], &["*"], "Value [alice, 1] for parameter PrincipalId is invalid. Reason: Unable to verify.".into()),
        ];
        for (label, accounts, actions, text) in cases {
            assert_eq!(parse(label, accounts, actions).unwrap_err().to_string(), text);
        }
        assert!(matches!(parse("l", &[ALICE], &eight), Err(Error::OverLimit(_))));
    }

    #[test]
    fn labels_are_unique_and_must_be_there_to_be_removed() {
        let policy = add(None, "send", &[ALICE], &["SendMessage"]).unwrap();
        assert_eq!(
            add(Some(&policy), "send", &[BOB], &["*"]).unwrap_err().to_string(),
            "Value send for parameter Label is invalid. Reason: Already exists."
        );
        for policy in [None, Some(&policy)] {
            assert_eq!(
                remove(policy, "receive").unwrap_err().to_string(),
                "Value receive for parameter Label is invalid. Reason: can't find label."
            );
        }
    }

    #[test]
    fn a_policy_takes_no_more_permissions_than_statements() {
        let mut policy = None;
        for n in 0..20 {
            policy = Some(add(policy.as_ref(), &n.to_string(), &[ALICE], &["*"]).unwrap());
        }
        assert_eq!(
            add(policy.as_ref(), "20", &[ALICE], &["*"]).unwrap_err(),
            Error::OverLimit(
                "21 statements were found in the submitted policy, max allowed is 20".into()
            )
        );
    }
}
