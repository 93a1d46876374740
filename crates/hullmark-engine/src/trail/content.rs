//! What the entries of an evidence bundle are about, read from the entries alone.

use std::collections::BTreeSet;

use hullmark_ledger::Evidence;
use hullmark_types::Digest;

use super::head::Head;
use super::identity::Identities;
use super::search::NamedDigests;

/// What is in a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceContent {
    /// Entries about the image.
    pub image: Vec<u64>,
    /// Entries that store or change what those rest on.
    pub basis: Vec<u64>,
    /// The documents, each with the first entry that names it, in the order of the entries.
    pub documents: Vec<(Digest, u64)>,
}

/// Something in a bundle that does not belong to the image that the bundle is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnrelatedError {
    /// An entry.
    #[error("entry {index} is not about {about}, nor does an entry about it rest on it")]
    Entry {
        /// The entry.
        index: u64,
        /// The digest that the bundle is about.
        about: Digest,
    },
    /// No entry is about the image.
    #[error("no entry is about {about}")]
    Nothing {
        /// The digest that the bundle is about.
        about: Digest,
    },
    /// A document.
    #[error("no entry names the document {digest}")]
    Document {
        /// The document.
        digest: Digest,
    },
}

/// Checks that every entry of a bundle belongs to the trail of the image that the bundle is about, by the entries in the
/// bundle alone, and that an entry names each document. That the entries are genuine is [`Evidence::verify`]'s to say.
///
/// # Errors
/// The first entry or document that does not belong there.
pub fn check_evidence(evidence: &Evidence) -> Result<EvidenceContent, UnrelatedError> {
    let about = || evidence.about.clone();
    let mut heads = Vec::with_capacity(evidence.entries.len());
    for entry in &evidence.entries {
        let unrelated = || UnrelatedError::Entry { index: entry.index, about: about() };
        heads.push((entry.index, Head::parse(&entry.bytes).ok_or_else(unrelated)?));
    }
    let mut identities = Identities::of(&evidence.about);
    identities.close_over(heads.iter().map(|(_, head)| head));
    let (ours, others): (Vec<_>, Vec<_>) = heads.iter().partition(|(_, head)| identities.is_about(head));
    if ours.is_empty() {
        return Err(UnrelatedError::Nothing { about: about() });
    }
    let mut digests = NamedDigests::default();
    let mut exceptions = BTreeSet::new();
    for (_, head) in &ours {
        digests.extend(&head.basis_digests().collect());
        exceptions.extend(head.exceptions_used());
    }
    if let Some((index, _)) = others.iter().find(|(_, head)| !head.is_basis(&digests, &exceptions)) {
        return Err(UnrelatedError::Entry { index: *index, about: about() });
    }
    let mut documents = Vec::with_capacity(evidence.documents.len());
    for document in &evidence.documents {
        let digest = document.digest();
        let named: NamedDigests = [&digest].into_iter().collect();
        let by = evidence.entries.iter().find(|entry| named.occur_in(&entry.bytes));
        let by = by.ok_or_else(|| UnrelatedError::Document { digest: digest.clone() })?;
        documents.push((digest, by.index));
    }
    documents.sort_by_key(|(_, entry)| *entry);
    let indexes = |heads: Vec<&(u64, Head)>| heads.into_iter().map(|(index, _)| *index).collect();
    Ok(EvidenceContent { image: indexes(ours), basis: indexes(others), documents })
}
