//! One OSV record becomes one advisory.

use hullmark_types::{
    Advisory, AdvisoryKind, Affected, RangeEvent, RangeKind, Severity, SeverityRating, VersionRange,
    fold_pypi_name,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{dates, model};

const MAX_SUMMARY: usize = 200;
const MAX_RATING: usize = 200;
const MAX_URL: usize = 500;

/// What a record gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The advisory, without the name of a feed; `None` when it was withdrawn.
    pub advisory: Option<Advisory>,
    /// The newest date in the record.
    pub newest: Option<Timestamp>,
}

/// A record that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON, or members of it have the wrong type.
    #[error("not an OSV record: {0}")]
    Json(#[from] serde_json::Error),
    /// It has no id.
    #[error("the record has no id")]
    NoId,
    /// A range is of a type that the schema does not have.
    #[error("a range has the unknown type `{found}`")]
    UnknownRange {
        /// The type.
        found: String,
    },
}

/// Reads one OSV record from its JSON.
///
/// Aliases are sorted, PyPI names folded after PEP 503. `affected` entries without a package (of Git commits alone) are
/// left out: no package manager installs them.
///
/// # Errors
/// When the record cannot be used.
pub fn parse(bytes: &[u8]) -> Result<Record, RecordError> {
    let record: model::Record = serde_json::from_slice(bytes)?;
    if record.id.is_empty() {
        return Err(RecordError::NoId);
    }
    let published = record.published.as_deref().and_then(dates::parse);
    let modified = record.modified.as_deref().and_then(dates::parse);
    let withdrawn = record.withdrawn.filter(|date| !date.is_empty());
    let newest =
        [published, modified, withdrawn.as_deref().and_then(dates::parse)].into_iter().flatten().max();
    if withdrawn.is_some() {
        return Ok(Record { advisory: None, newest });
    }

    let source = rating_source(&record.id, record.affected.first());
    let mut affected = Vec::with_capacity(record.affected.len());
    for entry in record.affected {
        affected.extend(convert_affected(entry, &source)?);
    }
    let mut aliases = record.aliases;
    aliases.retain(|alias| *alias != record.id && !alias.is_empty());
    sort(&mut aliases);
    let is_cve = |id: &String| id.starts_with("CVE-");
    let mut upstream = record.upstream;
    if upstream.is_empty() && !is_cve(&record.id) && !aliases.iter().any(is_cve) {
        upstream.extend(record.related.into_iter().filter(is_cve));
    }
    sort(&mut upstream);
    let mut severities = ratings(record.severity, &source);
    severities.extend(word(&record.database_specific, "severity", &source));
    severities.dedup();
    let kind =
        if record.id.starts_with("MAL-") { AdvisoryKind::Malicious } else { AdvisoryKind::Vulnerability };
    let advisory = Advisory {
        feed: String::new(),
        kind,
        aliases,
        upstream,
        summary: summary(&record.summary, &record.details),
        published,
        modified,
        severities,
        affected,
        url: url(&record.database_specific, &record.references),
        id: record.id,
    };
    Ok(Record { advisory: Some(advisory), newest })
}

fn sort(ids: &mut Vec<String>) {
    ids.sort_unstable();
    ids.dedup();
}

fn convert_affected(entry: model::Affected, source: &str) -> Result<Option<Affected>, RecordError> {
    let Some(package) = entry.package else { return Ok(None) };
    let mut ranges = Vec::with_capacity(entry.ranges.len());
    for range in entry.ranges {
        let kind = match range.kind.as_str() {
            "ECOSYSTEM" => RangeKind::Ecosystem,
            "SEMVER" => RangeKind::Semver,
            "GIT" => RangeKind::Git,
            other => return Err(RecordError::UnknownRange { found: other.chars().take(50).collect() }),
        };
        ranges.push(VersionRange { kind, events: range.events.into_iter().flat_map(events).collect() });
    }
    let mut severities = ratings(entry.severity, source);
    severities.extend(word(&entry.database_specific, "severity", source));
    if severities.is_empty() {
        severities.extend(vector(&entry.database_specific, source));
        // Debian's word for an issue; others there (`not yet assigned`, `end-of-life`) are no severities.
        severities.extend(word(&entry.ecosystem_specific, "urgency", source));
    }
    severities.dedup();
    let name = if package.ecosystem == "PyPI" { fold_pypi_name(&package.name) } else { package.name };
    Ok(Some(Affected {
        ecosystem: package.ecosystem,
        name,
        ranges,
        versions: entry.versions,
        never_affected: false,
        severities,
    }))
}

/// The schema wants one member in each event; where there are several, each counts.
fn events(event: model::Event) -> impl Iterator<Item = RangeEvent> {
    let introduced = event.introduced.map(RangeEvent::Introduced);
    let fixed = event.fixed.map(RangeEvent::Fixed);
    let last_affected = event.last_affected.map(RangeEvent::LastAffected);
    let limit = event.limit.map(RangeEvent::Limit);
    [introduced, fixed, last_affected, limit].into_iter().flatten()
}

