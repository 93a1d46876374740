//! What can be found: for each kind of package by which extractors, in images and in directories, and with licences or not.

use hullmark_types::PackageKind;
use serde::Serialize;

use crate::extractor::{Evidence, Extractor};
use crate::extractors::{ALL, embedded_sbom};
use crate::nix_store;

/// What can be found of a kind of package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KindCoverage {
    /// The kind.
    pub kind: PackageKind,
    /// The extractors that find it where it is installed: in images, root file systems and directories.
    pub installed: Vec<&'static str>,
    /// The extractors that find it in the files of a project: in directories only.
    pub project: Vec<&'static str>,
    /// Whether some of them name licences.
    pub licenses: bool,
}

/// The extractors that find a kind of package. What somebody wrote into an SBOM is not counted: it may be of any kind.
fn of_kind(kind: PackageKind) -> impl Iterator<Item = &'static dyn Extractor> {
    let all = ALL.iter().copied().filter(|one| one.name() != embedded_sbom::NAME);
    all.filter(move |one| one.kinds().contains(&kind))
}

/// What can be found, for every kind of package that some extractor finds, in the order of the kinds.
pub fn kind_coverage() -> Vec<KindCoverage> {
    let of = |kind: PackageKind| {
        let finds = |evidence| {
            let finders = of_kind(kind).filter(move |one| one.evidence() == evidence);
            finders.map(|one| one.name()).collect::<Vec<_>>()
        };
        // The store of Nix has no files to read: the names of its directories are the evidence.
        let by_merge = (kind == PackageKind::Nix).then_some(nix_store::NAME);
        KindCoverage {
            kind,
            installed: finds(Evidence::Installed).into_iter().chain(by_merge).collect(),
            project: finds(Evidence::Project),
            licenses: of_kind(kind).any(|one| one.has_licenses()),
        }
    };
    let rows = PackageKind::ALL.iter().map(|kind| of(*kind));
    rows.filter(|row| !row.installed.is_empty() || !row.project.is_empty()).collect()
}
