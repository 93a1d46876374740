//! OCI image layouts, in a directory or in a tar (<https://github.com/opencontainers/image-spec/blob/main/image-layout.md>).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use hullmark_types::{Diagnostic, Digest, DigestAlgorithm, LayerInfo, Subject, SubjectKind};

use crate::archive::{Archive, Members};
use crate::documents::{
    Configuration, Descriptor, ManifestOrIndex, choose, layer_infos, read, read_configuration,
};
use crate::image::Image;
use crate::platforms::PlatformImage;
use crate::source::{Files, Source};
use crate::{AcquireOptions, ImageError, platforms};

/// How deep indexes may be nested.
pub(crate) const MAX_INDEX_DEPTH: usize = 4;

/// The bytes of a layer.
#[derive(Debug, Clone)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    /// Whether the layer may be stored elsewhere, as layers were that may not be distributed.
    pub(crate) foreign: bool,
    /// How many bytes it has.
    pub(crate) size: u64,
    /// What the manifest says of it.
    pub(crate) annotations: BTreeMap<String, String>,
}

/// What a manifest and its configuration say of an image.
pub(crate) struct Described {
    pub(crate) subject: Subject,
    pub(crate) configuration: Configuration,
    pub(crate) layers: Vec<LayerInfo>,
    pub(crate) blobs: Vec<Blob>,
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// What the manifest says of the image.
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Described {
    pub(crate) fn into_image(self, source: Source, options: &AcquireOptions) -> Image {
        Image {
            subject: self.subject,
            config: Some(self.configuration.config),
            layers: self.layers,
            diagnostics: self.diagnostics,
            annotations: self.annotations,
            source,
            limits: options.limits.clone(),
            memory: options.memory.clone(),
            threads: options.threads,
            verify_diff_ids: options.verify_diff_ids,
            lazy: options.lazy,
        }
    }
}

/// Gives documents by digest; the bytes are verified by the caller.
pub(crate) type Fetch<'a> = dyn FnMut(&Descriptor) -> Result<Vec<u8>, ImageError> + 'a;

pub(crate) fn open_layout(
    path: &Path,
    name: Option<&str>,
    options: &AcquireOptions,
) -> Result<Image, ImageError> {
    let index_path = path.join("index.json");
    let index: ManifestOrIndex = read(&index_path.display().to_string(), &document(&index_path, options)?)?;
    let place = path.display().to_string();
    let mut fetch = |descriptor: &Descriptor| document(&blob(path, &descriptor.digest), options);
    let described = describe_layout(&place, index, name, options, &mut fetch)?;
    let files = files(path, &described);
    Ok(described.into_image(Source::Blobs(Box::new(Files(files))), options))
}

/// Opens an image by its digest; the directory needs no `index.json`.
pub(crate) fn open_blobs(
    path: &Path,
    digest: &Digest,
    name: &str,
    options: &AcquireOptions,
) -> Result<Image, ImageError> {
    let bytes = document(&blob(path, digest), options)?;
    let mut hasher = hullmark_types::Hasher::new(digest.algorithm());
    hasher.update(&bytes);
    let got = hasher.finish();
    if got != *digest {
        return Err(ImageError::DigestMismatch { place: name.to_owned(), expected: digest.clone(), got });
    }
    let mut fetch = |descriptor: &Descriptor| document(&blob(path, &descriptor.digest), options);
    let mut described = describe(name, digest.clone(), &bytes, options, &mut fetch)?;
    described.subject.references = vec![name.to_owned()];
    let files = files(path, &described);
    Ok(described.into_image(Source::Blobs(Box::new(Files(files))), options))
}

/// The path of a blob in a layout.
fn blob(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(digest.algorithm().name()).join(digest.hex())
}

/// The name of a blob in an archive of a layout.
fn member(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The files of the layers; foreign ones may be absent.
fn files(layout: &Path, described: &Described) -> Vec<Option<PathBuf>> {
    let stored =
        |layer: &Blob| Some(blob(layout, &layer.digest)).filter(|path| !layer.foreign || path.exists());
    described.blobs.iter().map(stored).collect()
}

/// Reads a file that is a manifest, an index or a configuration.
fn document(file: &Path, options: &AcquireOptions) -> Result<Vec<u8>, ImageError> {
    let limit = options.limits.max_document_size;
    let failed = |source| ImageError::Io { path: file.to_owned(), source };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(failed)?;
    opened.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 > limit {
        true => Err(ImageError::Limit {
            place: file.display().to_string(),
            problem: format!("a document of more than {limit} bytes"),
        }),
        false => Ok(bytes),
    }
}

pub(crate) fn open_archive(
    archive: Archive,
    name: Option<&str>,
    options: &AcquireOptions,
) -> Result<Image, ImageError> {
    archive.complete()?;
    let (described, names) = describe_archive(&archive, name, options)?;
    let places = names.iter().map(|name| archive.place(name)).collect();
    Ok(described.into_image(Source::archive(archive, places), options))
}

/// What the archive says of an image, and the members that are its layers, base first; foreign ones may be absent.
pub(crate) fn describe_archive(
    archive: &dyn Members,
    name: Option<&str>,
    options: &AcquireOptions,
) -> Result<(Described, Vec<String>), ImageError> {
    let place = archive.archive();
    let missing = |missing: String| ImageError::Missing { place: place.clone(), missing };
    let index = archive.document("index.json")?.ok_or_else(|| missing("index.json".to_owned()))?;
    let index: ManifestOrIndex = read(&format!("{place}:index.json"), &index)?;
    let mut fetch = |descriptor: &Descriptor| {
        let name = member(&descriptor.digest);
        archive.document(&name)?.ok_or_else(|| missing(name))
    };
    let described = describe_layout(&place, index, name, options, &mut fetch)?;
    let mut names = Vec::new();
    for layer in &described.blobs {
        let name = member(&layer.digest);
        if !layer.foreign && archive.size(&name).is_none() {
            return Err(missing(name));
        }
        names.push(name);
    }
    Ok((described, names))
}

/// The manifests of this name; all of them without one.
fn named(
    place: &str,
    mut manifests: Vec<Descriptor>,
    name: Option<&str>,
) -> Result<Vec<Descriptor>, ImageError> {
    manifests.retain(|descriptor| {
        let annotation = |key: &str| descriptor.annotations.get(key).map(String::as_str);
        name.is_none_or(|name| {
            descriptor.digest.to_string() == name
                || annotation("org.opencontainers.image.ref.name") == Some(name)
                || annotation("io.containerd.image.name") == Some(name)
        })
    });
    match manifests.is_empty() {
        true => {
            let missing = name.map_or_else(|| "image".to_owned(), |name| format!("image {name}"));
            Err(ImageError::Missing { place: place.to_owned(), missing })
        }
        false => Ok(manifests),
    }
}

fn describe_layout(
    place: &str,
    mut index: ManifestOrIndex,
    name: Option<&str>,
    options: &AcquireOptions,
    fetch: &mut Fetch<'_>,
) -> Result<Described, ImageError> {
    let manifests = named(place, index.manifests.take().unwrap_or_default(), name)?;
    let descriptor = select(place, &manifests, 0, options)?;
    // Two images under two names are not two platforms of one image.
    let same_platform = |other: &&Descriptor| {
        !other.is_attestation() && other.platform == descriptor.platform && other.digest != descriptor.digest
    };
    if name.is_none() && options.manifest.is_none() && manifests.iter().any(|other| same_platform(&other)) {
        return Err(ImageError::Ambiguous {
            place: place.to_owned(),
            choices: manifests
                .iter()
                .filter(|other| !other.is_attestation())
                .map(Descriptor::display)
                .collect(),
        });
    }
    let reference = descriptor.name().map(str::to_owned);
    let bytes = verified(place, descriptor, fetch)?;
    let mut described = describe(place, descriptor.digest.clone(), &bytes, options, fetch)?;
    described.subject.references.extend(reference.filter(|reference| reference.contains(':')));
    Ok(described)
}

/// Chooses a manifest of an index: the one that is wanted itself, or the one for the platform.
fn select<'a>(
    place: &str,
    manifests: &'a [Descriptor],
    depth: usize,
    options: &AcquireOptions,
) -> Result<&'a Descriptor, ImageError> {
    let Some(path) = &options.manifest else { return choose(place, manifests, &options.platform) };
    let wanted = path.step(depth);
    manifests.iter().find(|descriptor| Some(&descriptor.digest) == wanted).ok_or_else(|| {
        ImageError::Missing {
            place: place.to_owned(),
            missing: wanted.map_or_else(|| "manifest".to_owned(), |digest| format!("manifest {digest}")),
        }
    })
}

