//! `stanchion queue policy`: who else may do what with a queue.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};
use stanchion_sdk::actions::own::access::{SimulatePolicy, SimulatePolicyReply};
use stanchion_sdk::actions::queues::SetQueueAttributes;

use crate::context::Target;
use crate::failure::Failure;
use crate::input::{parse_pair, read_policy};
use crate::output::{Output, Record};
use crate::queues::{attributes, name_of};

/// What to do with a queue's policy.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print the policy
    #[command(after_help = "\
Examples:
  stanchion queue policy get orders
  stanchion queue policy get orders > policy.json")]
    Get {
        /// The queue: its name, or its URL
        queue: String,
    },
    /// Set the policy to what a file says
    #[command(after_help = "\
Examples:
  stanchion queue policy set orders policy.json
  stanchion queue policy get orders | stanchion queue policy set others -")]
    Set {
        /// The queue: its name, or its URL
        queue: String,
        /// A policy in JSON; `-` is standard input
        file: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Take the policy away: only the owner's users may do anything
    #[command(after_help = "\
Examples:
  stanchion queue policy rm orders")]
    Rm {
        /// The queue: its name, or its URL
        queue: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Add a statement to the policy, or replace the one of the same --sid
    #[command(after_help = "\
Examples:
  stanchion queue policy allow orders --principal 111122223333 --action SendMessage
  stanchion queue policy allow orders --principal '*' --action SendMessage --sid open --dry-run")]
    Allow {
        /// The queue: its name, or its URL
        queue: String,
        /// An account, an ARN, or `*` for everybody; more than once for more
        #[arg(long, required = true, value_name = "WHO")]
        principal: Vec<String>,
        /// An action such as SendMessage, or `*`; more than once for more
        #[arg(long, required = true, value_name = "ACTION")]
        action: Vec<String>,
        /// What the statement is called
        #[arg(long, value_name = "NAME")]
        sid: Option<String>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Say whether somebody may do something, and which policy decides
    #[command(after_help = "\
Examples:
  stanchion queue policy simulate orders SendMessage
  stanchion queue policy simulate orders SendMessage \\
    --principal arn:aws:iam::000000000000:user/billing --condition aws:SourceIp=10.0.0.7")]
    Simulate {
        /// The queue: its name, or its URL
        queue: String,
        /// Such as SendMessage or stanchion:PeekMessages
        action: String,
        /// An ARN, an account, or `anonymous`; whoever asks without it
        #[arg(long, value_name = "WHO")]
        principal: Option<String>,
        /// A condition key and its value; more than once for more
        #[arg(long, value_name = "KEY=VALUE", value_parser = parse_pair)]
        condition: Vec<(String, String)>,
    },
}

impl PolicyCommand {
    pub(super) async fn run(&self, target: &Target, output: &Output) -> Result<(), Failure> {
        match self {
            PolicyCommand::Get { queue } => get(target, queue, output).await,
            PolicyCommand::Set { queue, file, dry_run } => {
                let policy = read_policy(file)?;
                set(target, queue, Some(&policy), *dry_run, output).await
            }
            PolicyCommand::Rm { queue, dry_run } => {
                set(target, queue, None, *dry_run, output).await
            }
            PolicyCommand::Allow { queue, principal, action, sid, dry_run } => {
                let found = attributes(&target.client, queue).await?;
                let arn = found.get("QueueArn").map_or("*", String::as_str);
                let statement = statement(arn, principal, action, sid.as_deref());
                let before = found.get("Policy").map(|text| parse(text)).transpose()?;
                let policy = with_statement(before, statement)?;
                set(target, queue, Some(&policy), *dry_run, output).await
            }
            PolicyCommand::Simulate { queue, action, principal, condition } => {
                simulate(target, queue, action, principal.clone(), condition, output).await
            }
        }
    }
}

async fn get(target: &Target, queue: &str, output: &Output) -> Result<(), Failure> {
    let found = attributes(&target.client, queue).await?;
    let Some(text) = found.get("Policy") else {
        let message = format!("{} has no policy", name_of(queue));
        return Err(Failure::NotFound { message, hint: None });
    };
    let policy = parse(text)?;
    // It is JSON, whoever reads it.
    match output.is_human() {
        true => output.line(&format!("{policy:#}")),
        false => output.done("", &policy),
    }
}

fn parse(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::failed(format!("no policy: {error}")))
}

async fn set(
    target: &Target,
    queue: &str,
    policy: Option<&Value>,
    dry_run: bool,
    output: &Output,
) -> Result<(), Failure> {
    let name = name_of(queue);
    if !dry_run {
        // An empty text takes it away.
        let text = policy.map(Value::to_string).unwrap_or_default();
        let attributes = [("Policy".to_owned(), text)].into();
        let request = SetQueueAttributes { queue_url: queue.into(), attributes };
        target.client.set_queue_attributes(request).await?;
    }
    let record = json!({"queue": name, "policy": policy, "dry_run": dry_run});
    let sentence = match (policy, dry_run) {
        (Some(policy), true) => format!("Would set the policy of {name} to\n{policy:#}"),
        (Some(_), false) => format!("Set the policy of {name}"),
        (None, true) => format!("Would take the policy of {name} away"),
        (None, false) => format!("{name} has no policy now"),
    };
    output.done(&sentence, &record)
}

/// Allows these to do this with the queue.
fn statement(arn: &str, principals: &[String], actions: &[String], sid: Option<&str>) -> Value {
    let principal = match principals.iter().any(|who| who == "*") {
        true => json!("*"),
        false => json!({"AWS": principals}),
    };
    let actions: Vec<_> = actions
        .iter()
        .map(|action| match action.contains(':') {
            true => action.clone(),
            false => format!("sqs:{action}"),
        })
        .collect();
    let mut statement = json!({"Effect": "Allow", "Principal": principal, "Action": actions,
        "Resource": arn});
    if let Some(sid) = sid {
        statement["Sid"] = sid.into();
    }
    statement
}

/// The policy with one more statement, in place of one that is called the same.
fn with_statement(policy: Option<Value>, statement: Value) -> Result<Value, Failure> {
    let mut policy = policy.unwrap_or_else(|| json!({"Version": "2012-10-17", "Statement": []}));
    let Some(parts) = policy.as_object_mut() else {
        return Err(Failure::failed("the queue's policy is no object"));
    };
    let statements = match parts.remove("Statement") {
        None => Vec::new(),
        Some(Value::Array(statements)) => statements,
        // A policy may have a single one without a list.
        Some(single) => vec![single],
    };
    let sid = statement.get("Sid").cloned();
    let stays = |other: &Value| sid.is_none() || other.get("Sid") != sid.as_ref();
    let mut statements: Vec<_> = statements.into_iter().filter(stays).collect();
    if !statements.contains(&statement) {
        statements.push(statement);
    }
    parts.insert("Statement".into(), statements.into());
    Ok(policy)
}

/// Whether it is allowed, and what decides.
#[derive(Serialize)]
struct Simulated {
    allowed: bool,
    decision: String,
    policy_type: Option<String>,
    policy_index: Option<u64>,
    statement_index: Option<u64>,
    statement_id: Option<String>,
}

impl From<SimulatePolicyReply> for Simulated {
    fn from(reply: SimulatePolicyReply) -> Simulated {
        Simulated {
            allowed: reply.decision == "allowed",
            decision: reply.decision,
            policy_type: reply.policy_type,
            policy_index: reply.policy_index,
            statement_index: reply.statement_index,
            statement_id: reply.statement_id,
        }
    }
}

impl Record for Simulated {
    const COLUMNS: &'static [&'static str] = &["Decision", "Decided by"];

    fn row(&self) -> Vec<String> {
        let by = self.policy_type.as_deref().map(|kind| {
            let name = self.statement_id.as_ref().map(|sid| format!(" ({sid})"));
            // People count from one.
            let number = |index: Option<u64>| index.unwrap_or(0) + 1;
            format!(
                "statement {}{} of {kind} policy {}",
                number(self.statement_index),
                name.unwrap_or_default(),
                number(self.policy_index)
            )
        });
        vec![self.decision.clone(), by.unwrap_or_else(|| "no statement".into())]
    }
}

