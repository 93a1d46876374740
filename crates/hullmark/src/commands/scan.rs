//! `hullmark scan`: the main job.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result, bail};
use hullmark_advisory::Database;
use hullmark_engine::{Acquire, Circumstances, EngineError, Judge, Recorder, Target};
use hullmark_ledger::Ledger;
use hullmark_policy::{Exceptions, Policy};
use hullmark_report::{Format, ScanReport, Tool, WriteOptions};
use hullmark_types::{ImageProfile, Inventory, Outcome as VerdictOutcome, Stage};
use jiff::Timestamp;

use super::Context;
use super::cache;
use super::policy::{load_exceptions, load_policy};
use super::remote::Remote;
use crate::Outcome;
use crate::cli::{Scan, TargetArguments};
use crate::environment;
use crate::output;
use crate::progress::ScanBars;
use crate::size::ByteSize;

/// The name under which the ledger signs.
pub const LEDGER_ORIGIN: &str = "hullmark.dev/ledger";

/// This program.
pub fn tool() -> Tool {
    Tool { name: "hullmark".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// Runs the command. What can be checked cheaply is checked before the image is touched.
pub fn run(context: &Context<'_>, arguments: Scan) -> Result<Outcome> {
    let target = Target::parse(&arguments.target.target)?;
    let options = acquire_options(context, &arguments.target, &target)?;
    let report = match server_of(context, &arguments)? {
        None => {
            let mut local = Local::open(context, &arguments, Vec::new())?;
            let cache = cache::of_scan(context, &arguments.target.cache)?;
            let layers = ScanBars::new(context.talk);
            let acquire =
                Acquire { target: &target, options: &options, progress: &layers, cache: cache.as_ref() };
            let report = local.scan(&acquire);
            layers.end(options.lazy);
            report.with_context(|| format!("cannot scan `{}`", arguments.target.target))?
        }
        Some(remote) => {
            // A local verdict, should it be needed, fails on what is missing before the work is done.
            let fallback = arguments
                .degraded_local
                .then(|| Local::open(context, &arguments, vec![SERVER_UNREACHABLE.to_owned()]));
            let fallback = fallback.transpose()?;
            let (inventory, profile) = acquire_inventory_with_profile(context, &arguments.target)?;
            match (remote.scan(&inventory, profile.as_ref(), arguments.stage), fallback) {
                (Ok(report), _) => report,
                (Err(error), Some(mut local)) if error.is_unavailable() => {
                    let error = anyhow::Error::new(error);
                    context.talk.warn(format!("{error:#}; the verdict is made on this machine"));
                    local.judge(inventory)?
                }
                (Err(error), _) => return Err(error.into()),
            }
        }
    };
    write_report(&report, arguments.format, arguments.output.as_deref())?;
    Ok(match report.verdict.outcome {
        VerdictOutcome::Failed => Outcome::FailedByPolicy,
        VerdictOutcome::Passed | VerdictOutcome::Warned => Outcome::Passed,
    })
}

/// The word in records and reports of verdicts that a server should have made.
const SERVER_UNREACHABLE: &str = "server-unreachable";

/// The server that is to judge; `None` when this machine is.
fn server_of(context: &Context<'_>, arguments: &Scan) -> Result<Option<Remote>> {
    let remote = Remote::open(context, &arguments.server)?;
    let local = [
        ("--policy", arguments.policy.is_some()),
        ("--fail-on", arguments.fail_on.is_some()),
        ("--exceptions", arguments.exceptions.is_some()),
    ];
    let given = local.iter().find(|(_, given)| *given);
    if let (Some(_), Some((name, _)), false) = (&remote, given, arguments.degraded_local) {
        anyhow::bail!(
            "`{name}` is for verdicts of this machine; with `--server` the policy of the server counts"
        );
    }
    Ok(remote)
}

/// What a verdict on this machine is made with.
struct Local {
    policy: Policy,
    exceptions: Exceptions,
    database: Database,
    stage: Stage,
    now: Timestamp,
    ledger: Ledger,
    circumstances: Circumstances,
}

impl Local {
    fn open(context: &Context<'_>, arguments: &Scan, degraded: Vec<String>) -> Result<Self> {
        let policy = policy_of(arguments)?;
        let exceptions = match &arguments.exceptions {
            Some(path) => load_exceptions(path)?,
            None => Exceptions::none(),
        };
        let database = open_database(arguments.database.db.clone())?;
        let ledger_path = environment::ledger_path(arguments.ledger.ledger.clone())?;
        let ledger = Ledger::open(&ledger_path, LEDGER_ORIGIN, &mut environment::entropy)
            .with_context(|| format!("cannot open the ledger `{}`", ledger_path.display()))?;
        Ok(Self {
            policy,
            exceptions,
            database,
            stage: arguments.stage,
            now: environment::now(context.global.now),
            ledger,
            circumstances: Circumstances {
                binary: environment::binary_digest(),
                degraded,
                ..Circumstances::of_scan(tool(), environment::asker())
            },
        })
    }

    fn scan(&mut self, acquire: &Acquire<'_>) -> Result<ScanReport, EngineError> {
        let by = Judge {
            database: &self.database,
            policy: &self.policy,
            exceptions: &self.exceptions,
            stage: self.stage,
            now: self.now,
        };
        let circumstances = self.circumstances.clone();
        hullmark_engine::scan(acquire, &by, &mut Recorder { ledger: &mut self.ledger, circumstances })
    }

    /// Judges and records an inventory that was taken already.
    fn judge(&mut self, inventory: Inventory) -> Result<ScanReport, EngineError> {
        let by = Judge {
            database: &self.database,
            policy: &self.policy,
            exceptions: &self.exceptions,
            stage: self.stage,
            now: self.now,
        };
        let circumstances = self.circumstances.clone();
        let mut report = hullmark_engine::judge(inventory, &by, &circumstances.tool)?;
        report.degraded.clone_from(&circumstances.degraded);
        let mut recorder = Recorder { ledger: &mut self.ledger, circumstances };
        report.ledger = Some(hullmark_engine::record(&report, &mut recorder)?);
        Ok(report)
    }
}

fn policy_of(arguments: &Scan) -> Result<Policy> {
    match (&arguments.policy, arguments.fail_on) {
        (Some(path), _) => load_policy(path),
        (None, Some(threshold)) => Ok(hullmark_policy::fail_on(threshold)?),
        (None, None) => Ok(hullmark_policy::default_policy()?),
    }
}

/// Opens the advisory database; says how to get one when there is none.
pub fn open_database(given: Option<std::path::PathBuf>) -> Result<Database> {
    let path = environment::database_path(given)?;
    Database::open(&path).with_context(|| {
        let hint = match path.exists() {
            true => "",
            false => "; `hullmark db update` makes one",
        };
        format!("cannot open the advisory database `{}`{hint}", path.display())
    })
}

fn acquire_options(
    context: &Context<'_>,
    arguments: &TargetArguments,
    target: &Target,
) -> Result<hullmark_image::AcquireOptions> {
    let mut options = hullmark_image::AcquireOptions::new(context.client_options());
    if let Some(platform) = &arguments.platform {
        options.platform = platform.clone();
    }
    options.client.ca_files = arguments.registry.registry_ca.clone();
    options.access = environment::registry_access(&arguments.registry);
    anyhow::ensure!(
        arguments.memory.0 >= hullmark_image::MIN_MEMORY,
        "--memory {}: at least {} are needed",
        arguments.memory,
        ByteSize(hullmark_image::MIN_MEMORY)
    );
    options.memory = hullmark_image::Memory::new(arguments.memory.0);
    options.verify_diff_ids = arguments.verify_diff_ids;
    options.lazy = arguments.registry.lazy;
    if let Target::Image(target) = target {
        options.engines = environment::engines(&arguments.engines, target)?;
        if matches!(target, hullmark_image::Target::Stream(..)) && std::io::stdin().is_terminal() {
            bail!(
                "standard input is a terminal\nhint: pipe an archive into it, such as `docker save IMAGE | hullmark scan -`"
            );
        }
    }
    Ok(options)
}

/// Takes the inventory of a target and its runtime profile, with progress.
pub fn acquire_inventory_with_profile(
    context: &Context<'_>,
    arguments: &TargetArguments,
) -> Result<(Inventory, Option<ImageProfile>)> {
    acquire(context, arguments, hullmark_engine::take_inventory_with_profile)
}

/// Takes the inventory of a target, with progress.
pub fn acquire_inventory(context: &Context<'_>, arguments: &TargetArguments) -> Result<Inventory> {
    acquire(context, arguments, hullmark_engine::take_inventory)
}

fn acquire<T>(
    context: &Context<'_>,
    arguments: &TargetArguments,
    take: impl FnOnce(&Acquire<'_>) -> Result<T, EngineError>,
) -> Result<T> {
    let target = Target::parse(&arguments.target)?;
    let options = acquire_options(context, arguments, &target)?;
    let cache = cache::of_scan(context, &arguments.cache)?;
    let layers = ScanBars::new(context.talk);
    let acquire = Acquire { target: &target, options: &options, progress: &layers, cache: cache.as_ref() };
    let taken = take(&acquire);
    layers.end(options.lazy);
    taken.with_context(|| format!("cannot read `{}`", arguments.target))
}

fn write_report(report: &ScanReport, format: Format, path: Option<&std::path::Path>) -> Result<()> {
    let on_stdout = WriteOptions { color: output::stdout_has_color(), width: output::stdout_width() };
    if path.is_some() && format != Format::Table {
        output::to_file_or_stdout(path, |out| {
            hullmark_report::write(format, report, &WriteOptions { color: false, width: None }, out)
        })?;
        return output::to_stdout(|out| hullmark_report::write(Format::Table, report, &on_stdout, out));
    }
    let options = match path {
        Some(_) => WriteOptions { color: false, width: None },
        None => on_stdout,
    };
    output::to_file_or_stdout(path, |out| hullmark_report::write(format, report, &options, out))
}
