//! `container-manifest-2`, the list that the images of Azure Linux without a package manager have instead of a database:
//! a package per line, its facts separated by tabs.

use hullmark_types::PackageKind;

use super::package::{full_version, source_package};
use crate::text::{excerpt, lines, non_empty};
use crate::{Extraction, FoundPackage, OpenFile};

/// The facts of a line: name, version and release, times of installation and build, vendor, epoch, size, architecture, epoch
/// as a number, source package.
const FACTS: usize = 10;

/// What rpm writes for a fact that a package does not have.
const NONE: &str = "(none)";

/// Reads all lines. One of another form is a gap `malformed-package-database`.
pub(super) fn read(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    for (number, line) in lines(file.bytes) {
        if line.trim().is_empty() {
            continue;
        }
        match package(&line) {
            Some(package) => found.add_package(file.path, package),
            None => {
                let message = format!("line {number} is not a package: `{}`", excerpt(&line));
                found.gap("malformed-package-database", file.path, message);
            }
        }
    }
    found
}

fn package(line: &str) -> Option<FoundPackage> {
    let facts: Vec<&str> = line.split('\t').take(FACTS + 1).collect();
    let [name, version, _, _, vendor, epoch, _, architecture, _, source] = facts.as_slice() else {
        return None;
    };
    let (version, release) = version.split_once('-')?;
    let known = |text: &str| non_empty(text).filter(|text| text != NONE);
    let epoch = match known(epoch) {
        Some(epoch) => Some(epoch.parse().ok()?),
        None => None,
    };
    Some(FoundPackage {
        source: source_package(source.trim()),
        architecture: known(architecture),
        vendor: known(vendor),
        ..FoundPackage::new(PackageKind::Rpm, known(name)?, full_version(epoch, version, release))
    })
}
