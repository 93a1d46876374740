//! Recording: one write and one flush for each append.

use std::fs::File;
use std::path::PathBuf;

use crate::append::{Receipt, check_sizes};
use crate::checkpoint::Checkpoint;
use crate::error::LedgerError;
use crate::files::FileOperations;
use crate::frontier::Frontier;
use crate::hash::NodeHash;
use crate::journal::record::{SEGMENT_HEADER, encode_record};
use crate::journal::replay::publish_journal_locked;
use crate::journal::segments::{
    JOURNAL, SEGMENT_LIMIT, is_in_place, lock_journal, remove_segments, segment_path,
};
use crate::keyfiles::PRIVATE_KEY;
use crate::ledger::{Ledger, lock, read_verified_checkpoint};
use crate::merkle::MAX_TREE_SIZE;
use crate::store::read_frontier;

/// Entries that are recorded, with the checkpoint that was signed over them.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) entries: Vec<Vec<u8>>,
}

impl Recorded {
    /// The index of the first entry.
    pub(crate) fn first(&self) -> u64 {
        self.checkpoint.size().saturating_sub(self.entries.len() as u64)
    }
}

/// A segment that no more is written to: removed once the published ledger has all its entries.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) path: PathBuf,
    pub(crate) end: u64,
}

/// What an append gives.
#[derive(Debug)]
pub(crate) struct Appended {
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) recorded: Recorded,
    pub(crate) closed: Option<Closed>,
}

/// The segment that is written to.
#[derive(Debug)]
struct Segment {
    file: File,
    path: PathBuf,
    length: u64,
}

/// Where the ledger with its journal ends.
#[derive(Debug)]
pub(crate) struct JournalWriter {
    /// Its checkpoint is the one signed last.
    pub(crate) ledger: Ledger,
    frontier: Frontier,
    /// `None` when the end of the journal has to be read anew.
    segment: Option<Segment>,
    /// At this length a new segment is begun.
    limit: u64,
}

impl JournalWriter {
    pub(crate) fn new(operations: &mut dyn FileOperations, ledger: Ledger) -> Result<Self, LedgerError> {
        if ledger.signer.is_none() {
            return Err(LedgerError::KeyMissing { path: ledger.root.join(PRIVATE_KEY) });
        }
        let directory = ledger.root.join(JOURNAL);
        operations
            .create_directory(&directory)
            .map_err(LedgerError::io("create the directory", &directory))?;
        operations
            .flush_directory(&ledger.root)
            .map_err(LedgerError::io("flush the directory", &ledger.root))?;
        let mut writer =
            Self { ledger, frontier: Frontier::default(), segment: None, limit: SEGMENT_LIMIT as u64 };
        writer.release(operations)?;
        Ok(writer)
    }

    /// Begins new segments at another length.
    #[cfg(test)]
    pub(crate) fn with_limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// Publishes all that is recorded, by whomever, and removes the segments.
    pub(crate) fn release(&mut self, operations: &mut dyn FileOperations) -> Result<(), LedgerError> {
        let _journal = lock_journal(&self.ledger.root)?;
        self.take_over(operations)
    }

    /// The same under the lock of the journal. Afterwards the ledger in memory is the one on the disk.
    fn take_over(&mut self, operations: &mut dyn FileOperations) -> Result<(), LedgerError> {
        self.segment = None;
        let root = self.ledger.root.clone();
        let _ledger = lock(&root)?;
        let checkpoint = read_verified_checkpoint(&root, &self.ledger.verifier)?;
        let mut published = Ledger { root, signer: None, verifier: self.ledger.verifier.clone(), checkpoint };
        publish_journal_locked(operations, &mut published)?;
        // What was answered before must still be there.
        self.ledger.accept(published.checkpoint)?;
        let frontier = read_frontier(&self.ledger.root, self.ledger.size())?;
        if frontier.root() != self.ledger.checkpoint.root() {
            return Err(LedgerError::RootMismatch {
                size: self.ledger.size(),
                signed: self.ledger.checkpoint.root(),
                computed: frontier.root(),
            });
        }
        self.frontier = frontier;
        remove_segments(operations, &self.ledger.root)
    }

