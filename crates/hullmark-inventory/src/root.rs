//! The root file system as the layers build it up, as far as the inventory needs it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

use hullmark_types::{Diagnostic, PackageKind};

use crate::layer::{
    Content, LayerInventory, MAX_PATH_LENGTH, Node, child_range, children, first_child, unread_by,
    unread_hard_link,
};
use crate::program::Program;
use crate::view::{Record, Removal};

/// As many symbolic links are followed for one path as Linux follows.
const MAX_LINKS: usize = 40;

/// What a package is for attribution: the file that names it may be rewritten in each layer.
type Identity<'a> = (PackageKind, &'a str, &'a str);

/// An entry that is there after the last layer applied.
#[derive(Debug, Clone)]
pub(crate) struct Live<'a> {
    /// The layer that holds it.
    pub(crate) layer: u32,
    /// What it is.
    pub(crate) node: LiveNode<'a>,
}

/// What an entry is; everything but directories.
#[derive(Debug, Clone)]
pub(crate) enum LiveNode<'a> {
    /// A file.
    File(LiveFile<'a>),
    /// A symbolic link with its target.
    Symlink(&'a str),
    /// A device, a socket, a pipe; or a hard link that leads nowhere.
    Other,
    /// A hard link to a file of an earlier layer that no extractor read under that name.
    UnreadLink(&'a str, Option<&'a Program>),
}

/// What is known of a file that is there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LiveFile<'a> {
    /// What was found in it.
    pub(crate) content: Option<&'a Content>,
    /// Its digest, when it can be executed or mapped as code.
    pub(crate) program: Option<&'a Program>,
}

/// The layers applied so far.
#[derive(Debug, Default)]
pub(crate) struct Root<'a> {
    nodes: BTreeMap<String, Live<'a>>,
    present: BTreeMap<Identity<'a>, usize>,
    since: BTreeMap<Identity<'a>, u32>,
    /// The packages that the present layer brought or removed somewhere.
    touched: BTreeSet<Identity<'a>>,
    replaced: BTreeMap<String, Diagnostic>,
    /// The last directory that was resolved and parents of it, outermost first, and where they led: entries come in groups.
    resolved: Vec<(String, String)>,
    /// A directory where neither for itself nor for a parent a file stands in the way; empty when none is known.
    cleared: String,
    /// What is noted for a view, if one is wanted.
    record: Option<Record>,
}

impl<'a> Root<'a> {
    /// One that notes directories and what is removed.
    pub(crate) fn recording() -> Self {
        Self { record: Some(Record::default()), ..Self::default() }
    }

    /// What was noted.
    pub(crate) fn into_record(self) -> Record {
        self.record.unwrap_or_default()
    }

    /// Applies a layer: first what it removes from lower layers, then what it brings.
    pub(crate) fn apply(&mut self, index: u32, layer: &'a LayerInventory) {
        self.resolved.clear();
        self.cleared.clear();
        if let Some(record) = &mut self.record {
            record.begin(index);
        }
        let links = self.lower_hard_links(layer);
        self.removing_by(Removal::OpaqueDirectory);
        for directory in &layer.opaque_directories {
            self.remove_children(directory);
        }
        self.removing_by(Removal::Whiteout);
        for path in &layer.whiteouts {
            let real = self.real_place(path);
            self.remove_tree(&real);
        }
        self.removing_by(Removal::Replaced);
        for path in &layer.directories {
            let real = self.real_place(path);
            self.make_way(&real);
            self.remove(&real);
            self.cleared = real;
        }
        // Links come first: other entries of the layer may lie behind them.
        let (symlinks, others): (Vec<_>, Vec<_>) =
            layer.nodes.iter().partition(|(_, node)| matches!(node, Node::Symlink(_)));
        for (path, node) in symlinks.into_iter().chain(others) {
            let node = match node {
                Node::File(file) => LiveNode::File(LiveFile {
                    content: file.content.and_then(|position| layer.contents.get(position)),
                    program: file.program.and_then(|position| layer.programs.get(position)),
                }),
                Node::Symlink(target) => LiveNode::Symlink(target),
                Node::Hardlink(target) => links
                    .get(path.as_str())
                    .cloned()
                    .or_else(|| self.hard_link(path, target))
                    .unwrap_or(LiveNode::Other),
                Node::Other => LiveNode::Other,
            };
            let real = self.real_place(path);
            self.insert(real, Live { layer: index, node });
        }
        if self.record.is_some() {
            // Only now do all links stand through which a directory may be named.
            for path in &layer.directories {
                let real = self.real_path(path);
                if let Some(record) = &mut self.record {
                    record.directory(real);
                }
            }
        }
        for identity in std::mem::take(&mut self.touched) {
            match self.present.contains_key(&identity) {
                true => {
                    self.since.entry(identity).or_insert(index);
                }
                false => {
                    self.since.remove(&identity);
                }
            }
        }
    }

