//! The walk of one layer: decompress, read the tar, hand each entry to a visitor. One pass, bounded memory.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, Ordering};

use hullmark_types::{Diagnostic, Digest, LayerInfo};

use crate::compression::Compression;
use crate::limits::LimitHit;
use crate::path;
use crate::tar::{Expanded, Kind, Member, TarError, TarReader, TooManyZeros};
use crate::unpack::{Plain, Problem, pipe, unpack};
use crate::{Limits, Memory};

/// What a file system entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file; its content can be read once.
    File,
    /// A directory.
    Directory,
    /// A symbolic link, with its target as written.
    Symlink {
        /// The target.
        target: String,
    },
    /// A hard link to another path of the image, normalised like [`Entry::path`].
    Hardlink {
        /// The path linked to.
        target: String,
    },
    /// Removes [`Entry::path`] of the layers below.
    Whiteout,
    /// Hides what the layers below have in the directory [`Entry::path`].
    OpaqueDirectory,
    /// A device, pipe or socket.
    Other,
}

/// One entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path from the root, without `./`, leading or trailing `/`; bytes that are not UTF-8 are written `\xNN`. Empty for
    /// the root itself.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Size of the content in bytes.
    pub size: u64,
}

/// Takes the entries of one layer, in their order.
pub trait LayerVisitor {
    /// Takes one entry. `content` gives the bytes of a file, and nothing for other kinds; what is not read is skipped.
    ///
    /// # Errors
    /// What the visitor could not do; it becomes a diagnostic at the path of the entry, and the walk goes on.
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> io::Result<()>;

    /// Takes a file whose content was not fetched, as [`ImageVisitor::wants`] said that it need not be.
    fn unread(&mut self, entry: &Entry) {
        let _ = self.entry(entry, &mut io::empty());
    }

    /// About how many bytes of memory were needed so far to keep what came of the entries. Never becomes less.
    fn kept(&self) -> u64 {
        0
    }
}

/// What was made of a layer before.
#[derive(Debug, Clone)]
pub struct Recalled<T> {
    /// What was made of it.
    pub output: T,
    /// How many bytes it has uncompressed.
    pub size: u64,
    /// [`LayerOutcome::kept`].
    pub kept: u64,
}

/// Takes the layers of an image.
///
/// Layers are read several at a time and in any order; what is made of a layer depends on the bytes of that layer alone.
pub trait ImageVisitor: Sync {
    /// Takes the entries of one layer.
    type Layer: LayerVisitor;

    /// What is made of a layer. A layer that an image has twice is read once and handed over twice.
    type Output: Clone + Send;

    /// A layer begins, whichever it is.
    fn begin(&self) -> Self::Layer;

    /// Whether the content of a file is needed. Asked of layers that can be read in parts, for each file.
    fn wants(&self, entry: &Entry) -> bool {
        let _ = entry;
        true
    }

    /// The layer was read and verified. What could not be read of it is in the outcome.
    fn finish(&self, layer: Self::Layer, outcome: &LayerOutcome) -> Self::Output;

    /// What was made of the layer before; then it is not read.
    fn recall(&self, layer: &LayerInfo) -> Option<Recalled<Self::Output>> {
        let _ = layer;
        None
    }

    /// Takes what was made of the layer with this number, counted from 0 at the base. Called in this order.
    fn end_layer(&mut self, layer: u32, output: Self::Output);
}

/// What the walk of a layer found out besides its entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerOutcome {
    /// What could not be read.
    pub diagnostics: Vec<Diagnostic>,
    /// Digest of the bytes as stored; `None` when they could not be read to their end.
    pub digest: Option<Digest>,
    /// Digest of the uncompressed bytes, also when the tar they should be is malformed; `None` when they were not read to
    /// their end, or no digest of them was wanted.
    pub diff_id: Option<Digest>,
    /// Bytes as stored.
    pub stored_size: u64,
    /// Uncompressed bytes that were read.
    pub size: u64,
    /// Entries.
    pub entries: u64,
    /// About how many bytes of memory what came of the layer needs.
    pub kept: u64,
    /// How the layer is compressed.
    pub compression: Option<Compression>,
}

