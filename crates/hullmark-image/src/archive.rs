//! Members of a tar file on disk: found by their headers, read where they stand.
//!
//! A plain tar is searched by seeking from header to header. A compressed one is decompressed once for the index and once
//! more for its layers, in the order in which they stand; nothing is written to disk.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::compression::{self, Decompressed};
use crate::path;
use crate::tar::{Kind, TarError, TarReader};
use crate::{AcquireOptions, ImageError, Memory};

/// The longest name or link of a member that is kept, in bytes. No part of an image has one so long.
pub(crate) const MAX_NAME: usize = 4096;

/// The most bytes kept of small documents of a compressed archive.
pub(crate) const MAX_KEPT: u64 = 64 << 20;

/// How often a compressed archive is read for layers that it lists again.
const MAX_PASSES: usize = 16;

/// Layers up to this size, in bytes, are kept to be read again: empty layers are often listed many times.
const MAX_SMALL: u64 = 1 << 20;

/// The documents that tell what kind of archive it is.
const MARKS: [&str; 3] = ["manifest.json", "index.json", "oci-layout"];

/// Where the content of a member stands in the (uncompressed) tar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// An archive of an image, by the names of its members. Links between members are followed.
pub(crate) trait Members {
    /// What it is called in errors.
    fn archive(&self) -> String;

    /// Reads a small document; `None` when there is no such member.
    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError>;

    /// Size of a member; `None` when there is no such member.
    fn size(&self, name: &str) -> Option<u64>;
}

/// Links between members.
#[derive(Debug, Default)]
pub(crate) struct Links(BTreeMap<String, String>);

impl Links {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a link, unless it leads out of the archive.
    pub(crate) fn add(&mut self, name: String, kind: Kind, link: &[u8]) {
        let directory = name.rsplit_once('/').map_or("", |(directory, _)| directory);
        let target = match kind {
            Kind::Symlink => resolve(directory, &path::escape(link)),
            _ => path::normalize(link).ok(),
        };
        if let Some(target) = target {
            self.0.insert(name, target);
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// What a name leads to.
    pub(crate) fn follow<'m, T>(&self, name: &str, member: impl Fn(&str) -> Option<&'m T>) -> Option<&'m T> {
        let mut name = path::normalize(name.as_bytes()).ok()?;
        for _ in 0..8 {
            if let Some(found) = member(&name) {
                return Some(found);
            }
            name = self.0.get(&name)?.clone();
        }
        None
    }
}

/// The index of an archive.
#[derive(Debug)]
pub(crate) struct Archive {
    path: PathBuf,
    compressed: bool,
    members: BTreeMap<String, Place>,
    links: Links,
    /// Documents of a compressed archive, which cannot be read again cheaply.
    documents: BTreeMap<String, Vec<u8>>,
    max_document: u64,
    max_members: usize,
    /// The most bytes that it may have when it is decompressed.
    max_size: u64,
    /// The limit that ended the index before the archive did.
    exceeded: Option<String>,
}

impl Archive {
    pub(crate) fn open(path: &Path, options: &AcquireOptions) -> Result<Self, ImageError> {
        let limits = &options.limits;
        let mut archive = Self {
            path: path.to_owned(),
            compressed: false,
            members: BTreeMap::new(),
            links: Links::default(),
            documents: BTreeMap::new(),
            max_document: limits.max_document_size,
            max_members: limits.max_members,
            max_size: limits.max_image_size,
            exceeded: None,
        };
        let mut file = archive.file()?;
        let size = file.metadata().map_err(|source| archive.io(source))?.len();
        match compression::open(&mut file, options.memory.archives()).map_err(|source| archive.io(source))? {
            None => {
                return Err(
                    archive.malformed("it is neither a tar nor a gzip or zstd compressed tar".to_owned())
                );
            }
            Some(Decompressed::None(_)) => {}
            Some(mut reader) => {
                archive.compressed = true;
                let grown = size.saturating_mul(limits.max_ratio).max(limits.ratio_floor);
                archive.max_size = limits.max_image_size.min(grown);
                archive.index_stream(&mut Bounded { inner: &mut reader, left: archive.max_size })?;
                return Ok(archive);
            }
        }
        archive.index_file(size)?;
        Ok(archive)
    }

