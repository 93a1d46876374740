//! An image: what it is, and the walk over its layers.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use hullmark_http::ClientOptions;
use hullmark_types::{Diagnostic, Digest, ImageConfig, LayerInfo, Platform, Subject};

use crate::archive::{Archive, Place};
use crate::oci::Blob;
use crate::registry::Repository;
use crate::{
    ImageError, ImageVisitor, LayerOutcome, Limits, Target, docker_archive, oci, rootfs, walk_layer,
};

/// How images are got.
#[derive(Debug, Clone)]
pub struct AcquireOptions {
    /// Which platform to choose from a multi-platform image.
    pub platform: Platform,
    /// How registries are reached.
    pub client: ClientOptions,
    /// File with credentials for registries, in the form of Docker's `config.json`.
    pub auth_file: Option<PathBuf>,
    /// Hard limits.
    pub limits: Limits,
}

impl AcquireOptions {
    /// Linux on this machine's processor, no credentials, the default limits.
    pub fn new(client: ClientOptions) -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self {
            platform: Platform {
                os: "linux".to_owned(),
                architecture: architecture.to_owned(),
                variant: None,
            },
            client,
            auth_file: None,
            limits: Limits::default(),
        }
    }
}

/// Is told of the layers as they are read.
pub trait Progress {
    /// A layer begins; `size` is that of its bytes as stored, where it is known.
    fn layer_started(&self, layer: &LayerInfo, size: Option<u64>) {
        let _ = (layer, size);
    }

