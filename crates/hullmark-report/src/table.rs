//! The report for people. The verdict stands last, where a build log ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use anstyle::{AnsiColor, Style};
use hullmark_types::{
    Action, DiagnosticLevel, ExceptionStatus, FeedStatus, Finding, LayerInfo, Outcome, Reason, Severity,
};
use hullmark_version::{Scheme, compare};

use crate::attribution::{Attribution, attribution, base_in_words};
use crate::text::{count, cut, safe};
use crate::{ScanReport, WriteOptions};

pub(crate) fn write(report: &ScanReport, options: &WriteOptions, out: &mut dyn io::Write) -> io::Result<()> {
    let paint = Paint { color: options.color };
    heading(report, out)?;
    findings(report, options, &paint, out)?;
    coverage(report, out)?;
    exceptions(report, out)?;
    totals(report, out)?;
    reasons(report, &paint, out)?;
    verdict(report, &paint, out)
}

/// A verdict in a word.
pub(crate) fn outcome(outcome: Outcome, options: &WriteOptions) -> String {
    Paint { color: options.color }.outcome(outcome)
}

struct Paint {
    color: bool,
}

impl Paint {
    fn apply(&self, style: Style, text: &str) -> String {
        if self.color { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    fn outcome(&self, outcome: Outcome) -> String {
        let (color, word) = match outcome {
            Outcome::Passed => (AnsiColor::Green, "PASSED"),
            Outcome::Warned => (AnsiColor::Yellow, "PASSED with warnings"),
            Outcome::Failed => (AnsiColor::Red, "FAILED"),
        };
        self.apply(Style::new().bold().fg_color(Some(color.into())), word)
    }

    fn severity(&self, severity: Severity, text: &str) -> String {
        let color = match severity {
            Severity::Critical => AnsiColor::Magenta,
            Severity::High => AnsiColor::Red,
            Severity::Medium => AnsiColor::Yellow,
            Severity::Low | Severity::Negligible => AnsiColor::Cyan,
            Severity::Unrated => return text.to_owned(),
        };
        self.apply(Style::new().bold().fg_color(Some(color.into())), text)
    }
}

fn heading(report: &ScanReport, out: &mut dyn io::Write) -> io::Result<()> {
    let inventory = &report.inventory;
    let subject = &inventory.subject;
    writeln!(out, "image         {}", safe(&subject.name))?;
    if let Some(digest) = subject.digest() {
        writeln!(out, "digest        {digest}")?;
    }
    if let Some(platform) = &subject.platform {
        writeln!(out, "platform      {}", safe(&platform.to_string()))?;
    }
    let distribution = inventory.distribution.as_ref().map(|distribution| safe(&distribution.display_name()));
    writeln!(out, "distribution  {}", distribution.as_deref().unwrap_or("unknown"))?;
    if let Some(base) = base_in_words(inventory) {
        writeln!(out, "base          {base}")?;
    }
    let packages = count(inventory.packages.len(), "package", "packages");
    let layers = count(inventory.layers.len(), "layer", "layers");
    write!(out, "contents      {packages} in {layers}")?;
    if let Some(Attribution { base, own }) = attribution(report) {
        write!(out, ": {} from the base, {} added", base.packages, own.packages)?;
    }
    writeln!(out)
}

/// The columns of the table of findings.
const COLUMNS: [&str; 6] = ["PACKAGE", "INSTALLED", "FIXED IN", "SEVERITY", "VULNERABILITY", "LAYER"];

fn findings(
    report: &ScanReport,
    options: &WriteOptions,
    paint: &Paint,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    if report.matches.findings.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<&Finding> = report.matches.findings.iter().collect();
    // The worst first; otherwise the order of the matches, which is by package.
    sorted.sort_by_key(|finding| {
        (std::cmp::Reverse(finding.known_exploited.is_some()), std::cmp::Reverse(finding.severity))
    });
    let rows: Vec<[String; 6]> =
        sorted.iter().map(|finding| row(finding, &report.inventory.layers)).collect();
    let mut widths = COLUMNS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    // Only the last column, the instruction of the layer, gives way to a narrow terminal.
    let fixed: usize = widths.iter().take(5).sum::<usize>() + 2 * 5;
    let last = options.width.map_or(60, |width| width.saturating_sub(fixed)).clamp(7, 60);
    writeln!(out)?;
    line(out, &COLUMNS.map(str::to_owned), &widths, last, |_, text| paint.apply(Style::new().bold(), text))?;
    for (finding, cells) in sorted.iter().zip(&rows) {
        line(out, cells, &widths, last, |column, text| match column {
            3 => paint.severity(finding.severity, text),
            _ => text.to_owned(),
        })?;
    }
    Ok(())
}

fn line(
    out: &mut dyn io::Write,
    cells: &[String; 6],
    widths: &[usize; 6],
    last: usize,
    paint: impl Fn(usize, &str) -> String,
) -> io::Result<()> {
    let mut text = String::new();
    for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
        match column {
            5 => text.push_str(&paint(column, &cut(cell, last))),
            _ => {
                text.push_str(&paint(column, cell));
                text.push_str(&" ".repeat(width - cell.chars().count() + 2));
            }
        }
    }
    writeln!(out, "{}", text.trim_end())
}

fn row(finding: &Finding, layers: &[LayerInfo]) -> [String; 6] {
    let package = &finding.package;
    let place = match package.kind.is_operating_system() {
        true => safe(&package.name),
        false => format!("{} ({})", safe(&package.name), safe(&package.path)),
    };
    let rating = match (&finding.severity_source, finding.cvss_score_tenths) {
        (Some(source), Some(tenths)) => {
            format!("{} {}.{} {}", finding.severity, tenths / 10, tenths % 10, safe(source))
        }
        (Some(source), None) => format!("{} {}", finding.severity, safe(source)),
        (None, _) => finding.severity.to_string(),
    };
    let exploited = if finding.known_exploited.is_some() { " (exploited)" } else { "" };
    let fixed = finding.fixed_version.as_deref().map_or_else(|| "no fix".to_owned(), safe);
    [
        place,
        safe(&package.version),
        fixed,
        rating,
        format!("{}{exploited}", safe(&finding.id)),
        layer(package.layer, layers),
    ]
}

/// The number of a layer from 1, and the beginning of its instruction.
fn layer(index: u32, layers: &[LayerInfo]) -> String {
    let instruction =
        layers.iter().find(|layer| layer.index == index).and_then(|layer| layer.created_by.as_deref());
    let instruction =
        instruction.map(|text| text.trim_start_matches("/bin/sh -c ").trim_start_matches("#(nop)").trim());
    match instruction {
        Some(text) => format!("{} {}", index + 1, safe(text)),
        None => (index + 1).to_string(),
    }
}

fn coverage(report: &ScanReport, out: &mut dyn io::Write) -> io::Result<()> {
    writeln!(out, "\nadvisories    {} packages looked up in", report.matches.packages_covered)?;
    for feed in &report.matches.feeds {
        writeln!(out, "  {}", feed_line(feed))?;
    }
    if report.matches.feeds.is_empty() {
        writeln!(out, "  no feed: nothing in the advisory database speaks for this image")?;
    }
    let in_part = |code: &str| matches!(code, "lazy-layer" | "lazy-fallback");
    let mut in_part = report.inventory.diagnostics.iter().filter(|found| in_part(&found.code)).peekable();
    if in_part.peek().is_some() {
        writeln!(out, "\nlazy reading")?;
        for note in in_part {
            let layer = note.layer.map(|layer| format!("layer {}: ", layer + 1)).unwrap_or_default();
            writeln!(out, "  {layer}{}", safe(&note.message))?;
        }
    }
    let mut undetermined: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for answer in &report.matches.undetermined {
        undetermined.entry((&answer.code, &answer.reason)).or_default().push(&answer.package.name);
    }
    let gaps: Vec<_> = report
        .inventory
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.level == DiagnosticLevel::Gap)
        .collect();
    if undetermined.is_empty() && gaps.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nnot assessed")?;
    for ((code, reason), names) in &undetermined {
        let shown: Vec<String> = names.iter().take(5).map(|name| safe(name)).collect();
        let more = names.len().saturating_sub(shown.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let packages = count(names.len(), "package", "packages");
        writeln!(out, "  {code}: {}: {packages}: {}{more}", safe(reason), shown.join(", "))?;
    }
    for gap in gaps.iter().take(20) {
        let place = if gap.path.is_empty() { String::new() } else { format!(" `{}`", safe(&gap.path)) };
        let layer = gap.layer.map(|layer| format!(" in layer {}", layer + 1)).unwrap_or_default();
        writeln!(out, "  {}{place}{layer}: {}", gap.code, safe(&gap.message))?;
    }
    match gaps.len().saturating_sub(20) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more, all of them in the JSON report"),
    }
}