/// Walks one layer: any compression by its magic bytes, then tar.
///
/// Never fails: what cannot be read is in the outcome. The bytes of `blob` are read to their end, so that their digest is
/// known, but after a limit was hit they are no longer decompressed.
pub fn walk_layer(
    blob: &mut (dyn Read + Send),
    limits: &Limits,
    visitor: &mut dyn LayerVisitor,
) -> LayerOutcome {
    let reading = Reading { limits, memory: &Memory::default(), diff_id: true, totals: &Totals::default() };
    walk_blob(blob, &reading, visitor)
}

/// How a layer is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) memory: &'a Memory,
    /// Whether the uncompressed bytes are digested.
    pub(crate) diff_id: bool,
    /// Those of the image so far, to which this layer is added.
    pub(crate) totals: &'a Totals,
}

/// What the layers of an image have together.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// Uncompressed bytes.
    pub(crate) size: AtomicU64,
    /// [`LayerOutcome::kept`].
    pub(crate) kept: AtomicU64,
}

impl Totals {
    /// The limit that all layers together hit.
    pub(crate) fn hit(&self, limits: &Limits, memory: &Memory) -> Option<LimitHit> {
        let (size, kept) = (limits.max_image_size, memory.kept());
        if self.size.load(Ordering::Relaxed) > size {
            let message = format!(
                "the layers together have more than {size} bytes uncompressed; none of them was assessed"
            );
            return Some(LimitHit { code: "limit-image-size", message });
        }
        (self.kept.load(Ordering::Relaxed) > kept).then(|| {
            let message = format!(
                "what has to be kept of the layers together, such as the names of files, needs more than {kept} bytes of memory; none of them was assessed"
            );
            LimitHit { code: "limit-memory", message }
        })
    }
}

/// The same as [`walk_layer`]. One thread reads, digests and decompresses; this one walks.
pub(crate) fn walk_blob(
    blob: &mut (dyn Read + Send),
    reading: &Reading<'_>,
    visitor: &mut dyn LayerVisitor,
) -> LayerOutcome {
    let mut walk = Walk::new(reading, visitor);
    let unpacked = std::thread::scope(|scope| {
        let (sink, mut plain) = pipe();
        let unpacking = scope.spawn(move || unpack(blob, reading, sink));
        match walk.tar(&mut plain) {
            TarEnd::Unreadable => {}
            end => walk.drain(&mut plain, end),
        }
        drop(plain);
        unpacking.join()
    });
    let unpacked = match unpacked {
        Ok(unpacked) => unpacked,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    match &unpacked.problem {
        Some(Problem::Unknown) => walk.gap(
            "unknown-compression",
            "",
            "the layer is neither gzip, zstd nor an uncompressed tar; other compressions cannot be read",
        ),
        Some(Problem::Unopened(message)) => walk.gap("malformed-layer", "", message.clone()),
        None => {}
    }
    if let Some(failure) = &unpacked.failure {
        let code = failure.code().unwrap_or("unreadable-layer");
        // The walk may have come upon it too.
        if failure.code().is_none() || walk.diagnostics.iter().all(|found| found.code != code) {
            walk.gap(code, "", failure.to_string());
        }
    }
    let Walk { diagnostics, entries, kept, .. } = walk;
    LayerOutcome {
        diagnostics,
        digest: unpacked.digest,
        diff_id: unpacked.diff_id,
        stored_size: unpacked.stored_size,
        size: unpacked.size,
        entries,
        kept,
        compression: unpacked.compression,
    }
}

/// The most diagnostics kept of one layer.
const MAX_DIAGNOSTICS: usize = 1000;

/// How the walk of a tar ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TarEnd {
    /// At its end.
    Reached,
    /// Before it: a limit was hit, or the tar is malformed.
    GivenUp,
    /// Before it: the bytes themselves cannot be read on.
    Unreadable,
}

