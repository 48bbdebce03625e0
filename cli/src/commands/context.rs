//! `stanchion context`: named servers.

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use clap::{Args, Subcommand};
use serde::Serialize;
use stanchion_sdk::actions::own::server::GetServerInfo;
use stanchion_sdk::actions::queues::ListQueues;
use stanchion_sdk::{Client, Error};

use crate::args::Global;
use crate::context::{AMAZON, Context, Contexts, Target};
use crate::failure::Failure;
use crate::input::read_secret;
use crate::output::{Output, Record};

/// What to do with contexts.
#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// List the contexts
    Ls,
    /// Use a context from now on
    Use {
        /// Its name
        #[arg(value_name = "CONTEXT")]
        name: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Add a context, or change one: what is not said of it stays
    #[command(after_help = "\
Examples:
  stanchion context add local --endpoint http://127.0.0.1:9324
  stanchion context add prod --endpoint https://queues.example.net --profile work --protected
  stanchion context add aws --endpoint amazon --region eu-west-1 --profile work")]
    Add(Add),
    /// Remove a context
    Rm {
        /// Its name
        #[arg(value_name = "CONTEXT")]
        name: String,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Say whether the server answers, and whether it knows us
    Test,
}

/// A new context; `--endpoint`, `--region`, `--profile` and `--unsigned` are part of it.
#[derive(Args, Debug)]
pub(crate) struct Add {
    /// What to call it
    name: String,
    /// Sign with this access key; its secret is read from standard input
    #[arg(long, value_name = "ID", conflicts_with = "profile")]
    access_key_id: Option<String>,
    /// Certificates (PEM) of the authority that the server's certificate is from
    #[arg(long, value_name = "FILE")]
    certificate_authority: Option<PathBuf>,
    /// Ask for the queue's name before anything is purged, deleted or redriven
    #[arg(long)]
    protected: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct Shown {
    current: bool,
    name: String,
    endpoint: Option<String>,
    region: Option<String>,
    signs: String,
    protected: bool,
}

impl Record for Shown {
    const COLUMNS: &'static [&'static str] =
        &["", "NAME", "ENDPOINT", "REGION", "SIGNS WITH", "PROTECTED"];

    fn row(&self) -> Vec<String> {
        let or =
            |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.into());
        vec![
            if self.current { "*" } else { "" }.into(),
            self.name.clone(),
            or(&self.endpoint, crate::context::LOCAL),
            or(&self.region, "-"),
            self.signs.clone(),
            if self.protected { "yes" } else { "" }.into(),
        ]
    }
}

/// Runs it.
pub(crate) async fn run(
    command: ContextCommand,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    match command {
        ContextCommand::Ls => list(output),
        ContextCommand::Use { name, dry_run } => {
            let mut contexts = Contexts::load()?;
            contexts.named(&name)?;
            if dry_run {
                let record = serde_json::json!({"current": name, "dry_run": true});
                return output.done(&format!("Would use {name}"), &record);
            }
            contexts.current = Some(name.clone());
            contexts.save()?;
            output.done(&format!("Using {name}"), &serde_json::json!({"current": name}))
        }
        ContextCommand::Add(add) => self::add(add, global, output),
        ContextCommand::Rm { name, dry_run } => {
            let mut contexts = Contexts::load()?;
            contexts.named(&name)?;
            if dry_run {
                let record = serde_json::json!({"removed": name, "dry_run": true});
                return output.done(&format!("Would remove {name}"), &record);
            }
            contexts.contexts.remove(&name);
            contexts.current = contexts.current.filter(|current| *current != name);
            contexts.save()?;
            output.done(&format!("Removed {name}"), &serde_json::json!({"removed": name}))
        }
        ContextCommand::Test => test(global, output).await,
    }
}

fn list(output: &Output) -> Result<(), Failure> {
    let Contexts { current, contexts } = Contexts::load()?;
    let shown = |(name, context): (String, Context)| Shown {
        current: current.as_ref() == Some(&name),
        signs: signs_with(&context),
        name,
        endpoint: context.endpoint,
        region: context.region,
        protected: context.protected,
    };
    let shown: Vec<_> = contexts.into_iter().map(shown).collect();
    output.list(
        &shown,
        "There are no contexts. `stanchion context add NAME --endpoint URL` makes one.",
    )
}

