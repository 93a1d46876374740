//! Results that need not be computed again.
//!
//! An entry is a file named after its kind and its key, a digest of everything that it depends on. It is written under no name
//! and then linked to its own, whole: readers see all of it or nothing, any number of processes share a directory without
//! waiting for each other, and a process that is killed leaves nothing behind. Each entry carries the digest of its content,
//! so that one that is damaged is noticed, removed and made again.
//!
//! What is not used for a while goes first: the time of the last use is that of the file, exact to a day.

mod prune;
mod unfinished;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hullmark_types::{Digest, DigestAlgorithm, Hasher};
use jiff::Timestamp;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};

pub use prune::{Pruned, Usage};
pub use unfinished::Unfinished;

/// What an entry begins with.
const MAGIC: &[u8; 8] = b"hullmrk1";

/// The largest content of an entry, in bytes; a larger one is not kept.
const MAX_CONTENT: u64 = 512 << 20;

/// How much a cache keeps unless something else is said, in bytes: 1 GiB.
pub const DEFAULT_MAX_BYTES: u64 = 1 << 30;

/// zstd's fastest regular level: what is read often is small enough with it.
const LEVEL: i32 = 1;

/// How exact the time of the last use is.
const DAY: i64 = 24 * 60 * 60;

/// The name of a file while it has no name of its own, where the file system cannot do without one.
const UNFINISHED: &str = ".unfinished-";

/// The directory cannot be used as a cache.
#[derive(Debug, thiserror::Error)]
#[error("the cache `{}` cannot be used", path.display())]
pub struct CacheError {
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// A cache in a directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
    now: Timestamp,
    max_bytes: u64,
}

impl Cache {
    /// Uses a directory, which is made if it is not there. `now` is when entries count as used. It keeps at most
    /// [`DEFAULT_MAX_BYTES`], and what an hour brings.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(root: &Path, now: Timestamp) -> Result<Self, CacheError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.map_err(|source| CacheError { path: root.to_owned(), source })?;
        Ok(Self { root: root.to_owned(), now, max_bytes: DEFAULT_MAX_BYTES })
    }

    /// The same, which keeps at most `max_bytes`, and what an hour brings.
    pub fn bounded(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.root
    }

    /// The content of an entry; `None` when there is none, or it is damaged, and then it is removed.
    pub fn get(&self, kind: &str, key: &Digest) -> Option<Vec<u8>> {
        let path = self.path(kind, key);
        let mut file = File::open(&path).ok()?;
        match read(&mut file, kind, key) {
            Ok(content) => {
                self.touch(&file);
                Some(content)
            }
            Err(_) => {
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    /// Keeps an entry. One that is there already stays; both are the same.
    ///
    /// # Errors
    /// When the disk refuses. Nothing half written stays.
    pub fn put(&self, kind: &str, key: &Digest, content: &[u8]) -> Result<(), CacheError> {
        if content.len() as u64 > MAX_CONTENT {
            return Ok(());
        }
        let path = self.path(kind, key);
        self.write(&path, kind, key, content).map_err(|source| CacheError { path, source })?;
        self.prune_now_and_then();
        Ok(())
    }

    fn write(&self, path: &Path, kind: &str, key: &Digest, content: &[u8]) -> io::Result<()> {
        if path.exists() {
            return Ok(());
        }
        let directory = path.parent().unwrap_or(&self.root);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let bytes = encode(kind, key, content)?;
        let nameless =
            OpenOptions::new().write(true).mode(0o600).custom_flags(OFlag::O_TMPFILE.bits()).open(directory);
        match nameless {
            Ok(mut file) => {
                file.write_all(&bytes)?;
                let own = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
                match nix::unistd::linkat(AT_FDCWD, &own, AT_FDCWD, path, AtFlags::AT_SYMLINK_FOLLOW) {
                    // Another process was faster.
                    Ok(()) | Err(nix::Error::EEXIST) => Ok(()),
                    Err(error) => Err(error.into()),
                }
            }
            // Not every file system has files without a name.
            Err(_) => {
                let name = format!("{UNFINISHED}{}-{}", std::process::id(), key.hex());
                let (mut file, unfinished) = Unfinished::create(&directory.join(name), 0o600)?;
                file.write_all(&bytes)?;
                unfinished.rename(path)
            }
        }
    }

    fn path(&self, kind: &str, key: &Digest) -> PathBuf {
        let hex = key.hex();
        self.root.join(kind).join(hex.get(..2).unwrap_or("00")).join(hex)
    }

    /// The time as files have it.
    pub(crate) fn now(&self) -> SystemTime {
        let seconds = u64::try_from(self.now.as_second()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// Notes that an entry was used, at most once a day.
    fn touch(&self, file: &File) {
        let now = self.now();
        let modified = file.metadata().and_then(|metadata| metadata.modified()).unwrap_or(now);
        let age = now.duration_since(modified).unwrap_or_default();
        if i64::try_from(age.as_secs()).unwrap_or(i64::MAX) >= DAY {
            let _ = file.set_modified(now);
        }
    }
}

/// What stands before the content: the magic, the digest of kind, key and content, and the length of the content.
const HEADER: usize = 8 + SEAL + 8;

/// The length of that digest.
const SEAL: usize = 64;

fn encode(kind: &str, key: &Digest, content: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(HEADER + content.len() / 4);
    bytes.extend(MAGIC);
    bytes.extend(seal(kind, key, content).as_bytes());
    bytes.extend((content.len() as u64).to_le_bytes());
    zstd::stream::copy_encode(content, &mut bytes, LEVEL)?;
    Ok(bytes)
}

fn read(file: &mut File, kind: &str, key: &Digest) -> io::Result<Vec<u8>> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let mut header = [0; HEADER];
    file.read_exact(&mut header)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (sealed, length) = rest.split_at(SEAL);
    let length = u64::from_le_bytes(length.try_into().map_err(|_| damaged())?);
    if magic != MAGIC || length > MAX_CONTENT {
        return Err(damaged());
    }
    let mut content = Vec::new();
    zstd::stream::read::Decoder::new(file)?.take(length + 1).read_to_end(&mut content)?;
    match content.len() as u64 == length && seal(kind, key, &content).as_bytes() == sealed {
        true => Ok(content),
        false => Err(damaged()),
    }
}

/// The digest of kind, key and content, as text: an entry under another name is damaged too.
fn seal(kind: &str, key: &Digest, content: &[u8]) -> String {
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
    for part in [kind.as_bytes(), b"\n", key.to_string().as_bytes(), b"\n", content] {
        hasher.update(part);
    }
    hasher.finish().hex().to_owned()
}
