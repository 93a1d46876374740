//! Blobs on the disk, by the digest of their bytes: `blobs/ALGORITHM/HEX` in a directory.
//!
//! A blob is written to a temporary file, verified, flushed and renamed, so that a file under its digest is whole whenever
//! the process dies; temporary files are removed when the cache is opened. The blobs together have at most `limit` bytes:
//! those that were not used for the longest time make room, except those that are pinned while an image is taken apart.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hullmark_types::{Digest, DigestAlgorithm, Hasher};

/// How much is read from an upstream at once.
const PIECE: usize = 256 * 1024;

/// The cache. Calls block.
#[derive(Debug)]
pub(crate) struct BlobCache {
    root: PathBuf,
    limit: u64,
    index: Mutex<Index>,
    temporary: AtomicU64,
}

#[derive(Debug, Default)]
struct Index {
    entries: BTreeMap<Digest, Entry>,
    /// By the time of the last use; a time is a number that grows.
    order: BTreeMap<u64, Digest>,
    time: u64,
    /// Bytes of the blobs, and of those that are being written.
    total: u64,
    pinned: BTreeMap<Digest, usize>,
}

#[derive(Debug)]
struct Entry {
    size: u64,
    used: u64,
}

/// Why a blob is not in the cache afterwards.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CacheError {
    /// The disk failed.
    #[error("the blob cache cannot be written: {0}")]
    Disk(#[source] io::Error),
    /// The blob does not fit.
    #[error("the blob cache has no room for {size} bytes; `gate.cache_bytes` is {limit}")]
    Full { size: u64, limit: u64 },
    /// What came is not what was announced.
    #[error("{0}")]
    Source(#[source] io::Error),
    /// What came has another size or digest.
    #[error("{0}")]
    Damaged(String),
}

/// Keeps blobs in the cache as long as it lives.
#[derive(Debug)]
pub(crate) struct Pin {
    cache: Arc<BlobCache>,
    digests: Vec<Digest>,
}

impl BlobCache {
    /// Opens the cache, removes what a killed process left, and counts what is there.
    pub(crate) fn open(root: &Path, limit: u64) -> io::Result<Self> {
        let temporary = root.join("temporary");
        fs::create_dir_all(&temporary)?;
        for left in fs::read_dir(&temporary)? {
            fs::remove_file(left?.path())?;
        }
        let mut found = Vec::new();
        for algorithm in [DigestAlgorithm::Sha256, DigestAlgorithm::Sha512] {
            let directory = root.join("blobs").join(algorithm.name());
            fs::create_dir_all(&directory)?;
            for file in fs::read_dir(&directory)? {
                let file = file?;
                let name = format!("{}:{}", algorithm.name(), file.file_name().to_string_lossy());
                let metadata = file.metadata()?;
                if let (Ok(digest), true) = (name.parse::<Digest>(), metadata.is_file()) {
                    found.push((metadata.modified()?, digest, metadata.len()));
                }
            }
        }
        found.sort();
        let mut index = Index::default();
        found.into_iter().for_each(|(_, digest, size)| index.insert(digest, size));
        let cache =
            Self { root: root.to_owned(), limit, index: Mutex::new(index), temporary: AtomicU64::new(0) };
        cache.evict(&mut cache.index(), limit);
        Ok(cache)
    }

    /// The directory, in the form of an OCI layout without an index.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// How many bytes the blobs may have.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// How many bytes the blobs have.
    pub(crate) fn total(&self) -> u64 {
        self.index().total
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Opens a blob. Once open, it can be read although it makes room for others.
    pub(crate) fn get(&self, digest: &Digest) -> Option<(File, u64)> {
        let size = self.index().touch(digest)?;
        match File::open(self.path(digest)) {
            Ok(file) => Some((file, size)),
            Err(_) => {
                self.index().remove(digest);
                None
            }
        }
    }

    /// Whether a blob is here.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.index().entries.contains_key(digest)
    }

    /// Keeps these blobs, those that are here and those that will be.
    pub(crate) fn pin(self: &Arc<Self>, digests: Vec<Digest>) -> Pin {
        let mut index = self.index();
        digests.iter().for_each(|digest| *index.pinned.entry(digest.clone()).or_default() += 1);
        drop(index);
        Pin { cache: Arc::clone(self), digests }
    }

    /// Writes a blob of exactly `size` bytes, and verifies its digest.
    pub(crate) fn write(&self, digest: &Digest, size: u64, source: &mut dyn Read) -> Result<(), CacheError> {
        let room = Room::make(self, size)?;
        let number = self.temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = Temporary(self.root.join("temporary").join(format!("{number}")));
        let mut file = File::create_new(&temporary.0).map_err(CacheError::Disk)?;
        let mut hasher = Hasher::new(digest.algorithm());
        let mut buffer = vec![0; PIECE];
        let mut written = 0_u64;
        loop {
            let length = match source.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CacheError::Source(error)),
            };
            written += length as u64;
            if written > size {
                return Err(CacheError::Damaged(format!(
                    "`{digest}` has more than the {size} bytes that its manifest states"
                )));
            }
            let piece = buffer.get(..length).unwrap_or_default();
            hasher.update(piece);
            file.write_all(piece).map_err(CacheError::Disk)?;
        }
        if written != size {
            let problem = format!("`{digest}` has {written} bytes; its manifest states {size}");
            return Err(CacheError::Damaged(problem));
        }
        let got = hasher.finish();
        if got != *digest {
            return Err(CacheError::Damaged(format!(
                "`{digest}` is damaged or was changed: the bytes have {got}"
            )));
        }
        let path = self.path(digest);
        file.sync_all()
            .and_then(|()| fs::rename(&temporary.0, &path))
            .and_then(|()| path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all()))
            .map_err(CacheError::Disk)?;
        room.take(digest);
        Ok(())
    }

    /// Removes the least used blobs until at most `limit` bytes are left.
    fn evict(&self, index: &mut Index, limit: u64) {
        let oldest: Vec<Digest> = index.order.values().cloned().collect();
        for digest in oldest {
            if index.total <= limit {
                return;
            }
            // A file that cannot be removed still takes room.
            if !index.pinned.contains_key(&digest) && fs::remove_file(self.path(&digest)).is_ok() {
                index.remove(&digest);
            }
        }
    }
}

