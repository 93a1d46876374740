//! An archive that comes once: on standard input, or as the export of a daemon.
//!
//! Which member is which layer is known only when everything has passed, since the documents that say it mostly come last, and
//! nothing is kept on disk. So every member that can be a layer is walked as it passes, and small documents are kept; at the end
//! the documents choose among what was walked, and every digest is compared then. Members may be in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hullmark_types::{Diagnostic, LayerInfo, Subject, SubjectKind};

use crate::archive::{Links, MAX_KEPT, MAX_NAME, Members};
use crate::compression::{self, Compression, HEAD, sniff};
use crate::image::{Image, Progress, absent, verify};
use crate::limits::LimitHit;
use crate::oci::Described;
use crate::source::Source;
use crate::tar::{Kind, TarError, TarReader, looks_like_tar};
use crate::target::ArchiveKind;
use crate::walk::{Reading, Totals, walk_blob};
use crate::{
    AcquireOptions, Entry, ImageError, ImageVisitor, LayerOutcome, LayerVisitor, docker_archive, oci, path,
};

/// How many bytes are looked at to find out what comes.
const LOOK: u64 = 256 * 1024;

/// The largest member that is kept without being a JSON document, in bytes: it may be asked for as a layer.
const MAX_SMALL: u64 = 4096;

/// How much is read at a time.
const BUFFER: usize = 128 * 1024;

/// What comes once.
pub(crate) struct Stream {
    /// What it is called in errors.
    pub(crate) place: String,
    pub(crate) kind: ArchiveKind,
    /// Which of several images.
    pub(crate) image: Option<String>,
    /// What the image is called when the archive is not to say it.
    pub(crate) name: Option<String>,
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) options: AcquireOptions,
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Stream").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Opens an archive of an image, or of a root file system, that comes once. `kind` says what it is, and `image` which image of
/// several; `place` is what it is called. What it is turns out when it is walked: until then the image is empty.
pub fn open_stream(
    reader: Box<dyn Read + Send>,
    place: &str,
    kind: ArchiveKind,
    image: Option<&str>,
    options: &AcquireOptions,
) -> Image {
    let stream = Stream {
        place: place.to_owned(),
        kind,
        image: image.map(str::to_owned),
        name: None,
        reader,
        options: options.clone(),
    };
    stream.into_image()
}

/// What comes on standard input.
pub(crate) fn on_standard_input(kind: ArchiveKind, image: Option<&str>, options: &AcquireOptions) -> Image {
    open_stream(Box::new(io::stdin()), "standard input", kind, image, options)
}

impl Stream {
    /// The image that it will turn out to be; for the time being a root file system of one layer.
    pub(crate) fn into_image(self) -> Image {
        let options = self.options.clone();
        Image {
            subject: Subject {
                kind: SubjectKind::RootFilesystem,
                name: self.place.clone(),
                references: Vec::new(),
                index: None,
                manifest: None,
                config: None,
                platform: None,
            },
            config: None,
            layers: vec![LayerInfo { index: 0, digest: None, diff_id: None, size: None, created_by: None }],
            diagnostics: Vec::new(),
            annotations: BTreeMap::new(),
            source: Source::Streamed(Some(Box::new(self))),
            limits: options.limits,
            memory: options.memory,
            threads: options.threads,
            verify_diff_ids: options.verify_diff_ids,
            lazy: false,
        }
    }
}

