//! What one layer holds, read in one pass. It depends on the bytes of that layer alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Read};
use std::ops::Bound;

use hullmark_image::{Entry, EntryKind, LayerVisitor, Memory};
use hullmark_types::Diagnostic;
use serde::{Deserialize, Serialize};

use crate::extractor::HEAD_LENGTH;
use crate::extractors::{ALL, wanting};
use crate::passing::Passengers;
use crate::program::{self, Digesting, Program};
use crate::text::excerpt;
use crate::{Extraction, Extractor, FileFacts, OpenFile};

/// A file of which more than this is held is read within the memory for files, and its buffer is given back after it.
pub(crate) const KEPT_BUFFER: u64 = 1024 * 1024;

/// About how many bytes an entry needs besides its names.
const ENTRY: usize = 128;

/// About how many bytes a program needs.
const PROGRAM: u64 = 160;

/// The longest target of a symbolic link, and the longest path that links lead to: `PATH_MAX` of Linux.
pub(crate) const MAX_PATH_LENGTH: usize = 4096;

/// What one layer brings, hides and removes. Serialisable, so that it can be kept by the digest of the layer and
/// [`extractor_set_version`](crate::extractors::extractor_set_version).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerInventory {
    pub(crate) whiteouts: BTreeSet<String>,
    pub(crate) opaque_directories: BTreeSet<String>,
    pub(crate) directories: BTreeSet<String>,
    pub(crate) nodes: BTreeMap<String, Node>,
    pub(crate) contents: Vec<Content>,
    pub(crate) programs: Vec<Program>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

/// Everything that is not a directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Node {
    /// A file.
    File(FileNode),
    /// A symbolic link.
    Symlink(String),
    /// A hard link to a file that an earlier layer must hold.
    Hardlink(String),
    /// A device, a socket, a pipe.
    Other,
}

/// What is known of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileNode {
    /// An index into `contents` when an extractor read it.
    pub(crate) content: Option<usize>,
    /// An index into `programs` when it can be executed or mapped as code.
    pub(crate) program: Option<usize>,
}

/// What the extractors found in one file, by their names.
pub(crate) type Content = BTreeMap<String, Extraction>;

/// Reads one layer into a [`LayerInventory`].
#[derive(Default)]
pub struct LayerCollector {
    inventory: LayerInventory,
    buffer: Vec<u8>,
    memory: Memory,
    /// The directory of the last entry: no file stands where it or one of its parents has to be.
    cleared: Option<String>,
    /// About how many bytes what was put into the inventory needs.
    kept: u64,
    /// Whether what a project asks for counts.
    projects: bool,
}

impl LayerCollector {
    /// A collector that reads files within `memory`.
    pub fn new(memory: Memory) -> Self {
        Self { memory, ..Self::default() }
    }

    /// The same, also for files that say what a project needs.
    #[must_use]
    pub fn with_projects(self, projects: bool) -> Self {
        Self { projects, ..self }
    }

    /// Ends the layer. `diagnostics` are those of the reader of the layer.
    pub fn finish(mut self, diagnostics: Vec<Diagnostic>) -> LayerInventory {
        // The position of the layer in an image is no property of the layer.
        let placeless = diagnostics.into_iter().map(|diagnostic| Diagnostic { layer: None, ..diagnostic });
        self.inventory.diagnostics.extend(placeless);
        self.inventory
    }

