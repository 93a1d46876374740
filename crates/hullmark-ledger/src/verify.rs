//! Verification of a whole ledger: everything is computed anew from the entries and compared.

use std::path::{Path, PathBuf};

use crate::bundle::BundleEntries;
use crate::checkpoint::Checkpoint;
use crate::error::{Culprit, EntryMismatch, LedgerError, NodeMismatch};
use crate::files::is_absent;
use crate::frontier::{Frontier, Placed, TILE_WIDTH, complete_root};
use crate::hash::{HASH_SIZE, NodeHash};
use crate::journal::{JOURNAL, count_waiting};
use crate::key::VerifierKey;
use crate::keyfiles::{PRIVATE_KEY, PUBLIC_KEY, read_signer_whatever_its_mode, read_verifier, same_key};
use crate::ledger::LOCK;
use crate::merkle::NodeSource as _;
use crate::resource::{Kind, Resource, entries_under};
use crate::store::{CHECKPOINT, Found, TiledTree, read_checkpoint, read_frontier, read_resource, read_tile};
use crate::sweep::{Extra, extras};

/// Most files beside the ledger that a report lists by name.
const MAX_LISTED: usize = 100;

/// What a successful verification found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct VerifyReport {
    /// The name of the ledger.
    pub origin: String,
    /// Entries, each of which was hashed anew.
    pub size: u64,
    /// The root of the tree, as signed and as computed.
    pub root: NodeHash,
    /// Entry bundles read.
    pub bundles: u64,
    /// Tiles read.
    pub tiles: u64,
    /// Entries that wait in the journal, each hashed and under a checkpoint that was checked.
    pub waiting: u64,
    /// Files in the directory that are not part of the ledger, the first hundred, in order of their names.
    pub extras: Vec<ExtraFile>,
    /// How many more there are.
    pub extras_not_listed: u64,
    /// False when the directory has so many names that not all were looked at.
    pub all_names_seen: bool,
}

/// A file that is not part of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ExtraFile {
    /// Its path in the directory of the ledger.
    pub path: String,
    /// What it is.
    pub reason: Extra,
}

/// Verifies the ledger in `directory`: the checkpoint's signature, every entry, every hash of every tile, the root, the
/// records of its journal that are not published yet, and what else lies there.
///
/// `key` is the public key to trust; without one the file `ledger.pub` is used, which shows accidents but not a forger
/// who replaced key and ledger together. The private key is not needed; if it can be read it must belong to the public
/// one. Files that are not part of the ledger are no error but listed in the report.
///
/// A ledger that was set back to an earlier checkpoint as a whole is valid in itself: to notice that, keep a
/// checkpoint elsewhere and check it by [`crate::Ledger::prove_consistency`].
///
/// # Errors
/// The first thing that does not match, by index of the entry where it is about entries
/// (see [`LedgerError::entries`]), with file and offset.
pub fn verify_log(directory: &Path, key: Option<&VerifierKey>) -> Result<VerifyReport, LedgerError> {
    let key = verify_keys(directory, key)?;
    let checkpoint = read_checkpoint(directory)?;
    if let Err(error) = checkpoint.verify(&key) {
        let (line, reason) = explain_signature(directory, &checkpoint, &key)
            .unwrap_or_else(|| (error.line, error.reason.to_owned()));
        return Err(LedgerError::CheckpointSignature { path: directory.join(CHECKPOINT), line, reason });
    }
    let (size, root) = (checkpoint.size(), checkpoint.root());
    let mut check = TreeCheck::new(directory, size, root);
    let computed = check.run()?;
    if computed != root {
        return Err(LedgerError::RootMismatch { size, signed: root, computed });
    }
    let mut report = VerifyReport {
        origin: checkpoint.origin().to_owned(),
        size,
        root,
        bundles: check.bundles,
        tiles: check.tiles,
        waiting: count_waiting(directory, &key)?,
        extras: Vec::new(),
        extras_not_listed: 0,
        all_names_seen: true,
    };
    list_extras(directory, &mut report)?;
    Ok(report)
}

