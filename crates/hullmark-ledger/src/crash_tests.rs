//! Killing the process at every step of every append: the ledger must stay whole.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::files::{Disk, FileOperations};
use crate::{Ledger, LedgerError, verify_log};

/// The disk until `left` operations are done; after that the process is as good as dead.
pub(crate) struct Dying {
    pub(crate) left: usize,
    pub(crate) done: usize,
}

impl Dying {
    fn step(&mut self) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::Error::other("killed"));
        }
        self.left -= 1;
        self.done += 1;
        Ok(())
    }
}

impl FileOperations for Dying {
    fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.create_directory(path)
    }

    fn write_flushed(&mut self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        if let Err(killed) = self.step() {
            // Killed in the middle: half of it is there.
            Disk.write_flushed(path, &bytes[..bytes.len() / 2], mode)?;
            return Err(killed);
        }
        Disk.write_flushed(path, bytes, mode)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Disk.rename(from, to)
    }

    fn flush_directory(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.flush_directory(path)
    }

    fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.remove_file(path)
    }

    fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        Disk.remove_directory(path)
    }

    fn create_to_append(&mut self, path: &Path) -> io::Result<File> {
        self.step()?;
        Disk.create_to_append(path)
    }

    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Err(killed) = self.step() {
            Disk.append(file, &bytes[..bytes.len() / 2])?;
            return Err(killed);
        }
        Disk.append(file, bytes)
    }

    fn flush_data(&mut self, file: &File) -> io::Result<()> {
        self.step()?;
        Disk.flush_data(file)
    }

    fn truncate(&mut self, file: &File, length: u64) -> io::Result<()> {
        self.step()?;
        Disk.truncate(file, length)
    }
}

pub(crate) fn no_entropy(_: &mut [u8]) -> io::Result<()> {
    Err(io::Error::other("there is a key already"))
}

pub(crate) fn entropy(bytes: &mut [u8]) -> io::Result<()> {
    bytes.fill(7);
    Ok(())
}

pub(crate) fn batch(label: &str, count: u64) -> Vec<Vec<u8>> {
    (0..count).map(|n| format!("{label} {n}").into_bytes()).collect()
}

/// All entries of the ledger, after it was verified as it lies there.
pub(crate) fn contents(directory: &Path) -> Vec<Vec<u8>> {
    let report = verify_log(directory, None).unwrap();
    let ledger = Ledger::open_read_only(directory).unwrap();
    let entries: Vec<Vec<u8>> = ledger.entries().map(|item| item.unwrap().1).collect();
    assert_eq!(entries.len() as u64, report.size);
    entries
}

/// Appends `second` to a ledger with `first` entries, once for every step at which it can be killed.
fn check(first: u64, second: u64) {
    for left in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(directory.path(), "example.org/log", &mut entropy).unwrap();
        ledger.append(&batch("old", first)).unwrap();
        let before = batch("old", first);
        let mut disk = Dying { left, done: 0 };
        let outcome = ledger.append_with(&mut disk, &batch("new", second));
        drop(ledger);

        let place = format!("{first} + {second} entries, killed after {left} steps");
        let found = contents(directory.path());
        let after: Vec<_> = before.iter().cloned().chain(batch("new", second)).collect();
        if outcome.is_ok() {
            assert_eq!(found, after, "{place}");
        } else {
            assert!(found == before || found == after, "{place}");
        }

        // The next process goes on as if nothing had happened, with other entries.
        let mut ledger = Ledger::open(directory.path(), "", &mut no_entropy).unwrap();
        assert_eq!(verify_log(directory.path(), None).unwrap().extras, [], "{place}");
        ledger.append(&batch("next", second)).unwrap();
        let expected: Vec<_> = found.into_iter().chain(batch("next", second)).collect();
        assert_eq!(contents(directory.path()), expected, "{place}");
        assert_eq!(verify_log(directory.path(), None).unwrap().extras, [], "{place}");
        if outcome.is_ok() && disk.left > 0 {
            assert!(disk.done > 10, "the steps were not counted");
            return;
        }
    }
}

#[test]
fn a_kill_during_the_first_append_leaves_the_ledger_whole() {
    check(0, 1);
}

#[test]
fn a_kill_while_a_partial_tile_grows_leaves_the_ledger_whole() {
    check(3, 2);
}

#[test]
fn a_kill_while_a_tile_becomes_full_leaves_the_ledger_whole() {
    check(255, 1);
}

#[test]
fn a_kill_while_several_tiles_become_full_leaves_the_ledger_whole() {
    check(250, 600);
}

