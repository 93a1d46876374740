//! What can go wrong with a ledger, each with its place.

use std::io;
use std::path::{Path, PathBuf};

use crate::hash::NodeHash;

/// A text or binary format that is not as its specification says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}, line {line}: {reason}")]
pub struct FormatError {
    /// What was read: `checkpoint`, `proof`, `signed note`, `verifier key`.
    pub what: &'static str,
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong there.
    pub reason: &'static str,
}

/// Which of two files was changed, when they disagree about an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// The tree above confirms the hash: the entry was changed.
    Entry,
    /// The tree above confirms the entry: its hash was changed.
    Hash,
    /// The tree above confirms neither.
    Unclear,
}

impl Culprit {
    fn explain(self) -> &'static str {
        match self {
            Self::Entry => "the entry was changed (the tree confirms the recorded hash)",
            Self::Hash => "the recorded hash was changed (the tree confirms the entry)",
            Self::Unclear => "the entry, its hash or both were changed",
        }
    }
}

/// An entry and the hash recorded for it that disagree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry {index} does not match its hash: {}; bundle `{}` at byte {offset}, hash in `{}` at byte {hash_offset}: \
     recorded {recorded}, computed {computed}",
    culprit.explain(), bundle.display(), tile.display()
)]
pub struct EntryMismatch {
    /// The entry.
    pub index: u64,
    /// The bundle that holds it.
    pub bundle: PathBuf,
    /// Where in the bundle its length prefix begins.
    pub offset: u64,
    /// The tile that holds its hash.
    pub tile: PathBuf,
    /// Where in the tile the hash begins.
    pub hash_offset: u64,
    /// The hash in the tile.
    pub recorded: NodeHash,
    /// The hash of the entry.
    pub computed: NodeHash,
    /// Which of both was changed.
    pub culprit: Culprit,
}

/// A hash of an inner node that differs from what the entries under it give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "entries {first} to {last} do not match hash {element} of `{}` (byte {offset}): recorded {recorded}, computed \
     {computed}", path.display()
)]
pub struct NodeMismatch {
    /// First entry under the node.
    pub first: u64,
    /// Last entry under the node.
    pub last: u64,
    /// The tile.
    pub path: PathBuf,
    /// Which hash of the tile.
    pub element: usize,
    /// Where in the tile.
    pub offset: u64,
    /// The hash in the tile.
    pub recorded: NodeHash,
    /// The hash the entries give.
    pub computed: NodeHash,
}

