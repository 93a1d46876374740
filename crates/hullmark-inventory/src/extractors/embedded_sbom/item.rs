//! What a document names, whatever its form, and how it becomes packages.

use std::collections::BTreeMap;

use hullmark_types::{Checksum, Diagnostic, PackageKind, fold_pypi_name};
use serde::Deserialize;

use super::elements::{Elements, MAX_ELEMENTS};
use super::package_url;
use crate::text::{excerpt, non_empty};
use crate::{Extraction, FoundPackage, MAX_PACKAGES, Requirement};

/// The most bytes of names and versions of what packages need.
const MAX_REQUIREMENT_BYTES: usize = 32 * 1024 * 1024;

/// The most names that are said of what has no package URL.
const MAX_EXAMPLES: usize = 3;

/// Algorithms of digests that are known, as they are written without `-` after `sha`, and how many digits their digests have.
const ALGORITHMS: &[(&str, usize)] =
    &[("md5", 32), ("sha1", 40), ("sha224", 56), ("sha256", 64), ("sha384", 96), ("sha512", 128)];

/// What a document says of one package.
#[derive(Default)]
pub(super) struct Item {
    /// By which the document itself names it.
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) purl: Option<String>,
    pub(super) licenses: Vec<String>,
    pub(super) vendor: Option<String>,
    pub(super) checksums: Vec<Checksum>,
    pub(super) development: bool,
    /// Whether it need not be a package: what the whole document is of, a file, an operating system.
    pub(super) is_other: bool,
}

/// The digest that a document writes as `SHA-256` or `SHA256` and a number.
pub(super) fn checksum(algorithm: &str, value: &str) -> Option<Checksum> {
    let algorithm = algorithm.to_ascii_lowercase().replace("sha-", "sha");
    let (_, length) = ALGORITHMS.iter().find(|(known, _)| *known == algorithm)?;
    let is_sound = value.len() == *length && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_sound.then(|| Checksum { algorithm, value: value.to_ascii_lowercase() })
}

/// Gathers the packages of a document and what they need.
pub(super) struct Items<'a> {
    path: &'a str,
    found: &'a mut Extraction,
    packages: Vec<FoundPackage>,
    by_id: BTreeMap<String, usize>,
    requirement_bytes: usize,
    /// How many have no package URL of a known kind, and the names of the first.
    nameless: (usize, Vec<String>),
}

impl<'a> Items<'a> {
    pub(super) fn new(path: &'a str, found: &'a mut Extraction) -> Self {
        Self {
            path,
            found,
            packages: Vec::new(),
            by_id: BTreeMap::new(),
            requirement_bytes: 0,
            nameless: (0, Vec::new()),
        }
    }

    /// Reads the elements of a list one by one. One that is malformed is a gap.
    pub(super) fn each<'b, T: Deserialize<'b>>(
        &mut self,
        place: &str,
        list: &Elements<'b>,
        mut take: impl FnMut(&mut Self, T),
    ) {
        for (position, element) in list.read().enumerate() {
            match element {
                Ok(element) => take(self, element),
                Err(error) => self.malformed(&format!("{place}/{position}"), &error.to_string()),
            }
        }
        if list.is_cut() {
            let message = format!("`{place}` has more than {MAX_ELEMENTS} elements; the rest was not taken");
            self.found.report_once(Diagnostic::gap("limit-packages", self.path, message));
        }
    }

    /// Says that what is nested deeper than that was not taken.
    pub(super) fn too_deep(&mut self, depth: usize) {
        let message = format!("components are nested more than {depth} deep; what is deeper was not taken");
        self.found.report_once(Diagnostic::gap("limit-component-depth", self.path, message));
    }

    /// Says that not all is taken of what packages need.
    pub(super) fn too_many_needs(&mut self) {
        let message = "what its packages need takes too much memory; the rest was not taken";
        self.found.report_once(Diagnostic::gap("limit-dependencies", self.path, message));
    }

    pub(super) fn malformed(&mut self, place: &str, why: &str) {
        self.found.gap("malformed-sbom", self.path, format!("`{}` is malformed: {why}", excerpt(place)));
    }

    /// Takes an item; one that is a package is listed.
    pub(super) fn add(&mut self, item: Item) {
        let Some(mut package) = item.purl.as_deref().and_then(package_url::package) else {
            if !item.is_other {
                self.nameless.0 += 1;
                if self.nameless.1.len() < MAX_EXAMPLES {
                    self.nameless.1.push(format!("`{}`", excerpt(&item.name)));
                }
            }
            return;
        };
        // A package that was only built from is none that is there.
        if package.kind.is_operating_system()
            && matches!(package.architecture.as_deref(), Some("source" | "src"))
        {
            return;
        }
        if self.packages.len() >= MAX_PACKAGES {
            let message = format!("more than {MAX_PACKAGES} packages in one file; the rest was not taken");
            return self.found.report_once(Diagnostic::gap("limit-packages", self.path, message));
        }
        // The package URL may have lost capitals.
        if folded(package.kind, &package.name) == folded(package.kind, &item.name) {
            package.name = item.name;
        }
        if package.version.is_empty() {
            package.version = item.version;
        }
        package.licenses = item.licenses;
        package.vendor = item.vendor;
        package.checksums = item.checksums;
        package.development = item.development;
        if let Some(id) = item.id {
            self.by_id.entry(id).or_insert(self.packages.len());
        }
        self.packages.push(package);
    }

    /// Notes that one package needs another, by the names that the document has for them.
    pub(super) fn need(&mut self, needing: &str, needed: &str) {
        let (Some(needing), Some(needed)) = (self.by_id.get(needing), self.by_id.get(needed)) else { return };
        let Some(package) = self.packages.get(*needed).filter(|_| needing != needed) else { return };
        let (kind, requirement) = (
            package.kind,
            Requirement { name: package.name.clone(), version: Some(package.version.clone()) },
        );
        self.requirement_bytes += size_of::<Requirement>() + requirement.name.len() + package.version.len();
        if self.requirement_bytes > MAX_REQUIREMENT_BYTES {
            return self.too_many_needs();
        }
        if let Some(package) = self.packages.get_mut(*needing).filter(|package| package.kind == kind) {
            package.requires.push(requirement);
        }
    }

    /// Puts the packages into the result.
    pub(super) fn finish(self) {
        for mut package in self.packages {
            package.requires.sort();
            package.requires.dedup();
            self.found.add_package(self.path, package);
        }
        let (count, examples) = self.nameless;
        if count > 0 {
            let message = format!(
                "{count} of what it names have no package URL of a known kind ({}), so they are not listed",
                examples.join(", ")
            );
            self.found.gap("sbom-component-without-purl", self.path, message);
        }
    }
}

/// A name without what does not count in it.
fn folded(kind: PackageKind, name: &str) -> String {
    match kind {
        PackageKind::Pypi => fold_pypi_name(name),
        _ => name.to_lowercase(),
    }
}

/// What SPDX writes where nothing is said.
pub(super) fn said(text: &str) -> Option<String> {
    non_empty(text).filter(|text| text != "NOASSERTION" && text != "NONE")
}