/// Decides which key to verify by, and checks that the key files agree with it.
fn verify_keys(directory: &Path, trusted: Option<&VerifierKey>) -> Result<VerifierKey, LedgerError> {
    let public_path = directory.join(PUBLIC_KEY);
    let beside = read_verifier(directory)?;
    let key = match (trusted, beside) {
        (Some(trusted), Some(beside)) => {
            same_key(&public_path, trusted, &beside)?;
            beside
        }
        (Some(trusted), None) => trusted.clone(),
        (None, Some(beside)) => beside,
        (None, None) if directory.join(CHECKPOINT).exists() => {
            return Err(LedgerError::PublicKeyMissing { path: public_path });
        }
        (None, None) => return Err(LedgerError::NotALedger { path: directory.to_path_buf() }),
    };
    match read_signer_whatever_its_mode(directory) {
        Ok(Some(signer)) => same_key(&directory.join(PRIVATE_KEY), &key, signer.verifier())?,
        Ok(None) => {}
        // An auditor need not be able to read it.
        Err(LedgerError::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(error),
    }
    Ok(key)
}

/// Which line of a checkpoint with a wrong signature does not fit the rest of the ledger.
fn explain_signature(
    directory: &Path,
    checkpoint: &Checkpoint,
    key: &VerifierKey,
) -> Option<(usize, String)> {
    if checkpoint.origin() != key.name() {
        return Some((1, format!("the origin is `{}`, the key is of `{}`", checkpoint.origin(), key.name())));
    }
    let size = checkpoint.size();
    let mut ahead = false;
    let listed = extras(directory, size, &mut |_, extra, _| {
        ahead |= extra == Extra::AheadOfCheckpoint;
        Ok(())
    });
    match TreeCheck::new(directory, size, checkpoint.root()).run() {
        Ok(root) if root == checkpoint.root() => None,
        Ok(_) if ahead && listed.is_ok() => Some((
            2,
            format!("the size is {size}, but there are more entries, and the signature does not hold"),
        )),
        Ok(root) => {
            Some((3, format!("the root is not that of the entries, {root}, and the signature does not hold")))
        }
        Err(error) => Some((
            2,
            format!("the size is {size}, which does not fit ({error}), and the signature does not hold"),
        )),
    }
}

/// Walks all entries in order and compares every hash they give with the one recorded.
struct TreeCheck<'a> {
    root: &'a Path,
    size: u64,
    signed: NodeHash,
    frontier: Frontier,
    /// The tile of each level that is being compared: its name and hashes.
    current: Vec<Option<(Resource, Vec<NodeHash>)>>,
    bundles: u64,
    tiles: u64,
}

impl<'a> TreeCheck<'a> {
    fn new(root: &'a Path, size: u64, signed: NodeHash) -> Self {
        Self { root, size, signed, frontier: Frontier::default(), current: Vec::new(), bundles: 0, tiles: 0 }
    }

    /// The root that the entries give.
    fn run(&mut self) -> Result<NodeHash, LedgerError> {
        let mut index = 0;
        while let Some(wanted) = Resource::at(self.size, Kind::Entries, index) {
            self.bundle(wanted)?;
            index += 1;
        }
        Ok(self.frontier.root())
    }

    fn bundle(&mut self, wanted: Resource) -> Result<(), LedgerError> {
        let bundle = read_resource(self.root, wanted)?;
        self.bundles += 1;
        let mut reader = BundleEntries::new(&bundle.bytes);
        for position in 0..wanted.width {
            let (index, _) = wanted.entries_of(position);
            let offset = reader.offset();
            let malformed = |reason| LedgerError::BundleMalformed {
                index,
                path: bundle.path.clone(),
                offset: offset as u64,
                reason,
            };
            let entry = reader
                .next()
                .ok_or_else(|| malformed("the bundle ends before it"))?
                .map_err(|error| malformed(error.reason))?;
            for placed in self.frontier.push(NodeHash::of_leaf(entry)) {
                let Some((tile, recorded)) = self.recorded(placed)? else { continue };
                if recorded != placed.hash {
                    return Err(self.mismatch(placed, tile, recorded, &bundle, offset));
                }
            }
        }
        if bundle.resource == wanted && reader.offset() < bundle.bytes.len() {
            return Err(LedgerError::BundleMalformed {
                index: wanted.entries_of(wanted.width - 1).0,
                path: bundle.path.clone(),
                offset: reader.offset() as u64,
                reason: "bytes follow the last entry",
            });
        }
        Ok(())
    }

    /// The hash on disk that a computed one must equal, and its tile.
    fn recorded(&mut self, placed: Placed) -> Result<Option<(Resource, NodeHash)>, LedgerError> {
        let level = usize::from(placed.level);
        let Some(wanted) =
            Resource::at(self.size, Kind::Hashes(placed.level), placed.position / TILE_WIDTH as u64)
        else {
            return Ok(None);
        };
        if self.current.len() <= level {
            self.current.resize_with(level + 1, || None);
        }
        let slot = &mut self.current[level];
        if slot.as_ref().is_none_or(|(resource, _)| *resource != wanted) {
            self.tiles += 1;
            *slot = Some((wanted, read_tile(self.root, wanted)?));
        }
        let element = usize::try_from(placed.position % TILE_WIDTH as u64).unwrap_or(0);
        Ok(slot.as_ref().and_then(|(_, hashes)| hashes.get(element)).map(|hash| (wanted, *hash)))
    }

    fn mismatch(
        &self,
        placed: Placed,
        tile: Resource,
        recorded: NodeHash,
        bundle: &Found,
        offset: usize,
    ) -> LedgerError {
        let element = usize::try_from(placed.position % TILE_WIDTH as u64).unwrap_or(0);
        let path = self.root.join(tile.to_string());
        let hash_offset = (element * HASH_SIZE) as u64;
        if placed.level == 0 {
            return LedgerError::entry_mismatch(EntryMismatch {
                index: placed.position,
                bundle: bundle.path.clone(),
                offset: offset as u64,
                tile: path,
                hash_offset,
                recorded,
                computed: placed.hash,
                culprit: self.culprit(tile, bundle).unwrap_or(Culprit::Unclear),
            });
        }
        let (first, last) = entries_under(placed.level, placed.position);
        LedgerError::NodeMismatch(Box::new(NodeMismatch {
            first,
            last,
            path,
            element,
            offset: hash_offset,
            recorded,
            computed: placed.hash,
        }))
    }

