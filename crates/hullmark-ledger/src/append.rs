//! Appending: bundles, then tiles, then the checkpoint, each on the disk before the next.

use std::collections::BTreeMap;

use crate::bundle::{MAX_ENTRY_SIZE, push_entry};
use crate::checkpoint::Checkpoint;
use crate::error::LedgerError;
use crate::files::{Disk, FileOperations, PUBLIC, Publisher};
use crate::frontier::TILE_WIDTH;
use crate::hash::{HASH_SIZE, NodeHash};
use crate::journal::{lock_to_write, publish_journal_locked, remove_segments};
use crate::keyfiles::PRIVATE_KEY;
use crate::ledger::{Ledger, read_verified_checkpoint};
use crate::merkle::MAX_TREE_SIZE;
use crate::resource::{Kind, Resource, TILE_LEVELS, width_at};
use crate::store::{CHECKPOINT, read_frontier};

/// What an append gives for each entry: where it is, and the tree that has it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Receipt {
    /// The index of the entry.
    pub index: u64,
    /// Its hash as a leaf of the tree.
    pub leaf: NodeHash,
    /// Entries in the signed tree.
    pub size: u64,
    /// The root of the signed tree.
    pub root: NodeHash,
}

/// The files of an append, each resource with its content, in the order they are written.
struct Changes {
    bundles: BTreeMap<u64, Vec<u8>>,
    tiles: BTreeMap<(u8, u64), Vec<NodeHash>>,
}

impl Ledger {
    /// Appends entries, in their order and next to each other. When this returns they are on the disk and signed.
    ///
    /// All or none: a process killed at any moment leaves the ledger as it was or with all the entries. No entry is
    /// no change.
    ///
    /// # Errors
    /// The ledger was opened to read only, an entry is too long, the disk refuses, the end of the ledger on disk is
    /// damaged, or the ledger was rolled back or replaced. After an error the entries count as not appended; only if
    /// the very last flush failed may a later reader find them.
    pub fn append(&mut self, entries: &[Vec<u8>]) -> Result<Vec<Receipt>, LedgerError> {
        self.append_with(&mut Disk, entries)
    }