fn feed_line(feed: &FeedStatus) -> String {
    let date = |time: jiff::Timestamp| time.to_string().chars().take(10).collect::<String>();
    let age = feed
        .data_date
        .map_or_else(|| "data of unknown date".to_owned(), |time| format!("data of {}", date(time)));
    let skipped =
        if feed.skipped > 0 { format!(", {} could not be read", feed.skipped) } else { String::new() };
    format!("{}, {age}, {}{skipped}", safe(&feed.name), count(feed.records as usize, "record", "records"))
}

fn exceptions(report: &ScanReport, out: &mut dyn io::Write) -> io::Result<()> {
    let verdict = &report.verdict;
    if verdict.excused.is_empty() && verdict.exceptions.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nexceptions    {} excused", count(verdict.excused.len(), "reason is", "reasons are"))?;
    for reason in &verdict.excused {
        let exception = reason.exception.as_deref().unwrap_or("an exception");
        let what = reason.finding.as_deref().unwrap_or(&reason.rule);
        let package =
            reason.package.as_deref().map(|package| format!(" in {}", safe(package))).unwrap_or_default();
        writeln!(out, "  {}: excuses {}{package}", safe(exception), safe(what))?;
    }
    for used in &verdict.exceptions {
        let date = used.expires.map(|time| time.to_string()).unwrap_or_default();
        match used.status {
            ExceptionStatus::Used => {}
            ExceptionStatus::ExpiringSoon => writeln!(out, "  {}: expires soon, at {date}", safe(&used.id))?,
            ExceptionStatus::Expired => {
                writeln!(out, "  {}: expired at {date} and excuses nothing", safe(&used.id))?
            }
            ExceptionStatus::Unused => writeln!(out, "  {}: matched nothing; remove it", safe(&used.id))?,
        }
    }
    Ok(())
}