/// The images in a layout.
pub(crate) fn layout_platforms(
    path: &Path,
    name: Option<&str>,
    options: &AcquireOptions,
) -> Result<Vec<PlatformImage>, ImageError> {
    let index_path = path.join("index.json");
    let index: ManifestOrIndex = read(&index_path.display().to_string(), &document(&index_path, options)?)?;
    let mut fetch = |descriptor: &Descriptor| document(&blob(path, &descriptor.digest), options);
    list(&path.display().to_string(), index, name, &mut fetch)
}

/// Whether an archive holds a layout.
pub(crate) fn is_archive(archive: &Archive) -> bool {
    archive.has("index.json") && archive.has("oci-layout")
}

/// The images in an archive of a layout.
pub(crate) fn archive_platforms(
    archive: &Archive,
    name: Option<&str>,
) -> Result<Vec<PlatformImage>, ImageError> {
    archive.complete()?;
    let place = archive.path().display().to_string();
    let missing = |missing: String| ImageError::Missing { place: place.clone(), missing };
    let index = archive.document("index.json")?.ok_or_else(|| missing("index.json".to_owned()))?;
    let index: ManifestOrIndex = read(&format!("{place}:index.json"), &index)?;
    let mut fetch = |descriptor: &Descriptor| {
        let name = member(&descriptor.digest);
        archive.document(&name)?.ok_or_else(|| missing(name))
    };
    list(&place, index, name, &mut fetch)
}

