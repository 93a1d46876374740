//! What an extractor found in one file.

use std::collections::BTreeMap;

use hullmark_types::{Checksum, Confidence, Diagnostic, Distribution, PackageKind, SourcePackage};
use serde::{Deserialize, Serialize};

use crate::project::ProjectPart;
use crate::text::{cut, excerpt};

/// The most packages taken from one file.
pub const MAX_PACKAGES: usize = 100_000;
/// The most bytes of owned paths taken from one file that writes them short.
pub const MAX_OWNED_BYTES: usize = 64 * 1024 * 1024;
/// The longest name, version or architecture, in bytes.
const MAX_NAME: usize = 1024;
/// The longest licence or vendor, in bytes.
const MAX_TEXT: usize = 1024;
/// The most licences of one package.
const MAX_LICENSES: usize = 64;
/// The most requirements of one package.
const MAX_REQUIREMENTS: usize = 4096;
/// The most checksums, and the most properties, of one package.
const MAX_FACTS: usize = 16;
/// The most diagnostics taken from one file.
pub const MAX_DIAGNOSTICS: usize = 50;

/// A package as its own files describe it, before it is placed in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FoundPackage {
    /// Which package manager or toolchain.
    pub kind: PackageKind,
    /// Name, as written.
    pub name: String,
    /// Version, whole; empty when the file does not say it.
    pub version: String,
    /// The source package; operating system packages without one are their own source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePackage>,
    /// Processor architecture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// The distribution that it is of, where the file says so of it alone; otherwise that of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Declared licences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// Maintainer or vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Where in the file, when it is an archive; the form of [`Location::inside`](hullmark_types::Location::inside).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
    /// How certain it is.
    #[serde(default, skip_serializing_if = "Confidence::is_declared")]
    pub confidence: Confidence,
    /// Whether it is needed for development or tests only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub development: bool,
    /// What it needs directly: packages of the same kind in the same file, or, where each package has a file of its own, in the
    /// nearest of the files that the same extractor reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// Checksums of what was installed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<Checksum>,
    /// What only one kind of package has, such as `rpm:module`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
    /// Other files that say more of it; of those that are there the first that says anything counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

/// What a file says of a package that another file names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// Declared licences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// What only one kind of package has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

/// Names another package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Requirement {
    /// Its name, as written there.
    pub name: String,
    /// Its version as it is where it was found; `None` when there is one only, or the nearest is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl FoundPackage {
    /// A package of which nothing but name and version is known.
    pub fn new(kind: PackageKind, name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            kind,
            name: name.into(),
            version: version.into(),
            source: None,
            architecture: None,
            distribution: None,
            licenses: Vec::new(),
            vendor: None,
            inside: None,
            confidence: Confidence::default(),
            development: false,
            requires: Vec::new(),
            checksums: Vec::new(),
            properties: BTreeMap::new(),
            details: Vec::new(),
        }
    }
}

/// The files that an operating system package installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedFiles {
    /// Name of the package.
    pub package: String,
    /// Its architecture, where the list says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Paths from the root, without a leading `/`.
    pub files: Vec<String>,
}

/// What one file says of the distribution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DistributionClue {
    /// An `os-release` file.
    OsRelease(Distribution),
    /// `/etc/alpine-release`: the version.
    AlpineRelease(String),
    /// `/etc/apk/repositories`: the release that the repositories belong to (`v3.18` or `edge`).
    AlpineRepositories(String),
    /// A file such as `/etc/redhat-release`, which names distribution and release in one line.
    ReleaseFile(Distribution),
    /// `/etc/debian_version`: the point release, or the codename of a release to come.
    DebianVersion(String),
}

/// Everything found in one file. The methods that add to it hold the limits; a limit that was hit is a diagnostic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extraction {
    /// Packages, in the order of the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<FoundPackage>,
    /// Files of operating system packages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owned: Vec<OwnedFiles>,
    /// What the file says of the distribution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<DistributionClue>,
    /// What the file says of a package that has it among its [`details`](FoundPackage::details).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// What a file of a project says that other files complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectPart>,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

