//! What can be wrong with a database file.

use std::io;
use std::path::PathBuf;

/// The database cannot be opened or read. `path` is empty for a database that was given as bytes.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file cannot be opened.
    #[error("the advisory database {} cannot be opened", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is something else.
    #[error("{} is not an advisory database: it does not begin with the magic bytes", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file was written by another version of the format.
    #[error("the advisory database {} has format version {found}, this program reads {expected}: rebuild it with `hullmark db update`", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that is read.
        expected: u32,
    },
    /// Bytes are not what they must be.
    #[error("the advisory database {} is damaged: {section} at offset {offset}: expected {expected}: rebuild it with `hullmark db update`", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The section.
        section: &'static str,
        /// Offset from the beginning of the file.
        offset: u64,
        /// What should be there.
        expected: &'static str,
    },
}

/// Damage found by a part of the reader that does not know the file: offset within the section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Damage {
    /// Offset within the section.
    pub(super) offset: u64,
    /// What should be there.
    pub(super) expected: &'static str,
}

impl Damage {
    pub(super) fn at(offset: usize, expected: &'static str) -> Self {
        Self { offset: offset as u64, expected }
    }
}
