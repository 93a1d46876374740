//! What the command line accepts, all of it.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use hullmark_agent::config::DEFAULT_SOCKET;

/// Holds running containers to what their image contains
#[derive(Debug, Parser)]
#[command(name = "hullmark-agent", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the agent, in the foreground, until SIGTERM or SIGINT
    Run {
        /// The configuration file (TOML)
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Tell which tier of enforcement this kernel allows, and why
    Probe {
        /// How to print it
        #[arg(long, value_enum, default_value = "text")]
        format: ProbeFormat,
    },
    /// Ask the running agent for its counters
    Status {
        /// The agent's socket
        #[arg(long, value_name = "SOCKET", default_value = DEFAULT_SOCKET)]
        socket: PathBuf,
        /// How to print it
        #[arg(long, value_enum, default_value = "text")]
        format: StatusFormat,
    },
}

/// How to print what the kernel allows.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ProbeFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

/// How to print the counters.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StatusFormat {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// The text format of Prometheus.
    Prometheus,
}
