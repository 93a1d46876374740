//! One file per command.

mod admission;
mod base;
mod cache;
mod coverage;
mod db;
mod documents;
mod gate;
mod hook;
mod ledger;
mod policy;
mod profile;
mod reading;
mod remote;
mod sbom;
mod scan;
mod server;
mod version;

use anyhow::Result;
pub use scan::tool;

use crate::Outcome;
use crate::cli::{Cli, Command, Global};
use crate::output::Talk;

/// What every command is handed.
pub struct Context<'a> {
    /// Options that every command accepts.
    pub global: &'a Global,
    /// For talk.
    pub talk: &'a Talk,
}

impl Context<'_> {
    /// How other machines are reached.
    pub fn client_options(&self) -> hullmark_http::ClientOptions {
        hullmark_http::ClientOptions {
            offline: self.global.offline,
            plain_http: match self.global.plain_http {
                true => hullmark_http::PlainHttp::Allowed,
                false => hullmark_http::PlainHttp::LoopbackOnly,
            },
            ..hullmark_http::ClientOptions::default()
        }
    }
}

/// Runs the command.
pub fn run(cli: Cli, talk: &Talk) -> Result<Outcome> {
    let context = Context { global: &cli.global, talk };
    match cli.command {
        Command::Scan(arguments) => return scan::run(&context, *arguments),
        Command::Sbom(arguments) => sbom::run(&context, arguments),
        Command::Profile(arguments) => profile::run(&context, arguments),
        Command::Db(command) => db::run(&context, command),
        Command::Base(command) => base::run(&context, command),
        Command::Cache(command) => cache::run(&context, command),
        Command::Policy(command) => policy::run(&context, command),
        Command::Ledger(command) => ledger::run(&context, command),
        Command::Serve(arguments) => server::serve(&context, &arguments),
        Command::Server(command) => server::run(&context, command),
        Command::Verify(arguments) => ledger::verify(&context, &arguments),
        Command::Gate(command) => gate::run(&context, command),
        Command::Coverage { format } => coverage::run(format),
        Command::Version(command) => version::run(command),
        Command::Admission(command) => admission::run(command),
        Command::Hook(command) => hook::run(command),
        Command::Completions { shell } => documents::completions(shell),
        Command::Man { markdown } => documents::manual(markdown),
    }?;
    Ok(Outcome::Passed)
}

/// Reads a whole file of at most `limit` bytes.
fn read_limited(path: &std::path::Path, limit: u64) -> Result<Vec<u8>> {
    use std::io::Read;

    use anyhow::Context as _;

    let cannot = || format!("cannot read `{}`", path.display());
    let file = std::fs::File::open(path).with_context(cannot)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).with_context(cannot)?;
    anyhow::ensure!(bytes.len() as u64 <= limit, "`{}` is larger than {limit} bytes", path.display());
    Ok(bytes)
}
