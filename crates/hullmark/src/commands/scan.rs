//! `hullmark scan`: the main job.

use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use anyhow::{Context as _, Error, Result, bail};
use hullmark_advisory::Database;
use hullmark_engine::{Acquire, Circumstances, EngineError, Judge, Recorder, Target};
use hullmark_ledger::Ledger;
use hullmark_policy::{Exceptions, Policy};
use hullmark_report::{
    Format, PlatformReport, PlatformsReport, ScanReport, Tool, WriteOptions, write_platforms,
};
use hullmark_types::{Inventory, Outcome as VerdictOutcome, Stage};
use jiff::Timestamp;

use super::Context;
use super::policy::{load_exceptions, load_policy};
use super::reading::{Reading, Taken, all_taken, for_platform, has_platform};
use super::remote::Remote;
use crate::Outcome;
use crate::cli::{PlatformChoice, Scan, TargetArguments};
use crate::environment;
use crate::output;
use crate::size::ByteSize;

/// The name under which the ledger signs.
pub const LEDGER_ORIGIN: &str = "hullmark.dev/ledger";

/// This program.
pub fn tool() -> Tool {
    Tool { name: "hullmark".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// Runs the command. What can be checked cheaply is checked before the image is touched.
pub fn run(context: &Context<'_>, arguments: Scan) -> Result<Outcome> {
    let reading = Reading::open(context, &arguments.target)?;
    let output = arguments.output.as_deref();
    if arguments.format == Format::Cyclonedx {
        reading.check_output("a CycloneDX document", output)?;
    }
    let mut court = Court::open(context, &arguments)?;
    if reading.wants_all() {
        return all(context, &reading, &mut court, &arguments);
    }
    let report = reading
        .one(|acquire| court.scan(context, acquire))
        .with_context(|| format!("cannot scan `{}`", arguments.target.target))?;
    write_report(arguments.format, output, |format, options, out| {
        hullmark_report::write(format, &report, options, out)
    })?;
    Ok(outcome(report.verdict.outcome))
}

/// Scans the image for every platform; the worst counts.
fn all(context: &Context<'_>, reading: &Reading<'_>, court: &mut Court, arguments: &Scan) -> Result<Outcome> {
    let output = arguments.output.as_deref();
    let taken = reading.each(|acquire, _| court.scan(context, acquire))?;
    let is_complete = all_taken(&taken);
    let name = arguments.target.target.clone();
    let platform = |taken: Taken<ScanReport>| {
        let said = taken.result.as_ref().ok().and_then(|report| report.inventory.subject.platform.clone());
        PlatformReport {
            platform: taken.image.platform.or(said),
            manifest: taken.image.manifest.and_then(|path| path.manifest().cloned()),
            result: taken.result.map_err(|error| format!("{error:#}")),
        }
    };
    let report = PlatformsReport { tool: tool(), name, platforms: taken.into_iter().map(platform).collect() };
    if let Some(path) = output.filter(|path| has_platform(Some(path))) {
        for (platform, label) in report.platforms.iter().zip(report.labels()) {
            let Ok(report) = &platform.result else { continue };
            output::to_file_or_stdout(Some(&for_platform(path, &label)), |out| {
                hullmark_report::write(arguments.format, report, &WriteOptions::default(), out)
            })?;
        }
        output::to_stdout(|out| write_platforms(Format::Table, &report, &on_stdout(), out))?;
    } else {
        write_report(arguments.format, output, |format, options, out| {
            write_platforms(format, &report, options, out)
        })?;
    }
    is_complete?;
    Ok(report.outcome().map_or(Outcome::Passed, outcome))
}

fn outcome(verdict: VerdictOutcome) -> Outcome {
    match verdict {
        VerdictOutcome::Failed => Outcome::FailedByPolicy,
        VerdictOutcome::Passed | VerdictOutcome::Warned => Outcome::Passed,
    }
}

/// Who judges.
struct Court {
    /// A server, if there is one.
    remote: Option<Remote>,
    /// This machine, if there is no server or it may be replaced.
    local: Option<Local>,
    stage: Stage,
}

impl Court {
    fn open(context: &Context<'_>, arguments: &Scan) -> Result<Self> {
        let remote = server_of(context, arguments)?;
        // A local verdict in place of the server's, should it be needed, fails on what is missing before the work is done.
        let local = match (&remote, arguments.degraded_local) {
            (None, _) => Some(Local::open(context, arguments, Vec::new())?),
            (Some(_), true) => Some(Local::open(context, arguments, vec![SERVER_UNREACHABLE.to_owned()])?),
            (Some(_), false) => None,
        };
        Ok(Self { remote, local, stage: arguments.stage })
    }

    /// Scans an image. What comes back is recorded.
    fn scan(&mut self, context: &Context<'_>, acquire: &Acquire<'_>) -> Result<ScanReport> {
        let Some(remote) = &self.remote else {
            let local = self.local.as_mut().context("there is nobody to judge")?;
            return Ok(local.scan(acquire)?);
        };
        let (inventory, profile) = hullmark_engine::take_inventory_with_profile(acquire)?;
        let report = match (remote.scan(&inventory, profile.as_ref(), self.stage), &mut self.local) {
            (Ok(report), _) => report,
            (Err(error), Some(local)) if error.is_unavailable() => {
                let error = Error::new(error);
                context.talk.warn(format!("{error:#}; the verdict is made on this machine"));
                local.judge(inventory)?
            }
            (Err(error), _) => return Err(error.into()),
        };
        acquire.progress.recorded(&report);
        Ok(report)
    }
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

/// How an image is got, as the arguments say.
pub fn acquire_options(
    context: &Context<'_>,
    arguments: &TargetArguments,
    target: &Target,
) -> Result<hullmark_image::AcquireOptions> {
    let mut options = hullmark_image::AcquireOptions::new(context.client_options());
    if let Some(PlatformChoice::One(platform)) = &arguments.platform {
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

fn on_stdout() -> WriteOptions {
    WriteOptions { color: output::stdout_has_color(), width: output::stdout_width() }
}

/// Writes a report to where it shall go; the table still goes to standard output when a file has another form.
fn write_report(
    format: Format,
    path: Option<&Path>,
    write: impl Fn(Format, &WriteOptions, &mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    if path.is_none() {
        return output::to_stdout(|out| write(format, &on_stdout(), out));
    }
    output::to_file_or_stdout(path, |out| write(format, &WriteOptions::default(), out))?;
    match format {
        Format::Table => Ok(()),
        _ => output::to_stdout(|out| write(Format::Table, &on_stdout(), out)),
    }
}