    pub(crate) fn append_with(
        &mut self,
        operations: &mut dyn FileOperations,
        entries: &[Vec<u8>],
    ) -> Result<Vec<Receipt>, LedgerError> {
        check_sizes(entries)?;
        if self.signer.is_none() {
            return Err(LedgerError::KeyMissing { path: self.root.join(PRIVATE_KEY) });
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let locks = lock_to_write(&self.root)?;
        // Another process may have appended: its checkpoint counts, if it continues ours.
        let newest = read_verified_checkpoint(&self.root, &self.verifier)?;
        self.accept(newest)?;
        if locks.journal.is_some() {
            publish_journal_locked(operations, self)?;
            // Who wrote to the journal must notice that the ledger went on without it.
            remove_segments(operations, &self.root)?;
        }
        self.publish(operations, entries, None)
    }

    /// Publishes entries under the lock: bundles, tiles, then the checkpoint that is given, or a new one.
    ///
    /// The checkpoint in memory must be the one on the disk.
    pub(crate) fn publish<E: AsRef<[u8]>>(
        &mut self,
        operations: &mut dyn FileOperations,
        entries: &[E],
        signed: Option<Checkpoint>,
    ) -> Result<Vec<Receipt>, LedgerError> {
        let old_size = self.size();
        if entries.len() as u64 > MAX_TREE_SIZE - old_size {
            return Err(LedgerError::Full);
        }
        let mut frontier = read_frontier(&self.root, old_size)?;
        // Never sign what does not continue the last checkpoint.
        if frontier.root() != self.checkpoint.root() {
            return Err(LedgerError::RootMismatch {
                size: old_size,
                signed: self.checkpoint.root(),
                computed: frontier.root(),
            });
        }
        let mut changes = self.edge(&frontier)?;
        let mut leaves = Vec::with_capacity(entries.len());
        for (position, entry) in entries.iter().enumerate() {
            let entry = entry.as_ref();
            let index = frontier.size();
            let bundle = changes.bundles.entry(index / TILE_WIDTH as u64).or_default();
            push_entry(bundle, entry).ok_or(LedgerError::EntryTooLarge { position, length: entry.len() })?;
            let leaf = NodeHash::of_leaf(entry);
            leaves.push((index, leaf));
            for placed in frontier.push(leaf) {
                let tile = (placed.level, placed.position / TILE_WIDTH as u64);
                changes.tiles.entry(tile).or_default().push(placed.hash);
            }
        }
        let (size, root) = (frontier.size(), frontier.root());
        let checkpoint = match (signed, &self.signer) {
            (Some(checkpoint), _) if (checkpoint.size(), checkpoint.root()) == (size, root) => checkpoint,
            (Some(checkpoint), _) => {
                return Err(LedgerError::RootMismatch { size, signed: checkpoint.root(), computed: root });
            }
            (None, Some(signer)) => Checkpoint::sign(size, root, signer),
            (None, None) => return Err(LedgerError::KeyMissing { path: self.root.join(PRIVATE_KEY) }),
        };

        let mut publisher = Publisher::new(operations, &self.root);
        for (index, bundle) in &changes.bundles {
            publish(&mut publisher, size, Kind::Entries, *index, bundle)?;
        }
        publisher.barrier()?;
        for ((level, index), hashes) in &changes.tiles {
            // Read from disk and not touched: it is there already.
            if width_at(size, *level, *index) == width_at(old_size, *level, *index) {
                continue;
            }
            let mut bytes = Vec::with_capacity(hashes.len() * HASH_SIZE);
            hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.0));
            publish(&mut publisher, size, Kind::Hashes(*level), *index, &bytes)?;
        }
        publisher.barrier()?;
        publisher.publish(CHECKPOINT, checkpoint.to_text().as_bytes(), PUBLIC)?;
        publisher.barrier()?;
        discard_superseded(&mut publisher, old_size, size);
        self.checkpoint = checkpoint;
        Ok(leaves.into_iter().map(|(index, leaf)| Receipt { index, leaf, size, root }).collect())
    }

    /// The partial bundle and tiles at the right edge, to be continued. The bundle is checked against its hashes so
    /// that a changed entry is never copied into a new file.
    fn edge(&self, frontier: &crate::frontier::Frontier) -> Result<Changes, LedgerError> {
        let size = frontier.size();
        let mut changes = Changes { bundles: BTreeMap::new(), tiles: BTreeMap::new() };
        let last = size / TILE_WIDTH as u64;
        let mut bundle = Vec::new();
        for (position, entry) in self.checked_bundle(last)?.into_iter().enumerate() {
            push_entry(&mut bundle, &entry)
                .ok_or(LedgerError::EntryTooLarge { position, length: entry.len() })?;
        }
        if !bundle.is_empty() {
            changes.bundles.insert(last, bundle);
        }
        for level in 0..TILE_LEVELS {
            let index = (size >> (8 * u32::from(level))) / TILE_WIDTH as u64;
            if !frontier.level(level).is_empty() {
                changes.tiles.insert((level, index), frontier.level(level).to_vec());
            }
        }
        Ok(changes)
    }
}

/// Refuses entries that no bundle can hold.
pub(crate) fn check_sizes(entries: &[Vec<u8>]) -> Result<(), LedgerError> {
    match entries.iter().enumerate().find(|(_, entry)| entry.len() > MAX_ENTRY_SIZE) {
        Some((position, entry)) => Err(LedgerError::EntryTooLarge { position, length: entry.len() }),
        None => Ok(()),
    }
}

/// Writes a resource under the name it has in the tree of `size` entries.
fn publish(
    publisher: &mut Publisher<'_>,
    size: u64,
    kind: Kind,
    index: u64,
    bytes: &[u8],
) -> Result<(), LedgerError> {
    match Resource::at(size, kind, index) {
        Some(resource) => publisher.publish(&resource.to_string(), bytes, PUBLIC),
        None => Ok(()),
    }
}

/// Removes the partial files of the old tree that the new one replaced by wider ones.
fn discard_superseded(publisher: &mut Publisher<'_>, old_size: u64, new_size: u64) {
    for kind in std::iter::once(Kind::Entries).chain((0..TILE_LEVELS).map(Kind::Hashes)) {
        let index = (old_size >> (8 * u32::from(kind.level()))) / TILE_WIDTH as u64;
        let Some(old) = Resource::at(old_size, kind, index) else { continue };
        match Resource::at(new_size, kind, index) {
            Some(new) if new.width > old.width => {
                publisher.discard(&old.to_string());
                if new.is_full() {
                    publisher.discard_directory(&old.partial_directory());
                }
            }
            _ => {}
        }
    }
}
