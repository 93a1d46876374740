//! The merged view: which files an image has, which layer brought each, and what later layers removed.

use std::collections::BTreeMap;

use crate::LayerInventory;
use crate::root::{LiveNode, Root};

/// What a path of an image is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewKind {
    /// A regular file, under any of its names: a hard link is a file as well.
    File,
    /// A directory that has an entry of its own in a layer.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its target as written.
        target: String,
    },
    /// A device, a pipe, a socket; or a hard link that leads nowhere.
    Other,
}

/// A path that is there after the last layer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ViewEntry {
    /// The path from the root, where the links in its directories lead; without a leading `/`.
    pub path: String,
    /// What it is.
    pub kind: ViewKind,
    /// The layer that brought it; for a directory the first one from which on it stayed.
    pub layer: u32,
}

/// By what a layer removed a path of a lower one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Removal {
    /// A whiteout of the path or of a directory above it.
    Whiteout,
    /// A directory above it that hides what lower layers have in it.
    OpaqueDirectory,
    /// Another entry at the path, or one that is no directory where a directory above it was.
    #[default]
    Replaced,
}

/// A path that a layer had and a later one removed. Its bytes are still in the layer that had it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeletedEntry {
    /// The path from the root, where the links in its directories led.
    pub path: String,
    /// What it was.
    pub kind: ViewKind,
    /// The layer that had it.
    pub layer: u32,
    /// The layer that removed it.
    pub removed_by: u32,
    /// By what.
    pub removal: Removal,
}

/// The file system that the layers of an image make up, as a container would see it.
///
/// It has at most as many entries as the layers have together: each is there, or was removed once. Directories that no layer
/// has an entry for are not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergedView {
    files: Vec<ViewEntry>,
    deleted: Vec<DeletedEntry>,
}

impl MergedView {
    /// Puts the layers on top of each other, base first.
    pub fn new(layers: &[LayerInventory]) -> Self {
        let mut root = Root::recording();
        for (index, layer) in (0_u32..).zip(layers) {
            root.apply(index, layer);
        }
        let mut files: Vec<_> = root
            .nodes()
            .map(|(path, live)| ViewEntry {
                path: path.to_owned(),
                kind: kind(&live.node),
                layer: live.layer,
            })
            .collect();
        let record = root.into_record();
        files.extend(record.directories.into_iter().map(|(path, layer)| ViewEntry {
            path,
            kind: ViewKind::Directory,
            layer,
        }));
        files.sort();
        let mut deleted = record.deleted;
        deleted.sort();
        Self { files, deleted }
    }

    /// What is there, by path.
    pub fn files(&self) -> &[ViewEntry] {
        &self.files
    }

    /// What lower layers had and later ones removed, by path and then by the layer that had it.
    pub fn deleted(&self) -> &[DeletedEntry] {
        &self.deleted
    }
}

/// What a [`Root`] notes on the way for a view.
#[derive(Debug, Default)]
pub(crate) struct Record {
    directories: BTreeMap<String, u32>,
    deleted: Vec<DeletedEntry>,
    /// The layer that is applied, and by what it removes at the moment.
    layer: u32,
    removal: Removal,
}

impl Record {
    /// A layer is applied.
    pub(crate) fn begin(&mut self, layer: u32) {
        self.layer = layer;
    }

    /// From now on things are removed by this.
    pub(crate) fn removing_by(&mut self, removal: Removal) {
        self.removal = removal;
    }

    /// An entry is gone. What a layer replaces within itself was never there.
    pub(crate) fn removed(&mut self, path: &str, node: &LiveNode<'_>, layer: u32) {
        self.push(path.to_owned(), kind(node), layer);
    }

    /// A directory is there.
    pub(crate) fn directory(&mut self, path: String) {
        if !path.is_empty() {
            self.directories.entry(path).or_insert(self.layer);
        }
    }

    /// A directory is gone, if it was one.
    pub(crate) fn directory_removed(&mut self, path: &str) {
        if let Some(layer) = self.directories.remove(path) {
            self.push(path.to_owned(), ViewKind::Directory, layer);
        }
    }

    /// The directories below one are gone; below the root when there are no bounds.
    pub(crate) fn directories_removed(&mut self, bounds: Option<(String, String)>) {
        let below: Vec<String> = match bounds {
            None => self.directories.keys().cloned().collect(),
            Some((from, to)) => self.directories.range(from..to).map(|(path, _)| path.clone()).collect(),
        };
        below.iter().for_each(|path| self.directory_removed(path));
    }

    fn push(&mut self, path: String, kind: ViewKind, layer: u32) {
        if layer != self.layer {
            let (removed_by, removal) = (self.layer, self.removal);
            self.deleted.push(DeletedEntry { path, kind, layer, removed_by, removal });
        }
    }
}

fn kind(node: &LiveNode<'_>) -> ViewKind {
    match node {
        LiveNode::File(_) | LiveNode::UnreadLink(..) => ViewKind::File,
        LiveNode::Symlink(target) => ViewKind::Symlink { target: (*target).to_owned() },
        LiveNode::Other => ViewKind::Other,
    }
}
