//! What can be wrong with an evidence bundle.

use hullmark_types::Digest;

use crate::error::FormatError;

/// Why an evidence bundle cannot be read or does not hold.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// It is larger than any that is read.
    #[error("the bundle has {size} bytes, more than {limit}")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// It is not a JSON document of the expected form.
    #[error("the bundle is not of the form `hullmark-evidence-1`")]
    Json(#[source] serde_json::Error),
    /// It is of another form or of a later version.
    #[error("the bundle has the format `{found}`, expected `hullmark-evidence-1`")]
    Format {
        /// What it says it is.
        found: String,
    },
    /// It names no digest that it is about.
    #[error("the bundle does not say what it is about")]
    About(#[source] hullmark_types::DigestError),
    /// Its key is not a public key.
    #[error("the key in the bundle is damaged")]
    KeyMalformed(#[source] FormatError),
    /// Its checkpoint cannot be understood.
    #[error("the checkpoint in the bundle is damaged")]
    CheckpointMalformed(#[source] FormatError),
    /// Its checkpoint is of another ledger than the bundle says.
    #[error("the bundle says that it is of the ledger `{said}`, its checkpoint is of `{found}`")]
    Origin {
        /// The origin that the bundle names.
        said: String,
        /// The origin of the checkpoint.
        found: String,
    },
    /// It holds more than is read.
    #[error("the bundle has {found} {what}, more than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many it has.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// It proves nothing.
    #[error("the bundle has no entries")]
    Empty,
    /// An entry cannot be understood.
    #[error("entry {index} (number {position} in the bundle): {reason}")]
    Entry {
        /// The index that the bundle gives it.
        index: u64,
        /// Its position in the bundle, from 0.
        position: usize,
        /// What is wrong.
        reason: &'static str,
    },
    /// A document is not base64.
    #[error("the document {digest} is not base64")]
    DocumentEncoding {
        /// Its digest, as the bundle says.
        digest: String,
    },
    /// A document does not have the digest it should have.
    #[error("the document {said} was changed: its bytes have the digest {found}")]
    DocumentDigest {
        /// Its digest, as the bundle says.
        said: String,
        /// The digest of its bytes.
        found: Digest,
    },
    /// The documents are not in the order of their digests, or one is there twice.
    #[error("the document {digest} is out of order or there twice")]
    DocumentOrder {
        /// The document.
        digest: Digest,
    },
    /// The key in the bundle is not the one to trust.
    #[error("the bundle is of the key {found}, expected {expected}")]
    OtherKey {
        /// Name and id of the key to trust.
        expected: String,
        /// Name and id of the key in the bundle.
        found: String,
    },
    /// The checkpoint is not signed by the key.
    #[error("the checkpoint in the bundle is not valid")]
    Checkpoint(#[source] FormatError),
    /// An entry is not in the tree of the checkpoint.
    #[error(
        "the proof of entry {index} does not hold: this is not the entry in the ledger of {size} entries, or the proof \
         was changed"
    )]
    Inclusion {
        /// Its index, as the bundle says.
        index: u64,
        /// Entries by the checkpoint.
        size: u64,
    },
}
