//! The advisory database, opened again when its file is replaced.

use std::collections::VecDeque;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use hullmark_advisory::{Database, DatabaseError};
use hullmark_types::{Actor, Answer, Digest, Point, TrailKind, TrailRecord};
use jiff::Timestamp;

use crate::trail;

/// What tells one file from the next under the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// The database in use.
pub(super) struct Advisories {
    path: PathBuf,
    current: RwLock<Arc<Database>>,
    /// What the file was when it was looked at last, whether it could be used or not.
    seen: Mutex<Option<Stamp>>,
    broken: AtomicBool,
    /// Changes that are not recorded yet, with the digests before and after, oldest first.
    unrecorded: Mutex<VecDeque<(Digest, Digest)>>,
}

impl Advisories {
    pub(super) fn open(path: PathBuf) -> Result<Self, DatabaseError> {
        let seen = stamp(&path);
        let database = Database::open(&path)?;
        Ok(Self {
            path,
            current: RwLock::new(Arc::new(database)),
            seen: Mutex::new(seen),
            broken: AtomicBool::new(false),
            unrecorded: Mutex::default(),
        })
    }

    pub(super) fn current(&self) -> Arc<Database> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Whether the file is the one that was looked at last.
    pub(super) fn is_fresh(&self) -> bool {
        stamp(&self.path) == *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The oldest change that is not recorded yet: the digests before and after.
    pub(super) fn unrecorded(&self) -> Option<(Digest, Digest)> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner).front().cloned()
    }

    /// The oldest change is recorded now.
    pub(super) fn recorded(&self) {
        let _ = self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    }

    /// Opens the file again if it was replaced; the change is to be recorded when the digests differ. A file that is absent
    /// or damaged changes nothing but [`Advisories::is_broken`].
    pub(super) fn reopen(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let now = stamp(&self.path);
        if now == *seen {
            return;
        }
        let opened = Database::open(&self.path);
        *seen = now;
        self.broken.store(opened.is_err(), Ordering::Relaxed);
        let opened = match opened {
            Ok(opened) => Arc::new(opened),
            Err(error) => {
                let cause = crate::error::chain(&error);
                tracing::error!(%cause, "the advisory database was replaced by one that cannot be used");
                return;
            }
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let digests = (current.digest().clone(), opened.digest().clone());
        if digests.0 != digests.1 {
            self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner).push_back(digests);
        }
        *current = opened;
    }
}

fn stamp(path: &std::path::Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.size(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

/// The record of a change.
pub(super) fn record(old: &Digest, new: &Digest, time: Timestamp) -> TrailRecord {
    let actor = Actor { name: "server".to_owned(), ..Actor::default() };
    let message = "the advisory database was replaced";
    let mut record = trail::note(TrailKind::Server, Point::Server, Answer::Noted, message, actor, time);
    record.detail.insert("database_before".to_owned(), old.to_string());
    record.detail.insert("database".to_owned(), new.to_string());
    record
}
