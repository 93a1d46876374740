//! Files that are being written and have no place of their own yet. A process that is ended by a signal can remove them all.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Those of this process.
static FILES: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn files() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is being written. Unless it was renamed by then, it is removed when this is dropped.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    /// Makes an empty file, with these permissions where it is new.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path, mode: u32) -> io::Result<(File, Self)> {
        // Held while the file is made, so that there is none that nobody knows of.
        let mut files = files();
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
        files.insert(path.to_owned());
        Ok((file, Self { path: path.to_owned() }))
    }

    /// Removes all of them, before the process ends: whoever makes, renames or removes one from then on waits for ever.
    pub fn abandon_all() {
        let files = files();
        for path in files.iter() {
            let _ = fs::remove_file(path);
        }
        std::mem::forget(files);
    }

    /// Gives the file its place, in one step.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn rename(self, to: &Path) -> io::Result<()> {
        let mut files = files();
        let renamed = fs::rename(&self.path, to);
        if renamed.is_ok() {
            files.remove(&self.path);
        }
        // Released before `self` is dropped, which takes it again.
        drop(files);
        renamed
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut files = files();
        if files.remove(&self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gets_its_place_or_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        let (_, unfinished) = Unfinished::create(&one, 0o600).unwrap();
        assert!(one.exists());
        drop(unfinished);
        assert!(!one.exists());
        let (_, unfinished) = Unfinished::create(&one, 0o600).unwrap();
        unfinished.rename(&other).unwrap();
        assert!(!one.exists() && other.exists());
        let (_, unfinished) = Unfinished::create(&one, 0o600).unwrap();
        unfinished.rename(&directory.path().join("no/such")).unwrap_err();
        assert!(!one.exists());
    }
}