fn list(
    place: &str,
    mut index: ManifestOrIndex,
    name: Option<&str>,
    fetch: &mut Fetch<'_>,
) -> Result<Vec<PlatformImage>, ImageError> {
    let manifests = named(place, index.manifests.take().unwrap_or_default(), name)?;
    let images = || manifests.iter().filter(|descriptor| !descriptor.is_attestation());
    let names: BTreeSet<_> = images().map(Descriptor::name).collect();
    // Two images under two names are not two platforms of one image.
    match names.len() > 1 && name.is_none() {
        true => Err(ImageError::Ambiguous {
            place: place.to_owned(),
            choices: images().map(Descriptor::display).collect(),
        }),
        false => platforms::list(place, &manifests, &[], fetch),
    }
}

/// Reads a manifest, through indexes if need be, and its configuration. `digest` is that of `bytes`.
pub(crate) fn describe(
    place: &str,
    digest: Digest,
    bytes: &[u8],
    options: &AcquireOptions,
    fetch: &mut Fetch<'_>,
) -> Result<Described, ImageError> {
    let mut index_digest = None;
    let mut digest = digest;
    let mut document = read_document(place, &digest, bytes)?;
    for depth in 1..=MAX_INDEX_DEPTH {
        let Some(manifests) = document.manifests.take() else { break };
        let chosen = select(place, &manifests, depth, options)?.clone();
        index_digest.get_or_insert(digest);
        digest = chosen.digest.clone();
        document = read_document(place, &digest, &verified(place, &chosen, fetch)?)?;
    }
    if document.schema_version == 1 {
        return Err(ImageError::Unsupported {
            place: place.to_owned(),
            form: "an image of Docker's schema 1, which has been obsolete since 2017; push it again with a current client"
                .to_owned(),
        });
    }
    let manifest_place = format!("{place}@{digest}");
    let config = document.config.ok_or_else(|| ImageError::Malformed {
        place: manifest_place.clone(),
        problem: "expected a manifest with a `config`, or an index with `manifests`".to_owned(),
    })?;
    if !config.is_image_configuration() {
        return Err(ImageError::Unsupported {
            place: manifest_place,
            form: format!("an artifact of type {} and no image", config.media_type),
        });
    }
    let config_bytes = verified(place, &config, fetch)?;
    let configuration = read_configuration(&format!("{place}@{}", config.digest), &config_bytes)?;
    if configuration.diff_ids.len() != document.layers.len() {
        return Err(ImageError::Malformed {
            place: manifest_place,
            problem: format!(
                "its configuration has {} diff_ids for {} layers",
                configuration.diff_ids.len(),
                document.layers.len()
            ),
        });
    }
    let descriptors: Vec<_> =
        document.layers.iter().map(|layer| (Some(layer.digest.clone()), Some(layer.size))).collect();
    let layers = layer_infos(&descriptors, &configuration.diff_ids, &configuration.config);
    let mut diagnostics = about_layers(&layers);
    for (layer, descriptor) in layers.iter().zip(&document.layers) {
        if descriptor.is_foreign() {
            let message = format!(
                "the layer may be stored at {} other addresses, which were not contacted",
                descriptor.urls.len()
            );
            diagnostics.push(Diagnostic::note("foreign-layer", "", message).in_layer(layer.index));
        }
        if descriptor.digest.algorithm() != DigestAlgorithm::Sha256 {
            return Err(ImageError::Unsupported {
                place: format!("{place}@{}", descriptor.digest),
                form: "a layer whose digest is not SHA-256".to_owned(),
            });
        }
    }
    Ok(Described {
        subject: Subject {
            kind: SubjectKind::Image,
            name: place.to_owned(),
            references: Vec::new(),
            index: index_digest,
            manifest: Some(digest),
            config: Some(config.digest),
            platform: configuration.platform.clone(),
        },
        blobs: document
            .layers
            .into_iter()
            .map(|layer| Blob {
                foreign: layer.is_foreign(),
                digest: layer.digest,
                size: layer.size,
                annotations: layer.annotations,
            })
            .collect(),
        configuration,
        layers,
        diagnostics,
        annotations: document.annotations,
    })
}

