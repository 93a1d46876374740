//! What an SBOM file in an image repeats of what is known from elsewhere.

use std::collections::BTreeSet;

use hullmark_types::{Distribution, PackageKind, fold_pypi_name};

use crate::FoundPackage;
use crate::distribution::of_package;
use crate::extractors::embedded_sbom;
use crate::merge::Placed;

/// A package without what others write differently.
type Known = (PackageKind, String);

/// Takes away the packages of SBOM files that something else has found: the database of packages, or the files that the package
/// manager of a language left.
pub(crate) fn drop_repeated(packages: &mut Vec<Placed<'_>>, distribution: Option<&Distribution>) {
    if !packages.iter().any(is_of_sbom) {
        return;
    }
    let (mut names, mut versions) = (BTreeSet::new(), BTreeSet::new());
    for found in packages.iter().filter(|found| !is_of_sbom(found)) {
        let name = known(found.package);
        versions.insert((name.clone(), version(found.package).to_owned()));
        names.insert(name);
    }
    packages.retain(|found| {
        let package = found.package;
        // A package of another distribution is another package.
        if !is_of_sbom(found)
            || (package.kind.is_operating_system()
                && package.distribution.is_some()
                && of_package(package, distribution) != distribution)
        {
            return true;
        }
        let name = known(package);
        match package.version.as_str() {
            "" => !names.contains(&name),
            _ => !versions.contains(&(name, version(package).to_owned())),
        }
    });
}

/// Whether an SBOM file names the package.
pub(crate) fn is_of_sbom(found: &Placed<'_>) -> bool {
    found.found_by == embedded_sbom::NAME
}

fn known(package: &FoundPackage) -> Known {
    let name = match package.kind {
        PackageKind::Pypi => fold_pypi_name(&package.name),
        PackageKind::Golang | PackageKind::Nuget | PackageKind::Composer => package.name.to_lowercase(),
        _ => package.name.clone(),
    };
    (package.kind, name)
}

/// The version; for some a `v` before it is a matter of taste.
fn version(package: &FoundPackage) -> &str {
    match package.kind {
        PackageKind::Composer | PackageKind::Golang => {
            package.version.strip_prefix('v').unwrap_or(&package.version)
        }
        _ => &package.version,
    }
}
