//! The tables of `docs/performance.md`, written from the results so that no figure is typed.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::figures::{Figures, median, ratio};
use super::run::{MIB, read};
use crate::workspace::root;

const PAGE: &str = "docs/performance.md";
const BEGIN: &str = "<!-- Written by `cargo xtask bench summary` from here -->\n";
const END: &str = "<!-- to here -->\n";

/// Write the tables into the page.
///
/// # Errors
/// When the results or the page cannot be read, or the page has no place for them.
pub(super) fn write(results: &Path) -> Result<()> {
    let records = read(results)?;
    let path = root().join(PAGE);
    let page = fs::read_to_string(&path).with_context(|| format!("cannot read {PAGE}"))?;
    let page =
        insert(&page, &tables(&records)?).with_context(|| format!("{PAGE} has no place for the tables"))?;
    fs::write(&path, page).with_context(|| format!("cannot write {PAGE}"))?;
    println!("wrote {PAGE}");
    Ok(())
}

fn insert(page: &str, tables: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{tables}\n{END}{after}"))
}

/// The runs of one subject of a record.
fn runs(record: &Value, subject: &str) -> Vec<Figures> {
    let runs = record["subjects"][subject]["runs"].as_array();
    runs.into_iter().flatten().filter_map(Figures::parse).collect()
}

fn tables(records: &[Value]) -> Result<String> {
    let mut text = String::new();
    images(&mut text, records)?;
    wall(&mut text, records)?;
    ratios(&mut text, records)?;
    cost(&mut text, records)?;
    found(&mut text, records)?;
    provenance(&mut text, records)?;
    Ok(text.trim_end().to_owned())
}

fn name(record: &Value) -> String {
    let word = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    format!("{}, {}", word("image"), word("compression"))
}

fn images(text: &mut String, records: &[Value]) -> Result<()> {
    writeln!(text, "### The images\n")?;
    writeln!(text, "| image | layers | entries | uncompressed | stored |\n|---|--:|--:|--:|--:|")?;
    for record in records {
        let megabytes = |field: &str| record[field].as_f64().unwrap_or_default() / 1e6;
        writeln!(
            text,
            "| {} | {} | {} | {:.0} MB | {:.0} MB |",
            name(record),
            record["layers"],
            record["entries"],
            megabytes("bytes"),
            megabytes("stored_bytes")
        )?;
    }
    Ok(())
}

/// The columns of the tables.
const SUBJECTS: [(&str, &str); 6] = [
    ("bare", "bare inflate"),
    ("bare-diff-ids", "bare inflate, diff-ids digested"),
    ("hullmark-cold", "Hullmark, cold"),
    ("hullmark-warm", "Hullmark, warm"),
    ("trivy", "Trivy"),
    ("syft", "Syft"),
];

/// The columns that the results have something for.
fn subjects(records: &[Value]) -> Vec<(&'static str, &'static str)> {
    let has = |subject: &str| records.iter().any(|record| record["subjects"].get(subject).is_some());
    SUBJECTS.into_iter().filter(|(subject, _)| has(subject)).collect()
}

