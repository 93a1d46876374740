//! A small inventory and its matches.
#![allow(
    dead_code,
    clippy::allow_attributes,
    clippy::unwrap_used,
    clippy::panic,
    reason = "support of tests; each uses a part of it"
)]

use std::collections::BTreeMap;

use hullmark_policy::{Evaluation, Exceptions, Policy, evaluate, parse_policy};
use hullmark_types::{
    AdvisoryKind, Diagnostic, Digest, Distribution, FeedStatus, Finding, ImageConfig, Inventory,
    KnownExploited, LayerInfo, Location, Matches, Package, PackageKey, PackageKind, Platform, Severity,
    SourcePackage, Stage, Subject, SubjectKind, Undetermined, Verdict,
};
use jiff::Timestamp;

pub fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn now() -> Timestamp {
    time("2026-11-24T12:00:00Z")
}

pub fn package(kind: PackageKind, name: &str, version: &str) -> Package {
    let system = kind.is_operating_system();
    let purl = format!("pkg:{}/{}{name}@{version}", kind.purl_type(), if system { "alpine/" } else { "" });
    Package {
        source: system.then(|| SourcePackage { name: name.to_owned(), version: version.to_owned() }),
        architecture: system.then(|| "x86_64".to_owned()),
        licenses: vec!["MIT".to_owned()],
        ecosystem: Some(if system { "Alpine:v3.7" } else { "PyPI" }.to_owned()),
        locations: vec![Location { path: format!("lib/{name}"), layer: 0, inside: None }],
        ..Package::new(kind, name, version, purl, "test")
    }
}

pub fn key(package: &Package) -> PackageKey {
    PackageKey {
        kind: package.kind,
        name: package.name.clone(),
        version: package.version.clone(),
        purl: package.purl.clone(),
        path: package.locations[0].path.clone(),
        layer: package.layer,
    }
}

pub fn finding(package: &Package, id: &str, severity: Severity, fixed: Option<&str>) -> Finding {
    Finding {
        package: key(package),
        id: id.to_owned(),
        aliases: vec![format!("GHSA-{id}")],
        kind: AdvisoryKind::Vulnerability,
        severity,
        severity_source: (severity != Severity::Unrated).then(|| "PyPI (CVSS 3.1)".to_owned()),
        cvss_vector: None,
        cvss_score_tenths: None,
        fixed_version: fixed.map(str::to_owned),
        known_exploited: None,
        published: Some(time("2026-11-14T12:00:00Z")),
        summary: "a summary".to_owned(),
        url: None,
        evidence: Vec::new(),
    }
}

#[allow(dead_code, reason = "not every test file uses it")]
pub fn exploited(mut finding: Finding) -> Finding {
    finding.known_exploited = Some(KnownExploited {
        cve: finding.id.clone(),
        date_added: "2026-11-20".to_owned(),
        due_date: None,
        ransomware: true,
    });
    finding
}

pub fn inventory(packages: Vec<Package>) -> Inventory {
    Inventory {
        schema: 1,
        subject: Subject {
            kind: SubjectKind::Image,
            name: "app.tar".to_owned(),
            references: vec!["registry.example/team/app:1".to_owned()],
            index: None,
            manifest: None,
            config: None,
            platform: Some(Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                variant: None,
            }),
        },
        distribution: Some(Distribution {
            id: "alpine".to_owned(),
            version: Some("3.7.3".to_owned()),
            ..Distribution::default()
        }),
        config: Some(ImageConfig {
            user: "app:app".to_owned(),
            env: vec!["PATH=/usr/bin:/bin".to_owned()],
            labels: BTreeMap::from([("team".to_owned(), "payments".to_owned())]),
            exposed_ports: vec!["80/tcp".to_owned()],
            ..ImageConfig::default()
        }),
        base: None,
        layers: vec![LayerInfo { index: 0, digest: None, diff_id: None, size: Some(100), created_by: None }],
        packages,
        diagnostics: Vec::new(),
    }
}

pub fn feed(ecosystem: &str, date: Option<&str>) -> FeedStatus {
    FeedStatus {
        name: format!("feed/{ecosystem}"),
        address: "https://feeds.example".to_owned(),
        ecosystems: vec![ecosystem.to_owned()],
        digest: Digest::sha256(b"feed"),
        data_date: date.map(time),
        fetched: None,
        records: 1,
        skipped: 0,
    }
}

pub fn matches(findings: Vec<Finding>) -> Matches {
    Matches {
        database: Digest::sha256(b"database"),
        feeds: vec![feed("Alpine:v3.7", Some("2026-11-24T00:00:00Z"))],
        findings,
        not_affected: Vec::new(),
        undetermined: Vec::new(),
        packages_covered: 1,
    }
}

#[allow(dead_code, reason = "not every test file uses it")]
pub fn undetermined(package: &Package, code: &str) -> Undetermined {
    Undetermined {
        package: key(package),
        id: None,
        code: code.to_owned(),
        reason: format!("{} is not assessed", package.name),
        evidence: Vec::new(),
    }
}

#[allow(dead_code, reason = "not every test file uses it")]
pub fn gap(code: &str) -> Diagnostic {
    Diagnostic::gap(code, "var/lib/dpkg/status", "the file is cut short")
}

/// A policy of the given rules, each without its leading `- `.
pub fn policy(rules: &[&str]) -> Policy {
    let rules: Vec<_> = rules
        .iter()
        .map(|rule| format!("  - {}\n", rule.trim().lines().collect::<Vec<_>>().join("\n    ")))
        .collect();
    let text = format!(
        "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: {{ name: test }}\nrules:\n{}",
        rules.concat()
    );
    parse_policy("test.yaml", &text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub fn verdict(
    inventory: &Inventory,
    matches: &Matches,
    policy: &Policy,
    exceptions: &Exceptions,
) -> Verdict {
    evaluate(&Evaluation { inventory, matches, policy, exceptions, stage: Stage::Build, now: now() }).unwrap()
}