    /// Records entries. When this returns they are on the disk under a signed checkpoint, or none of them is.
    pub(crate) fn append(
        &mut self,
        operations: &mut dyn FileOperations,
        entries: Vec<Vec<u8>>,
    ) -> Result<Option<Appended>, LedgerError> {
        check_sizes(&entries)?;
        if entries.is_empty() {
            return Ok(None);
        }
        let _journal = lock_journal(&self.ledger.root)?;
        let in_place = self
            .segment
            .as_ref()
            .is_some_and(|segment| is_in_place(&segment.file, &segment.path, segment.length));
        if !in_place {
            self.take_over(operations)?;
        }
        let size = self.ledger.size();
        if entries.len() as u64 > MAX_TREE_SIZE - size {
            return Err(LedgerError::Full);
        }
        let mut frontier = self.frontier.clone();
        let leaves: Vec<NodeHash> = entries.iter().map(|entry| NodeHash::of_leaf(entry)).collect();
        for leaf in &leaves {
            frontier.push(*leaf);
        }
        let root = frontier.root();
        let Some(signer) = &self.ledger.signer else {
            return Err(LedgerError::KeyMissing { path: self.ledger.root.join(PRIVATE_KEY) });
        };
        let checkpoint = Checkpoint::sign(frontier.size(), root, signer);
        let record = encode_record(&checkpoint, &entries)
            .ok_or_else(|| LedgerError::BatchTooLarge { length: entries.iter().map(Vec::len).sum() })?;
        // From here until all is on the disk, the end of the journal is not known.
        let (segment, closed) = match self.segment.take() {
            Some(segment) if segment.length < self.limit => {
                (continue_segment(operations, segment, &record)?, None)
            }
            before => {
                let segment = begin_segment(operations, segment_path(&self.ledger.root, size), &record)?;
                (segment, before.map(|before| Closed { path: before.path, end: size }))
            }
        };
        self.segment = Some(segment);
        self.frontier = frontier;
        self.ledger.checkpoint = checkpoint.clone();
        let size_now = checkpoint.size();
        let receipts =
            (size..).zip(leaves).map(|(index, leaf)| Receipt { index, leaf, size: size_now, root }).collect();
        Ok(Some(Appended { receipts, recorded: Recorded { checkpoint, entries }, closed }))
    }
}

fn continue_segment(
    operations: &mut dyn FileOperations,
    mut segment: Segment,
    record: &[u8],
) -> Result<Segment, LedgerError> {
    let path = segment.path.clone();
    let written = operations
        .append(&mut segment.file, record)
        .map_err(LedgerError::io("write", &path))
        .and_then(|()| operations.flush_data(&segment.file).map_err(LedgerError::io("flush", &path)));
    match written {
        Ok(()) => Ok(Segment { length: segment.length + record.len() as u64, ..segment }),
        Err(error) => {
            // So that a later reader does not find what the caller takes for not recorded. If that fails too, the next
            // append decides by what it finds.
            let _unknown = operations.truncate(&segment.file, segment.length);
            Err(error)
        }
    }
}

fn begin_segment(
    operations: &mut dyn FileOperations,
    path: PathBuf,
    record: &[u8],
) -> Result<Segment, LedgerError> {
    let bytes = [SEGMENT_HEADER, record].concat();
    let mut file = operations.create_to_append(&path).map_err(LedgerError::io("create", &path))?;
    let directory = path.parent().unwrap_or(&path).to_path_buf();
    let written = operations
        .append(&mut file, &bytes)
        .map_err(LedgerError::io("write", &path))
        .and_then(|()| operations.flush_data(&file).map_err(LedgerError::io("flush", &path)))
        .and_then(|()| {
            operations.flush_directory(&directory).map_err(LedgerError::io("flush the directory", &directory))
        });
    match written {
        Ok(()) => Ok(Segment { file, path, length: bytes.len() as u64 }),
        Err(error) => {
            let _unknown = operations.remove_file(&path);
            Err(error)
        }
    }
}