    /// What a file is, with what the extractors found in it, and what could not be read of it.
    fn file(&mut self, entry: &Entry, content: &mut dyn BufRead) -> (FileNode, io::Result<()>) {
        let facts = FileFacts { path: &entry.path, size: entry.size, mode: entry.mode };
        let mut wanting: Vec<_> = wanting(&facts, self.projects).collect();
        self.buffer.clear();
        let memory = self.memory.clone();
        let mut _held = None;
        if let Err(error) = read_up_to(content, HEAD_LENGTH as u64, &mut self.buffer) {
            return (FileNode::default(), Err(error));
        }
        let kind = program::kind_of(&self.buffer, entry.mode);
        let mut results = Content::new();
        let mut passing = Vec::new();
        wanting.retain(|extractor| {
            let accepted = extractor.accepts(&self.buffer);
            if !accepted && wants_link(*extractor, &entry.path) {
                results.insert(extractor.name().to_owned(), Extraction::default());
            }
            match accepted.then(|| extractor.passing(&facts, &self.buffer)).flatten() {
                Some(passes) => {
                    passing.push((*extractor, passes));
                    false
                }
                None => accepted,
            }
        });
        let mut passengers = Passengers::new(passing, memory.files());
        // A file that is too large for all is not read at all.
        let limits = wanting.iter().map(|extractor| extractor.max_file_size());
        let limit = limits.filter(|limit| entry.size <= *limit).max().unwrap_or(0);
        // One byte more than allowed shows a file that is larger than its header says.
        let rest = limit.saturating_add(1).saturating_sub(self.buffer.len() as u64);
        let needed = entry.size.min(rest);
        if !wanting.is_empty() && needed > KEPT_BUFFER {
            // One that is larger than all of the pool is read while no other large file is.
            let needed = needed.saturating_add(passengers.max_kept());
            _held = memory.files().take(needed.min(memory.files().size()));
            passengers = passengers.accounted();
        }
        let mut content = Digesting::new(content, &self.buffer, kind.is_some(), passengers);
        if !wanting.is_empty() {
            self.buffer.reserve(usize::try_from(needed).unwrap_or_default());
            if let Err(error) = read_up_to(&mut content, rest, &mut self.buffer) {
                return (FileNode::default(), Err(error));
            }
        }
        let mut found: Vec<_> =
            wanting.iter().map(|extractor| (*extractor, extract(*extractor, entry, &self.buffer))).collect();
        if self.buffer.capacity() as u64 > KEPT_BUFFER {
            self.buffer = Vec::new();
        }
        let (program, read) = match content.finish() {
            Ok((digested, passengers)) => {
                found.extend(passengers.finish(&entry.path));
                let program = kind.zip(digested).map(|(kind, (digest, size))| {
                    self.kept += PROGRAM;
                    self.inventory.programs.push(Program::new(digest, kind, entry.mode, size));
                    self.inventory.programs.len() - 1
                });
                (program, Ok(()))
            }
            // What was found in what was read counts all the same.
            Err(error) => (None, Err(error)),
        };
        for (extractor, extraction) in found {
            if !extraction.is_empty() || wants_link(extractor, &entry.path) {
                results.insert(extractor.name().to_owned(), extraction);
            }
        }
        (FileNode { content: self.keep(results), program }, read)
    }

    fn keep(&mut self, results: Content) -> Option<usize> {
        if results.is_empty() {
            return None;
        }
        self.kept += results.values().map(Extraction::weight).sum::<u64>();
        self.inventory.contents.push(results);
        Some(self.inventory.contents.len() - 1)
    }

    fn symbolic_link(&mut self, path: &str, target: &str) -> Node {
        if target.len() <= MAX_PATH_LENGTH {
            return Node::Symlink(target.to_owned());
        }
        let message =
            format!("the target of the symbolic link is {} bytes long; it is not followed", target.len());
        self.kept += (size_of::<Diagnostic>() + path.len() + message.len()) as u64;
        self.inventory.diagnostics.push(Diagnostic::gap("limit-path-length", path, message));
        Node::Other
    }

    /// A hard link is a second name of what its target is at this point of the layer.
    fn hard_link(&mut self, path: &str, target: &str) -> Node {
        let file = match self.inventory.nodes.get(target) {
            None => return Node::Hardlink(target.to_owned()),
            Some(Node::File(file)) => *file,
            Some(other) => return other.clone(),
        };
        let known =
            file.content.and_then(|index| self.inventory.contents.get(index)).cloned().unwrap_or_default();
        match unread_by(path, &known) {
            unread if unread.is_empty() => Node::File(file),
            unread => {
                let mut results = known;
                for name in unread {
                    results.insert(name.to_owned(), unread_hard_link(path, target));
                }
                Node::File(FileNode { content: self.keep(results), ..file })
            }
        }
    }

    /// A file of this layer where a directory has to be gives way, and has removed what lower layers hold there.
    fn make_way(&mut self, path: &str) {
        let directory = path.rsplit_once('/').map(|(directory, _)| directory);
        // What came last went into this directory, and so into none of its parents' places.
        if directory == self.cleared.as_deref() {
            return;
        }
        let mut ancestor = path;
        while let Some((parent, _)) = ancestor.rsplit_once('/') {
            ancestor = parent;
            if self.inventory.nodes.get(parent).is_some_and(|node| !matches!(node, Node::Symlink(_))) {
                self.inventory.nodes.remove(parent);
                self.inventory.opaque_directories.insert(parent.to_owned());
            }
        }
        self.cleared = directory.map(str::to_owned);
    }

    fn insert(&mut self, path: &str, node: Node) {
        self.make_way(path);
        let LayerInventory { directories, nodes, .. } = &mut self.inventory;
        // Of several entries of one name the last counts, and what is no directory has no children.
        let from = (Bound::Included(path), Bound::Unbounded);
        let next = nodes.range::<str, _>(from).next();
        if next.is_some_and(|(key, _)| key.starts_with(path)) {
            for below in children(nodes.range(first_child(path)..), path) {
                nodes.remove(&below);
            }
        }
        if directories.range::<str, _>(from).next().is_some_and(|key| key.starts_with(path)) {
            directories.remove(path);
            let from = directories.range(first_child(path)..).map(|directory| (directory, &()));
            for below in children(from, path) {
                directories.remove(&below);
            }
        }
        nodes.insert(path.to_owned(), node);
    }
}

