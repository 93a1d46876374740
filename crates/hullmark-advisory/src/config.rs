//! Which feeds there are, and where.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::feeds::{self, FeedError};
use crate::fetch::is_remote;

/// One configured feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// Unique name, such as `osv/PyPI` or `alpine/v3.7/main`.
    pub name: String,
    /// Its kind, one of [`crate::feeds::ALL`].
    pub kind: String,
    /// Where it is: a URL or a path.
    pub address: String,
    /// The ecosystem it speaks for (`osv`, `secdb`), in the words of OSV.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ecosystem: Option<String>,
    /// The suite (`debian-archive`), such as `bookworm-security`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suite: Option<String>,
    /// Whether the place may do without it: an answer that it does not exist is then no failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

impl FeedConfig {
    /// The address without the credentials it may hold.
    pub fn public_address(&self) -> String {
        let Some((scheme, rest)) = self.address.split_once("://") else { return self.address.clone() };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let path = path.split(['?', '#']).next().unwrap_or("");
        format!("{scheme}://{host}{path}")
    }

    /// The ecosystem whose packages its advisories are about, without the release: `PyPI`, `Debian`, `Alpine`; `None` for a feed
    /// that adds to the advisories of others.
    pub fn family(&self) -> Option<&str> {
        let ecosystem = match (&self.ecosystem, self.suite.is_some()) {
            (Some(ecosystem), _) => ecosystem,
            // Suites are those of Debian's archive.
            (None, true) => "Debian",
            (None, false) => return None,
        };
        Some(ecosystem.split_once(':').map_or(ecosystem, |(family, _)| family))
    }

