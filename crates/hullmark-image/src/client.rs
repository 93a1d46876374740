//! A client of one registry for those who pass on what it holds, such as a proxy.
//!
//! [`RegistryClient`] asks for manifests, blobs, tags and referrers of any repository of the registry, as the OCI
//! distribution specification says (end points 2, 3, 8 and 12). It authenticates when it is asked to, tries again, follows
//! redirects only where they may lead, and believes nothing: digests are computed from the bytes that came, and every body
//! has a limit.

use std::io::Read as _;
use std::sync::Arc;

use hullmark_http::{ClientOptions, Response};
use hullmark_types::{Digest, DigestAlgorithm, Hasher};

use crate::auth::encode;
use crate::blob::Blob;
use crate::endpoint::{Endpoint, Question};
use crate::{ImageError, RegistryAccess};

/// The largest list of tags or referrers that is taken at once, in bytes.
const MAX_LIST: u64 = 8 << 20;

/// Where a registry is, and what it is called.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// What the registry is called in references and in the file of credentials: `docker.io`.
    pub name: String,
    /// Its address: `https://registry-1.docker.io`.
    pub url: String,
    /// How it is reached.
    pub client: ClientOptions,
    /// What is needed to get in. The credentials are sent to the registry and to where it says that tokens are given, and
    /// nowhere else.
    pub access: RegistryAccess,
    /// The largest manifest, in bytes.
    pub max_document: u64,
}

/// One registry. Calls block.
#[derive(Debug)]
pub struct RegistryClient {
    servers: Arc<Servers>,
    max_document: u64,
}

/// A registry, and the servers that may have what it has.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) registry: Endpoint,
    mirrors: Vec<Endpoint>,
}

impl Servers {
    /// Asks the mirrors, and the registry when they do not have it.
    pub(crate) fn ask(&self, question: &Question<'_>) -> Result<Response, ImageError> {
        for mirror in &self.mirrors {
            if let Some(response) = mirror.ask_if_there(question) {
                return Ok(response);
            }
        }
        self.registry.ask(question)
    }

    /// Names what is in a repository, for errors.
    pub(crate) fn place(&self, repository: &str, wanted: &str) -> String {
        let separator = if wanted.contains(':') { '@' } else { ':' };
        format!("{}/{repository}{separator}{wanted}", self.registry.name())
    }
}

/// A manifest or an index as the registry sent it, byte for byte.
#[derive(Debug, Clone)]
pub struct Document {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What the registry says that they are, without parameters.
    pub media_type: String,
    /// The digest of the bytes: computed, and equal to the one asked for.
    pub digest: Digest,
}

/// What the registry says of a manifest without sending it. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentHead {
    /// The digest that the registry states.
    pub digest: Option<Digest>,
    /// The media type that the registry states.
    pub media_type: String,
    /// The size that the registry states.
    pub size: Option<u64>,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// The document, JSON.
    pub bytes: Vec<u8>,
    /// The `Link` header, which says where the next page is.
    pub link: Option<String>,
    /// The filters that the registry applied already (`OCI-Filters-Applied`).
    pub filters: Option<String>,
}

impl RegistryClient {
    /// Sets a client up. Contacts nobody.
    ///
    /// # Errors
    /// When certificates cannot be read.
    pub fn new(options: RegistryOptions) -> Result<Self, ImageError> {
        let RegistryOptions { name, url, client, access, max_document } = options;
        let mirrors = access.mirrors.iter().filter(|mirror| mirror.registry == name);
        let mirrors = mirrors.map(|mirror| Endpoint::of_mirror(mirror, &client, &access));
        let mirrors = mirrors.collect::<Result<Vec<_>, _>>()?;
        let registry = Endpoint::of_registry(&name, &url, &client, &access)?;
        Ok(Self { servers: Arc::new(Servers { registry, mirrors }), max_document })
    }

    /// What the registry is called.
    pub fn name(&self) -> &str {
        self.servers.registry.name()
    }

    /// A manifest or an index, by tag or by digest. `accept` lists the media types that are wanted, as the header does.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses, or the bytes are too many or do not have the digest.
    pub fn manifest(&self, repository: &str, wanted: &str, accept: &str) -> Result<Document, ImageError> {
        let response = self.ask(repository, &format!("manifests/{wanted}"), accept, false)?;
        let media_type = media_type(&response);
        let bytes = response.read_limited(self.max_document)?;
        let expected: Option<Digest> = wanted.parse().ok();
        let digest = digest_of(expected.as_ref().map_or(DigestAlgorithm::Sha256, Digest::algorithm), &bytes);
        match expected {
            Some(expected) if expected != digest => Err(ImageError::DigestMismatch {
                place: self.servers.place(repository, wanted),
                expected,
                got: digest,
            }),
            _ => Ok(Document { bytes, media_type, digest }),
        }
    }

