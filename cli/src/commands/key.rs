//! `stanchion key`: access keys.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use stanchion_sdk::actions::own::access::{
    AccessKey, CreateAccessKey, DeleteAccessKey, ListAccessKeys, UpdateAccessKey,
};

use crate::args::Global;
use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::input::{parse_pair, read_policy};
use crate::output::{Output, Record};
use crate::units::show_moment;

/// What to do with access keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an access key for a user, and the user where there is none; shows the secret once
    #[command(after_help = "\
Examples:
  stanchion key create --user billing --policy orders=policy.json
  stanchion key create --account 111122223333
  stanchion key create --user billing -o json > key.json")]
    Create(Create),
    /// List access keys, without their secrets
    #[command(after_help = "\
Examples:
  stanchion key ls
  stanchion key ls --user billing")]
    Ls {
        #[command(flatten)]
        owner: Owner,
    },
    /// Refuse what is signed with a key, until it is enabled again
    #[command(after_help = "\
Examples:
  stanchion key disable AKIAIOSFODNN7EXAMPLE")]
    Disable {
        /// The key's id
        id: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Take what is signed with a key again
    #[command(after_help = "\
Examples:
  stanchion key enable AKIAIOSFODNN7EXAMPLE")]
    Enable {
        /// The key's id
        id: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete an access key
    #[command(after_help = "\
Examples:
  stanchion key rm AKIAIOSFODNN7EXAMPLE")]
    Rm {
        /// The key's id
        id: String,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Whose.
#[derive(Args, Clone, Debug)]
pub(crate) struct Owner {
    /// An account, twelve digits; the caller's without it
    #[arg(long, value_name = "ACCOUNT")]
    pub(super) account: Option<String>,
    /// A user
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
}

/// A new key.
#[derive(Args, Debug)]
pub(crate) struct Create {
    #[command(flatten)]
    owner: Owner,
    /// A policy that the user is given: its name, and a file with it in JSON
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_pair, requires = "user")]
    policy: Vec<(String, String)>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// A key with its secret.
#[derive(Serialize)]
struct Made {
    access_key_id: String,
    secret_access_key: String,
    account: String,
    user: Option<String>,
}

impl Record for Made {
    const COLUMNS: &'static [&'static str] = &["Access key", "Secret", "Account", "User"];

    fn row(&self) -> Vec<String> {
        let user = self.user.clone().unwrap_or_else(|| "root".into());
        vec![self.access_key_id.clone(), self.secret_access_key.clone(), self.account.clone(), user]
    }
}

/// A key in the list.
#[derive(Serialize)]
struct Listed {
    access_key_id: String,
    account: String,
    user: Option<String>,
    active: bool,
    created_at: u64,
    last_used_at: Option<u64>,
}

impl From<AccessKey> for Listed {
    fn from(key: AccessKey) -> Listed {
        Listed {
            active: key.status == "Active",
            access_key_id: key.access_key_id,
            account: key.account_id,
            user: key.user_name,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
        }
    }
}

impl Record for Listed {
    const COLUMNS: &'static [&'static str] =
        &["ACCESS KEY", "ACCOUNT", "USER", "ACTIVE", "CREATED", "LAST USED"];

    fn row(&self) -> Vec<String> {
        vec![
            self.access_key_id.clone(),
            self.account.clone(),
            self.user.clone().unwrap_or_else(|| "root".into()),
            if self.active { "yes" } else { "no" }.into(),
            show_moment(self.created_at),
            self.last_used_at.map_or("never".into(), show_moment),
        ]
    }
}

/// Runs it.
pub(crate) async fn run(
    command: KeyCommand,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let target = &Target::resolve(global).await?;
    match command {
        KeyCommand::Create(create) => create.run(target, output).await,
        KeyCommand::Ls { owner } => list(target, owner, output).await,
        KeyCommand::Disable { id, dry_run } => update(target, id, false, dry_run, output).await,
        KeyCommand::Enable { id, dry_run } => update(target, id, true, dry_run, output).await,
        KeyCommand::Rm { id, consent } => {
            let deed = format!("delete access key {id}");
            if consent.dry_run {
                let record = json!({"access_key_id": id, "dry_run": true});
                return output.done(&format!("Would {deed}"), &record);
            }
            consent.ask(target, &id, &deed)?;
            target.client.delete_access_key(DeleteAccessKey { access_key_id: id.clone() }).await?;
            output.done(&format!("Deleted {id}"), &json!({"deleted": id}))
        }
    }
}

impl Create {
    async fn run(self, target: &Target, output: &Output) -> Result<(), Failure> {
        let Create { owner: Owner { account, user }, policy, dry_run } = self;
        let mut policies = BTreeMap::new();
        for (name, file) in policy {
            policies.insert(name, read_policy(&file)?.to_string());
        }
        if dry_run {
            let record = json!({"account": account, "user": user, "dry_run": true});
            let whose = user.as_deref().unwrap_or("root");
            return output.done(&format!("Would make an access key for {whose}"), &record);
        }
        let request = CreateAccessKey { account_id: account, user_name: user, policies };
        let made = target.client.create_access_key(request).await?;
        output.item(&Made {
            access_key_id: made.access_key_id,
            secret_access_key: made.secret_access_key,
            account: made.account_id,
            user: made.user_name,
        })?;
        if output.is_human() {
            output.note("Keep the secret: nobody shows it again.");
        }
        Ok(())
    }
}

async fn list(target: &Target, owner: Owner, output: &Output) -> Result<(), Failure> {
    let mut request = ListAccessKeys {
        account_id: owner.account,
        user_name: owner.user,
        ..ListAccessKeys::default()
    };
    let mut listed: Vec<Listed> = Vec::new();
    loop {
        let page = target.client.list_access_keys(request.clone()).await?;
        listed.extend(page.access_keys.into_iter().map(Listed::from));
        request.next_token = page.next_token;
        if request.next_token.is_none() {
            return output.list(&listed, "There are no access keys.");
        }
    }
}

async fn update(
    target: &Target,
    id: String,
    active: bool,
    dry_run: bool,
    output: &Output,
) -> Result<(), Failure> {
    let record = json!({"access_key_id": id, "active": active, "dry_run": dry_run});
    let verb = if active { "enable" } else { "disable" };
    if dry_run {
        return output.done(&format!("Would {verb} {id}"), &record);
    }
    let status = if active { "Active" } else { "Inactive" }.to_owned();
    let sentence = format!("{id} is {verb}d");
    target.client.update_access_key(UpdateAccessKey { access_key_id: id, status }).await?;
    output.done(&sentence, &record)
}
