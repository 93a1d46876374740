//! The right edge of the tree: all that is needed to append and to know the root.

use crate::hash::NodeHash;
use crate::merkle::NodeSource;

/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 256;

/// The partial tile at the right edge of every tile level.
///
/// `levels[l]` has `(size / 256^l) mod 256` hashes; a tile that becomes full leaves and its hash moves up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frontier {
    levels: Vec<Vec<NodeHash>>,
    size: u64,
}

/// A hash that an append put into a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Tile level.
    pub(crate) level: u8,
    /// Position among all hashes of that level.
    pub(crate) position: u64,
    /// The hash.
    pub(crate) hash: NodeHash,
}

impl Frontier {
    /// The frontier of a tree with `size` entries, from its right-edge tiles, lowest level first.
    pub(crate) fn from_levels(size: u64, levels: Vec<Vec<NodeHash>>) -> Self {
        Self { levels, size }
    }

    /// Entries in the tree.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The right-edge tile of a level; empty when the level has none.
    pub(crate) fn level(&self, level: u8) -> &[NodeHash] {
        self.levels.get(usize::from(level)).map_or(&[], Vec::as_slice)
    }

    /// The same tree with other leaves in the lowest tile.
    pub(crate) fn with_lowest_level(mut self, leaves: &[NodeHash]) -> Self {
        match self.levels.first_mut() {
            Some(lowest) => *lowest = leaves.to_vec(),
            None => self.levels.push(leaves.to_vec()),
        }
        self
    }

    /// Adds a leaf and says which hashes that put where: the leaf, and one more for each tile it filled.
    pub(crate) fn push(&mut self, leaf: NodeHash) -> Vec<Placed> {
        let mut placed = Vec::with_capacity(1);
        let mut position = self.size;
        self.size += 1;
        let mut hash = leaf;
        for level in 0..=u8::MAX {
            let index = usize::from(level);
            if self.levels.len() <= index {
                self.levels.push(Vec::new());
            }
            placed.push(Placed { level, position, hash });
            let tile = &mut self.levels[index];
            tile.push(hash);
            if tile.len() < TILE_WIDTH {
                break;
            }
            hash = complete_root(tile);
            tile.clear();
            position /= TILE_WIDTH as u64;
        }
        placed
    }

    /// The root of the tree.
    pub(crate) fn root(&self) -> NodeHash {
        let mut root: Option<NodeHash> = None;
        for tile in &self.levels {
            let mut end = tile.len();
            // The binary digits of the width are the complete subtrees in it, the smallest rightmost.
            while end > 0 {
                let width = 1 << end.trailing_zeros();
                let peak = complete_root(&tile[end - width..end]);
                root = Some(root.map_or(peak, |right| NodeHash::of_children(peak, right)));
                end -= width;
            }
        }
        root.unwrap_or_else(NodeHash::of_empty_tree)
    }
}

/// The root over hashes whose number is a power of two. Empty gives the empty tree.
pub(crate) fn complete_root(hashes: &[NodeHash]) -> NodeHash {
    match hashes {
        [] => NodeHash::of_empty_tree(),
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            NodeHash::of_children(complete_root(left), complete_root(right))
        }
    }
}

/// Leaves in memory as a source of hashes: for tests and small trees.
#[derive(Clone, Debug, Default)]
pub struct LeafHashes(pub Vec<NodeHash>);

impl NodeSource for LeafHashes {
    type Error = std::convert::Infallible;

    fn complete(&mut self, height: u32, index: u64) -> Result<NodeHash, Self::Error> {
        let first = usize::try_from(index << height).unwrap_or(usize::MAX);
        let leaves = self.0.get(first..first.saturating_add(1 << height)).unwrap_or(&[]);
        Ok(complete_root(leaves))
    }
}