/// Walks everything that comes, makes of `image` what it turns out to be, and hands its layers to `visitor`.
pub(crate) fn walk<V: ImageVisitor>(
    image: &mut Image,
    stream: Stream,
    visitor: &mut V,
    progress: &dyn Progress,
) -> Result<(), ImageError> {
    let Stream { place, kind, image: wanted, name, mut reader, options } = stream;
    let failed = |source| ImageError::Stream { place: place.clone(), source };
    let mut head = Vec::new();
    (&mut reader).take(LOOK).read_to_end(&mut head).map_err(failed)?;
    // What was to write it failed, as a rule.
    if head.is_empty() {
        return Err(ImageError::Malformed { place, problem: "nothing came; expected a tar".to_owned() });
    }
    let is_archive = match kind {
        ArchiveKind::Docker | ArchiveKind::Oci => true,
        ArchiveKind::RootFilesystem => false,
        ArchiveKind::Any => begins_like_an_archive(&head, &options),
    };
    let mut whole = Cursor::new(head).chain(reader);
    let totals = Totals::default();
    let mut passing = Passing {
        place: &place,
        options: &options,
        visitor: &*visitor,
        progress,
        totals: &totals,
        outputs: Vec::new(),
        marks: BTreeSet::new(),
    };
    if !is_archive {
        passing.pass(&mut whole, None)?;
        if kind == ArchiveKind::Any
            && (passing.marks.contains("manifest.json") || passing.marks.is_superset(&oci_marks()))
        {
            return Err(ImageError::Malformed {
                place,
                problem: "it begins like a root file system and has the documents of an image\nhint: say what it is: `docker-archive:-`, `oci-archive:-` or `rootfs:-`"
                    .to_owned(),
            });
        }
        let Some((output, outcome)) = passing.outputs.pop() else { return Ok(()) };
        if let Some(layer) = image.layers.first_mut() {
            let hit = passing.hit();
            if hit.is_none() {
                verify(layer, &outcome, &format!("{place}, layer 0"))?;
            }
            layer.digest.clone_from(&outcome.digest);
            layer.diff_id.clone_from(&outcome.diff_id);
            layer.size = Some(outcome.stored_size);
            match hit {
                Some(hit) => image.diagnostics.push(Diagnostic::gap(hit.code, "", hit.message)),
                None => visitor.end_layer(0, output),
            }
        }
        return Ok(());
    }

    let mut arrived = Arrived {
        place: &place,
        members: BTreeMap::new(),
        links: Links::default(),
        kept: 0,
        max_document: options.limits.max_document_size,
    };
    arrived.read(&mut whole, &mut passing)?;
    let is_docker = match kind {
        ArchiveKind::Oci => false,
        ArchiveKind::Docker => true,
        _ => arrived.size("manifest.json").is_some(),
    };
    let (mut described, names) = match is_docker {
        true => docker_archive::describe(&arrived, wanted.as_deref()),
        false => oci::describe_archive(&arrived, wanted.as_deref(), &options),
    }?;
    if let Some(name) = name {
        described.subject.name = name;
    }
    if described.layers.len() > options.limits.max_layers {
        return Err(ImageError::Limit {
            place,
            problem: format!("{} layers, the limit is {}", described.layers.len(), options.limits.max_layers),
        });
    }
    let outputs = passing.choose(&arrived, &described, &names)?;
    let hit = passing.hit();
    let Described { subject, configuration, layers, diagnostics, annotations, .. } = described;
    image.subject = subject;
    image.config = Some(configuration.config);
    image.layers = layers;
    image.diagnostics = diagnostics;
    image.annotations = annotations;
    match hit {
        Some(hit) => image.diagnostics.push(Diagnostic::gap(hit.code, "", hit.message)),
        None => (0..).zip(outputs).for_each(|(index, output)| visitor.end_layer(index, output)),
    }
    Ok(())
}

/// What the documents of an OCI layout are called.
fn oci_marks() -> BTreeSet<&'static str> {
    BTreeSet::from(["index.json", "oci-layout"])
}

/// Whether the first member is one of those with which archives of images begin. Any other is that of a root file system; should
/// documents of an image come later, it is an error.
fn begins_like_an_archive(head: &[u8], options: &AcquireOptions) -> bool {
    let mut bytes = head;
    let Ok(Some(plain)) = compression::open(&mut bytes, options.memory.archives()) else { return false };
    let mut plain = BufReader::new(plain);
    let mut tar = TarReader::new(&mut plain);
    while let Ok(Some(member)) = tar.next_member() {
        match path::normalize(&member.name) {
            Ok(name) if name.is_empty() => {}
            Ok(name) => return is_of_an_archive(&name),
            Err(_) => return false,
        }
    }
    false
}

fn is_of_an_archive(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or_default();
    let stem = first.strip_prefix("sha256:").unwrap_or(first);
    let stem =
        [".json", ".tar.gz", ".tar", ".tgz"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem);
    let is_hex = stem.len() == 64 && stem.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex
        || matches!(
            first,
            "manifest.json" | "index.json" | "oci-layout" | "repositories" | "config.json" | "blobs"
        )
}

/// Walks what passes.
struct Passing<'a, V: ImageVisitor> {
    place: &'a str,
    options: &'a AcquireOptions,
    visitor: &'a V,
    progress: &'a dyn Progress,
    /// Those of everything that was walked.
    totals: &'a Totals,
    outputs: Vec<(V::Output, LayerOutcome)>,
    /// Which documents of an image were seen as files of a root file system.
    marks: BTreeSet<&'static str>,
}