    /// # Errors
    /// When a limit kept the archive from being read to its end.
    pub(crate) fn complete(&self) -> Result<(), ImageError> {
        match &self.exceeded {
            None => Ok(()),
            Some(problem) => {
                Err(ImageError::Limit { place: self.path.display().to_string(), problem: problem.clone() })
            }
        }
    }

    /// Whether members have to be read in the order in which they stand.
    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    /// Where a member's content stands, through links between members.
    pub(crate) fn place(&self, name: &str) -> Option<Place> {
        self.links.follow(name, |name| self.members.get(name)).copied()
    }

    /// Reads a small document; `None` when there is no such member.
    pub(crate) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        let Some(place) = self.place(name) else { return Ok(None) };
        if place.size > self.max_document {
            return Err(ImageError::Limit {
                place: format!("{}:{name}", self.path.display()),
                problem: format!("a document of {} bytes, the limit is {}", place.size, self.max_document),
            });
        }
        if self.compressed {
            let found = self.members.iter().find(|(_, other)| **other == place);
            let kept = found.and_then(|(name, _)| self.documents.get(name));
            return kept.map(|bytes| Some(bytes.clone())).ok_or_else(|| ImageError::Malformed {
                place: format!("{}:{name}", self.path.display()),
                problem: "expected a JSON document".to_owned(),
            });
        }
        let mut bytes = Vec::new();
        self.at(place)?.read_to_end(&mut bytes).map_err(|source| self.io(source))?;
        Ok(Some(bytes))
    }

    /// Opens members of a compressed archive in the order in which they stand, each place once for each index with it.
    pub(crate) fn visit(
        &self,
        mut places: Vec<(Place, usize)>,
        memory: &Memory,
        visit: &mut dyn FnMut(usize, &mut (dyn Read + Send)) -> Result<(), ImageError>,
    ) -> Result<(), ImageError> {
        places.sort_unstable();
        // The same layer may stand in the list twice; then the archive is read once more for it.
        for _ in 0..MAX_PASSES {
            if places.is_empty() {
                return Ok(());
            }
            places = self.pass(&places, memory, visit)?;
        }
        Err(ImageError::Limit {
            place: self.path.display().to_string(),
            problem: format!("it lists the same large layer more than {MAX_PASSES} times"),
        })
    }

    /// Reads a compressed archive once, and gives what must be read again.
    fn pass(
        &self,
        places: &[(Place, usize)],
        memory: &Memory,
        visit: &mut dyn FnMut(usize, &mut (dyn Read + Send)) -> Result<(), ImageError>,
    ) -> Result<Vec<(Place, usize)>, ImageError> {
        let mut again = Vec::new();
        let mut file = self.file()?;
        let opened = compression::open(&mut file, memory.archives()).map_err(|source| self.io(source))?;
        let Some(mut stream) = opened else {
            return Err(self.malformed("it changed while it was read".to_owned()));
        };
        let mut position = 0;
        let mut small: Option<(Place, Vec<u8>)> = None;
        for (place, index) in places {
            if let Some((_, bytes)) = small.as_ref().filter(|(kept, _)| kept == place) {
                visit(*index, &mut bytes.as_slice())?;
                continue;
            }
            if place.offset < position {
                again.push((*place, *index));
                continue;
            }
            let skipped = io::copy(&mut (&mut stream).take(place.offset - position), &mut io::sink());
            position += skipped.map_err(|source| self.io(source))?;
            let mut content = (&mut stream).take(place.size);
            if place.size <= MAX_SMALL {
                let mut bytes = Vec::new();
                content.read_to_end(&mut bytes).map_err(|source| self.io(source))?;
                visit(*index, &mut bytes.as_slice())?;
                small = Some((*place, bytes));
            } else {
                visit(*index, &mut content)?;
            }
            position += place.size - content.limit();
        }
        Ok(again)
    }

    /// Opens a member of an archive that is not compressed.
    pub(crate) fn at(&self, place: Place) -> Result<io::Take<File>, ImageError> {
        let mut file = self.file()?;
        file.seek(SeekFrom::Start(place.offset)).map_err(|source| self.io(source))?;
        Ok(file.take(place.size))
    }

    fn file(&self) -> Result<File, ImageError> {
        File::open(&self.path).map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> ImageError {
        ImageError::Io { path: self.path.clone(), source }
    }

    fn malformed(&self, problem: String) -> ImageError {
        ImageError::Malformed { place: self.path.display().to_string(), problem }
    }

    fn tar_error(&self, error: &TarError) -> ImageError {
        self.malformed(error.to_string())
    }

    fn index_file(&mut self, file_size: u64) -> Result<(), ImageError> {
        let file = self.file()?;
        let mut reader = BufReader::with_capacity(4096, &file);
        let mut tar = TarReader::new(&mut reader);
        while let Some(member) = tar.next_member().map_err(|error| self.tar_error(&error))? {
            let place = Place { offset: tar.offset(), size: member.stored };
            let end = place.offset.checked_add(place.size).filter(|end| *end <= file_size);
            let name = path::escape(&member.name);
            end.ok_or_else(|| {
                self.malformed(format!(
                    "it ends early: the member `{name}` should reach to byte {}, and the file has {file_size}",
                    place.offset.saturating_add(place.size)
                ))
            })?;
            self.add(&member.name, &member.link, member.kind, place);
            let next = tar.offset().saturating_add(tar.to_next());
            tar.input().seek(SeekFrom::Start(next)).map_err(|source| self.io(source))?;
            tar.skipped();
        }
        Ok(())
    }

    fn index_stream(&mut self, stream: &mut dyn Read) -> Result<(), ImageError> {
        let mut stream = BufReader::with_capacity(128 * 1024, stream);
        let mut tar = TarReader::new(&mut stream);
        let mut kept = 0;
        loop {
            let member = match tar.next_member() {
                Ok(Some(member)) => member,
                Ok(None) => return Ok(()),
                Err(TarError::Read { source, .. }) if is_too_much(&source) => {
                    self.exceeded = Some(source.to_string());
                    return Ok(());
                }
                Err(error) => return Err(self.tar_error(&error)),
            };
            let place = Place { offset: tar.offset(), size: member.stored };
            let name = self.add(&member.name, &member.link, member.kind, place);
            if let Some(name) =
                name.filter(|_| member.size <= self.max_document && kept + member.size <= MAX_KEPT)
            {
                let mut bytes = Vec::new();
                let mut content = tar.content();
                let mut first = [0];
                content.read_exact(&mut first).or_else(ignore_empty).map_err(|source| self.io(source))?;
                if matches!(first, [b'{' | b'[']) {
                    bytes.extend(first);
                    content.read_to_end(&mut bytes).map_err(|source| self.io(source))?;
                    kept += bytes.len() as u64;
                    self.documents.insert(name, bytes);
                }
            }
        }
    }

    /// Takes a member into the index; its name when it is a file.
    fn add(&mut self, name: &[u8], link: &[u8], kind: Kind, place: Place) -> Option<String> {
        if name.len() > MAX_NAME || link.len() > MAX_NAME {
            return None;
        }
        // A member with a name that leads out of the archive can be no part of an image.
        let Ok(name) = path::normalize(name) else { return None };
        if self.members.len() + self.links.len() >= self.max_members && !MARKS.contains(&name.as_str()) {
            // Many members make a root file system; of an image it is said when it turns out to be one.
            let limit = self.max_members;
            self.exceeded.get_or_insert_with(|| format!("more than {limit} members"));
            return None;
        }
        match kind {
            Kind::File => {
                self.links.remove(&name);
                self.members.insert(name.clone(), place);
                Some(name)
            }
            Kind::Symlink | Kind::Hardlink => {
                self.members.remove(&name);
                self.links.add(name, kind, link);
                None
            }
            _ => None,
        }
    }
}

impl Members for Archive {
    fn archive(&self) -> String {
        self.path.display().to_string()
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ImageError> {
        self.document(name)
    }

    fn size(&self, name: &str) -> Option<u64> {
        self.place(name).map(|place| place.size)
    }
}

/// Ends a stream that grows too large when it is decompressed.
struct Bounded<R> {
    inner: R,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("it is larger when it is decompressed than an image may be, or grows as a decompression bomb does")]
struct TooMuch;

fn is_too_much(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<TooMuch>())
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| io::Error::other(TooMuch))?;
        Ok(length)
    }
}

fn ignore_empty(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::UnexpectedEof { Ok(()) } else { Err(error) }
}

/// Resolves a relative link inside the archive, as old versions of `docker save` write them; `None` when it leads out.
fn resolve(directory: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = match link.starts_with('/') {
        true => Vec::new(),
        false => directory.split('/').filter(|part| !part.is_empty()).collect(),
    };
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}
