//! Packages: one installed piece of software each.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which package manager installed a package, or which toolchain built it in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PackageKind {
    /// Alpine Package Keeper.
    Apk,
    /// Debian packages.
    Deb,
    /// Python distributions.
    Pypi,
    /// Node.js packages.
    Npm,
    /// Go modules, and the Go standard library as `stdlib`.
    Golang,
}

impl PackageKind {
    /// The package URL type, as in <https://github.com/package-url/purl-spec>.
    pub fn purl_type(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Deb => "deb",
            Self::Pypi => "pypi",
            Self::Npm => "npm",
            Self::Golang => "golang",
        }
    }

    /// Whether it is installed by the distribution's package manager.
    pub fn is_operating_system(self) -> bool {
        matches!(self, Self::Apk | Self::Deb)
    }
}

impl fmt::Display for PackageKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.purl_type())
    }
}

/// A place inside an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Location {
    /// Path from the root of the image, without a leading `/`.
    pub path: String,
    /// The layer, counted from 0 at the base.
    pub layer: u32,
}

/// The source package that an operating system package was built from. Advisories of Debian and Alpine name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SourcePackage {
    /// Name.
    pub name: String,
    /// Version; for most packages the version of the binary package.
    pub version: String,
}

/// One installed piece of software.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Which package manager or toolchain.
    pub kind: PackageKind,
    /// The name, as the package manager writes it (Python names are not folded here; npm names have their `@scope/`).
    pub name: String,
    /// The installed version, whole: with epoch, revision and local parts. Empty when the image does not say it.
    pub version: String,
    /// The package URL, canonical.
    pub purl: String,
    /// The source package, for operating system packages; always set for those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourcePackage>,
    /// Processor architecture, as the package manager writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Licences as declared, one expression or free text each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub licenses: Vec<String>,
    /// Maintainer or vendor as declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The advisory ecosystem, in the words of OSV (`Alpine:v3.18`, `Debian:12`, `PyPI`, `npm`, `Go`); `None` when the
    /// distribution is unknown or the package is not the distribution's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecosystem: Option<String>,
    /// Package URL of the operating system package that owns the files of this language package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The files that gave evidence of the package, each with the layer that holds it; sorted, never empty.
    pub locations: Vec<Location>,
    /// The layer that first brought this name and version and from which on it stayed.
    pub layer: u32,
    /// Name of the extractor that found it.
    pub found_by: String,
}

impl Package {
    /// The name under which advisories know the package: the source package for operating system packages, the name
    /// folded after PEP 503 for Python, the name otherwise.
    pub fn advisory_name(&self) -> String {
        match (&self.source, self.kind) {
            (Some(source), _) => source.name.clone(),
            (None, PackageKind::Pypi) => fold_pypi_name(&self.name),
            (None, _) => self.name.clone(),
        }
    }

    /// The version that advisories compare: the source version for operating system packages.
    pub fn advisory_version(&self) -> &str {
        self.source.as_ref().map_or(self.version.as_str(), |source| source.version.as_str())
    }
}

/// Folds a Python distribution name: lower case, runs of `-`, `_` and `.` become one `-` (PEP 503).
pub fn fold_pypi_name(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for character in name.chars() {
        match character {
            '-' | '_' | '.' if folded.ends_with('-') => {}
            '-' | '_' | '.' => folded.push('-'),
            other => folded.extend(other.to_lowercase()),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn python_names_fold_runs_of_separators() {
        for (name, expected) in [("Foo.Bar", "foo-bar"), ("a-_.b", "a-b"), ("ruamel.yaml", "ruamel-yaml")] {
            assert_eq!(fold_pypi_name(name), expected);
        }
    }
}
