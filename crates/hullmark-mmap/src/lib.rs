//! Read-only memory maps. The one crate of the project with unsafe code: one function, one call.
#![expect(
    unsafe_code,
    reason = "opening a memory map is unsafe in every library; it is done here and nowhere else"
)]

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::path::Path;

/// A file mapped read-only into memory. Dereferences to its bytes.
#[derive(Debug)]
pub struct Map(Option<memmap2::Mmap>);

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(&[])
    }
}

/// Maps the file at `path` read-only; an empty file gives an empty map.
///
/// Only for files that are replaced by rename and never written in place: whoever changes the bytes of a mapped file
/// changes them under the reader, and whoever shortens it makes the reader fail.
///
/// # Errors
/// When the file cannot be opened or mapped, or is not a regular file.
pub fn open(path: &Path) -> io::Result<Map> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if metadata.len() == 0 {
        return Ok(Map(None));
    }
    // SAFETY: the map is read-only and private to this process, and the files opened here are replaced as a whole by
    // rename and never written in place, so the bytes do not change while they are borrowed.
    let map = unsafe { memmap2::Mmap::map(&file)? };
    Ok(Map(Some(map)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_shows_the_bytes_even_after_the_file_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"first").unwrap();
        let map = open(&path).unwrap();
        let other = directory.path().join("other");
        std::fs::write(&other, b"second, and longer").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(&*map, b"first");
        assert_eq!(&*open(&path).unwrap(), b"second, and longer");
    }

    #[test]
    fn empty_files_are_empty_and_directories_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("empty");
        std::fs::write(&path, b"").unwrap();
        assert!(open(&path).unwrap().is_empty());
        assert!(open(directory.path()).is_err());
        assert!(open(&directory.path().join("absent")).is_err());
    }
}
