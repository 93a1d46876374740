//! Directories on disk, each walked as one layer: a root file system, the root of a running container, or the layers of an
//! engine that keeps them unpacked.
//!
//! What is walked may belong to someone who changes it meanwhile. Everything is opened relative to its directory and never
//! through a link, so that no change leads the walk out of the tree.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use hullmark_types::Diagnostic;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::path::escape;
use crate::walk::{Whiteout, whiteout};
use crate::{Entry, EntryKind, ImageError, LayerVisitor, Limits};

/// How much of a file is read at once, in bytes.
const PIECE: usize = 128 * 1024;

/// The most diagnostics kept of one directory tree.
const MAX_DIAGNOSTICS: usize = 1000;

/// A directory that is a layer.
#[derive(Debug)]
pub(crate) struct Tree {
    root: Root,
    form: Form,
    /// Paths that belong to other file systems; they are not entered.
    left_out: BTreeSet<String>,
}

/// Where a tree begins.
#[derive(Debug)]
enum Root {
    Path(PathBuf),
    Opened { name: PathBuf, directory: OwnedFd },
}

/// How a tree says what it removes from the layers below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Not at all: it is the only layer.
    Plain,
    /// As the overlay file system of Linux does, or fuse-overlayfs.
    Overlay,
}

impl Tree {
    /// The tree at `path`.
    pub(crate) fn at(path: PathBuf, form: Form) -> Self {
        Self { root: Root::Path(path), form, left_out: BTreeSet::new() }
    }

    /// The tree of a directory that is open; `name` is for errors. The paths `left_out` are not entered.
    pub(crate) fn opened(name: PathBuf, directory: OwnedFd, left_out: BTreeSet<String>) -> Self {
        Self { root: Root::Opened { name, directory }, form: Form::Plain, left_out }
    }

    /// Walks the tree in the order of names, files before directories.
    ///
    /// # Errors
    /// When the directory itself cannot be opened. Whatever else cannot be read is said.
    pub(crate) fn walk(
        &self,
        limits: &Limits,
        visitor: &mut dyn LayerVisitor,
    ) -> Result<Vec<Diagnostic>, ImageError> {
        let (name, opened) = match &self.root {
            // The user may name a link.
            Root::Path(path) => {
                (path, rustix::fs::open(path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty()))
            }
            Root::Opened { name, directory } => {
                (name, rustix::fs::openat(directory, c".", DIRECTORY, Mode::empty()))
            }
        };
        let directory =
            opened.map_err(|error| ImageError::Io { path: name.clone(), source: error.into() })?;
        let mut walk =
            Walk { tree: self, limits, visitor, diagnostics: Vec::new(), entries: 0, is_over: false };
        walk.root(&directory);
        walk.run(directory);
        Ok(walk.diagnostics)
    }
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Without waiting for the other end of a pipe, should one have come in place of the file.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

struct Walk<'a> {
    tree: &'a Tree,
    limits: &'a Limits,
    visitor: &'a mut dyn LayerVisitor,
    diagnostics: Vec<Diagnostic>,
    entries: u64,
    /// Whether a limit ended the walk.
    is_over: bool,
}

/// A directory whose subdirectories are still to be walked, the first of them last.
struct Pending {
    directory: OwnedFd,
    path: String,
    subdirectories: Vec<CString>,
}

