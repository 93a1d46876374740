//! The `hullmark-agent` command. Standard output is data, standard error is talk. Exit codes: 0 it did its work, 2 it could
//! not.

mod cli;
mod environment;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use hullmark_agent::agent;
use hullmark_agent::config::{Config, Log, LogFormat};
use hullmark_agent::probe::probe;
use hullmark_agent::socket::ask;
use hullmark_agent::status::{QUESTION, Status};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, ProbeFormat, StatusFormat};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(2) } else { ExitCode::SUCCESS };
            let _ = error.print();
            return code;
        }
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Run { config } => {
            let config = Config::read(&config)?;
            start_log(&config.log)?;
            let signals = environment::Signals::block()?;
            let name = environment::random_name().context("cannot make a name for the spool")?;
            agent::run(config, environment::now, name, || signals.wait(), environment::end)?;
        }
        Command::Probe { format } => {
            let found = probe();
            let text = match format {
                ProbeFormat::Text => found.text(),
                ProbeFormat::Json => format!("{}\n", serde_json::to_string_pretty(&found)?),
            };
            io::stdout().write_all(text.as_bytes())?;
        }
        Command::Status { socket, format } => {
            let answer = ask(&socket, QUESTION)?;
            let status: Status = serde_json::from_str(&answer)
                .with_context(|| format!("the answer on `{}` is not that of an agent", socket.display()))?;
            let text = match format {
                StatusFormat::Text => status.text(),
                StatusFormat::Json => format!("{answer}\n"),
                StatusFormat::Prometheus => status.prometheus(),
            };
            io::stdout().write_all(text.as_bytes())?;
        }
    }
    Ok(())
}

fn start_log(log: &Log) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&log.level).with_context(|| format!("`log.level` is `{}`", log.level))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(false);
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}