/// Reads a manifest or an index. One document that is both would be another image for each reader (CVE-2021-41190).
pub(crate) fn read_document(
    place: &str,
    digest: &Digest,
    bytes: &[u8],
) -> Result<ManifestOrIndex, ImageError> {
    let place = format!("{place}@{digest}");
    let document: ManifestOrIndex = read(&place, bytes)?;
    match document.manifests.is_some() && (document.config.is_some() || !document.layers.is_empty()) {
        true => Err(ImageError::Malformed {
            place,
            problem: "expected a manifest or an index, found a document that claims to be both".to_owned(),
        }),
        false => Ok(document),
    }
}

/// What there is to say of the layers as a whole.
pub(crate) fn about_layers(layers: &[LayerInfo]) -> Vec<Diagnostic> {
    match layers {
        [] => {
            vec![Diagnostic::gap("empty-image", "", "the image has no layers, so there is nothing to assess")]
        }
        _ => Vec::new(),
    }
}

/// Fetches a document and verifies it by its digest.
pub(crate) fn verified(
    place: &str,
    descriptor: &Descriptor,
    fetch: &mut Fetch<'_>,
) -> Result<Vec<u8>, ImageError> {
    let bytes = fetch(descriptor)?;
    let mut hasher = hullmark_types::Hasher::new(descriptor.digest.algorithm());
    hasher.update(&bytes);
    let got = hasher.finish();
    match got == descriptor.digest {
        true => Ok(bytes),
        false => Err(ImageError::DigestMismatch {
            place: place.to_owned(),
            expected: descriptor.digest.clone(),
            got,
        }),
    }
}
