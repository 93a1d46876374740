//! May this manifest be pulled? The rule for each kind of it.
//!
//! - The manifest of an **image** is judged by its verdict at stage `ship`. One that the server did not scan itself is
//!   scanned first, once, also when an inventory of it was sent: what a client sends is no reason to hand the image out.
//! - An **index** is as good as the worst of its images for the configured platforms; of all its images when it has none for
//!   these platforms. Each image is judged on its own when it is fetched.
//! - An **artifact** (a signature, an SBOM, an attestation) is passed when the image that it is about is allowed and when
//!   every blob of it is text: then no client can run it, whatever it says that it is.
//! - A manifest with blobs that **clients fetch from elsewhere** (`urls`) is denied: such bytes do not come through here.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hullmark_store::VerdictRow;
use hullmark_types::{Digest, ImageIdentity, Outcome, Stage};

use super::document::{Child, Document, Kind, Manifest};
use super::error::OciError;
use super::route::{Place, fits};
use super::upstream::Failure;
use super::{Gate, Pull};
use crate::decide::denial_text;
use crate::error::chain;
use crate::judge::Standing;

/// How deep indexes may be nested.
const MAX_DEPTH: usize = 4;

/// The most images of an index that are judged together.
const MAX_CHILDREN: usize = 64;

/// The most manifests and indexes that one request has assessed, however they are nested.
const MAX_ASSESSED: usize = 160;

/// How far the assessment of one request may still go. Clones share the count, so that indexes of indexes cannot multiply it.
#[derive(Debug, Clone, Default)]
struct Reach {
    depth: usize,
    assessed: Arc<AtomicUsize>,
}

impl Reach {
    fn deeper(&self) -> Self {
        Self { depth: self.depth + 1, assessed: Arc::clone(&self.assessed) }
    }

    /// Counts one more document.
    fn is_exhausted(&self) -> bool {
        self.assessed.fetch_add(1, Ordering::Relaxed) >= MAX_ASSESSED || self.depth > MAX_DEPTH
    }
}

/// The largest blob of an artifact, in bytes; it is read as a whole.
const MAX_TEXT: u64 = 32 << 20;

/// What is known of a manifest that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Assessment {
    pub(crate) answer: Finding,
    pub(crate) image: ImageIdentity,
    pub(crate) verdict: Option<Arc<VerdictRow>>,
}

/// The answer.
#[derive(Debug, Clone)]
pub(crate) enum Finding {
    Allowed,
    /// By the policy, or because it cannot be assessed by its nature; one sentence.
    Denied(String),
    /// It could not be assessed now.
    Failed(Failure),
}

impl Assessment {
    fn new(place: &Place, digest: &Digest, answer: Finding) -> Self {
        let name = format!("{}@{digest}", place.name());
        let image = ImageIdentity { name, manifest: Some(digest.clone()), ..ImageIdentity::default() };
        Self { answer, image, verdict: None }
    }

    fn denied(place: &Place, digest: &Digest, why: impl Into<String>) -> Self {
        Self::new(place, digest, Finding::Denied(why.into()))
    }

    fn failed(place: &Place, digest: &Digest, failure: Failure) -> Self {
        Self::new(place, digest, Finding::Failed(failure))
    }

    /// For the choice of the worst.
    fn severity(&self) -> u8 {
        match self.answer {
            Finding::Allowed => 0,
            Finding::Failed(_) => 1,
            Finding::Denied(_) => 2,
        }
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Pull {
    /// Assesses a manifest of a repository. Takes as long as a scan when it has to; the scan goes on when this is dropped.
    ///
    /// # Errors
    /// When the upstream does not give the manifest, or one that it names.
    pub(crate) async fn assess(&self, place: &Place, digest: &Digest) -> Result<Assessment, OciError> {
        let document = self.document(place, digest).await?;
        self.assess_document(place, &document, Reach::default()).await
    }

    fn assess_document<'a>(
        &'a self,
        place: &'a Place,
        document: &'a Arc<Document>,
        reach: Reach,
    ) -> Boxed<'a, Result<Assessment, OciError>> {
        Box::pin(async move {
            match &document.kind {
                _ if reach.is_exhausted() => Ok(Assessment::denied(
                    place,
                    &document.digest,
                    "denied: the index leads to more manifests than are assessed together",
                )),
                Kind::Index(children) => self.assess_index(place, &document.digest, children, reach).await,
                Kind::Manifest(manifest) => self.assess_manifest(place, document, manifest, reach).await,
            }
        })
    }

