//! Evidence bundles: entries of a ledger with what is needed to check them elsewhere, in one JSON document.
//!
//! [`Ledger::evidence`] makes an [`Evidence`], [`Evidence::to_json`] writes it, [`parse_evidence`] reads it, and
//! [`Evidence::verify`] checks it with nothing but the public key. All proofs lead to one checkpoint, so the bundle
//! proves that all entries were in the ledger at one moment. It cannot prove that they are all there were: for that
//! the log is needed. `docs/ledger.md` describes the document.

mod error;
mod remote;
mod wire;

use std::collections::BTreeSet;

use hullmark_types::Digest;

use crate::checkpoint::Checkpoint;
use crate::error::LedgerError;
use crate::frontier::TILE_WIDTH;
use crate::hash::NodeHash;
use crate::key::VerifierKey;
use crate::ledger::Ledger;
use crate::merkle::{inclusion_proof, verify_inclusion};
use crate::store::TiledTree;

pub use error::EvidenceError;
pub use remote::{LogFiles, evidence_from};
pub use wire::{EVIDENCE_FORMAT, parse_evidence};

/// Largest bundle that is read.
pub const MAX_EVIDENCE_SIZE: usize = 256 * 1024 * 1024;

/// Most entries in a bundle.
pub const MAX_EVIDENCE_ENTRIES: usize = 20_000;

/// Most documents in a bundle.
pub const MAX_EVIDENCE_DOCUMENTS: usize = 1_000;

/// Entries of a ledger with their proofs, and documents that the entries name by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What the entries are about: the digest of an image.
    pub about: Digest,
    /// The public key of the ledger, as its keeper says. Whether it is that must be known from elsewhere.
    pub key: VerifierKey,
    /// The checkpoint that all proofs lead to.
    pub checkpoint: Checkpoint,
    /// The entries, by index.
    pub entries: Vec<EvidenceEntry>,
    /// Documents, by digest.
    pub documents: Vec<EvidenceDocument>,
}

/// An entry with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceEntry {
    /// Its index.
    pub index: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The audit path, from the sibling of the leaf to the child of the root.
    pub path: Vec<NodeHash>,
}

/// A document that belongs to the entries: an inventory, a policy, ...
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceDocument {
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl EvidenceDocument {
    /// Its digest, computed from its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::sha256(&self.bytes)
    }
}

/// What a valid bundle says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct EvidenceProven {
    /// The ledger.
    pub origin: String,
    /// How many entries the ledger had when the bundle was made.
    pub size: u64,
    /// The root of its tree then.
    pub root: NodeHash,
    /// The indexes of the entries that are proved to be in it.
    pub entries: Vec<u64>,
}

impl Evidence {
    /// Adds documents that entries name by digest.
    pub fn attach(&mut self, documents: Vec<EvidenceDocument>) {
        self.documents.extend(documents);
        self.documents.sort_by_cached_key(EvidenceDocument::digest);
        self.documents.dedup();
    }

    /// Checks that the checkpoint is signed and that every entry is in the tree it speaks of. With a `key` from
    /// elsewhere, the key in the bundle must be that key; without, a bundle made up as a whole is not noticed.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(&self, key: Option<&VerifierKey>) -> Result<EvidenceProven, EvidenceError> {
        if let Some(expected) = key.filter(|key| **key != self.key) {
            return Err(EvidenceError::OtherKey { expected: expected.label(), found: self.key.label() });
        }
        self.checkpoint.verify(&self.key).map_err(EvidenceError::Checkpoint)?;
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        for entry in &self.entries {
            let leaf = NodeHash::of_leaf(&entry.bytes);
            if !verify_inclusion(leaf, entry.index, size, &entry.path, root) {
                return Err(EvidenceError::Inclusion { index: entry.index, size });
            }
        }
        Ok(EvidenceProven {
            origin: self.checkpoint.origin().to_owned(),
            size,
            root,
            entries: self.entries.iter().map(|entry| entry.index).collect(),
        })
    }
}

impl Ledger {
    /// Makes the evidence for some entries by the checkpoint last seen.
    ///
    /// # Errors
    /// There is no such entry, tiles are absent or damaged, or they are not those that were signed.
    pub fn evidence(&self, about: &Digest, indexes: &BTreeSet<u64>) -> Result<Evidence, LedgerError> {
        let mut tree = TiledTree::new(&self.root, self.size());
        let source = Source { key: &self.verifier, checkpoint: &self.checkpoint };
        source.evidence(about, indexes, &mut tree, |number| self.checked_bundle(number))
    }
}

/// A log that entries and proofs are taken from.
struct Source<'a> {
    key: &'a VerifierKey,
    checkpoint: &'a Checkpoint,
}

impl Source<'_> {
    /// Takes the entries out of the bundles that `read_bundle` reads by number, and proves each by the hashes of `tree`.
    fn evidence(
        &self,
        about: &Digest,
        indexes: &BTreeSet<u64>,
        tree: &mut TiledTree<'_>,
        mut read_bundle: impl FnMut(u64) -> Result<Vec<Vec<u8>>, LedgerError>,
    ) -> Result<Evidence, LedgerError> {
        let (size, root) = (self.checkpoint.size(), self.checkpoint.root());
        let mut entries = Vec::with_capacity(indexes.len());
        let mut bundle: Option<(u64, Vec<Vec<u8>>)> = None;
        for &index in indexes {
            if index >= size {
                return Err(LedgerError::NoSuchEntry { index, size });
            }
            // Entries of a trail lie together: one bundle serves several.
            let number = index / TILE_WIDTH as u64;
            let read = match bundle.take().filter(|(known, _)| *known == number) {
                Some(read) => read,
                None => (number, read_bundle(number)?),
            };
            let position = usize::try_from(index % TILE_WIDTH as u64).unwrap_or(usize::MAX);
            let bytes = read.1.get(position).cloned().ok_or(LedgerError::NoSuchEntry { index, size })?;
            bundle = Some(read);
            let path = inclusion_proof(tree, index, size)?;
            if !verify_inclusion(NodeHash::of_leaf(&bytes), index, size, &path, root) {
                return Err(LedgerError::ProofFails { index, size });
            }
            entries.push(EvidenceEntry { index, bytes, path });
        }
        Ok(Evidence {
            about: about.clone(),
            key: self.key.clone(),
            checkpoint: self.checkpoint.clone(),
            entries,
            documents: Vec::new(),
        })
    }
}
