//! The commands, one file for each noun.

pub(crate) mod context;
pub(crate) mod queue;

use crate::args::{Cli, Command};
use crate::failure::Failure;
use crate::output::Output;

/// Runs what was typed.
pub(crate) async fn run(cli: Cli, output: &Output) -> Result<(), Failure> {
    match cli.command {
        Command::Context(command) => context::run(command, &cli.global, output).await,
        Command::Queue(command) => queue::run(command, &cli.global, output).await,
    }
}
