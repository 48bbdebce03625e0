//! `stanchion user`: users and what they may do.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Serialize;
use serde_json::{Value, json};
use stanchion_sdk::actions::own::access::{
    DeleteUser, DeleteUserPolicy, ListUsers, PutUserPolicy, User,
};

use crate::args::Global;
use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::input::read_policy;
use crate::output::{Output, Record};
use crate::units::show_moment;

/// What to do with users; `key create --user` makes them.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// List users and their policies
    #[command(after_help = "\
Examples:
  stanchion user ls
  stanchion user ls --name billing -o json | jq '.[0].policies'")]
    Ls {
        /// An account, twelve digits; the caller's without it
        #[arg(long)]
        account: Option<String>,
        /// Only users of this name
        #[arg(long)]
        name: Option<String>,
    },
    /// Delete a user, its policies and its keys
    #[command(after_help = "\
Examples:
  stanchion user rm billing")]
    Rm {
        /// The user's name
        user: String,
        /// An account, twelve digits; the caller's without it
        #[arg(long)]
        account: Option<String>,
        #[command(flatten)]
        consent: Consent,
    },
    /// What a user may do
    #[command(subcommand)]
    Policy(UserPolicyCommand),
}

/// What to do with a user's policies.
#[derive(Debug, Subcommand)]
pub(crate) enum UserPolicyCommand {
    /// Give a user a policy, in place of one of the same name
    #[command(after_help = "\
Examples:
  stanchion user policy put billing orders policy.json")]
    Put {
        /// The user's name
        user: String,
        /// What the policy is called
        name: String,
        /// A policy in JSON; `-` is standard input
        file: String,
        /// An account, twelve digits; the caller's without it
        #[arg(long)]
        account: Option<String>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Take a policy from a user
    #[command(after_help = "\
Examples:
  stanchion user policy rm billing orders")]
    Rm {
        /// The user's name
        user: String,
        /// What the policy is called
        name: String,
        /// An account, twelve digits; the caller's without it
        #[arg(long)]
        account: Option<String>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// A user in the list.
#[derive(Serialize)]
struct Listed {
    user: String,
    account: String,
    created_at: u64,
    policies: BTreeMap<String, Value>,
    arn: String,
}

impl From<User> for Listed {
    fn from(user: User) -> Listed {
        let policies = user.policies.into_iter().map(|(name, text)| {
            let policy = serde_json::from_str(&text).unwrap_or(Value::String(text));
            (name, policy)
        });
        Listed {
            user: user.user_name,
            account: user.account_id,
            arn: user.arn,
            created_at: user.created_at,
            policies: policies.collect(),
        }
    }
}

impl Record for Listed {
    const COLUMNS: &'static [&'static str] = &["USER", "ACCOUNT", "CREATED", "POLICIES", "ARN"];

    fn row(&self) -> Vec<String> {
        let names: Vec<_> = self.policies.keys().map(String::as_str).collect();
        vec![
            self.user.clone(),
            self.account.clone(),
            show_moment(self.created_at),
            names.join(", "),
            self.arn.clone(),
        ]
    }
}

/// Runs it.
pub(crate) async fn run(
    command: UserCommand,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let target = &Target::resolve(global).await?;
    match command {
        UserCommand::Ls { account, name } => list(target, account, name, output).await,
        UserCommand::Rm { user, account, consent } => {
            let deed = format!("delete user {user}, its policies and its keys");
            if consent.dry_run {
                let record = json!({"user": user, "dry_run": true});
                return output.done(&format!("Would {deed}"), &record);
            }
            consent.ask(target, &user, &deed)?;
            let request = DeleteUser { user_name: user.clone(), account_id: account };
            target.client.delete_user(request).await?;
            output.done(&format!("Deleted {user}"), &json!({"deleted": user}))
        }
        UserCommand::Policy(UserPolicyCommand::Put { user, name, file, account, dry_run }) => {
            let policy = read_policy(&file)?.to_string();
            let record = json!({"user": user, "policy": name, "dry_run": dry_run});
            if dry_run {
                return output.done(&format!("Would give {user} the policy {name}"), &record);
            }
            let sentence = format!("{user} has the policy {name}");
            let request =
                PutUserPolicy { user_name: user, policy_name: name, policy, account_id: account };
            target.client.put_user_policy(request).await?;
            output.done(&sentence, &record)
        }
        UserCommand::Policy(UserPolicyCommand::Rm { user, name, account, dry_run }) => {
            let record = json!({"user": user, "policy": name, "dry_run": dry_run});
            if dry_run {
                return output.done(&format!("Would take the policy {name} from {user}"), &record);
            }
            let sentence = format!("{user} no longer has the policy {name}");
            let request =
                DeleteUserPolicy { user_name: user, policy_name: name, account_id: account };
            target.client.delete_user_policy(request).await?;
            output.done(&sentence, &record)
        }
    }
}

async fn list(
    target: &Target,
    account_id: Option<String>,
    user_name: Option<String>,
    output: &Output,
) -> Result<(), Failure> {
    let mut request = ListUsers { account_id, user_name, ..ListUsers::default() };
    let mut listed: Vec<Listed> = Vec::new();
    loop {
        let page = target.client.list_users(request.clone()).await?;
        listed.extend(page.users.into_iter().map(Listed::from));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return output.list(&listed, "There are no users.");
        }
    }
}
