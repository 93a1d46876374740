//! Fetching from upstream registries: each manifest and each blob once, however many wait.

use std::sync::Arc;
use std::time::Duration;

use hullmark_http::{ClientOptions, HttpError, PlainHttp};
use hullmark_image::{CredentialSources, ImageError, RegistryAccess, RegistryClient, RegistryOptions};
use hullmark_store::{ManifestRow, TagRow};
use hullmark_types::{Digest, DigestAlgorithm};
use tokio::sync::Semaphore;

use super::cache::CacheError;
use super::document::{ACCEPT, Blob, Document, Kind};
use super::error::{Code, OciError};
use super::flight::NoResult;
use super::route::Place;
use super::{Gate, Pull};
use crate::config::UpstreamConfig;
use crate::error::chain;

/// The largest manifest; the specification wants at least 4 MiB.
const MAX_MANIFEST: u64 = 4 << 20;

/// The largest blob.
const MAX_BLOB: u64 = 64 << 30;

/// What a client that waits in vain is told to wait before it asks again, in seconds.
pub(crate) const RETRY_AFTER: u64 = 5;

/// How many requests for anything but blobs are under way to one upstream at the same time.
const REQUESTS: usize = 32;

/// How many blobs are fetched from one upstream at the same time.
const BLOBS: usize = 8;

/// How many images are fetched from one upstream at the same time.
const IMAGES: usize = 8;

/// An upstream, and how much is asked of it at the same time. Each has its own measure, so that one that is slow, or wants
/// to be, holds up its own images only.
pub(crate) struct Upstream {
    client: Arc<RegistryClient>,
    requests: Arc<Semaphore>,
    blobs: Arc<Semaphore>,
    pub(crate) images: Semaphore,
}

impl Upstream {
    pub(crate) fn new(client: RegistryClient) -> Self {
        Self {
            client: Arc::new(client),
            requests: Arc::new(Semaphore::new(REQUESTS)),
            blobs: Arc::new(Semaphore::new(BLOBS)),
            images: Semaphore::new(IMAGES),
        }
    }
}

/// Why a blob, or the scan of an image, could not be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    /// One sentence.
    pub(crate) message: String,
    /// The word for `degraded` lists of records.
    pub(crate) word: &'static str,
    /// Whether it is the image that is wrong, and not something that may pass.
    pub(crate) lasting: bool,
}

/// What a tag leads to.
#[derive(Debug, Clone)]
pub(crate) struct Tagged {
    pub(crate) digest: Digest,
    /// Whether the upstream could not be asked, and this is what it said before.
    pub(crate) is_stale: bool,
}

/// Sets the client of an upstream up; blocks.
pub(crate) fn client(name: &str, config: &UpstreamConfig) -> Result<RegistryClient, ImageError> {
    RegistryClient::new(RegistryOptions {
        name: name.to_owned(),
        url: config.url.trim_end_matches('/').to_owned(),
        client: ClientOptions {
            plain_http: if config.plain_http { PlainHttp::Allowed } else { PlainHttp::LoopbackOnly },
            ca_files: config.ca_file.iter().cloned().collect(),
            read_timeout: Duration::from_secs(30),
            slowest: 1024,
            retries: 1,
            sleep: |time| std::thread::sleep(time.min(Duration::from_secs(2))),
            ..ClientOptions::default()
        },
        access: RegistryAccess {
            // Programs that keep credentials are for people; a server has them in its file.
            credentials: CredentialSources {
                files: config.auth_file.iter().cloned().collect(),
                search_path: None,
            },
            ..RegistryAccess::default()
        },
        max_document: MAX_MANIFEST,
    })
}

impl Pull {
    pub(crate) fn upstream(&self, place: &Place) -> Result<Arc<Upstream>, OciError> {
        let found = self.gate.upstreams.get(&place.upstream).cloned();
        found.ok_or_else(|| {
            OciError::new(404, Code::NameUnknown, format!("`{}` is not passed on", place.upstream))
        })
    }