pub(crate) struct Walk<'a> {
    reading: &'a Reading<'a>,
    limits: &'a Limits,
    visitor: &'a mut dyn LayerVisitor,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// About how many bytes the diagnostics need.
    said: u64,
    /// About how many bytes all that is kept of the layer needs.
    pub(crate) kept: u64,
    pub(crate) entries: u64,
    /// How many zeros sparse files may still have together.
    zeros_left: u64,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(reading: &'a Reading<'a>, visitor: &'a mut dyn LayerVisitor) -> Self {
        Self {
            reading,
            limits: reading.limits,
            visitor,
            diagnostics: Vec::new(),
            said: 0,
            kept: 0,
            entries: 0,
            zeros_left: reading.limits.max_layer_size,
        }
    }

    fn gap(&mut self, code: &str, path: &str, message: impl Into<String>) {
        match self.diagnostics.len() {
            length if length < MAX_DIAGNOSTICS => {
                let found = Diagnostic::gap(code, path, message);
                self.said += (size_of::<Diagnostic>() + path.len() + found.message.len()) as u64;
                self.diagnostics.push(found);
            }
            MAX_DIAGNOSTICS => self.diagnostics.push(Diagnostic::gap(
                "limit-diagnostics",
                "",
                format!("more than {MAX_DIAGNOSTICS} problems in the layer; the rest is not listed"),
            )),
            _ => {}
        }
    }

    /// Walks the tar as far as it can be walked.
    fn tar(&mut self, plain: &mut Plain) -> TarEnd {
        let mut tar = TarReader::new(plain);
        loop {
            match tar.next_member() {
                Ok(None) => return TarEnd::Reached,
                Ok(Some(member)) => {
                    self.entries += 1;
                    if self.entries > self.limits.max_entries {
                        let limit = self.limits.max_entries;
                        self.gap(
                            "limit-entries",
                            "",
                            format!("the layer has more than {limit} entries; the rest was not read"),
                        );
                        return TarEnd::GivenUp;
                    }
                    self.member(&member, &mut tar);
                    if self.keeps_too_much() {
                        let limit = self.reading.memory.kept();
                        let message = format!(
                            "what has to be kept of the image needs more than {limit} bytes of memory; the rest was not read"
                        );
                        self.gap("limit-memory", "", message);
                        return TarEnd::GivenUp;
                    }
                }
                Err(error) => {
                    self.failed(&error);
                    return match error {
                        TarError::Malformed { .. } => TarEnd::GivenUp,
                        TarError::Read { .. } => TarEnd::Unreadable,
                    };
                }
            }
        }
    }

    /// Counts what the last member left behind; whether the image needs more memory than there is.
    pub(crate) fn keeps_too_much(&mut self) -> bool {
        let kept = self.visitor.kept() + self.said;
        let more = kept - self.kept;
        self.kept = kept;
        let before = self.reading.totals.kept.fetch_add(more, Ordering::Relaxed);
        before.saturating_add(more) > self.reading.memory.kept()
    }

    /// Reads on to the end, for the digest. Runtimes stop at the end of the tar, and so does the walk; that there is more is
    /// said.
    fn drain(&mut self, plain: &mut Plain, end: TarEnd) {
        let start = plain.position();
        let mut found = false;
        let result = loop {
            match plain.fill_buf() {
                Ok([]) => break Ok(()),
                Ok(bytes) => {
                    found |= bytes.iter().any(|byte| *byte != 0);
                    let length = bytes.len();
                    plain.consume(length);
                }
                Err(error) => break Err(error),
            }
        };
        if found && end == TarEnd::Reached {
            let message = format!("there is more behind the end of the tar at byte {start}; it was not read");
            self.gap("data-after-end", "", message);
        }
        if let Err(source) = result {
            self.failed(&TarError::Read { offset: plain.position(), source });
        }
    }

    fn failed(&mut self, error: &TarError) {
        let limit = match error {
            TarError::Read { source, .. } => LimitHit::of(source),
            TarError::Malformed { .. } => None,
        };
        match limit {
            Some(limit) => self.gap(limit.code, "", limit.message.clone()),
            None => self.gap("malformed-layer", "", error.to_string()),
        }
    }

    /// What a member is in the file system; `None` when it is refused, which is said, and for metadata.
    pub(crate) fn entry_of(&mut self, member: &Member) -> Option<Entry> {
        let name = match path::normalize(&member.name) {
            Ok(name) => name,
            Err(reason) => {
                return self.refuse(
                    "path-escapes-root",
                    &shown(&path::escape(&member.name)),
                    format!("the entry was refused: {reason}"),
                );
            }
        };
        if name.len() > self.limits.max_path_length {
            let limit = self.limits.max_path_length;
            return self.refuse(
                "limit-path-length",
                &shown(&name),
                format!("the path is longer than {limit} bytes; it was not read"),
            );
        }
        if name.split('/').count() > self.limits.max_path_depth {
            let limit = self.limits.max_path_depth;
            return self.refuse(
                "limit-path-depth",
                &name,
                format!("the path has more than {limit} components; it was not read"),
            );
        }
        if member.link.len() > self.limits.max_path_length {
            let limit = self.limits.max_path_length;
            let message = format!("the target of the link is longer than {limit} bytes; it was not read");
            return self.refuse("limit-path-length", &name, message);
        }
        let kind = match &member.kind {
            Kind::File | Kind::Sparse if member.size > self.limits.max_file_size => {
                let (size, limit) = (member.size, self.limits.max_file_size);
                let message = format!("the file has {size} bytes and the limit is {limit}; it was not read");
                return self.refuse("limit-file-size", &name, message);
            }
            Kind::File | Kind::Sparse => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink { target: path::escape(&member.link) },
            Kind::Hardlink => match path::normalize(&member.link) {
                Ok(target) => EntryKind::Hardlink { target },
                Err(reason) => {
                    return self.refuse(
                        "path-escapes-root",
                        &name,
                        format!("the hard link was refused: {reason}"),
                    );
                }
            },
            Kind::Other => EntryKind::Other,
        };
        Some(match whiteout(&name) {
            Some(Whiteout::Of(path)) => Entry { path, kind: EntryKind::Whiteout, mode: member.mode, size: 0 },
            Some(Whiteout::Opaque(path)) => {
                Entry { path, kind: EntryKind::OpaqueDirectory, mode: member.mode, size: 0 }
            }
            Some(Whiteout::Metadata) => return None,
            Some(Whiteout::OfNothing) => {
                let message = "the whiteout names no file that it could remove; it was not applied";
                return self.refuse("malformed-whiteout", &name, message);
            }
            None => Entry { path: name, kind, mode: member.mode, size: member.size },
        })
    }

    fn refuse(&mut self, code: &str, path: &str, message: impl Into<String>) -> Option<Entry> {
        self.gap(code, path, message);
        None
    }

    fn member(&mut self, member: &Member, tar: &mut TarReader<'_, Plain>) {
        let Some(entry) = self.entry_of(member) else { return };
        let visited = match (&entry.kind, &member.sparse) {
            (EntryKind::File, Some(map)) => {
                let mut stored = tar.content();
                let zeros_left = &mut self.zeros_left;
                let expanded = Expanded {
                    stored: &mut stored,
                    map,
                    size: member.size,
                    zeros_left,
                    next: 0,
                    position: 0,
                };
                self.visitor.entry(&entry, &mut BufReader::new(expanded))
            }
            (EntryKind::File, None) => self.visitor.entry(&entry, &mut tar.content()),
            _ => self.visitor.entry(&entry, &mut io::empty()),
        };
        self.visited(&entry, visited);
    }

    fn visited(&mut self, entry: &Entry, result: io::Result<()>) {
        if let Err(error) = result {
            let code = if TooManyZeros::is(&error) { "limit-holes" } else { "unreadable-file" };
            self.gap(code, &entry.path, error.to_string());
        }
    }

    /// Hands an entry over whose content, if it has any, is read elsewhere than in a tar.
    pub(crate) fn visit(&mut self, entry: &Entry, content: Option<&mut dyn BufRead>) {
        match (content, &entry.kind) {
            (None, EntryKind::File) => self.visitor.unread(entry),
            (content, _) => {
                let visited = match content {
                    Some(content) => self.visitor.entry(entry, content),
                    None => self.visitor.entry(entry, &mut io::empty()),
                };
                self.visited(entry, visited);
            }
        }
    }
}

/// A path as it is put into a diagnostic.
fn shown(path: &str) -> String {
    path.chars().take(200).collect()
}

pub(crate) enum Whiteout {
    Of(String),
    Opaque(String),
    Metadata,
    OfNothing,
}

/// Whiteouts after the OCI image specification, layer.md: `.wh.NAME`, `.wh..wh..opq`; other `.wh..wh.` names are metadata
/// of AUFS.
pub(crate) fn whiteout(path: &str) -> Option<Whiteout> {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let hidden = name.strip_prefix(".wh.")?;
    Some(match hidden {
        ".wh..opq" => Whiteout::Opaque(directory.to_owned()),
        _ if hidden.starts_with(".wh.") => Whiteout::Metadata,
        "" | "." | ".." => Whiteout::OfNothing,
        _ if directory.is_empty() => Whiteout::Of(hidden.to_owned()),
        _ => Whiteout::Of(format!("{directory}/{hidden}")),
    })
}