fn signs_with(context: &Context) -> String {
    match (&context.profile, &context.access_key_id) {
        _ if context.unsigned => "nothing".into(),
        (Some(profile), _) => format!("profile {profile}"),
        (None, Some(key)) => format!("key {key}"),
        (None, None) => "what AWS' tools would".into(),
    }
}

fn add(add: Add, global: &Global, output: &Output) -> Result<(), Failure> {
    let Add { name, access_key_id, certificate_authority, protected, dry_run } = add;
    if let Some(url) = global.endpoint.as_ref().filter(|url| *url != AMAZON) {
        // Better refused now than by every command.
        Client::builder().endpoint(url).unsigned().build()?;
    }
    // Commands are run in other folders than this one.
    let certificate_authority =
        certificate_authority.map(|file| fs::canonicalize(&file).map_err(Failure::of_file(&file)));
    let certificate_authority = certificate_authority.transpose()?;
    let mut contexts = Contexts::load()?;
    let before = contexts.contexts.get(&name).cloned();
    let verb = match (before.is_some(), dry_run) {
        (false, false) => "Added",
        (true, false) => "Changed",
        (false, true) => "Would add",
        (true, true) => "Would change",
    };
    if dry_run {
        let record = serde_json::json!({"added": name, "dry_run": true});
        return output.done(&format!("{verb} {name}"), &record);
    }
    let before = before.unwrap_or_default();
    // There is one way to sign: another one takes the place of what was said before.
    let signer = match global.unsigned || global.profile.is_some() || access_key_id.is_some() {
        true => Context {
            profile: global.profile.clone(),
            secret_access_key: access_key_id.as_deref().map(secret_of).transpose()?,
            access_key_id,
            unsigned: global.unsigned,
            ..Context::default()
        },
        false => before.clone(),
    };
    let context = Context {
        endpoint: global.endpoint.clone().or(before.endpoint),
        region: global.region.clone().or(before.region),
        certificate_authority: certificate_authority.or(before.certificate_authority),
        protected: protected || before.protected,
        ..signer
    };
    contexts.contexts.insert(name.clone(), context);
    // The first one is the one in use.
    contexts.current.get_or_insert_with(|| name.clone());
    let path = contexts.save()?;
    let place = if verb == "Added" { "to" } else { "in" };
    let sentence = format!("{verb} {name} {place} {}", path.display());
    output.done(&sentence, &serde_json::json!({"added": name, "file": path}))
}

fn secret_of(access_key_id: &str) -> Result<String, Failure> {
    let secret = read_secret(&format!("The secret of {access_key_id}: "))?;
    match secret.is_empty() {
        true => {
            let text = "an access key has a secret: give it on standard input";
            Err(Failure::Usage(text.into()))
        }
        false => Ok(secret),
    }
}

#[derive(Serialize)]
struct Tested {
    endpoint: String,
    region: String,
    answers_within_ms: u64,
    server: String,
}

impl Record for Tested {
    const COLUMNS: &'static [&'static str] = &["Endpoint", "Region", "Answers within", "Server"];

    fn row(&self) -> Vec<String> {
        let within = format!("{} ms", self.answers_within_ms);
        vec![self.endpoint.clone(), self.region.clone(), within, self.server.clone()]
    }
}

/// Whether the server refuses somebody whose key and signature it accepts.
fn is_known(error: &Error) -> bool {
    matches!(error.code(), Some("AccessDenied" | "AccessDeniedException"))
}

async fn test(global: &Global, output: &Output) -> Result<(), Failure> {
    let target = Target::resolve(global).await?;
    let client = &target.client;
    let began = Instant::now();
    match client.list_queues(ListQueues { max_results: Some(1), ..ListQueues::default() }).await {
        // It knows who asks, and that is the question.
        Err(error) if error.is_denied() && is_known(&error) && client.is_signed() => {}
        answer => drop(answer?),
    }
    let answers_within_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let server = match client.is_amazon() {
        true => "Amazon SQS".into(),
        false => match client.get_server_info(GetServerInfo {}).await {
            Ok(info) => format!("Stanchion {}, durability {}", info.version, info.durability),
            Err(error) if error.is_denied() => "Stanchion".into(),
            Err(_) => "not Stanchion: SQS actions only".into(),
        },
    };
    let region = client.region().to_owned();
    output.item(&Tested { endpoint: client.endpoint(), region, answers_within_ms, server })
}