    /// Asks an upstream on a thread that may wait.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        place: &Place,
        unknown: Code,
        question: impl FnOnce(&RegistryClient) -> Result<T, ImageError> + Send + 'static,
    ) -> Result<T, OciError> {
        let upstream = self.upstream(place)?;
        let client = Arc::clone(&upstream.client);
        let permit = Arc::clone(&upstream.requests).acquire_owned().await.map_err(broken)?;
        let answer = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            question(&client)
        });
        answer.await.map_err(broken)?.map_err(|error| told(&place.upstream, unknown, &error))
    }

    /// A manifest by digest, in this repository: from memory, from the store, or from the upstream.
    pub(crate) async fn document(&self, place: &Place, digest: &Digest) -> Result<Arc<Document>, OciError> {
        let known = (place.clone(), digest.clone());
        if Gate::lock(&self.gate.present).get(&known).is_some()
            && let Some(document) = Gate::lock(&self.gate.documents).get(digest)
        {
            return Ok(document);
        }
        let (pull, wanted) = (self.clone(), known.clone());
        let work = move || async move { pull.fetch_document(&wanted.0, &wanted.1).await };
        self.gate.document_flights.join(known, work).await.map_err(no_result)?
    }

    async fn fetch_document(&self, place: &Place, digest: &Digest) -> Result<Arc<Document>, OciError> {
        match self.stored_document(place, digest).await {
            Ok(Some(document)) => return Ok(document),
            Ok(None) => {}
            // Not having it costs a fetch, and the fetch costs nothing more than time.
            Err(problem) => tracing::error!(%problem, %digest, "a stored manifest cannot be read"),
        }
        let (repository, wanted) = (place.repository.clone(), digest.to_string());
        let question = move |client: &RegistryClient| client.manifest(&repository, &wanted, ACCEPT);
        let sent = self.ask(place, Code::ManifestUnknown, question).await?;
        self.take_document(place, sent).await
    }

    async fn stored_document(&self, place: &Place, digest: &Digest) -> Result<Option<Arc<Document>>, String> {
        // The store knows documents by their SHA-256.
        if digest.algorithm() != DigestAlgorithm::Sha256 {
            return Ok(None);
        }
        let store = &self.shared.store;
        let row = store.manifest(&place.upstream, &place.repository, digest).await;
        let Some(row) = row.map_err(|error| chain(&error))? else { return Ok(None) };
        let bytes = store.document(digest).await.map_err(|error| chain(&error))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let document = Arc::new(Document::parse(digest.clone(), bytes, &row.media_type)?);
        self.remember(place, &document);
        Ok(Some(document))
    }

    /// Checks and stores what an upstream sent.
    async fn take_document(
        &self,
        place: &Place,
        sent: hullmark_image::Document,
    ) -> Result<Arc<Document>, OciError> {
        let document = Document::parse(sent.digest, sent.bytes, &sent.media_type).map_err(|problem| {
            tracing::warn!(upstream = %place.upstream, repository = %place.repository, %problem, "refused a manifest");
            OciError::new(502, Code::ManifestInvalid, format!("{}: {problem}", place.name()))
        })?;
        let document = Arc::new(document);
        let (config, children, blobs) = match &document.kind {
            Kind::Index(children) => {
                (None, children.iter().map(|child| child.digest.clone()).collect(), Vec::new())
            }
            Kind::Manifest(manifest) => (
                Some(manifest.config.digest.clone()),
                Vec::new(),
                manifest.blobs().into_iter().map(|blob| blob.digest).collect(),
            ),
        };
        let row = ManifestRow {
            upstream: place.upstream.clone(),
            repository: place.repository.clone(),
            digest: document.digest.clone(),
            media_type: document.media_type.clone(),
            size: document.bytes.len() as u64,
            config,
            children,
            blobs,
            seen_at: self.shared.now(),
        };
        let store = &self.shared.store;
        let stored = async {
            store.put_document("manifest", document.bytes.to_vec()).await?;
            store.put_manifest(&row).await
        };
        stored.await.map_err(|error| unavailable("the store cannot be written", &chain(&error)))?;
        self.remember(place, &document);
        Ok(document)
    }

    fn remember(&self, place: &Place, document: &Arc<Document>) {
        let digest = document.digest.clone();
        let weight = document.bytes.len() as u64 + 512;
        Gate::lock(&self.gate.documents).insert(digest.clone(), Arc::clone(document), weight);
        Gate::lock(&self.gate.present).insert((place.clone(), digest), (), 1);
    }

    /// What a tag leads to now. It depends on what the client takes, as old clients are given another manifest.
    pub(crate) async fn resolve(&self, place: &Place, tag: &str, accept: &str) -> Result<Tagged, OciError> {
        let key = (place.clone(), tag.to_owned(), accept.to_owned());
        let remembered = Gate::lock(&self.gate.tags).get(&key);
        if let Some((digest, seen)) = &remembered
            && seen.elapsed() < self.shared.config.gate.tag_ttl.0
        {
            return Ok(Tagged { digest: digest.clone(), is_stale: false });
        }
        let (pull, wanted) = (self.clone(), key.clone());
        let before = remembered.map(|(digest, _)| digest);
        let work = move || async move { pull.look_up(&wanted.0, &wanted.1, &wanted.2, before).await };
        self.gate.tag_flights.join(key, work).await.map_err(no_result)?
    }

    async fn look_up(
        &self,
        place: &Place,
        tag: &str,
        accept: &str,
        before: Option<Digest>,
    ) -> Result<Tagged, OciError> {
        let current = match &before {
            // One that is known is only compared, which costs no body.
            Some(before) => match self.head(place, tag, accept).await {
                Ok(Some(digest)) if digest == *before => Ok(digest),
                Ok(_) => self.fetch_tag(place, tag, accept).await,
                Err(error) => Err(error),
            },
            None => self.fetch_tag(place, tag, accept).await,
        };
        match current {
            Ok(digest) => {
                let key = (place.clone(), tag.to_owned(), accept.to_owned());
                let seen = (digest.clone(), std::time::Instant::now());
                Gate::lock(&self.gate.tags).insert(key, seen, 1);
                Ok(Tagged { digest, is_stale: false })
            }
            // The upstream cannot be asked. What it said before is judged by what is known now.
            Err(error) if error.status >= 500 && error.code != Code::ManifestInvalid => {
                let stored = self.shared.store.tag(&place.upstream, &place.repository, tag).await;
                let stored = stored.ok().flatten().map(|row| row.digest);
                let digest = before.or(stored).ok_or(error)?;
                Ok(Tagged { digest, is_stale: true })
            }
            Err(error) => Err(error),
        }
    }

    async fn head(&self, place: &Place, tag: &str, accept: &str) -> Result<Option<Digest>, OciError> {
        let (repository, tag, accept) = (place.repository.clone(), tag.to_owned(), accept.to_owned());
        let question = move |client: &RegistryClient| client.head(&repository, &tag, &accept);
        Ok(self.ask(place, Code::ManifestUnknown, question).await?.digest)
    }

    async fn fetch_tag(&self, place: &Place, tag: &str, accept: &str) -> Result<Digest, OciError> {
        let (repository, wanted, accept) = (place.repository.clone(), tag.to_owned(), accept.to_owned());
        let question = move |client: &RegistryClient| client.manifest(&repository, &wanted, &accept);
        let sent = self.ask(place, Code::ManifestUnknown, question).await?;
        let digest = self.take_document(place, sent).await?.digest.clone();
        let row = TagRow {
            upstream: place.upstream.clone(),
            repository: place.repository.clone(),
            tag: tag.to_owned(),
            digest: digest.clone(),
            seen_at: self.shared.now(),
        };
        if let Err(error) = self.shared.store.put_tag(&row).await {
            tracing::error!(cause = %chain(&error), "a tag cannot be stored");
        }
        Ok(digest)
    }

    /// Sees to it that a blob is in the cache.
    pub(crate) async fn fetch_blob(&self, place: &Place, blob: &Blob) -> Result<(), Failure> {
        if self.gate.cache.has(&blob.digest) {
            return Ok(());
        }
        let (pull, of) = (self.clone(), place.upstream.clone());
        let (place, wanted) = (place.clone(), blob.clone());
        let work = move || async move { pull.download(&place, wanted).await };
        // What one registry says of a blob, and how slow it is, concerns nobody who pulls from another.
        let key = (of, blob.digest.clone(), blob.size);
        let result = self.gate.blob_flights.join(key, work).await;
        result.map_err(|_| Failure {
            message: "too many wait for blobs already".to_owned(),
            word: "gate-crowded",
            lasting: false,
        })?
    }

    async fn download(&self, place: &Place, blob: Blob) -> Result<(), Failure> {
        let passing = |message: String| Failure { message, word: "upstream-unreachable", lasting: false };
        if blob.size > MAX_BLOB {
            let message = format!("`{}` has {} bytes; the limit is {MAX_BLOB}", blob.digest, blob.size);
            return Err(Failure { message, word: "image-too-large", lasting: true });
        }
        let upstream = self.upstream(place).map_err(|error| passing(error.message))?;
        let client = Arc::clone(&upstream.client);
        let permit = Arc::clone(&upstream.blobs).acquire_owned().await;
        let permit = permit.map_err(|error| passing(error.to_string()))?;
        let (cache, repository) = (Arc::clone(&self.gate.cache), place.repository.clone());
        let work = move || {
            let _permit = permit;
            if cache.has(&blob.digest) {
                return Ok(());
            }
            let mut source = client.blob(&repository, &blob.digest, blob.size).map_err(|error| {
                // A blob that the registry lacks, or says is larger, makes the image one that cannot be had.
                let lasting =
                    matches!(error, ImageError::Registry { status: 404, .. } | ImageError::Limit { .. });
                Failure { message: plain(&error), word: "upstream-unreachable", lasting }
            })?;
            cache.write(&blob.digest, blob.size, &mut source).map_err(|error| match error {
                CacheError::Disk(_) => {
                    Failure { message: error.to_string(), word: "disk-failed", lasting: false }
                }
                CacheError::Full { .. } => {
                    Failure { message: error.to_string(), word: "cache-full", lasting: false }
                }
                CacheError::Source(source) if source.kind() == std::io::ErrorKind::InvalidData => {
                    Failure { message: source.to_string(), word: "upstream-lied", lasting: true }
                }
                CacheError::Source(source) if source.kind() == std::io::ErrorKind::FileTooLarge => {
                    Failure { message: source.to_string(), word: "upstream-lied", lasting: true }
                }
                CacheError::Source(source) => passing(source.to_string()),
                CacheError::Damaged(message) => Failure { message, word: "upstream-lied", lasting: true },
            })
        };
        let result = tokio::task::spawn_blocking(work).await.map_err(|error| passing(error.to_string()))?;
        if let Err(failure) = &result {
            tracing::warn!(upstream = %place.upstream, repository = %place.repository, cause = %failure.message, "cannot fetch a blob");
        }
        result
    }
}

