//! Which packages of an inventory a package needs: what a file says by names, as package URLs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Distribution, PackageKind, fold_pypi_name};

use crate::merge::Placed;
use crate::purl::package_url;

/// How many files on either side of a file are looked at for one that is near.
const NEIGHBOURS: usize = 8;

/// The most versions of one package that a requirement without a version stands for.
const MAX_VERSIONS: usize = 16;

/// Kind, and name without what does not count in it.
type Name = (PackageKind, String);

/// A package by its file, version and package URL.
type Known<'a> = (&'a str, &'a str, String);

/// The packages that files with requirements name.
pub(crate) struct Requirements<'a> {
    /// Those of one file, by file and name.
    listed: BTreeMap<(&'a str, Name), Vec<(&'a str, String)>>,
    /// The files that describe one package each and say what it needs, such as the specification of a gem.
    scattered: BTreeSet<&'a str>,
    /// Those that lie in such files, or that the same extractor found, by extractor and name, in the order of their paths.
    near: BTreeMap<(&'a str, Name), Vec<Known<'a>>>,
}

impl<'a> Requirements<'a> {
    pub(crate) fn new(packages: &[Placed<'a>], distribution: Option<&Distribution>) -> Self {
        let mut listed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut scattered = BTreeSet::new();
        let mut extractors = BTreeSet::new();
        // The packages of one file follow each other; most files say nothing of what theirs need.
        for of_file in packages.chunk_by(|one, other| one.path == other.path) {
            if of_file.iter().all(|found| found.package.requires.is_empty()) {
                continue;
            }
            if let [found] = of_file {
                scattered.insert(found.path);
                extractors.insert(found.found_by);
            }
            for found in of_file {
                if let Some(purl) = package_url(found.package, distribution) {
                    let key = (found.path, name(found.package.kind, &found.package.name));
                    listed.entry(key).or_default().push((found.package.version.as_str(), purl));
                }
            }
        }
        for versions in listed.values_mut() {
            versions.sort_unstable();
            versions.dedup();
        }
        let mut near: BTreeMap<_, Vec<Known<'a>>> = BTreeMap::new();
        for found in packages.iter().filter(|found| extractors.contains(found.found_by)) {
            if let Some(purl) = package_url(found.package, distribution) {
                let key = (found.found_by, name(found.package.kind, &found.package.name));
                near.entry(key).or_default().push((found.path, found.package.version.as_str(), purl));
            }
        }
        for known in near.values_mut() {
            known.sort_unstable_by(|one, other| one.0.split('/').cmp(other.0.split('/')));
        }
        Self { listed, scattered, near }
    }

    /// The package URLs of what a package needs: packages of the same file, or, where each package has a file of its own, of the
    /// nearest files. What is found in neither is not in this inventory.
    pub(crate) fn of(&self, found: &Placed<'a>) -> Vec<String> {
        let package = found.package;
        let mut purls = Vec::new();
        for requirement in &package.requires {
            let wanted = name(package.kind, &requirement.name);
            let fits = |version: &str| requirement.version.as_ref().is_none_or(|wanted| wanted == version);
            let known = self.listed.get(&(found.path, wanted.clone())).map(Vec::as_slice).unwrap_or_default();
            // In the order of the versions those that fit follow each other.
            let first = match &requirement.version {
                Some(wanted) => known.partition_point(|(version, _)| *version < wanted.as_str()),
                None => 0,
            };
            let fitting =
                known.iter().skip(first).take_while(|(version, _)| fits(version)).take(MAX_VERSIONS);
            let before = purls.len();
            purls.extend(fitting.map(|(_, purl)| purl.clone()));
            if purls.len() == before
                && self.scattered.contains(found.path)
                && let Some(known) = self.near.get(&(found.found_by, wanted))
            {
                purls.extend(nearest(known, found.path, fits));
            }
        }
        purls
    }
}

/// The package in the file that shares the longest way with `path`; of several the one whose own way is shortest.
fn nearest(known: &[Known<'_>], path: &str, fits: impl Fn(&str) -> bool) -> Option<String> {
    // The longer the shared way, the nearer in the order of paths; of very many only those around are looked at.
    let place = known.partition_point(|(other, _, _)| other.split('/').lt(path.split('/')));
    let around = known.get(place.saturating_sub(NEIGHBOURS)..known.len().min(place + NEIGHBOURS))?;
    let shared =
        |other: &str| other.split('/').zip(path.split('/')).take_while(|(one, two)| one == two).count();
    let candidates = around.iter().filter(|(_, version, _)| fits(version));
    let nearest = candidates.min_by_key(|(other, _, _)| {
        (Reverse(shared(other)), other.bytes().filter(|byte| *byte == b'/').count(), *other)
    });
    nearest.map(|(_, _, purl)| purl.clone())
}

fn name(kind: PackageKind, name: &str) -> Name {
    match kind {
        PackageKind::Pypi => (kind, fold_pypi_name(name)),
        PackageKind::Nuget => (kind, name.to_lowercase()),
        // An application does not say whether what it needs is a part of Erlang/OTP.
        PackageKind::Otp => (PackageKind::Hex, name.to_owned()),
        _ => (kind, name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_file_is_found() {
        let mut known: Vec<Known<'_>> = ["a/m/b/p", "a/m/x/m/b/p", "c/m/b/p", "m/b/p"]
            .map(|path| (path, "1", format!("purl of {path}")))
            .into_iter()
            .collect();
        known.sort_unstable_by(|one, other| one.0.split('/').cmp(other.0.split('/')));
        for (path, expected) in [
            ("a/m/x/p", "a/m/x/m/b/p"),
            ("a/m/y/p", "a/m/b/p"),
            ("c/m/y/p", "c/m/b/p"),
            ("m/y/p", "m/b/p"),
            ("d/p", "m/b/p"),
        ] {
            let found = nearest(&known, path, |_| true);
            assert_eq!(found, Some(format!("purl of {expected}")), "{path}");
        }
        assert_eq!(nearest(&known, "a/m/x/p", |version| version == "2"), None);
    }
}
