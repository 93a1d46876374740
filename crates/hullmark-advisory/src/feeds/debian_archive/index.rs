//! The release file of a suite and its package indices.
//!
//! Formats: <https://wiki.debian.org/DebianRepository/Format>.

use std::collections::BTreeMap;

use hullmark_types::Digest;
use jiff::Timestamp;

/// What the release file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release {
    /// `Origin`, such as `Debian`.
    pub origin: String,
    /// `Version`, such as `12`.
    pub version: String,
    /// `Codename`, such as `bookworm-security`.
    pub codename: String,
    /// `Date`.
    pub date: Option<Timestamp>,
    /// `Valid-Until`.
    pub valid_until: Option<Timestamp>,
    /// Size and SHA-256 of each file of the suite.
    pub files: BTreeMap<String, (u64, Digest)>,
}

/// Reads `InRelease` (the text within its signature, which is not checked) or `Release`.
pub fn release(text: &str) -> Release {
    let mut release = Release::default();
    let mut in_files = false;
    for line in signed_part(text).lines() {
        let line = line.strip_prefix("- ").unwrap_or(line);
        if line.starts_with(' ') {
            if in_files {
                release.files.extend(file(line));
            }
            continue;
        }
        let Some((field, value)) = line.split_once(':') else { continue };
        in_files = field == "SHA256";
        let value = value.trim();
        match field {
            "Origin" => value.clone_into(&mut release.origin),
            "Version" => value.clone_into(&mut release.version),
            "Codename" => value.clone_into(&mut release.codename),
            "Date" => release.date = date(value),
            "Valid-Until" => release.valid_until = date(value),
            _ => {}
        }
    }
    release
}

/// The text between the armour of a cleartext signature (RFC 9580, section 7); all of it where there is no armour.
fn signed_part(text: &str) -> &str {
    let Some(rest) = text.strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----") else { return text };
    let body = rest.find("\n\n").and_then(|at| rest.get(at + 2..)).unwrap_or("");
    body.split("\n-----BEGIN PGP SIGNATURE-----").next().unwrap_or("")
}

fn file(line: &str) -> Option<(String, (u64, Digest))> {
    let mut words = line.split_ascii_whitespace();
    let (hash, size, path) = (words.next()?, words.next()?, words.next()?);
    Some((path.to_owned(), (size.parse().ok()?, format!("sha256:{hash}").parse().ok()?)))
}

fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim().strip_suffix("UTC").map_or_else(|| text.to_owned(), |rest| format!("{rest}+0000"));
    jiff::fmt::rfc2822::parse(&text).ok().map(|date| date.timestamp())
}

impl Release {
    /// The ecosystem in the words of OSV: `Debian:12`. By `Version`, else by the codename; `None` for other distributions.
    pub fn ecosystem(&self) -> Option<String> {
        const CODENAMES: [(&str, &str); 6] = [
            ("stretch", "9"),
            ("buster", "10"),
            ("bullseye", "11"),
            ("bookworm", "12"),
            ("trixie", "13"),
            ("forky", "14"),
        ];
        if self.origin != "Debian" {
            return None;
        }
        let major = self.version.split('.').next().filter(|major| {
            !major.is_empty() && major.len() <= 3 && major.bytes().all(|byte| byte.is_ascii_digit())
        });
        let codename = self.codename.split(['-', '/']).next().unwrap_or("");
        let known = CODENAMES.iter().find(|(name, _)| *name == codename).map(|(_, major)| *major);
        major.or(known).map(|major| format!("Debian:{major}"))
    }
}

/// A binary package that can be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    /// Name.
    pub name: String,
    /// Path below the base of the archive.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Digest.
    pub digest: Digest,
}

/// A source package with the binary packages that were built from it, smallest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Binary packages of this version.
    pub binaries: Vec<Binary>,
}

/// Reads a package index (the text of `Packages`) and adds its binary packages to `sources`, grouped by source package and
/// version. Gives the number of stanzas that could not be used.
pub fn packages(text: &str, sources: &mut BTreeMap<(String, String), Vec<Binary>>) -> u64 {
    let mut unusable = 0;
    for stanza in text.split("\n\n").filter(|stanza| !stanza.trim().is_empty()) {
        match package(stanza) {
            Some((key, binary)) => sources.entry(key).or_default().push(binary),
            None => unusable += 1,
        }
    }
    unusable
}