pub(crate) fn no_result(reason: NoResult) -> OciError {
    match reason {
        NoResult::Crowded => {
            let message = "too many pulls wait already; try again later";
            OciError::new(503, Code::TooManyRequests, message).retry_after(RETRY_AFTER)
        }
        NoResult::Broken => broken("the work broke off"),
    }
}

fn broken(cause: impl std::fmt::Display) -> OciError {
    unavailable("the gate cannot do its work now", &cause.to_string())
}

/// Something here failed; the log says what.
pub(crate) fn unavailable(message: &str, cause: &str) -> OciError {
    tracing::error!(%cause, "{message}");
    OciError::new(503, Code::Denied, message).retry_after(RETRY_AFTER)
}

/// An error without hints for those who run a command.
fn plain(error: &ImageError) -> String {
    let text = chain(error);
    text.split("\nhint:").next().unwrap_or_default().to_owned()
}

/// What a client is told of what an upstream said. Nothing of it can be a credential: addresses are redacted by the HTTP
/// client.
fn told(upstream: &str, unknown: Code, error: &ImageError) -> OciError {
    let message = plain(error);
    match error {
        ImageError::Registry { status: 404, .. } => {
            OciError::new(404, unknown, format!("the registry `{upstream}` does not have it"))
        }
        ImageError::Registry { status: 429, .. } => {
            OciError::new(429, Code::TooManyRequests, message).retry_after(30)
        }
        // A 401 would make clients log in to the gate again and again.
        ImageError::Registry { status: 401 | 403, .. }
        | ImageError::Authentication { .. }
        | ImageError::Credentials { .. } => {
            tracing::warn!(%upstream, cause = %message, "the upstream refuses");
            OciError::new(
                403,
                Code::Denied,
                format!("the registry `{upstream}` refuses to give it to this gate"),
            )
        }
        ImageError::Registry { status: 400..=499, .. } => OciError::new(404, unknown, message),
        ImageError::DigestMismatch { .. }
        | ImageError::Limit { .. }
        | ImageError::Http(HttpError::TooLarge { .. } | HttpError::LeadsInside { .. }) => {
            tracing::warn!(%upstream, cause = %message, "refused what the upstream sent");
            OciError::new(502, Code::ManifestInvalid, message)
        }
        _ => {
            tracing::warn!(%upstream, cause = %message, "the upstream cannot be asked");
            OciError::new(502, unknown, message)
        }
    }
}
