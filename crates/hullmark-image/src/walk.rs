//! The walk of one layer: decompress, read the tar, hand each entry to a visitor. One pass, bounded memory.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use hullmark_types::{Diagnostic, Digest, DigestAlgorithm, Hasher};

use crate::Limits;
use crate::compression::{self, Compression};
use crate::path;
use crate::tar::{Expanded, Kind, Member, TarError, TarReader, TooManyZeros};

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
    fn entry(&mut self, entry: &Entry, content: &mut dyn Read) -> io::Result<()>;
}

/// Takes the layers of an image.
///
/// Layers come in the order in which the source can give them, each once; what is made of a layer depends on that layer
/// alone.
pub trait ImageVisitor {
    /// Takes the entries of one layer.
    type Layer: LayerVisitor;

    /// A layer begins. Layers are counted from 0 at the base.
    fn begin_layer(&mut self, layer: u32) -> Self::Layer;

    /// The layer is over; `diagnostics` say what of it could not be read.
    fn end_layer(&mut self, layer: u32, visitor: Self::Layer, diagnostics: Vec<Diagnostic>);
}

/// What the walk of a layer found out besides its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerOutcome {
    /// What could not be read.
    pub diagnostics: Vec<Diagnostic>,
    /// Digest of the bytes as stored; `None` when they could not be read to their end.
    pub digest: Option<Digest>,
    /// Digest of the uncompressed bytes, also when the tar they should be is malformed; `None` when they were not read to
    /// their end.
    pub diff_id: Option<Digest>,
    /// Bytes as stored.
    pub stored_size: u64,
    /// Uncompressed bytes that were read.
    pub size: u64,
    /// Entries.
    pub entries: u64,
    /// How the layer is compressed.
    pub compression: Option<Compression>,
}

/// Walks one layer: any compression by its magic bytes, then tar.
///
/// Never fails: what cannot be read is in the outcome. The bytes of `blob` are read to their end, so that their digest is
/// known, but after a limit was hit they are no longer decompressed.
pub fn walk_layer(blob: &mut dyn Read, limits: &Limits, visitor: &mut dyn LayerVisitor) -> LayerOutcome {
    let mut stored = Hashing::new(blob, true);
    let stored_count = Rc::clone(&stored.count);
    let mut walk =
        Walk { limits, visitor, diagnostics: Vec::new(), entries: 0, zeros_left: limits.max_layer_size };
    let (mut compression, mut plain_diff_id, mut complete, mut size) = (None, None, false, 0);
    match compression::open(&mut stored) {
        Err(error) => walk.gap("malformed-layer", "", error.to_string()),
        Ok(None) => walk.gap(
            "unknown-compression",
            "",
            "the layer is neither gzip, zstd nor an uncompressed tar; other compressions cannot be read",
        ),
        Ok(Some((kind, reader))) => {
            compression = Some(kind);
            let guarded = Guarded { inner: reader, read: 0, limits, stored: Rc::clone(&stored_count), kind };
            // What is not compressed has the same digest before and after.
            let mut plain = Hashing::new(guarded, kind != Compression::None);
            complete = match walk.tar(&mut plain) {
                TarEnd::Unreadable => false,
                end => walk.drain(&mut plain, end),
            };
            size = plain.count.get();
            plain_diff_id = plain.hasher.map(Hasher::finish);
        }
    }
    // A reader that failed once may pretend to be at its end when it is asked again.
    let rest = io::copy(&mut stored, &mut io::sink());
    let failure = stored.failure.take().or_else(|| rest.err().map(|error| error.to_string()));
    if let Some(message) = &failure {
        walk.gap("unreadable-layer", "", message.clone());
    }
    let Walk { diagnostics, entries, .. } = walk;
    let digest = stored.hasher.filter(|_| failure.is_none()).map(Hasher::finish);
    let diff_id = plain_diff_id.or_else(|| digest.clone()).filter(|_| complete);
    LayerOutcome { diagnostics, digest, diff_id, stored_size: stored_count.get(), size, entries, compression }
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

struct Walk<'a> {
    limits: &'a Limits,
    visitor: &'a mut dyn LayerVisitor,
    diagnostics: Vec<Diagnostic>,
    entries: u64,
    /// How many zeros sparse files may still have together.
    zeros_left: u64,
}

