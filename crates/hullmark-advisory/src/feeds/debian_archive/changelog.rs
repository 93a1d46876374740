//! Debian changelogs.
//!
//! Format: Debian Policy, section 4.4 (<https://www.debian.org/doc/debian-policy/ch-source.html>): an entry begins with
//! `package (version) suites; metadata` in the first column, its text is indented, and it ends with
//! ` -- name <mail>  date`. The newest entry comes first.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A version that fixed a vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fixed {
    /// The version of the source package.
    pub version: String,
    /// The date of its entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<Timestamp>,
}

/// What a changelog says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changelog {
    /// The source package that the newest entry names.
    pub package: Option<String>,
    /// The number of entries.
    pub entries: u64,
    /// For each CVE that is named, the oldest entry that names it.
    pub fixes: BTreeMap<String, Fixed>,
}

const MAX_CVES: usize = 200_000;

/// Reads a changelog. What is no entry (remarks, other languages, binary rubbish) is passed over.
///
/// An entry that names a CVE is taken to fix it. Where several entries do, the oldest counts: the later ones mostly repeat
/// it, refine the fix, or merge the entries of another branch.
pub fn parse(text: &[u8]) -> Changelog {
    let mut changelog = Changelog::default();
    let mut version: Option<&str> = None;
    let mut named: Vec<String> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else {
            // Old entries are in other encodings; identifiers are ASCII in all of them.
            named.extend(cves(&String::from_utf8_lossy(line)));
            continue;
        };
        if let Some((package, found)) = heading(line) {
            record(&mut changelog, version, &mut named, None);
            changelog.package.get_or_insert_with(|| package.to_owned());
            changelog.entries += 1;
            version = Some(found);
        } else if let Some(trailer) = line.strip_prefix(" -- ") {
            record(&mut changelog, version, &mut named, date(trailer));
            version = None;
        } else {
            named.extend(cves(line));
        }
    }
    record(&mut changelog, version, &mut named, None);
    changelog
}

/// Notes that `version` fixed what was `named`. Entries come newest first, so a later call is an older entry and wins.
fn record(
    changelog: &mut Changelog,
    version: Option<&str>,
    named: &mut Vec<String>,
    date: Option<Timestamp>,
) {
    for cve in named.drain(..) {
        let Some(version) = version else { continue };
        if changelog.fixes.len() < MAX_CVES || changelog.fixes.contains_key(&cve) {
            changelog.fixes.insert(cve, Fixed { version: version.to_owned(), date });
        }
    }
}

/// The package and version of the first line of an entry.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (package, rest) = line.split_once(" (")?;
    let (version, rest) = rest.split_once(')')?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    let is_version =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-' | b':' | b'~');
    let well_formed = !package.is_empty()
        && package.bytes().all(is_name)
        && !version.is_empty()
        && version.bytes().all(is_version)
        && (rest.starts_with(' ') || rest.starts_with(';'))
        && rest.contains(';');
    well_formed.then_some((package, version))
}

/// The date after the two spaces behind the maintainer.
fn date(trailer: &str) -> Option<Timestamp> {
    let (_, date) = trailer.rsplit_once(">  ").or_else(|| trailer.rsplit_once("> "))?;
    let date = jiff::fmt::rfc2822::parse(date.trim()).ok()?;
    Some(date.timestamp())
}

/// The CVE ids in a line, in upper case. Ids of before 2005 began with `CAN-`.
fn cves(line: &str) -> impl Iterator<Item = String> {
    let bytes = line.as_bytes();
    let starts = bytes.windows(4).enumerate().filter_map(|(at, window)| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let alone = !before.is_some_and(u8::is_ascii_alphanumeric);
        let is_prefix = window.eq_ignore_ascii_case(b"CVE-") || window.eq_ignore_ascii_case(b"CAN-");
        (alone && is_prefix).then_some(at + 4)
    });
    starts.filter_map(|at| {
        let rest = line.get(at..)?;
        let (year, rest) = rest.split_at_checked(4)?;
        let rest = rest.strip_prefix('-')?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let plausible = (4..=7).contains(&digits) && year.bytes().all(|byte| byte.is_ascii_digit());
        plausible.then(|| format!("CVE-{year}-{}", rest.get(..digits).unwrap_or_default()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
openssl (3.0.14-1~deb12u2) bookworm-security; urgency=medium

  * CVE-2024-5535 (SSL_select_next_proto buffer overread)
  * Refine the fix of CVE-2023-0286; see also cve-2024-9143, NOTCVE-2020-12345, CVE-2020-1 and CVE-20-12345.

 -- Someone <someone@example.org>  Sun, 06 Oct 2024 22:15:28 +0200

openssl (3.0.8-1) unstable; urgency=medium

  [ Other ]
  * Fix CVE-2023-0286 and CAN-2004-0079.

 -- Someone <someone@example.org>  Tue, 07 Feb 2023 22:25:13 +0100
openssl (1:0.9) stable; urgency=high
  * CVE-2004-0079
";

    #[test]
    fn the_oldest_entry_that_names_a_cve_fixed_it() {
        let changelog = parse(TEXT.as_bytes());
        assert_eq!((changelog.package.as_deref(), changelog.entries), (Some("openssl"), 3));
        let found: Vec<_> = changelog
            .fixes
            .iter()
            .map(|(cve, fixed)| {
                (cve.as_str(), fixed.version.as_str(), fixed.date.map(|date| date.to_string()))
            })
            .collect();
        let date = |text: &str| Some(text.to_owned());
        assert_eq!(
            found,
            [
                ("CVE-2004-0079", "1:0.9", None),
                ("CVE-2023-0286", "3.0.8-1", date("2023-02-07T21:25:13Z")),
                ("CVE-2024-5535", "3.0.14-1~deb12u2", date("2024-10-06T20:15:28Z")),
                ("CVE-2024-9143", "3.0.14-1~deb12u2", date("2024-10-06T20:15:28Z")),
            ]
        );
    }

    #[test]
    fn the_changelog_of_the_makers_is_no_debian_changelog() {
        for text in
            ["Changes in 1.2 (2020-01-01):\n * CVE-2020-12345\n", "v1.2 (CVE-2020-12345)\n", "", "\u{0}\n\n"]
        {
            let changelog = parse(text.as_bytes());
            assert_eq!((changelog.package, changelog.fixes.len()), (None, 0), "{text}");
        }
    }

    #[test]
    fn other_encodings_do_not_hide_an_id() {
        let text = b"a (1) b; urgency=low\n\n  * thanks to J\xf6rg: CVE-2005-1234\n\n -- J\xf6rg <j@example.org>  x\n";
        assert!(parse(text).fixes.contains_key("CVE-2005-1234"));
    }

    #[test]
    fn hostile_bytes_do_not_panic() {
        for text in ["CVE-", "CVE-2020-", "CVE-20é0-1234", "éCVE-2020-1234é", " -- > ", " (", "a ()b;"] {
            parse(text.as_bytes());
            parse(format!("a (1) b; c\n  {text}").as_bytes());
        }
    }
}
