//! Layers against a model: a tree to which entries are applied one after the other, as to a disk.

use std::collections::BTreeMap;

use hullmark_image::walk_layer;
use hullmark_inventory::{LayerCollector, MergedView, ViewKind, merge};
use hullmark_testkit::TarBuilder;
use hullmark_types::{Digest, LayerInfo, Subject, SubjectKind};

use crate::small_limits;

/// What is at a path of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory {
        explicit: bool,
    },
    File {
        layer: u32,
        content: String,
    },
    Symlink {
        layer: u32,
    },
    /// A pipe.
    Other {
        layer: u32,
    },
    /// A hard link of which runtimes disagree what it is.
    Unclear {
        layer: u32,
    },
}

impl Node {
    fn layer(&self) -> Option<u32> {
        match self {
            Self::Directory { .. } => None,
            Self::File { layer, .. }
            | Self::Symlink { layer }
            | Self::Other { layer }
            | Self::Unclear { layer } => Some(*layer),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    File(String),
    Directory(String),
    Symlink(String),
    Other(String),
    Hardlink(String, String),
    Whiteout(String),
    Opaque(String),
}

/// Takes bytes for numbers, zeros when there are no more.
struct Plan<'a>(&'a [u8]);

impl Plan<'_> {
    fn next(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    /// Few names, one a prefix of another, so that steps meet often.
    fn directory(&mut self) -> String {
        const NAMES: [&str; 5] = ["a", "b", "ab", "a.b", "a0"];
        let byte = self.next();
        let depth = byte % 3 + 1;
        (0..depth)
            .map(|level| NAMES[(byte / 3 + level * (byte / 16)) % NAMES.len()])
            .collect::<Vec<_>>()
            .join("/")
    }

    /// A path that may be a link; no path leads through one.
    fn leaf(&mut self) -> String {
        let directory = self.directory();
        match self.next() % 4 {
            0 => directory,
            1 => format!("{directory}/l"),
            2 => format!("{directory}/m"),
            _ => "l".to_owned(),
        }
    }

    /// One to what may be a symbolic link stands where no path leads through: it is a symbolic link as well.
    fn hard_link(&mut self) -> Step {
        let (path, target) = (self.leaf(), self.leaf());
        let is_link = |path: &str| path.ends_with(['l', 'm']);
        match is_link(&target) && !is_link(&path) {
            true => Step::Hardlink(format!("{path}/m"), target),
            false => Step::Hardlink(path, target),
        }
    }

    fn step(&mut self) -> Step {
        match self.next() % 12 {
            0..4 => Step::File(self.leaf()),
            4 => Step::Directory(self.leaf()),
            5 => Step::Directory(self.directory()),
            6 => Step::Symlink(format!("{}/l", self.directory())),
            7 => Step::Other(self.leaf()),
            8 => self.hard_link(),
            9 | 10 => Step::Whiteout(self.leaf()),
            _ => Step::Opaque(self.directory()),
        }
    }
}

/// The file system of the model, by path.
#[derive(Debug, Clone, Default)]
struct Model(BTreeMap<String, Node>);

impl Model {
    fn remove_below(&mut self, directory: &str) {
        self.0.retain(|path, _| path.strip_prefix(directory).is_none_or(|rest| !rest.starts_with('/')));
    }

    fn remove(&mut self, path: &str) {
        self.0.remove(path);
        self.remove_below(path);
    }

    /// Makes a directory and those above it; what is no directory gives way.
    fn make_directory(&mut self, path: &str, explicit: bool) {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for end in ends {
            let explicit = explicit && end == path.len();
            match self.0.get_mut(&path[..end]) {
                Some(Node::Directory { explicit: known }) => *known |= explicit,
                _ => {
                    self.0.insert(path[..end].to_owned(), Node::Directory { explicit });
                }
            }
        }
    }

    fn put(&mut self, path: &str, node: Node) {
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.make_directory(directory, false);
        }
        self.remove(path);
        self.0.insert(path.to_owned(), node);
    }

    fn apply(&mut self, layer: u32, steps: &[Step]) {
        let before = self.clone();
        for step in steps {
            match step {
                Step::Whiteout(path) => self.remove(path),
                Step::Opaque(path) => self.remove_below(path),
                _ => {}
            }
        }
        for (number, step) in steps.iter().enumerate() {
            match step {
                Step::File(path) => self.put(path, Node::File { layer, content: content(layer, number) }),
                Step::Directory(path) => self.make_directory(path, true),
                Step::Symlink(path) => self.put(path, Node::Symlink { layer }),
                Step::Other(path) => self.put(path, Node::Other { layer }),
                Step::Hardlink(path, target) => {
                    // What this layer brought, else what was there before it removed anything.
                    let own = self.0.get(target).filter(|node| node.layer() == Some(layer));
                    let node = match own.or_else(|| before.0.get(target)) {
                        Some(Node::File { content, .. }) => Node::File { layer, content: content.clone() },
                        Some(Node::Symlink { .. }) => Node::Symlink { layer },
                        Some(Node::Other { .. }) => Node::Other { layer },
                        _ => Node::Unclear { layer },
                    };
                    self.put(path, node);
                }
                Step::Whiteout(_) | Step::Opaque(_) => {}
            }
        }
    }
}