/// One table with a row for each image and a column for each subject.
fn table(
    text: &mut String,
    records: &[Value],
    title: &str,
    columns: &[(&'static str, &'static str)],
    cell: impl Fn(&Value, &'static str) -> Option<String>,
) -> Result<()> {
    writeln!(text, "\n### {title}\n")?;
    let heads: Vec<&str> = columns.iter().map(|(_, head)| *head).collect();
    writeln!(text, "| image | {} |\n|---|{}", heads.join(" | "), "--:|".repeat(heads.len()))?;
    for record in records {
        let cells = columns.iter().map(|(subject, _)| {
            let failed = record["subjects"][*subject].get("failure").is_some();
            if failed { "failed".to_owned() } else { cell(record, subject).unwrap_or_else(|| "-".to_owned()) }
        });
        writeln!(text, "| {} | {} |", name(record), cells.collect::<Vec<String>>().join(" | "))?;
    }
    Ok(())
}

fn time(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

fn wall(text: &mut String, records: &[Value]) -> Result<()> {
    table(text, records, "Wall time, median", &subjects(records), |record, subject| {
        median(runs(record, subject).iter().map(|run| run.wall)).map(time)
    })
}

fn ratios(text: &mut String, records: &[Value]) -> Result<()> {
    let columns = [
        ("bare", "Hullmark cold / bare inflate"),
        ("bare-diff-ids", "Hullmark cold / bare inflate, diff-ids digested"),
        ("trivy", "Trivy / Hullmark cold"),
        ("syft", "Syft / Hullmark cold"),
    ];
    table(text, records, "Ratios of wall time, median over the rounds", &columns, |record, subject| {
        let (cold, other) = (runs(record, "hullmark-cold"), runs(record, subject));
        let ratio = if subject.starts_with("bare") { ratio(&cold, &other) } else { ratio(&other, &cold) };
        ratio.map(|ratio| format!("{ratio:.2}"))
    })
}

fn cost(text: &mut String, records: &[Value]) -> Result<()> {
    let columns = subjects(records);
    table(text, records, "Processor time (user and system), median", &columns, |record, subject| {
        median(runs(record, subject).iter().map(|run| run.processor)).map(time)
    })?;
    table(text, records, "Peak memory, median", &columns, |record, subject| {
        median(runs(record, subject).iter().map(|run| run.peak)).map(|peak| format!("{:.0} MiB", peak / MIB))
    })
}

fn found(text: &mut String, records: &[Value]) -> Result<()> {
    let columns: Vec<_> =
        subjects(records).into_iter().filter(|(subject, _)| !subject.starts_with("bare")).collect();
    table(text, records, "Packages in the SBOM", &columns, |record, subject| {
        record["subjects"][subject]["components"].as_u64().map(|count| count.to_string())
    })
}

fn provenance(text: &mut String, records: &[Value]) -> Result<()> {
    writeln!(text, "\n### Where and how\n")?;
    let mut lines: Vec<String> = Vec::new();
    for record in records {
        let (host, versions) = (&record["host"], &record["versions"]);
        let word = |value: &Value| value.as_str().unwrap_or("not at hand").to_owned();
        let line = format!(
            "- {} of {}, {} of memory, {} {}; Hullmark at {}, {}; Trivy {}, Syft {}; {}, {} rounds:",
            host["processors"],
            word(&host["processor"]),
            host["memory_bytes"]
                .as_f64()
                .map_or_else(|| "unknown".to_owned(), |bytes| format!("{:.0} GiB", bytes / MIB / 1024.0)),
            word(&host["system"]),
            word(&host["kernel"]),
            word(&versions["commit"]),
            word(&versions["rustc"]),
            word(&versions["trivy"]),
            word(&versions["syft"]),
            word(&record["date"]),
            runs(record, "bare").len(),
        );
        match lines.iter_mut().find(|known| known.starts_with(&line)) {
            Some(known) => {
                known.push_str("; ");
                known.push_str(&name(record));
            }
            None => lines.push(format!("{line} {}", name(record))),
        }
    }
    for line in lines {
        writeln!(text, "{line}.")?;
    }
    if let Some(record) = records.first() {
        writeln!(text, "\n```text")?;
        for (subject, _) in subjects(std::slice::from_ref(record)) {
            writeln!(text, "{}", record["subjects"][subject]["command"].as_str().unwrap_or_default())?;
        }
        writeln!(text, "```")?;
    }
    let failures = records.iter().flat_map(|record| {
        let subjects = record["subjects"].as_object().into_iter().flatten();
        subjects.filter_map(move |(_, result)| {
            Some(format!("- {}: {}", name(record), result["failure"].as_str()?))
        })
    });
    let failures: Vec<String> = failures.collect();
    if !failures.is_empty() {
        writeln!(text, "\nWhat failed:\n\n{}", failures.join("\n"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_tables_stand_between_their_marks() {
        let page = format!("# Head\n{BEGIN}old\n{END}tail\n");
        let page = insert(&page, "new").unwrap();
        assert_eq!(page, format!("# Head\n{BEGIN}\nnew\n{END}tail\n"));
        assert_eq!(insert(&page, "new").as_ref(), Some(&page));
        assert_eq!(insert("# Head\n", "new"), None);
    }

    #[test]
    fn a_record_becomes_rows() {
        let run = |wall: f64| json!({"runs": [{"wall_seconds": wall, "processor_seconds": wall, "peak_bytes": 10.0 * MIB}]});
        let record = json!({
            "image": "medium", "compression": "gzip", "layers": 12, "entries": 5, "bytes": 6e8, "stored_bytes": 2e8,
            "subjects": {"bare": run(2.0), "hullmark-cold": run(2.5), "trivy": {"runs": [], "failure": "no"}},
        });
        let text = tables(&[record]).unwrap();
        assert!(text.contains("| medium, gzip | 12 | 5 | 600 MB | 200 MB |"), "{text}");
        assert!(text.contains("| medium, gzip | 2.00 s | 2.50 s | failed |"), "{text}");
        assert!(text.contains("| medium, gzip | 1.25 | - | failed | - |"), "{text}");
        assert!(text.contains("- medium, gzip: no"), "{text}");
    }
}