    /// More bytes of the layer, as stored, were read.
    fn layer_bytes(&self, layer: u32, bytes: u64) {
        let _ = (layer, bytes);
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
    pub(crate) source: Source,
    pub(crate) limits: Limits,
}

/// Where the bytes of the layers are; nowhere for layers that are stored elsewhere than the image.
#[derive(Debug)]
pub(crate) enum Source {
    /// Members of an archive.
    Archive { archive: Archive, places: Vec<Option<Place>> },
    /// Files.
    Files(Vec<Option<PathBuf>>),
    /// A directory that is the only layer.
    Directory(PathBuf),
    /// Blobs in a registry.
    Registry { repository: Box<Repository>, blobs: Vec<Blob> },
}

/// Finds the image that `target` names, and reads its manifest and configuration. No layer is read yet.
///
/// # Errors
/// When there is no such image, or what describes it cannot be read.
pub fn open(target: &Target, options: &AcquireOptions) -> Result<Image, ImageError> {
    let image = match target {
        Target::DockerArchive(path, name) => {
            docker_archive::open(Archive::open(path, &options.limits)?, name.as_deref(), options)
        }
        Target::OciArchive(path, name) => {
            oci::open_archive(Archive::open(path, &options.limits)?, name.as_deref(), options)
        }
        Target::OciLayout(path, name) => oci::open_layout(path, name.as_deref(), options),
        Target::RootFilesystem(path) => open_rootfs(path.clone(), options),
        Target::Archive(path) => {
            let archive = Archive::open(path, &options.limits)?;
            if archive.has("manifest.json") {
                docker_archive::open(archive, None, options)
            } else if archive.has("index.json") && archive.has("oci-layout") {
                oci::open_archive(archive, None, options)
            } else {
                open_rootfs(path.clone(), options)
            }
        }
        Target::Registry(reference) => crate::registry::open(reference, options),
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
    let layer = LayerInfo { index: 0, digest: None, diff_id: None, size: None, created_by: None };
    let size = (!metadata.is_dir()).then_some(metadata.len());
    Ok(Image {
        subject: Subject {
            kind: hullmark_types::SubjectKind::RootFilesystem,
            name: path.display().to_string(),
            references: Vec::new(),
            index: None,
            manifest: None,
            config: None,
            platform: None,
        },
        config: None,
        layers: vec![LayerInfo { size, ..layer }],
        diagnostics: Vec::new(),
        source: match metadata.is_dir() {
            true => Source::Directory(path),
            false => Source::Files(vec![Some(path)]),
        },
        limits: options.limits.clone(),
    })
}

impl Image {
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

    /// Reads every layer once and hands its entries to `visitor`, verifying digests on the way.
    ///
    /// # Errors
    /// When the bytes of a layer cannot be read, or are not those that their digest names. Then nothing that the visitor
    /// was told may be used.
    pub fn walk<V: ImageVisitor>(
        &mut self,
        visitor: &mut V,
        progress: &dyn Progress,
    ) -> Result<(), ImageError> {
        let single = self.layers.len() == 1 && self.subject.digest().is_none();
        let mut walk = LayerWalk {
            layers: &self.layers,
            limits: &self.limits,
            left: self.limits.max_image_size,
            visitor,
            progress,
            last: None,
        };
        match &self.source {
            Source::Archive { archive, places } => {
                let what = archive.path().display().to_string();
                let (stored, absent): (Vec<_>, Vec<_>) =
                    places.iter().zip(0..).partition(|(place, _)| place.is_some());
                let stored: Vec<(Place, usize)> =
                    stored.into_iter().filter_map(|(place, index)| Some(((*place)?, index))).collect();
                archive.visit(stored, &mut |index, blob| walk.blob(index, &what, blob))?;
                absent.into_iter().for_each(|(_, index)| walk.absent(index));
            }
            Source::Files(paths) => {
                for (index, path) in paths.iter().enumerate() {
                    let Some(path) = path else {
                        walk.absent(index);
                        continue;
                    };
                    let mut file =
                        File::open(path).map_err(|source| ImageError::Io { path: path.clone(), source })?;
                    walk.blob(index, &path.display().to_string(), &mut file)?;
                }
            }
            Source::Registry { repository, blobs } => {
                for (index, Blob { digest, foreign }) in blobs.iter().enumerate() {
                    match repository.blob(digest) {
                        Err(ImageError::Registry { status: 404, .. }) if *foreign => walk.absent(index),
                        Err(error) => return Err(error),
                        Ok(mut blob) => {
                            walk.blob(index, &format!("{}@{digest}", repository.name()), &mut blob)?;
                        }
                    }
                }
            }
            Source::Directory(path) => {
                let mut layer_visitor = walk.visitor.begin_layer(0);
                let diagnostics = rootfs::walk(path, walk.limits, &mut layer_visitor);
                let diagnostics = diagnostics.into_iter().map(|diagnostic| diagnostic.in_layer(0)).collect();
                walk.visitor.end_layer(0, layer_visitor, diagnostics);
            }
        }
        let last = walk.last;
        // A bare file has no digest of its own: that of its bytes is its identity.
        if let (true, Some(outcome), Some(layer)) = (single, last, self.layers.first_mut()) {
            layer.digest = outcome.digest;
            layer.diff_id = outcome.diff_id;
        }
        Ok(())
    }
}

/// The walk over the layers of an image.
struct LayerWalk<'a, V> {
    layers: &'a [LayerInfo],
    limits: &'a Limits,
    /// Uncompressed bytes that the layers to come may have.
    left: u64,
    visitor: &'a mut V,
    progress: &'a dyn Progress,
    last: Option<LayerOutcome>,
}

impl<V: ImageVisitor> LayerWalk<'_, V> {
    /// Walks a layer; `what` names where its bytes come from.
    fn blob(&mut self, index: usize, what: &str, blob: &mut dyn Read) -> Result<(), ImageError> {
        let Some(layer) = self.layers.get(index) else { return Ok(()) };
        self.progress.layer_started(layer, layer.size);
        let whole_image = self.left < self.limits.max_layer_size;
        let limits =
            Limits { max_layer_size: self.limits.max_layer_size.min(self.left), ..self.limits.clone() };
        let mut visitor = self.visitor.begin_layer(layer.index);
        let mut counted = Counted { inner: blob, layer: layer.index, progress: self.progress };
        let mut outcome = walk_layer(&mut counted, &limits, &mut visitor);
        self.left = self.left.saturating_sub(outcome.size);
        verify(layer, &outcome, &format!("{what}, layer {index}"))?;
        if whole_image {
            let limit = self.limits.max_image_size;
            if has(&outcome, &["limit-layer-size"]) {
                self.left = 0;
            }
            for hit in outcome.diagnostics.iter_mut().filter(|hit| hit.code == "limit-layer-size") {
                *hit = Diagnostic::gap(
                    "limit-image-size",
                    "",
                    format!("the layers have more than {limit} bytes uncompressed; the rest was not read"),
                );
            }
        }
        let diagnostics = outcome.diagnostics.iter().map(|d| d.clone().in_layer(layer.index)).collect();
        self.visitor.end_layer(layer.index, visitor, diagnostics);
        self.progress.layer_finished(layer.index);
        self.last = Some(outcome);
        Ok(())
    }

    /// Says of a layer that it is stored elsewhere.
    fn absent(&mut self, index: usize) {
        let Some(layer) = self.layers.get(index) else { return };
        let visitor = self.visitor.begin_layer(layer.index);
        let message =
            "the layer is not stored with the image, and other addresses are not contacted; it was not read";
        let diagnostic = Diagnostic::gap("foreign-layer", "", message).in_layer(layer.index);
        self.visitor.end_layer(layer.index, visitor, vec![diagnostic]);
    }
}

fn has(outcome: &LayerOutcome, codes: &[&str]) -> bool {
    outcome.diagnostics.iter().any(|found| codes.contains(&found.code.as_str()))
}

/// Compares the digests that were found with those that should be, of the bytes as stored and of the uncompressed ones.
fn verify(layer: &LayerInfo, outcome: &LayerOutcome, place: &str) -> Result<(), ImageError> {
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
        (Some(_), None) if has(outcome, &["limit-layer-size", "limit-ratio"]) => Ok(()),
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

/// Tells of the bytes that pass.
struct Counted<'a> {
    inner: &'a mut dyn Read,
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
