//! The report on the images of an index, one for each platform.

use std::collections::BTreeMap;
use std::io;

use hullmark_types::{Digest, Outcome, Platform};
use serde_json::{Value, json};

use crate::text::{count, safe};
use crate::{Format, ScanReport, Tool, WriteOptions, json as json_report, sarif, table};

/// What was found and decided for each platform of a multi-platform image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformsReport {
    /// The program.
    pub tool: Tool,
    /// The target, as the user named it.
    pub name: String,
    /// In the order of the index.
    pub platforms: Vec<PlatformReport>,
}

/// What was found and decided for one platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformReport {
    /// The platform, where it is known.
    pub platform: Option<Platform>,
    /// Digest of the manifest.
    pub manifest: Option<Digest>,
    /// The report, or why there is none.
    pub result: Result<ScanReport, String>,
}

impl PlatformsReport {
    /// The worst verdict; `None` when there is none at all.
    pub fn outcome(&self) -> Option<Outcome> {
        let judged = self.platforms.iter().filter_map(|platform| platform.result.as_ref().ok());
        judged.map(|report| report.verdict.outcome).max()
    }

    /// How many platforms have no verdict.
    pub fn failures(&self) -> usize {
        self.platforms.iter().filter(|platform| platform.result.is_err()).count()
    }

    /// A name for each platform that no other has.
    pub fn labels(&self) -> Vec<String> {
        labels(self.platforms.iter().map(|platform| platform.platform.as_ref()))
    }
}

/// A name for each platform that no other has: `linux/amd64`, and `linux/amd64 2` for a second image for it.
pub fn labels<'a>(platforms: impl Iterator<Item = Option<&'a Platform>>) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let name = |platform: Option<&Platform>| {
        let name = platform.map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let number = seen.entry(name.clone()).and_modify(|number| *number += 1).or_insert(1);
        if *number == 1 { name } else { format!("{name} {number}") }
    };
    platforms.map(name).collect()
}

/// Writes a report on all platforms in one of the forms.
///
/// # Errors
/// When `out` cannot be written to, and for CycloneDX: such a document is about one image.
pub fn write_platforms(
    format: Format,
    report: &PlatformsReport,
    options: &WriteOptions,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format {
        Format::Table => in_words(report, options, out),
        Format::Json => crate::pretty(&document(report)?, out),
        Format::Sarif => crate::pretty(&sarif_document(report), out),
        Format::Cyclonedx => {
            Err(io::Error::new(io::ErrorKind::Unsupported, "a CycloneDX document is about one image"))
        }
    }
}

fn document(report: &PlatformsReport) -> io::Result<Value> {
    let platforms = report.platforms.iter().map(|platform| {
        let mut member = serde_json::Map::new();
        let mut insert = |name: &str, value: Value| drop(member.insert(name.to_owned(), value));
        if let Some(platform) = &platform.platform {
            insert("platform", json!(platform));
        }
        if let Some(manifest) = &platform.manifest {
            insert("manifest", json!(manifest));
        }
        match &platform.result {
            Ok(report) => insert("report", json_report::document(report)?),
            Err(error) => insert("error", json!(error)),
        }
        Ok(Value::Object(member))
    });
    let platforms = platforms.collect::<io::Result<Vec<_>>>()?;
    let mut document = json!({ "schema": json_report::SCHEMA, "tool": report.tool, "name": report.name, "platforms": platforms });
    if let (Some(outcome), Some(members)) = (report.outcome(), document.as_object_mut()) {
        members.insert("outcome".to_owned(), json!(outcome));
    }
    Ok(document)
}

fn sarif_document(report: &PlatformsReport) -> Value {
    let runs = report.platforms.iter().zip(report.labels()).map(|(platform, label)| {
        let mut run = match &platform.result {
            Ok(report) => sarif::run(report),
            Err(error) => sarif::failed_run(&report.tool, error),
        };
        if let Some(members) = run.as_object_mut() {
            // By this, those who show results tell the runs apart.
            let id = format!("hullmark/{}/", label.replace(' ', "-"));
            members.insert("automationDetails".to_owned(), json!({ "id": id }));
        }
        run
    });
    sarif::of_runs(runs.collect())
}

fn in_words(report: &PlatformsReport, options: &WriteOptions, out: &mut dyn io::Write) -> io::Result<()> {
    let labels = report.labels();
    for (platform, label) in report.platforms.iter().zip(&labels) {
        if let Ok(report) = &platform.result {
            writeln!(out, "== {} ==\n", safe(label))?;
            table::write(report, options, out)?;
            writeln!(out)?;
        }
    }
    writeln!(out, "== all platforms ==\n")?;
    let width = labels.iter().map(|label| safe(label).chars().count()).max().unwrap_or_default();
    for (platform, label) in report.platforms.iter().zip(&labels) {
        let label = safe(label);
        match &platform.result {
            Ok(report) => {
                let outcome = table::outcome(report.verdict.outcome, options);
                let findings = count(report.matches.findings.len(), "finding", "findings");
                writeln!(out, "{label:width$}  {outcome}, {findings}")?;
            }
            Err(error) => writeln!(out, "{label:width$}  not scanned: {}", safe(error))?,
        }
    }
    let judged = report.platforms.len() - report.failures();
    let platforms = count(report.platforms.len(), "platform", "platforms");
    match report.outcome() {
        Some(outcome) if judged == report.platforms.len() => {
            writeln!(out, "\nverdict: {}, the worst of {platforms}", table::outcome(outcome, options))
        }
        Some(outcome) => {
            let outcome = table::outcome(outcome, options);
            writeln!(out, "\nverdict: none; {outcome} is the worst of {judged} of {platforms}")
        }
        None => writeln!(out, "\nverdict: none; no platform could be scanned"),
    }
}
