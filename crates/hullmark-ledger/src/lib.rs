//! The tamper-evident ledger: an append-only Merkle log on disk in the layout of C2SP tlog-tiles, with signed
//! checkpoints and proofs that can be checked offline.
//!
//! [`Ledger`] is opened on a directory; [`Ledger::append`] takes entries (opaque bytes, for Hullmark the canonical JSON
//! of a verdict record) and returns when they are on the disk and signed. [`Ledger::prove`] makes a [`Proof`], which
//! [`verify_proof`] checks with nothing but the entry and the [`VerifierKey`]. [`verify_log`] recomputes everything and
//! names the first entry that does not match. [`Ledger::evidence`] bundles several entries with their proofs.
//! [`JournaledLedger`] appends with one write and one flush, and publishes later; its journal belongs to the ledger.
//!
//! The directory:
//!
//! | file | content |
//! |---|---|
//! | `checkpoint` | name, size and root of the tree, signed (signed note, Ed25519) |
//! | `tile/<level>/<index>[.p/<width>]` | hashes of the tree, 256 to a tile |
//! | `tile/entries/<index>[.p/<width>]` | the entries, 256 to a bundle, each after its length in two bytes |
//! | `ledger.pub`, `ledger.key` | public key; private key, for its owner alone |
//! | `lock` | held by the process that publishes |
//! | `journal/<first index>` | entries that are recorded and not published yet, only with a [`JournaledLedger`] |
//! | `journal/lock` | held by the process that records |
//!
//! Partial tiles and bundles are kept for the present size only: a narrower version is the beginning of a wider one, so a
//! server can cut it from that. Formats: <https://c2sp.org/tlog-tiles>, <https://c2sp.org/tlog-checkpoint>,
//! <https://c2sp.org/signed-note>, <https://c2sp.org/tlog-proof>.

mod append;
mod bundle;
mod checkpoint;
mod error;
mod evidence;
mod files;
mod frontier;
mod hash;
mod journal;
mod key;
mod keyfiles;
mod ledger;
pub mod merkle;
mod note;
mod proof;
mod resource;
mod store;
mod sweep;
mod verify;

#[cfg(test)]
mod crash_tests;

pub use append::Receipt;
pub use bundle::{BundleError, MAX_BUNDLE_SIZE, MAX_ENTRY_SIZE, parse_bundle};
pub use checkpoint::{Checkpoint, parse_checkpoint};
pub use error::{Culprit, EntryMismatch, FormatError, LedgerError, NodeMismatch};
pub use evidence::{
    EVIDENCE_FORMAT, Evidence, EvidenceDocument, EvidenceEntry, EvidenceError, EvidenceProven, LogFiles,
    MAX_EVIDENCE_DOCUMENTS, MAX_EVIDENCE_ENTRIES, MAX_EVIDENCE_SIZE, evidence_from, parse_evidence,
};
pub use frontier::LeafHashes;
pub use hash::{HASH_SIZE, NodeHash};
pub use journal::{
    JournalDamage, JournalRecord, JournalSegment, JournaledLedger, Publication, parse_journal,
    publish_journal,
};
pub use key::{SignerKey, VerifierKey};
pub use keyfiles::Entropy;
pub use ledger::{Entries, Ledger};
pub use note::{MAX_NOTE_SIZE, MAX_SIGNATURES, SignatureLine, SignedNote, is_key_name};
pub use proof::{Proof, Proven, parse_proof, verify_proof};
pub use sweep::Extra;
pub use verify::{ExtraFile, VerifyReport, verify_log};