impl Walk<'_> {
    fn gap(&mut self, code: &str, path: &str, message: impl Into<String>) {
        match self.diagnostics.len() {
            length if length < MAX_DIAGNOSTICS => self.diagnostics.push(Diagnostic::gap(code, path, message)),
            MAX_DIAGNOSTICS => {
                let message = format!("more than {MAX_DIAGNOSTICS} problems; the rest is not listed");
                self.diagnostics.push(Diagnostic::gap("limit-diagnostics", "", message));
            }
            _ => {}
        }
    }

    /// What is to be said of the root before its children.
    fn root(&mut self, directory: &OwnedFd) {
        match self.tree.form {
            Form::Plain => {}
            Form::Overlay => {
                self.opaque(directory.as_fd(), "");
                let owner = rustix::fs::fstat(directory).map(|facts| facts.st_uid);
                if owner == Ok(0) && !rustix::process::geteuid().is_root() {
                    let message = "what the layer hides of the layers below can be seen by root only";
                    self.gap("unreadable-whiteouts", "", message);
                }
            }
        }
    }

    fn run(&mut self, root: OwnedFd) {
        let mut pending = vec![self.enter(root, String::new())];
        while let Some(last) = pending.last_mut() {
            let Some(name) = last.subdirectories.pop() else {
                pending.pop();
                continue;
            };
            if self.is_over {
                return;
            }
            let path = join(&last.path, &name);
            match rustix::fs::openat(&last.directory, &name, DIRECTORY, Mode::empty()) {
                Err(error) => self.gap("unreadable-directory", &path, io::Error::from(error).to_string()),
                Ok(_) if pending.len() >= self.limits.max_path_depth => {
                    self.gap("limit-path-depth", &path, "the directory is too deep; it was not read");
                }
                Ok(directory) => {
                    if self.tree.form == Form::Overlay {
                        self.opaque(directory.as_fd(), &path);
                    }
                    let entered = self.enter(directory, path);
                    pending.push(entered);
                }
            }
        }
    }

    /// Hands the children of a directory to the visitor.
    fn enter(&mut self, directory: OwnedFd, path: String) -> Pending {
        let mut subdirectories = Vec::new();
        let names = match self.names(directory.as_fd(), &path) {
            Ok(names) => names,
            Err(error) => {
                self.gap("unreadable-directory", &path, error.to_string());
                Vec::new()
            }
        };
        for name in names {
            let child = join(&path, &name);
            if child.len() > self.limits.max_path_length {
                let limit = self.limits.max_path_length;
                let shown: String = child.chars().take(200).collect();
                self.gap(
                    "limit-path-length",
                    &shown,
                    format!("the path is longer than {limit} bytes; it was not read"),
                );
                continue;
            }
            match self.child(directory.as_fd(), &name, child.clone()) {
                Ok(true) => subdirectories.push(name),
                Ok(false) => {}
                // It went away since the directory was read, as happens in what is in use.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.gap("unreadable-file", &child, error.to_string()),
            }
        }
        subdirectories.reverse();
        Pending { directory, path, subdirectories }
    }

    fn names(&mut self, directory: BorrowedFd<'_>, path: &str) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(directory)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            if self.entries >= self.limits.max_entries {
                let limit = self.limits.max_entries;
                self.gap("limit-entries", path, format!("more than {limit} entries; the rest was not read"));
                self.is_over = true;
                break;
            }
            self.entries += 1;
            names.push(entry.file_name().to_owned());
        }
        names.sort();
        Ok(names)
    }

    /// Hands one child to the visitor; whether it is a directory to go into.
    fn child(&mut self, directory: BorrowedFd<'_>, name: &CStr, path: String) -> io::Result<bool> {
        let facts = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = match FileType::from_raw_mode(facts.st_mode) {
            FileType::RegularFile => EntryKind::File,
            FileType::Directory => EntryKind::Directory,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(directory, name, Vec::new())?;
                EntryKind::Symlink { target: escape(target.to_bytes()) }
            }
            _ => EntryKind::Other,
        };
        if self.tree.form == Form::Overlay
            && let Some(result) = self.overlay(directory, name, &path, &facts)
        {
            return result.map(|()| false);
        }
        let is_left_out = self.tree.left_out.contains(&path);
        if is_left_out && kind != EntryKind::Directory {
            return Ok(false);
        }
        let size = match kind {
            EntryKind::File => u64::try_from(facts.st_size).unwrap_or_default(),
            _ => 0,
        };
        if size > self.limits.max_file_size {
            let limit = self.limits.max_file_size;
            self.gap(
                "limit-file-size",
                &path,
                format!("the file has {size} bytes and the limit is {limit}; it was not read"),
            );
            return Ok(false);
        }
        let is_directory = kind == EntryKind::Directory;
        let entry = Entry { path, kind, mode: u32::from(facts.st_mode as u16) & 0o7777, size };
        match entry.kind {
            // Never more than was announced: some files have no end.
            EntryKind::File => {
                let is_layer = self.tree.form == Form::Overlay;
                let content = OnDemand { directory, name, is_layer, file: None };
                self.visitor.entry(&entry, &mut BufReader::with_capacity(PIECE, content.take(size)))?;
            }
            _ => self.visitor.entry(&entry, &mut io::empty())?,
        }
        Ok(is_directory && !is_left_out)
    }

    /// Whether a child says something of the layers below; if so it is no file of this layer.
    fn overlay(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        path: &str,
        facts: &Stat,
    ) -> Option<io::Result<()>> {
        let file_type = FileType::from_raw_mode(facts.st_mode);
        if file_type == FileType::CharacterDevice && facts.st_rdev == 0 {
            self.mark(EntryKind::Whiteout, path);
            return Some(Ok(()));
        }
        if file_type == FileType::RegularFile && facts.st_size == 0 {
            // Since Linux 6.7 an empty file with an attribute may stand for the device.
            match rustix::fs::openat(directory, name, FILE, Mode::empty()) {
                Ok(file) if attribute(file.as_fd(), "whiteout").is_some() => {
                    self.mark(EntryKind::Whiteout, path);
                    return Some(Ok(()));
                }
                Ok(_) => {}
                Err(error) => return Some(Err(error.into())),
            }
            // fuse-overlayfs writes the same names as a layer's tar.
            match whiteout(path) {
                Some(Whiteout::Of(path)) => self.mark(EntryKind::Whiteout, &path),
                Some(Whiteout::Opaque(path)) => self.mark(EntryKind::OpaqueDirectory, &path),
                Some(Whiteout::Metadata | Whiteout::OfNothing) => {}
                None => return None,
            }
            return Some(Ok(()));
        }
        None
    }

    /// Says of a directory what its attributes say.
    fn opaque(&mut self, directory: BorrowedFd<'_>, path: &str) {
        let is_opaque = attribute(directory, "opaque").is_some_and(|value| value == b"y")
            || get(directory, "user.fuseoverlayfs.opaque").is_some_and(|value| value == b"y");
        if is_opaque {
            self.mark(EntryKind::OpaqueDirectory, path);
        }
        if attribute(directory, "redirect").is_some() {
            let message =
                "the directory stands for one of another name in the layers below, which was not looked up";
            self.gap("unreadable-directory", path, message);
        }
    }

    fn mark(&mut self, kind: EntryKind, path: &str) {
        let entry = Entry { path: path.to_owned(), kind, mode: 0, size: 0 };
        if let Err(error) = self.visitor.entry(&entry, &mut io::empty()) {
            self.gap("unreadable-file", path, error.to_string());
        }
    }
}

