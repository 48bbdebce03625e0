//! What was typed: the flags that every command has, and the commands.

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, FromArgMatches as _, Parser, Subcommand};

use crate::commands;
use crate::completion;
use crate::output::Format;

/// Queues, messages and dead letters, on Stanchion and on Amazon SQS.
#[derive(Debug, Parser)]
#[command(name = "stanchion", version, about, propagate_version = true, max_term_width = 100)]
#[command(after_help = "\
Examples:
  stanchion queue create orders --dlq orders-dlq --max-receives 5
  stanchion send orders 'hello'
  stanchion receive orders --delete
  stanchion context add prod --endpoint https://queues.example.net --profile work --protected

Exit codes: 0 done, 1 failed, 2 misused, 3 not found, 4 denied, 5 partly failed.")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// What a line says; see [`Global::of`].
    pub(crate) fn of(line: &ArgMatches) -> Result<Cli, clap::Error> {
        Ok(Cli { global: Global::of(line)?, ..Cli::from_arg_matches(line)? })
    }
}

/// What every command takes.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Global {
    /// The named context to use, in place of the current one
    #[arg(long, short = 'c', global = true, value_name = "NAME", env = "STANCHION_CONTEXT")]
    pub(crate) context: Option<String>,
    /// Where the server is, such as http://127.0.0.1:9324; `amazon` is Amazon SQS in the region
    #[arg(long, global = true, value_name = "URL", env = "STANCHION_ENDPOINT")]
    pub(crate) endpoint: Option<String>,
    /// The region
    #[arg(long, global = true, value_name = "REGION", env = "STANCHION_REGION")]
    pub(crate) region: Option<String>,
    /// The profile of ~/.aws to sign with
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Sign nothing
    #[arg(long, global = true)]
    pub(crate) unsigned: bool,
    /// How to print: text for people, or one of the others for programs
    #[arg(long, short = 'o', global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

impl Global {
    /// What a line says, and what the environment says beside it: a context that is typed goes before
    /// an endpoint and a region of the environment. A variable that is set to nothing says nothing, as
    /// scripts leave them.
    pub(crate) fn of(line: &ArgMatches) -> Result<Global, clap::Error> {
        let mut global = Global::from_arg_matches(line)?;
        if line.value_source("context") == Some(ValueSource::CommandLine) {
            for (name, value) in
                [("endpoint", &mut global.endpoint), ("region", &mut global.region)]
            {
                value.take_if(|_| line.value_source(name) == Some(ValueSource::EnvVariable));
            }
        }
        for value in [&mut global.context, &mut global.endpoint, &mut global.region] {
            value.take_if(|text| text.is_empty());
        }
        Ok(global)
    }
}

/// The commands, by what they are about.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Which server to talk to: named endpoints and who signs
    #[command(subcommand)]
    Context(commands::context::ContextCommand),
    /// Queues: list, create, describe, set, purge, delete, and more
    #[command(subcommand, visible_alias = "q")]
    Queue(commands::queue::QueueCommand),
    Send(commands::send::Send),
    Receive(commands::receive::Receive),
    Peek(commands::peek::Peek),
    Tail(commands::peek::Tail),
    Delete(commands::receive::Delete),
    Extend(commands::receive::Extend),
    Count(commands::peek::Count),
    Export(commands::export::Export),
    Import(commands::send::Import),
    /// Dead-letter queues: list them, show what is in them
    #[command(subcommand)]
    Dlq(commands::dlq::DlqCommand),
    Redrive(commands::redrive::Redrive),
    Consume(commands::consume::Consume),
    /// Functions written for AWS Lambda, as workers of a queue
    #[command(subcommand)]
    Function(commands::function::FunctionCommand),
    Bench(commands::bench::Bench),
    Top(commands::top::Top),
    /// The server: how it is, copies, its clock
    #[command(subcommand)]
    Server(commands::server::ServerCommand),
    /// Access keys
    #[command(subcommand)]
    Key(commands::key::KeyCommand),
    /// Users and what they may do
    #[command(subcommand)]
    User(commands::user::UserCommand),
    /// Look for what is wrong: with the connection, the rights, the server, and how queues are set
    #[command(after_help = "\
Examples:
  stanchion doctor
  stanchion doctor orders --strict
  stanchion doctor -o json | jq '.[] | select(.severity == \"error\")'")]
    Doctor(commands::doctor::Doctor),
    /// Print what a shell needs to complete commands, and the names of queues
    #[command(after_help = "\
Examples:
  source <(stanchion completions bash)
  stanchion completions fish > ~/.config/fish/completions/stanchion.fish")]
    Completions {
        /// The shell
        shell: completion::Shell,
    },
    /// Write the manual pages into a folder
    #[command(after_help = "\
Examples:
  stanchion man ~/.local/share/man/man1")]
    Man {
        /// The folder; it is made where it is missing
        folder: std::path::PathBuf,
    },
}

/// Whether an argument's value is a queue: every one that is called so, and a new command needs to do
/// nothing for it.
pub(crate) fn is_queue(arg: &Arg) -> bool {
    let called = arg.get_value_names().and_then(|names| names.first());
    called.is_some_and(|name| matches!(name.as_str(), "QUEUE" | "QUEUES"))
}

/// The queues that a line names.
pub(crate) fn queues_named(command: &clap::Command, line: &ArgMatches) -> Vec<String> {
    let values = |arg: &Arg| line.try_get_many::<String>(arg.get_id().as_str()).ok().flatten();
    let here = command.get_arguments().filter(|arg| is_queue(arg)).filter_map(values);
    let mut named: Vec<String> = here.flatten().cloned().collect();
    if let Some((name, line)) = line.subcommand()
        && let Some(command) = command.find_subcommand(name)
    {
        named.extend(queues_named(command, line));
    }
    named
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_queues_of_a_line_are_found_wherever_they_stand() {
        let named = |line: &str| {
            let words = line.split(' ');
            let line = Cli::command().try_get_matches_from(words).expect("it makes sense");
            queues_named(&Cli::command(), &line)
        };
        assert_eq!(named("stanchion send orders hello"), ["orders"]);
        assert_eq!(named("stanchion queue policy get orders"), ["orders"]);
        assert_eq!(named("stanchion queue export a b"), ["a", "b"]);
        let mut redrive = named("stanchion -c prod redrive orders-dlq --to repair");
        redrive.sort_unstable();
        assert_eq!(redrive, ["orders-dlq", "repair"]);
        assert!(named("stanchion queue ls orders").is_empty());
    }
}
