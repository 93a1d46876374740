//! Self-contained proofs (c2sp.org/tlog-proof@v1): that an entry is in the ledger, to be checked without it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::checkpoint::{Checkpoint, parse_checkpoint, parse_decimal};
use crate::error::{FormatError, LedgerError};
use crate::hash::NodeHash;
use crate::key::VerifierKey;
use crate::merkle::verify_inclusion;
use crate::note::MAX_NOTE_SIZE;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// Most hashes an audit path can have in a tree of fewer than 2^63 entries.
pub(crate) const MAX_HASHES: usize = 63;

/// Most bytes of opaque extra data, encoded.
const MAX_EXTRA: usize = 256 * 1024;

/// Largest proof that is read.
const MAX_PROOF_SIZE: usize = MAX_EXTRA + MAX_NOTE_SIZE + 8 * 1024;

/// A proof of inclusion with the checkpoint it leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Opaque data that came with the proof. Nothing authenticates it.
    pub extra: Option<Vec<u8>>,
    /// The index of the entry.
    pub index: u64,
    /// The audit path, from the sibling of the leaf to the child of the root.
    pub path: Vec<NodeHash>,
    /// The checkpoint.
    pub checkpoint: Checkpoint,
}

/// What a valid proof says.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Proven {
    /// The ledger.
    pub origin: String,
    /// The index of the entry in it.
    pub index: u64,
    /// The entries the ledger had when the proof was made.
    pub size: u64,
    /// The root of its tree then.
    pub root: NodeHash,
}

/// Reads a proof. Nothing is verified here: see [`verify_proof`].
///
/// # Errors
/// The line and what is wrong with it, when the form is not that of the specification or exceeds the limits.
pub fn parse_proof(bytes: &[u8]) -> Result<Proof, FormatError> {
    let error = |line, reason| FormatError { what: "proof", line, reason };
    if bytes.len() > MAX_PROOF_SIZE {
        return Err(error(1, "longer than any proof"));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| error(1, "not UTF-8"))?;
    let (head, checkpoint) =
        text.split_once("\n\n").ok_or(error(1, "no blank line before the checkpoint"))?;
    let mut lines = head.split('\n').zip(1_usize..).peekable();
    if lines.next().map(|(line, _)| line) != Some(HEADER) {
        return Err(error(1, "does not begin with `c2sp.org/tlog-proof@v1`"));
    }
    let mut extra = None;
    if let Some((encoded, number)) =
        lines.peek().and_then(|(line, number)| Some((line.strip_prefix("extra ")?, *number)))
    {
        if encoded.len() > MAX_EXTRA {
            return Err(error(number, "the extra data is longer than 256 KiB"));
        }
        extra = Some(STANDARD.decode(encoded).map_err(|_| error(number, "the extra data is not base64"))?);
        lines.next();
    }
    let (line, number) = lines.next().ok_or(error(2, "no `index` line"))?;
    let index = line.strip_prefix("index ").ok_or(error(number, "expected `index` and a number"))?;
    let index = parse_decimal(index).ok_or(error(number, "the index is not a decimal number"))?;
    let mut path = Vec::new();
    for (line, number) in lines {
        if path.len() == MAX_HASHES {
            return Err(error(number, "more than 63 hashes"));
        }
        path.push(
            NodeHash::from_base64(line).ok_or(error(number, "the hash is not a SHA-256 hash in base64"))?,
        );
    }
    let above = head.split('\n').count() + 1;
    let checkpoint = parse_checkpoint(checkpoint.as_bytes())
        .map_err(|inner| FormatError { line: above + inner.line, ..inner })?;
    Ok(Proof { extra, index, path, checkpoint })
}

impl Proof {
    /// The proof in its text form, which [`parse_proof`] reads.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", STANDARD.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.path {
            text.push_str(&format!("{hash}\n"));
        }
        text.push('\n');
        text.push_str(&self.checkpoint.to_text());
        text
    }

    /// Checks signature, origin and path for an entry.
    ///
    /// # Errors
    /// The checkpoint is not signed by the key or of another ledger, or the path does not lead from the entry to
    /// its root.
    pub fn verify(&self, entry: &[u8], key: &VerifierKey) -> Result<Proven, LedgerError> {
        let checkpoint = &self.checkpoint;
        if checkpoint.origin() != key.name() {
            return Err(LedgerError::OriginMismatch {
                expected: key.name().to_owned(),
                found: checkpoint.origin().to_owned(),
            });
        }
        checkpoint.verify(key).map_err(LedgerError::ProofSignature)?;
        let leaf = NodeHash::of_leaf(entry);
        let (index, size, root) = (self.index, checkpoint.size(), checkpoint.root());
        if !verify_inclusion(leaf, index, size, &self.path, root) {
            return Err(LedgerError::ProofFails { index, size });
        }
        Ok(Proven { origin: checkpoint.origin().to_owned(), index, size, root })
    }
}

