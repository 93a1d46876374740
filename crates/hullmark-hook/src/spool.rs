//! Decisions that were taken without an answer, kept until they can be recorded.
//!
//! One line of JSON each in [`SPOOL_FILE`], appended under an exclusive lock and flushed to the disk before the decision
//! takes effect. Who records them renames the file under the same lock, so a line is never written into a file that was
//! taken already.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hullmark_types::{SPOOL_FILE, SpooledDecision};

/// The most bytes that the file may have. A machine that is never asked for its records stops starting containers before
/// it fills the disk.
pub const LIMIT: u64 = 64 * 1024 * 1024;

/// How often the file is opened again because it was taken between opening and locking.
const ATTEMPTS: usize = 8;

/// The decision could not be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot keep the decision in `{path}`")]
pub struct SpoolError {
    path: PathBuf,
    source: io::Error,
}

/// Keeps a decision on the disk. The directory is made when it is not there.
///
/// # Errors
/// When it cannot be written or flushed.
pub fn keep(directory: &Path, decision: &SpooledDecision) -> Result<(), SpoolError> {
    let path = directory.join(SPOOL_FILE);
    append(directory, &path, decision).map_err(|source| SpoolError { path, source })
}

fn append(directory: &Path, path: &Path, decision: &SpooledDecision) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let mut file = open(path)?;
    let length = file.metadata()?.len();
    if length >= LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too many decisions wait to be recorded"));
    }
    let mut line = Vec::new();
    if length > 0 {
        // A line that was cut off by a full disk must not take this one with it.
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.push(b'\n');
        }
    }
    serde_json::to_writer(&mut line, decision)?;
    line.push(b'\n');
    file.write_all(&line)?;
    file.sync_all()?;
    if length == 0 {
        // The entry of a new file in its directory is not on the disk by itself.
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}

/// The file, locked; the lock goes with the file, also when the process is killed.
fn open(path: &Path) -> io::Result<File> {
    for _ in 0..ATTEMPTS {
        let file = OpenOptions::new().create(true).append(true).read(true).mode(0o600).open(path)?;
        file.lock()?;
        let (own, named) = (file.metadata()?, std::fs::metadata(path));
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (own.dev(), own.ino())) {
            return Ok(file);
        }
    }
    Err(io::Error::other("it is taken away again and again"))
}
