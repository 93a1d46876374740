//! Reading no more than a limit.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Everything that `source` gives.
///
/// # Errors
/// When it gives more than `limit` bytes, or cannot be read.
pub(crate) fn read(source: &mut dyn Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {limit} bytes")));
    }
    Ok(bytes)
}

/// The content of a regular file.
///
/// # Errors
/// When it is no regular file, has more than `limit` bytes, or cannot be read.
pub(crate) fn read_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Looked at first: opening a pipe would wait for a writer.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    read(&mut File::open(path)?, limit)
}

/// The content of a regular file that only root or this user can have put there.
///
/// # Errors
/// When it is another's, is no regular file, has more than `limit` bytes, or cannot be read.
pub(crate) fn read_trusted_file(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if !is_trusted(&std::fs::metadata(path)?) {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it belongs to neither root nor this user",
        ));
    }
    read_file(path, limit)
}

/// Whether a file belongs to root or to this user.
pub(crate) fn is_trusted(metadata: &std::fs::Metadata) -> bool {
    let own = std::fs::metadata("/proc/self").map(|process| process.uid()).unwrap_or(0);
    metadata.uid() == 0 || metadata.uid() == own
}
