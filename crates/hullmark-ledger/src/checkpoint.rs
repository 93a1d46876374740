//! Checkpoints (c2sp.org/tlog-checkpoint): origin, size and root of the tree, signed.

use crate::error::FormatError;
use crate::hash::NodeHash;
use crate::key::{SignerKey, VerifierKey};
use crate::merkle::MAX_TREE_SIZE;
use crate::note::SignedNote;

/// A signed tree head. Made by [`Checkpoint::sign`] or read by [`parse_checkpoint`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: NodeHash,
    note: SignedNote,
}

/// Reads a checkpoint. Its signature is not checked here: see [`Checkpoint::verify`].
///
/// # Errors
/// The line and what is wrong with it.
pub fn parse_checkpoint(bytes: &[u8]) -> Result<Checkpoint, FormatError> {
    let error = |line, reason| FormatError { what: "checkpoint", line, reason };
    let note = SignedNote::parse(bytes)?;
    let mut lines = note.text().lines();
    let origin = lines.next().filter(|line| !line.is_empty()).ok_or(error(1, "the origin is empty"))?;
    let size = lines.next().and_then(parse_decimal).ok_or(error(2, "the size is not a decimal number"))?;
    if size > MAX_TREE_SIZE {
        return Err(error(2, "the size is above 2^63 - 1"));
    }
    let root = lines
        .next()
        .and_then(NodeHash::from_base64)
        .ok_or(error(3, "the root is not a SHA-256 hash in base64"))?;
    for (number, extension) in lines.enumerate() {
        if extension.is_empty() {
            return Err(error(4 + number, "an extension line is empty"));
        }
    }
    Ok(Checkpoint { origin: origin.to_owned(), size, root, note })
}

impl Checkpoint {
    /// Signs a tree head; the origin is the name of the key.
    #[must_use]
    pub fn sign(size: u64, root: NodeHash, key: &SignerKey) -> Self {
        let origin = key.verifier().name().to_owned();
        let note = SignedNote::sign(format!("{origin}\n{size}\n{root}\n"), key);
        Self { origin, size, root, note }
    }

    /// Checks that the checkpoint is of the ledger the key names and signed by the key.
    ///
    /// # Errors
    /// The line that does not fit.
    pub fn verify(&self, key: &VerifierKey) -> Result<(), FormatError> {
        if self.origin != key.name() {
            return Err(FormatError {
                what: "checkpoint",
                line: 1,
                reason: "the origin is not the name of the key",
            });
        }
        self.note.verify(key)
    }

    /// Which ledger it is of.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Entries in the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> NodeHash {
        self.root
    }

    /// The signed note it is.
    #[must_use]
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// The checkpoint in the form of the file `checkpoint`.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.note.to_text()
    }
}

/// A decimal number without sign and leading zeroes.
pub(crate) fn parse_decimal(text: &str) -> Option<u64> {
    let canonical = text == "0"
        || (!text.is_empty() && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()));
    if canonical { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SignerKey {
        SignerKey::from_seed("example.org/log", &[7; 32]).unwrap()
    }

    #[test]
    fn a_signed_checkpoint_reads_back_and_verifies() {
        let checkpoint = Checkpoint::sign(42, NodeHash::of_leaf(b"x"), &key());
        let read = parse_checkpoint(checkpoint.to_text().as_bytes()).unwrap();
        assert_eq!(read, checkpoint);
        assert_eq!((read.origin(), read.size()), ("example.org/log", 42));
        read.verify(key().verifier()).unwrap();
    }

    #[test]
    fn another_key_of_the_same_name_does_not_verify() {
        let checkpoint = Checkpoint::sign(0, NodeHash::of_empty_tree(), &key());
        let other = SignerKey::from_seed("example.org/log", &[8; 32]).unwrap();
        assert_eq!(
            checkpoint.verify(other.verifier()).unwrap_err().reason,
            "no signature by the expected key"
        );
        let renamed = SignerKey::from_seed("example.org/other", &[7; 32]).unwrap();
        assert_eq!(checkpoint.verify(renamed.verifier()).unwrap_err().line, 1);
    }

    #[track_caller]
    fn refused(body: &str, line: usize, reason: &str) {
        let note = format!("{body}\n\u{2014} x AAAAAAA=\n");
        let error = parse_checkpoint(note.as_bytes()).unwrap_err();
        assert_eq!((error.line, error.reason), (line, reason), "{body:?}");
    }

    #[test]
    fn malformed_checkpoints_are_refused_with_their_line() {
        let root = NodeHash::of_empty_tree();
        refused(&format!("\n0\n{root}\n"), 1, "the origin is empty");
        refused("a\n", 2, "the size is not a decimal number");
        refused(&format!("a\n01\n{root}\n"), 2, "the size is not a decimal number");
        refused(&format!("a\n+1\n{root}\n"), 2, "the size is not a decimal number");
        refused(&format!("a\n18446744073709551616\n{root}\n"), 2, "the size is not a decimal number");
        refused(&format!("a\n9223372036854775808\n{root}\n"), 2, "the size is above 2^63 - 1");
        refused("a\n0\n", 3, "the root is not a SHA-256 hash in base64");
        refused("a\n0\nAAAA\n", 3, "the root is not a SHA-256 hash in base64");
        refused(&format!("a\n0\n{root}\nx\n\ny\n"), 5, "an extension line is empty");
    }

    #[test]
    fn extension_lines_are_kept() {
        let text = format!("a\n0\n{}\nextension\n\n\u{2014} x AAAAAAA=\n", NodeHash::of_empty_tree());
        assert_eq!(parse_checkpoint(text.as_bytes()).unwrap().to_text(), text);
    }
}
