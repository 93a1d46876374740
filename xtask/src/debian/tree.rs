//! A file system in memory, and the layers made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use anyhow::{Context, Result};
use tar::{Builder, EntryType, Header};

/// Directories that stand in `/usr` on a Debian system, with a link in their old place.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A directory.
    Directory,
    /// A file with its content.
    File(Vec<u8>),
    /// A symbolic link with its target, as written.
    Symlink(String),
    /// Another name of the file at this path.
    Hardlink(String),
}

/// What stands at a path, with its attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    /// Seconds since 1970.
    pub(crate) modified: u64,
}

impl Entry {
    /// A file that anyone may read.
    pub(crate) fn file(content: Vec<u8>, modified: u64) -> Entry {
        Entry { kind: Kind::File(content), mode: 0o644, uid: 0, gid: 0, modified }
    }

    fn directory(modified: u64) -> Entry {
        Entry { kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, modified }
    }
}

/// Entries by their path, which has no slash at either end. The directories of [`MERGED`] are moved to `usr`.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// The links in the old places of the merged directories.
    pub(crate) fn skeleton(modified: u64) -> Tree {
        let mut tree = Tree::default();
        for name in MERGED {
            let kind = Kind::Symlink(format!("usr/{name}"));
            tree.entries.insert(name.to_owned(), Entry { kind, mode: 0o777, uid: 0, gid: 0, modified });
            tree.entries.insert(format!("usr/{name}"), Entry::directory(modified));
        }
        tree
    }

    /// Put something at a path, with the directories above it. A directory does not replace what is there.
    pub(crate) fn insert(&mut self, path: &str, mut entry: Entry) {
        let path = merge(path);
        if path.is_empty() {
            return;
        }
        if let Kind::Hardlink(target) = &mut entry.kind {
            *target = merge(target);
        }
        for (end, _) in path.match_indices('/') {
            let parent = Entry::directory(entry.modified);
            self.entries.entry(path[..end].to_owned()).or_insert(parent);
        }
        if entry.kind == Kind::Directory && self.entries.contains_key(&path) {
            return;
        }
        self.entries.insert(path, entry);
    }

    /// Put everything of another tree into this one.
    pub(crate) fn extend(&mut self, other: &Tree) {
        for (path, entry) in &other.entries {
            self.insert(path, entry.clone());
        }
    }

    /// Hide, in the layers below this one, what an earlier tree has and a later one does not.
    pub(crate) fn hide_removed(&mut self, earlier: &Tree, later: &Tree, modified: u64) {
        for (path, entry) in &earlier.entries {
            if entry.kind != Kind::Directory && !later.entries.contains_key(path) {
                let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
                self.insert(&format!("{parent}/.wh.{name}"), Entry::file(Vec::new(), modified));
            }
        }
    }

    /// Write the tree as a tar: in the order of paths, hard links last so that what they name is there.
    ///
    /// # Errors
    /// When writing fails, or a path is too long for a tar.
    pub(crate) fn write<W: Write>(&self, to: W) -> Result<W> {
        let mut builder = Builder::new(to);
        self.append(&mut builder, &mut BTreeSet::new())?;
        Ok(builder.into_inner()?)
    }

    /// Write the tree into a tar that others are written into too; what is there already is left out.
    ///
    /// # Errors
    /// When writing fails, or a path is too long for a tar.
    pub(crate) fn append<W: Write>(
        &self,
        builder: &mut Builder<W>,
        present: &mut BTreeSet<String>,
    ) -> Result<()> {
        let is_link = |entry: &Entry| matches!(entry.kind, Kind::Hardlink(_));
        let first = self.entries.iter().filter(|(_, entry)| !is_link(entry));
        for (path, entry) in first.chain(self.entries.iter().filter(|(_, entry)| is_link(entry))) {
            if present.insert(path.clone()) {
                append(builder, path, entry).with_context(|| format!("/{path}"))?;
            }
        }
        Ok(())
    }
}

fn merge(path: &str) -> String {
    let path = path.trim_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    if MERGED.contains(&first) { format!("usr/{path}") } else { path.to_owned() }
}

fn append<W: Write>(builder: &mut Builder<W>, path: &str, entry: &Entry) -> std::io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.uid);
    header.set_gid(entry.gid);
    header.set_mtime(entry.modified);
    header.set_size(0);
    match &entry.kind {
        Kind::Directory => {
            header.set_entry_type(EntryType::Directory);
            builder.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
        Kind::File(content) => {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_slice())
        }
        Kind::Symlink(target) => {
            header.set_entry_type(EntryType::Symlink);
            builder.append_link(&mut header, path, target)
        }
        Kind::Hardlink(target) => {
            header.set_entry_type(EntryType::Link);
            builder.append_link(&mut header, path, target)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tree: &Tree) -> Vec<String> {
        let bytes = tree.write(Vec::new()).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let paths = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_string_lossy().into_owned());
        paths.collect()
    }

    #[test]
    fn merged_directories_stand_in_usr_and_parents_come_first() {
        let mut tree = Tree::default();
        tree.insert("bin/true", Entry::file(b"x".to_vec(), 0));
        tree.insert("a", Entry { kind: Kind::Hardlink("bin/true".to_owned()), ..Entry::file(Vec::new(), 0) });
        assert_eq!(names(&tree), ["usr/", "usr/bin/", "usr/bin/true", "a"]);
        assert_eq!(tree.entries["a"].kind, Kind::Hardlink("usr/bin/true".to_owned()));
    }

    #[test]
    fn directories_do_not_replace_links() {
        let mut tree = Tree::skeleton(0);
        tree.insert("lib", Entry::directory(0));
        assert_eq!(tree.entries["lib"].kind, Kind::Symlink("usr/lib".to_owned()));
    }

    #[test]
    fn removed_files_are_hidden() {
        let (mut earlier, mut later, mut layer) = (Tree::default(), Tree::default(), Tree::default());
        for name in ["usr/old", "usr/kept", "top"] {
            earlier.insert(name, Entry::file(Vec::new(), 0));
        }
        later.insert("usr/kept", Entry::file(Vec::new(), 0));
        layer.hide_removed(&earlier, &later, 0);
        assert_eq!(names(&layer), [".wh.top", "usr/", "usr/.wh.old"]);
    }
}