impl<V: ImageVisitor> Passing<'_, V> {
    /// The limit that everything together hit.
    fn hit(&self) -> Option<LimitHit> {
        self.totals.hit(&self.options.limits, &self.options.memory)
    }

    /// Walks a blob; its number.
    fn pass(&mut self, blob: &mut (dyn Read + Send), size: Option<u64>) -> Result<usize, ImageError> {
        let number = self.outputs.len();
        // Some come to nothing, such as the layers of another image of the archive.
        if number >= self.options.limits.max_layers.saturating_mul(4) {
            return Err(ImageError::Limit {
                place: self.place.to_owned(),
                problem: format!("it has more than {number} members that may be layers"),
            });
        }
        let index = u32::try_from(number).unwrap_or(u32::MAX);
        let layer = LayerInfo { index, digest: None, diff_id: None, size, created_by: None };
        self.progress.layer_started(&layer, size);
        let mut inner = self.visitor.begin();
        let mut counted = Counted { inner: blob, layer: index, progress: self.progress };
        let reading = Reading {
            limits: &self.options.limits,
            memory: &self.options.memory,
            diff_id: true,
            totals: self.totals,
        };
        let mut watching = Watching { inner: &mut inner, marks: &mut self.marks };
        let outcome = walk_blob(&mut counted, &reading, &mut watching);
        self.progress.layer_finished(index);
        self.outputs.push((self.visitor.finish(inner, &outcome), outcome));
        Ok(number)
    }

    /// What was made of the layers of an image, base first, each verified.
    fn choose(
        &mut self,
        arrived: &Arrived<'_>,
        described: &Described,
        names: &[String],
    ) -> Result<Vec<V::Output>, ImageError> {
        let (mut outputs, mut chosen) = (Vec::new(), BTreeSet::new());
        for ((index, layer), name) in described.layers.iter().enumerate().zip(names) {
            let is_foreign = described.blobs.get(index).is_some_and(|blob| blob.foreign);
            let number = match arrived.find(name) {
                Some(Found::Walked(number)) => *number,
                // Bytes that look like a document, and are a layer all the same.
                Some(Found::Kept(bytes)) => {
                    let mut bytes = bytes.as_slice();
                    let size = bytes.len() as u64;
                    self.pass(&mut bytes, Some(size))?
                }
                None if is_foreign => {
                    outputs.push(absent(self.visitor));
                    continue;
                }
                None => {
                    return Err(ImageError::Missing { place: self.place.to_owned(), missing: name.clone() });
                }
            };
            let Some((output, outcome)) = self.outputs.get(number) else { continue };
            if chosen.contains(&number) {
                // What is kept counts once for each time that it stands in the image.
                self.totals.kept.fetch_add(outcome.kept, Ordering::Relaxed);
            }
            chosen.insert(number);
            if self.hit().is_none() {
                verify(layer, outcome, &format!("{}:{name}, layer {index}", self.place))?;
            }
            outputs.push(output.clone());
        }
        Ok(outputs)
    }
}

/// A member of the archive.
#[derive(Debug)]
enum Found {
    /// It was walked, with this number.
    Walked(usize),
    /// Its bytes were kept.
    Kept(Vec<u8>),
}

/// What of the archive has passed.
struct Arrived<'a> {
    place: &'a str,
    members: BTreeMap<String, (Found, u64)>,
    links: Links,
    kept: u64,
    max_document: u64,
}

