//! Keeping a cache small.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{Cache, CacheError, UNFINISHED};

/// How long a file without a name of its own may be there: whoever wrote it was killed.
const UNFINISHED_FOR: Duration = Duration::from_secs(60 * 60);

/// The file whose time says when a cache was last made smaller on the way.
const PRUNED: &str = "pruned";

/// How long a cache is left alone after that.
const PRUNED_FOR: Duration = Duration::from_secs(60 * 60);

/// What a cache holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Entries.
    pub entries: u64,
    /// Their size on disk, in bytes.
    pub bytes: u64,
}

/// What was removed, and what is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// What was removed.
    pub removed: Usage,
    /// What is left.
    pub left: Usage,
}

struct Entry {
    used: SystemTime,
    path: PathBuf,
    bytes: u64,
}

impl Cache {
    /// What it holds.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn usage(&self) -> Result<Usage, CacheError> {
        let mut usage = Usage::default();
        for entry in self.entries()? {
            usage.entries += 1;
            usage.bytes += entry.bytes;
        }
        Ok(usage)
    }

    /// Removes what was not used for `max_age`, and then what was not used for the longest time until at most `max_bytes` are
    /// left. Other processes may go on using the cache: what they miss they make again.
    ///
    /// # Errors
    /// When the directory cannot be read or a file cannot be removed.
    pub fn prune(&self, max_bytes: u64, max_age: Option<Duration>) -> Result<Pruned, CacheError> {
        let now = self.now();
        let mut entries = self.entries()?;
        entries.sort_by(|one, other| one.used.cmp(&other.used).then_with(|| one.path.cmp(&other.path)));
        let mut pruned = Pruned::default();
        for entry in &entries {
            pruned.left.entries += 1;
            pruned.left.bytes += entry.bytes;
        }
        for entry in entries {
            let age = now.duration_since(entry.used).unwrap_or_default();
            let is_unfinished = entry.path.file_name().is_some_and(is_unfinished);
            let is_old = max_age.is_some_and(|max| age > max) || (is_unfinished && age > UNFINISHED_FOR);
            if !is_old && pruned.left.bytes <= max_bytes {
                continue;
            }
            match fs::remove_file(&entry.path) {
                // Another process removed it.
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(CacheError { path: entry.path, source });
                }
                _ => {}
            }
            pruned.removed.entries += 1;
            pruned.removed.bytes += entry.bytes;
            pruned.left.entries -= 1;
            pruned.left.bytes -= entry.bytes;
        }
        Ok(pruned)
    }

    /// Makes it as small as it is meant to be, unless somebody did so within the last hour. That it fails costs room and
    /// nothing else; the next who keeps something tries again.
    pub(crate) fn prune_now_and_then(&self) {
        let (marker, now) = (self.directory().join(PRUNED), self.now());
        let last = fs::metadata(&marker).and_then(|metadata| metadata.modified());
        // A time in the future is another clock's.
        if last.is_ok_and(|last| now.duration_since(last).is_ok_and(|age| age < PRUNED_FOR)) {
            return;
        }
        // First, so that nobody else begins at the same time; two who do do no harm.
        let marked = fs::File::create(&marker).and_then(|file| file.set_modified(now));
        if marked.is_ok() {
            let _ = self.prune(self.max_bytes, None);
        }
    }

    fn entries(&self) -> Result<Vec<Entry>, CacheError> {
        let mut entries = Vec::new();
        for kind in children(&self.root)? {
            for group in children(&kind)? {
                for path in children(&group)? {
                    // It may have gone meanwhile.
                    let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
                    if metadata.is_file() {
                        let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                        entries.push(Entry { used, path, bytes: metadata.len() });
                    }
                }
            }
        }
        Ok(entries)
    }
}

fn is_unfinished(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(UNFINISHED)
}

/// What is in a directory; nothing in what is none.
fn children(directory: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let failed = |source| CacheError { path: directory.to_owned(), source };
    if !directory.is_dir() {
        return Ok(Vec::new());
    }
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}
