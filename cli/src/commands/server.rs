//! `stanchion server`: what server it is, how it is, and what its operator does with it.

use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;
use serde_json::json;
use stanchion_sdk::actions::own::server::{
    AdvanceClock, Checkpoint, CheckpointReply, DeleteCheckpoint, GetServerInfo, ListCheckpoints,
    Reset, RotateKeys, ServerInfo,
};

use crate::args::Global;
use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::output::{Output, Record};
use crate::units::{parse_duration, show_bytes, show_moment, show_seconds, whole_seconds};

/// What to do with the server.
#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Show what server it is and how it was started
    #[command(after_help = "\
Examples:
  stanchion server info
  stanchion server info -o json | jq -r .version")]
    Info,
    /// Fail if the server is not well, for scripts that wait for it
    #[command(after_help = "\
Examples:
  until stanchion server health; do sleep 1; done")]
    Health,
    /// Copies of everything, made while the server runs
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// The clock of a server that was started with --virtual-clock
    #[command(subcommand)]
    Clock(ClockCommand),
    /// Seal every stored key anew, under the current master key
    #[command(after_help = "\
Examples:
  stanchion server rotate-keys")]
    RotateKeys {
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete every queue of every account, for tests between cases
    #[command(after_help = "\
Examples:
  stanchion server reset --yes")]
    Reset {
        #[command(flatten)]
        consent: Consent,
    },
}

/// What to do with copies.
#[derive(Debug, Subcommand)]
pub(crate) enum CheckpointCommand {
    /// Copy everything as it is now into a folder on the server's disk
    #[command(after_help = "\
Examples:
  stanchion server checkpoint make
  stanchion server checkpoint make before-upgrade")]
    Make {
        /// What to call it; by default the moment
        name: Option<String>,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
    /// List the copies
    #[command(after_help = "\
Examples:
  stanchion server checkpoint ls")]
    Ls,
    /// Remove a copy
    #[command(after_help = "\
Examples:
  stanchion server checkpoint rm before-upgrade")]
    Rm {
        /// What it is called
        name: String,
        #[command(flatten)]
        consent: Consent,
    },
}

/// What to do with the clock.
#[derive(Debug, Subcommand)]
pub(crate) enum ClockCommand {
    /// Move the time ahead, as if it had passed
    #[command(after_help = "\
Examples:
  stanchion server clock advance 1h")]
    Advance {
        /// How far, up to 366d
        #[arg(value_parser = parse_duration)]
        time: Duration,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
    },
}

/// Runs it.
pub(crate) async fn run(
    command: ServerCommand,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let target = &Target::resolve(global).await?;
    let client = &target.client;
    match command {
        ServerCommand::Info => {
            output.item(&Info::from(client.get_server_info(GetServerInfo {}).await?))
        }
        ServerCommand::Health => {
            let info = client.get_server_info(GetServerInfo {}).await?;
            let record = json!({"healthy": info.healthy, "accepts_sends": info.accepts_sends});
            match (info.healthy, info.accepts_sends) {
                (true, true) => output.done("Well", &record),
                (false, _) => Err(Failure::failed("the server is not well: see its log")),
                (true, false) => {
                    Err(Failure::failed("the server takes no messages: its disk is nearly full"))
                }
            }
        }
        ServerCommand::Checkpoint(command) => checkpoint(command, target, output).await,
        ServerCommand::Clock(ClockCommand::Advance { time, dry_run }) => {
            let seconds = whole_seconds(time);
            let shown = show_seconds(seconds);
            if dry_run {
                let record = json!({"seconds": seconds, "dry_run": true});
                return output.done(&format!("Would move the clock {shown} ahead"), &record);
            }
            let now = client.advance_clock(AdvanceClock { seconds }).await?.now;
            output.done(&format!("It is {} now", show_moment(now)), &json!({"now": now}))
        }
        ServerCommand::RotateKeys { dry_run } => {
            if dry_run {
                let sentence = "Would seal every stored key anew";
                return output.done(sentence, &json!({"dry_run": true}));
            }
            let reply = client.rotate_keys(RotateKeys {}).await?;
            let (key, count) = (reply.master_key_id, reply.rewrapped);
            let record = json!({"master_key_id": key, "rewrapped": count});
            output.done(&format!("Sealed {count} keys anew, under master key {key}"), &record)
        }
        ServerCommand::Reset { consent } => {
            let deed = "delete every queue of every account";
            if consent.dry_run {
                return output.done(&format!("Would {deed}"), &json!({"dry_run": true}));
            }
            consent.ask(target, &target.name, deed)?;
            client.reset(Reset {}).await?;
            output.done("Deleted every queue", &json!({"reset": true}))
        }
    }
}

/// What server it is.
#[derive(Serialize)]
struct Info {
    version: String,
    durability: String,
    limits: String,
    shards: u32,
    virtual_clock: bool,
    now: u64,
    account: String,
    region: String,
    healthy: bool,
    accepts_sends: bool,
}

impl From<ServerInfo> for Info {
    fn from(info: ServerInfo) -> Info {
        Info {
            version: info.version,
            durability: info.durability,
            limits: info.limits,
            shards: info.shards,
            virtual_clock: info.virtual_clock,
            now: info.now,
            account: info.account,
            region: info.region,
            healthy: info.healthy,
            accepts_sends: info.accepts_sends,
        }
    }
}

impl Record for Info {
    const COLUMNS: &'static [&'static str] = &[
        "Version",
        "Durability",
        "Limits",
        "Shards",
        "Clock",
        "Time",
        "Account",
        "Region",
        "Healthy",
        "Accepts sends",
    ];