    /// Everything that is not a directory, by path.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&str, &Live<'a>)> {
        self.nodes.iter().map(|(path, live)| (path.as_str(), live))
    }

    /// The programs by path, sorted.
    pub(crate) fn programs(&self) -> impl Iterator<Item = (&str, &'a Program)> {
        self.nodes.iter().filter_map(|(path, live)| match live.node {
            LiveNode::File(LiveFile { program, .. }) | LiveNode::UnreadLink(_, program) => {
                Some((path.as_str(), program?))
            }
            LiveNode::Symlink(_) | LiveNode::Other => None,
        })
    }

    /// The entry at `path` itself, after links in its directories.
    pub(crate) fn node(&self, path: &str) -> Option<&Live<'a>> {
        self.nodes.get(path)
    }

    /// What was found in the file that `path` leads to, through links, and where that file is.
    pub(crate) fn content(&self, path: &str) -> Option<(String, Option<&'a Content>)> {
        let real = self.resolve(path)?;
        match self.nodes.get(&real)?.node {
            LiveNode::File(file) => Some((real, file.content)),
            _ => None,
        }
    }

    /// The layer that first brought the package and from which on it stayed.
    pub(crate) fn since(&self, kind: PackageKind, name: &str, version: &str) -> Option<u32> {
        self.since.get(&(kind, name, version)).copied()
    }

    /// Files that held packages in a lower layer and hold none in the layer that replaced them.
    pub(crate) fn replaced(&self) -> impl Iterator<Item = &Diagnostic> {
        self.replaced.values()
    }

    /// Follows all symbolic links in `path`, inside the root; the result need not exist. `None` after too
    /// many links, or when the path becomes too long.
    pub(crate) fn resolve(&self, path: &str) -> Option<String> {
        if self.leads_through_no_link(path) {
            return Some(path.to_owned());
        }
        let mut rest: VecDeque<String> = path.split('/').map(str::to_owned).collect();
        let mut real = String::new();
        let mut links = 0_usize;
        while let Some(part) = rest.pop_front() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    real.truncate(real.rfind('/').unwrap_or(0));
                    continue;
                }
                _ => {}
            }
            let length = real.len();
            if !real.is_empty() {
                real.push('/');
            }
            real.push_str(&part);
            if real.len() > MAX_PATH_LENGTH.max(path.len()) {
                return None;
            }
            if let Some(Live { node: LiveNode::Symlink(target), .. }) = self.nodes.get(&real) {
                links += 1;
                if links > MAX_LINKS {
                    return None;
                }
                real.truncate(if target.starts_with('/') { 0 } else { length });
                for part in target.split('/').rev() {
                    rest.push_front(part.to_owned());
                }
            }
        }
        Some(real)
    }

    /// Whether each part of a path is what it says; `false` also when that is not plain to see.
    fn leads_through_no_link(&self, path: &str) -> bool {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        let mut start = 0;
        for end in ends {
            let part = path.get(start..end).unwrap_or_default();
            let so_far = path.get(..end).unwrap_or_default();
            let is_link = || matches!(self.nodes.get(so_far), Some(Live { node: LiveNode::Symlink(_), .. }));
            if matches!(part, "" | "." | "..") || is_link() {
                return false;
            }
            start = end + 1;
        }
        true
    }

    /// Where an entry called `path` goes: the links in its directory are followed, the last part is not.
    pub(crate) fn real_path(&self, path: &str) -> String {
        match path.rsplit_once('/') {
            None => path.to_owned(),
            Some((directory, name)) => {
                join(&self.resolve(directory).unwrap_or_else(|| directory.to_owned()), name)
            }
        }
    }

    fn real_place(&mut self, path: &str) -> String {
        let Some((directory, name)) = path.rsplit_once('/') else { return path.to_owned() };
        while let Some((known, real)) = self.resolved.last() {
            if known == directory {
                return join(real, name);
            }
            if is_below(directory, known) {
                break;
            }
            self.resolved.pop();
        }
        let real = self.resolve(directory).unwrap_or_else(|| directory.to_owned());
        let place = join(&real, name);
        self.resolved.push((directory.to_owned(), real));
        place
    }

    /// Hard links bind to what is there before the layer removes anything.
    fn lower_hard_links(&self, layer: &'a LayerInventory) -> BTreeMap<&'a str, LiveNode<'a>> {
        let links = layer.nodes.iter().filter_map(|(path, node)| match node {
            Node::Hardlink(target) => Some((path.as_str(), self.hard_link(path, target)?)),
            _ => None,
        });
        links.collect()
    }

    fn hard_link(&self, path: &str, target: &'a str) -> Option<LiveNode<'a>> {
        let node = &self.nodes.get(&self.real_path(target))?.node;
        let LiveNode::File(file) = node else { return Some(node.clone()) };
        let unread = match file.content {
            Some(content) => unread_by(path, content),
            None => unread_by(path, &Content::new()),
        };
        Some(if unread.is_empty() { node.clone() } else { LiveNode::UnreadLink(target, file.program) })
    }

    fn removing_by(&mut self, removal: Removal) {
        if let Some(record) = &mut self.record {
            record.removing_by(removal);
        }
    }

    /// A file where a directory has to be gives way to the directory.
    fn make_way(&mut self, path: &str) {
        let mut ancestor = path;
        while let Some((parent, _)) = ancestor.rsplit_once('/') {
            if self.cleared == parent || is_below(&self.cleared, parent) {
                break;
            }
            ancestor = parent;
            if self.nodes.get(parent).is_some_and(|known| !matches!(known.node, LiveNode::Symlink(_))) {
                self.remove(parent);
            }
        }
        self.cleared.clear();
        self.cleared.push_str(path.rsplit_once('/').map_or("", |(directory, _)| directory));
    }

    fn insert(&mut self, path: String, live: Live<'a>) {
        self.make_way(&path);
        if matches!(live.node, LiveNode::Symlink(_)) {
            self.resolved.clear();
        }
        let (mut old, mut old_kind) = (0, None);
        // One look is enough for what is new: what is there under this name or below it begins with the name.
        let next = self.nodes.range::<str, _>((Bound::Included(path.as_str()), Bound::Unbounded)).next();
        if self.record.is_some() || next.is_some_and(|(key, _)| key.starts_with(&path)) {
            let replaced = self.nodes.get(&path);
            old = replaced.map(|live| packages(live).count()).unwrap_or(0);
            old_kind = replaced.and_then(|live| packages(live).next()).map(|(kind, ..)| kind);
            self.remove_tree(&path);
        }
        for identity in packages(&live) {
            *self.present.entry(identity).or_insert(0) += 1;
            self.touched.insert(identity);
        }
        let is_file = !matches!(live.node, LiveNode::Symlink(_));
        if let (Some(kind), true, 0) = (old_kind, is_file, packages(&live).count()) {
            let message = format!(
                "the file named {old} packages in a lower layer; this layer overwrote it and it names none"
            );
            let diagnostic = if kind.is_operating_system() {
                Diagnostic::gap("package-database-emptied", path.as_str(), message)
            } else {
                Diagnostic::note("package-file-replaced", path.as_str(), message)
            };
            self.replaced.insert(path.clone(), diagnostic.in_layer(live.layer));
        }
        self.nodes.insert(path, live);
    }

    fn remove(&mut self, path: &str) {
        self.replaced.remove(path);
        if let Some(live) = self.nodes.remove(path) {
            if matches!(live.node, LiveNode::Symlink(_)) {
                self.resolved.clear();
            }
            if let Some(record) = &mut self.record {
                record.removed(path, &live.node, live.layer);
            }
            for identity in packages(&live) {
                self.touched.insert(identity);
                if let Some(count) = self.present.get_mut(&identity) {
                    *count -= 1;
                    if *count == 0 {
                        self.present.remove(&identity);
                    }
                }
            }
        }
    }

    fn remove_tree(&mut self, path: &str) {
        self.remove(path);
        if let Some(record) = &mut self.record {
            record.directory_removed(path);
        }
        self.remove_children(path);
    }

    fn remove_children(&mut self, path: &str) {
        let below: Vec<_> = match path.is_empty() {
            true => self.nodes.keys().cloned().collect(),
            false => children(self.nodes.range(first_child(path)..), path),
        };
        for path in below {
            self.remove(&path);
        }
        if let Some(record) = &mut self.record {
            record.directories_removed((!path.is_empty()).then(|| child_range(path)));
        }
    }
}

impl Live<'_> {
    /// What a hard link that leads to something unread has to say.
    pub(crate) fn unread(&self, path: &str) -> Option<Vec<Diagnostic>> {
        match self.node {
            LiveNode::UnreadLink(target, _) => Some(unread_hard_link(path, target).diagnostics),
            _ => None,
        }
    }
}

fn packages<'a>(live: &Live<'a>) -> impl Iterator<Item = Identity<'a>> + use<'a> {
    let content = match live.node {
        LiveNode::File(file) => file.content,
        _ => None,
    };
    content
        .into_iter()
        .flat_map(|content| content.values())
        .flat_map(|extraction| &extraction.packages)
        .map(|package| (package.kind, package.name.as_str(), package.version.as_str()))
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// Whether a path lies below a directory.
fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}