/// Checks, without the ledger, that a proof holds for an entry.
///
/// `proof` is the text that [`Proof::to_text`] gives, `entry` the exact bytes of the entry, `key` the public key of
/// the ledger, which must come from somewhere trusted.
///
/// # Errors
/// The proof cannot be read, is of another ledger, is not signed by the key, or does not lead from the entry to the
/// root.
pub fn verify_proof(proof: &[u8], entry: &[u8], key: &VerifierKey) -> Result<Proven, LedgerError> {
    parse_proof(proof).map_err(LedgerError::ProofMalformed)?.verify(entry, key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frontier::LeafHashes;
    use crate::key::SignerKey;
    use crate::merkle::{inclusion_proof, range_root};

    fn sample(extra: Option<Vec<u8>>) -> (Proof, VerifierKey) {
        let key = SignerKey::from_seed("example.org/log", &[7; 32]).unwrap();
        let mut leaves = LeafHashes((0..11_u8).map(|n| NodeHash::of_leaf(&[n])).collect());
        let root = range_root(&mut leaves, 0, 11).unwrap();
        let path = inclusion_proof(&mut leaves, 5, 11).unwrap();
        let checkpoint = Checkpoint::sign(11, root, &key);
        (Proof { extra, index: 5, path, checkpoint }, key.verifier().clone())
    }

    #[test]
    fn a_proof_reads_back_and_holds_for_its_entry_only() {
        for extra in [None, Some(b"context".to_vec())] {
            let (proof, key) = sample(extra);
            let text = proof.to_text();
            assert_eq!(parse_proof(text.as_bytes()).unwrap(), proof);
            let proven = verify_proof(text.as_bytes(), &[5], &key).unwrap();
            assert_eq!((proven.index, proven.size), (5, 11));
            let error = verify_proof(text.as_bytes(), &[6], &key).unwrap_err();
            assert!(matches!(error, LedgerError::ProofFails { index: 5, size: 11 }), "{error}");
        }
    }

    #[test]
    fn every_changed_byte_of_a_proof_is_noticed() {
        let (proof, key) = sample(None);
        let text = proof.to_text().into_bytes();
        for position in 0..text.len() {
            for change in [0x01, 0x20, 0x80, 0xff] {
                let mut changed = text.clone();
                changed[position] ^= change;
                assert!(
                    verify_proof(&changed, &[5], &key).is_err(),
                    "byte {position} changed by {change:#x}"
                );
            }
        }
    }

    #[test]
    fn a_proof_of_another_ledger_is_refused() {
        let (proof, _) = sample(None);
        let other = SignerKey::from_seed("example.org/other", &[7; 32]).unwrap();
        let error = verify_proof(proof.to_text().as_bytes(), &[5], other.verifier()).unwrap_err();
        assert!(matches!(error, LedgerError::OriginMismatch { .. }), "{error}");
    }

    #[track_caller]
    fn refused(proof: &str, line: usize, reason: &str) {
        let error = parse_proof(proof.as_bytes()).unwrap_err();
        assert_eq!((error.line, error.reason), (line, reason), "{proof:?}");
    }

    #[test]
    fn malformed_proofs_are_refused_with_their_line() {
        let hash = NodeHash::of_empty_tree();
        refused("", 1, "no blank line before the checkpoint");
        refused("x\n\n", 1, "does not begin with `c2sp.org/tlog-proof@v1`");
        refused(&format!("{HEADER}\n\n"), 2, "no `index` line");
        refused(&format!("{HEADER}\nextra *\nindex 0\n\n"), 2, "the extra data is not base64");
        refused(&format!("{HEADER}\nindex 00\n\n"), 2, "the index is not a decimal number");
        refused(&format!("{HEADER}\nindex 0\n{hash}\nx\n\n"), 4, "the hash is not a SHA-256 hash in base64");
        let many = format!("{hash}\n").repeat(64);
        refused(&format!("{HEADER}\nindex 0\n{many}\n"), 66, "more than 63 hashes");
        refused(&format!("{HEADER}\nindex 0\n\na\n"), 4, "no blank line before the signatures");
    }
}