impl Walk<'_> {
    fn gap(&mut self, code: &str, path: &str, message: impl Into<String>) {
        match self.diagnostics.len() {
            length if length < MAX_DIAGNOSTICS => self.diagnostics.push(Diagnostic::gap(code, path, message)),
            MAX_DIAGNOSTICS => self.diagnostics.push(Diagnostic::gap(
                "limit-diagnostics",
                "",
                format!("more than {MAX_DIAGNOSTICS} problems in the layer; the rest is not listed"),
            )),
            _ => {}
        }
    }

    /// Walks the tar as far as it can be walked.
    fn tar(&mut self, plain: &mut dyn Read) -> TarEnd {
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

    /// Reads on to the end, for the digest. Runtimes stop at the end of the tar, and so does the walk; that there is more is
    /// said. `false` when the bytes cannot be read to their end.
    fn drain<R: Read>(&mut self, plain: &mut Hashing<R>, end: TarEnd) -> bool {
        let start = plain.count.get();
        let mut rest = NonZero { inner: plain, found: false };
        let result = io::copy(&mut rest, &mut io::sink());
        if rest.found && end == TarEnd::Reached {
            let message = format!("there is more behind the end of the tar at byte {start}; it was not read");
            self.gap("data-after-end", "", message);
        }
        match result {
            Ok(_) => true,
            Err(source) => {
                self.failed(&TarError::Read { offset: plain.count.get(), source });
                false
            }
        }
    }

    fn failed(&mut self, error: &TarError) {
        let limit = match error {
            TarError::Read { source, .. } => {
                source.get_ref().and_then(|inner| inner.downcast_ref::<LimitHit>())
            }
            TarError::Malformed { .. } => None,
        };
        match limit {
            Some(limit) => self.gap(limit.code, "", limit.message.clone()),
            None => self.gap("malformed-layer", "", error.to_string()),
        }
    }

    fn member(&mut self, member: &Member, tar: &mut TarReader<'_>) {
        let name = match path::normalize(&member.name) {
            Ok(name) => name,
            Err(reason) => {
                return self.gap(
                    "path-escapes-root",
                    &shown(&path::escape(&member.name)),
                    format!("the entry was refused: {reason}"),
                );
            }
        };
        if name.len() > self.limits.max_path_length {
            let limit = self.limits.max_path_length;
            return self.gap(
                "limit-path-length",
                &shown(&name),
                format!("the path is longer than {limit} bytes; it was not read"),
            );
        }
        if name.split('/').count() > self.limits.max_path_depth {
            let limit = self.limits.max_path_depth;
            return self.gap(
                "limit-path-depth",
                &name,
                format!("the path has more than {limit} components; it was not read"),
            );
        }
        if member.link.len() > self.limits.max_path_length {
            let limit = self.limits.max_path_length;
            let message = format!("the target of the link is longer than {limit} bytes; it was not read");
            return self.gap("limit-path-length", &name, message);
        }
        let kind = match &member.kind {
            Kind::File | Kind::Sparse if member.size > self.limits.max_file_size => {
                let (size, limit) = (member.size, self.limits.max_file_size);
                let message = format!("the file has {size} bytes and the limit is {limit}; it was not read");
                return self.gap("limit-file-size", &name, message);
            }
            Kind::File | Kind::Sparse => EntryKind::File,
            Kind::Directory => EntryKind::Directory,
            Kind::Symlink => EntryKind::Symlink { target: path::escape(&member.link) },
            Kind::Hardlink => match path::normalize(&member.link) {
                Ok(target) => EntryKind::Hardlink { target },
                Err(reason) => {
                    return self.gap(
                        "path-escapes-root",
                        &name,
                        format!("the hard link was refused: {reason}"),
                    );
                }
            },
            Kind::Other => EntryKind::Other,
        };
        let entry = match whiteout(&name) {
            Some(Whiteout::Of(path)) => Entry { path, kind: EntryKind::Whiteout, mode: member.mode, size: 0 },
            Some(Whiteout::Opaque(path)) => {
                Entry { path, kind: EntryKind::OpaqueDirectory, mode: member.mode, size: 0 }
            }
            Some(Whiteout::Metadata) => return,
            Some(Whiteout::OfNothing) => {
                let message = "the whiteout names no file that it could remove; it was not applied";
                return self.gap("malformed-whiteout", &name, message);
            }
            None => Entry { path: name, kind, mode: member.mode, size: member.size },
        };
        let visited = match (&entry.kind, &member.sparse) {
            (EntryKind::File, Some(map)) => {
                let mut stored = tar.content();
                let zeros_left = &mut self.zeros_left;
                let mut content = Expanded {
                    stored: &mut stored,
                    map,
                    size: member.size,
                    zeros_left,
                    next: 0,
                    position: 0,
                };
                self.visitor.entry(&entry, &mut content)
            }
            (EntryKind::File, None) => self.visitor.entry(&entry, &mut tar.content()),
            _ => self.visitor.entry(&entry, &mut io::empty()),
        };
        if let Err(error) = visited {
            let code = if TooManyZeros::is(&error) { "limit-holes" } else { "unreadable-file" };
            self.gap(code, &entry.path, error.to_string());
        }
    }
}

