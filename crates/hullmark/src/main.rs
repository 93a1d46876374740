//! The `hullmark` command.
//!
//! Two steps: first the arguments are parsed and checked ([`cli`]), then things are built and run ([`commands`]).
//! Standard output is data, standard error is talk ([`output`], [`progress`]). Exit codes: 0 passed, 1 the policy failed
//! the image, 2 the command could not do its work. A signal ends it at any time, and leaves nothing half made ([`interrupt`]).

mod cli;
mod commands;
mod environment;
mod interrupt;
mod output;
mod progress;
mod size;

use std::process::ExitCode;

use clap::Parser;

use crate::output::Talk;

/// What a command that did its work says of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Passed,
    FailedByPolicy,
}

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers (exit 0); anything else is a command that could not work.
            let code = if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    let talk = Talk::new(&cli.global);
    // The server ends in order, and sees to signals itself.
    if !matches!(cli.command, cli::Command::Serve(_))
        && let Err(error) = interrupt::watch(talk.manner())
    {
        talk.error(&anyhow::Error::new(error).context("signals cannot be waited for"));
        return ExitCode::from(2);
    }
    match commands::run(cli, &talk) {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::FailedByPolicy) => ExitCode::from(1),
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            talk.error(&error);
            ExitCode::from(2)
        }
    }
}
