//! Contents that were computed before, so that most executions cost no hashing.
//!
//! A content is kept only for a file that nobody can have changed without it showing: a file of the root file system whose
//! inode was last changed before the container was tracked. Writing to a file of the image makes overlayfs copy it up, which
//! changes the inode; writing to a file that was written since is not kept at all, because a shared memory map can change it
//! without a trace in its times. Such files are hashed at each execution.

use std::collections::BTreeMap;

use nix::sys::stat::FileStat;

use crate::profiles::Content;

/// What identifies a file in a certain state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    container: u64,
    device: u64,
    inode: u64,
    size: i64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Key {
    pub(super) fn new(container: u64, facts: &FileStat) -> Self {
        Self {
            container,
            device: facts.st_dev,
            inode: facts.st_ino,
            size: facts.st_size,
            modified: (facts.st_mtime, facts.st_mtime_nsec),
            changed: (facts.st_ctime, facts.st_ctime_nsec),
        }
    }

    /// Whether the file was last changed before a moment, in nanoseconds since 1970. Times of files lag behind the clock by
    /// up to one tick of the kernel's timer.
    pub(super) fn changed_before(&self, nanoseconds: i128) -> bool {
        const TICK: i128 = 100_000_000;
        let (seconds, rest) = self.changed;
        i128::from(seconds) * 1_000_000_000 + i128::from(rest) + TICK < nanoseconds
    }
}

/// How many contents are kept.
const CAPACITY: usize = 16 * 1024;

#[derive(Debug, Default)]
pub(super) struct Cache {
    contents: BTreeMap<Key, Content>,
}

impl Cache {
    pub(super) fn get(&self, key: &Key) -> Option<Content> {
        self.contents.get(key).copied()
    }

    pub(super) fn insert(&mut self, key: Key, content: Content) {
        if self.contents.len() >= CAPACITY {
            self.contents.clear();
        }
        self.contents.insert(key, content);
    }
}