#[test]
fn a_kill_while_the_ledger_is_created_leaves_nothing_that_stops_the_next() {
    for left in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = Dying { left, done: 0 };
        let outcome = Ledger::open_with(&mut disk, directory.path(), "example.org/log", &mut entropy);
        let created = outcome.is_ok();
        drop(outcome);
        let mut ledger = Ledger::open(directory.path(), "example.org/log", &mut entropy).unwrap();
        ledger.append(&batch("first", 1)).unwrap();
        assert_eq!(contents(directory.path()), batch("first", 1), "killed after {left} steps");
        if created {
            assert!(left > 5, "the steps were not counted");
            return;
        }
    }
}

/// Records what is done in which order.
#[derive(Default)]
pub(crate) struct Recorder(pub(crate) Vec<String>);

impl Recorder {
    fn note(&mut self, what: &str, path: &Path, root: &Path) {
        let path = path.strip_prefix(root).unwrap();
        self.0.push(format!("{what} {}", path.display()).trim_end().to_owned());
    }
}

pub(crate) struct Recording<'a> {
    pub(crate) root: &'a Path,
    pub(crate) recorder: &'a mut Recorder,
}

impl FileOperations for Recording<'_> {
    fn create_directory(&mut self, path: &Path) -> io::Result<()> {
        Disk.create_directory(path)
    }

    fn write_flushed(&mut self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        self.recorder.note("write", path, self.root);
        Disk.write_flushed(path, bytes, mode)
    }

    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.recorder.note("rename", to, self.root);
        Disk.rename(from, to)
    }

    fn flush_directory(&mut self, path: &Path) -> io::Result<()> {
        self.recorder.note("flush", path, self.root);
        Disk.flush_directory(path)
    }

    fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.recorder.note("remove", path, self.root);
        Disk.remove_file(path)
    }

    fn remove_directory(&mut self, path: &Path) -> io::Result<()> {
        self.recorder.note("remove", path, self.root);
        Disk.remove_directory(path)
    }

    fn create_to_append(&mut self, path: &Path) -> io::Result<File> {
        self.recorder.note("create", path, self.root);
        Disk.create_to_append(path)
    }

    fn append(&mut self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        self.recorder.note("append", self.root, self.root);
        Disk.append(file, bytes)
    }

    fn flush_data(&mut self, file: &File) -> io::Result<()> {
        self.recorder.note("flush data", self.root, self.root);
        Disk.flush_data(file)
    }

    fn truncate(&mut self, file: &File, length: u64) -> io::Result<()> {
        self.recorder.note("truncate", self.root, self.root);
        Disk.truncate(file, length)
    }
}

#[test]
fn entries_come_before_hashes_before_the_checkpoint_and_removal_last() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path(), "example.org/log", &mut entropy).unwrap();
    ledger.append(&batch("old", 255)).unwrap();
    let mut recorder = Recorder::default();
    let root = directory.path();
    ledger.append_with(&mut Recording { root, recorder: &mut recorder }, &batch("new", 2)).unwrap();
    assert_eq!(
        recorder.0,
        [
            "write tile/entries/000.tmp",
            "rename tile/entries/000",
            "write tile/entries/001.p/1.tmp",
            "rename tile/entries/001.p/1",
            "flush",
            "flush tile",
            "flush tile/entries",
            "flush tile/entries/001.p",
            "write tile/0/000.tmp",
            "rename tile/0/000",
            "write tile/0/001.p/1.tmp",
            "rename tile/0/001.p/1",
            "write tile/1/000.p/1.tmp",
            "rename tile/1/000.p/1",
            "flush",
            "flush tile",
            "flush tile/0",
            "flush tile/0/001.p",
            "flush tile/1",
            "flush tile/1/000.p",
            "write checkpoint.tmp",
            "rename checkpoint",
            "flush",
            "remove tile/entries/000.p/255",
            "remove tile/entries/000.p",
            "remove tile/0/000.p/255",
            "remove tile/0/000.p",
        ]
    );
}

#[test]
fn a_failed_append_can_be_repeated_by_the_same_process() {
    let directory = tempfile::tempdir().unwrap();
    let mut ledger = Ledger::open(directory.path(), "example.org/log", &mut entropy).unwrap();
    let error = ledger.append_with(&mut Dying { left: 4, done: 0 }, &batch("new", 3)).unwrap_err();
    assert!(matches!(error, LedgerError::Io { .. }), "{error}");
    assert_eq!(ledger.size(), 0);
    ledger.append(&batch("new", 3)).unwrap();
    assert_eq!(contents(directory.path()), batch("new", 3));
}
