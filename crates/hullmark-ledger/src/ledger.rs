//! The ledger: opening, reading, searching, proving.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use hullmark_types::Digest;

use crate::bundle::BundleEntries;
use crate::checkpoint::Checkpoint;
use crate::error::{Culprit, EntryMismatch, LedgerError};
use crate::files::{Disk, FileOperations, PUBLIC, Publisher};
use crate::frontier::TILE_WIDTH;
use crate::hash::{HASH_SIZE, NodeHash};
use crate::journal::{count_waiting, lock_to_write, publish_journal_locked};
use crate::key::{SignerKey, VerifierKey};
use crate::keyfiles::{
    Entropy, PRIVATE_KEY, PUBLIC_KEY, create_signer, ensure_verifier, read_signer, read_verifier,
};
use crate::merkle::{consistency_proof, inclusion_proof, verify_inclusion};
use crate::proof::Proof;
use crate::resource::{Kind, Resource};
use crate::store::{CHECKPOINT, TiledTree, read_checkpoint, read_resource, read_tile};
use crate::sweep::sweep;

/// Name of the file that writers lock.
pub(crate) const LOCK: &str = "lock";

/// A ledger on disk, as it was when it was opened, last appended to or refreshed.
///
/// Several processes may hold the same ledger: appends are serialised by a lock, reading needs none.
#[derive(Debug)]
pub struct Ledger {
    pub(crate) root: PathBuf,
    pub(crate) signer: Option<SignerKey>,
    pub(crate) verifier: VerifierKey,
    pub(crate) checkpoint: Checkpoint,
}

impl Ledger {
    /// Opens the ledger in `directory` for appending, and creates both when there is none.
    ///
    /// A new ledger gets the name `origin` and a key made from 32 bytes of `entropy`; an existing one keeps the name
    /// it has (see [`Ledger::origin`]). What a killed process left unfinished is removed, and what it recorded in the
    /// journal is published.
    ///
    /// # Errors
    /// The key is absent, damaged, readable by others or does not belong to the checkpoint; the checkpoint is
    /// damaged or was removed; the origin cannot be a key name; the disk refuses.
    pub fn open(directory: &Path, origin: &str, entropy: &mut Entropy<'_>) -> Result<Self, LedgerError> {
        Self::open_with(&mut Disk, directory, origin, entropy)
    }

    pub(crate) fn open_with(
        operations: &mut dyn FileOperations,
        directory: &Path,
        origin: &str,
        entropy: &mut Entropy<'_>,
    ) -> Result<Self, LedgerError> {
        std::fs::create_dir_all(directory).map_err(LedgerError::io("create the directory", directory))?;
        let locks = lock_to_write(directory)?;
        let mut publisher = Publisher::new(operations, directory);
        let has_tiles = directory.join("tile").exists();
        let has_checkpoint = directory.join(CHECKPOINT).exists();
        let signer = match read_signer(directory)? {
            Some(signer) => signer,
            None if has_tiles || has_checkpoint => {
                return Err(LedgerError::KeyMissing { path: directory.join(PRIVATE_KEY) });
            }
            None => {
                publisher.flush_parent()?;
                create_signer(&mut publisher, directory, origin, entropy)?
            }
        };
        ensure_verifier(&mut publisher, directory, &signer)?;
        // The first checkpoint is signed before the first tile is written: tiles without one mean it was removed.
        if !has_checkpoint && !has_tiles {
            let empty = Checkpoint::sign(0, NodeHash::of_empty_tree(), &signer);
            publisher.publish(CHECKPOINT, empty.to_text().as_bytes(), PUBLIC)?;
            publisher.barrier()?;
        }
        let verifier = signer.verifier().clone();
        let checkpoint = read_verified_checkpoint(directory, &verifier)?;
        sweep(&mut publisher, directory, checkpoint.size())?;
        let mut ledger = Self { root: directory.to_path_buf(), signer: Some(signer), verifier, checkpoint };
        if locks.journal.is_some() {
            publish_journal_locked(operations, &mut ledger)?;
        }
        Ok(ledger)
    }

