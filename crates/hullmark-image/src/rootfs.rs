//! A directory on disk, walked as if it were the only layer of an image.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use hullmark_types::Diagnostic;

use crate::path::escape;
use crate::{Entry, EntryKind, LayerVisitor, Limits};

/// How much of a file is read at once, in bytes.
const PIECE: usize = 128 * 1024;

/// Walks `root` in the order of names. Links are not followed, and other file systems are entered like any directory.
pub(crate) fn walk(root: &Path, limits: &Limits, visitor: &mut dyn LayerVisitor) -> Vec<Diagnostic> {
    let mut walk = Walk { limits, visitor, diagnostics: Vec::new(), entries: 0 };
    let mut pending = vec![(root.to_owned(), String::new(), 0_usize)];
    while let Some((directory, path, depth)) = pending.pop() {
        let children = match children(&directory) {
            Ok(children) => children,
            Err(error) => {
                walk.gap("unreadable-directory", &path, error.to_string());
                continue;
            }
        };
        let mut directories = Vec::new();
        for child in children {
            walk.entries += 1;
            if walk.entries > limits.max_entries {
                let limit = limits.max_entries;
                walk.gap("limit-entries", &path, format!("more than {limit} entries; the rest was not read"));
                return walk.diagnostics;
            }
            let name =
                escape(child.file_name().map(std::os::unix::ffi::OsStrExt::as_bytes).unwrap_or_default());
            let child_path = if path.is_empty() { name } else { format!("{path}/{name}") };
            if walk.child(&child, &child_path) {
                match depth + 1 < limits.max_path_depth {
                    true => directories.push((child, child_path, depth + 1)),
                    false => walk.gap(
                        "limit-path-depth",
                        &child_path,
                        "the directory is too deep; it was not read",
                    ),
                }
            }
        }
        // The last one pushed is walked first.
        pending.extend(directories.into_iter().rev());
    }
    walk.diagnostics
}

fn children(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut children =
        fs::read_dir(directory)?.map(|child| Ok(child?.path())).collect::<io::Result<Vec<_>>>()?;
    children.sort();
    Ok(children)
}

struct Walk<'a> {
    limits: &'a Limits,
    visitor: &'a mut dyn LayerVisitor,
    diagnostics: Vec<Diagnostic>,
    entries: u64,
}

impl Walk<'_> {
    fn gap(&mut self, code: &str, path: &str, message: impl Into<String>) {
        if self.diagnostics.len() < 1000 {
            self.diagnostics.push(Diagnostic::gap(code, path, message));
        }
    }

    /// Hands one child to the visitor; whether it is a directory to go into.
    fn child(&mut self, child: &Path, path: &str) -> bool {
        match self.visit(child, path) {
            Ok(is_directory) => is_directory,
            Err(error) => {
                self.gap("unreadable-file", path, error.to_string());
                false
            }
        }
    }

    fn visit(&mut self, child: &Path, path: &str) -> io::Result<bool> {
        use std::os::unix::fs::PermissionsExt;

        let metadata = fs::symlink_metadata(child)?;
        let kind = if metadata.is_file() {
            EntryKind::File
        } else if metadata.is_dir() {
            EntryKind::Directory
        } else if metadata.is_symlink() {
            let target = fs::read_link(child)?;
            EntryKind::Symlink { target: escape(std::os::unix::ffi::OsStrExt::as_bytes(target.as_os_str())) }
        } else {
            EntryKind::Other
        };
        let size = if metadata.is_file() { metadata.len() } else { 0 };
        if size > self.limits.max_file_size {
            let limit = self.limits.max_file_size;
            self.gap(
                "limit-file-size",
                path,
                format!("the file has {size} bytes and the limit is {limit}; it was not read"),
            );
            return Ok(false);
        }
        let entry = Entry { path: path.to_owned(), kind, mode: metadata.permissions().mode() & 0o7777, size };
        match entry.kind {
            // Never more than was announced: some files have no end.
            EntryKind::File => {
                let content = OnDemand { path: child, file: None }.take(size);
                self.visitor.entry(&entry, &mut BufReader::with_capacity(PIECE, content))?;
            }
            _ => self.visitor.entry(&entry, &mut io::empty())?,
        }
        Ok(entry.kind == EntryKind::Directory)
    }
}

/// Opens a file when it is first read: most files are not wanted.
struct OnDemand<'a> {
    path: &'a Path,
    file: Option<File>,
}

impl Read for OnDemand<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.read(buffer),
            None => self.file.insert(File::open(self.path)?).read(buffer),
        }
    }
}
