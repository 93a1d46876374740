//! Images in registries, by the OCI distribution specification
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>), end points 2 and 3.

use hullmark_http::{PlainHttp, leads_to_loopback};
use hullmark_types::{Digest, ImageReference};

use crate::blob::Blob;
use crate::certificates;
use crate::documents::Descriptor;
use crate::image::Image;
use crate::platforms::{self, PlatformImage};
use crate::source::{RegistryLayers, Source};
use crate::{AcquireOptions, ImageError, RegistryClient, RegistryOptions, oci};

/// The media types that can be read, in the order of preference.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// A repository of a registry.
#[derive(Debug)]
pub(crate) struct Repository {
    client: RegistryClient,
    registry: String,
    repository: String,
    max_document: u64,
    max_blob: u64,
}

/// The images that a reference leads to.
pub(crate) fn platforms(
    reference: &ImageReference,
    options: &AcquireOptions,
) -> Result<Vec<PlatformImage>, ImageError> {
    let repository = Repository::new(reference, options)?;
    let document = repository.client.manifest(&repository.repository, &wanted(reference, options), ACCEPT)?;
    let descriptor = Descriptor::of(document.digest);
    let mut bytes = Some(document.bytes);
    let mut fetch = |descriptor: &Descriptor| match bytes.take() {
        Some(bytes) => Ok(bytes),
        None => repository.manifest(&descriptor.digest.to_string()),
    };
    platforms::list(&repository.name(), &[descriptor], &[], &mut fetch)
}

/// The tag or digest that a reference leads to.
fn wanted(reference: &ImageReference, options: &AcquireOptions) -> String {
    // The tag may have been moved to another index since that was read.
    let index = options.manifest.as_ref().and_then(|path| path.step(0));
    match (index.or(reference.digest.as_ref()), &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => "latest".to_owned(),
    }
}

pub(crate) fn open(reference: &ImageReference, options: &AcquireOptions) -> Result<Image, ImageError> {
    let repository = Repository::new(reference, options)?;
    let document = repository.client.manifest(&repository.repository, &wanted(reference, options), ACCEPT)?;
    let mut fetch = |descriptor: &Descriptor| match descriptor.media_type.contains("config") {
        true => repository.small_blob(&descriptor.digest),
        false if descriptor.media_type.contains("manifest") || descriptor.media_type.contains("index") => {
            repository.manifest(&descriptor.digest.to_string())
        }
        false => repository.small_blob(&descriptor.digest),
    };
    let mut described =
        oci::describe(&repository.name(), document.digest, &document.bytes, options, &mut fetch)?;
    described.subject.name = reference.to_string();
    described.subject.references = vec![reference.to_string()];
    let blobs = described.blobs.clone();
    Ok(described.into_image(
        Source::Blobs(Box::new(RegistryLayers { repository: Box::new(repository), blobs })),
        options,
    ))
}

impl Repository {
    fn new(reference: &ImageReference, options: &AcquireOptions) -> Result<Self, ImageError> {
        let host = match reference.registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let scheme = if is_plain(reference, host, options)? { "http" } else { "https" };
        let client = RegistryClient::new(RegistryOptions {
            name: reference.registry.clone(),
            url: format!("{scheme}://{host}"),
            client: options.client.clone(),
            access: options.access.clone(),
            max_document: options.limits.max_document_size,
        })?;
        Ok(Self {
            client,
            registry: reference.registry.clone(),
            repository: reference.repository.clone(),
            max_document: options.limits.max_document_size,
            max_blob: options.limits.max_layer_size,
        })
    }

    /// `host/repository`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// Opens a layer, whose digest is for the reader to compare.
    pub(crate) fn layer(&self, digest: &Digest) -> Result<Blob, ImageError> {
        self.client.unverified_blob(&self.repository, digest, self.max_blob)
    }

    /// Opens a part of a layer, which is for the reader to verify.
    pub(crate) fn part(&self, digest: &Digest, first: u64, length: u64) -> Result<Blob, ImageError> {
        self.client.part(&self.repository, digest, first, length)
    }

    fn small_blob(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        self.client.small_blob(&self.repository, digest, self.max_document)
    }

    fn manifest(&self, wanted: &str) -> Result<Vec<u8>, ImageError> {
        Ok(self.client.manifest(&self.repository, wanted, ACCEPT)?.bytes)
    }
}

/// Whether a registry is asked without TLS: where that is allowed, and on this machine, unless certificates are there for it.
fn is_plain(reference: &ImageReference, host: &str, options: &AcquireOptions) -> Result<bool, ImageError> {
    if options.client.plain_http == PlainHttp::Allowed {
        return Ok(true);
    }
    if !leads_to_loopback(&format!("http://{host}")) {
        return Ok(false);
    }
    let access = &options.access;
    let found = certificates::find(&access.certificates, &[&reference.registry, host])?;
    let expects_tls = !options.client.ca_files.is_empty() || access.client_certificate.is_some();
    Ok(!expects_tls && found == certificates::HostCertificates::default())
}