impl Extraction {
    /// Whether nothing was found, not even a diagnostic.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
            && self.owned.is_empty()
            && self.distribution.is_none()
            && self.details.is_none()
            && self.project.is_none()
            && self.diagnostics.is_empty()
    }

    /// About how many bytes of memory it needs.
    pub(crate) fn weight(&self) -> u64 {
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let package = |package: &FoundPackage| {
            let source = package.source.as_ref().map_or(0, |source| source.name.len() + source.version.len());
            let licenses = package.licenses.iter().map(|license| size_of::<String>() + license.len());
            let requires = package.requires.iter().map(|requirement| {
                size_of::<Requirement>() + requirement.name.len() + length(&requirement.version)
            });
            let checksums = package
                .checksums
                .iter()
                .map(|checksum| size_of::<Checksum>() + checksum.algorithm.len() + checksum.value.len());
            let properties = package.properties.iter().map(|(key, value)| 64 + key.len() + value.len());
            let details = package.details.iter().map(|path| size_of::<String>() + path.len());
            size_of::<FoundPackage>()
                + length(&package.inside)
                + package.distribution.as_ref().map_or(0, |known| known.id.len() + length(&known.version))
                + requires.sum::<usize>()
                + checksums.sum::<usize>()
                + properties.sum::<usize>()
                + details.sum::<usize>()
                + package.name.len()
                + package.version.len()
                + source
                + length(&package.architecture)
                + length(&package.vendor)
                + licenses.sum::<usize>()
        };
        let owned = |owned: &OwnedFiles| {
            let files = owned.files.iter().map(|file| size_of::<String>() + file.len());
            size_of::<OwnedFiles>() + owned.package.len() + length(&owned.architecture) + files.sum::<usize>()
        };
        let said = |found: &Diagnostic| size_of::<Diagnostic>() + found.path.len() + found.message.len();
        let parts = self.packages.iter().map(package).chain(self.owned.iter().map(owned));
        let details = self.details.iter().map(|details| {
            let licenses = details.licenses.iter().map(|license| size_of::<String>() + license.len());
            let properties = details.properties.iter().map(|(key, value)| 64 + key.len() + value.len());
            size_of::<Details>() + licenses.sum::<usize>() + properties.sum::<usize>()
        });
        let project = self.project.as_ref().map(ProjectPart::weight);
        let all = parts.chain(self.diagnostics.iter().map(said)).chain(details).chain(project).sum::<usize>();
        (size_of::<Self>() + all) as u64
    }

    /// Adds a package. One whose name, version or architecture is empty or absurdly long where it must not be is a gap
    /// instead; texts that nothing depends on are cut.
    pub fn add_package(&mut self, path: &str, mut package: FoundPackage) {
        let source = package.source.as_ref();
        let names = std::iter::once(&package.name).chain(source.map(|source| &source.name));
        let versions = std::iter::once(&package.version).chain(source.map(|source| &source.version));
        let own = package.distribution.iter();
        let versions = versions.chain(own.flat_map(|known| std::iter::once(&known.id).chain(&known.version)));
        let is_sound = names.clone().all(|name| !name.is_empty())
            && names.chain(versions).chain(&package.architecture).all(|text| text.len() <= MAX_NAME);
        if !is_sound {
            let message =
                format!("`{}` has a name or version that is empty or absurdly long", excerpt(&package.name));
            return self.gap("malformed-package-metadata", path, message);
        }
        if self.packages.len() >= MAX_PACKAGES {
            let message = format!("more than {MAX_PACKAGES} packages in one file; the rest was not taken");
            return self.report_once(Diagnostic::gap("limit-packages", path, message));
        }
        package.licenses.truncate(MAX_LICENSES);
        package.checksums.truncate(MAX_FACTS);
        package.properties = std::mem::take(&mut package.properties).into_iter().take(MAX_FACTS).collect();
        package.details.retain(|path| path.len() <= MAX_NAME);
        package.details.truncate(MAX_FACTS);
        let texts = package.licenses.iter_mut().chain(&mut package.vendor).chain(&mut package.inside);
        texts.chain(package.properties.values_mut()).for_each(|text| cut(text, MAX_TEXT));
        let is_short = |requirement: &Requirement| {
            requirement.name.len() + requirement.version.as_ref().map_or(0, String::len) <= MAX_NAME
        };
        package.requires.retain(is_short);
        if package.requires.len() > MAX_REQUIREMENTS {
            package.requires.truncate(MAX_REQUIREMENTS);
            let message = format!(
                "`{}` needs more than {MAX_REQUIREMENTS} packages; the rest was not taken",
                excerpt(&package.name)
            );
            self.gap("limit-dependencies", path, message);
        }
        self.packages.push(package);
    }

    /// Says of the package to which the file belongs which licences it is under. Of many, and of one that is absurdly long, not
    /// all is taken.
    pub fn detail_licenses(&mut self, licenses: impl IntoIterator<Item = String>) {
        let details = self.details.get_or_insert_default();
        for mut license in licenses {
            cut(&mut license, MAX_TEXT);
            if details.licenses.len() < MAX_LICENSES && !details.licenses.contains(&license) {
                details.licenses.push(license);
            }
        }
    }

    /// Reports a gap.
    pub fn gap(&mut self, code: &str, path: &str, message: impl Into<String>) {
        self.report(Diagnostic::gap(code, path, message));
    }

    /// Reports a note.
    pub fn note(&mut self, code: &str, path: &str, message: impl Into<String>) {
        self.report(Diagnostic::note(code, path, message));
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        match self.diagnostics.len() {
            length if length < MAX_DIAGNOSTICS => self.diagnostics.push(diagnostic),
            MAX_DIAGNOSTICS => self.diagnostics.push(Diagnostic::gap(
                "limit-diagnostics",
                diagnostic.path,
                format!("more than {MAX_DIAGNOSTICS} problems in one file; the rest is not listed"),
            )),
            _ => {}
        }
    }

    /// A limit speaks once, and also when there is no room for other diagnostics.
    pub(crate) fn report_once(&mut self, diagnostic: Diagnostic) {
        if !self.diagnostics.contains(&diagnostic) {
            self.diagnostics.push(diagnostic);
        }
    }
}