fn join(directory: &str, name: &CStr) -> String {
    let name = escape(name.to_bytes());
    if directory.is_empty() { name } else { format!("{directory}/{name}") }
}

/// An attribute of the overlay file system: those of root come first, `user.` ones are written without privileges.
fn attribute(file: BorrowedFd<'_>, name: &str) -> Option<Vec<u8>> {
    get(file, &format!("trusted.overlay.{name}")).or_else(|| get(file, &format!("user.overlay.{name}")))
}

fn get(file: BorrowedFd<'_>, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    match rustix::fs::fgetxattr(file, name, &mut value) {
        Ok(length) => Some(value.get(..length).unwrap_or_default().to_vec()),
        // It is there, and longer than any value that means something.
        Err(Errno::RANGE) => Some(Vec::new()),
        Err(_) => None,
    }
}

/// Opens a file when it is first read: most files are not wanted.
struct OnDemand<'a> {
    directory: BorrowedFd<'a>,
    name: &'a CStr,
    /// Whether the content may be in a layer below.
    is_layer: bool,
    file: Option<File>,
}

impl OnDemand<'_> {
    fn open(&self) -> io::Result<File> {
        let file = rustix::fs::openat(self.directory, self.name, FILE, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it was replaced by something that is no file while it was read"));
        }
        if self.is_layer && attribute(file.as_fd(), "metacopy").is_some() {
            return Err(io::Error::other(
                "the layer has only the metadata of the file; its content is below",
            ));
        }
        Ok(File::from(file))
    }
}

impl Read for OnDemand<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.read(buffer),
            None => {
                let file = self.open()?;
                self.file.insert(file).read(buffer)
            }
        }
    }
}

/// Opens a directory that must be one, for those who have the descriptor of the one around it.
pub(crate) fn open_directory(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?)
}
