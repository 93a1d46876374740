//! Packages: one installed piece of software each.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Makes the kinds, and what is known of each, from one table: variant, package URL type, whether it is installed by the
/// package manager of a distribution, advisory ecosystem. Packages are listed in this order.
macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident $type:literal $system:ident $ecosystem:expr;)*) => {
        /// Which package manager installed a package, or which toolchain built it in.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum PackageKind {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl PackageKind {
            /// Every kind: those of operating systems, then the others, by name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The package URL type, as in <https://github.com/package-url/purl-spec> where that knows the kind.
            pub fn purl_type(self) -> &'static str {
                match self { $(Self::$variant => $type,)* }
            }

            /// Whether it is installed by the distribution's package manager.
            pub fn is_operating_system(self) -> bool {
                match self { $(Self::$variant => kinds!(@system $system),)* }
            }

            /// The advisory ecosystem in the words of OSV (<https://ossf.github.io/osv-schema/#defined-ecosystems>); `None` where
            /// it has none, and for the packages of a distribution, whose ecosystem depends on its release.
            pub fn ecosystem(self) -> Option<&'static str> {
                match self { $(Self::$variant => $ecosystem,)* }
            }
        }
    };
    (@system system) => { true };
    (@system other) => { false };
}

kinds! {
    /// Arch Linux packages (pacman).
    Alpm "alpm" system None;
    /// Alpine Package Keeper.
    Apk "apk" system None;
    /// Debian packages.
    Deb "deb" system None;
    /// Gentoo packages (Portage).
    Ebuild "ebuild" system None;
    /// Packages of OpenWrt and Yocto (opkg).
    Opkg "opkg" system None;
    /// Packages of Red Hat, SUSE, Amazon and their kin.
    Rpm "rpm" system None;
    /// Components of Bitnami's images.
    Bitnami "bitnami" other Some("Bitnami");
    /// Rust crates.
    Cargo "cargo" other Some("crates.io");
    /// CocoaPods of Swift and Objective-C.
    Cocoapods "cocoapods" other Some("CocoaPods");
    /// PHP packages (Composer).
    Composer "composer" other Some("Packagist");
    /// C and C++ packages (Conan).
    Conan "conan" other Some("ConanCenter");
    /// Conda packages.
    Conda "conda" other None;
    /// Perl distributions.
    Cpan "cpan" other None;
    /// R packages.
    Cran "cran" other Some("CRAN");
    /// Flatpak applications and runtimes.
    Flatpak "flatpak" other None;
    /// Ruby gems.
    Gem "gem" other Some("RubyGems");
    /// Programs that no package manager knows, recognised by what they hold.
    Generic "generic" other None;
    /// Actions of GitHub workflows.
    GithubActions "githubactions" other Some("GitHub Actions");
    /// Go modules, and the Go standard library as `stdlib`.
    Golang "golang" other Some("Go");
    /// Haskell packages.
    Hackage "hackage" other Some("Hackage");
    /// Erlang and Elixir packages.
    Hex "hex" other Some("Hex");
    /// Homebrew formulas and casks.
    Homebrew "brew" other None;
    /// Machine-learning models.
    Huggingface "huggingface" other None;
    /// Julia packages.
    Julia "julia" other Some("Julia");
    /// Lua rocks.
    Luarocks "luarocks" other None;
    /// Java artifacts, named `group:artifact`.
    Maven "maven" other Some("Maven");
    /// Store paths of Nix.
    Nix "nix" other None;
    /// Node.js packages.
    Npm "npm" other Some("npm");
    /// .NET packages.
    Nuget "nuget" other Some("NuGet");
    /// OCaml packages.
    Opam "opam" other Some("opam");
    /// Applications of Erlang/OTP and Elixir themselves.
    Otp "otp" other None;
    /// PHP packages and extensions (PEAR, PECL), named `channel/package`.
    Pear "pear" other None;
    /// Dart and Flutter packages.
    Pub "pub" other Some("Pub");
    /// Python distributions.
    Pypi "pypi" other Some("PyPI");
    /// Snap packages.
    Snap "snap" other None;
    /// Swift packages.
    Swift "swift" other Some("SwiftURL");
    /// Terraform providers and modules.
    Terraform "terraform" other None;
    /// C and C++ ports (vcpkg).
    Vcpkg "vcpkg" other None;
    /// WordPress plug-ins and themes.
    Wordpress "wordpress" other None;
}

