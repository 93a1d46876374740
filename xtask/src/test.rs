//! `cargo xtask test`: every check, one after the other, each reported even when one before it failed.
//!
//! [`STEPS`] is the list. A step ends as an [`Outcome`]; what could not be checked is skipped with its reason, and
//! with `CI` set to `true` it fails instead, so that a green run has checked everything.

mod oracles;
mod tools;
mod worked_example;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::Ending;
use crate::process;
use crate::workspace::{Workspace, cargo};

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What it checks holds.
    Passed,
    /// It does not, for this reason.
    Failed(String),
    /// It could not be checked here, for this reason.
    Skipped(String),
}

impl Outcome {
    /// Something is not at hand: fine on a developer's machine, not in continuous integration.
    pub(crate) fn missing(reason: String) -> Outcome {
        if in_ci() { Outcome::Failed(reason) } else { Outcome::Skipped(reason) }
    }

    fn word(&self) -> &'static str {
        match self {
            Outcome::Passed => "ok",
            Outcome::Failed(_) => "FAILED",
            Outcome::Skipped(_) => "skipped",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Outcome::Passed => "",
            Outcome::Failed(reason) | Outcome::Skipped(reason) => reason,
        }
    }
}

struct Step {
    name: &'static str,
    run: fn() -> Outcome,
}

/// Every step, in order: what is quick or what later steps need comes first.
const STEPS: &[Step] = &[
    Step { name: "tools", run: tools::ensure },
    Step { name: "format", run: format },
    Step { name: "dependencies", run: dependencies },
    Step { name: "oracles", run: oracles::install },
    Step {
        name: "clippy",
        run: || {
            run_cargo(&["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny", "warnings"])
        },
    },
    Step { name: "tidy", run: tidy },
    Step { name: "tests", run: || run_cargo(&["test", "--locked", "--workspace", "--no-fail-fast"]) },
    Step { name: "lifecycle", run: lifecycle },
    Step { name: "example", run: worked_example::run },
];

/// Run every step, then print a summary.
///
/// # Errors
/// When cargo itself cannot be started.
pub(crate) fn run() -> Result<Ending> {
    if cargo().arg("--version").stdout(Stdio::null()).status().is_err() {
        bail!("cannot start cargo");
    }
    let mut results = Vec::new();
    for step in STEPS {
        println!("==> {}", step.name);
        let start = Instant::now();
        let outcome = (step.run)();
        let elapsed = start.elapsed();
        println!("==> {}: {} after {}\n", step.name, outcome.word(), seconds(elapsed));
        results.push((step.name, outcome, elapsed));
    }
    Ok(summarise(&results))
}

fn summarise(results: &[(&str, Outcome, Duration)]) -> Ending {
    println!("Summary");
    for (name, outcome, elapsed) in results {
        let line =
            format!("  {:<7} {name:<12} {:>7}  {}", outcome.word(), seconds(*elapsed), outcome.reason());
        println!("{}", line.trim_end());
    }
    let count = |word| results.iter().filter(|(_, outcome, _)| outcome.word() == word).count();
    let (passed, failed, skipped) = (count("ok"), count("FAILED"), count("skipped"));
    println!("steps: {passed} passed, {failed} failed, {skipped} skipped");
    if failed == 0 { Ending::Passed } else { Ending::Failed }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Run cargo with its output passed through.
fn run_cargo(arguments: &[&str]) -> Outcome {
    let mut command = cargo();
    command.args(arguments).env("HULLMARK_ORACLES", oracles::directory());
    run_command(&mut command)
}

/// Run a command with its output passed through.
pub(crate) fn run_command(command: &mut Command) -> Outcome {
    let shown = process::show(command);
    println!("$ {shown}");
    match command.stdin(Stdio::null()).status() {
        Ok(status) if status.success() => Outcome::Passed,
        Ok(status) => Outcome::Failed(format!("`{shown}` ended with {status}")),
        Err(error) => Outcome::Failed(format!("cannot start `{shown}`: {error}")),
    }
}

/// Checks every file, also those in modules that a macro declares, which `cargo fmt` does not see.
fn format() -> Outcome {
    let files = match Workspace::read() {
        Ok(workspace) => workspace.files.into_iter().filter(|file| file.ends_with(".rs")).collect::<Vec<_>>(),
        Err(error) => return Outcome::Failed(format!("{error:#}")),
    };
    run_command(Command::new("rustfmt").args(["--edition", "2024", "--check"]).args(files))
}

/// Tells the whole life of a small image with real containers, where this machine can run them.
fn lifecycle() -> Outcome {
    if !crate::system::is_root() {
        return Outcome::missing("only root can run the containers of the story".to_owned());
    }
    let built = run_cargo(&["build", "--locked", "--package", "hullmark", "--package", "hullmark-agent"]);
    let hook = run_cargo(&["build", "--locked", "--package", "hullmark-hook"]);
    if built != Outcome::Passed || hook != Outcome::Passed {
        return Outcome::Failed("the programs of the story do not build".to_owned());
    }
    let binary = crate::workspace::target().join("debug/hullmark").display().to_string();
    let directory = crate::workspace::target().join("tests").display().to_string();
    let words = ["--lifecycle", "--small", "--dir", &directory, "--binary", &binary];
    let told = crate::demo::Options::parse(&words)
        .map_err(anyhow::Error::msg)
        .and_then(|options| crate::demo::run(&options));
    match told {
        Ok(Ending::Passed) => Outcome::Passed,
        Ok(Ending::Failed) => Outcome::Failed("see above".to_owned()),
        Err(error) => Outcome::missing(format!("{error:#}")),
    }
}

fn tidy() -> Outcome {
    match crate::tidy::run() {
        Ok(Ending::Passed) => Outcome::Passed,
        Ok(Ending::Failed) => Outcome::Failed("see above".to_owned()),
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

fn dependencies() -> Outcome {
    if process::find("cargo-deny").is_none() {
        let reason = "cargo-deny is not installed; type `cargo install --locked cargo-deny`";
        return Outcome::missing(reason.to_owned());
    }
    run_cargo(&["deny", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_step_fails_the_run_and_skipped_ones_do_not() {
        let result = |outcome: &Outcome| ("step", outcome.clone(), Duration::from_millis(1500));
        let skipped = Outcome::Skipped("no network".to_owned());
        let failed = Outcome::Failed("a test".to_owned());
        assert_eq!(summarise(&[result(&Outcome::Passed), result(&skipped)]), Ending::Passed);
        assert_eq!(summarise(&[result(&Outcome::Passed), result(&failed), result(&skipped)]), Ending::Failed);
    }

    #[test]
    fn commands_that_fail_or_do_not_exist_are_failures() {
        assert_eq!(run_cargo(&["--version"]), Outcome::Passed);
        assert!(matches!(run_cargo(&["no-such-command"]), Outcome::Failed(_)));
        let missing = run_command(&mut Command::new("no-such-program-anywhere"));
        assert!(matches!(missing, Outcome::Failed(reason) if reason.contains("cannot start")));
    }
}