    async fn assess_index(
        &self,
        place: &Place,
        digest: &Digest,
        children: &[Child],
        reach: Reach,
    ) -> Result<Assessment, OciError> {
        let deny = |why: &str| Ok(Assessment::denied(place, digest, format!("denied: {why}")));
        if children.iter().any(|child| child.is_foreign) {
            return deny("the index names manifests at other addresses, which do not come through this gate");
        }
        let images: Vec<&Child> = children.iter().filter(|child| !child.is_attestation).collect();
        let wanted = |child: &&&Child| {
            let of = |wanted| child.platform.as_ref().is_some_and(|offered| fits(offered, wanted));
            self.gate.platforms.iter().any(of)
        };
        let mut chosen: Vec<&Child> = images.iter().filter(wanted).copied().collect();
        if chosen.is_empty() {
            chosen = images;
        }
        let chosen: BTreeSet<&Digest> = chosen.into_iter().map(|child| &child.digest).collect();
        match chosen.len() {
            0 => return deny("the index names no image, so there is nothing to assess"),
            1..=MAX_CHILDREN => {}
            many => return deny(&format!("the index has {many} images, too many to be assessed together")),
        }
        // Each on its own task, so that the scans of all go on when nobody waits any more.
        let mut tasks = Vec::new();
        for child in chosen {
            let (pull, place, child, reach) = (self.clone(), place.clone(), child.clone(), reach.deeper());
            tasks.push(tokio::spawn(async move {
                let document = pull.document(&place, &child).await?;
                pull.assess_document(&place, &document, reach).await
            }));
        }
        let mut worst: Option<Assessment> = None;
        for task in tasks {
            let one = task.await.map_err(|error| {
                super::upstream::unavailable("the image could not be assessed", &error.to_string())
            })??;
            if worst.as_ref().is_none_or(|worst| one.severity() > worst.severity()) {
                worst = Some(one);
            }
        }
        let Some(mut worst) = worst else { return deny("the index names no image") };
        worst.image.index = Some(digest.clone());
        worst.image.name = format!("{}@{digest}", place.name());
        Ok(worst)
    }

    async fn assess_manifest(
        &self,
        place: &Place,
        document: &Arc<Document>,
        manifest: &Manifest,
        reach: Reach,
    ) -> Result<Assessment, OciError> {
        let digest = &document.digest;
        if manifest.config.is_foreign || manifest.layers.iter().any(|layer| layer.is_foreign) {
            let why = "denied: the image has layers at other addresses (`urls`), which clients would fetch past this gate";
            return Ok(Assessment::denied(place, digest, why));
        }
        if manifest.is_image() {
            return Ok(self.assess_image(place, document, manifest).await);
        }
        let subject = match &manifest.subject {
            Some(subject) => Some(subject.clone()),
            None => self.said_subject(place, digest).await,
        };
        let Some(subject) = subject.filter(|subject| subject != digest) else {
            let why =
                "denied: the artifact is no image and names none that it is about, so it cannot be assessed";
            return Ok(Assessment::denied(place, digest, why));
        };
        match self.is_text(place, digest, manifest).await {
            Ok(true) => {}
            Ok(false) => {
                let why = "denied: the artifact has content that is not text, so it cannot be assessed";
                return Ok(Assessment::denied(place, digest, why));
            }
            Err(failure) => return Ok(Assessment::failed(place, digest, failure)),
        }
        let about = match self.document(place, &subject).await {
            Ok(about) => about,
            Err(error) if error.status == 404 => {
                let why = "denied: the image that the artifact is about is not in this repository";
                return Ok(Assessment::denied(place, digest, why));
            }
            Err(error) => return Err(error),
        };
        let mut made = self.assess_document(place, &about, reach.deeper()).await?;
        made.image.name = format!("{}@{digest}", place.name());
        Ok(made)
    }

    /// The image that an artifact is about by the word of others: the tag under which it was fetched, or the annotation of
    /// an index.
    async fn said_subject(&self, place: &Place, digest: &Digest) -> Option<Digest> {
        if let Some(subject) = Gate::lock(&self.gate.subjects).get(&(place.clone(), digest.clone())) {
            return Some(subject);
        }
        let store = &self.shared.store;
        let indexes = store.indexes_with_child(&place.upstream, &place.repository, digest).await.ok()?;
        for index in indexes {
            let Ok(document) = self.document(place, &index).await else { continue };
            let Kind::Index(children) = &document.kind else { continue };
            let about =
                children.iter().find(|child| child.digest == *digest).and_then(|child| child.attests.clone());
            if about.is_some() {
                return about;
            }
        }
        None
    }

