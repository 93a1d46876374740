//! Which packages of an inventory a package needs: what a file says by names, as package URLs.

use std::collections::BTreeMap;

use hullmark_types::{Distribution, PackageKind, fold_pypi_name};

use crate::merge::Placed;
use crate::purl::package_url;

/// File, kind, and name without what does not count in it.
type Named<'a> = (&'a str, PackageKind, String);

/// The packages that files with requirements name, by file, kind and name.
pub(crate) struct Requirements<'a> {
    /// Version and package URL of each.
    named: BTreeMap<Named<'a>, Vec<(&'a str, String)>>,
}

impl<'a> Requirements<'a> {
    pub(crate) fn new(packages: &[Placed<'a>], distribution: Option<&Distribution>) -> Self {
        let mut named: BTreeMap<Named<'_>, Vec<_>> = BTreeMap::new();
        let mut file = None;
        for (position, found) in packages.iter().enumerate() {
            // The packages of one file follow each other; most files say nothing of what theirs need.
            if file.map(|(path, _)| path) != Some(found.path) {
                let of_file = packages.get(position..).unwrap_or_default();
                let mut of_file = of_file.iter().take_while(|other| other.path == found.path);
                file = Some((found.path, of_file.any(|other| !other.package.requires.is_empty())));
            }
            if file.is_some_and(|(_, requires)| requires)
                && let Some(purl) = package_url(found.package, distribution)
            {
                let key = (found.path, found.package.kind, folded(found.package.kind, &found.package.name));
                named.entry(key).or_default().push((found.package.version.as_str(), purl));
            }
        }
        Self { named }
    }

    /// The package URLs of what a package needs. A requirement that the file does not list is none of this inventory.
    pub(crate) fn of(&self, found: &Placed<'a>) -> Vec<String> {
        let package = found.package;
        let mut purls = Vec::new();
        for requirement in &package.requires {
            let key = (found.path, package.kind, folded(package.kind, &requirement.name));
            for (version, purl) in self.named.get(&key).into_iter().flatten() {
                if requirement.version.as_ref().is_none_or(|wanted| wanted == version) {
                    purls.push(purl.clone());
                }
            }
        }
        purls
    }
}

fn folded(kind: PackageKind, name: &str) -> String {
    match kind {
        PackageKind::Pypi => fold_pypi_name(name),
        PackageKind::Nuget => name.to_lowercase(),
        _ => name.to_owned(),
    }
}