fn totals(report: &ScanReport, out: &mut dyn io::Write) -> io::Result<()> {
    let findings = &report.matches.findings;
    let of = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    write!(
        out,
        "\nVulnerabilities found for image {}: total - {}",
        safe(&report.inventory.subject.name),
        findings.len()
    )?;
    for severity in Severity::ALL.into_iter().rev() {
        let number = of(severity);
        let always =
            matches!(severity, Severity::Critical | Severity::High | Severity::Medium | Severity::Low);
        if number > 0 || always {
            write!(out, ", {severity} - {number}")?;
        }
    }
    let undetermined = report.matches.undetermined.len();
    if undetermined > 0 {
        write!(out, "; undetermined - {undetermined}")?;
    }
    writeln!(out)?;
    match attribution(report) {
        Some(Attribution { base, own }) if !findings.is_empty() => {
            writeln!(out, "  from the base  {}", base.findings_in_words())?;
            writeln!(out, "  added          {}", own.findings_in_words())
        }
        _ => Ok(()),
    }
}

/// The most reasons of one rule that are shown.
const MAX_REASONS: usize = 10;

fn reasons(report: &ScanReport, paint: &Paint, out: &mut dyn io::Write) -> io::Result<()> {
    let mut rules: Vec<(&str, Vec<&Reason>)> = Vec::new();
    for reason in &report.verdict.reasons {
        match rules
            .iter_mut()
            .find(|(rule, reasons)| *rule == reason.rule && reasons.iter().all(|r| r.action == reason.action))
        {
            Some((_, reasons)) => reasons.push(reason),
            None => rules.push((&reason.rule, vec![reason])),
        }
    }
    for (rule, reasons) in &rules {
        let Some(first) = reasons.first() else { continue };
        let word = match first.action {
            Action::Fail => paint.apply(Style::new().bold().fg_color(Some(AnsiColor::Red.into())), "fail"),
            Action::Warn => paint.apply(Style::new().bold().fg_color(Some(AnsiColor::Yellow.into())), "warn"),
            Action::None => "none".to_owned(),
        };
        writeln!(out, "\n{word}  {}", safe(rule))?;
        for reason in reasons.iter().take(MAX_REASONS) {
            let grace = reason
                .grace_days_left
                .map(|days| format!(" ({days} days of grace left)"))
                .unwrap_or_default();
            let what =
                reason.finding.as_deref().map(|finding| format!("{}: ", safe(finding))).unwrap_or_default();
            writeln!(out, "  {what}{}{grace}", safe(&reason.message))?;
        }
        if reasons.len() > MAX_REASONS {
            writeln!(out, "  and {} more", reasons.len() - MAX_REASONS)?;
        }
    }
    fixes(report, out)
}

