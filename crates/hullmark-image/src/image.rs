//! An image: what it is, and the walk over its layers.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use hullmark_http::ClientOptions;
use hullmark_types::{Diagnostic, Digest, ImageConfig, LayerInfo, Platform, Subject, SubjectKind};

use crate::archive::{Archive, Place};
use crate::daemon::Daemon;
use crate::lazy;
use crate::limits::LimitHit;
use crate::rootfs::{Form, Tree};
use crate::source::{Files, LayerSource, Source};
use crate::streamed::{self, Stream};
use crate::target::ArchiveKind;
use crate::walk::{Reading, Totals, walk_blob};
use crate::{
    Entry, ImageError, ImageVisitor, LayerOutcome, LayerVisitor, Limits, LocalEngines, ManifestPath, Memory,
    Recalled, RegistryAccess, Target, containerd, containers_storage, docker_archive, oci, process,
};

/// How images are got.
#[derive(Debug, Clone)]
pub struct AcquireOptions {
    /// Which platform to choose from a multi-platform image.
    pub platform: Platform,
    /// Which manifest to take of a multi-platform image, whatever its platform; see [`platforms`](crate::platforms()).
    pub manifest: Option<ManifestPath>,
    /// How registries are reached.
    pub client: ClientOptions,
    /// How registries are got into.
    pub access: RegistryAccess,
    /// The engines of this machine.
    pub engines: LocalEngines,
    /// Hard limits.
    pub limits: Limits,
    /// The memory for reading.
    pub memory: Memory,
    /// How many layers are read at the same time.
    pub threads: usize,
    /// Whether the uncompressed bytes of a layer are digested and compared with the configuration also where the digest of
    /// the bytes as stored is known and was verified.
    pub verify_diff_ids: bool,
    /// Whether layers in registries are read by their table of contents, where they have one that can be verified, and only
    /// the files that are wanted are fetched. The table of contents may differ from what is unpacked.
    pub lazy: bool,
}

impl AcquireOptions {
    /// Linux on this machine's processor, no credentials, the default limits; a layer at a time for each processor.
    pub fn new(client: ClientOptions) -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "loongarch64" => "loong64",
            other => other,
        };
        Self {
            platform: Platform {
                os: "linux".to_owned(),
                architecture: architecture.to_owned(),
                variant: None,
            },
            manifest: None,
            client,
            access: RegistryAccess::default(),
            engines: LocalEngines::default(),
            limits: Limits::default(),
            memory: Memory::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            verify_diff_ids: false,
            lazy: false,
        }
    }
}

/// Is told of the layers as they are read.
pub trait Progress: Sync {
    /// A layer begins; `size` is that of its bytes as stored, where it is known.
    fn layer_started(&self, layer: &LayerInfo, size: Option<u64>) {
        let _ = (layer, size);
    }

    /// More bytes of the layer, as stored, were read.
    fn layer_bytes(&self, layer: u32, bytes: u64) {
        let _ = (layer, bytes);
    }

    /// The layer is not read, as its content is known.
    fn layer_recalled(&self, layer: &LayerInfo) {
        let _ = layer;
    }

    /// The layer was read by its table of contents: so many of its bytes were fetched.
    fn layer_fetched_in_part(&self, layer: &LayerInfo, fetched: u64) {
        let _ = (layer, fetched);
    }

