//! The distribution, from `os-release` (<https://www.freedesktop.org/software/systemd/man/os-release.html>) and the
//! older files beside it.

mod release_file;

use hullmark_types::Distribution;

use crate::text::{excerpt, lines, non_empty};
use crate::{DistributionClue, Extraction, Extractor, FileFacts, OpenFile};

/// The longest value that is believed; every package carries some of them in its package URL.
const MAX_VALUE: usize = 256;

/// Reads the files that name the distribution.
pub struct OsRelease;

impl Extractor for OsRelease {
    fn name(&self) -> &'static str {
        "os-release"
    }

    fn summary(&self) -> &'static str {
        "The distribution and its release, from `os-release`, `alpine-release`, `apk/repositories`, `debian_version`, and `system-release`, `redhat-release` and their like"
    }

    fn version(&self) -> u32 {
        2
    }

    fn well_known_paths(&self) -> &'static [&'static str] {
        &[
            "etc/os-release",
            "usr/lib/os-release",
            "etc/alpine-release",
            "etc/apk/repositories",
            "etc/debian_version",
        ]
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        self.well_known_paths().contains(&file.path) || release_file::is_one(file)
    }

    fn max_file_size(&self) -> u64 {
        1024 * 1024
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match file.file_name() {
            "alpine-release" => single_line(file, DistributionClue::AlpineRelease),
            "debian_version" => single_line(file, DistributionClue::DebianVersion),
            "repositories" => Extraction {
                distribution: parse_repositories(file.bytes).map(DistributionClue::AlpineRepositories),
                ..Extraction::default()
            },
            "os-release" => parse(file),
            _ => Extraction {
                distribution: release_file::parse(file.bytes).map(DistributionClue::ReleaseFile),
                ..Extraction::default()
            },
        }
    }
}

/// Reads an `os-release` file: shell assignments, quoted or not. Without an `ID` it says nothing of the distribution,
/// and that is a gap `malformed-os-release`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut distribution = Distribution::default();
    for (number, line) in lines(file.bytes) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            found.note(
                "malformed-os-release",
                file.path,
                format!("line {number} is not an assignment: `{}`", excerpt(line)),
            );
            continue;
        };
        let value = unquote(value.trim());
        if value.len() > MAX_VALUE {
            let message =
                format!("the value of `{}` is {} bytes long and is ignored", excerpt(key), value.len());
            found.note("malformed-os-release", file.path, message);
            continue;
        }
        match key.trim() {
            "ID" => distribution.id = value.trim().to_ascii_lowercase(),
            "VERSION_ID" => distribution.version = non_empty(&value),
            "VERSION_CODENAME" => distribution.codename = non_empty(&value),
            "PRETTY_NAME" => distribution.pretty_name = non_empty(&value),
            "ID_LIKE" => {
                distribution.id_like = value.split_whitespace().map(str::to_ascii_lowercase).collect();
            }
            _ => {}
        }
    }
    if distribution.id.is_empty() {
        found.gap("malformed-os-release", file.path, "there is no `ID`, so the distribution is not known");
    } else {
        found.distribution = Some(DistributionClue::OsRelease(distribution));
    }
    found
}

/// The release that `/etc/apk/repositories` belongs to: that of the `main` repositories, else of any; the newest of
/// several; `edge` is newer than all. Repositories with a tag (`@testing https://...`) count only when there are no
/// others. `None` when no address names a release of Alpine.
pub fn parse_repositories(bytes: &[u8]) -> Option<String> {
    let mut best: Option<((bool, bool), Release)> = None;
    for (_, line) in lines(bytes) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (untagged, address) = match line.strip_prefix('@') {
            Some(tagged) => (false, tagged.split_whitespace().nth(1).unwrap_or("")),
            None => (true, line),
        };
        let parts: Vec<_> = address.trim_end_matches('/').split('/').collect();
        let Some((position, release)) =
            parts.iter().enumerate().find_map(|(position, part)| Some((position, Release::parse(part)?)))
        else {
            continue;
        };
        let rank = (untagged, parts.get(position + 1).is_some_and(|name| *name == "main"));
        if best.as_ref().is_none_or(|known| *known < (rank, release)) {
            best = Some((rank, release));
        }
    }
    best.map(|(_, release)| match release {
        Release::Numbered(major, minor) => format!("v{major}.{minor}"),
        Release::Edge => "edge".to_owned(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Release {
    Numbered(u32, u32),
    Edge,
}

impl Release {
    fn parse(text: &str) -> Option<Self> {
        if text == "edge" {
            return Some(Self::Edge);
        }
        let (major, minor) = text.strip_prefix('v')?.split_once('.')?;
        Some(Self::Numbered(major.parse().ok()?, minor.parse().ok()?))
    }
}

fn single_line(file: &OpenFile<'_>, clue: fn(String) -> DistributionClue) -> Extraction {
    let first = lines(file.bytes).find_map(|(_, line)| non_empty(&line));
    Extraction { distribution: first.map(|line| clue(excerpt(&line))), ..Extraction::default() }
}

/// Takes quotes and backslashes away, as a shell would.
fn unquote(value: &str) -> String {
    let inner = |quote| value.strip_prefix(quote).map(|rest: &str| rest.strip_suffix(quote).unwrap_or(rest));
    if let Some(literal) = inner('\'') {
        return literal.to_owned();
    }
    let mut text = String::with_capacity(value.len());
    let mut characters = inner('"').unwrap_or(value).chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_name_the_release() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse_repositories(text.as_bytes()).as_deref(), expected, "{text}");
        };
        check("http://dl-cdn.alpinelinux.org/alpine/v3.7/main\n", Some("v3.7"));
        check("http://a/alpine/v3.9/main\nhttp://a/alpine/v3.10/main\n", Some("v3.10"));
        check("http://a/alpine/edge/main\nhttp://a/alpine/v3.10/main\n", Some("edge"));
        check("http://a/alpine/v3.18/main\n@edge http://a/alpine/edge/main\n", Some("v3.18"));
        check("http://a/alpine/v3.18/main\nhttp://a/alpine/edge/testing\n", Some("v3.18"));
        check("# http://a/alpine/edge/main\n", None);
        check("https://packages.wolfi.dev/os\n", None);
        check("/media/cdrom/apks\n\u{0}", None);
    }

    #[test]
    fn values_are_unquoted_as_a_shell_does() {
        for (text, expected) in
            [("alpine", "alpine"), ("\"a b\"", "a b"), ("'a\\b'", "a\\b"), (r#""a\"b""#, "a\"b"), ("\"", "")]
        {
            assert_eq!(unquote(text), expected, "{text}");
        }
    }
}
