//! The commands, one file for each noun.

pub(crate) mod context;
pub(crate) mod doctor;
pub(crate) mod key;
pub(crate) mod queue;
pub(crate) mod server;
pub(crate) mod user;

use crate::args::{Cli, Command};
use crate::completion;
use crate::failure::Failure;
use crate::output::Output;

/// Runs what was typed.
pub(crate) async fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    match cli.command {
        Command::Context(command) => context::run(command, &cli.global, output).await,
        Command::Queue(command) => queue::run(command, &cli.global, output).await,
        Command::Server(command) => server::run(command, &cli.global, output).await,
        Command::Key(command) => key::run(command, &cli.global, output).await,
        Command::User(command) => user::run(command, &cli.global, output).await,
        Command::Doctor(doctor) => doctor.run(&cli.global, output).await,
        Command::Completions { shell } => completion::print(shell, output),
        Command::Man { folder } => completion::manual(&folder, output),
    }
}
