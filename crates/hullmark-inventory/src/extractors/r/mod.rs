//! R packages, from the file `DESCRIPTION` of each that is installed
//! (<https://cran.r-project.org/doc/manuals/r-release/R-exts.html#The-DESCRIPTION-file>). The field `Built`, or else
//! its place in a library, tells an installed package from the source of one.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::PackageKind;

use crate::text::{cut, excerpt, lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// The most bytes taken of one field.
const MAX_FIELD: usize = 64 * 1024;
/// The fields that are of use; the others, some of them long, are passed over.
const FIELDS: &[&str] = &[
    "Author",
    "Built",
    "Depends",
    "Imports",
    "License",
    "LinkingTo",
    "Maintainer",
    "Package",
    "Priority",
    "RemoteSha",
    "RemoteType",
    "RemoteUrl",
    "Repository",
    "Version",
    "git_url",
];

/// Reads the descriptions of installed R packages.
pub struct R;

impl Extractor for R {
    fn name(&self) -> &'static str {
        "r"
    }

    fn summary(&self) -> &'static str {
        "R packages, those of R itself included, from `DESCRIPTION` of each that is installed"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Cran]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn max_file_size(&self) -> u64 {
        1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "DESCRIPTION"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a description. A file of that name without the field `Package` is of something else, and one without `Built` outside
/// a library is the source of a package; nothing is said of them. An installed package without `Version` has an empty version and a note.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let fields = fields(file.bytes);
    let field = |name: &str| fields.get(name).and_then(|value| non_empty(value));
    let Some(name) = field("Package") else { return found };
    if field("Built").is_none() && !is_in_library(file.directory(), &name) {
        return found;
    }
    let version = field("Version");
    if version.is_none() {
        found.note("package-without-version", file.path, format!("`{}` has no version", excerpt(&name)));
    }
    let package = FoundPackage {
        licenses: field("License").into_iter().collect(),
        vendor: field("Maintainer").or_else(|| field("Author")),
        requires: requires(&fields),
        properties: properties(&fields),
        ..FoundPackage::new(PackageKind::Cran, name, version.unwrap_or_default())
    };
    found.add_package(file.path, package);
    found
}

/// Whether the directory is that of the package in a library.
fn is_in_library(directory: &str, name: &str) -> bool {
    let mut parts = directory.rsplit('/');
    parts.next() == Some(name) && matches!(parts.next(), Some("library" | "site-library"))
}

/// The fields by name; lines that begin with white space continue the one before.
fn fields(bytes: &[u8]) -> BTreeMap<&'static str, String> {
    let mut fields: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut current = None;
    for (_, line) in lines(bytes) {
        let (key, text) = match line.split_once(':') {
            _ if line.starts_with([' ', '\t']) => (current, line.trim()),
            Some((key, value)) => (FIELDS.iter().find(|field| **field == key).copied(), value.trim()),
            None => (None, ""),
        };
        if let Some(key) = key {
            let value = fields.entry(key).or_default();
            if value.len() < MAX_FIELD {
                value.push_str(if value.is_empty() { "" } else { " " });
                value.push_str(text);
                cut(value, MAX_FIELD);
            }
        }
        current = key;
    }
    fields
}

/// The packages that it is attached to, imports or is compiled with; R itself is none.
fn requires(fields: &BTreeMap<&'static str, String>) -> Vec<Requirement> {
    let mut names = BTreeSet::new();
    for field in ["Depends", "Imports", "LinkingTo"] {
        let list = fields.get(field).map(String::as_str).unwrap_or_default();
        let packages = list.split(',').filter_map(|entry| entry.split('(').next()).filter_map(non_empty);
        names.extend(packages.filter(|name| name != "R"));
    }
    names.into_iter().map(|name| Requirement { name, version: None }).collect()
}

fn properties(fields: &BTreeMap<&'static str, String>) -> BTreeMap<String, String> {
    let field = |name: &str| fields.get(name).and_then(|value| non_empty(value));
    let is_bioconductor = field("git_url").is_some_and(|url| url.contains("git.bioconductor.org"));
    let repository = if is_bioconductor { Some("Bioconductor".to_owned()) } else { field("Repository") };
    [
        ("r:priority", field("Priority")),
        ("r:repository", repository),
        ("r:remote", field("RemoteUrl").or_else(|| field("RemoteType"))),
        ("r:remote-revision", field("RemoteSha")),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}