    /// The layer was read.
    fn layer_finished(&self, layer: u32) {
        let _ = layer;
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {}

/// An image that was found, and whose layers can be walked.
#[derive(Debug)]
pub struct Image {
    pub(crate) subject: Subject,
    pub(crate) config: Option<ImageConfig>,
    pub(crate) layers: Vec<LayerInfo>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) source: Source,
    pub(crate) limits: Limits,
    pub(crate) memory: Memory,
    pub(crate) threads: usize,
    pub(crate) verify_diff_ids: bool,
    pub(crate) lazy: bool,
}

/// Finds the image that `target` names, and reads its manifest and configuration. No layer is read yet.
///
/// # Errors
/// When there is no such image, or what describes it cannot be read.
pub fn open(target: &Target, options: &AcquireOptions) -> Result<Image, ImageError> {
    let image = match target {
        Target::DockerArchive(path, name) => {
            docker_archive::open(Archive::open(path, options)?, name.as_deref(), options)
        }
        Target::OciArchive(path, name) => {
            oci::open_archive(Archive::open(path, options)?, name.as_deref(), options)
        }
        Target::OciLayout(path, name) => oci::open_layout(path, name.as_deref(), options),
        Target::RootFilesystem(path) => open_rootfs(path.clone(), options),
        Target::Directory(path) => open_directory(path, options),
        Target::Archive(path) => {
            let archive = Archive::open(path, options)?;
            if options.manifest.is_some() && oci::is_archive(&archive) {
                oci::open_archive(archive, None, options)
            } else if archive.has("manifest.json") {
                docker_archive::open(archive, None, options)
            } else if oci::is_archive(&archive) {
                oci::open_archive(archive, None, options)
            } else {
                open_rootfs(path.clone(), options)
            }
        }
        Target::Registry(reference) => crate::registry::open(reference, options),
        Target::Stream(kind, name) => Ok(streamed::on_standard_input(*kind, name.as_deref(), options)),
        Target::DockerDaemon(name) => {
            let daemon = Daemon { scheme: "docker-daemon", socket: &options.engines.docker_socket };
            exported(daemon, name, options)
        }
        Target::Podman(name) => {
            exported(Daemon { scheme: "podman", socket: &options.engines.podman_socket }, name, options)
        }
        Target::Containerd(name) => containerd::open(name, options),
        Target::ContainersStorage(storage, name) => containers_storage::open(storage, name, options),
        Target::Container(name) => process::open_container(name, options),
        Target::Process(pid) => process::open(*pid, options),
    }?;
    bounded(image, options)
}

/// Opens the image with the manifest (or index) `digest` whose blobs are already here, as `blobs/ALGORITHM/HEX` in `directory`.
/// `name` is the reference that it has in its registry.
///
/// # Errors
/// When a blob is missing or damaged, or what describes the image cannot be read.
pub fn open_blobs(
    directory: &Path,
    digest: &Digest,
    name: &str,
    options: &AcquireOptions,
) -> Result<Image, ImageError> {
    bounded(oci::open_blobs(directory, digest, name, options)?, options)
}

fn bounded(image: Image, options: &AcquireOptions) -> Result<Image, ImageError> {
    if image.layers.len() > options.limits.max_layers {
        return Err(ImageError::Limit {
            place: image.subject.name,
            problem: format!("{} layers, the limit is {}", image.layers.len(), options.limits.max_layers),
        });
    }
    Ok(image)
}

fn open_rootfs(path: PathBuf, options: &AcquireOptions) -> Result<Image, ImageError> {
    let metadata =
        std::fs::metadata(&path).map_err(|source| ImageError::Io { path: path.clone(), source })?;
    let name = path.display().to_string();
    Ok(match metadata.is_dir() {
        true => Image::of_root(name, Source::Trees(vec![Tree::at(path, Form::Plain)]), options),
        false => {
            let mut image = Image::of_root(name, Source::Blobs(Box::new(Files(vec![Some(path)]))), options);
            image.layers.iter_mut().for_each(|layer| layer.size = Some(metadata.len()));
            image
        }
    })
}

fn open_directory(path: &Path, options: &AcquireOptions) -> Result<Image, ImageError> {
    let metadata =
        std::fs::metadata(path).map_err(|source| ImageError::Io { path: path.to_owned(), source })?;
    if !metadata.is_dir() {
        let source = std::io::Error::from(std::io::ErrorKind::NotADirectory);
        return Err(ImageError::Io { path: path.to_owned(), source });
    }
    let mut image = open_rootfs(path.to_owned(), options)?;
    image.subject.kind = SubjectKind::Directory;
    Ok(image)
}

fn exported(daemon: Daemon<'_>, name: &str, options: &AcquireOptions) -> Result<Image, ImageError> {
    let place = format!("{}:{name}", daemon.scheme);
    let stream = Stream {
        place: place.clone(),
        kind: ArchiveKind::Docker,
        image: None,
        name: Some(name.to_owned()),
        reader: Box::new(daemon.export(name)?),
        options: options.clone(),
    };
    Ok(stream.into_image())
}

impl Image {
    /// A root file system that is the only layer.
    pub(crate) fn of_root(name: String, source: Source, options: &AcquireOptions) -> Self {
        Self {
            subject: Subject {
                kind: SubjectKind::RootFilesystem,
                name,
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
            source,
            limits: options.limits.clone(),
            memory: options.memory.clone(),
            threads: options.threads,
            verify_diff_ids: options.verify_diff_ids,
            lazy: false,
        }
    }

    /// What it is.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Its configuration; root file systems have none.
    pub fn config(&self) -> Option<&ImageConfig> {
        self.config.as_ref()
    }

    /// Its layers, base first.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// What is to be said of the image as a whole.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// What its manifest says of it; only OCI manifests do.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// The limits within which it is read.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether the uncompressed bytes of every layer are compared with the configuration.
    pub fn verifies_diff_ids(&self) -> bool {
        self.verify_diff_ids
    }

    /// The memory for reading it.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Reads every layer once and hands its entries to `visitor`, verifying digests on the way.
    ///
    /// # Errors
    /// When the bytes of a layer cannot be read, or are not those that their digest names. Then nothing that the visitor
    /// was told may be used. Of several layers with an error it is that of the lowest.
    pub fn walk<V: ImageVisitor>(
        &mut self,
        visitor: &mut V,
        progress: &dyn Progress,
    ) -> Result<(), ImageError> {
        if let Source::Streamed(stream) = &mut self.source {
            let stream = stream.take().ok_or_else(|| ImageError::Stream {
                place: self.subject.name.clone(),
                source: io::Error::other("it was read before, and comes only once"),
            })?;
            return streamed::walk(self, *stream, visitor, progress);
        }
        let walk = LayerWalk::new(self, &*visitor, progress);
        match &self.source {
            Source::Blobs(source) => walk.all(&**source, self.threads),
            Source::Sequence { archive, places } => walk.sequence(archive, places)?,
            Source::Trees(trees) => walk.trees(trees, self.threads),
            Source::Streamed(_) => {}
        }
        let notes = std::mem::take(&mut *walk.notes.lock().unwrap_or_else(PoisonError::into_inner));
        let AllWalked { outputs, first } = walk.finish()?;
        self.diagnostics.extend(notes.into_values());
        // A bare file has no digest of its own: that of its bytes is its identity.
        let is_bare = self.layers.len() == 1 && self.subject.digest().is_none();
        if let (true, Some(outcome), Some(layer)) = (is_bare, first, self.layers.first_mut()) {
            layer.digest = outcome.digest;
            layer.diff_id = outcome.diff_id;
        }
        match outputs {
            Ok(outputs) => {
                for (index, output) in (0..).zip(outputs) {
                    visitor.end_layer(index, output);
                }
            }
            Err(hit) => self.diagnostics.push(Diagnostic::gap(hit.code, "", hit.message)),
        }
        Ok(())
    }
}

/// A layer that was read.
struct Walked<O> {
    /// What was made of it.
    output: O,
    /// What was found out.
    outcome: Option<LayerOutcome>,
    /// [`LayerOutcome::kept`].
    kept: u64,
}

/// The layers that were read, by their numbers.
type ByNumber<O> = BTreeMap<usize, Result<Walked<O>, ImageError>>;

/// All layers of an image.
struct AllWalked<O> {
    /// What was made of each, base first, or why the image is too large.
    outputs: Result<Vec<O>, LimitHit>,
    /// What was found out about the first that was read.
    first: Option<LayerOutcome>,
}

/// The walk over the layers of an image.
struct LayerWalk<'a, V: ImageVisitor> {
    layers: &'a [LayerInfo],
    limits: &'a Limits,
    memory: &'a Memory,
    verify_diff_ids: bool,
    visitor: &'a V,
    progress: &'a dyn Progress,
    /// Those of all layers so far.
    totals: Totals,
    /// No layer from this one on is of use, as this one has an error.
    end: AtomicUsize,
    walked: Mutex<ByNumber<V::Output>>,
    lazy: bool,
    /// What is to be said of layers that were to be read in parts, by their numbers.
    notes: Mutex<BTreeMap<usize, Diagnostic>>,
}

impl<'a, V: ImageVisitor> LayerWalk<'a, V> {
    fn new(image: &'a Image, visitor: &'a V, progress: &'a dyn Progress) -> Self {
        Self {
            layers: &image.layers,
            limits: &image.limits,
            memory: &image.memory,
            verify_diff_ids: image.verify_diff_ids,
            visitor,
            progress,
            totals: Totals::default(),
            end: AtomicUsize::new(image.layers.len()),
            walked: Mutex::default(),
            lazy: image.lazy,
            notes: Mutex::default(),
        }
    }

