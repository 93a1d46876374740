//! A client of one registry for those who pass on what it holds, such as a proxy.
//!
//! [`RegistryClient`] asks for manifests, blobs, tags and referrers of any repository of the registry, as the OCI
//! distribution specification says (end points 2, 3, 8 and 12). It authenticates when it is asked to, tries again, follows
//! redirects only where they may lead, and believes nothing: digests are computed from the bytes that came, and every body
//! has a limit.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use hullmark_http::{Client, ClientOptions, Response};
use hullmark_types::{Digest, DigestAlgorithm, Hasher, ImageReference};

use crate::ImageError;
use crate::auth::{Authenticator, encode};
use crate::registry::refusal;

/// How many repositories are remembered with the rights that were granted for them.
const MAX_REPOSITORIES: usize = 1024;

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
    /// File with its credentials, in the form of Docker's `config.json`. They are sent to the registry and to where it says
    /// that tokens are given, and nowhere else.
    pub auth_file: Option<PathBuf>,
    /// The largest manifest, in bytes.
    pub max_document: u64,
}

/// One registry. Calls block.
#[derive(Debug)]
pub struct RegistryClient {
    client: Client,
    options: RegistryOptions,
    authenticators: Mutex<BTreeMap<String, Arc<Authenticator>>>,
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

/// A blob that is being sent. Reading it to its end fails unless the bytes have the digest that was asked for.
pub struct Blob {
    response: Response,
    digest: Digest,
    hasher: Option<Hasher>,
    left: u64,
    limit: u64,
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
    /// When the certificate authorities cannot be read.
    pub fn new(options: RegistryOptions) -> Result<Self, ImageError> {
        let client = Client::new(options.client.clone())?;
        Ok(Self { client, options, authenticators: Mutex::default() })
    }

    /// What the registry is called.
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// A manifest or an index, by tag or by digest. `accept` lists the media types that are wanted, as the header does.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses, or the bytes are too many or do not have the digest.
    pub fn manifest(&self, repository: &str, wanted: &str, accept: &str) -> Result<Document, ImageError> {
        let response = self.ask(repository, &format!("manifests/{wanted}"), accept, Client::get)?;
        let media_type = media_type(&response);
        let bytes = response.read_limited(self.options.max_document)?;
        let expected: Option<Digest> = wanted.parse().ok();
        let digest = digest_of(expected.as_ref().map_or(DigestAlgorithm::Sha256, Digest::algorithm), &bytes);
        match expected {
            Some(expected) if expected != digest => Err(ImageError::DigestMismatch {
                place: self.place(repository, wanted),
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
        let response = self.ask(repository, &format!("manifests/{wanted}"), accept, Client::head)?;
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
        let response = self.ask(repository, &format!("blobs/{digest}"), "*/*", Client::get)?;
        if let Some(size) = response.content_length().filter(|size| *size > limit) {
            return Err(ImageError::Limit {
                place: self.place(repository, &digest.to_string()),
                problem: format!("{size} bytes, the limit is {limit}"),
            });
        }
        let hasher = Some(Hasher::new(digest.algorithm()));
        Ok(Blob { response, digest: digest.clone(), hasher, left: limit, limit })
    }

    /// How large a blob is, by the registry's word.
    ///
    /// # Errors
    /// When the registry cannot be reached or refuses.
    pub fn blob_size(&self, repository: &str, digest: &Digest) -> Result<Option<u64>, ImageError> {
        let response = self.ask(repository, &format!("blobs/{digest}"), "*/*", Client::head)?;
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
        let response = self.ask(repository, &path, accept, Client::get)?;
        Ok(Page {
            link: response.header("link").map(str::to_owned),
            filters: response.header("oci-filters-applied").map(str::to_owned),
            bytes: response.read_limited(MAX_LIST)?,
        })
    }

    /// Asks for something; authenticates when the registry says that it must.
    fn ask(
        &self,
        repository: &str,
        path: &str,
        accept: &str,
        method: for<'a> fn(&'a Client, &str) -> hullmark_http::Request<'a>,
    ) -> Result<Response, ImageError> {
        let address = format!("{}/v2/{repository}/{path}", self.options.url.trim_end_matches('/'));
        let authenticator = self.authenticator(repository)?;
        let send = || {
            let mut request = method(&self.client, &address).accept(accept);
            if let Some(authorization) = authenticator.authorization() {
                request = request.authorization(&authorization);
            }
            request.send()
        };
        let mut response = send()?;
        if response.status() == 401 {
            let challenges = response.headers("www-authenticate");
            authenticator.answer(&self.client, &challenges)?;
            response = send()?;
        }
        match response.is_success() {
            true => Ok(response),
            false => {
                let subject = format!("{repository}/{}", path.split('?').next().unwrap_or_default());
                Err(refusal(&self.options.name, subject, response, &authenticator))
            }
        }
    }

    fn authenticator(&self, repository: &str) -> Result<Arc<Authenticator>, ImageError> {
        let mut known = self.authenticators.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(authenticator) = known.get(repository) {
            return Ok(Arc::clone(authenticator));
        }
        let reference = ImageReference {
            registry: self.options.name.clone(),
            repository: repository.to_owned(),
            tag: None,
            digest: None,
        };
        let authenticator =
            Authenticator::new(&reference, &self.options.url, self.options.auth_file.as_deref())?;
        let authenticator = Arc::new(authenticator);
        if known.len() >= MAX_REPOSITORIES {
            known.clear();
        }
        known.insert(repository.to_owned(), Arc::clone(&authenticator));
        Ok(authenticator)
    }

    fn place(&self, repository: &str, wanted: &str) -> String {
        let separator = if wanted.contains(':') { '@' } else { ':' };
        format!("{}/{repository}{separator}{wanted}", self.options.name)
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Blob({}, at most {} more bytes)", self.digest, self.left)
    }
}

impl Blob {
    /// How many bytes it has, by the registry's word.
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.response.read(buffer)?;
        self.left = self.left.checked_sub(length as u64).ok_or_else(|| {
            let limit = self.limit;
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("`{}` has more than {limit} bytes", self.digest),
            )
        })?;
        if let (Some(hasher), Some(read)) = (&mut self.hasher, buffer.get(..length)) {
            hasher.update(read);
        }
        if length == 0 && !buffer.is_empty() {
            let got = self.hasher.take().map(Hasher::finish);
            if let Some(got) = got.filter(|got| *got != self.digest) {
                let problem = format!(
                    "`{}` is damaged or was changed: expected {}, got {got}",
                    self.response.address(),
                    self.digest
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
            }
        }
        Ok(length)
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