/// A path as it is put into a diagnostic.
fn shown(path: &str) -> String {
    path.chars().take(200).collect()
}

enum Whiteout {
    Of(String),
    Opaque(String),
    Metadata,
    OfNothing,
}

/// Whiteouts after the OCI image specification, layer.md: `.wh.NAME`, `.wh..wh..opq`; other `.wh..wh.` names are metadata
/// of AUFS.
fn whiteout(path: &str) -> Option<Whiteout> {
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

/// Counts what is read through it, and digests it if asked to.
struct Hashing<R> {
    inner: R,
    hasher: Option<Hasher>,
    count: Rc<Cell<u64>>,
    /// The first error of the inner reader.
    failure: Option<String>,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R, digest: bool) -> Self {
        let hasher = digest.then(|| Hasher::new(DigestAlgorithm::Sha256));
        Self { inner, hasher, count: Rc::new(Cell::new(0)), failure: None }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failure.get_or_insert_with(|| error.to_string());
            }
        })?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(buffer.get(..length).unwrap_or_default());
        }
        self.count.set(self.count.get() + length as u64);
        Ok(length)
    }
}

/// Sees whether there is anything but zeros.
struct NonZero<'a, R> {
    inner: &'a mut R,
    found: bool,
}

impl<R: Read> Read for NonZero<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.found |= buffer.get(..length).unwrap_or_default().iter().any(|byte| *byte != 0);
        Ok(length)
    }
}

/// A limit that the decompressed bytes hit.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct LimitHit {
    code: &'static str,
    message: String,
}

/// Stops decompression at the limits on size and ratio.
struct Guarded<'a, R> {
    inner: R,
    read: u64,
    limits: &'a Limits,
    stored: Rc<Cell<u64>>,
    kind: Compression,
}

impl<R: Read> Read for Guarded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read += length as u64;
        let Limits { max_layer_size, max_ratio, ratio_floor, .. } = *self.limits;
        let hit = if self.read > max_layer_size {
            let message =
                format!("the layer has more than {max_layer_size} bytes uncompressed; the rest was not read");
            Some(LimitHit { code: "limit-layer-size", message })
        } else if self.kind != Compression::None
            && self.read > ratio_floor
            && self.read / max_ratio.max(1) > self.stored.get()
        {
            let message = format!(
                "the layer grows more than {max_ratio}-fold when it is decompressed, as a decompression bomb does; the rest was not read"
            );
            Some(LimitHit { code: "limit-ratio", message })
        } else {
            None
        };
        hit.map_or(Ok(length), |hit| Err(io::Error::other(hit)))
    }
}