    /// Opens an existing ledger to read it; nothing on disk is changed and no private key is needed.
    ///
    /// Entries that wait in the journal are not seen: see [`crate::publish_journal`] and [`Ledger::waiting`].
    ///
    /// The checkpoint is checked by the public key beside it; to check by a key you trust, use
    /// [`crate::verify_log`].
    ///
    /// # Errors
    /// There is no ledger, or its checkpoint or public key is damaged.
    pub fn open_read_only(directory: &Path) -> Result<Self, LedgerError> {
        let path = directory.join(PUBLIC_KEY);
        let verifier = match read_verifier(directory)? {
            Some(verifier) => verifier,
            None if directory.join(CHECKPOINT).exists() => {
                return Err(LedgerError::PublicKeyMissing { path });
            }
            None => return Err(LedgerError::NotALedger { path: directory.to_path_buf() }),
        };
        let checkpoint = read_verified_checkpoint(directory, &verifier)?;
        Ok(Self { root: directory.to_path_buf(), signer: None, verifier, checkpoint })
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// The name of the ledger, which is also the name of its key.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.verifier.name()
    }

    /// The public key that signs the checkpoints.
    #[must_use]
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.verifier
    }

    /// The checkpoint last seen.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Entries by the checkpoint last seen.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// Looks for a newer checkpoint, and checks that it continues the one last seen.
    ///
    /// # Errors
    /// The checkpoint is damaged, or the ledger was rolled back or replaced.
    pub fn refresh(&mut self) -> Result<(), LedgerError> {
        let newer = read_verified_checkpoint(&self.root, &self.verifier)?;
        self.accept(newer)
    }

    /// How many recorded entries wait in the journal, beyond the checkpoint on the disk. Nothing on disk is changed, and
    /// the process that writes is not held up.
    ///
    /// # Errors
    /// The journal or the end of the ledger is damaged.
    pub fn waiting(&self) -> Result<u64, LedgerError> {
        count_waiting(&self.root, &self.verifier)
    }

    /// Takes over a checkpoint read from the disk if it continues the one last seen.
    pub(crate) fn accept(&mut self, newer: Checkpoint) -> Result<(), LedgerError> {
        let (known_size, known_root) = (self.checkpoint.size(), self.checkpoint.root());
        let (size, root) = (newer.size(), newer.root());
        let mut tree = TiledTree::new(&self.root, size);
        let continues = match size.cmp(&known_size) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => root == known_root,
            std::cmp::Ordering::Greater => {
                let path = consistency_proof(&mut tree, known_size, size)?;
                crate::merkle::verify_consistency(known_size, known_root, size, root, &path)
            }
        };
        if !continues {
            return Err(LedgerError::History { known_size, known_root, size, root });
        }
        self.checkpoint = newer;
        Ok(())
    }

    /// The bytes of an entry, checked against its hash.
    ///
    /// # Errors
    /// There is no such entry, or it does not match its hash, or its files are absent or damaged.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LedgerError> {
        self.entries_from(index)?
            .next()
            .unwrap_or(Err(LedgerError::NoSuchEntry { index, size: self.size() }))
            .map(|(_, entry)| entry)
    }

    /// All entries with their indexes, oldest first, one bundle in memory at a time; each checked against its hash.
    /// Ends after the first error.
    #[must_use]
    pub fn entries(&self) -> Entries<'_> {
        Entries { ledger: self, next: 0, ready: VecDeque::new(), failed: false }
    }

    /// The entries from `index` on.
    ///
    /// # Errors
    /// There is no such entry.
    pub fn entries_from(&self, index: u64) -> Result<Entries<'_>, LedgerError> {
        if index >= self.size() {
            return Err(LedgerError::NoSuchEntry { index, size: self.size() });
        }
        Ok(Entries { ledger: self, next: index, ready: VecDeque::new(), failed: false })
    }

    /// Finds the entries that belong to a digest: those whose SHA-256 it is, by content or as leaf of the tree, and
    /// those whose text contains its hexadecimal digits (a verdict record names its subject so).
    ///
    /// # Errors
    /// An entry cannot be read or does not match its hash.
    pub fn find(&self, digest: &Digest) -> Result<Vec<u64>, LedgerError> {
        let mut found = Vec::new();
        for item in self.entries() {
            let (index, entry) = item?;
            let is_its_digest = NodeHash::of_leaf(&entry).to_hex() == digest.hex()
                || Digest::sha256(&entry).hex() == digest.hex();
            if is_its_digest || contains(&entry, digest.hex()) {
                found.push(index);
            }
        }
        Ok(found)
    }

    /// Proves that entry `index` is in the ledger; the proof can be checked anywhere by [`crate::verify_proof`].
    ///
    /// # Errors
    /// There is no such entry, tiles are absent or damaged, or they are not those that were signed.
    pub fn prove(&self, index: u64) -> Result<Proof, LedgerError> {
        let size = self.size();
        let leaf = NodeHash::of_leaf(&self.entry(index)?);
        let path = inclusion_proof(&mut TiledTree::new(&self.root, size), index, size)?;
        if !verify_inclusion(leaf, index, size, &path, self.checkpoint.root()) {
            return Err(LedgerError::ProofFails { index, size });
        }
        Ok(Proof { extra: None, index, path, checkpoint: self.checkpoint.clone() })
    }

    /// Proves that the ledger of `old_size` entries is a prefix of the present one; to be checked by
    /// [`crate::merkle::verify_consistency`].
    ///
    /// # Errors
    /// The ledger has fewer entries, or tiles are absent or damaged.
    pub fn prove_consistency(&self, old_size: u64) -> Result<Vec<NodeHash>, LedgerError> {
        let size = self.size();
        if old_size > size {
            return Err(LedgerError::NoSuchEntry { index: old_size - 1, size });
        }
        consistency_proof(&mut TiledTree::new(&self.root, size), old_size, size)
    }

    /// Reads the bundle that holds entry `first` and checks its entries against the tile above.
    pub(crate) fn checked_bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
        read_checked_bundle(&self.root, self.size(), index)
    }
}