    /// What a tag leads to, by the registry's word.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses.
    pub fn head(&self, repository: &str, wanted: &str, accept: &str) -> Result<DocumentHead, ImageError> {
        let response = self.ask(repository, &format!("manifests/{wanted}"), accept, true)?;
        Ok(DocumentHead {
            digest: response.header("docker-content-digest").and_then(|digest| digest.parse().ok()),
            size: response.header("content-length").and_then(|length| length.parse().ok()),
            media_type: media_type(&response),
        })
    }

    /// Opens a blob that may have at most `limit` bytes.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses, or says that the blob is larger.
    pub fn blob(&self, repository: &str, digest: &Digest, limit: u64) -> Result<Blob, ImageError> {
        Blob::open(&self.servers, repository, digest, limit, true)
    }

    /// Reads a document that is a blob.
    pub(crate) fn small_blob(
        &self,
        repository: &str,
        digest: &Digest,
        limit: u64,
    ) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        let mut blob = self.unverified_blob(repository, digest, limit)?;
        blob.read_to_end(&mut bytes).map_err(|error| ImageError::Malformed {
            place: self.servers.place(repository, &digest.to_string()),
            problem: error.to_string(),
        })?;
        Ok(bytes)
    }

    /// Opens a blob for one who computes its digest anyway: that of the bytes that are read is not compared.
    pub(crate) fn unverified_blob(
        &self,
        repository: &str,
        digest: &Digest,
        limit: u64,
    ) -> Result<Blob, ImageError> {
        Blob::open(&self.servers, repository, digest, limit, false)
    }

    /// Opens a part of a blob, which is not verified.
    pub(crate) fn part(
        &self,
        repository: &str,
        digest: &Digest,
        first: u64,
        length: u64,
    ) -> Result<Blob, ImageError> {
        Blob::open_part(&self.servers, repository, digest, first, length)
    }

    /// How large a blob is, by the registry's word.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses.
    pub fn blob_size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>, ImageError> {
        let response = self.ask(repository, &format!("blobs/{digest}"), "*/*", true)?;
        Ok(response.header("content-length").and_then(|length| length.parse().ok()))
    }

    /// A page of the tags of a repository: at most `count`, those behind `last`.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses, or the page is too large.
    pub fn tags(&self, repository: &str, count: Option<u32>, last: Option<&str>) -> Result<Page, ImageError> {
        let count = count.map(|count| ("n", count.to_string()));
        let last = last.map(|last| ("last", last.to_owned()));
        self.page(repository, "tags/list", "application/json", count.into_iter().chain(last))
    }

    /// A page of the index of manifests that refer to a manifest. `further` are the parameters of a next page, as the registry
    /// gave them.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses, or the page is too large.
    pub fn referrers(
        &self,
        repository: &str,
        digest: &Digest,
        artifact_type: Option<&str>,
        further: &[(String, String)],
    ) -> Result<Page, ImageError> {
        let artifact_type = artifact_type.map(|artifact_type| ("artifactType", artifact_type.to_owned()));
        let further = further.iter().map(|(name, value)| (name.as_str(), value.clone()));
        self.page(
            repository,
            &format!("referrers/{digest}"),
            "application/vnd.oci.image.index.v1+json",
            artifact_type.into_iter().chain(further),
        )
    }

    fn page<'a>(
        &self,
        repository: &str,
        path: &str,
        accept: &str,
        query: impl Iterator<Item = (&'a str, String)>,
    ) -> Result<Page, ImageError> {
        let query: Vec<String> =
            query.map(|(name, value)| format!("{}={}", encode(name), encode(&value))).collect();
        let separator = if query.is_empty() { "" } else { "?" };
        let path = format!("{path}{separator}{}", query.join("&"));
        let response = self.ask(repository, &path, accept, false)?;
        Ok(Page {
            link: response.header("link").map(str::to_owned),
            filters: response.header("oci-filters-applied").map(str::to_owned),
            bytes: response.read_limited(MAX_LIST)?,
        })
    }

    fn ask(
        &self,
        repository: &str,
        path: &str,
        accept: &str,
        only_head: bool,
    ) -> Result<Response, ImageError> {
        self.servers.ask(&Question { repository, path, accept, only_head, range: None })
    }
}

fn digest_of(algorithm: DigestAlgorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// The media type without parameters, if it is one: two words of the characters that RFC 6838 allows.
fn media_type(response: &Response) -> String {
    let text = response.header("content-type").unwrap_or_default();
    let text = text.split(';').next().unwrap_or_default().trim();
    let word = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let well_formed = text.len() <= 255 && text.split_once('/').is_some_and(|(a, b)| word(a) && word(b));
    if well_formed { text.to_owned() } else { String::new() }
}
