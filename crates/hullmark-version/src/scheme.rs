//! The version orders, by name and by advisory ecosystem.

use std::fmt;
use std::str::FromStr;

/// A version order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Scheme {
    /// Alpine, Wolfi, Chainguard (apk-tools).
    Apk,
    /// Debian, Ubuntu (dpkg).
    Deb,
    /// Semantic Versioning 2.0.0, strict.
    Semver,
    /// node-semver.
    Npm,
    /// Python, PEP 440.
    Pep440,
    /// Go modules and the Go toolchain.
    Go,
}

impl Scheme {
    /// All orders.
    pub const ALL: &'static [Self] = &[Self::Apk, Self::Deb, Self::Semver, Self::Npm, Self::Pep440, Self::Go];

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apk => "apk",
            Self::Deb => "deb",
            Self::Semver => "semver",
            Self::Npm => "npm",
            Self::Pep440 => "pep440",
            Self::Go => "go",
        }
    }

    /// One line: whose order it is and where it is written down.
    pub fn description(self) -> &'static str {
        match self {
            Self::Apk => "Alpine, Wolfi and Chainguard packages, as apk-tools compares them",
            Self::Deb => "Debian and Ubuntu packages, as dpkg compares them (Debian policy 5.6.12)",
            Self::Semver => "Semantic Versioning 2.0.0, strict",
            Self::Npm => "Node.js packages, as node-semver compares them",
            Self::Pep440 => "Python packages (PEP 440), as `packaging` compares them",
            Self::Go => "Go modules and toolchains, as the go command compares them",
        }
    }

    /// The order of an advisory ecosystem in the words of OSV, with or without its suffix (`Debian:12`, `PyPI`); `None`
    /// where there is none here.
    pub fn for_ecosystem(ecosystem: &str) -> Option<Self> {
        let family = ecosystem.split_once(':').map_or(ecosystem, |(family, _)| family);
        match family {
            "Alpine" | "Wolfi" | "Chainguard" => Some(Self::Apk),
            "Debian" | "Ubuntu" => Some(Self::Deb),
            "crates.io" => Some(Self::Semver),
            "npm" => Some(Self::Npm),
            "PyPI" => Some(Self::Pep440),
            "Go" => Some(Self::Go),
            _ => None,
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// A word that names no version order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a version order: expected apk, deb, semver, npm, pep440 or go")]
pub struct UnknownScheme(pub String);

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .iter()
            .copied()
            .find(|scheme| scheme.name() == text)
            .ok_or_else(|| UnknownScheme(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_descriptions_are_distinct() {
        for scheme in Scheme::ALL {
            assert_eq!(scheme.name().parse(), Ok(*scheme));
            assert_eq!(scheme.to_string(), scheme.name());
            for other in Scheme::ALL.iter().filter(|other| *other != scheme) {
                assert_ne!(scheme.name(), other.name());
                assert_ne!(scheme.description(), other.description());
            }
        }
        let error = "rpm".parse::<Scheme>().unwrap_err();
        for scheme in Scheme::ALL {
            assert!(error.to_string().contains(scheme.name()), "{error} does not name {scheme}");
        }
    }

    #[test]
    fn ecosystems() {
        for (ecosystem, scheme) in [
            ("Alpine", Some(Scheme::Apk)),
            ("Alpine:v3.7", Some(Scheme::Apk)),
            ("Wolfi", Some(Scheme::Apk)),
            ("Chainguard", Some(Scheme::Apk)),
            ("Debian", Some(Scheme::Deb)),
            ("Debian:12", Some(Scheme::Deb)),
            ("Ubuntu:Pro:22.04:LTS", Some(Scheme::Deb)),
            ("crates.io", Some(Scheme::Semver)),
            ("npm", Some(Scheme::Npm)),
            ("PyPI", Some(Scheme::Pep440)),
            ("Go", Some(Scheme::Go)),
            ("Red Hat:enterprise_linux:9::baseos", None),
            ("Maven", None),
            ("debian", None),
            ("Debian12", None),
            (":12", None),
            ("", None),
        ] {
            assert_eq!(Scheme::for_ecosystem(ecosystem), scheme, "{ecosystem:?}");
        }
    }
}
