//! `hullmark ledger export` and `hullmark verify --bundle`: the life of an image as one document that proves itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use hullmark_engine::{EvidenceContent, Relation, Trail, TrailEntry, TrailLimits, check_evidence, trail_of};
use hullmark_ledger::{
    Evidence, EvidenceDocument, EvidenceProven, Ledger as Log, LogFiles, MAX_EVIDENCE_DOCUMENTS,
    MAX_EVIDENCE_ENTRIES, MAX_EVIDENCE_SIZE, VerifierKey, evidence_from, parse_evidence,
};
use hullmark_types::{Digest, canonical_json};

use super::show::trail_of_server;
use super::table::write_entries;
use super::{Context, MAX_KEY, Remote, read_key, read_limited};
use crate::output::{to_file_or_stdout, to_stdout};

/// The largest document that is attached, in bytes.
const MAX_ATTACHMENT: u64 = 64 * 1024 * 1024;

/// The evidence about an image in a ledger at hand.
pub fn of_ledger(log: &Log, digest: &Digest) -> Result<Evidence> {
    let limits = TrailLimits { entries: MAX_EVIDENCE_ENTRIES, ..TrailLimits::default() };
    let trail = trail_of(log, digest, limits)?;
    ensure!(!trail.is_empty(), "no entry of the ledger is about an image `{digest}`");
    Ok(log.evidence(digest, &entries_of(&trail)?)?)
}

/// The evidence about an image in a server's ledger. The server says which entries belong to the image; that they do, and
/// that they are in the ledger, is verified here.
pub fn of_server(remote: &Remote, digest: &Digest, key: Option<&Path>) -> Result<Evidence> {
    let trail = trail_of_server(remote, digest)?;
    let key = match key {
        Some(path) => read_key(path)?,
        None => {
            let text = remote.get("/ledger/key", MAX_KEY)?.context("the server shows no public key")?;
            VerifierKey::parse(String::from_utf8_lossy(&text).trim())
                .context("what the server shows as its public key is none")?
        }
    };
    let evidence = evidence_from(&RemoteFiles(remote), &key, digest, &entries_of(&trail)?);
    evidence.context("the server's ledger cannot be proved")
}

/// The files of a server's ledger.
struct RemoteFiles<'a>(&'a Remote);

impl LogFiles for RemoteFiles<'_> {
    fn read(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Vec<u8>>, Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.get(&format!("/ledger/{name}"), limit as u64)?)
    }
}

fn entries_of(trail: &Trail) -> Result<BTreeSet<u64>> {
    ensure!(
        trail.left_out == 0 && trail.entries.len() <= MAX_EVIDENCE_ENTRIES,
        "the trail of `{}` is too long for one bundle: {} entries are beyond its limits",
        trail.asked,
        trail.left_out
    );
    Ok(trail.entries.iter().map(|entry| entry.entry).collect())
}

/// Writes the bundle of an image, with these files attached.
pub fn export(
    context: &Context<'_>,
    mut evidence: Evidence,
    output: &Path,
    attach: &[PathBuf],
) -> Result<()> {
    for path in attach {
        let documents = attachments(&evidence, path)?;
        evidence.attach(documents);
    }
    ensure!(
        evidence.documents.len() <= MAX_EVIDENCE_DOCUMENTS,
        "more than {MAX_EVIDENCE_DOCUMENTS} documents are attached"
    );
    let text = evidence.to_json();
    // What is written is what will be read: by the same checks.
    parse_evidence(text.as_bytes()).context("the bundle cannot be made")?;
    check_evidence(&evidence).context("the bundle cannot be made")?;
    to_file_or_stdout(Some(output), |out| out.write_all(text.as_bytes()))?;
    let counted = |number: usize, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    };
    let entries = counted(evidence.entries.len(), "entry", "entries");
    let documents = counted(evidence.documents.len(), "document", "documents");
    context.talk.note(format!("`{}`: {entries}, {documents}", output.display()));
    Ok(())
}

/// The documents in a file that the entries name: the file, or the parts of a JSON report in their canonical form.
fn attachments(evidence: &Evidence, path: &Path) -> Result<Vec<EvidenceDocument>> {
    let bytes = read_limited(path, MAX_ATTACHMENT)?;
    let mut candidates = Vec::new();
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(&bytes) {
        for part in value.as_object().into_iter().flatten().map(|(_, part)| part).chain([&value]) {
            candidates.push(canonical_json(part)?);
        }
    }
    candidates.push(bytes);
    let documents: Vec<_> = candidates
        .into_iter()
        .map(|bytes| EvidenceDocument { bytes })
        .filter(|document| {
            let digest = document.digest().to_string();
            evidence
                .entries
                .iter()
                .any(|entry| std::str::from_utf8(&entry.bytes).is_ok_and(|text| text.contains(&digest)))
        })
        .collect();
    if documents.is_empty() {
        bail!(
            "no entry names `{}` by digest, nor a part of it\nhint: entries name the inventory, the matches and the \
             verdict of a report that `hullmark scan --format json` wrote",
            path.display()
        );
    }
    Ok(documents)
}

/// Verifies a bundle, and says what it proves and what it does not.
pub fn verify(context: &Context<'_>, bundle: &Path, key: Option<&Path>) -> Result<()> {
    let key = key.map(read_key).transpose()?;
    let bytes = read_limited(bundle, MAX_EVIDENCE_SIZE as u64)?;
    let name = || format!("`{}`", bundle.display());
    let evidence = parse_evidence(&bytes).with_context(|| format!("{} cannot be read", name()))?;
    let proven =
        evidence.verify(key.as_ref()).with_context(|| format!("{} does not prove its entries", name()))?;
    let content = check_evidence(&evidence).with_context(|| format!("{} is not about one image", name()))?;
    to_stdout(|out| report(&evidence, &proven, &content, out))?;
    if key.is_none() {
        context.talk.warn(format!(
            "the key is the bundle's own; compare it with one obtained elsewhere, or give it by --key: {}",
            evidence.key
        ));
    }
    Ok(())
}

fn report(
    evidence: &Evidence,
    proven: &EvidenceProven,
    content: &EvidenceContent,
    out: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    let (about, rest) = (content.image.len(), content.basis.len());
    writeln!(out, "proved: these {} entries are in the ledger `{}`", proven.entries.len(), proven.origin)?;
    writeln!(out, "  image       {}", evidence.about)?;
    writeln!(out, "  entries     {about} about the image, {rest} that those rest on")?;
    writeln!(out, "  checkpoint  {} entries, root {}", proven.size, proven.root.to_hex())?;
    writeln!(out, "  key         {}", evidence.key)?;
    for (digest, entry) in &content.documents {
        writeln!(out, "  document    {digest}, named by entry {entry}")?;
    }
    writeln!(out, "not proved: that the ledger has no other entries about the image; that takes the ledger")?;
    writeln!(out)?;
    let entries: Vec<_> = evidence
        .entries
        .iter()
        .filter_map(|entry| {
            let relation = match content.basis.contains(&entry.index) {
                true => Relation::Basis,
                false => Relation::Image,
            };
            let record = serde_json::from_slice(&entry.bytes).ok()?;
            Some(TrailEntry { entry: entry.index, relation, record })
        })
        .collect();
    write_entries(&entries, out)
}
