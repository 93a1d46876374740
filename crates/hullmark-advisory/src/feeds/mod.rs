//! The kinds of feed, one directory each, and the one list of them.
//!
//! To add a kind: its own directory with a type that implements [`Feed`], and one line in [`ALL`].

pub mod debian_archive;
pub mod kev;
pub mod osv;
pub mod secdb;

use std::path::Path;

use hullmark_types::Diagnostic;
use jiff::Timestamp;

use crate::config::FeedConfig;
use crate::database::FeedData;
use crate::fetch::{Document, Fetch, FetchError, fetch_whole};

/// Every kind of feed.
pub const ALL: &[&dyn Feed] = &[&osv::Osv, &secdb::Secdb, &kev::Kev, &debian_archive::DebianArchive];

/// One kind of feed: how its data is fetched and read.
pub trait Feed: Sync {
    /// The word that names it in the configuration, kebab-case.
    fn kind(&self) -> &'static str;

    /// What it is and where its format is described, in a sentence.
    fn about(&self) -> &'static str;

    /// Fetches and reads all of it.
    ///
    /// A record that cannot be read is skipped, counted and named in a diagnostic.
    ///
    /// # Errors
    /// When nothing of it can be used.
    fn read(&self, config: &FeedConfig, context: &Context<'_>) -> Result<FeedOutput, FeedError>;
}

/// The kind of feed that a configuration names.
pub fn find(kind: &str) -> Option<&'static dyn Feed> {
    ALL.iter().copied().find(|feed| feed.kind() == kind)
}

/// What a feed needs for reading.
pub struct Context<'update> {
    /// Gives the bytes behind an address.
    pub fetcher: &'update dyn Fetch,
    /// The time of the update: dates after it are not believed.
    pub now: Timestamp,
    /// How many things a feed of many files may fetch at once.
    pub threads: usize,
    /// A directory in which a feed may keep what it needs to be faster the next time.
    pub cache: Option<&'update Path>,
    /// Told how far reading has come: steps done, and their number where it is known.
    pub progress: &'update (dyn Fn(u64, Option<u64>) + Sync),
}

impl Context<'_> {
    fn document(&self, address: &str, limit: u64) -> Result<Document, FetchError> {
        fetch_whole(self.fetcher, address, limit, &|done, total| (self.progress)(done, total))
    }

    /// The date, unless it is after the time of the update: a date in the future says nothing of age.
    fn believable(&self, date: Option<Timestamp>) -> Option<Timestamp> {
        date.filter(|date| *date <= self.now)
    }
}

/// What reading a feed gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedOutput {
    /// Its records.
    pub data: FeedData,
    /// What could not be read.
    pub diagnostics: Vec<Diagnostic>,
}

/// Nothing of a feed can be used.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// It cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The configuration lacks what this kind of feed needs.
    #[error("the feed {name} of kind {kind} needs `{key}`")]
    MissingSetting {
        /// Name of the feed.
        name: String,
        /// Its kind.
        kind: &'static str,
        /// The missing key.
        key: &'static str,
    },
    /// The configuration names a kind that does not exist.
    #[error("the feed {name} has the kind `{kind}`: expected one of {expected}")]
    UnknownKind {
        /// Name of the feed.
        name: String,
        /// Its kind.
        kind: String,
        /// The kinds there are.
        expected: String,
    },
    /// The document is not what it must be.
    #[error("{address} cannot be read as {expected}: {reason}")]
    Malformed {
        /// The document.
        address: String,
        /// What it should be.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The document is not the one that its index describes.
    #[error("{address} is not what {index} describes: expected {expected}, got {got}")]
    Mismatch {
        /// The document.
        address: String,
        /// The index that describes it.
        index: String,
        /// What was expected.
        expected: String,
        /// What was found.
        got: String,
    },
    /// No record could be read.
    #[error("{address}: none of its {skipped} records can be read, first: {first}")]
    NothingReadable {
        /// The document.
        address: String,
        /// How many there are.
        skipped: u64,
        /// What is wrong with the first.
        first: String,
    },
}

impl FeedError {
    /// The server that was asked, when the feed comes from a server.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Fetch(error) => error.host(),
            Self::Malformed { address, .. }
            | Self::Mismatch { address, .. }
            | Self::NothingReadable { address, .. } => crate::fetch::host_of(address),
            Self::MissingSetting { .. } | Self::UnknownKind { .. } => None,
        }
    }

    /// Whether the feed simply is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Fetch(FetchError::NotFound { .. }))
    }
}

/// Collects diagnostics of skipped records: the first hundred one by one, the rest as a number.
#[derive(Debug, Default)]
pub(crate) struct Skipped {
    count: u64,
    diagnostics: Vec<Diagnostic>,
}

const NAMED: usize = 100;

impl Skipped {
    pub(crate) fn add(&mut self, code: &str, path: &str, message: impl Into<String>) {
        self.count += 1;
        if self.diagnostics.len() < NAMED {
            self.diagnostics.push(Diagnostic::gap(code, path, message));
        }
    }

    /// Fails when records were skipped and none was read.
    pub(crate) fn check(&self, address: &str, read: usize) -> Result<(), FeedError> {
        match self.diagnostics.first() {
            Some(first) if read == 0 => Err(FeedError::NothingReadable {
                address: address.to_owned(),
                skipped: self.count,
                first: format!("{}: {}", first.path, first.message),
            }),
            _ => Ok(()),
        }
    }

    /// The number of skipped records and what is said of them.
    pub(crate) fn finish(mut self, path: &str) -> (u64, Vec<Diagnostic>) {
        let unnamed = self.count.saturating_sub(self.diagnostics.len() as u64);
        if unnamed > 0 {
            let message = format!("{unnamed} more records could not be read");
            self.diagnostics.push(Diagnostic::gap("skipped-advisory", path, message));
        }
        (self.count, self.diagnostics)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_says_what_it_is() {
        let names: BTreeSet<_> = ALL.iter().map(|feed| feed.kind()).collect();
        assert_eq!(names.len(), ALL.len());
        for feed in ALL {
            let kebab = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(feed.kind().bytes().all(kebab) && !feed.about().is_empty(), "{}", feed.kind());
            assert!(find(feed.kind()).is_some());
        }
        assert!(find("ovs").is_none());
    }

    #[test]
    fn a_flood_of_broken_records_is_counted_and_not_listed() {
        let mut skipped = Skipped::default();
        for number in 0..1000 {
            skipped.add("skipped-advisory", "all.zip", format!("record {number}"));
        }
        let (count, diagnostics) = skipped.finish("all.zip");
        assert_eq!((count, diagnostics.len()), (1000, NAMED + 1));
        assert!(diagnostics[NAMED].message.starts_with("900 more"));
    }
}