    /// Asks the tree above which of tile and bundle is as it was signed. `None` when it cannot say.
    fn culprit(&self, tile: Resource, bundle: &Found) -> Option<Culprit> {
        let recorded = read_tile(self.root, tile).ok()?;
        let computed: Option<Vec<NodeHash>> = BundleEntries::new(&bundle.bytes)
            .take(tile.width)
            .map(|entry| entry.ok().map(NodeHash::of_leaf))
            .collect();
        let fits = |leaves: &[NodeHash]| -> Option<bool> {
            if leaves.len() != tile.width {
                return Some(false);
            }
            if tile.is_full() {
                let above = TiledTree::new(self.root, self.size).complete(8, tile.index).ok()?;
                return Some(complete_root(leaves) == above);
            }
            let edge = read_frontier(self.root, self.size).ok()?;
            Some(edge.with_lowest_level(leaves).root() == self.signed)
        };
        if fits(&recorded)? {
            return Some(Culprit::Entry);
        }
        Some(if fits(&computed?)? { Culprit::Hash } else { Culprit::Unclear })
    }
}

/// Lists what is not part of the ledger; narrower versions of its own files must agree with them.
fn list_extras(directory: &Path, report: &mut VerifyReport) -> Result<(), LedgerError> {
    let size = report.size;
    let mut found = Vec::new();
    let mut more = 0;
    let mut note = |path: &str, reason: Extra| {
        if found.len() < MAX_LISTED {
            found.push(ExtraFile { path: path.to_owned(), reason });
        } else {
            more += 1;
        }
    };
    for name in other_names(directory)? {
        note(&name, if name.ends_with(crate::files::TEMPORARY) { Extra::Temporary } else { Extra::Unknown });
    }
    let all_names_seen = extras(directory, size, &mut |path, extra, resource| {
        if let (Extra::Superseded, Some(older)) = (extra, resource) {
            compare_older(directory, size, older)?;
        }
        note(path, extra);
        Ok(())
    })?;
    report.extras = found;
    report.extras_not_listed = more;
    report.all_names_seen = all_names_seen;
    Ok(())
}

/// Names in the directory that a ledger does not have, at most as many as are listed, in order.
fn other_names(directory: &Path) -> Result<Vec<String>, LedgerError> {
    let mut names = Vec::new();
    let listing = std::fs::read_dir(directory).map_err(LedgerError::io("list", directory))?;
    for item in listing {
        let name = item.map_err(LedgerError::io("list", directory))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if ![CHECKPOINT, PRIVATE_KEY, PUBLIC_KEY, LOCK, JOURNAL, "tile"].contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Checks that a file kept from an earlier size is the beginning of the present one.
fn compare_older(directory: &Path, size: u64, older: Resource) -> Result<(), LedgerError> {
    let path: PathBuf = directory.join(older.to_string());
    let Some(present) = Resource::at(size, older.kind, older.index) else { return Ok(()) };
    let present = read_resource(directory, present)?;
    let limit = present.bytes.len();
    let old_bytes = match crate::files::read_bounded(&path, limit) {
        Ok(Some(bytes)) => bytes,
        // Removed in the meantime by a process that appends.
        Ok(None) => return Ok(()),
        Err(LedgerError::Io { source, .. }) if is_absent(&source) => return Ok(()),
        Err(LedgerError::TooLarge { path, .. }) => {
            let (index, _) = older.entries_of(older.width - 1);
            return Err(LedgerError::OldVersionDiffers { index, path, offset: limit as u64 });
        }
        Err(error) => return Err(error),
    };
    // Where each element of the present file ends.
    let ends: Vec<usize> = match older.kind {
        Kind::Hashes(_) => (1..=older.width).map(|element| element * HASH_SIZE).collect(),
        Kind::Entries => {
            let mut reader = BundleEntries::new(&present.bytes);
            std::iter::from_fn(|| reader.next()?.ok().map(|_| reader.offset())).take(older.width).collect()
        }
    };
    let expected = present.bytes.get(..ends.last().copied().unwrap_or(0)).unwrap_or(&[]);
    if old_bytes == expected {
        return Ok(());
    }
    let offset = expected
        .iter()
        .zip(&old_bytes)
        .position(|(a, b)| a != b)
        .unwrap_or(expected.len().min(old_bytes.len()));
    let element = ends.iter().position(|end| offset < *end).unwrap_or(older.width - 1);
    Err(LedgerError::OldVersionDiffers { index: older.entries_of(element).0, path, offset: offset as u64 })
}
