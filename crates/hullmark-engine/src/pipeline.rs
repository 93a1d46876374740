//! The stages in order, on one screen.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use hullmark_advisory::Database;
use hullmark_cache::Cache;
use hullmark_image::{AcquireOptions, Image, NoProgress, Progress};
use hullmark_inventory::{BaseIndex, attribute_base};
use hullmark_policy::{Evaluation, Exceptions, Policy, evaluate};
use hullmark_report::{ScanReport, Tool};
use hullmark_types::{ImageProfile, Inventory, LayerInfo, Stage, Subject};
use jiff::Timestamp;

use crate::{EngineError, Recorder, Target, record};

/// The largest SBOM that is read, in bytes.
const MAX_SBOM: u64 = 256 * 1024 * 1024;

/// Is told of the stages as they end, and of the layers as they are read.
pub trait ScanProgress: Progress {
    /// The image was found.
    fn image_opened(&self, image: &Image) {
        let _ = image;
    }

    /// It is known what the image holds.
    fn inventory_taken(&self, inventory: &Inventory) {
        let _ = inventory;
    }

    /// The verdict is made and recorded.
    fn recorded(&self, report: &ScanReport) {
        let _ = report;
    }
}

impl ScanProgress for NoProgress {}

/// How an inventory is taken.
pub struct Acquire<'a> {
    /// What to take apart.
    pub target: &'a Target,
    /// Platform, credentials, limits, network.
    pub options: &'a AcquireOptions,
    /// Told of each layer as it is read, and of each stage.
    pub progress: &'a dyn ScanProgress,
    /// What earlier scans found out.
    pub cache: Option<&'a Cache>,
    /// What is known of base images.
    pub bases: Option<&'a BaseIndex>,
}

/// What an inventory is judged by.
pub struct Judge<'a> {
    /// The advisories.
    pub database: &'a Database,
    /// The policy.
    pub policy: &'a Policy,
    /// Exceptions to it.
    pub exceptions: &'a Exceptions,
    /// Whose actions count.
    pub stage: Stage,
    /// The time for which the verdict is made.
    pub now: Timestamp,
}

/// The whole pipeline: acquire, unpack, inventory, match, evaluate, record. What comes back is recorded already.
///
/// # Errors
/// When a stage could not do its work; see [`EngineError`].
pub fn scan(
    acquire: &Acquire<'_>,
    judge_by: &Judge<'_>,
    recorder: &mut Recorder<'_>,
) -> Result<ScanReport, EngineError> {
    let inventory = take_inventory(acquire)?;
    let mut report = judge(inventory, judge_by, &recorder.circumstances.tool)?;
    report.degraded.clone_from(&recorder.circumstances.degraded);
    report.ledger = Some(record(&report, recorder)?);
    acquire.progress.recorded(&report);
    Ok(report)
}

/// The first three stages: acquire, unpack, inventory. An SBOM is an inventory that was taken earlier.
///
/// # Errors
/// When the image or SBOM cannot be read at all, or does not have the digest it should have.
pub fn take_inventory(acquire: &Acquire<'_>) -> Result<Inventory, EngineError> {
    match acquire.target {
        Target::Image(target) => {
            let mut image = hullmark_image::open(target, acquire.options)?;
            acquire.progress.image_opened(&image);
            let mut inventory = hullmark_inventory::build(&mut image, acquire.progress, acquire.cache)?;
            attribute_base(&mut inventory, image.annotations(), acquire.bases);
            acquire.progress.inventory_taken(&inventory);
            Ok(inventory)
        }
        Target::Sbom(path) => of_sbom(path, acquire),
    }
}

/// Which image it is, and which layers it has: what the first stage knows. Only an image that comes as a stream is read.
///
/// # Errors
/// As [`take_inventory`].
pub fn identify(acquire: &Acquire<'_>) -> Result<(Subject, Vec<LayerInfo>), EngineError> {
    if let Target::Image(target) = acquire.target {
        let image = hullmark_image::open(target, acquire.options)?;
        if image.layers().iter().all(|layer| layer.diff_id.is_some()) {
            acquire.progress.image_opened(&image);
            return Ok((image.subject().clone(), image.layers().to_vec()));
        }
    }
    let inventory = take_inventory(acquire)?;
    Ok((inventory.subject, inventory.layers))
}

fn of_sbom(path: &Path, acquire: &Acquire<'_>) -> Result<Inventory, EngineError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SBOM + 1).read_to_end(&mut bytes))
        .map_err(|source| EngineError::SbomFile { path: path.to_owned(), source })?;
    let inventory = hullmark_report::parse_sbom(&bytes)
        .map_err(|source| EngineError::Sbom { path: path.to_owned(), source })?;
    acquire.progress.inventory_taken(&inventory);
    Ok(inventory)
}

/// The same as [`take_inventory`], with the runtime profile of the image. An SBOM gives none.
///
/// # Errors
/// As [`take_inventory`].
pub fn take_inventory_with_profile(
    acquire: &Acquire<'_>,
) -> Result<(Inventory, Option<ImageProfile>), EngineError> {
    match acquire.target {
        Target::Image(target) => {
            let mut image = hullmark_image::open(target, acquire.options)?;
            acquire.progress.image_opened(&image);
            let (mut inventory, profile) =
                hullmark_inventory::build_with_profile(&mut image, acquire.progress, acquire.cache)?;
            attribute_base(&mut inventory, image.annotations(), acquire.bases);
            acquire.progress.inventory_taken(&inventory);
            Ok((inventory, Some(profile)))
        }
        Target::Sbom(path) => Ok((of_sbom(path, acquire)?, None)),
    }
}

/// The two stages that decide: match and evaluate. Pure: no clock, no network, no file but the database's map.
///
/// # Errors
/// When the database is damaged or the policy cannot be evaluated.
pub fn judge(inventory: Inventory, by: &Judge<'_>, tool: &Tool) -> Result<ScanReport, EngineError> {
    let matches = hullmark_match::match_inventory(&inventory, by.database)?;
    let verdict = evaluate(&Evaluation {
        inventory: &inventory,
        matches: &matches,
        policy: by.policy,
        exceptions: by.exceptions,
        stage: by.stage,
        now: by.now,
    })?;
    Ok(ScanReport { tool: tool.clone(), inventory, matches, verdict, ledger: None, degraded: Vec::new() })
}
