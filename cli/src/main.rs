//! `stanchion`: the command line of Stanchion, which works against Amazon SQS too.

mod args;
mod commands;
mod completion;
mod confirm;
mod context;
mod failure;
mod feed;
mod filter;
mod input;
mod interrupt;
mod line;
mod output;
mod pages;
mod progress;
mod queues;
mod show;
mod units;

use std::process::ExitCode;

use clap::Parser as _;
use clap_complete::CompleteEnv;

use crate::args::Cli;
use crate::output::Output;

fn main() -> ExitCode {
    // Where a shell asks what could be typed, that is all there is to do.
    CompleteEnv::with_factory(completion::command).complete();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version come this way too, with an exit code of their own.
        Err(error) => error.exit(),
    };
    let output = Output::new(cli.global.output);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli, &output)),
        Err(error) => Err(failure::Failure::failed(format!("cannot start threads: {error}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.show(&output);
            failure.exit_code()
        }
    }
}
