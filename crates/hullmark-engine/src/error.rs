//! Why a scan could not be done.

use std::path::PathBuf;

/// A stage could not do its work. What a stage could do only in part is not an error but a diagnostic in its result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The image could not be acquired or unpacked.
    #[error("cannot read the image")]
    Image(#[from] hullmark_image::ImageError),
    /// The SBOM file could not be read.
    #[error("cannot read the SBOM `{}`", path.display())]
    SbomFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The SBOM is not one that can be used.
    #[error("cannot use the SBOM `{}`", path.display())]
    Sbom {
        /// The file.
        path: PathBuf,
        /// Why.
        source: hullmark_report::SbomError,
    },
    /// The advisories could not be matched.
    #[error("cannot match the inventory against the advisory database")]
    Match(#[from] hullmark_match::MatchError),
    /// The policy could not be evaluated.
    #[error("cannot evaluate the policy")]
    Evaluate(#[from] hullmark_policy::EvaluateError),
    /// The verdict could not be recorded; it must not be told.
    #[error("cannot record the verdict in the ledger")]
    Ledger(#[from] hullmark_ledger::LedgerError),
    /// A value could not be written in canonical form.
    #[error(transparent)]
    Canonical(#[from] hullmark_types::CanonicalError),
}
