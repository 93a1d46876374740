//! `hullmark coverage`: what is found, by kind of package.

use std::collections::BTreeSet;
use std::io::{self, Write};

use anyhow::Result;
use hullmark_advisory::config;
use hullmark_inventory::{KindCoverage, kind_coverage};
use hullmark_types::PackageKind;
use hullmark_version::Scheme;
use serde::Serialize;

use crate::cli::CoverageFormat;
use crate::output::to_stdout;

/// What is found of a kind of package, and who warns of it.
#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    found: KindCoverage,
    /// The ecosystems of the built-in feeds whose advisories are about it, and whose versions can be compared.
    advisories: Vec<String>,
}

/// Runs the command.
pub fn run(format: CoverageFormat) -> Result<()> {
    let rows = rows();
    match format {
        CoverageFormat::Json => to_stdout(|out| {
            serde_json::to_writer_pretty(&mut *out, &rows)?;
            out.write_all(b"\n")
        }),
        CoverageFormat::Table => to_stdout(|out| table(&rows, out)),
        CoverageFormat::Markdown => to_stdout(|out| markdown(&rows, out)),
    }
}

fn rows() -> Vec<Row> {
    let feeds = config::defaults();
    let advisories = |kind: PackageKind| {
        let ecosystems = feeds.iter().filter_map(|feed| feed.family());
        let about = ecosystems.filter(|ecosystem| PackageKind::of_ecosystem(ecosystem) == Some(kind));
        let comparable = about.filter(|ecosystem| Scheme::for_ecosystem(ecosystem).is_some());
        comparable.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
    };
    kind_coverage().into_iter().map(|found| Row { advisories: advisories(found.kind), found }).collect()
}

const COLUMNS: [&str; 5] = ["ECOSYSTEM", "IMAGES", "DIRECTORIES", "LICENCES", "ADVISORIES"];

fn cells(row: &Row) -> [String; 5] {
    let names = |names: &[&str]| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
    let yes = |yes: bool| if yes { "yes" } else { "-" }.to_owned();
    let both: Vec<&str> = row.found.installed.iter().chain(&row.found.project).copied().collect();
    let advisories: Vec<&str> = row.advisories.iter().map(String::as_str).collect();
    [
        row.found.kind.to_string(),
        names(&row.found.installed),
        names(&both),
        yes(row.found.licenses),
        names(&advisories),
    ]
}

fn table(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    let yes = |names: &[&str]| if names.is_empty() { "-" } else { "yes" }.to_owned();
    let short = rows.iter().map(|row| {
        let [kind, _, _, licences, advisories] = cells(row);
        let both = [row.found.installed.as_slice(), &row.found.project].concat();
        [kind, yes(&row.found.installed), yes(&both), licences, advisories]
    });
    let all: Vec<[String; 5]> = std::iter::once(COLUMNS.map(str::to_owned)).chain(short).collect();
    let width = |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.len()).max();
    let widths = [0, 1, 2, 3, 4].map(|column| width(column).unwrap_or_default());
    for row in &all {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", padded.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn markdown(rows: &[Row], out: &mut dyn Write) -> io::Result<()> {
    writeln!(
        out,
        "# Coverage\n\nMade by `hullmark coverage --format markdown`. An ecosystem is the type of its package URLs. In images and \
         root file systems\nwhat is installed is found; in directories (`dir:`) also what the files of a project ask for. The \
         names are those of\nthe [extractors](extractors.md). Advisories are those of the built-in feeds (`hullmark db feeds`); \
         packages of other\necosystems are listed, and are undetermined.\n"
    )?;
    writeln!(
        out,
        "| Ecosystem | In images | In directories | Licences | Advisories |\n|---|---|---|---|---|"
    )?;
    for row in rows {
        writeln!(out, "| {} |", cells(row).join(" | "))?;
    }
    Ok(())
}