    pub(crate) fn required<'value>(
        &self,
        key: &'static str,
        kind: &'static str,
        value: Option<&'value str>,
    ) -> Result<&'value str, FeedError> {
        value.filter(|value| !value.is_empty()).ok_or_else(|| FeedError::MissingSetting {
            name: self.name.clone(),
            kind,
            key,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    feed: Vec<FeedConfig>,
}

/// A list of feeds that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is not TOML of the right shape; the message has line and column.
    #[error("the list of feeds cannot be read: {0}")]
    Syntax(#[from] toml::de::Error),
    /// Two feeds have one name.
    #[error("two feeds are named `{name}`")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A feed has a kind that does not exist.
    #[error("the feed `{name}` has the kind `{kind}`: expected one of {expected}")]
    UnknownKind {
        /// Name of the feed.
        name: String,
        /// Its kind.
        kind: String,
        /// The kinds there are.
        expected: String,
    },
    /// A directory of feeds cannot be read.
    #[error("the directory {} cannot be read", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads a list of feeds from TOML: tables `[[feed]]` with the keys of [`FeedConfig`].
///
/// # Errors
/// When the text is no such list, a name stands twice, or a kind does not exist.
pub fn parse(text: &str) -> Result<Vec<FeedConfig>, ConfigError> {
    let feeds = toml::from_str::<File>(text)?.feed;
    let mut names = BTreeSet::new();
    for feed in &feeds {
        if !names.insert(&feed.name) {
            return Err(ConfigError::Duplicate { name: feed.name.clone() });
        }
        if feeds::find(&feed.kind).is_none() {
            return Err(ConfigError::UnknownKind {
                name: feed.name.clone(),
                kind: feed.kind.clone(),
                expected: kinds(),
            });
        }
    }
    Ok(feeds)
}

/// Writes a list of feeds as TOML, in the form that [`parse`] reads.
///
/// # Errors
/// When it cannot be written as TOML, which no list is.
pub fn to_toml(feeds: &[FeedConfig]) -> Result<String, toml::ser::Error> {
    toml::to_string(&File { feed: feeds.to_vec() })
}

/// The kinds of feed there are, for people.
pub(crate) fn kinds() -> String {
    feeds::ALL.iter().map(|feed| feed.kind()).collect::<Vec<_>>().join(", ")
}

/// The ecosystems of the OSV database that are taken by default.
const OSV_ECOSYSTEMS: [&str; 20] = [
    "PyPI",
    "npm",
    "Go",
    "crates.io",
    "Maven",
    "RubyGems",
    "NuGet",
    "Packagist",
    "Pub",
    "Hex",
    "Debian:9",
    "Debian:10",
    "Debian:11",
    "Debian:12",
    "Debian:13",
    "AlmaLinux:8",
    "AlmaLinux:9",
    "AlmaLinux:10",
    "Rocky Linux:8",
    "Rocky Linux:9",
];

/// The releases of Alpine whose security database is offered.
const ALPINE_RELEASES: [&str; 21] = [
    "v3.3", "v3.4", "v3.5", "v3.6", "v3.7", "v3.8", "v3.9", "v3.10", "v3.11", "v3.12", "v3.13", "v3.14",
    "v3.15", "v3.16", "v3.17", "v3.18", "v3.19", "v3.20", "v3.21", "v3.22", "v3.23",
];

const DEBIAN_SUITES: [&str; 2] = ["bookworm-security", "trixie-security"];

/// Addresses before the path of each group of feeds.
struct Bases<'base> {
    osv: &'base str,
    alpine: &'base str,
    wolfi: &'base str,
    chainguard: &'base str,
    kev: &'base str,
    debian_security: &'base str,
}

/// The built-in feeds at their public addresses.
pub fn defaults() -> Vec<FeedConfig> {
    list(&Bases {
        osv: "https://osv-vulnerabilities.storage.googleapis.com",
        alpine: "https://secdb.alpinelinux.org",
        wolfi: "https://packages.wolfi.dev",
        chainguard: "https://packages.cgr.dev/chainguard",
        kev: "https://www.cisa.gov/sites/default/files/feeds",
        debian_security: "https://deb.debian.org/debian-security",
    })
}

fn list(bases: &Bases<'_>) -> Vec<FeedConfig> {
    let mut feeds = Vec::new();
    for ecosystem in OSV_ECOSYSTEMS {
        feeds.push(osv(ecosystem, format!("{}/{}/all.zip", bases.osv, ecosystem.replace(' ', "%20"))));
    }
    for release in ALPINE_RELEASES.into_iter().chain(["edge"]) {
        for repository in ["main", "community"] {
            feeds.push(alpine(release, repository, format!("{}/{release}/{repository}.json", bases.alpine)));
        }
    }
    feeds.push(secdb("wolfi", "Wolfi", format!("{}/os/security.json", bases.wolfi)));
    feeds.push(secdb("chainguard", "Chainguard", format!("{}/security.json", bases.chainguard)));
    feeds.push(kev(format!("{}/known_exploited_vulnerabilities.json", bases.kev)));
    for suite in DEBIAN_SUITES {
        feeds.push(debian_archive(suite, bases.debian_security.to_owned()));
    }
    feeds
}

fn osv(ecosystem: &str, address: String) -> FeedConfig {
    feed(format!("osv/{ecosystem}"), "osv", address, Some(ecosystem.to_owned()), None)
}

fn alpine(release: &str, repository: &str, address: String) -> FeedConfig {
    secdb(&format!("alpine/{release}/{repository}"), &format!("Alpine:{release}"), address)
}

fn secdb(name: &str, ecosystem: &str, address: String) -> FeedConfig {
    feed(name.to_owned(), "secdb", address, Some(ecosystem.to_owned()), None)
}

fn kev(address: String) -> FeedConfig {
    feed("kev".to_owned(), "kev", address, None, None)
}

fn debian_archive(suite: &str, address: String) -> FeedConfig {
    feed(format!("debian-archive/{suite}"), "debian-archive", address, None, Some(suite.to_owned()))
}

fn feed(
    name: String,
    kind: &str,
    address: String,
    ecosystem: Option<String>,
    suite: Option<String>,
) -> FeedConfig {
    FeedConfig { name, kind: kind.to_owned(), address, ecosystem, suite, optional: false }
}

/// The feeds below `base`, laid out like the public servers: `osv/<ECOSYSTEM>/all.zip`, `alpine/<vX.Y>/<repository>.json`,
/// `wolfi/os/security.json`, `chainguard/security.json`, `kev/known_exploited_vulnerabilities.json` and
/// `debian-security/dists/<suite>/`.
///
/// Of a directory, the feeds that are there; of a URL, the built-in list, each of which may be absent.
///
/// # Errors
/// When the directory cannot be read.
pub fn layout(base: &str) -> Result<Vec<FeedConfig>, ConfigError> {
    let base = base.trim_end_matches('/');
    if !is_remote(base) {
        return directory(Path::new(if base.is_empty() { "/" } else { base }));
    }
    let mut feeds = list(&Bases {
        osv: &format!("{base}/osv"),
        alpine: &format!("{base}/alpine"),
        wolfi: &format!("{base}/wolfi"),
        chainguard: &format!("{base}/chainguard"),
        kev: &format!("{base}/kev"),
        debian_security: &format!("{base}/debian-security"),
    });
    for feed in &mut feeds {
        feed.optional = true;
    }
    Ok(feeds)
}

fn directory(base: &Path) -> Result<Vec<FeedConfig>, ConfigError> {
    entries(base, true)?;
    let mut feeds = Vec::new();
    let address = |path: &Path| path.to_string_lossy().into_owned();
    for ecosystem in entries(&base.join("osv"), false)? {
        let path = base.join("osv").join(&ecosystem).join("all.zip");
        if path.is_file() {
            feeds.push(osv(&ecosystem, address(&path)));
        }
    }
    for release in entries(&base.join("alpine"), false)? {
        for file in entries(&base.join("alpine").join(&release), false)? {
            if let Some(repository) = file.strip_suffix(".json") {
                feeds.push(alpine(
                    &release,
                    repository,
                    address(&base.join("alpine").join(&release).join(&file)),
                ));
            }
        }
    }
    for (name, ecosystem, path) in [
        ("wolfi", "Wolfi", "wolfi/os/security.json"),
        ("chainguard", "Chainguard", "chainguard/security.json"),
    ] {
        if base.join(path).is_file() {
            feeds.push(secdb(name, ecosystem, address(&base.join(path))));
        }
    }
    let catalogue = base.join("kev/known_exploited_vulnerabilities.json");
    if catalogue.is_file() {
        feeds.push(kev(address(&catalogue)));
    }
    for suite in entries(&base.join("debian-security/dists"), false)? {
        if base.join("debian-security/dists").join(&suite).join("InRelease").is_file() {
            feeds.push(debian_archive(&suite, address(&base.join("debian-security"))));
        }
    }
    Ok(feeds)
}

/// The names in a directory, sorted; none when it does not exist and need not.
fn entries(path: &Path, must_exist: bool) -> Result<Vec<String>, ConfigError> {
    let failed = |source| ConfigError::Directory { path: path.to_owned(), source };
    let listing = match std::fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in listing {
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_a_list_that_can_be_written_and_read() {
        let mut text = String::new();
        for feed in defaults() {
            text.push_str("[[feed]]\n");
            text.push_str(&toml::to_string(&feed).unwrap());
        }
        assert_eq!(parse(&text).unwrap(), defaults());
        let chosen = |name: &str| defaults().into_iter().find(|feed| feed.name == name).unwrap().address;
        assert_eq!(chosen("osv/PyPI"), "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip");
        assert_eq!(chosen("alpine/v3.18/main"), "https://secdb.alpinelinux.org/v3.18/main.json");
        assert!(chosen("osv/Rocky Linux:9").ends_with("/Rocky%20Linux:9/all.zip"));
    }

    fn check(text: &str, expected: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn mistakes_in_a_list_are_named() {
        check("[[feed]]\nname = \"a\"\nkind = \"osv\"\nadress = \"x\"\n", "adress");
        check("[[feed]]\nname = \"a\"\nkind = \"ovs\"\naddress = \"x\"\n", "osv, secdb, kev, debian-archive");
        let feed = "[[feed]]\nname = \"a\"\nkind = \"kev\"\naddress = \"x\"\n";
        check(&feed.repeat(2), "two feeds are named `a`");
        check("[[feed]]\nname = \n", "line 2");
    }

    #[test]
    fn a_directory_gives_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        for path in [
            "osv/PyPI/all.zip",
            "osv/Debian:11/all.zip",
            "osv/empty/readme",
            "alpine/v3.7/main.json",
            "wolfi/os/security.json",
            "debian-security/dists/bookworm-security/InRelease",
        ] {
            let path = directory.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, b"").unwrap();
        }
        let base = directory.path().to_str().unwrap();
        let names: Vec<_> = layout(base).unwrap().into_iter().map(|feed| feed.name).collect();
        assert_eq!(
            names,
            ["osv/Debian:11", "osv/PyPI", "alpine/v3.7/main", "wolfi", "debian-archive/bookworm-security"]
        );
        assert!(layout(&format!("{base}/absent")).is_err());
    }

    #[test]
    fn a_url_gives_the_list_of_which_any_may_be_absent() {
        let feeds = layout("http://127.0.0.1:8080/feeds/").unwrap();
        assert_eq!(feeds.len(), defaults().len());
        assert!(feeds.iter().all(|feed| feed.optional));
        assert!(feeds.iter().all(|feed| feed.address.starts_with("http://127.0.0.1:8080/feeds/")));
    }

    #[test]
    fn credentials_do_not_stay_in_the_database() {
        let mut feed = kev("https://user:secret@feeds.example/kev.json?token=secret".to_owned());
        assert_eq!(feed.public_address(), "https://feeds.example/kev.json");
        feed.address = "/srv/feeds/kev.json".to_owned();
        assert_eq!(feed.public_address(), "/srv/feeds/kev.json");
    }
}
