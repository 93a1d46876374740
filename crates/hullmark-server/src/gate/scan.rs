//! The scan of an image at its first pull: its blobs come into the cache, from where they are served afterwards, and are
//! taken apart there.

use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

use hullmark_engine::Asker;
use hullmark_http::ClientOptions;
use hullmark_image::{AcquireOptions, ImageError, NoProgress, open_blobs};
use hullmark_types::{Digest, DigestAlgorithm, ImageProfile, Inventory, Stage};

use super::document::{Blob, Document, Kind};
use super::route::Place;
use super::upstream::Failure;
use super::{Gate, Pull, unambiguous};
use crate::error::chain;

/// The largest image configuration, in bytes.
const MAX_CONFIGURATION: u64 = 8 << 20;

/// How many blobs of one image are fetched at the same time.
const AT_ONCE: usize = 3;

impl Pull {
    /// Fetches, takes apart, judges and records an image. What failed is remembered for a while.
    pub(crate) async fn scan(
        &self,
        place: &Place,
        document: &Document,
        blobs: Vec<Blob>,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let result = self.scan_now(place, document, blobs).await;
        let outcome = if result.is_ok() { "scanned" } else { "failed" };
        metrics::counter!("hullmark_gate_scans_total", "outcome" => outcome).increment(1);
        metrics::histogram!("hullmark_gate_scan_seconds").record(begun.elapsed().as_secs_f64());
        match &result {
            Ok(()) => tracing::info!(image = %place.name(), digest = %document.digest, "scanned"),
            Err(failure) => {
                tracing::warn!(image = %place.name(), digest = %document.digest, cause = %failure.message, "cannot scan");
                let seen = (failure.clone(), Instant::now());
                Gate::lock(&self.gate.failures).insert((place.clone(), document.digest.clone()), seen, 1);
            }
        }
        result
    }

    async fn scan_now(&self, place: &Place, document: &Document, blobs: Vec<Blob>) -> Result<(), Failure> {
        let own = |message: String| Failure { message, word: "scan-failed", lasting: false };
        if let Some(blob) = blobs.iter().find(|blob| blob.digest.algorithm() != DigestAlgorithm::Sha256) {
            let message =
                format!("`{}`: layers with other digests than SHA-256 are not taken apart", blob.digest);
            return Err(Failure { message, word: "scan-failed", lasting: true });
        }
        let size = blobs.iter().fold(document.bytes.len() as u64, |sum, blob| sum.saturating_add(blob.size));
        let limit = self.gate.cache.limit();
        if size > limit {
            let message = format!("the image has {size} bytes, and `gate.cache_bytes` is {limit}");
            return Err(Failure { message, word: "image-too-large", lasting: true });
        }
        let upstream = self.upstream(place).map_err(|error| own(error.message))?;
        let fetching = upstream.images.acquire().await.map_err(|error| own(error.to_string()))?;
        // Nothing of the image makes room for something else before it is taken apart.
        let wanted = blobs.iter().map(|blob| blob.digest.clone());
        let _pin = self.gate.cache.pin(wanted.chain([document.digest.clone()]).collect());
        self.keep_document(document).await?;
        let mut waiting = blobs.into_iter();
        let mut tasks = tokio::task::JoinSet::new();
        loop {
            while tasks.len() < AT_ONCE
                && let Some(blob) = waiting.next()
            {
                let (pull, place) = (self.clone(), place.clone());
                tasks.spawn(async move { pull.fetch_blob(&place, &blob).await });
            }
            match tasks.join_next().await {
                None => break,
                Some(fetched) => fetched.map_err(|error| own(error.to_string()))??,
            }
        }
        drop(fetching);
        let _permit = self.gate.scan_permits.acquire().await.map_err(|error| own(error.to_string()))?;
        if let Kind::Manifest(manifest) = &document.kind {
            self.check_configuration(&manifest.config.digest).await?;
        }
        let (inventory, profile) = self.take_apart(place, &document.digest).await?;
        let asker = Asker { host: Some("registry-gate".to_owned()), ..Asker::default() };
        let report = self.shared.judge.scan(inventory, Some(profile), Stage::Ship, asker).await;
        report.map_err(|error| Failure { message: chain(&error), word: error.word(), lasting: false })?;
        Ok(())
    }

    /// Writes the manifest beside the blobs, where the image is opened.
    async fn keep_document(&self, document: &Document) -> Result<(), Failure> {
        let (cache, digest, bytes) =
            (Arc::clone(&self.gate.cache), document.digest.clone(), document.bytes.clone());
        let write = move || match cache.has(&digest) {
            true => Ok(()),
            false => {
                cache.write(&digest, bytes.len() as u64, &mut &*bytes).map_err(|error| error.to_string())
            }
        };
        let written = tokio::task::spawn_blocking(write).await.map_err(|error| error.to_string());
        written.and_then(|written| written).map_err(|message| Failure {
            message,
            word: "disk-failed",
            lasting: false,
        })
    }

    /// Refuses a configuration that clients could read differently from us.
    async fn check_configuration(&self, digest: &Digest) -> Result<(), Failure> {
        let failed = |message: String, lasting| Failure { message, word: "scan-failed", lasting };
        let (cache, wanted) = (Arc::clone(&self.gate.cache), digest.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            let (file, _) = cache.get(&wanted)?;
            file.take(MAX_CONFIGURATION + 1).read_to_end(&mut bytes).ok().map(|_| bytes)
        });
        let bytes =
            read.await.ok().flatten().ok_or_else(|| failed("a blob cannot be read".to_owned(), false))?;
        if bytes.len() as u64 > MAX_CONFIGURATION {
            let message = format!("the configuration `{digest}` has more than {MAX_CONFIGURATION} bytes");
            return Err(failed(message, true));
        }
        unambiguous::configuration(&bytes)
            .map_err(|error| failed(format!("the configuration `{digest}` is not valid: {error}"), true))
    }

    async fn take_apart(&self, place: &Place, digest: &Digest) -> Result<(Inventory, ImageProfile), Failure> {
        let (cache, digest, name) =
            (Arc::clone(&self.gate.cache), digest.clone(), format!("{}@{digest}", place.name()));
        let (results, bases) = (self.gate.results(self.shared.now()), self.gate.bases());
        let work = move || -> Result<_, ImageError> {
            let options = AcquireOptions::new(ClientOptions { offline: true, ..ClientOptions::default() });
            let mut image = open_blobs(cache.root(), &digest, &name, &options)?;
            let (mut inventory, profile) =
                hullmark_inventory::build_with_profile(&mut image, &NoProgress, results.as_ref())?;
            hullmark_inventory::attribute_base(&mut inventory, image.annotations(), Some(&bases));
            Ok((inventory, profile))
        };
        let failed = |message: String, lasting| Failure { message, word: "scan-failed", lasting };
        let taken = tokio::task::spawn_blocking(work).await;
        let taken = taken.map_err(|error| failed(format!("the scan broke off: {error}"), false))?;
        taken.map_err(|error| {
            let lasting = !matches!(error, ImageError::Io { .. });
            failed(chain(&error), lasting)
        })
    }
}