fn content(layer: u32, number: usize) -> String {
    format!("#!{layer}/{number}")
}

fn tar(layer: u32, steps: &[Step]) -> Vec<u8> {
    let mut tar = TarBuilder::new();
    for (number, step) in steps.iter().enumerate() {
        tar = match step {
            Step::File(path) => tar.executable(path, content(layer, number)),
            Step::Directory(path) => tar.dir(path),
            Step::Symlink(path) => tar.symlink(path, "nowhere"),
            Step::Other(path) => tar.member(path.as_bytes(), b'6', b"", b"", 0o644),
            Step::Hardlink(path, target) => tar.hardlink(path, target),
            Step::Whiteout(path) => tar.whiteout(path),
            Step::Opaque(path) => tar.opaque(path),
        };
    }
    tar.finish()
}

/// Builds layers as the bytes say, and checks that the merged view and the programs are those of the model.
pub fn check_whiteouts(bytes: &[u8]) {
    let mut plan = Plan(bytes);
    let mut model = Model::default();
    let mut contents = Vec::new();
    let mut brought = Vec::new();
    let mut described = Vec::new();
    for layer in 0..u32::try_from(plan.next() % 4 + 1).unwrap_or(1) {
        let steps: Vec<Step> = (0..plan.next() % 12).map(|_| plan.step()).collect();
        model.apply(layer, &steps);
        let own = model.0.iter().filter(|(_, node)| node.layer() == Some(layer));
        brought.extend(own.map(|(path, _)| (path.clone(), layer)));
        let mut collector = LayerCollector::default();
        let outcome = walk_layer(&mut tar(layer, &steps).as_slice(), &small_limits(), &mut collector);
        assert_eq!(outcome.diagnostics, []);
        contents.push(collector.finish(outcome.diagnostics));
        described.push(steps);
    }

    let view = MergedView::new(&contents);
    let mut seen = Vec::new();
    for file in view.files() {
        let node = model.0.get(&file.path);
        let agrees = match (&file.kind, node) {
            (ViewKind::Directory, Some(Node::Directory { .. }))
            | (ViewKind::File, Some(Node::File { .. }))
            | (ViewKind::Symlink { .. }, Some(Node::Symlink { .. }))
            | (ViewKind::Other, Some(Node::Other { .. })) => true,
            (kind, Some(Node::Unclear { .. })) => *kind != ViewKind::Directory,
            _ => false,
        };
        assert!(agrees, "{file:?} is {node:?} in the model\n{described:#?}");
        if file.kind != ViewKind::Directory {
            assert_eq!(node.and_then(Node::layer), Some(file.layer), "{file:?}\n{described:#?}");
            seen.push((file.path.clone(), file.layer));
        }
    }
    let missing = model.0.iter().find(|(path, node)| {
        !matches!(node, Node::Directory { explicit: false })
            && !view.files().iter().any(|file| file.path == **path)
    });
    assert_eq!(missing, None, "{described:#?}");

    // Each entry that a layer brought is there, or was deleted once.
    let deleted = view.deleted().iter().filter(|gone| gone.kind != ViewKind::Directory);
    seen.extend(deleted.map(|gone| (gone.path.clone(), gone.layer)));
    assert!(view.deleted().iter().all(|gone| gone.layer < gone.removed_by));
    seen.sort();
    brought.sort();
    assert_eq!(seen, brought, "{described:#?}");

    let info = |index| LayerInfo { index, digest: None, diff_id: None, size: None, created_by: None };
    let infos = (0..u32::try_from(contents.len()).unwrap_or(0)).map(info).collect();
    let subject = Subject {
        kind: SubjectKind::Image,
        name: "fuzz".to_owned(),
        references: Vec::new(),
        index: None,
        manifest: None,
        config: None,
        platform: None,
    };
    let (_, profile) = merge(subject, None, infos, &contents, Vec::new());
    let is_unclear = |path: &str| matches!(model.0.get(path), Some(Node::Unclear { .. }));
    let programs: BTreeMap<&str, &Digest> = profile
        .files
        .iter()
        .filter(|file| !is_unclear(&file.path))
        .map(|file| (file.path.as_str(), &file.digest))
        .collect();
    let digests: Vec<(&str, Digest)> = model
        .0
        .iter()
        .filter_map(|(path, node)| match node {
            Node::File { content, .. } => Some((path.as_str(), Digest::sha256(content.as_bytes()))),
            _ => None,
        })
        .collect();
    let expected: BTreeMap<&str, &Digest> = digests.iter().map(|(path, digest)| (*path, digest)).collect();
    assert_eq!(programs, expected, "{described:#?}");
}
