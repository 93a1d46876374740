//! Advisories: what a source says about versions of a package. The form follows the OSV schema
//! (<https://ossf.github.io/osv-schema/>), into which every feed is read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// Vulnerability or malicious package.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdvisoryKind {
    /// A vulnerability.
    #[default]
    Vulnerability,
    /// The package itself is malicious (OSV ids `MAL-`).
    Malicious,
}

/// One source's statement about one vulnerability.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Advisory {
    /// The source's identifier, such as `PYSEC-2023-192`, or the CVE id where the source has none of its own.
    pub id: String,
    /// Name of the feed it came from, a key of [`FeedStatus::name`].
    pub feed: String,
    /// Vulnerability or malicious package.
    #[serde(default)]
    pub kind: AdvisoryKind,
    /// Other identifiers of the same vulnerability (not merely related ones), sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// Identifiers of the vulnerabilities that it covers, sorted (OSV `upstream`, or, where a notice names no CVE
    /// otherwise, the CVE ids among `related`): a distribution's notice may fix several. They bring ratings and known exploitation, but never join findings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// When it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    /// When it was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<Timestamp>,
    /// Ratings, as the source gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severities: Vec<SeverityRating>,
    /// The packages it speaks of.
    pub affected: Vec<Affected>,
    /// A page to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A rating as its source writes it; levels and scores are computed when matching.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeverityRating {
    /// Who rates: the feed or database whose rating it is, such as `PyPI` or `Ubuntu`.
    pub source: String,
    /// A CVSS vector (`CVSS:3.1/AV:N/...`, or a version 2 vector without prefix), or a severity word.
    pub value: String,
}

/// What an advisory says of one package.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Affected {
    /// The ecosystem with its suffix, as in OSV: `PyPI`, `Debian:12`, `Alpine:v3.7`.
    pub ecosystem: String,
    /// The name of the package; for distributions the source package; for PyPI folded after PEP 503.
    pub name: String,
    /// Affected ranges; a version in any of them is affected. Events are as the source writes them, unsorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<VersionRange>,
    /// Affected versions listed one by one; OR-ed with the ranges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
    /// The source says that no version was ever affected (secdb: fixed in version "0").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub never_affected: bool,
    /// Ratings for this package alone; they come before those of the advisory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub severities: Vec<SeverityRating>,
}

/// How the events of a range are ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeKind {
    /// By the ecosystem's own version order.
    Ecosystem,
    /// By SemVer 2.0.0.
    Semver,
    /// By a Git history; cannot be assessed from versions alone.
    Git,
}

/// One range of versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct VersionRange {
    /// How the events are ordered.
    pub kind: RangeKind,
    /// The events, as written by the source, not yet sorted.
    pub events: Vec<RangeEvent>,
}

/// A point where the answer changes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RangeEvent {
    /// Affected from this version on; `0` sorts before every version.
    Introduced(String),
    /// Not affected from this version on.
    Fixed(String),
    /// Affected up to and including this version.
    LastAffected(String),
    /// Nothing is said of versions from this one on.
    Limit(String),
}

/// One entry of CISA's catalogue of known exploited vulnerabilities.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct KnownExploited {
    /// CVE id.
    pub cve: String,
    /// `YYYY-MM-DD`.
    pub date_added: String,
    /// `YYYY-MM-DD`, when the catalogue sets a date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<String>,
    /// Known use in ransomware campaigns.
    #[serde(default)]
    pub ransomware: bool,
}

/// Where the records of a feed came from and how old they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FeedStatus {
    /// Unique name: `osv/PyPI`, `alpine/v3.7/main`, `kev`, `debian-archive/bookworm-security`.
    pub name: String,
    /// The address or path it was read from, without credentials.
    pub address: String,
    /// The ecosystems it speaks for, sorted, such as `Alpine:v3.7`; empty for enrichment feeds such as KEV. A package
    /// of an ecosystem that no feed lists is not covered: Undetermined.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ecosystems: Vec<String>,
    /// SHA-256 of the bytes that were read; for feeds of many files, of the sorted list of their digests.
    pub digest: Digest,
    /// How old the data is: the newest date in the data itself, else `Last-Modified`, else the file's date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_date: Option<Timestamp>,
    /// When it was fetched; `None` when read from a directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched: Option<Timestamp>,
    /// Advisories (or catalogue entries) taken in.
    pub records: u64,
    /// Records that could not be read and were skipped.
    pub skipped: u64,
}