impl LayerVisitor for LayerCollector {
    fn kept(&self) -> u64 {
        self.kept
    }

    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> io::Result<()> {
        let target = match &entry.kind {
            EntryKind::Symlink { target } | EntryKind::Hardlink { target } => target.len(),
            _ => 0,
        };
        self.kept += (ENTRY + entry.path.len() + target) as u64;
        let node = match &entry.kind {
            EntryKind::Whiteout => {
                self.inventory.whiteouts.insert(entry.path.clone());
                return Ok(());
            }
            EntryKind::OpaqueDirectory => {
                self.inventory.opaque_directories.insert(entry.path.clone());
                return Ok(());
            }
            EntryKind::Directory => {
                self.make_way(&entry.path);
                if self.inventory.nodes.remove(&entry.path).is_some() {
                    self.inventory.opaque_directories.insert(entry.path.clone());
                }
                self.inventory.directories.insert(entry.path.clone());
                self.cleared = Some(entry.path.clone()).filter(|path| !path.is_empty());
                return Ok(());
            }
            // Only a directory can be the root; anything else of that name is nonsense that must not hide it.
            _ if entry.path.is_empty() => return Ok(()),
            EntryKind::File => {
                // The file is there, whatever could be read of it, and hides what lower layers have of that name.
                let (file, read) = self.file(entry, content);
                self.insert(&entry.path, Node::File(file));
                return read;
            }
            EntryKind::Symlink { target } => self.symbolic_link(&entry.path, target),
            EntryKind::Hardlink { target } => self.hard_link(&entry.path, target),
            EntryKind::Other => Node::Other,
        };
        self.insert(&entry.path, node);
        Ok(())
    }

    fn unread(&mut self, entry: &Entry) {
        if !entry.path.is_empty() {
            self.kept += (ENTRY + entry.path.len()) as u64;
            self.insert(&entry.path, Node::File(FileNode::default()));
        }
    }
}

fn extract(extractor: &dyn Extractor, entry: &Entry, bytes: &[u8]) -> Extraction {
    let limit = extractor.max_file_size();
    if entry.size > limit || bytes.len() as u64 > limit {
        let mut found = Extraction::default();
        let message = format!(
            "the file is {} bytes, more than the {limit} that `{}` reads, so it was not assessed",
            entry.size.max(bytes.len() as u64),
            extractor.name()
        );
        found.gap("limit-file-size", &entry.path, message);
        return found;
    }
    extractor.extract(&OpenFile { path: &entry.path, bytes })
}

fn read_up_to(content: &mut dyn Read, limit: u64, buffer: &mut Vec<u8>) -> io::Result<()> {
    content.take(limit).read_to_end(buffer).map(drop)
}

fn wants_link(extractor: &dyn Extractor, path: &str) -> bool {
    extractor.wants(&FileFacts { path, size: 0, mode: 0 })
}

/// The extractors that want a link at `path` and have not read what it leads to.
pub(crate) fn unread_by(path: &str, known: &Content) -> Vec<&'static str> {
    ALL.iter()
        .filter(|extractor| wants_link(**extractor, path) && !known.contains_key(extractor.name()))
        .map(|extractor| extractor.name())
        .collect()
}

/// The finding for a hard link that leads to something unread.
pub(crate) fn unread_hard_link(path: &str, target: &str) -> Extraction {
    let mut found = Extraction::default();
    let message = format!(
        "a hard link to `{}`, which was not read under that name, so it was not assessed",
        excerpt(target)
    );
    found.gap("hard-link-not-followed", path, message);
    found
}

/// The bounds of all keys below the directory `path`: `foo/` up to, not including, `foo0`, so `foobar` is no child.
pub(crate) fn child_range(path: &str) -> (String, String) {
    (format!("{path}/"), format!("{path}0"))
}

/// The first key that can be below the directory `path`.
pub(crate) fn first_child(path: &str) -> String {
    format!("{path}/")
}

/// The keys below the directory `path`, of those from its [`first_child`] on.
pub(crate) fn children<'a, V: 'a>(
    from: impl Iterator<Item = (&'a String, &'a V)>,
    path: &str,
) -> Vec<String> {
    let is_below = |key: &str| key.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
    from.take_while(|(key, _)| is_below(key)).map(|(key, _)| key.clone()).collect()
}
