//! What matching says of each package: affected, not affected, or undetermined, each with its evidence.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AdvisoryKind, Digest, FeedStatus, KnownExploited, PackageKind, Severity};

/// Names a package of an inventory in findings.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageKey {
    /// Which package manager or toolchain.
    pub kind: PackageKind,
    /// Name.
    pub name: String,
    /// Installed version.
    pub version: String,
    /// Package URL.
    pub purl: String,
    /// First file that gave evidence of the package.
    pub path: String,
    /// The layer that brought it.
    pub layer: u32,
}

/// Why an answer is what it is: which advisory, which range, which versions were compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// Id of the advisory.
    pub advisory: String,
    /// Name of its feed.
    pub feed: String,
    /// Ecosystem it was looked up in.
    pub ecosystem: String,
    /// Package name it was looked up by.
    pub name: String,
    /// The version that was compared.
    pub compared: String,
    /// The range or list that decided, in words such as `introduced 0, fixed 1.1.18-r4`.
    pub range: String,
    /// The version order used, such as `apk`.
    pub scheme: String,
}

/// A package is affected by a vulnerability. All aliases of one vulnerability are one finding for a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// The package.
    pub package: PackageKey,
    /// The identifier to show: the CVE id where there is one.
    pub id: String,
    /// All other identifiers, sorted.
    pub aliases: Vec<String>,
    /// Vulnerability or malicious package.
    #[serde(default)]
    pub kind: AdvisoryKind,
    /// The level.
    pub severity: Severity,
    /// Whose rating that is; `None` when unrated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity_source: Option<String>,
    /// CVSS vector that gave the level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss_vector: Option<String>,
    /// CVSS base score in tenths: 81 is 8.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvss_score_tenths: Option<u8>,
    /// The lowest version above the installed one in which the advisories have it fixed; `None` when there is no fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed_version: Option<String>,
    /// The entry in CISA's catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known_exploited: Option<KnownExploited>,
    /// First publication among the advisories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Timestamp>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// A page to read more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The evidence of each advisory, sorted.
    pub evidence: Vec<Evidence>,
}

/// An advisory speaks of the package, and the installed version is not affected.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NotAffected {
    /// The package.
    pub package: PackageKey,
    /// The identifier, as in [`Finding::id`].
    pub id: String,
    /// A stable kebab-case word: `outside-ranges`, `never-affected`, `distribution-verdict`.
    pub code: String,
    /// The evidence.
    pub evidence: Vec<Evidence>,
}

/// Whether the package is affected could not be found out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Undetermined {
    /// The package.
    pub package: PackageKey,
    /// The advisory in question; `None` when the package could not be looked up at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// A stable kebab-case word: `no-feed`, `unknown-distribution`, `unparsable-version`, `no-version`, `git-range`,
    /// `no-version-order`.
    pub code: String,
    /// The reason in a sentence.
    pub reason: String,
    /// The evidence, as far as it goes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// Everything that matching says of an inventory. All lists are sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matches {
    /// Digest of the advisory database.
    pub database: Digest,
    /// The database's feeds that speak for an ecosystem of this inventory, and the enrichment feeds.
    pub feeds: Vec<FeedStatus>,
    /// Affected.
    pub findings: Vec<Finding>,
    /// Not affected, though an advisory speaks of the package.
    pub not_affected: Vec<NotAffected>,
    /// Undetermined.
    pub undetermined: Vec<Undetermined>,
    /// How many packages were looked up in at least one feed.
    pub packages_covered: u64,
}