    /// The error of the lowest layer that has one, or all layers.
    fn finish(self) -> Result<AllWalked<V::Output>, ImageError> {
        let hit = self.hit();
        let walked = self.walked.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut outputs, mut first) = (Vec::with_capacity(walked.len()), None);
        for (_, layer) in walked {
            match layer {
                Ok(Walked { output, outcome, .. }) => {
                    outputs.push(output);
                    first = first.or(outcome);
                }
                // A layer that was broken off has an error too.
                Err(_) if hit.is_some() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(AllWalked { outputs: hit.map_or(Ok(outputs), Err), first })
    }

    /// The limit that all layers together hit.
    fn hit(&self) -> Option<LimitHit> {
        self.totals.hit(self.limits, self.memory)
    }

    /// Whether it is of no use to go on with a layer.
    fn is_over(&self, index: usize) -> bool {
        index >= self.end.load(Ordering::Relaxed) || self.hit().is_some()
    }

    /// Walks all layers, several at a time.
    fn all(&self, source: &dyn LayerSource, threads: usize) {
        let mut order = self.distinct();
        // The largest first, so that no thread ends long before the others.
        order.sort_by_key(|layers| {
            let layer = layers.first().and_then(|index| self.layers.get(*index));
            std::cmp::Reverse(layer.and_then(|layer| layer.size))
        });
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(layers) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let Some(index) = layers.first().copied() else { continue };
                if self.is_over(index) {
                    continue;
                }
                let result = match self.recall(index) {
                    Some(walked) => Ok(walked),
                    None => match self.in_part(index, source) {
                        Some(walked) => Ok(walked),
                        None => match source.open(index) {
                            Err(error) => Err(error),
                            Ok(None) => Ok(self.absent()),
                            Ok(Some(mut blob)) => self.blob(index, &source.place(index), &mut *blob),
                        },
                    },
                };
                if let Ok(Walked { kept, .. }) = &result {
                    // Once for each time that it stands in the image.
                    let again = kept.saturating_mul(layers.len() as u64 - 1);
                    self.totals.kept.fetch_add(again, Ordering::Relaxed);
                }
                self.keep(layers, result);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.clamp(1, order.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
    }

    /// The numbers of the layers; those with the same bytes together.
    fn distinct(&self) -> Vec<Vec<usize>> {
        let mut known: BTreeMap<&Digest, usize> = BTreeMap::new();
        let mut distinct: Vec<Vec<usize>> = Vec::new();
        for (index, layer) in self.layers.iter().enumerate() {
            let Some(digest) = layer.digest.as_ref().or(layer.diff_id.as_ref()) else {
                distinct.push(vec![index]);
                continue;
            };
            let position = *known.entry(digest).or_insert(distinct.len());
            match distinct.get_mut(position) {
                // The configuration may say something else of each of them.
                Some(same) if same.first().is_some_and(|first| self.same(*first, index)) => same.push(index),
                Some(_) | None => distinct.push(vec![index]),
            }
        }
        distinct
    }

    fn same(&self, one: usize, other: usize) -> bool {
        let identity =
            |index| self.layers.get(index).map(|layer: &LayerInfo| (&layer.digest, &layer.diff_id));
        identity(one) == identity(other)
    }

    /// Walks layers in the order in which an archive has them.
    fn sequence(&self, archive: &Archive, places: &[Option<Place>]) -> Result<(), ImageError> {
        let what = archive.path().display().to_string();
        let mut wanted = Vec::new();
        for (index, place) in places.iter().enumerate() {
            match (self.recall(index), place) {
                (Some(walked), _) => self.keep(&[index], Ok(walked)),
                (None, Some(place)) => wanted.push((*place, index)),
                (None, None) => self.keep(&[index], Ok(self.absent())),
            }
        }
        archive.visit(wanted, self.memory, &mut |index, blob| {
            let walked = self.blob(index, &what, blob)?;
            self.keep(&[index], Ok(walked));
            Ok(())
        })
    }

    /// Walks directories, several at a time.
    fn trees(&self, trees: &[Tree], threads: usize) {
        let next = AtomicUsize::new(0);
        let work = || loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(tree) = trees.get(index) else { break };
            if self.is_over(index) {
                continue;
            }
            let mut layer = self.visitor.begin();
            let walked = tree.walk(self.limits, &mut layer).map(|diagnostics| {
                let kept = layer.kept();
                self.totals.kept.fetch_add(kept, Ordering::Relaxed);
                let outcome = LayerOutcome { diagnostics, ..LayerOutcome::default() };
                Walked { output: self.visitor.finish(layer, &outcome), outcome: None, kept }
            });
            self.keep(&[index], walked);
        };
        std::thread::scope(|scope| {
            for _ in 1..threads.clamp(1, trees.len().max(1)) {
                scope.spawn(work);
            }
            work();
        });
    }

    fn keep(&self, layers: &[usize], result: Result<Walked<V::Output>, ImageError>) {
        let mut walked = self.walked.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(Walked { output, mut outcome, kept }) => walked.extend(layers.iter().map(|index| {
                let output = output.clone();
                (*index, Ok(Walked { output, outcome: outcome.take(), kept }))
            })),
            Err(error) => {
                if let Some(index) = layers.first() {
                    self.end.fetch_min(*index, Ordering::Relaxed);
                    walked.insert(*index, Err(error));
                }
            }
        }
    }