fn package(stanza: &str) -> Option<((String, String), Binary)> {
    let (mut name, mut version, mut source, mut path, mut size, mut hash) =
        (None, None, None, None, None, None);
    for line in stanza.lines().filter(|line| !line.starts_with([' ', '\t'])) {
        let Some((field, value)) = line.split_once(':') else { continue };
        let value = Some(value.trim());
        match field {
            "Package" => name = value,
            "Version" => version = value,
            "Source" => source = value,
            "Filename" => path = value,
            "Size" => size = value,
            "SHA256" => hash = value,
            _ => {}
        }
    }
    let (name, version) = (name?, version?);
    let (source, source_version) = match source {
        None => (name, version),
        Some(text) => match text.split_once(" (") {
            Some((source, version)) => (source.trim(), version.trim_end_matches(')')),
            None => (text, version),
        },
    };
    let path = path.filter(|path| is_inside(path))?;
    let binary = Binary {
        name: name.to_owned(),
        path: path.to_owned(),
        size: size?.parse().ok()?,
        digest: format!("sha256:{}", hash?).parse().ok()?,
    };
    let key = (source.to_owned(), source_version.to_owned());
    (!source.is_empty() && !source_version.is_empty()).then_some((key, binary))
}

/// Whether a path stays below the base of the archive.
fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && !path.contains(['\\', '?', '#', '\0', ':'])
}

/// The sources in order, each with its binary packages smallest first, those with debugging symbols last.
pub fn in_order(sources: BTreeMap<(String, String), Vec<Binary>>) -> Vec<Source> {
    let source = |((name, version), mut binaries): ((String, String), Vec<Binary>)| {
        let rank = |binary: &Binary| (binary.name.ends_with("-dbgsym"), binary.size, binary.path.clone());
        binaries.sort_by_cached_key(rank);
        binaries.dedup();
        Source { name, version, binaries }
    };
    sources.into_iter().map(source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_signed_release_file() {
        let text = format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nVersion: 12\nCodename: bookworm-security\n\
             Date: Sat, 21 Nov 2026 00:53:02 UTC\nMD5Sum:\n abc 1 main/x\nSHA256:\n {HASH}        7 main/Packages.xz\n \
             short 7 main/other\n-----BEGIN PGP SIGNATURE-----\nVersion: 99\n\nxx\n-----END PGP SIGNATURE-----\n"
        );
        let found = release(&text);
        assert_eq!(found.ecosystem().as_deref(), Some("Debian:12"));
        assert_eq!(found.date, Some("2026-11-21T00:53:02Z".parse().unwrap()));
        assert_eq!(found.files.len(), 1);
        assert_eq!(found.files["main/Packages.xz"].0, 7);
    }

    fn check_ecosystem(origin: &str, version: &str, codename: &str, expected: Option<&str>) {
        let release = Release {
            origin: origin.to_owned(),
            version: version.to_owned(),
            codename: codename.to_owned(),
            ..Release::default()
        };
        assert_eq!(release.ecosystem().as_deref(), expected, "{origin} {version} {codename}");
    }

    #[test]
    fn the_release_names_the_ecosystem() {
        check_ecosystem("Debian", "13.2", "trixie-security", Some("Debian:13"));
        check_ecosystem("Debian", "", "bullseye-security", Some("Debian:11"));
        check_ecosystem("Debian", "", "sid", None);
        check_ecosystem("Ubuntu", "22.04", "jammy", None);
    }

    #[test]
    fn binary_packages_are_grouped_by_source() {
        let stanza = |name: &str, rest: &str, size: u32| {
            format!(
                "Package: {name}\nVersion: 1-1\n{rest}Filename: pool/{name}.deb\nSize: {size}\nSHA256: {HASH}\n\n"
            )
        };
        let text = [
            stanza("libssl3", "Source: openssl\n", 900),
            stanza("openssl", "Description: x\n Source: not a field\n", 500),
            stanza("openssl-dbgsym", "Source: openssl\n", 1),
            stanza("rebuilt", "Source: rebuilt-source (1-0)\n", 5),
            stanza("../escape", "", 5),
            "Package: cut\n".to_owned(),
        ]
        .concat();
        let mut sources = BTreeMap::new();
        assert_eq!(packages(&text, &mut sources), 2);
        let found: Vec<_> = in_order(sources)
            .into_iter()
            .map(|source| {
                let binaries: Vec<_> = source.binaries.into_iter().map(|binary| binary.name).collect();
                (source.name, source.version, binaries.join(" "))
            })
            .collect();
        let owned = |name: &str, version: &str, binaries: &str| {
            (name.to_owned(), version.to_owned(), binaries.to_owned())
        };
        assert_eq!(
            found,
            [
                owned("openssl", "1-1", "openssl libssl3 openssl-dbgsym"),
                owned("rebuilt-source", "1-0", "rebuilt"),
            ]
        );
    }
}