/// The smallest upgrade of each package that fixes all that failed.
fn fixes(report: &ScanReport, out: &mut dyn io::Write) -> io::Result<()> {
    let failed: BTreeSet<(&str, &str)> = report
        .verdict
        .reasons
        .iter()
        .filter(|reason| reason.action == Action::Fail)
        .filter_map(|reason| Some((reason.package.as_deref()?, reason.finding.as_deref()?)))
        .collect();
    let mut fixes: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    for finding in &report.matches.findings {
        let Some(fixed) = &finding.fixed_version else { continue };
        if failed.contains(&(finding.package.purl.as_str(), finding.id.as_str())) {
            let known = fixes.entry((&finding.package.name, &finding.package.version)).or_insert(fixed);
            if is_later(finding, fixed, known) {
                *known = fixed;
            }
        }
    }
    if !fixes.is_empty() {
        writeln!(out)?;
    }
    for ((name, installed), fixed) in fixes {
        writeln!(out, "fix: upgrade {} from {} to {} or later", safe(name), safe(installed), safe(fixed))?;
    }
    Ok(())
}

/// Whether `version` is later than `other` in the order that the finding was matched by.
fn is_later(finding: &Finding, version: &str, other: &str) -> bool {
    let scheme = finding.evidence.first().and_then(|evidence| evidence.scheme.parse::<Scheme>().ok());
    scheme.is_some_and(|scheme| compare(scheme, version, other).is_ok_and(|order| order.is_gt()))
}

fn verdict(report: &ScanReport, paint: &Paint, out: &mut dyn io::Write) -> io::Result<()> {
    let verdict = &report.verdict;
    if let Some(receipt) = &report.ledger {
        writeln!(out, "\nrecorded      entry {} of the ledger, {}", receipt.index, receipt.entry_digest)?;
    }
    if !report.degraded.is_empty() {
        let words: Vec<String> = report.degraded.iter().map(|word| safe(word)).collect();
        writeln!(out, "degraded      {}", words.join(", "))?;
    }
    let of = |action| verdict.reasons.iter().filter(|reason| reason.action == action).count();
    let (failures, warnings) =
        (count(of(Action::Fail), "failure", "failures"), count(of(Action::Warn), "warning", "warnings"));
    let word = paint.outcome(verdict.outcome);
    writeln!(
        out,
        "verdict: {word} by policy `{}` at stage {}: {failures}, {warnings}",
        safe(&verdict.policy),
        verdict.stage
    )
}
