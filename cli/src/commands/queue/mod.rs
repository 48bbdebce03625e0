//! `stanchion queue`: queues and what they are set to.

pub(crate) mod attributes;
mod create;
mod declared;
mod describe;
mod groups;
mod list;
mod pause;
mod policy;
mod remove;
mod settings;
mod tags;

use std::time::Duration;

use clap::Subcommand;

use crate::args::Global;
use crate::confirm::Consent;
use crate::context::Target;
use crate::failure::Failure;
use crate::output::Output;
use crate::units::parse_duration;

/// What to do with queues.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// List queues with their counts
    #[command(after_help = "\
Examples:
  stanchion queue ls
  stanchion queue ls orders --watch
  stanchion queue ls -o json | jq '.[] | select(.available > 1000) | .name'")]
    Ls {
        /// Only queues whose names begin so
        prefix: Option<String>,
        /// Again and again until Ctrl-C, every 2 seconds or as often as it says
        #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true,
            default_missing_value = "2s", value_parser = parse_duration)]
        watch: Option<Duration>,
    },
    /// Create a queue, and its dead-letter queue where that is missing
    #[command(after_help = "\
Examples:
  stanchion queue create orders
  stanchion queue create orders --visibility 2m --dlq orders-dlq --max-receives 5
  stanchion queue create steps.fifo --content-dedup --high-throughput --tag team=billing")]
    Create(create::Create),
    /// Show everything about a queue: settings, counts, dead letters, tags
    #[command(after_help = "\
Examples:
  stanchion queue describe orders
  stanchion queue describe orders -o json | jq .settings")]
    Describe {
        /// The queue: its name, or its URL
        queue: String,
    },
    /// Change what a queue is set to
    #[command(after_help = "\
Examples:
  stanchion queue set orders --visibility 5m --wait 20s
  stanchion queue set orders --dlq orders-dlq --max-receives 3
  stanchion queue set orders --no-dlq --dry-run")]
    Set(create::Set),
    /// Give a queue tags
    #[command(after_help = "\
Examples:
  stanchion queue tag orders team=billing stage=prod")]
    Tag(tags::Tag),
    /// Take tags from a queue
    #[command(after_help = "\
Examples:
  stanchion queue untag orders stage")]
    Untag(tags::Untag),
    /// Delete every message in a queue
    #[command(after_help = "\
Examples:
  stanchion queue purge orders
  stanchion queue purge orders --yes")]
    Purge {
        /// The queue: its name, or its URL
        queue: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Delete a queue and every message in it
    #[command(after_help = "\
Examples:
  stanchion queue rm orders
  stanchion queue rm orders --yes")]
    Rm {
        /// The queue: its name, or its URL
        queue: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Print queues as a file for `apply`, or for the server's own configuration
    #[command(after_help = "\
Examples:
  stanchion queue export > queues.toml
  stanchion queue export orders orders-dlq -o json")]
    Export {
        /// These queues; without any, all
        #[arg(value_name = "QUEUE")]
        queues: Vec<String>,
        /// Only queues whose names begin so
        #[arg(long, conflicts_with = "queues")]
        prefix: Option<String>,
    },
    /// Create and change queues as a file says; never deletes one
    #[command(after_help = "\
The file is TOML or JSON, as `export` prints it; `-` is standard input:

  [queues.orders]
  visibility_timeout = 60
  dead_letter_queue = \"orders-dlq\"
  max_receive_count = 5
  tags = { team = \"billing\" }

  [queues.orders-dlq]
  message_retention_period = 1209600

What the file does not say of a queue stays as it is.

Examples:
  stanchion queue apply queues.toml --dry-run
  stanchion -c staging queue export | stanchion -c prod queue apply -")]
    Apply(declared::Apply),
    /// Who else may do what with a queue
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Hold up what is sent to a queue, received from it, or both
    #[command(after_help = "\
Examples:
  stanchion queue pause orders
  stanchion queue pause orders --only receive")]
    Pause(pause::Pause),
    /// Let a queue go on that was paused
    #[command(after_help = "\
Examples:
  stanchion queue resume orders")]
    Resume(pause::Pause),
    /// Message groups, and what holds them up
    #[command(subcommand)]
    Groups(groups::GroupsCommand),
}

/// Runs it.
pub(crate) async fn run(
    command: QueueCommand,
    global: &Global,
    output: &Output,
) -> Result<(), Failure> {
    let target = &Target::resolve(global).await?;
    match command {
        QueueCommand::Ls { prefix, watch } => list::run(target, prefix, watch, output).await,
        QueueCommand::Create(create) => create.run(target, output).await,
        QueueCommand::Describe { queue } => describe::run(target, &queue, output).await,
        QueueCommand::Set(set) => set.run(target, output).await,
        QueueCommand::Tag(tag) => tag.run(target, output).await,
        QueueCommand::Untag(untag) => untag.run(target, output).await,
        QueueCommand::Purge { queue, consent } => {
            remove::purge(target, &queue, &consent, output).await
        }
        QueueCommand::Rm { queue, consent } => {
            remove::remove(target, &queue, &consent, output).await
        }
        QueueCommand::Export { queues, prefix } => {
            declared::export(target, queues, prefix, output).await
        }
        QueueCommand::Apply(apply) => apply.run(target, output).await,
        QueueCommand::Policy(command) => command.run(target, output).await,
        QueueCommand::Pause(pause) => pause.pause(target, output).await,
        QueueCommand::Resume(pause) => pause.resume(target, output).await,
        QueueCommand::Groups(command) => command.run(target, output).await,
    }
}
