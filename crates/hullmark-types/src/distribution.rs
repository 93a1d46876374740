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
    /// `Alpine:v3.18`, `Debian:12`, `Rocky Linux:9` or `Wolfi`. `None` when the distribution or its release is not known, and for
    /// those whose advisories go by something else than the release: Red Hat's go by product, for one.
    ///
    /// A derivative (`ID_LIKE=debian`) rebuilds packages with versions of its own, so it does not get the ecosystem of
    /// its parent.
    pub fn ecosystem(&self) -> Option<String> {
        let version = self.version.as_deref().unwrap_or("");
        let parts = || version.split('.').collect::<Vec<_>>();
        let major = |name: &str| {
            parts().first().filter(|major| is_number(major)).map(|major| format!("{name}:{major}"))
        };
        let release = |name: &str| (!version.is_empty()).then(|| format!("{name}{version}"));
        match self.id.as_str() {
            "alpine" if version == "edge" => Some("Alpine:edge".to_owned()),
            "alpine" => match parts().as_slice() {
                [major, minor, ..] if is_number(major) && is_number(minor) => {
                    Some(format!("Alpine:v{major}.{minor}"))
                }
                _ => None,
            },
            "almalinux" => major("AlmaLinux"),
            "azurelinux" | "mariner" => major("Azure Linux"),
            "debian" => major("Debian"),
            "mageia" => major("Mageia"),
            "openeuler" => self.open_euler(),
            "opensuse-leap" => release("openSUSE:Leap "),
            "opensuse-leap-micro" => release("openSUSE:Leap Micro "),
            "opensuse-tumbleweed" => Some("openSUSE:Tumbleweed".to_owned()),
            "photon" => release("Photon OS:"),
            "rocky" => major("Rocky Linux"),
            "sle-micro" => release("SUSE:Linux Enterprise Micro "),
            "sled" => self.suse("Desktop"),
            "sles" => self.suse("Server"),
            "sles_sap" => self.suse("Server for SAP Applications"),
            "ubuntu" if !version.is_empty() => Some(format!("Ubuntu:{version}")),
            "wolfi" => Some("Wolfi".to_owned()),
            "chainguard" => Some("Chainguard".to_owned()),
            _ => None,
        }
    }

    /// SUSE numbers service packs as minor versions, and names them in full, until 15.
    fn suse(&self, product: &str) -> Option<String> {
        let version = self.version.as_deref().filter(|version| !version.is_empty())?;
        let release = match version.split_once('.') {
            Some((major @ ("11" | "12" | "15"), pack)) => format!("{major} SP{pack}"),
            _ => version.to_owned(),
        };
        Some(format!("SUSE:Linux Enterprise {product} {release}"))
    }

    /// What distinguishes the releases of openEuler is in its name for people only: `openEuler 22.03 (LTS-SP1)`.
    fn open_euler(&self) -> Option<String> {
        let version = self.version.as_deref().filter(|version| !version.is_empty())?;
        let name = self.pretty_name.as_deref().unwrap_or("");
        match name.split_once('(').and_then(|(_, rest)| rest.split_once(')')) {
            Some((kind, _)) => Some(format!("openEuler:{version}-{kind}")),
            None => Some(format!("openEuler:{version}")),
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
        check("almalinux", Some("9.4"), Some("AlmaLinux:9"));
        check("rocky", Some("8.9"), Some("Rocky Linux:8"));
        check("opensuse-leap", Some("15.5"), Some("openSUSE:Leap 15.5"));
        check("opensuse-tumbleweed", Some("20260101"), Some("openSUSE:Tumbleweed"));
        check("sles", Some("15.5"), Some("SUSE:Linux Enterprise Server 15 SP5"));
        check("sles", Some("15"), Some("SUSE:Linux Enterprise Server 15"));
        check("sles", Some("16.0"), Some("SUSE:Linux Enterprise Server 16.0"));
        check("sle-micro", Some("5.5"), Some("SUSE:Linux Enterprise Micro 5.5"));
        check("mageia", Some("9"), Some("Mageia:9"));
        check("photon", Some("5.0"), Some("Photon OS:5.0"));
        check("azurelinux", Some("3.0"), Some("Azure Linux:3"));
        check("mariner", Some("2.0"), Some("Azure Linux:2"));
        for id in ["rhel", "centos", "ol", "amzn", "fedora"] {
            check(id, Some("9"), None);
        }
        check("rocky", None, None);
        check("sles", None, None);
    }

    #[test]
    fn the_releases_of_open_euler_are_named_in_full() {
        let euler = Distribution {
            id: "openeuler".to_owned(),
            version: Some("22.03".to_owned()),
            pretty_name: Some("openEuler 22.03 (LTS-SP1)".to_owned()),
            ..Distribution::default()
        };
        assert_eq!(euler.ecosystem().as_deref(), Some("openEuler:22.03-LTS-SP1"));
    }
}
