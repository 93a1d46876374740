//! The life of an image, read from the ledger: verdicts, decisions, starts and alerts about it, and what they rest on.
//!
//! [`trail_of`] reads the ledger and gives a [`Trail`]; its form as JSON is what `hullmark ledger show --format json`
//! prints and what the server answers. [`TrailRow`] is one entry for people.
//!
//! An image has several digests: that of its configuration, of its manifest, of the index that the manifest was chosen
//! from. Any of them leads to the others, because verdict records name all. Two images are never joined by what they
//! share besides: a policy, an advisory database, an exception, or an index that lists both.

mod content;
mod head;
mod identity;
mod row;
mod search;

use std::collections::BTreeSet;

use hullmark_ledger::{Ledger, LedgerError};
use hullmark_types::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use content::{EvidenceContent, UnrelatedError, check_evidence};
pub use row::{TrailRow, describe};

use self::head::Head;
use self::identity::Identities;
use self::search::{NamedDigests, administrative};

/// The version of the form that [`Trail`] has as JSON.
pub const TRAIL_DOCUMENT_SCHEMA: u32 = 1;

/// How much a trail may hold. What is beyond is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailLimits {
    /// The most entries.
    pub entries: usize,
    /// The most bytes of all entries together.
    pub bytes: usize,
}

impl Default for TrailLimits {
    fn default() -> Self {
        Self { entries: 10_000, bytes: 64 * 1024 * 1024 }
    }
}

/// Why an entry belongs to a trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// It is about the image.
    Image,
    /// What an entry about the image rests on: it stores or changes a policy, an exception or the advisory database.
    Basis,
    /// It names the digest, which is of no image: of a policy, an advisory database, an entry, ...
    Mention,
}

/// One entry of a trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrailEntry {
    /// Its number in the ledger.
    pub entry: u64,
    /// Why it is here.
    pub relation: Relation,
    /// The record. Its canonical JSON is the entry, byte for byte.
    pub record: Value,
}

/// The entries of the ledger about one image and what they rest on, in the order of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trail {
    /// [`TRAIL_DOCUMENT_SCHEMA`].
    pub schema: u32,
    /// The digest that was asked for.
    pub asked: Digest,
    /// The name of the ledger.
    pub origin: String,
    /// How many entries the ledger had.
    pub size: u64,
    /// Digests of the indexes that list the image.
    pub indexes: Vec<Digest>,
    /// Digests of its manifests: several when it is stored in several forms, or when an index was asked for.
    pub manifests: Vec<Digest>,
    /// Digests of its configurations: several when an index was asked for.
    pub configs: Vec<Digest>,
    /// The entries.
    pub entries: Vec<TrailEntry>,
    /// How many more entries name the image, or one that shares an index with it; they are beyond the limits.
    #[serde(default)]
    pub left_out: u64,
}

impl Trail {
    /// Whether the ledger knows no image of this digest.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// An entry that names one of the digests looked for.
struct Candidate {
    index: u64,
    bytes: Vec<u8>,
    head: Head,
}

/// Reads the trail of the image with this index, manifest or configuration digest from the ledger.
///
/// Every entry is checked against its hash while it is read. The whole log is read, two to four times: 100,000 entries
/// take a second or two, and memory for no more than the limits allow. The ledger may be one opened by
/// [`Ledger::open_read_only`] while another process or thread appends; call it where it may block.
///
/// # Errors
/// An entry cannot be read or does not match its hash.
pub fn trail_of(ledger: &Ledger, image: &Digest, limits: TrailLimits) -> Result<Trail, LedgerError> {
    let mut searched = NamedDigests::default();
    let mut wanted: NamedDigests = [image].into_iter().collect();
    let mut seen = BTreeSet::new();
    let mut found: Vec<Candidate> = Vec::new();
    let mut budget = Budget::new(limits);
    let mut identities = Identities::of(image);
    // Each round looks for the digests that the last one found; a digest leads to new ones once or twice, not for ever,
    // because the digests of all candidates are finite.
    while !wanted.is_empty() {
        for item in ledger.entries() {
            let (index, bytes) = item?;
            if seen.contains(&index) || !wanted.occur_in(&bytes) {
                continue;
            }
            let Some(head) = Head::parse(&bytes).filter(|head| head.mentions(&wanted)) else { continue };
            seen.insert(index);
            if budget.take(bytes.len()) {
                found.push(Candidate { index, bytes, head });
            }
        }
        searched.extend(&wanted);
        identities.close_over(found.iter().map(|candidate| &candidate.head));
        wanted = identities.digests().filter(|digest| !searched.contains(digest)).collect();
    }
    found.retain(|candidate| identities.is_about(&candidate.head));
    let basis = basis_of(ledger, &found, &mut budget)?;
    let mut entries: Vec<_> =
        found.into_iter().map(|candidate| (candidate, Relation::Image)).chain(basis).collect();
    entries.sort_by_key(|(candidate, _)| candidate.index);
    let entries = entries.into_iter().filter_map(|(candidate, relation)| {
        let record = serde_json::from_slice(&candidate.bytes).ok()?;
        Some(TrailEntry { entry: candidate.index, relation, record })
    });
    Ok(Trail {
        schema: TRAIL_DOCUMENT_SCHEMA,
        asked: image.clone(),
        origin: ledger.origin().to_owned(),
        size: ledger.size(),
        entries: entries.collect(),
        indexes: identities.indexes(),
        manifests: identities.manifests(),
        configs: identities.configs(),
        left_out: budget.refused,
    })
}

/// The entries that store or change what `found` rests on.
fn basis_of(
    ledger: &Ledger,
    found: &[Candidate],
    budget: &mut Budget,
) -> Result<Vec<(Candidate, Relation)>, LedgerError> {
    let mut digests = NamedDigests::default();
    let mut databases = BTreeSet::new();
    let mut exceptions = BTreeSet::new();
    for candidate in found {
        digests.extend(&candidate.head.basis_digests().collect());
        databases.extend(candidate.head.databases().map(ToString::to_string));
        exceptions.extend(candidate.head.exceptions_used());
    }
    let mut basis = Vec::new();
    if digests.is_empty() && exceptions.is_empty() {
        return Ok(basis);
    }
    for item in ledger.entries() {
        let (index, bytes) = item?;
        if !administrative(&bytes) {
            continue;
        }
        let Some(head) = Head::parse(&bytes) else { continue };
        let is_basis = match head.is_of_server() {
            // The server names its database whenever it says something; the first time is when it took it.
            true => head.details().filter(|detail| databases.remove(*detail)).count() > 0,
            false => head.is_basis(&digests, &exceptions),
        };
        if is_basis && !found.iter().any(|known| known.index == index) && budget.take(bytes.len()) {
            basis.push((Candidate { index, bytes, head }, Relation::Basis));
        }
    }
    Ok(basis)
}

/// What of the limits is left.
struct Budget {
    entries: usize,
    bytes: usize,
    refused: u64,
}

impl Budget {
    fn new(limits: TrailLimits) -> Self {
        Self { entries: limits.entries, bytes: limits.bytes, refused: 0 }
    }

    /// Takes room for an entry; once something was refused, everything is, so that the oldest entries are kept whole.
    fn take(&mut self, length: usize) -> bool {
        if self.refused > 0 || self.entries == 0 || self.bytes < length {
            self.refused += 1;
            return false;
        }
        self.entries -= 1;
        self.bytes -= length;
        true
    }
}