impl Arrived<'_> {
    /// Takes everything to the end of the archive.
    fn read<V: ImageVisitor>(
        &mut self,
        stream: &mut (impl Read + Send),
        passing: &mut Passing<'_, V>,
    ) -> Result<(), ImageError> {
        let options = passing.options;
        let place = self.place;
        let failed = |source| ImageError::Stream { place: place.to_owned(), source };
        let malformed =
            |problem: &str| ImageError::Malformed { place: place.to_owned(), problem: problem.to_owned() };
        let stored = Arc::new(AtomicU64::new(0));
        let mut counting = Counting { inner: stream, count: Arc::clone(&stored) };
        let opened = compression::open(&mut counting, options.memory.archives()).map_err(failed)?;
        let opened =
            opened.ok_or_else(|| malformed("it is neither a tar nor a gzip or zstd compressed tar"))?;
        let is_compressed = opened.kind() != Compression::None;
        let bounded = Bounded { inner: opened, read: 0, stored, is_compressed, options };
        let mut plain = BufReader::with_capacity(BUFFER, bounded);
        let mut offset = 0;
        loop {
            let mut tar = TarReader::new(&mut plain);
            let member = tar.next_member().map_err(|error| match error {
                TarError::Read { source, .. } => failed(source),
                TarError::Malformed { offset: within, expected } => malformed(&format!(
                    "the tar is malformed at byte {}: expected {expected}",
                    offset + within
                )),
            })?;
            let Some(member) = member else { break };
            let (start, end) = (tar.offset(), tar.offset().saturating_add(tar.to_next()));
            let stored = member.stored;
            let mut content = (&mut plain).take(stored);
            self.member(&member, &mut content, passing)?;
            // What is left of the content has to be there; the padding of the last member may be missing.
            let left = content.limit();
            let skipped = io::copy(&mut content, &mut io::sink()).map_err(failed)?;
            if skipped < left {
                return Err(malformed("it ends early, within a member"));
            }
            let padding = end.saturating_sub(start).saturating_sub(stored);
            io::copy(&mut (&mut plain).take(padding), &mut io::sink()).map_err(failed)?;
            offset += end;
        }
        // Who writes it waits until everything was read.
        io::copy(&mut plain, &mut io::sink()).map_err(failed)?;
        Ok(())
    }

    fn member<V: ImageVisitor>(
        &mut self,
        member: &crate::tar::Member,
        content: &mut io::Take<impl Read + Send>,
        passing: &mut Passing<'_, V>,
    ) -> Result<(), ImageError> {
        if member.name.len() > MAX_NAME || member.link.len() > MAX_NAME {
            return Ok(());
        }
        // A member with a name that leads out of the archive can be no part of an image.
        let Ok(name) = path::normalize(&member.name) else { return Ok(()) };
        let limit = passing.options.limits.max_members;
        if self.members.len() + self.links.len() >= limit {
            return Err(ImageError::Limit {
                place: self.place.to_owned(),
                problem: format!("more than {limit} members"),
            });
        }
        match member.kind {
            Kind::File => {}
            Kind::Symlink | Kind::Hardlink => {
                self.members.remove(&name);
                self.links.add(name, member.kind, &member.link);
                return Ok(());
            }
            _ => return Ok(()),
        }
        let failed = |source| ImageError::Stream { place: self.place.to_owned(), source };
        let size = member.stored;
        let mut head = Vec::new();
        content.take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
        let is_document = matches!(head.first(), Some(b'{' | b'[')) && !looks_like_tar(&head);
        let is_small = size <= MAX_SMALL && sniff(&head).is_none();
        let found = if (is_document && size <= self.max_document || is_small)
            && self.kept.saturating_add(size) <= MAX_KEPT
        {
            let mut bytes = head;
            content.read_to_end(&mut bytes).map_err(failed)?;
            self.kept += bytes.len() as u64;
            Found::Kept(bytes)
        } else {
            let mut blob = Cursor::new(head).chain(content);
            Found::Walked(passing.pass(&mut blob, Some(size))?)
        };
        self.links.remove(&name);
        if let Some((Found::Kept(bytes), _)) = self.members.insert(name, (found, size)) {
            self.kept = self.kept.saturating_sub(bytes.len() as u64);
        }
        Ok(())
    }

    fn entry(&self, name: &str) -> Option<&(Found, u64)> {
        self.links.follow(name, |name| self.members.get(name))
    }

    fn find(&self, name: &str) -> Option<&Found> {
        self.entry(name).map(|(found, _)| found)
    }
}

impl Members for Arrived<'_> {
    fn archive(&self) -> String {
        self.place.to_owned()
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let place = || format!("{}:{name}", self.place);
        match self.entry(name) {
            None => Ok(None),
            Some((_, size)) if *size > self.max_document => Err(ImageError::Limit {
                place: place(),
                problem: format!("a document of {size} bytes, the limit is {}", self.max_document),
            }),
            Some((Found::Kept(bytes), _)) => Ok(Some(bytes.clone())),
            Some((Found::Walked(_), _)) => {
                Err(ImageError::Malformed { place: place(), problem: "expected a JSON document".to_owned() })
            }
        }
    }

    fn size(&self, name: &str) -> Option<u64> {
        self.entry(name).map(|(_, size)| *size)
    }
}

/// Sees whether a root file system has files that are documents of an image.
struct Watching<'a, L> {
    inner: &'a mut L,
    marks: &'a mut BTreeSet<&'static str>,
}

impl<L: LayerVisitor> LayerVisitor for Watching<'_, L> {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> io::Result<()> {
        let mark = ["manifest.json", "index.json", "oci-layout"].into_iter().find(|mark| *mark == entry.path);
        self.marks.extend(mark);
        self.inner.entry(entry, content)
    }
}

/// Tells of the bytes that pass.
struct Counted<'a> {
    inner: &'a mut (dyn Read + Send),
    layer: u32,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.progress.layer_bytes(self.layer, length as u64);
        Ok(length)
    }
}

/// Counts the bytes as they come.
struct Counting<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.fetch_add(length as u64, Ordering::Relaxed);
        Ok(length)
    }
}

/// Ends an archive that grows too large.
struct Bounded<'a, R> {
    inner: R,
    read: u64,
    stored: Arc<AtomicU64>,
    is_compressed: bool,
    options: &'a AcquireOptions,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.read += length as u64;
        let limits = &self.options.limits;
        let grown = self.read / limits.max_ratio.max(1);
        let is_bomb = self.is_compressed
            && self.read > limits.ratio_floor
            && grown > self.stored.load(Ordering::Relaxed);
        match self.read > limits.max_image_size || is_bomb {
            true => Err(io::Error::other(
                "it is larger than an image may be, or grows as a decompression bomb does",
            )),
            false => Ok(length),
        }
    }
}
