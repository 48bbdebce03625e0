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
mod program;
mod progress;
mod queues;
mod show;
mod units;

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;

use crate::args::{Cli, queues_named};
use crate::output::Output;

fn main() -> ExitCode {
    // Where a shell asks what could be typed, that is all there is to do.
    CompleteEnv::with_factory(completion::command).complete();
    let mut command = Cli::command();
    // Help and version exit here too, with a code of their own.
    let line = command.get_matches_mut();
    let cli = match Cli::of(&line) {
        Ok(cli) => cli,
        Err(error) => error.format(&mut command).exit(),
    };
    let named = queues_named(&command, &line);
    let output = Output::new(cli.global.output);
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let global = cli.global.clone();
            match commands::run(cli, &output).await {
                Err(failure) => Err(queues::suggest(failure, &global, &named).await),
                done => done,
            }
        }),
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
