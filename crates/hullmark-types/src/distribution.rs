//! The operating system distribution of an image.

use serde::{Deserialize, Serialize};

/// What `os-release` (and, for Alpine, `/etc/apk/repositories` and `/etc/alpine-release`) say of the distribution.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Distribution {
    /// `ID`, lower case: `alpine`, `debian`, `wolfi`.
    pub id: String,
    /// `VERSION_ID`, or the release that the distribution's own files name; `None` for rolling distributions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `VERSION_CODENAME`, such as `bookworm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codename: Option<String>,
    /// `PRETTY_NAME`, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretty_name: Option<String>,
    /// `ID_LIKE`, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub id_like: Vec<String>,
}

impl Distribution {
    /// The advisory ecosystem of the distribution's own packages, in the words of the OSV schema, such as
    /// `Alpine:v3.18`, `Debian:12` or `Wolfi`. `None` when the distribution or its release is not known.
    ///
    /// A derivative (`ID_LIKE=debian`) rebuilds packages with versions of its own, so it does not get the ecosystem of
    /// its parent.
    pub fn ecosystem(&self) -> Option<String> {
        let version = self.version.as_deref().unwrap_or("");
        let parts = || version.split('.').collect::<Vec<_>>();
        match self.id.as_str() {
            "alpine" if version == "edge" => Some("Alpine:edge".to_owned()),
            "alpine" => match parts().as_slice() {
                [major, minor, ..] if is_number(major) && is_number(minor) => {
                    Some(format!("Alpine:v{major}.{minor}"))
                }
                _ => None,
            },
            "debian" => {
                parts().first().filter(|major| is_number(major)).map(|major| format!("Debian:{major}"))
            }
            "ubuntu" if !version.is_empty() => Some(format!("Ubuntu:{version}")),
            "wolfi" => Some("Wolfi".to_owned()),
            "chainguard" => Some("Chainguard".to_owned()),
            _ => None,
        }
    }

    /// A name for people: `PRETTY_NAME`, else the id and the version.
    pub fn display_name(&self) -> String {
        match (&self.pretty_name, &self.version) {
            (Some(name), _) => name.clone(),
            (None, Some(version)) => format!("{} {version}", self.id),
            (None, None) => self.id.clone(),
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(id: &str, version: Option<&str>, expected: Option<&str>) {
        let distribution = Distribution {
            id: id.to_owned(),
            version: version.map(str::to_owned),
            ..Distribution::default()
        };
        assert_eq!(distribution.ecosystem().as_deref(), expected, "{id} {version:?}");
    }

    #[test]
    fn ecosystems_are_named_as_in_osv() {
        check("alpine", Some("3.7.3"), Some("Alpine:v3.7"));
        check("alpine", Some("3.18"), Some("Alpine:v3.18"));
        check("alpine", Some("edge"), Some("Alpine:edge"));
        check("alpine", None, None);
        check("debian", Some("12"), Some("Debian:12"));
        check("debian", Some("12.5"), Some("Debian:12"));
        check("debian", None, None);
        check("ubuntu", Some("22.04"), Some("Ubuntu:22.04"));
        check("wolfi", None, Some("Wolfi"));
        check("linuxmint", Some("21"), None);
    }
}
