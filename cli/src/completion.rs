//! What shells complete, the names of queues included, and the manual pages: both from the same
//! definitions as the arguments.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory as _, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use serde_json::json;

use crate::args::{Cli, Global, is_queue};
use crate::context::{Contexts, Target};
use crate::failure::Failure;
use crate::output::Output;
use crate::queues::names;

/// How long a server may take to name its queues: somebody holds a finger on the key.
const PATIENCE: Duration = Duration::from_millis(800);

/// Nobody reads more names than this.
const NAMES_MAX: usize = 100;

/// The shells that can be told what to complete.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

/// Prints what the shell is to read at its start.
pub(crate) fn print(shell: Shell, output: &Output) -> Result<(), Failure> {
    let shell: &dyn EnvCompleter = match shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    shell.write_registration("COMPLETE", "stanchion", "stanchion", "stanchion", &mut script)?;
    output.text(&String::from_utf8_lossy(&script))
}

/// Writes a manual page for every command.
pub(crate) fn manual(folder: &Path, output: &Output) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(Failure::of_file(folder))?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(Failure::of_file(folder))?;
    let sentence = format!("Wrote the manual pages to {}", folder.display());
    output.done(&sentence, &json!({"folder": folder}))
}

/// The commands, with what to complete that only the server or the file of contexts knows.
pub(crate) fn command() -> Command {
    with_live_values(Cli::command())
}

fn with_live_values(command: Command) -> Command {
    let command = command.mut_args(|arg| match completer_of(&arg) {
        Some(completer) => arg.add(completer),
        None => arg,
    });
    command.mut_subcommands(with_live_values)
}

fn completer_of(arg: &Arg) -> Option<ArgValueCompleter> {
    let called = arg.get_value_names().and_then(|names| names.first());
    match arg.get_id().as_str() {
        _ if is_queue(arg) => Some(ArgValueCompleter::new(queues)),
        _ if called.is_some_and(|name| name == "CONTEXT") => Some(ArgValueCompleter::new(contexts)),
        "context" => Some(ArgValueCompleter::new(contexts)),
        _ => None,
    }
}

fn contexts(typed: &OsStr) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let names = Contexts::load().unwrap_or_default().contexts.into_keys();
    names.filter(|name| name.starts_with(&*typed)).map(CompletionCandidate::new).collect()
}

/// The queues of the server that the command so far is for. None where it does not answer: a
/// completion has nobody to complain to.
fn queues(typed: &OsStr) -> Vec<CompletionCandidate> {
    let global = said_so_far(std::env::args_os());
    let prefix = Some(typed.to_string_lossy().into_owned()).filter(|typed| !typed.is_empty());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let found = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, async {
            let target = Target::resolve(&global).await.ok()?;
            names(&target.client, prefix, NAMES_MAX).await.ok()
        })
        .await
    });
    let names = found.ok().flatten().unwrap_or_default();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// The flags of all commands in a line that is not whole yet: what follows `--`.
fn said_so_far(arguments: impl Iterator<Item = OsString>) -> Global {
    let line = arguments.skip_while(|word| word != "--").skip(1);
    let matches = Cli::command().ignore_errors(true).try_get_matches_from(line);
    let global = matches.ok().and_then(|matches| Global::of(&matches).ok());
    global.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound() {
        Cli::command().debug_assert();
        command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        fn check(command: &Command, path: &str) {
            let groups = command.get_subcommands().next().is_some();
            let shown = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let without = ["context ls", "context use", "context rm", "context test"];
            assert!(
                groups || shown.contains("Examples:") || without.contains(&path.trim()),
                "{path} has no examples"
            );
            for sub in command.get_subcommands() {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        check(&Cli::command(), "");
    }

    #[test]
    fn a_queue_is_completed_wherever_one_is_named() {
        fn count(command: &Command) -> usize {
            let here = command.get_arguments().filter(|arg| completer_of(arg).is_some()).count();
            here + command.get_subcommands().map(count).sum::<usize>()
        }
        assert!(count(&Cli::command()) > 10);
        let command = Cli::command();
        let queue = command.find_subcommand("queue").unwrap().find_subcommand("describe").unwrap();
        let argument = queue.get_arguments().find(|arg| arg.get_id() == "queue").unwrap();
        assert!(completer_of(argument).is_some());
    }

    #[test]
    fn a_line_that_is_not_whole_says_which_server_it_is_for() {
        let line = "x -- stanchion queue describe --endpoint http://127.0.0.1:1 --region r ord";
        let global = said_so_far(line.split(' ').map(OsString::from));
        assert_eq!(global.endpoint.as_deref(), Some("http://127.0.0.1:1"));
        assert_eq!(global.region.as_deref(), Some("r"));
        let line = "x -- stanchion --endpoint http://127.0.0.1:1 queue describe";
        let global = said_so_far(line.split(' ').map(OsString::from));
        assert_eq!(global.endpoint.as_deref(), Some("http://127.0.0.1:1"));
    }
}