    /// Whether every blob is text in UTF-8 without NUL: neither a tar nor anything compressed.
    async fn is_text(&self, place: &Place, digest: &Digest, manifest: &Manifest) -> Result<bool, Failure> {
        if let Some(known) = Gate::lock(&self.gate.texts).get(digest) {
            return Ok(known);
        }
        let blobs = manifest.blobs();
        if blobs.iter().any(|blob| blob.size > MAX_TEXT) {
            return Ok(false);
        }
        let _pin = self.gate.cache.pin(blobs.iter().map(|blob| blob.digest.clone()).collect());
        let mut all = true;
        for blob in blobs {
            self.fetch_blob(place, &blob).await?;
            let cache = Arc::clone(&self.gate.cache);
            let read = tokio::task::spawn_blocking(move || {
                use std::io::Read;

                let mut bytes = Vec::new();
                let (file, _) = cache.get(&blob.digest)?;
                file.take(MAX_TEXT).read_to_end(&mut bytes).ok()?;
                Some(!bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok())
            });
            let lost = || Failure {
                message: "the blob cannot be read".to_owned(),
                word: "disk-failed",
                lasting: false,
            };
            all &= read.await.ok().flatten().ok_or_else(lost)?;
        }
        Gate::lock(&self.gate.texts).insert(digest.clone(), all, 1);
        Ok(all)
    }

    async fn assess_image(&self, place: &Place, document: &Arc<Document>, manifest: &Manifest) -> Assessment {
        let digest = &document.digest;
        if let Some(judged) = self.judged(place, digest).await {
            return judged;
        }
        let recent = Gate::lock(&self.gate.failures).get(&(place.clone(), digest.clone()));
        if let Some((failure, at)) = recent
            && at.elapsed() < super::FAILURE_REMEMBERED
        {
            return Assessment::failed(place, digest, failure);
        }
        let (pull, there, what) = (self.clone(), place.clone(), Arc::clone(document));
        let blobs = manifest.blobs();
        let work = move || async move {
            // A scan that ended after this pull had looked is not done again.
            match pull.judged(&there, &what.digest).await {
                Some(_) => Ok(()),
                None => pull.scan(&there, &what, blobs).await,
            }
        };
        match self.gate.scan_flights.join((place.clone(), digest.clone()), work).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => return Assessment::failed(place, digest, failure),
            Err(_) => {
                let message = "too many pulls wait already".to_owned();
                return Assessment::failed(
                    place,
                    digest,
                    Failure { message, word: "gate-crowded", lasting: false },
                );
            }
        }
        self.judged(place, digest).await.unwrap_or_else(|| {
            let message = "the image was scanned, and is not stored".to_owned();
            Assessment::failed(place, digest, Failure { message, word: "store-unreachable", lasting: false })
        })
    }

    /// The image by its verdict; nothing when it has to be scanned first.
    async fn judged(&self, place: &Place, digest: &Digest) -> Option<Assessment> {
        match self.shared.judge.standing(digest, Stage::Ship).await {
            // The digest is what the client gets; a verdict about another manifest says nothing of it.
            Ok(Standing::Judged { image, verdict })
                if image.taken_here && image.subject.manifest.as_ref() == Some(digest) =>
            {
                let answer = match verdict.outcome {
                    Outcome::Failed => Finding::Denied(denial_text(&verdict)),
                    Outcome::Passed | Outcome::Warned => Finding::Allowed,
                };
                let mut made = Assessment::new(place, digest, answer);
                made.image.config.clone_from(&image.subject.config);
                made.verdict = Some(verdict);
                Some(made)
            }
            Ok(Standing::Judged { .. } | Standing::Unscanned) => None,
            Err(error) => {
                tracing::error!(image = %digest, cause = %chain(&error), "no verdict can be had");
                let message = "the verdict of the image cannot be had now".to_owned();
                Some(Assessment::failed(
                    place,
                    digest,
                    Failure { message, word: error.word(), lasting: false },
                ))
            }
        }
    }
}