    /// What was made of a layer before.
    fn recall(&self, index: usize) -> Option<Walked<V::Output>> {
        let layer = self.layers.get(index)?;
        let Recalled { output, size, kept } = self.visitor.recall(layer)?;
        self.totals.size.fetch_add(size, Ordering::Relaxed);
        self.totals.kept.fetch_add(kept, Ordering::Relaxed);
        self.progress.layer_recalled(layer);
        Some(Walked { output, outcome: None, kept })
    }

    /// Walks a layer by its table of contents; `None` when it has to be read whole.
    fn in_part(&self, index: usize, source: &dyn LayerSource) -> Option<Walked<V::Output>> {
        if !self.lazy || self.verify_diff_ids {
            return None;
        }
        let (layer, parts) = (self.layers.get(index)?, source.parts(index)?);
        let is_over = || self.is_over(index);
        let fetched = |bytes| self.progress.layer_bytes(layer.index, bytes);
        let reading =
            Reading { limits: self.limits, memory: self.memory, diff_id: false, totals: &self.totals };
        let reading = lazy::Lazy { parts: &*parts, reading: &reading, is_over: &is_over, fetched: &fetched };
        let say = |code, message: String| {
            let note = Diagnostic::note(code, "", message).in_layer(layer.index);
            self.notes.lock().unwrap_or_else(PoisonError::into_inner).insert(index, note);
        };
        let wants = |entry: &Entry| self.visitor.wants(entry);
        let mut visitor = self.visitor.begin();
        let planned = |bytes| self.progress.layer_started(layer, Some(bytes));
        match reading.walk(&wants, &planned, &mut visitor) {
            Ok(outcome) => {
                let (fetched, size) = (outcome.stored_size, parts.size());
                say(
                    "lazy-layer",
                    format!(
                        "read by its table of contents: {fetched} of {size} bytes were fetched, {} saved; what the layer \
                         unpacks to was not compared with it",
                        size.saturating_sub(fetched)
                    ),
                );
                self.progress.layer_fetched_in_part(layer, fetched);
                let output = self.visitor.finish(visitor, &outcome);
                self.progress.layer_finished(layer.index);
                let kept = outcome.kept;
                Some(Walked { output, outcome: Some(outcome), kept })
            }
            Err(reason) => {
                say("lazy-fallback", format!("read as a whole: {reason}"));
                None
            }
        }
    }