impl PackageKind {
    /// The kind of a package URL type.
    pub fn from_purl_type(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.purl_type() == text)
    }

    /// The kind of the packages that advisories of an ecosystem, in the words of OSV, are about.
    pub fn of_ecosystem(ecosystem: &str) -> Option<Self> {
        let family = ecosystem.split_once(':').map_or(ecosystem, |(family, _)| family);
        match family {
            "Alpine" | "Chainguard" | "Wolfi" => Some(Self::Apk),
            "Debian" | "Ubuntu" => Some(Self::Deb),
            "AlmaLinux" | "Azure Linux" | "Mageia" | "Red Hat" | "Rocky Linux" | "SUSE" | "openEuler"
            | "openSUSE" => Some(Self::Rpm),
            _ => Self::ALL.iter().copied().find(|kind| kind.ecosystem() == Some(family)),
        }
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
    /// Where in the file, when it is an archive: the path of the member, with ` > ` between an archive and a member of it
    /// (`WEB-INF/lib/a.jar > META-INF/MANIFEST.MF`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<String>,
}

/// How certain it is that the package is there, and is what it is said to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A package manager, a build tool or the author wrote it down.
    #[default]
    Declared,
    /// Worked out from names, such as that of a file.
    Derived,
    /// Recognised by a pattern in a program.
    Recognised,
}

impl Confidence {
    /// Whether it is the strongest, which is not written.
    pub fn is_declared(&self) -> bool {
        *self == Self::Declared
    }
}

/// A checksum of what was installed, as the package manager recorded it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Checksum {
    /// `sha1`, `sha256`, `sha512`, `md5`, ...
    pub algorithm: String,
    /// Lower-case hexadecimal.
    pub value: String,
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
    /// How certain it is.
    #[serde(default, skip_serializing_if = "Confidence::is_declared")]
    pub confidence: Confidence,
    /// Whether it is needed for development or tests only.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub development: bool,
    /// Package URLs of the packages of this inventory that it needs directly; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    /// Checksums of what was installed; sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checksums: Vec<Checksum>,
    /// What only one kind of package has, such as `rpm:module` or `rpm:signature-key`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, String>,
}

impl Package {
    /// A package of which only this is known, and that is in no place yet.
    pub fn new(
        kind: PackageKind,
        name: impl Into<String>,
        version: impl Into<String>,
        purl: impl Into<String>,
        found_by: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            name: name.into(),
            version: version.into(),
            purl: purl.into(),
            source: None,
            architecture: None,
            licenses: Vec::new(),
            vendor: None,
            ecosystem: None,
            owner: None,
            locations: Vec::new(),
            layer: 0,
            found_by: found_by.into(),
            confidence: Confidence::Declared,
            development: false,
            dependencies: Vec::new(),
            checksums: Vec::new(),
            properties: BTreeMap::new(),
        }
    }

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

/// The version of a component of Bitnami without the revision of Bitnami's build (`7.4.1-0`, `7.4.1-r0`), and that revision. Advisories
/// compare the version, of which the revision would make a pre-release.
pub fn split_bitnami_revision(version: &str) -> (&str, Option<&str>) {
    let Some((before, after)) = version.rsplit_once('-') else { return (version, None) };
    let digits = after.strip_prefix('r').unwrap_or(after);
    let is_revision = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let is_version = before.contains('.') && before.starts_with(|first: char| first.is_ascii_digit());
    if is_revision && is_version { (before, Some(digits)) } else { (version, None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_their_package_url_type() {
        for kind in PackageKind::ALL {
            assert_eq!(PackageKind::from_purl_type(kind.purl_type()), Some(*kind));
            assert!(!kind.is_operating_system() || kind.ecosystem().is_none(), "{kind}");
        }
        assert_eq!(PackageKind::from_purl_type("none"), None);
    }

    #[test]
    fn ecosystems_lead_back_to_their_kind() {
        for kind in PackageKind::ALL {
            if let Some(ecosystem) = kind.ecosystem() {
                assert_eq!(PackageKind::of_ecosystem(ecosystem), Some(*kind));
            }
        }
        assert_eq!(PackageKind::of_ecosystem("Rocky Linux:9"), Some(PackageKind::Rpm));
        assert_eq!(PackageKind::of_ecosystem("Android"), None);
    }

    #[test]
    fn revisions_of_bitnami_are_no_part_of_the_version() {
        for (version, expected) in [
            ("7.4.1-0", ("7.4.1", Some("0"))),
            ("2.9.3-r12", ("2.9.3", Some("12"))),
            ("1.0.0-rc1-3", ("1.0.0-rc1", Some("3"))),
            ("3.14.1", ("3.14.1", None)),
            ("1.0.0-rc1", ("1.0.0-rc1", None)),
            ("1.0.0-r", ("1.0.0-r", None)),
            ("20240101-1", ("20240101-1", None)),
            ("", ("", None)),
        ] {
            assert_eq!(split_bitnami_revision(version), expected, "{version}");
        }
    }

    #[test]
    fn python_names_fold_runs_of_separators() {
        for (name, expected) in [("Foo.Bar", "foo-bar"), ("a-_.b", "a-b"), ("ruamel.yaml", "ruamel-yaml")] {
            assert_eq!(fold_pypi_name(name), expected);
        }
    }
}