/// Whose ratings a record carries: the database that its id belongs to, else the ecosystem it speaks of.
fn rating_source(id: &str, affected: Option<&model::Affected>) -> String {
    const DATABASES: [(&str, &str); 8] = [
        ("GHSA-", "GitHub"),
        ("PYSEC-", "PyPI"),
        ("GO-", "Go"),
        ("RUSTSEC-", "RustSec"),
        ("MAL-", "OpenSSF"),
        ("UBUNTU-", "Ubuntu"),
        ("USN-", "Ubuntu"),
        ("DEBIAN-", "Debian"),
    ];
    if let Some((_, name)) = DATABASES.iter().find(|(prefix, _)| id.starts_with(prefix)) {
        return (*name).to_owned();
    }
    let ecosystem =
        affected.and_then(|entry| entry.package.as_ref()).map(|package| package.ecosystem.as_str());
    ecosystem
        .and_then(|name| name.split(':').next())
        .filter(|name| !name.is_empty())
        .unwrap_or("OSV")
        .to_owned()
}

/// The ratings of a `severity` list; a type that is not a CVSS version names who rates by a word of its own.
fn ratings(list: Vec<model::Severity>, source: &str) -> Vec<SeverityRating> {
    list.into_iter()
        .filter(|entry| !entry.score.is_empty() && entry.score.len() <= MAX_RATING)
        .map(|entry| {
            let is_cvss = entry.kind.starts_with("CVSS") || entry.kind.is_empty();
            let source = if is_cvss { source.to_owned() } else { entry.kind };
            SeverityRating { source, value: entry.score }
        })
        .collect()
}

/// The severity word in a member, if it is one.
fn word(specific: &Value, member: &str, source: &str) -> Option<SeverityRating> {
    let value = specific.get(member)?.as_str()?.trim().trim_end_matches('*');
    let severity = value.parse::<Severity>().ok()?;
    (severity != Severity::Unrated)
        .then(|| SeverityRating { source: source.to_owned(), value: value.to_owned() })
}

/// The CVSS vector that some databases put beside the schema's own place.
fn vector(specific: &Value, source: &str) -> Option<SeverityRating> {
    let value = specific.get("cvss")?.as_str()?;
    (value.starts_with("CVSS:") && value.len() <= MAX_RATING)
        .then(|| SeverityRating { source: source.to_owned(), value: value.to_owned() })
}

/// The summary, else the first line of the details, on one line and not too long.
fn summary(summary: &str, details: &str) -> String {
    let line = [summary, details]
        .into_iter()
        .flat_map(str::lines)
        .map(|line| line.trim_start_matches('#').trim())
        .find(|line| !line.is_empty())
        .unwrap_or("");
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    if line.chars().count() <= MAX_SUMMARY {
        return line.chars().map(clean).collect();
    }
    let mut cut: String = line.chars().take(MAX_SUMMARY - 1).map(clean).collect();
    if let Some((whole_words, _)) = cut.rsplit_once(' ') {
        cut.truncate(whole_words.len());
    }
    cut.push('…');
    cut
}

