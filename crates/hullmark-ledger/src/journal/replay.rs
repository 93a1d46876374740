//! Reading the journal: what continues the published ledger, checked, and publishing it.

use std::io;
use std::path::{Path, PathBuf};

use crate::checkpoint::Checkpoint;
use crate::error::LedgerError;
use crate::files::{Disk, FileOperations};
use crate::frontier::Frontier;
use crate::hash::NodeHash;
use crate::journal::record::{JournalRecord, parse_journal};
use crate::journal::segments::{is_own, lock_to_write, read_segment, segments};
use crate::key::VerifierKey;
use crate::ledger::{Ledger, read_verified_checkpoint};
use crate::merkle::range_root;
use crate::store::{TiledTree, read_frontier};

/// How many entries, or bytes of them, are published at once.
const BATCH: (usize, usize) = (1024, 16 * 1024 * 1024);

/// How often a journal that is written to at the same moment is read.
const ATTEMPTS: usize = 16;

/// Takes a record that continues the ledger.
type Take<'a> = dyn FnMut(&JournalRecord<'_>) -> Result<(), LedgerError> + 'a;

/// Gives every record beyond the published checkpoint, in order: read whole, signed, and of the tree that it continues.
fn replay(
    root: &Path,
    verifier: &VerifierKey,
    published: &Checkpoint,
    take: &mut Take<'_>,
) -> Result<(), LedgerError> {
    let mut covered = None;
    let mut frontier: Option<Frontier> = None;
    let paths = segments(root)?;
    for (number, path) in paths.iter().enumerate() {
        let damage = |offset, reason: String| LedgerError::Journal { path: path.clone(), offset, reason };
        let Some(bytes) = read_segment(path)? else { continue };
        let segment = parse_journal(&bytes).map_err(|error| damage(error.offset, error.reason.to_owned()))?;
        for record in &segment.records {
            let (first, size) = (record.first(), record.checkpoint.size());
            if size <= published.size() {
                covered = Some((path.clone(), record.offset, size, record.checkpoint.root()));
                continue;
            }
            if frontier.is_none() {
                check_covered(root, published.size(), covered.take())?;
            }
            let tree = match &mut frontier {
                Some(tree) => tree,
                None => frontier.insert(published_frontier(root, published)?),
            };
            if first != tree.size() {
                return Err(damage(
                    record.offset,
                    format!(
                        "the record begins with entry {first}, the ledger before it ends with {}",
                        tree.size()
                    ),
                ));
            }
            record.checkpoint.verify(verifier).map_err(|error| {
                damage(record.offset, format!("the checkpoint of the record: {}", error.reason))
            })?;
            for entry in &record.entries {
                tree.push(NodeHash::of_leaf(entry));
            }
            if tree.root() != record.checkpoint.root() {
                return Err(damage(
                    record.offset,
                    format!(
                        "the entries give the root {}, the checkpoint of the record says {}",
                        tree.root(),
                        record.checkpoint.root()
                    ),
                ));
            }
            take(record)?;
        }
        if let Some(offset) = segment.torn
            && number + 1 < paths.len()
        {
            return Err(damage(offset, "the record is incomplete, and a later segment follows".to_owned()));
        }
    }
    check_covered(root, published.size(), covered)
}

/// The right edge of the published tree, which must be the tree that was signed.
fn published_frontier(root: &Path, published: &Checkpoint) -> Result<Frontier, LedgerError> {
    let frontier = read_frontier(root, published.size())?;
    if frontier.root() != published.root() {
        return Err(LedgerError::RootMismatch {
            size: published.size(),
            signed: published.root(),
            computed: frontier.root(),
        });
    }
    Ok(frontier)
}

/// Checks that what the journal recorded is what was published.
fn check_covered(
    root: &Path,
    published: u64,
    covered: Option<(PathBuf, usize, u64, NodeHash)>,
) -> Result<(), LedgerError> {
    let Some((path, offset, size, recorded)) = covered else { return Ok(()) };
    match is_root_at(root, published, size, recorded)? {
        true => Ok(()),
        false => Err(LedgerError::Journal {
            path,
            offset,
            reason: format!("other entries were published than the {size} that were recorded"),
        }),
    }
}

/// Whether the first `size` entries of the published tree have this root.
pub(crate) fn is_root_at(
    root: &Path,
    published: u64,
    size: u64,
    recorded: NodeHash,
) -> Result<bool, LedgerError> {
    Ok(range_root(&mut TiledTree::new(root, published), 0, size)? == recorded)
}

/// Publishes what waits in the journal. To be called under both locks, with the checkpoint on the disk in memory.
pub(crate) fn publish_journal_locked(
    operations: &mut dyn FileOperations,
    ledger: &mut Ledger,
) -> Result<(), LedgerError> {
    let (root, verifier) = (ledger.root.clone(), ledger.verifier.clone());
    let published = ledger.checkpoint.clone();
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut bytes = 0;
    let mut last = None;
    replay(&root, &verifier, &published, &mut |record| {
        for entry in &record.entries {
            bytes += entry.len();
            entries.push(entry.to_vec());
        }
        if entries.len() >= BATCH.0 || bytes >= BATCH.1 {
            bytes = 0;
            last = None;
            ledger.publish(operations, &std::mem::take(&mut entries), Some(record.checkpoint.clone()))?;
        } else {
            last = Some(record.checkpoint.clone());
        }
        Ok(())
    })?;
    if last.is_some() {
        ledger.publish(operations, &entries, last)?;
    }
    Ok(())
}

/// Counts the entries that wait, without a lock.
pub(crate) fn count_waiting(root: &Path, verifier: &VerifierKey) -> Result<u64, LedgerError> {
    let mut published = read_verified_checkpoint(root, verifier)?;
    for attempt in 1.. {
        let mut waiting = 0;
        let outcome = replay(root, verifier, &published, &mut |record| {
            waiting += record.entries.len() as u64;
            Ok(())
        });
        let Err(error) = outcome else { return Ok(waiting) };
        // Published and removed while it was read.
        let newer = read_verified_checkpoint(root, verifier)?;
        if newer == published || attempt == ATTEMPTS {
            return Err(error);
        }
        published = newer;
    }
    Ok(0)
}

/// Publishes what is recorded in the journal of a ledger and was not published yet, as after a power failure; no private
/// key is needed. Gives the number of entries that still wait: none, unless this process may not write there.
///
/// Where the directory belongs to another user nothing is changed, since files of this user would be in the way there.
///
/// # Errors
/// There is no ledger, or the journal or the end of the ledger is damaged, or the disk refuses.
pub fn publish_journal(directory: &Path) -> Result<u64, LedgerError> {
    let mut ledger = Ledger::open_read_only(directory)?;
    let waiting = ledger.waiting()?;
    if waiting == 0 || !is_own(directory) {
        return Ok(waiting);
    }
    match publish_now(&mut ledger) {
        Ok(()) => Ok(0),
        Err(LedgerError::Io { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
            ) =>
        {
            Ok(waiting)
        }
        Err(error) => Err(error),
    }
}

/// Publishes under the locks. The segments stay, so that a process that writes to them can go on.
fn publish_now(ledger: &mut Ledger) -> Result<(), LedgerError> {
    let _locks = lock_to_write(&ledger.root)?;
    ledger.refresh()?;
    publish_journal_locked(&mut Disk, ledger)
}