/// Why the ledger could not be opened, read, written or verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The operating system refused.
    #[error("cannot {action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// There is no ledger in the directory.
    #[error("`{}` holds no ledger: the file `checkpoint` is absent\nhint: a scan creates the ledger", path.display())]
    NotALedger {
        /// The directory.
        path: PathBuf,
    },
    /// The directory has tiles or a key but no checkpoint.
    #[error(
        "`{}` has entries but no checkpoint: it was removed\nhint: restore the file from a backup", path.display()
    )]
    CheckpointRemoved {
        /// Where the checkpoint should be.
        path: PathBuf,
    },
    /// The ledger exists but its signing key is gone.
    #[error(
        "the signing key `{}` is absent, and the ledger beside it was signed by it\n\
         hint: restore the key, or start a new ledger in another directory", path.display()
    )]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// There is no public key to verify by.
    #[error(
        "the public key `{}` is absent\nhint: give the key that the ledger was signed by, or restore the file",
        path.display()
    )]
    PublicKeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// Others than the owner can read the signing key.
    #[error(
        "the signing key `{}` has mode {mode:04o}: others than its owner can use it\nhint: chmod 600 {}",
        path.display(), path.display()
    )]
    KeyPermissions {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A key file is not in the form of a note key.
    #[error("the key file `{}` is damaged", path.display())]
    KeyMalformed {
        /// The key file.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
    /// Two key files that must belong together do not.
    #[error("the key in `{}` is {found}, expected {expected}", path.display())]
    KeyMismatch {
        /// The key file.
        path: PathBuf,
        /// Name and id of the key expected.
        expected: String,
        /// Name and id of the key found.
        found: String,
    },
    /// The origin of a new ledger cannot be a key name.
    #[error(
        "`{origin}` cannot name a ledger: it must not be empty nor contain spaces, control characters or `+`"
    )]
    OriginInvalid {
        /// The origin asked for.
        origin: String,
    },
    /// A checkpoint or proof speaks of another ledger than the key.
    #[error("the checkpoint is of the ledger `{found}`, expected `{expected}`")]
    OriginMismatch {
        /// The name of the key.
        expected: String,
        /// The origin line of the checkpoint.
        found: String,
    },
    /// An entry does not fit into the 16-bit length of an entry bundle.
    #[error("entry {position} of the batch has {length} bytes, the limit is 65535")]
    EntryTooLarge {
        /// Position in the batch, from 0.
        position: usize,
        /// Its length.
        length: usize,
    },
    /// The ledger is full (2^63 - 1 entries).
    #[error("the ledger is full")]
    Full,
    /// An index beyond the end.
    #[error("there is no entry {index}: the ledger has {size} entries")]
    NoSuchEntry {
        /// The index asked for.
        index: u64,
        /// Entries in the ledger.
        size: u64,
    },
    /// The checkpoint file cannot be understood.
    #[error("the checkpoint `{}` is damaged", path.display())]
    CheckpointMalformed {
        /// The checkpoint file.
        path: PathBuf,
        /// Line and reason.
        source: FormatError,
    },
    /// The signature of the checkpoint does not hold.
    #[error("the checkpoint `{}`, line {line}: {reason}", path.display())]
    CheckpointSignature {
        /// The checkpoint file.
        path: PathBuf,
        /// The line that does not fit.
        line: usize,
        /// What does not fit.
        reason: String,
    },
    /// The checkpoint is older than, or from another history than, the one this process saw before.
    #[error(
        "the ledger was rolled back or replaced: it had {known_size} entries with root {known_root}, now it has {size} \
         with root {root}"
    )]
    History {
        /// Entries when last seen.
        known_size: u64,
        /// Root when last seen.
        known_root: NodeHash,
        /// Entries now.
        size: u64,
        /// Root now.
        root: NodeHash,
    },
    /// An entry and its hash disagree.
    #[error(transparent)]
    EntryMismatch(Box<EntryMismatch>),
    /// An entry bundle is not a sequence of length-prefixed entries.
    #[error("entry {index} cannot be read: `{}` at byte {offset}: {reason}", path.display())]
    BundleMalformed {
        /// The first entry that cannot be read.
        index: u64,
        /// The bundle.
        path: PathBuf,
        /// Where it breaks off.
        offset: u64,
        /// How.
        reason: &'static str,
    },
    /// A hash of an inner node differs from what the entries give.
    #[error(transparent)]
    NodeMismatch(Box<NodeMismatch>),
    /// A tile does not have the length it must have.
    #[error("from entry {first} on: the tile `{}` has {found} bytes, expected {expected}", path.display())]
    TileLength {
        /// The first entry whose hash is affected.
        first: u64,
        /// The tile.
        path: PathBuf,
        /// Bytes it must have.
        expected: u64,
        /// Bytes it has (or the limit at which reading stopped).
        found: u64,
    },
    /// A tile or bundle that the tree needs is absent.
    #[error("entries {first} to {last}: the file `{}` is absent", path.display())]
    Missing {
        /// First entry it covers.
        first: u64,
        /// Last entry it covers.
        last: u64,
        /// The file.
        path: PathBuf,
    },
    /// Something in the log directory is not a plain file.
    #[error("`{}` is not a regular file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file is larger than anything that belongs there.
    #[error("`{}` has more than {limit} bytes, which no file of that kind has", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// Entries and tiles agree with each other, but the signed checkpoint is of another tree.
    #[error(
        "the {size} entries (0 to {}) are not those that were signed: root {computed}, the checkpoint says {signed}",
        size.saturating_sub(1)
    )]
    RootMismatch {
        /// Entries by the checkpoint.
        size: u64,
        /// The root in the checkpoint.
        signed: NodeHash,
        /// The root of what is on disk.
        computed: NodeHash,
    },
    /// A file kept from an earlier size differs from the current one.
    #[error("entry {index}: `{}`, kept from an earlier size, differs at byte {offset}", path.display())]
    OldVersionDiffers {
        /// First entry that differs.
        index: u64,
        /// The older file.
        path: PathBuf,
        /// Where it differs.
        offset: u64,
    },
    /// A file of a log that is elsewhere cannot be had.
    #[error("cannot get `{name}` of the log")]
    RemoteRead {
        /// The file, relative to the log.
        name: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file of a log that is elsewhere is not what it must be.
    #[error("`{name}` of the log is damaged: {reason}")]
    RemoteDamaged {
        /// The file, relative to the log.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The journal holds something that does not continue the ledger.
    #[error("the journal segment `{}`, byte {offset}: {reason}", path.display())]
    Journal {
        /// The segment.
        path: PathBuf,
        /// Where the record begins that does not fit.
        offset: usize,
        /// What does not fit.
        reason: String,
    },
    /// Too many bytes for one append.
    #[error("the batch has {length} bytes, more than one append takes")]
    BatchTooLarge {
        /// Bytes of all its entries.
        length: usize,
    },
    /// Entries that are recorded in the journal could not be published.
    #[error("entries that were recorded cannot be published: {reason}")]
    NotPublished {
        /// Why.
        reason: String,
    },
    /// A proof cannot be understood.
    #[error("the proof is damaged")]
    ProofMalformed(#[source] FormatError),
    /// The checkpoint inside a proof is not signed by the key.
    #[error("the checkpoint in the proof is not valid")]
    ProofSignature(#[source] FormatError),
    /// The proof does not lead from the entry to the root.
    #[error(
        "the proof does not hold for entry {index}: the given entry is not the one in the ledger of {size} entries"
    )]
    ProofFails {
        /// The index in the proof.
        index: u64,
        /// Entries by the checkpoint in the proof.
        size: u64,
    },
}

impl LedgerError {
    /// The first and the last entry the error is about, where it is about entries.
    #[must_use]
    pub fn entries(&self) -> Option<(u64, u64)> {
        match self {
            Self::EntryMismatch(mismatch) => Some((mismatch.index, mismatch.index)),
            Self::NodeMismatch(mismatch) => Some((mismatch.first, mismatch.last)),
            Self::BundleMalformed { index, .. }
            | Self::OldVersionDiffers { index, .. }
            | Self::ProofFails { index, .. }
            | Self::NoSuchEntry { index, .. } => Some((*index, *index)),
            Self::TileLength { first, .. } => Some((*first, *first)),
            Self::Missing { first, last, .. } => Some((*first, *last)),
            Self::RootMismatch { size, .. } => size.checked_sub(1).map(|last| (0, last)),
            _ => None,
        }
    }

    pub(crate) fn entry_mismatch(mismatch: EntryMismatch) -> Self {
        Self::EntryMismatch(Box::new(mismatch))
    }

    /// Wraps an input or output error with what was tried where.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}
