//! Developer tasks: `cargo xtask test`, `tidy`, `demo`, `bench` and `hook`.
//!
//! Each task is one module with a `run` function that says how it ended: [`Ending`]. A task that could not do its
//! work at all returns an error, which is exit code 2, so that "failed" and "could not tell" are never mixed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "tasks talk to the developer who typed them")]

mod bench;
mod debian;
mod demo;
mod hook;
mod layers;
mod process;
mod system;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;

const HELP: &str = "\
Developer tasks

Usage: cargo xtask <TASK> [OPTIONS]

Tasks:
  test   Run every check: format, clippy, tests, tidy, dependencies
  tidy   Check what the compiler does not: crate layers, module docs, links, manifests
  demo   Take a real image apart, fail it, update it, and prove the verdicts
           --dir DIRECTORY  where to work [default: target/demo]
           --only-image     assemble the two images and stop
           --binary FILE    show this hullmark instead of building one
           --full-feeds     take every advisory feed that answers (slower)
           --lifecycle      tell the whole life of an image: build, registry, deployment, run, audit
           --small          with --lifecycle: a small made image, no network, seconds
  bench  Measure how fast images are read, against the bare work and other tools (docs/performance.md)
           prepare          build the images from package registries
           run              measure; needs --date YYYY-MM-DD
           summary          write the tables of docs/performance.md from the results
           lock             pin the Debian packages of today in bench/images/debian.lock
           --directory DIRECTORY   where the images are [default: target/bench]
           --images NAME,...       only these of tiny, medium, large, one-layer, many-layers
           --compressions NAME,... only these of gzip, zstd
           --runs NUMBER           alternating runs [default: 5]
           --hullmark FILE         measure this hullmark instead of building one
           --trivy FILE            measure this Trivy too
           --syft FILE             measure this Syft too
           --results FILE          [default: bench/results/results.json]
  hook   Build hullmark-hook as one static file, and print where it is
  help   Print this

Exit codes: 0 all is well, 1 something failed, 2 the task could not do its work
";

/// How a task ended, when it could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All is well.
    Passed,
    /// Something that was checked does not hold; it was printed.
    Failed,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test"] => test::run(),
        ["tidy"] => tidy::run(),
        ["demo", options @ ..] => match demo::Options::parse(options) {
            Ok(options) => demo::run(&options),
            Err(message) => return refuse(&message),
        },
        ["bench", options @ ..] if !options.iter().any(|word| ["--help", "-h"].contains(word)) => {
            match bench::Options::parse(options) {
                Ok(options) => bench::run(&options),
                Err(message) => return refuse(&message),
            }
        }
        ["hook"] => hook::run(),
        ["help" | "--help" | "-h"] | [_, "--help" | "-h"] => return help(),
        [] => return refuse("which task?"),
        ["test" | "tidy" | "hook", option, ..] => return refuse(&format!("unexpected argument `{option}`")),
        [task, ..] => return refuse(&format!("no task `{task}`")),
    };
    conclude(outcome)
}

fn conclude(outcome: Result<Ending>) -> ExitCode {
    match outcome {
        Ok(Ending::Passed) => ExitCode::SUCCESS,
        Ok(Ending::Failed) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn help() -> ExitCode {
    print!("{HELP}");
    ExitCode::SUCCESS
}

fn refuse(message: &str) -> ExitCode {
    eprint!("error: {message}\n\n{HELP}");
    ExitCode::from(2)
}
