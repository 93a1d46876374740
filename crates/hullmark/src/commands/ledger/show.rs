//! `hullmark ledger show`: the life of an image, from a ledger at hand or from a server's.

use anyhow::{Context as _, Result, bail, ensure};
use hullmark_engine::{Relation, TRAIL_DOCUMENT_SCHEMA, Trail, TrailEntry, TrailLimits, describe, trail_of};
use hullmark_ledger::Ledger as Log;
use hullmark_report::safe_text;
use hullmark_types::Digest;
use serde_json::{Value, json};

use super::table::{Origin, write_trail};
use super::{Remote, find};
use crate::cli::TableOrJson;
use crate::output::to_stdout;

/// The largest answer of a server, in bytes: a trail within its limits, with room for spaces.
const MAX_ANSWER: u64 = 192 * 1024 * 1024;

/// Shows what a ledger at hand has about `wanted`.
pub fn local(log: &Log, wanted: &str, format: TableOrJson) -> Result<()> {
    if let Ok(index) = wanted.parse::<u64>() {
        find(log, wanted)?;
        return entry(&log.entry(index)?);
    }
    let digest: Digest = wanted.parse().context("expected the number of an entry, or a digest")?;
    let mut trail = trail_of(log, &digest, TrailLimits::default())?;
    if trail.is_empty() {
        add_mentions(log, &mut trail)?;
    }
    if trail.is_empty() {
        bail!("no entry of the ledger is about `{wanted}`");
    }
    print(&trail, &Origin::Ledger { origin: log.origin(), size: log.size() }, format)
}

/// Shows what a server's ledger has about an image.
pub fn remote(remote: &Remote, wanted: Option<&str>, format: TableOrJson) -> Result<()> {
    let wanted = wanted.context("give the digest of an image: a server is not asked for all entries")?;
    let digest: Digest = wanted.parse().context("a server is asked by the digest of an image")?;
    print(&trail_of_server(remote, &digest)?, &Origin::Server, format)
}

/// The trail of an image as a server tells it.
pub fn trail_of_server(remote: &Remote, digest: &Digest) -> Result<Trail> {
    let answer = remote.get(&format!("/images/{digest}/trail"), MAX_ANSWER)?;
    let answer = answer.with_context(|| format!("the server knows no image `{digest}`"))?;
    let trail: Trail = serde_json::from_slice(&answer).context("the server's answer is not a trail")?;
    ensure!(
        trail.schema == TRAIL_DOCUMENT_SCHEMA,
        "the server answers in version {} of the form, this program reads version {TRAIL_DOCUMENT_SCHEMA}",
        trail.schema
    );
    ensure!(!trail.is_empty(), "the server's ledger has no entry about `{digest}`");
    Ok(trail)
}

/// Adds the entries that name the digest, which is of no image.
fn add_mentions(log: &Log, trail: &mut Trail) -> Result<()> {
    for index in log.find(&trail.asked)? {
        if trail.entries.len() == TrailLimits::default().entries {
            trail.left_out += 1;
            continue;
        }
        let record = as_json(&log.entry(index)?);
        trail.entries.push(TrailEntry { entry: index, relation: Relation::Mention, record });
    }
    Ok(())
}

fn print(trail: &Trail, origin: &Origin<'_>, format: TableOrJson) -> Result<()> {
    to_stdout(|out| match format {
        TableOrJson::Json => {
            serde_json::to_writer_pretty(&mut *out, trail)?;
            out.write_all(b"\n")
        }
        TableOrJson::Table => write_trail(trail, origin, out),
    })
}

/// Prints one entry whole.
fn entry(bytes: &[u8]) -> Result<()> {
    to_stdout(|out| {
        match serde_json::from_slice::<Value>(bytes) {
            Ok(value) => serde_json::to_writer_pretty(&mut *out, &value)?,
            Err(_) => out.write_all(bytes)?,
        }
        out.write_all(b"\n")
    })
}

/// Prints one line for each entry: fields between tabs, or a JSON object.
pub fn list(log: &Log, format: TableOrJson) -> Result<()> {
    let mut failure = None;
    to_stdout(|out| {
        for item in log.entries() {
            let (index, bytes) = match item {
                Ok(item) => item,
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            };
            let record = as_json(&bytes);
            match (format, describe(&record)) {
                (TableOrJson::Json, _) => writeln!(out, "{}", json!({ "entry": index, "record": record }))?,
                (TableOrJson::Table, Some(row)) => writeln!(
                    out,
                    "{index}\t{}\t{}\t{}\t{}\t{}",
                    row.time,
                    row.what,
                    row.outcome,
                    row.digest.map_or_else(|| "-".to_owned(), |digest| digest.to_string()),
                    safe_text(row.image.as_deref().unwrap_or("-")),
                )?,
                (TableOrJson::Table, None) => {
                    writeln!(out, "{index}\t-\tnot a known record\t-\t{}\t-", Digest::sha256(&bytes))?;
                }
            }
        }
        Ok(())
    })?;
    failure.map_or(Ok(()), |error| Err(error.into()))
}

/// The entry as JSON; bytes that are none, which Hullmark does not write, as a string.
fn as_json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}
