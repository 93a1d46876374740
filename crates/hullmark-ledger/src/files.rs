//! The few file operations the ledger is built from: reads that are bounded, writes that survive a crash.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::LedgerError;

/// Permission bits of a file that all may read (the umask still applies).
pub(crate) const PUBLIC: u32 = 0o644;

/// Permission bits of a file for its owner alone.
pub(crate) const PRIVATE: u32 = 0o600;

/// Everything that changes the disk. The ledger goes through this trait so that tests can stop it at any step.
pub(crate) trait FileOperations {
    /// Makes a directory; one that exists already is left alone.
    fn create_directory(&mut self, path: &Path) -> io::Result<()>;
    /// Makes a file (replacing an older one of that name), writes it whole and flushes it to the disk.
    fn write_flushed(&mut self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// Gives a file another name, replacing what had it, in one step.
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()>;
    /// Flushes the names in a directory to the disk.
    fn flush_directory(&mut self, path: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&mut self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&mut self, path: &Path) -> io::Result<()>;
    /// Makes a file to append to, and fails when there is one of that name.
    fn create_to_append(&mut self, path: &Path) -> io::Result<File>;
    /// Writes at the end of a file.
    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// Flushes what a file holds, and its length, to the disk.
    fn flush_data(&mut self, file: &File) -> io::Result<()>;
    /// Cuts a file off.
    fn truncate(&mut self, file: &File, length: u64) -> io::Result<()>;
}

/// The real disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Disk;

impl FileOperations for Disk {
    fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            outcome => outcome,
        }
    }

    fn write_flushed(&mut self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        // Removing first and creating anew never follows a link that someone left under that name.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
        #[cfg(not(unix))]
        let _no_permission_bits = mode;
        let mut file = options.open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn flush_directory(&mut self, path: &Path) -> io::Result<()> {
        // Only Unix can open a directory to flush it; elsewhere the file system orders renames itself.
        if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
    }

    fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn create_to_append(&mut self, path: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create_new(true).open(path)
    }

    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn flush_data(&mut self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn truncate(&mut self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }
}

/// Publishes files under a directory: each appears whole or not at all, and what is published before
/// [`Publisher::barrier`] is on the disk before anything after it.
pub(crate) struct Publisher<'a> {
    operations: &'a mut dyn FileOperations,
    root: &'a Path,
    unflushed: BTreeSet<PathBuf>,
}

impl<'a> Publisher<'a> {
    pub(crate) fn new(operations: &'a mut dyn FileOperations, root: &'a Path) -> Self {
        Self { operations, root, unflushed: BTreeSet::new() }
    }

    /// Writes `bytes` to a temporary name beside the file and renames it to `relative`.
    pub(crate) fn publish(&mut self, relative: &str, bytes: &[u8], mode: u32) -> Result<(), LedgerError> {
        let mut directory = self.root.to_path_buf();
        let (parents, _) = relative.rsplit_once('/').unwrap_or(("", relative));
        for name in parents.split('/').filter(|name| !name.is_empty()) {
            // Also for one that exists: the process that made it may have been killed before it was flushed.
            self.unflushed.insert(directory.clone());
            directory.push(name);
            self.operations
                .create_directory(&directory)
                .map_err(LedgerError::io("create the directory", &directory))?;
        }
        let target = self.root.join(relative);
        let temporary = self.root.join(format!("{relative}{TEMPORARY}"));
        self.operations
            .write_flushed(&temporary, bytes, mode)
            .map_err(LedgerError::io("write", &temporary))?;
        self.operations.rename(&temporary, &target).map_err(LedgerError::io("put in place", &target))?;
        self.unflushed.insert(directory);
        Ok(())
    }

    /// Makes sure that the directory itself is on the disk.
    pub(crate) fn flush_parent(&mut self) -> Result<(), LedgerError> {
        let parent = match self.root.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        self.operations.flush_directory(parent).map_err(LedgerError::io("flush the directory", parent))
    }

    /// Waits until all that was published is on the disk.
    pub(crate) fn barrier(&mut self) -> Result<(), LedgerError> {
        for directory in std::mem::take(&mut self.unflushed) {
            self.operations
                .flush_directory(&directory)
                .map_err(LedgerError::io("flush the directory", &directory))?;
        }
        Ok(())
    }

    /// Removes what is no longer needed. What cannot be removed stays: it does no harm.
    pub(crate) fn discard(&mut self, relative: &str) {
        let _stays = self.operations.remove_file(&self.root.join(relative));
    }

    /// Removes a directory if nothing is left in it.
    pub(crate) fn discard_directory(&mut self, relative: &str) {
        let _stays = self.operations.remove_directory(&self.root.join(relative));
    }
}

/// What the name of a file ends with until it is complete.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Reads a whole file of at most `limit` bytes; `None` when there is none.
pub(crate) fn read_bounded(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, LedgerError> {
    // A pipe or a device under that name would block or never end; a link would lead out of the ledger.
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(LedgerError::NotAFile { path: path.to_path_buf() });
        }
        Ok(_) => {}
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(LedgerError::io("read", path)(error)),
    }
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(LedgerError::io("open", path)(error)),
    };
    let limit = limit as u64;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(LedgerError::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(LedgerError::TooLarge { path: path.to_path_buf(), limit });
    }
    Ok(Some(bytes))
}

/// Whether an error says that there is no such file.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
