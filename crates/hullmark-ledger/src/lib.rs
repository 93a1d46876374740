//! The tamper-evident ledger: Merkle log in tiles, checkpoints, proofs.
mod bundle;
mod checkpoint;
mod error;
mod frontier;
mod hash;
mod key;
pub mod merkle;
mod note;
mod proof;
mod resource;
pub use bundle::{BundleError, MAX_BUNDLE_SIZE, MAX_ENTRY_SIZE, parse_bundle};
pub use checkpoint::{Checkpoint, parse_checkpoint};
pub use error::{Culprit, FormatError, LedgerError};
pub use frontier::LeafHashes;
pub use hash::{HASH_SIZE, NodeHash};
pub use key::{SignerKey, VerifierKey};
pub use note::{MAX_NOTE_SIZE, MAX_SIGNATURES, SignatureLine, SignedNote, is_key_name};
pub use proof::{Proof, Proven, parse_proof, verify_proof};
