//! The commands, one file for each noun.

pub(crate) mod bench;
pub(crate) mod consume;
pub(crate) mod context;
pub(crate) mod dlq;
pub(crate) mod doctor;
pub(crate) mod export;
pub(crate) mod function;
pub(crate) mod key;
pub(crate) mod peek;
pub(crate) mod queue;
pub(crate) mod receive;
pub(crate) mod redrive;
pub(crate) mod send;
pub(crate) mod server;
pub(crate) mod top;
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
        Command::Send(send) => send::run(send, &cli.global, output).await,
        Command::Receive(receive) => receive::run(receive, &cli.global, output).await,
        Command::Peek(peek) => peek::run(peek, &cli.global, output).await,
        Command::Tail(tail) => peek::tail(tail, &cli.global, output).await,
        Command::Delete(delete) => receive::delete(delete, &cli.global, output).await,
        Command::Extend(extend) => receive::extend(extend, &cli.global, output).await,
        Command::Count(count) => peek::count(count, &cli.global, output).await,
        Command::Export(export) => export::run(export, &cli.global, output).await,
        Command::Import(import) => send::import(import, &cli.global, output).await,
        Command::Dlq(command) => dlq::run(command, &cli.global, output).await,
        Command::Redrive(redrive) => redrive::run(redrive, &cli.global, output).await,
        Command::Function(command) => function::run(command, &cli.global, output).await,
        Command::Bench(bench) => bench::run(bench, &cli.global, output).await,
        Command::Consume(consume) => consume::run(consume, &cli.global, output).await,
        Command::Top(top) => top::run(top, &cli.global).await,
        Command::Server(command) => server::run(command, &cli.global, output).await,
        Command::Key(command) => key::run(command, &cli.global, output).await,
        Command::User(command) => user::run(command, &cli.global, output).await,
        Command::Doctor(doctor) => doctor.run(&cli.global, output).await,
        Command::Completions { shell } => completion::print(shell, output),
        Command::Man { folder } => completion::manual(&folder, output),
    }
}