    fn row(&self) -> Vec<String> {
        let yes = |is| if is { "yes" } else { "no" }.to_owned();
        vec![
            self.version.clone(),
            self.durability.clone(),
            self.limits.clone(),
            self.shards.to_string(),
            if self.virtual_clock { "virtual" } else { "real" }.into(),
            show_moment(self.now),
            self.account.clone(),
            self.region.clone(),
            yes(self.healthy),
            yes(self.accepts_sends),
        ]
    }
}

/// A copy of everything.
#[derive(Serialize)]
struct Copied {
    name: String,
    made_at: u64,
    bytes: u64,
    folder: String,
}

impl From<CheckpointReply> for Copied {
    fn from(reply: CheckpointReply) -> Copied {
        let CheckpointReply { name, folder, bytes, made_at } = reply;
        Copied { name, folder, bytes, made_at }
    }
}

impl Record for Copied {
    const COLUMNS: &'static [&'static str] = &["NAME", "MADE", "SIZE", "FOLDER"];

    fn row(&self) -> Vec<String> {
        let (made, size) = (show_moment(self.made_at), show_bytes(self.bytes));
        vec![self.name.clone(), made, size, self.folder.clone()]
    }
}

async fn checkpoint(
    command: CheckpointCommand,
    target: &Target,
    output: &Output,
) -> Result<(), Failure> {
    let client = &target.client;
    match command {
        CheckpointCommand::Make { name, dry_run: true } => {
            let record = json!({"name": name, "dry_run": true});
            output.done("Would make a checkpoint", &record)
        }
        CheckpointCommand::Make { name, dry_run: false } => {
            let copied = Copied::from(client.checkpoint(Checkpoint { name }).await?);
            let sentence = format!("Made {} in {}", copied.name, copied.folder);
            output.done(&sentence, &copied)
        }
        CheckpointCommand::Ls => {
            let copies = client.list_checkpoints(ListCheckpoints {}).await?.checkpoints;
            let copies: Vec<_> = copies.into_iter().map(Copied::from).collect();
            output.list(&copies, "There are no checkpoints.")
        }
        CheckpointCommand::Rm { name, consent } => {
            let deed = format!("remove checkpoint {name}");
            if consent.dry_run {
                let record = json!({"checkpoint": name, "dry_run": true});
                return output.done(&format!("Would {deed}"), &record);
            }
            consent.ask(target, &name, &deed)?;
            client.delete_checkpoint(DeleteCheckpoint { name: name.clone() }).await?;
            output.done(&format!("Removed {name}"), &json!({"removed": name}))
        }
    }
}