fn url(specific: &Value, references: &[model::Reference]) -> Option<String> {
    let own = specific.get("url").and_then(Value::as_str);
    let advisory = references.iter().find(|reference| reference.kind == "ADVISORY").or(references.first());
    own.or(advisory.map(|reference| reference.url.as_str()))
        .filter(|url| url.len() <= MAX_URL && (url.starts_with("https://") || url.starts_with("http://")))
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advisory(text: &str) -> Advisory {
        parse(text.as_bytes()).unwrap().advisory.unwrap()
    }

    fn rating(source: &str, value: &str) -> SeverityRating {
        SeverityRating { source: source.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn a_record_of_python() {
        let found = advisory(
            r###"{"id": "PYSEC-2023-9", "modified": "2023-10-10 14:28:19+00:00", "published": "2023-10-04 17:15:00+00:00",
            "aliases": ["GHSA-a", "CVE-2023-9", "GHSA-a"], "related": ["CVE-2020-1"],
            "details": "\n## A leak.\nMore.", "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}],
            "affected": [{"package": {"ecosystem": "PyPI", "name": "Foo_.Bar"}, "ranges": [
                {"type": "GIT", "repo": "x", "events": [{"introduced": "0"}]},
                {"type": "ECOSYSTEM", "events": [{"introduced": "2.0.0"}, {"fixed": "2.0.6"}, {"introduced": "0"},
                 {"last_affected": "1.26.17"}, {"limit": "9"}]}], "versions": ["1.0"]}],
            "references": [{"type": "WEB", "url": "https://a.example"}, {"type": "ADVISORY", "url": "https://b.example"}]}"###,
        );
        assert_eq!(found.aliases, ["CVE-2023-9", "GHSA-a"]);
        assert_eq!(found.upstream, [""; 0], "related ones are not covered by a record that names its CVE");
        assert_eq!(found.summary, "A leak.");
        assert_eq!(found.published, Some("2023-10-04T17:15:00Z".parse().unwrap()));
        assert_eq!(found.severities, [rating("PyPI", "CVSS:3.1/AV:N")]);
        assert_eq!(found.url.as_deref(), Some("https://b.example"));
        let affected = &found.affected[0];
        assert_eq!(
            (affected.name.as_str(), affected.versions.as_slice()),
            ("foo-bar", &["1.0".to_owned()][..])
        );
        assert_eq!(affected.ranges[0].kind, RangeKind::Git);
        assert_eq!(
            affected.ranges[1].events,
            [
                RangeEvent::Introduced("2.0.0".to_owned()),
                RangeEvent::Fixed("2.0.6".to_owned()),
                RangeEvent::Introduced("0".to_owned()),
                RangeEvent::LastAffected("1.26.17".to_owned()),
                RangeEvent::Limit("9".to_owned()),
            ]
        );
    }

    #[test]
    fn ratings_of_every_place() {
        let found = advisory(
            r#"{"id": "UBUNTU-CVE-2021-1", "upstream": ["CVE-2021-1"], "severity": [
              {"type": "CVSS_V3", "score": "CVSS:3.1/AV:L"}, {"type": "CVSS_V3", "score": "CVSS:3.1/AV:L"},
              {"type": "Ubuntu", "score": "medium"}],
            "affected": [{"package": {"ecosystem": "Ubuntu:22.04:LTS", "name": "wayland"},
              "severity": [{"type": "Ubuntu", "score": "low"}]}]}"#,
        );
        assert_eq!(found.severities, [rating("Ubuntu", "CVSS:3.1/AV:L"), rating("Ubuntu", "medium")]);
        assert_eq!(found.affected[0].severities, [rating("Ubuntu", "low")]);
        assert_eq!(found.upstream, ["CVE-2021-1"]);

        let words = |specific: &str| {
            advisory(&format!(
                r#"{{"id": "GHSA-1", "database_specific": {{"severity": {specific}}}, "affected": null}}"#
            ))
            .severities
        };
        assert_eq!(words("\"MODERATE\""), [rating("GitHub", "MODERATE")]);
        for other in ["\"UNKNOWN\"", "\"very bad\"", "3", "null"] {
            assert_eq!(words(other), [], "{other}");
        }

        let debian = advisory(
            r#"{"id": "DSA-1-1", "related": ["CVE-2021-2", "DLA-1"], "affected": [
              {"package": {"ecosystem": "Debian:11", "name": "a"}, "ecosystem_specific": {"urgency": "low**"}},
              {"package": {"ecosystem": "Debian:11", "name": "b"}, "ecosystem_specific": {"urgency": "not yet assigned"}},
              {"ranges": [{"type": "GIT", "events": []}]}]}"#,
        );
        assert_eq!(debian.affected.len(), 2, "an entry without a package is left out");
        assert_eq!(debian.affected[0].severities, [rating("Debian", "low")]);
        assert_eq!(debian.affected[1].severities, []);
        assert_eq!(debian.upstream, ["CVE-2021-2"], "a notice covers the CVEs it is related to");
    }

    #[test]
    fn withdrawn_records_give_nothing_but_their_date() {
        let found = parse(
            br#"{"id": "GO-1", "withdrawn": "2024-01-02T00:00:00Z", "modified": "0001-01-01T00:00:00Z"}"#,
        );
        let expected = Record { advisory: None, newest: Some("2024-01-02T00:00:00Z".parse().unwrap()) };
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn malicious_packages_are_known_by_their_id() {
        assert_eq!(advisory(r#"{"id": "MAL-2024-1"}"#).kind, AdvisoryKind::Malicious);
    }

    #[test]
    fn long_details_are_cut_between_words() {
        let text = advisory(&format!(r#"{{"id": "X-1", "details": "{}"}}"#, "word ".repeat(100))).summary;
        assert!(text.ends_with("word…") && text.chars().count() <= MAX_SUMMARY, "{text}");
    }

    #[test]
    fn broken_records_are_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"id": ""}"#,
            r#"{"id": 1}"#,
            r#"{"id": "A-1", "affected": [{"package": {"name": "x"}}]}"#,
            r#"{"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "x"}, "ranges": [{"type": "MAYAN"}]}]}"#,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        let deep = format!(r#"{{"id": "A-1", "database_specific": {}"#, "[".repeat(100_000));
        assert!(parse(deep.as_bytes()).is_err());
    }
}