async fn simulate(
    target: &Target,
    queue: &str,
    action: &str,
    principal: Option<String>,
    conditions: &[(String, String)],
    output: &Output,
) -> Result<(), Failure> {
    let mut context: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (key, value) in conditions {
        context.entry(key.clone()).or_default().push(value.clone());
    }
    let request = SimulatePolicy {
        queue_url: queue.into(),
        action: action.into(),
        principal,
        context,
        ..SimulatePolicy::default()
    };
    output.item(&Simulated::from(target.client.simulate_policy(request).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_added_once_and_replaces_the_one_of_its_name() {
        let one = statement("arn", &["111122223333".into()], &["SendMessage".into()], Some("a"));
        assert_eq!(one["Principal"], json!({"AWS": ["111122223333"]}));
        assert_eq!(one["Action"], json!(["sqs:SendMessage"]));
        let policy = with_statement(None, one.clone()).unwrap();
        assert_eq!(policy["Statement"], json!([one]));

        let other = statement("arn", &["*".into()], &["sqs:*".into()], Some("a"));
        let policy = with_statement(Some(policy), other.clone()).unwrap();
        assert_eq!(policy["Statement"], json!([other]));

        let nameless = statement("arn", &["*".into()], &["*".into()], None);
        let policy = with_statement(Some(policy), nameless.clone()).unwrap();
        let again = with_statement(Some(policy.clone()), nameless.clone()).unwrap();
        assert_eq!(again, policy);
        assert_eq!(again["Statement"], json!([other, nameless]));

        let single = json!({"Statement": other});
        let policy = with_statement(Some(single), nameless.clone()).unwrap();
        assert_eq!(policy["Statement"], json!([other, nameless]));
        assert!(with_statement(Some(json!([])), nameless).is_err());
    }
}
