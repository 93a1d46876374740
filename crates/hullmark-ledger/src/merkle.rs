//! Proofs over the Merkle tree: made as in RFC 6962 section 2.1, checked as in RFC 9162 section 2.1.
//!
//! The two sides share no code but the hash functions, so that a mistake in one shows in the other.

use crate::hash::NodeHash;

/// The largest tree that is accepted: keeps every intermediate number inside 64 bits.
pub const MAX_TREE_SIZE: u64 = i64::MAX as u64;

/// Where the hashes of complete subtrees come from.
pub trait NodeSource {
    /// What goes wrong when a hash cannot be had.
    type Error;

    /// The hash over the entries `index * 2^height .. (index + 1) * 2^height`.
    ///
    /// # Errors
    /// Whatever the source meets while it reads.
    fn complete(&mut self, height: u32, index: u64) -> Result<NodeHash, Self::Error>;
}

/// The largest power of two smaller than `count` (which is at least 2).
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// The Merkle tree hash over the entries `first..end`, where `first` is a multiple of the largest power of two
/// that fits into the range (every range that occurs in a proof is).
///
/// # Errors
/// Whatever the source meets while it reads.
pub fn range_root<S: NodeSource>(source: &mut S, first: u64, end: u64) -> Result<NodeHash, S::Error> {
    let count = end.saturating_sub(first);
    if count == 0 {
        return Ok(NodeHash::of_empty_tree());
    }
    if count.is_power_of_two() {
        return source.complete(count.trailing_zeros(), first >> count.trailing_zeros());
    }
    let middle = first + split(count);
    let left = range_root(source, first, middle)?;
    let right = range_root(source, middle, end)?;
    Ok(NodeHash::of_children(left, right))
}

/// The audit path of entry `index` in the tree of `size` entries, from the sibling of the leaf up to the child
/// of the root. Empty when the index lies outside the tree.
///
/// # Errors
/// Whatever the source meets while it reads.
pub fn inclusion_proof<S: NodeSource>(
    source: &mut S,
    index: u64,
    size: u64,
) -> Result<Vec<NodeHash>, S::Error> {
    let mut path = Vec::new();
    let (mut first, mut end) = (0, size);
    while index < size && end - first > 1 {
        let middle = first + split(end - first);
        if index < middle {
            path.push(range_root(source, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(source, first, middle)?);
            first = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// The proof that the tree of `old` entries is a prefix of the tree of `new` entries. Empty when `old` is zero,
/// equal to `new` or beyond it.
///
/// # Errors
/// Whatever the source meets while it reads.
pub fn consistency_proof<S: NodeSource>(
    source: &mut S,
    old: u64,
    new: u64,
) -> Result<Vec<NodeHash>, S::Error> {
    if old == 0 || old >= new {
        return Ok(Vec::new());
    }
    let mut path = Vec::new();
    let (mut first, mut end) = (0, new);
    let mut old_root_is_known = true;
    while old != end {
        let middle = first + split(end - first);
        if old <= middle {
            path.push(range_root(source, middle, end)?);
            end = middle;
        } else {
            path.push(range_root(source, first, middle)?);
            first = middle;
            old_root_is_known = false;
        }
    }
    if !old_root_is_known {
        path.push(range_root(source, first, end)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that the leaf with hash `leaf` is entry `index` of the tree with `size` entries and the
/// given root (RFC 9162 section 2.1.3.2).
#[must_use]
pub fn verify_inclusion(leaf: NodeHash, index: u64, size: u64, path: &[NodeHash], root: NodeHash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for &sibling in path {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = NodeHash::of_children(sibling, hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = NodeHash::of_children(hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// Whether `path` proves that the tree with `old` entries and root `old_root` is a prefix of the tree with `new`
/// entries and root `new_root` (RFC 9162 section 2.1.4.2).
///
/// The empty tree is a prefix of every tree; its root must still be the hash of nothing.
#[must_use]
pub fn verify_consistency(
    old: u64,
    old_root: NodeHash,
    new: u64,
    new_root: NodeHash,
    path: &[NodeHash],
) -> bool {
    if old > new {
        return false;
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && old_root == NodeHash::of_empty_tree();
    }
    // When the old tree is complete its root is a node of the new tree and left out of the path.
    let (seed, rest) = if old.is_power_of_two() {
        (old_root, path)
    } else {
        match path.split_first() {
            Some((&seed, rest)) => (seed, rest),
            None => return false,
        }
    };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (seed, seed);
    for &sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = NodeHash::of_children(sibling, old_hash);
            new_hash = NodeHash::of_children(sibling, new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = NodeHash::of_children(new_hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == old_root && new_hash == new_root
}
