//! What comes of a case, as text.

use std::fmt::Write as _;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

use hullmark_image::{Entry, EntryKind, LayerVisitor, Limits, walk_layer};
use hullmark_inventory::{LayerCollector, MergedView, ViewKind, merge};
use hullmark_testkit::TarBuilder;
use hullmark_types::{Diagnostic, DiagnosticLevel};

use crate::common;

/// A layer as it is stored.
pub(crate) struct Stored(Vec<u8>);

impl From<TarBuilder> for Stored {
    fn from(tar: TarBuilder) -> Self {
        Self(tar.finish())
    }
}

impl From<Vec<u8>> for Stored {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

pub(crate) fn stored(layer: impl Into<Stored>) -> Stored {
    layer.into()
}

pub(crate) fn golden_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/layer_semantics/golden")
}

/// Limits that small layers can hit.
fn limits() -> Limits {
    Limits {
        max_entries: 45,
        max_file_size: 1 << 20,
        max_layer_size: 2 << 20,
        max_ratio: 100,
        ratio_floor: 256 << 10,
        max_path_depth: 16,
        ..Limits::default()
    }
}

/// Reads layers as any image's, and compares what comes of them with the golden file.
pub(crate) fn layers(name: &str, rule: &str, layers: Vec<Stored>) {
    let mut text = format!("{rule}\n");
    let mut contents = Vec::new();
    for (index, Stored(bytes)) in layers.iter().enumerate() {
        let _ = writeln!(text, "\nlayer {index}");
        let mut visitor = Telling { text: &mut text, collector: LayerCollector::default() };
        let outcome = walk_layer(&mut bytes.as_slice(), &limits(), &mut visitor);
        contents.push(visitor.collector.finish(outcome.diagnostics));
    }
    let view = MergedView::new(&contents);
    text.push_str("\nfiles\n");
    for file in view.files() {
        let _ = writeln!(text, "  {} of layer {}", node(&file.path, &file.kind), file.layer);
    }
    text.push_str("\ndeleted\n");
    for gone in view.deleted() {
        let _ = writeln!(
            text,
            "  {} of layer {} by layer {}: {:?}",
            node(&gone.path, &gone.kind),
            gone.layer,
            gone.removed_by,
            gone.removal
        );
    }
    let infos = common::layer_infos(contents.len());
    let (inventory, _) = merge(common::subject(), None, infos, &contents, Vec::new());
    text.push_str("\npackages\n");
    for line in common::packages(&inventory) {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("\ndiagnostics\n");
    text.push_str(&diagnostics(&inventory.diagnostics));
    golden(name, &text);
}

/// Compares with the golden file of this name.
pub(crate) fn golden(name: &str, text: &str) {
    hullmark_testkit::golden(&golden_directory().join(format!("{name}.txt")), text);
}

/// A line for each diagnostic but those that only say that there is no package or distribution.
pub(crate) fn diagnostics(found: &[Diagnostic]) -> String {
    let mut text = String::new();
    let of_interest = |code: &str| !matches!(code, "no-packages-found" | "unknown-distribution");
    for found in found.iter().filter(|found| of_interest(&found.code)) {
        let level = match found.level {
            DiagnosticLevel::Note => "note",
            DiagnosticLevel::Gap => "gap",
        };
        let layer = found.layer.map(|layer| format!(" in layer {layer}")).unwrap_or_default();
        // What a library says of a broken stream is not ours.
        let message = match found.message.split_once(": ") {
            Some((ours, _)) if ours.starts_with("the tar cannot be read at byte") => ours,
            _ => &found.message,
        };
        let path = shown(found.path.as_bytes());
        let _ = writeln!(text, "  {level} {} at `{path}`{layer}: {message}", found.code);
    }
    text
}

fn node(path: &str, kind: &ViewKind) -> String {
    let path = shown(path.as_bytes());
    match kind {
        ViewKind::File => format!("file {path}"),
        ViewKind::Directory => format!("directory {path}"),
        ViewKind::Symlink { target } => format!("symlink {path} -> {}", shown(target.as_bytes())),
        ViewKind::Other => format!("other {path}"),
    }
}

/// Bytes as text, a long run of one byte as its count.
fn shown(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        match run {
            0..9 => text.push_str(&String::from_utf8_lossy(&rest[..run])),
            _ => {
                let _ = write!(text, "<{run} x {:?}>", char::from(*first));
            }
        }
        rest = &rest[run..];
    }
    text.replace('\n', "\\n").replace('\0', "\\0")
}

/// Writes a line for each entry, and hands it on.
struct Telling<'a> {
    text: &'a mut String,
    collector: LayerCollector,
}

impl LayerVisitor for Telling<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> io::Result<()> {
        let mut bytes = Vec::new();
        let read = content.read_to_end(&mut bytes);
        let path = shown(entry.path.as_bytes());
        let line = match &entry.kind {
            EntryKind::File if read.is_err() => format!("file {path}, not to its end"),
            EntryKind::File => format!("file {path} `{}`", shown(&bytes)),
            EntryKind::Directory => format!("directory {path}"),
            EntryKind::Symlink { target } => format!("symlink {path} -> {}", shown(target.as_bytes())),
            EntryKind::Hardlink { target } => format!("hard link {path} -> {target}"),
            EntryKind::Whiteout => format!("whiteout of {path}"),
            EntryKind::OpaqueDirectory => format!("opaque directory {path}"),
            EntryKind::Other => format!("other {path}"),
        };
        let _ = writeln!(self.text, "  {line}");
        let mut broken = Broken(read.err());
        self.collector.entry(entry, &mut io::BufReader::new(bytes.as_slice().chain(&mut broken)))
    }
}

/// Gives the error that there was, once.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
