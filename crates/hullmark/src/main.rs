//! The `hullmark` command.
//!
//! Two steps: first the arguments are parsed and checked ([`cli`]), then things are built and run ([`commands`]).
//! Standard output is data, standard error is talk ([`output`], [`progress`]). Exit codes: 0 passed, 1 the policy failed
//! the image, 2 the command could not do its work.

mod cli;
mod commands;
mod environment;
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
    let talk = Talk::new(cli.global.quiet);
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
