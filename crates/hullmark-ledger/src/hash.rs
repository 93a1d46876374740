//! Hashes of the Merkle tree (RFC 6962 section 2.1, SHA-256).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

/// Bytes in one hash.
pub const HASH_SIZE: usize = 32;

/// One hash of the tree: of a leaf, of an inner node or of the whole tree.
///
/// Shown in standard base64, as in checkpoints and proofs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeHash(pub [u8; HASH_SIZE]);

impl NodeHash {
    /// The hash of the tree without entries: SHA-256 of nothing.
    #[must_use]
    pub fn of_empty_tree() -> Self {
        Self(Sha256::digest(b"").into())
    }

    /// The hash of a leaf: SHA-256 of a zero byte and the entry.
    #[must_use]
    pub fn of_leaf(entry: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
    }

    /// The hash of an inner node: SHA-256 of a one byte and the hashes of both children.
    #[must_use]
    pub fn of_children(left: Self, right: Self) -> Self {
        Self(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// Reads a hash from base64; only the canonical encoding of exactly 32 bytes is accepted.
    #[must_use]
    pub fn from_base64(text: &str) -> Option<Self> {
        // 32 bytes are 44 characters: a longer text is refused before anything is decoded.
        if text.len() != 44 {
            return None;
        }
        STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The hash in lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        use fmt::Write as _;
        self.0.iter().fold(String::with_capacity(2 * HASH_SIZE), |mut text, byte| {
            let _infallible = write!(text, "{byte:02x}");
            text
        })
    }
}

impl fmt::Display for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

impl fmt::Debug for NodeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeHash({self})")
    }
}

impl serde::Serialize for NodeHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_tree_and_the_empty_leaf_have_the_hashes_of_rfc_6962() {
        assert_eq!(
            NodeHash::of_empty_tree().to_hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        // SHA-256 of a single zero byte.
        assert_eq!(
            NodeHash::of_leaf(b"").to_hex(),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn only_canonical_base64_of_32_bytes_is_a_hash() {
        let text = NodeHash::of_empty_tree().to_string();
        assert_eq!(NodeHash::from_base64(&text), Some(NodeHash::of_empty_tree()));
        let last_bits_set = format!("{}V=", &text[..42]);
        assert_ne!(last_bits_set, text);
        assert_eq!(NodeHash::from_base64(&last_bits_set), None, "unused bits must be zero");
        assert_eq!(NodeHash::from_base64(&text[..43]), None, "padding is required");
        assert_eq!(NodeHash::from_base64(""), None);
    }
}
