//! Reads a security database into fixes, and fixes into advisories.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::{Advisory, Affected, RangeEvent, RangeKind, VersionRange};
use serde::Deserialize;
use serde_json::Value;

/// One line of a security database: a version of a package fixed one vulnerability.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fix {
    /// The source package (Alpine's `origin`).
    pub package: String,
    /// The vulnerability.
    pub id: String,
    /// Other ids on the same line, such as a notice of the makers (`XSA-218`) that covers this vulnerability and maybe
    /// others too, sorted.
    pub notices: Vec<String>,
    /// The version that fixed it; `0` when no version was affected.
    pub version: String,
}

#[derive(Deserialize)]
struct Document {
    packages: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Entry {
    pkg: Package,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    #[serde(default)]
    secfixes: Option<BTreeMap<String, Option<Vec<Value>>>>,
}

/// Reads the bytes of a security database: its fixes, and a sentence for each part that could not be read.
///
/// `packages` may be `null`, as for repositories without any fix.
///
/// # Errors
/// When it is not JSON of the right shape.
pub fn parse(bytes: &[u8]) -> Result<(Vec<Fix>, Vec<String>), serde_json::Error> {
    let document: Document = serde_json::from_slice(bytes)?;
    let (mut fixes, mut problems) = (Vec::new(), Vec::new());
    for (position, value) in document.packages.unwrap_or_default().into_iter().enumerate() {
        let package = match serde_json::from_value::<Entry>(value) {
            Ok(entry) => entry.pkg,
            Err(error) => {
                problems.push(format!("packages[{position}]: {error}"));
                continue;
            }
        };
        for (version, values) in package.secfixes.unwrap_or_default() {
            for value in values.unwrap_or_default() {
                let found =
                    value.as_str().map(|text| line(&package.name, version.trim(), text)).unwrap_or_default();
                if found.is_empty() {
                    let text: String = value.to_string().chars().take(100).collect();
                    problems.push(format!("{} {version}: {text} names no vulnerability", package.name));
                }
                fixes.extend(found);
            }
        }
    }
    Ok((fixes, problems))
}

/// The fixes of one line, such as `CVE-2019-1234 (+)` or `CVE-2016-6258 XSA-182`.
///
/// Each CVE and each GitHub id is a vulnerability of its own; other ids beside them are notices, which may cover several
/// vulnerabilities and so are no aliases.
fn line(package: &str, version: &str, text: &str) -> Vec<Fix> {
    let text = text.replace("CVE ", "CVE-");
    let ids: Vec<String> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .filter_map(identifier)
        .collect();
    let is_main = |id: &&String| id.starts_with("CVE-") || id.starts_with("GHSA-");
    let fix = |id: &String, notices: Vec<String>| Fix {
        package: package.to_owned(),
        id: id.clone(),
        notices,
        version: version.to_owned(),
    };
    let mut notices: Vec<String> = ids.iter().filter(|id| !is_main(id)).cloned().collect();
    notices.sort_unstable();
    notices.dedup();
    if notices.len() == ids.len() {
        return notices.iter().map(|id| fix(id, Vec::new())).collect();
    }
    ids.iter().filter(is_main).map(|id| fix(id, notices.clone())).collect()
}

/// A word that is an identifier: letters, then groups after hyphens, with a digit somewhere.
fn identifier(word: &str) -> Option<String> {
    let word = word.trim_matches(['-', '_']);
    let upper = word.to_ascii_uppercase();
    if let Some(rest) = upper.strip_prefix("CVE-").or_else(|| upper.strip_prefix("CVE_")) {
        // What follows the number (`CVE-2017-17434-1`) counts the patches.
        let mut groups = rest.split(['-', '_']);
        let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let (year, number) = (groups.next().filter(is_number)?, groups.next().filter(is_number)?);
        return Some(format!("CVE-{year}-{number}"));
    }
    if upper.starts_with("GHSA-") {
        return Some(format!("GHSA-{}", word.get(5..)?.to_ascii_lowercase()));
    }
    let (prefix, rest) = word.split_once('-')?;
    let named = prefix.len() >= 2 && prefix.bytes().all(|byte| byte.is_ascii_alphabetic());
    (named && rest.bytes().any(|byte| byte.is_ascii_digit())).then(|| word.to_owned())
}

/// What a database says of one package and vulnerability.
#[derive(Default)]
struct Group {
    notices: BTreeSet<String>,
    versions: BTreeSet<String>,
}

/// One advisory for each package and vulnerability. Where a vulnerability was fixed in several versions of a package, the
/// last of them counts: each gives a range, and ranges are OR-ed.
pub(super) fn advisories(fixes: Vec<Fix>, ecosystem: &str, feed: &str) -> Vec<Advisory> {
    let mut grouped: BTreeMap<(String, String), Group> = BTreeMap::new();
    for fix in fixes {
        let group = grouped.entry((fix.package, fix.id)).or_default();
        group.notices.extend(fix.notices);
        group.versions.insert(fix.version);
    }
    let advisory = |((package, id), group): ((String, String), Group)| {
        let never_affected = group.versions.iter().all(|version| version == "0");
        let ranges = group
            .versions
            .into_iter()
            .filter(|version| version != "0")
            .map(|version| VersionRange {
                kind: RangeKind::Ecosystem,
                events: vec![RangeEvent::Introduced("0".to_owned()), RangeEvent::Fixed(version)],
            })
            .collect();
        let affected = Affected {
            ecosystem: ecosystem.to_owned(),
            name: package,
            ranges,
            never_affected,
            ..Affected::default()
        };
        Advisory {
            id,
            feed: feed.to_owned(),
            upstream: group.notices.into_iter().collect(),
            affected: vec![affected],
            ..Advisory::default()
        }
    };
    grouped.into_iter().map(advisory).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[(&str, &[&str])]) {
        let found = line("package", "1.0-r0", text);
        let found: Vec<_> = found
            .iter()
            .map(|fix| (fix.id.as_str(), fix.notices.iter().map(String::as_str).collect::<Vec<_>>()))
            .collect();
        let expected: Vec<_> = expected.iter().map(|(id, notices)| (*id, notices.to_vec())).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn lines_are_cleaned() {
        check("CVE-2019-14697", &[("CVE-2019-14697", &[])]);
        check("CVE-2019-1234 (+)", &[("CVE-2019-1234", &[])]);
        check("CVE-2017-2616 (+ regression fix)", &[("CVE-2017-2616", &[])]);
        check("CVE-2016-6258 XSA-182", &[("CVE-2016-6258", &["XSA-182"])]);
        check("XSA-123", &[("XSA-123", &[])]);
        check("CVE-2017-17434-1", &[("CVE-2017-17434", &[])]);
        check("CVE-pending", &[]);
        check("CVE 2018-16859", &[("CVE-2018-16859", &[])]);
        check("wnpa-sec-2017-18", &[("wnpa-sec-2017-18", &[])]);
        check("CVE-2020-1, CVE-2020-2", &[("CVE-2020-1", &[]), ("CVE-2020-2", &[])]);
        check("cve_2020-11100 ", &[("CVE-2020-11100", &[])]);
        check("ghsa-3F6R-qh9c-x6mm", &[("GHSA-3f6r-qh9c-x6mm", &[])]);
        check("GNUTLS-SA-2020-03-31", &[("GNUTLS-SA-2020-03-31", &[])]);
        check("fixed upstream", &[]);
        check("", &[]);
    }

    #[test]
    fn a_database_is_read_around_its_broken_parts() {
        let text = br#"{"distroversion": "v3.7", "packages": [
            {"pkg": {"name": "musl", "secfixes": {"1.1.18-r4": ["CVE-2019-14697"], "0": ["CVE-2020-1"], "2": null}}},
            {"pkg": {"name": "curl", "secfixes": {"7.2": ["CVE-2018-1"], "7.1": ["CVE-2018-1", 5, "see changelog"]}}},
            {"pkg": {"name": "none", "secfixes": null}}, {"pkg": {}}, 3]}"#;
        let (fixes, problems) = parse(text).unwrap();
        assert_eq!(problems.len(), 4, "{problems:?}");
        let advisories = advisories(fixes, "Alpine:v3.7", "alpine/v3.7/main");
        let found: Vec<_> = advisories
            .iter()
            .map(|advisory| {
                let affected = &advisory.affected[0];
                let fixed: Vec<_> = affected.ranges.iter().map(|range| range.events[1].clone()).collect();
                (affected.name.as_str(), advisory.id.as_str(), fixed, affected.never_affected)
            })
            .collect();
        let fixed = |version: &str| RangeEvent::Fixed(version.to_owned());
        assert_eq!(
            found,
            [
                ("curl", "CVE-2018-1", vec![fixed("7.1"), fixed("7.2")], false),
                ("musl", "CVE-2019-14697", vec![fixed("1.1.18-r4")], false),
                ("musl", "CVE-2020-1", vec![], true),
            ]
        );
    }

    #[test]
    fn repositories_without_fixes_and_other_documents() {
        assert_eq!(parse(br#"{"packages": null}"#).unwrap(), (vec![], vec![]));
        assert!(parse(b"[]").is_err());
        assert!(parse(b"<html>").is_err());
    }
}