impl Index {
    fn insert(&mut self, digest: Digest, size: u64) {
        self.remove(&digest);
        self.time += 1;
        self.total += size;
        self.order.insert(self.time, digest.clone());
        self.entries.insert(digest, Entry { size, used: self.time });
    }

    fn remove(&mut self, digest: &Digest) {
        if let Some(entry) = self.entries.remove(digest) {
            self.order.remove(&entry.used);
            self.total = self.total.saturating_sub(entry.size);
        }
    }

    fn touch(&mut self, digest: &Digest) -> Option<u64> {
        let entry = self.entries.get_mut(digest)?;
        if let Some(digest) = self.order.remove(&entry.used) {
            self.time += 1;
            entry.used = self.time;
            self.order.insert(self.time, digest);
        }
        Some(entry.size)
    }
}

/// Bytes that are set aside for a blob that is being written.
struct Room<'a> {
    cache: &'a BlobCache,
    size: u64,
}

impl<'a> Room<'a> {
    fn make(cache: &'a BlobCache, size: u64) -> Result<Self, CacheError> {
        let full = || CacheError::Full { size, limit: cache.limit };
        let mut index = cache.index();
        let left = cache.limit.checked_sub(size).ok_or_else(full)?;
        cache.evict(&mut index, left);
        if index.total > left {
            return Err(full());
        }
        index.total += size;
        Ok(Self { cache, size })
    }

    /// The blob is written.
    fn take(self, digest: &Digest) {
        let mut index = self.cache.index();
        index.insert(digest.clone(), self.size);
        drop(index);
        // What was set aside is given back by `drop`.
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        let mut index = self.cache.index();
        index.total = index.total.saturating_sub(self.size);
    }
}

/// A temporary file; gone when it is not renamed.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        let mut index = self.cache.index();
        for digest in &self.digests {
            if let Some(count) = index.pinned.get_mut(digest) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    index.pinned.remove(digest);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &BlobCache, bytes: &[u8]) -> Result<Digest, CacheError> {
        let digest = Digest::sha256(bytes);
        cache.write(&digest, bytes.len() as u64, &mut &*bytes)?;
        Ok(digest)
    }

    fn read(cache: &BlobCache, digest: &Digest) -> Option<Vec<u8>> {
        let (mut file, _) = cache.get(digest)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        Some(bytes)
    }

    #[test]
    fn the_least_used_blobs_make_room_except_pinned_ones() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Arc::new(BlobCache::open(directory.path(), 30).unwrap());
        let [a, b, c] = [[1; 10], [2; 10], [3; 10]].map(|bytes| put(&cache, &bytes).unwrap());
        assert_eq!((read(&cache, &a), cache.total()), (Some(vec![1; 10]), 30));
        let pin = cache.pin(vec![b.clone()]);
        let d = put(&cache, &[4; 10]).unwrap();
        assert_eq!([&a, &b, &c, &d].map(|digest| cache.has(digest)), [true, true, false, true]);
        let e = put(&cache, &[5; 20]).unwrap();
        assert_eq!([&a, &b, &d, &e].map(|digest| cache.has(digest)), [false, true, false, true]);
        assert!(matches!(put(&cache, &[6; 21]), Err(CacheError::Full { .. })));
        assert!(cache.has(&b));
        drop(pin);
        put(&cache, &[6; 30]).unwrap();
        assert!(!cache.has(&b) && matches!(put(&cache, &[7; 31]), Err(CacheError::Full { .. })));
        assert_eq!(cache.total(), 30);
    }

    #[test]
    fn only_what_has_the_size_and_the_digest_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let cache = BlobCache::open(directory.path(), 1000).unwrap();
        let digest = Digest::sha256(b"right");
        for (size, bytes) in [(5, "wrong"), (4, "right"), (6, "right"), (5, "")] {
            let result = cache.write(&digest, size, &mut bytes.as_bytes());
            assert!(matches!(result, Err(CacheError::Damaged(_))), "{size} {bytes}");
        }
        assert!(!cache.has(&digest) && cache.total() == 0);
        assert_eq!(fs::read_dir(directory.path().join("temporary")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(directory.path().join("blobs/sha256")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_what_it_finished_is_found() {
        let directory = tempfile::tempdir().unwrap();
        let digest = put(&BlobCache::open(directory.path(), 1000).unwrap(), b"whole").unwrap();
        let left = directory.path().join("temporary/7");
        fs::write(&left, "half").unwrap();
        fs::write(directory.path().join("blobs/sha256/strange"), "x").unwrap();
        let cache = BlobCache::open(directory.path(), 1000).unwrap();
        assert!(!left.exists());
        assert_eq!((read(&cache, &digest), cache.total()), (Some(b"whole".to_vec()), 5));
        // A smaller limit is kept from the start on, and a file that was removed by others is not there.
        assert_eq!(BlobCache::open(directory.path(), 4).unwrap().total(), 0);
        assert_eq!(read(&cache, &digest), None);
        assert_eq!(cache.total(), 0);
    }
}
