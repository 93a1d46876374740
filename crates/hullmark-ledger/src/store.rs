//! Reading tiles and entry bundles, also while another process appends.

use std::fs;
use std::path::{Path, PathBuf};

use crate::bundle::MAX_BUNDLE_SIZE;
use crate::checkpoint::{Checkpoint, parse_checkpoint};
use crate::error::LedgerError;
use crate::files::{is_absent, read_bounded};
use crate::frontier::{Frontier, TILE_WIDTH, complete_root};
use crate::hash::{HASH_SIZE, NodeHash};
use crate::merkle::NodeSource;
use crate::note::MAX_NOTE_SIZE;
use crate::resource::{Kind, Resource, TILE_LEVELS, width_at};

/// Name of the checkpoint file.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// How often a file that a writer replaces at the same moment is looked for.
const ATTEMPTS: usize = 32;

/// A file as found: perhaps a wider version of what was asked for.
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) resource: Resource,
}

/// Reads the checkpoint of a log; its signature is not checked.
pub(crate) fn read_checkpoint(root: &Path) -> Result<Checkpoint, LedgerError> {
    let path = root.join(CHECKPOINT);
    let Some(bytes) = read_bounded(&path, MAX_NOTE_SIZE)? else {
        return Err(if root.join("tile").exists() {
            LedgerError::CheckpointRemoved { path }
        } else {
            LedgerError::NotALedger { path: root.to_path_buf() }
        });
    };
    parse_checkpoint(&bytes).map_err(|source| LedgerError::CheckpointMalformed { path, source })
}

/// Reads a resource, or a wider version of it: a partial one is removed once a wider one is published.
pub(crate) fn read_resource(root: &Path, wanted: Resource) -> Result<Found, LedgerError> {
    let limit = match wanted.kind {
        Kind::Entries => MAX_BUNDLE_SIZE,
        Kind::Hashes(_) => TILE_WIDTH * HASH_SIZE,
    };
    let mut candidate = wanted;
    for _ in 0..ATTEMPTS {
        let path = root.join(candidate.to_string());
        if let Some(bytes) = read_bounded(&path, limit)? {
            return Ok(Found { path, bytes, resource: candidate });
        }
        candidate = match wider_version(root, wanted)? {
            Some(wider) => wider,
            None => break,
        };
    }
    let (first, _) = wanted.entries_of(0);
    let (_, last) = wanted.entries_of(wanted.width - 1);
    Err(LedgerError::Missing { first, last, path: root.join(wanted.to_string()) })
}

/// The narrowest version on disk that has all elements of `wanted`.
fn wider_version(root: &Path, wanted: Resource) -> Result<Option<Resource>, LedgerError> {
    if wanted.is_full() {
        return Ok(None);
    }
    let full = wanted.with_width(TILE_WIDTH);
    let directory = root.join(wanted.partial_directory());
    let listing = match fs::read_dir(&directory) {
        Ok(listing) => Some(listing),
        Err(error) if is_absent(&error) => None,
        Err(error) => return Err(LedgerError::io("list", &directory)(error)),
    };
    let narrowest = listing
        .into_iter()
        .flatten()
        // At most 255 names belong here; a directory stuffed with others is not searched for ever.
        .take(16 * TILE_WIDTH)
        .filter_map(|item| item.ok()?.file_name().to_str()?.parse::<usize>().ok())
        .filter(|width| *width >= wanted.width && *width < TILE_WIDTH)
        .min();
    Ok(match narrowest {
        Some(width) => Some(wanted.with_width(width)),
        None => root.join(full.to_string()).exists().then_some(full),
    })
}

/// Reads the hashes of a tile: as many as the tree of `size` entries has there.
pub(crate) fn read_tile(root: &Path, wanted: Resource) -> Result<Vec<NodeHash>, LedgerError> {
    let found = read_resource(root, wanted)?;
    let (hashes, rest) = found.bytes.as_chunks::<HASH_SIZE>();
    if hashes.len() != found.resource.width || !rest.is_empty() {
        let whole = hashes.len().min(wanted.width.saturating_sub(1));
        return Err(LedgerError::TileLength {
            first: wanted.entries_of(whole).0,
            path: found.path,
            expected: (found.resource.width * HASH_SIZE) as u64,
            found: found.bytes.len() as u64,
        });
    }
    Ok(hashes.iter().take(wanted.width).map(|hash| NodeHash(*hash)).collect())
}

/// Reads the right edge of the tree of `size` entries: at most one tile of each level.
pub(crate) fn read_frontier(root: &Path, size: u64) -> Result<Frontier, LedgerError> {
    let mut levels = Vec::new();
    for level in 0..TILE_LEVELS {
        let index = (size >> (8 * u32::from(level))) / TILE_WIDTH as u64;
        levels.push(match Resource::at(size, Kind::Hashes(level), index) {
            Some(wanted) => read_tile(root, wanted)?,
            None => Vec::new(),
        });
    }
    Ok(Frontier::from_levels(size, levels))
}

/// Reads a tile: as many hashes as the resource is wide.
type TileReader<'a> = dyn FnMut(Resource) -> Result<Vec<NodeHash>, LedgerError> + 'a;

/// The tree of `size` entries as a source of hashes, with the tiles read last at hand.
pub(crate) struct TiledTree<'a> {
    read: Box<TileReader<'a>>,
    size: u64,
    recent: Vec<(Resource, Vec<NodeHash>)>,
}

/// Tiles kept at hand: a proof needs one or two of each level.
const RECENT_TILES: usize = 16;

impl<'a> TiledTree<'a> {
    /// The tree of a log in a directory.
    pub(crate) fn new(root: &'a Path, size: u64) -> Self {
        Self::reading(size, move |wanted| read_tile(root, wanted))
    }

    /// The tree whose tiles `read` reads.
    pub(crate) fn reading(
        size: u64,
        read: impl FnMut(Resource) -> Result<Vec<NodeHash>, LedgerError> + 'a,
    ) -> Self {
        Self { read: Box::new(read), size, recent: Vec::new() }
    }

    /// The hashes `first..first + count` of a tile level; all must lie in one tile.
    fn hashes(&mut self, level: u8, first: u64, count: usize) -> Result<&[NodeHash], LedgerError> {
        let index = first / TILE_WIDTH as u64;
        let width = width_at(self.size, level, index).max(1);
        let wanted = Resource { kind: Kind::Hashes(level), index, width };
        let place = match self.recent.iter().position(|(resource, _)| *resource == wanted) {
            Some(place) => place,
            None => {
                if self.recent.len() == RECENT_TILES {
                    self.recent.remove(0);
                }
                let tile = (self.read)(wanted)?;
                self.recent.push((wanted, tile));
                self.recent.len() - 1
            }
        };
        let start = usize::try_from(first % TILE_WIDTH as u64).unwrap_or(0);
        self.recent.get(place).and_then(|(_, tile)| tile.get(start..start + count)).ok_or_else(|| {
            LedgerError::Missing {
                first: wanted.entries_of(start).0,
                last: wanted.entries_of(start + count - 1).1,
                path: PathBuf::from(wanted.to_string()),
            }
        })
    }
}

impl NodeSource for TiledTree<'_> {
    type Error = LedgerError;

    fn complete(&mut self, height: u32, index: u64) -> Result<NodeHash, LedgerError> {
        let inside = height % 8;
        let level = u8::try_from(height / 8).unwrap_or(u8::MAX);
        Ok(complete_root(self.hashes(level, index << inside, 1 << inside)?))
    }
}