    /// Walks a layer; `what` names where its bytes come from.
    fn blob(
        &self,
        index: usize,
        what: &str,
        blob: &mut (dyn Read + Send),
    ) -> Result<Walked<V::Output>, ImageError> {
        let Some(layer) = self.layers.get(index) else { return Ok(self.absent()) };
        self.progress.layer_started(layer, layer.size);
        let mut visitor = self.visitor.begin();
        let is_over = || self.is_over(index);
        let mut counted =
            Counted { inner: blob, layer: layer.index, progress: self.progress, is_over: &is_over };
        let reading = Reading {
            limits: self.limits,
            memory: self.memory,
            diff_id: layer.digest.is_none() || self.verify_diff_ids,
            totals: &self.totals,
        };
        let outcome = walk_blob(&mut counted, &reading, &mut visitor);
        if self.hit().is_none() {
            verify(layer, &outcome, &format!("{what}, layer {index}"))?;
        }
        let output = self.visitor.finish(visitor, &outcome);
        self.progress.layer_finished(layer.index);
        let kept = outcome.kept;
        Ok(Walked { output, outcome: Some(outcome), kept })
    }

    /// What is made of a layer that is stored elsewhere.
    fn absent(&self) -> Walked<V::Output> {
        Walked { output: absent(self.visitor), outcome: None, kept: 0 }
    }
}

/// What is made of a layer that is stored elsewhere.
pub(crate) fn absent<V: ImageVisitor>(visitor: &V) -> V::Output {
    let message =
        "the layer is not stored with the image, and other addresses are not contacted; it was not read";
    let diagnostics = vec![Diagnostic::gap("foreign-layer", "", message)];
    let outcome = LayerOutcome { diagnostics, ..LayerOutcome::default() };
    visitor.finish(visitor.begin(), &outcome)
}

fn has(outcome: &LayerOutcome, codes: &[&str]) -> bool {
    outcome.diagnostics.iter().any(|found| codes.contains(&found.code.as_str()))
}

/// Compares the digests that were found with those that should be, of the bytes as stored and of the uncompressed ones.
pub(crate) fn verify(layer: &LayerInfo, outcome: &LayerOutcome, place: &str) -> Result<(), ImageError> {
    let problem = || {
        let unreadable = outcome.diagnostics.iter().find(|found| found.code == "unreadable-layer");
        let found = unreadable.or_else(|| outcome.diagnostics.iter().find(|found| found.path.is_empty()));
        found.map_or_else(|| "the bytes cannot be decompressed".to_owned(), |found| found.message.clone())
    };
    let compare = |place: String, expected: &Digest, got: Option<&Digest>| match got {
        Some(got) if got == expected => Ok(()),
        Some(got) => Err(ImageError::DigestMismatch { place, expected: expected.clone(), got: got.clone() }),
        None => Err(ImageError::Unverified { place, expected: expected.clone(), problem: problem() }),
    };
    if let Some(expected) = &layer.digest {
        compare(place.to_owned(), expected, outcome.digest.as_ref())?;
    }
    match (&layer.diff_id, &outcome.diff_id) {
        (Some(expected), Some(got)) => compare(format!("{place}, uncompressed"), expected, Some(got)),
        // The bytes are as they should be, and what could not be read of them is a gap.
        (Some(_), None) if layer.digest.is_some() => Ok(()),
        (Some(_), None)
            if has(outcome, &["limit-layer-size", "limit-ratio", "limit-window", "limit-memory"]) =>
        {
            Ok(())
        }
        (Some(expected), None) if outcome.digest.as_ref() == Some(expected) => Ok(()),
        (Some(expected), None) => compare(place.to_owned(), expected, None),
        // A file without any digest: bytes that cannot be read are an error, and not a layer with a gap.
        (None, _)
            if outcome.compression.is_none() || (outcome.entries == 0 && !outcome.diagnostics.is_empty()) =>
        {
            Err(ImageError::Malformed { place: place.to_owned(), problem: problem() })
        }
        (None, _) => Ok(()),
    }
}

/// Tells of the bytes that pass, and breaks off when they are of no use any more.
struct Counted<'a> {
    inner: &'a mut (dyn Read + Send),
    layer: u32,
    progress: &'a dyn Progress,
    is_over: &'a (dyn Fn() -> bool + Sync),
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_over)() {
            return Err(io::Error::other("another layer has an error"));
        }
        let length = self.inner.read(buffer)?;
        self.progress.layer_bytes(self.layer, length as u64);
        Ok(length)
    }
}
