//! Which operating system package installed a file.

use std::collections::BTreeMap;

use crate::OwnedFiles;
use crate::root::Root;

/// Directories that merged-usr systems moved below `usr`, leaving links.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib32", "lib64", "libx32"];

/// Names an operating system package: name, and architecture where the list of files gives one.
pub(crate) type OwnerKey<'a> = (&'a str, Option<&'a str>);

/// The owners of `evidence` (paths in the image).
pub(crate) fn owners<'a>(
    root: &Root<'_>,
    lists: &[&'a OwnedFiles],
    evidence: impl Iterator<Item = &'a str>,
) -> BTreeMap<&'a str, OwnerKey<'a>> {
    let mut wanted: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for path in evidence {
        wanted.entry(canonical(root, path)).or_default().push(path);
    }
    let mut owners = BTreeMap::new();
    if wanted.is_empty() {
        return owners;
    }
    let mut directories: BTreeMap<&str, String> = BTreeMap::new();
    for list in lists {
        for file in &list.files {
            let (directory, name) = file.rsplit_once('/').unwrap_or(("", file));
            let real = directories.entry(directory).or_insert_with(|| canonical_directory(root, directory));
            let path = if real.is_empty() { name.to_owned() } else { format!("{real}/{name}") };
            for evidence in wanted.get(&path).into_iter().flatten() {
                owners.entry(*evidence).or_insert((list.package.as_str(), list.architecture.as_deref()));
            }
        }
    }
    owners
}

fn canonical(root: &Root<'_>, path: &str) -> String {
    match path.rsplit_once('/') {
        Some((directory, name)) => format!("{}/{name}", canonical_directory(root, directory)),
        None => path.to_owned(),
    }
}

/// The directory behind links, and with `bin` for `usr/bin` and so on: a package may name either, and an image may lack
/// the link.
fn canonical_directory(root: &Root<'_>, directory: &str) -> String {
    let real = root.resolve(directory).unwrap_or_else(|| directory.to_owned());
    let first = real.split('/').next().unwrap_or("");
    if MERGED.contains(&first) { format!("usr/{real}") } else { real }
}