/// Reads bundle `index` of the log of `size` entries and checks every entry against its hash.
pub(crate) fn read_checked_bundle(root: &Path, size: u64, index: u64) -> Result<Vec<Vec<u8>>, LedgerError> {
    let Some(wanted) = Resource::at(size, Kind::Entries, index) else { return Ok(Vec::new()) };
    let tile_name = Resource { kind: Kind::Hashes(0), ..wanted };
    let tile = read_tile(root, tile_name)?;
    let bundle = read_resource(root, wanted)?;
    let first = index * TILE_WIDTH as u64;
    let mut reader = BundleEntries::new(&bundle.bytes);
    let mut entries = Vec::with_capacity(tile.len());
    for (position, recorded) in tile.into_iter().enumerate() {
        let offset = reader.offset() as u64;
        let index = first + position as u64;
        let malformed =
            |reason| LedgerError::BundleMalformed { index, path: bundle.path.clone(), offset, reason };
        let entry = reader
            .next()
            .ok_or_else(|| malformed("the bundle ends before it"))?
            .map_err(|error| malformed(error.reason))?;
        let computed = NodeHash::of_leaf(entry);
        if computed != recorded {
            return Err(LedgerError::entry_mismatch(EntryMismatch {
                index,
                bundle: bundle.path.clone(),
                offset,
                tile: root.join(tile_name.to_string()),
                hash_offset: (position * HASH_SIZE) as u64,
                recorded,
                computed,
                culprit: Culprit::Unclear,
            }));
        }
        entries.push(entry.to_vec());
    }
    Ok(entries)
}

/// Entries of a ledger with their indexes, oldest first. See [`Ledger::entries`].
#[derive(Debug)]
pub struct Entries<'a> {
    ledger: &'a Ledger,
    next: u64,
    ready: VecDeque<Vec<u8>>,
    failed: bool,
}

impl Iterator for Entries<'_> {
    type Item = Result<(u64, Vec<u8>), LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.next >= self.ledger.size() {
            return None;
        }
        if self.ready.is_empty() {
            match self.ledger.checked_bundle(self.next / TILE_WIDTH as u64) {
                Ok(entries) => {
                    let skip = usize::try_from(self.next % TILE_WIDTH as u64).unwrap_or(0);
                    self.ready = entries.into_iter().skip(skip).collect();
                }
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        let index = self.next;
        self.next += 1;
        self.ready.pop_front().map(|entry| Ok((index, entry)))
    }
}

/// Whether `needle` occurs in `bytes`.
fn contains(bytes: &[u8], needle: &str) -> bool {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.contains(needle),
        Err(_) => bytes.windows(needle.len()).any(|window| window == needle.as_bytes()),
    }
}

/// Takes the lock of writers; it is given back when the file is dropped.
pub(crate) fn lock(root: &Path) -> Result<File, LedgerError> {
    let path = root.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(LedgerError::io("open", &path))?;
    file.lock().map_err(LedgerError::io("lock", &path))?;
    Ok(file)
}

/// Reads the checkpoint and checks its signature.
pub(crate) fn read_verified_checkpoint(root: &Path, key: &VerifierKey) -> Result<Checkpoint, LedgerError> {
    let checkpoint = read_checkpoint(root)?;
    checkpoint.verify(key).map_err(|error| LedgerError::CheckpointSignature {
        path: root.join(CHECKPOINT),
        line: error.line,
        reason: error.reason.to_owned(),
    })?;
    Ok(checkpoint)
}
