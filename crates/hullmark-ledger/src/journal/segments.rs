//! The files of the journal and the locks of those who write.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::error::LedgerError;
use crate::files::{FileOperations, is_absent, read_bounded};
use crate::journal::record::max_segment;
use crate::ledger::{LOCK, lock};

/// The directory of the journal.
pub(crate) const JOURNAL: &str = "journal";

/// Digits of the name of a segment: the index of its first entry.
const DIGITS: usize = 20;

/// At this length, the next record begins a new segment.
pub(crate) const SEGMENT_LIMIT: usize = 8 * 1024 * 1024;

/// Most names that are looked at.
const MAX_NAMES: usize = 100_000;

/// The locks of a process that changes what is published.
pub(crate) struct WriteLocks {
    /// That of the journal, where there is one.
    pub(crate) journal: Option<File>,
    _ledger: File,
}

/// Takes the locks, first that of the journal. They are given back when they are dropped.
pub(crate) fn lock_to_write(root: &Path) -> Result<WriteLocks, LedgerError> {
    loop {
        let has_journal = root.join(JOURNAL).is_dir();
        let journal = if has_journal { Some(lock_journal(root)?) } else { None };
        let ledger = lock(root)?;
        // One that is made from now on begins by waiting for the lock of the ledger.
        if has_journal || !root.join(JOURNAL).is_dir() {
            return Ok(WriteLocks { journal, _ledger: ledger });
        }
    }
}

/// Takes the lock of the journal, whose directory must be there.
pub(crate) fn lock_journal(root: &Path) -> Result<File, LedgerError> {
    lock(&root.join(JOURNAL))
}

/// The path of the segment that begins with an entry.
pub(crate) fn segment_path(root: &Path, first: u64) -> PathBuf {
    root.join(JOURNAL).join(format!("{first:0DIGITS$}"))
}

/// The segments, oldest first.
pub(crate) fn segments(root: &Path) -> Result<Vec<PathBuf>, LedgerError> {
    let directory = root.join(JOURNAL);
    let listing = match fs::read_dir(&directory) {
        Ok(listing) => listing,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(LedgerError::io("list", &directory)(error)),
    };
    let mut names = Vec::new();
    for item in listing.take(MAX_NAMES) {
        let name = item.map_err(LedgerError::io("list", &directory))?.file_name();
        let is_segment = |name: &str| name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
        match name.to_str() {
            Some(name) if is_segment(name) => names.push(directory.join(name)),
            Some(LOCK) => {}
            _ => {
                return Err(LedgerError::Journal {
                    path: directory.join(name),
                    offset: 0,
                    reason: "no journal has a file of this name".to_owned(),
                });
            }
        }
    }
    names.sort();
    Ok(names)
}

/// Reads a segment; `None` when it was removed meanwhile.
pub(crate) fn read_segment(path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    read_bounded(path, max_segment(SEGMENT_LIMIT))
}

/// Removes all segments, which must be published, oldest first. To be called under both locks.
pub(crate) fn remove_segments(operations: &mut dyn FileOperations, root: &Path) -> Result<(), LedgerError> {
    let paths = segments(root)?;
    for path in &paths {
        remove_segment(operations, path)?;
    }
    // Not even a record whose flush failed may come back once the ledger went on without it.
    if !paths.is_empty() {
        let directory = root.join(JOURNAL);
        operations.flush_directory(&directory).map_err(LedgerError::io("flush the directory", &directory))?;
    }
    Ok(())
}

/// Removes a segment, if it is still there.
pub(crate) fn remove_segment(operations: &mut dyn FileOperations, path: &Path) -> Result<(), LedgerError> {
    match operations.remove_file(path) {
        Err(error) if !is_absent(&error) => Err(LedgerError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Whether the file that is open lies under the path and has this length.
#[cfg(unix)]
pub(crate) fn is_in_place(file: &File, path: &Path, length: u64) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(named)) => {
            (open.dev(), open.ino()) == (named.dev(), named.ino()) && named.len() == length
        }
        _ => false,
    }
}

/// Elsewhere that cannot be told, and the journal is read anew for each append.
#[cfg(not(unix))]
pub(crate) fn is_in_place(_file: &File, _path: &Path, _length: u64) -> bool {
    false
}

/// Whether the directory belongs to the user of this process, so that files it makes there disturb nobody.
#[cfg(unix)]
pub(crate) fn is_own(root: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    match (fs::metadata(root), fs::metadata("/proc/self")) {
        (Ok(directory), Ok(process)) => directory.uid() == process.uid(),
        _ => false,
    }
}

/// Elsewhere it is taken to be so.
#[cfg(not(unix))]
pub(crate) fn is_own(_root: &Path) -> bool {
    true
}
