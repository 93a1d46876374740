//! What can be found: for each kind of package by which extractors, in images and in directories, and with licences or not.

use hullmark_types::PackageKind;
use serde::Serialize;

use crate::extractor::{Evidence, Extractor};
use crate::extractors::ALL;
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

/// What can be found, for every kind of package that some extractor finds, in the order of the kinds.
pub fn kind_coverage() -> Vec<KindCoverage> {
    let of = |kind: PackageKind| {
        let finds = |evidence| {
            let finders =
                ALL.iter().filter(move |one| one.kinds().contains(&kind) && one.evidence() == evidence);
            finders.map(|one| one.name()).collect::<Vec<_>>()
        };
        // The store of Nix has no files to read: the names of its directories are the evidence.
        let by_merge = (kind == PackageKind::Nix).then_some(nix_store::NAME);
        KindCoverage {
            kind,
            installed: finds(Evidence::Installed).into_iter().chain(by_merge).collect(),
            project: finds(Evidence::Project),
            licenses: ALL
                .iter()
                .any(|one: &&dyn Extractor| one.kinds().contains(&kind) && one.has_licenses()),
        }
    };
    let rows = PackageKind::ALL.iter().map(|kind| of(*kind));
    rows.filter(|row| !row.installed.is_empty() || !row.project.is_empty()).collect()
}
