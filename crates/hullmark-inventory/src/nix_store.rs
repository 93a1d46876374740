//! Packages in the store of Nix, from the names of their directories alone: `nix/store/HASH-NAME-VERSION[-OUTPUT]`. An image that
//! Nix built has no database beside them.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Confidence, PackageKind};

use crate::FoundPackage;

/// What such packages carry as `found_by`.
pub(crate) const NAME: &str = "nix-store";

const STORE: &str = "nix/store/";

/// How long the hash is, in the base 32 of Nix.
const HASH: usize = 32;

/// The most packages.
const MAX_PACKAGES: usize = 100_000;

/// Parts of a package that are built into directories of their own.
const OUTPUTS: &[&str] = &[
    "bin", "data", "debug", "dev", "devdoc", "dist", "doc", "info", "lib", "man", "modules", "out", "py",
    "static", "terminfo", "tools",
];

/// A package, and the first path of it.
pub(crate) struct StorePackage<'a> {
    pub(crate) package: FoundPackage,
    pub(crate) path: &'a str,
    pub(crate) layer: u32,
}

/// The packages of which `paths` (sorted) has any file. Whether there were too many is told beside them.
pub(crate) fn packages<'a>(paths: impl Iterator<Item = (&'a str, u32)>) -> (Vec<StorePackage<'a>>, bool) {
    let mut found = Vec::new();
    let mut last = None;
    let mut seen = BTreeSet::new();
    for (path, layer) in paths {
        let Some((directory, _)) = path.strip_prefix(STORE).and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        if last == Some(directory) || !seen.insert(directory) {
            continue;
        }
        last = Some(directory);
        let Some((name, version, output)) = name_and_version(directory) else { continue };
        if found.len() == MAX_PACKAGES {
            return (found, true);
        }
        let hash = directory.get(..HASH).unwrap_or_default().to_owned();
        let output = output.map(|output| ("nix:output".to_owned(), output.to_owned()));
        let package = FoundPackage {
            confidence: Confidence::Derived,
            properties: BTreeMap::from_iter(output.into_iter().chain([("nix:hash".to_owned(), hash)])),
            ..FoundPackage::new(PackageKind::Nix, name, version)
        };
        found.push(StorePackage { package, path, layer });
    }
    (found, false)
}

/// Name, version and output of a directory: the version begins behind the first dash that no letter follows. `None` when it is
/// not named so, or has no version: then it is no package, but a file, a script or a source.
fn name_and_version(directory: &str) -> Option<(&str, &str, Option<&str>)> {
    let (hash, rest) = directory.split_once('-')?;
    let is_hash =
        hash.len() == HASH && hash.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
    if !is_hash || directory.len() > 255 || rest.ends_with(".drv") {
        return None;
    }
    let (at, _) = rest.match_indices('-').find(|(at, _)| {
        *at > 0
            && rest.get(at + 1..).is_some_and(|after| after.starts_with(|first: char| first.is_ascii_digit()))
    })?;
    let (name, version) = (rest.get(..at)?, rest.get(at + 1..)?);
    match version.rsplit_once('-') {
        Some((version, output)) if OUTPUTS.contains(&output) => Some((name, version, Some(output))),
        _ => Some((name, version, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_directories_are_taken_apart() {
        let check = |name: &str, expected| {
            let directory = format!("00bgd045z0d4icpbc2yyz4gx48ak44la-{name}");
            assert_eq!(name_and_version(&directory), expected, "{name}");
        };
        check("glibc-2.38-27", Some(("glibc", "2.38-27", None)));
        check("glibc-2.38-27-bin", Some(("glibc", "2.38-27", Some("bin"))));
        check("python3.11-requests-2.31.0", Some(("python3.11-requests", "2.31.0", None)));
        check("gcc-12.3.0-lib", Some(("gcc", "12.3.0", Some("lib"))));
        check("source", None);
        check("bash-5.2.drv", None);
        assert_eq!(name_and_version("short-bash-5.2"), None);
        assert_eq!(name_and_version(""), None);
    }

    #[test]
    fn each_directory_is_one_package() {
        let directory = format!("nix/store/{}-bash-5.2", "a".repeat(32));
        let paths =
            [format!("{directory}/bin/bash"), format!("{directory}/bin/sh"), "nix/store/x".to_owned()];
        let (found, more) = packages(paths.iter().map(|path| (path.as_str(), 3)));
        assert!(!more);
        assert_eq!(
            found.iter().map(|one| (one.package.name.as_str(), one.path, one.layer)).collect::<Vec<_>>(),
            [("bash", paths[0].as_str(), 3)]
        );
    }
}
