//! SARIF 2.1.0 (<https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>).

use std::collections::BTreeMap;

use hullmark_types::{DiagnosticLevel, Finding, Severity, digest_of};
use serde_json::{Value, json};

use crate::{ScanReport, Tool};

pub(crate) fn document(report: &ScanReport) -> Value {
    of_runs(vec![run(report)])
}

/// A document of such runs.
pub(crate) fn of_runs(runs: Vec<Value>) -> Value {
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": runs,
    })
}

/// The run of a scan that could not do its work.
pub(crate) fn failed_run(tool: &Tool, error: &str) -> Value {
    json!({
        "tool": { "driver": { "name": tool.name, "version": tool.version } },
        "invocations": [{
            "executionSuccessful": false,
            "toolExecutionNotifications": [
                { "descriptor": { "id": "not-scanned" }, "level": "error", "message": { "text": error } },
            ],
        }],
        "columnKind": "unicodeCodePoints",
        "results": [],
    })
}

/// What a scan found, as a run.
pub(crate) fn run(report: &ScanReport) -> Value {
    let mut rules: BTreeMap<&str, &Finding> = BTreeMap::new();
    for finding in &report.matches.findings {
        let known = rules.entry(&finding.id).or_insert(finding);
        if finding.severity > known.severity {
            *known = finding;
        }
    }
    let order: BTreeMap<&str, usize> = rules.keys().copied().zip(0..).collect();
    let results: Vec<Value> =
        report.matches.findings.iter().map(|finding| result(report, finding, &order)).collect();
    json!({
        "tool": { "driver": {
            "name": report.tool.name,
            "version": report.tool.version,
            "rules": rules.values().map(|finding| rule(finding)).collect::<Vec<_>>(),
        }},
        "invocations": [{
            "executionSuccessful": true,
            "toolExecutionNotifications": notifications(report),
        }],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {
            "subject": report.inventory.subject.name,
            "digest": report.inventory.subject.digest().map(ToString::to_string),
            "outcome": report.verdict.outcome,
            "policy": report.verdict.policy,
            "base": report.inventory.base,
        },
    })
}

fn rule(finding: &Finding) -> Value {
    let summary = if finding.summary.is_empty() { &finding.id } else { &finding.summary };
    let mut rule = json!({
        "id": finding.id,
        "name": finding.id,
        "shortDescription": { "text": summary },
        "fullDescription": { "text": summary },
        "help": { "text": format!("{}\n{}", summary, finding.url.as_deref().unwrap_or_default()).trim() },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": { "tags": ["security", "vulnerability", finding.severity.name()] },
    });
    if let Some(url) = &finding.url {
        insert(&mut rule, "helpUri", json!(url));
    }
    if let (Some(tenths), Some(properties)) = (finding.cvss_score_tenths, rule.get_mut("properties")) {
        insert(properties, "security-severity", json!(format!("{}.{}", tenths / 10, tenths % 10)));
    }
    rule
}

fn insert(value: &mut Value, key: &str, member: Value) {
    if let Value::Object(members) = value {
        members.insert(key.to_owned(), member);
    }
}

fn result(report: &ScanReport, finding: &Finding, order: &BTreeMap<&str, usize>) -> Value {
    let package = &finding.package;
    let fix = match &finding.fixed_version {
        Some(version) => format!("; fixed in {version}"),
        None => "; no fix is known".to_owned(),
    };
    let identity =
        digest_of(&(&finding.id, &package.purl, &package.path)).map(|digest| digest.hex().to_owned());
    let mut result = json!({
        "ruleId": finding.id,
        "ruleIndex": order.get(finding.id.as_str()),
        "level": level(finding.severity),
        "message": { "text": format!("{} {} is affected by {}{fix}", package.name, package.version, finding.id) },
        "locations": [{
            "physicalLocation": {
                "artifactLocation": { "uri": uri(&package.path) },
                "region": { "startLine": 1 },
            },
            "logicalLocations": [{ "fullyQualifiedName": package.purl, "kind": "package" }],
        }],
        "partialFingerprints": { "hullmark/v1": identity.unwrap_or_default() },
        "properties": {
            "layer": package.layer,
            "origin": report.inventory.origin(package.layer),
            "severity": finding.severity,
            "severitySource": finding.severity_source,
            "fixedVersion": finding.fixed_version,
            "knownExploited": finding.known_exploited.is_some(),
            "aliases": finding.aliases,
        },
    });
    let excuses: Vec<Value> = report
        .verdict
        .excused
        .iter()
        .filter(|reason| {
            reason.finding.as_deref() == Some(&finding.id) && reason.package.as_deref() == Some(&package.purl)
        })
        .map(|reason| json!({ "kind": "external", "status": "accepted", "justification": reason.exception }))
        .collect();
    if !excuses.is_empty() {
        insert(&mut result, "suppressions", json!(excuses));
    }
    result
}

fn notifications(report: &ScanReport) -> Vec<Value> {
    let gaps =
        report.inventory.diagnostics.iter().filter(|diagnostic| diagnostic.level == DiagnosticLevel::Gap);
    let gaps = gaps.map(|gap| (gap.code.as_str(), gap.message.clone(), gap.path.as_str()));
    let undetermined = report.matches.undetermined.iter().map(|answer| {
        let text = format!("{} {}: {}", answer.package.name, answer.package.version, answer.reason);
        (answer.code.as_str(), text, answer.package.path.as_str())
    });
    gaps.chain(undetermined)
        .map(|(code, text, path)| {
            let mut notification =
                json!({ "descriptor": { "id": code }, "level": "warning", "message": { "text": text } });
            if !path.is_empty() {
                let location = json!([{ "physicalLocation": { "artifactLocation": { "uri": uri(path) } } }]);
                insert(&mut notification, "locations", location);
            }
            notification
        })
        .collect()
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Negligible | Severity::Unrated => "note",
    }
}

/// A path as a relative URI reference (RFC 3986).
fn uri(path: &str) -> String {
    path.bytes().fold(String::new(), |mut uri, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'.' | b'_' | b'~' | b'@' | b'+' => {
                uri.push(char::from(byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
        uri
    })
}
