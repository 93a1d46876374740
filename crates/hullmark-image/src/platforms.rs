//! The images of a multi-platform index, one for each platform.

use std::collections::BTreeSet;

use hullmark_types::{Digest, Platform};

use crate::archive::Archive;
use crate::documents::{Descriptor, ManifestOrIndex};
use crate::oci::{self, Fetch, MAX_INDEX_DEPTH};
use crate::{AcquireOptions, ArchiveKind, ImageError, Target, containerd, registry};

/// The most images of one index.
const MAX_IMAGES: usize = 128;

/// The way to a manifest: through which indexes, and at last itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestPath(Vec<Digest>);

impl ManifestPath {
    pub(crate) fn step(&self, depth: usize) -> Option<&Digest> {
        self.0.get(depth)
    }

    /// Digest of the manifest.
    pub fn manifest(&self) -> Option<&Digest> {
        self.0.last()
    }
}

/// One of the images that a target holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformImage {
    /// Its platform, as far as the index says it.
    pub platform: Option<Platform>,
    /// Its manifest; `None` where the target is one image and nothing is to be chosen.
    pub manifest: Option<ManifestPath>,
}

impl PlatformImage {
    /// Options that choose this image.
    #[must_use]
    pub fn options(&self, options: &AcquireOptions) -> AcquireOptions {
        AcquireOptions { manifest: self.manifest.clone(), ..options.clone() }
    }
}

/// Finds the images that a target holds, in the order of its index. What is about images and none itself, such as an
/// attestation, is none of them. A target without an index is one image.
///
/// # Errors
/// When the index cannot be read, or names images that have nothing to do with each other.
pub fn platforms(target: &Target, options: &AcquireOptions) -> Result<Vec<PlatformImage>, ImageError> {
    let single = || vec![PlatformImage { platform: None, manifest: None }];
    match target {
        Target::Registry(reference) => registry::platforms(reference, options),
        Target::OciLayout(path, name) => oci::layout_platforms(path, name.as_deref(), options),
        Target::OciArchive(path, name) => {
            oci::archive_platforms(&Archive::open(path, options)?, name.as_deref())
        }
        Target::Archive(path) => {
            let archive = Archive::open(path, options)?;
            match oci::is_archive(&archive) {
                true => oci::archive_platforms(&archive, None),
                false => Ok(single()),
            }
        }
        Target::Containerd(name) => containerd::platforms(name, options),
        // It can be read only once, by which time one image has been chosen.
        Target::Stream(ArchiveKind::Any | ArchiveKind::Oci, _) => Err(ImageError::Unsupported {
            place: "standard input".to_owned(),
            form: "a stream, of which all platforms are wanted; write it to a file first".to_owned(),
        }),
        Target::DockerArchive(..)
        | Target::RootFilesystem(_)
        | Target::Directory(_)
        | Target::Stream(ArchiveKind::Docker | ArchiveKind::RootFilesystem, _)
        | Target::DockerDaemon(_)
        | Target::Podman(_)
        | Target::ContainersStorage(..)
        | Target::Container(_)
        | Target::Process(_) => Ok(single()),
    }
}

/// The images that manifests name, those of indexes among them too. `path` leads to the manifests.
pub(crate) fn list(
    place: &str,
    manifests: &[Descriptor],
    path: &[Digest],
    fetch: &mut Fetch<'_>,
) -> Result<Vec<PlatformImage>, ImageError> {
    let mut listing = Listing { place, known: BTreeSet::new(), images: Vec::new() };
    listing.add(manifests, path, fetch)?;
    match listing.images.is_empty() {
        true => {
            Err(ImageError::Missing { place: place.to_owned(), missing: "manifest of an image".to_owned() })
        }
        false => Ok(listing.images),
    }
}

struct Listing<'a> {
    place: &'a str,
    known: BTreeSet<Digest>,
    images: Vec<PlatformImage>,
}

impl Listing<'_> {
    fn add(
        &mut self,
        manifests: &[Descriptor],
        path: &[Digest],
        fetch: &mut Fetch<'_>,
    ) -> Result<(), ImageError> {
        for descriptor in manifests.iter().filter(|descriptor| !descriptor.is_attestation()) {
            if !self.known.insert(descriptor.digest.clone()) {
                continue;
            }
            if self.known.len() > MAX_IMAGES {
                return Err(ImageError::Limit {
                    place: self.place.to_owned(),
                    problem: format!("an index of more than {MAX_IMAGES} images"),
                });
            }
            let path = [path, std::slice::from_ref(&descriptor.digest)].concat();
            // An entry that says its platform is an image. What does not is looked at; where that fails, so does reading it.
            let document = match (descriptor.is_index(), &descriptor.platform) {
                (false, Some(_)) => None,
                _ => self.document(descriptor, fetch).ok(),
            };
            match document {
                Some(ManifestOrIndex { manifests: Some(inner), .. }) if path.len() <= MAX_INDEX_DEPTH => {
                    self.add(&inner, &path, fetch)?;
                }
                Some(ManifestOrIndex { config: Some(config), .. }) if !config.is_image_configuration() => {}
                _ => self.images.push(PlatformImage {
                    platform: descriptor.platform.as_ref().and_then(|platform| platform.known()),
                    manifest: Some(ManifestPath(path)),
                }),
            }
        }
        Ok(())
    }

    fn document(
        &self,
        descriptor: &Descriptor,
        fetch: &mut Fetch<'_>,
    ) -> Result<ManifestOrIndex, ImageError> {
        let bytes = oci::verified(self.place, descriptor, fetch)?;
        oci::read_document(self.place, &descriptor.digest, &bytes)
    }
}
