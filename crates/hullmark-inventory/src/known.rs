//! What is known of layers and images from earlier: read back by digest instead of read again.
//!
//! The key of a layer is its digest, with everything else that its inventory depends on: the extractors with their versions,
//! the limits, and this version of the program. An image is kept whole as well, by all that its inventory is made of, so that
//! one that was seen before costs no merge.

use hullmark_cache::Cache;
use hullmark_image::{Image, LayerOutcome, Limits, Recalled};
use hullmark_types::{Digest, ImageProfile, Inventory, LayerInfo, canonical_json};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::LayerInventory;
use crate::extractors::extractor_set_version;

/// Changes when what is kept has another form.
const FORM: u32 = 2;

/// Results that depend on more than the bytes: how much memory there was to read with.
const NOT_KEPT: &str = "limit-memory";

/// Limits that depend on the bytes as stored, and not on the uncompressed bytes alone.
const OF_STORED: [&str; 2] = ["limit-ratio", "limit-window"];

/// What earlier scans found out.
#[derive(Debug)]
pub(crate) struct Known<'a> {
    cache: &'a Cache,
    /// What all results depend on besides the bytes.
    made_by: String,
    verify_diff_ids: bool,
}

/// A layer as it is kept.
#[derive(Debug, Serialize, Deserialize)]
struct KeptLayer<I> {
    inventory: I,
    /// Uncompressed bytes.
    size: u64,
    /// About how many bytes of memory it needs.
    kept: u64,
    /// The digest of the uncompressed bytes, if it was computed.
    diff_id: Option<Digest>,
}

impl<'a> Known<'a> {
    pub(crate) fn new(cache: &'a Cache, limits: &Limits, verify_diff_ids: bool) -> Self {
        let made_by =
            format!("{FORM}\n{}\n{}\n{limits:?}\n", env!("CARGO_PKG_VERSION"), extractor_set_version());
        Self { cache, made_by, verify_diff_ids }
    }

    fn key(&self, of: &str) -> Digest {
        Digest::sha256(format!("{}{of}", self.made_by).as_bytes())
    }

    /// A layer that was read before.
    pub(crate) fn layer(&self, layer: &LayerInfo) -> Option<Recalled<LayerInventory>> {
        let digest = layer.digest.as_ref().or(layer.diff_id.as_ref())?;
        let kept: KeptLayer<LayerInventory> = self.get("layer", &self.key(&digest.to_string()))?;
        if layer.digest.is_some() && self.verify_diff_ids && layer.diff_id != kept.diff_id {
            return None;
        }
        let KeptLayer { inventory, size, kept, .. } = kept;
        Some(Recalled { output: inventory, size, kept })
    }

    /// Keeps a layer that was read and verified.
    pub(crate) fn keep_layer(&self, inventory: &LayerInventory, outcome: &LayerOutcome) {
        let has =
            |codes: &[&str]| outcome.diagnostics.iter().any(|found| codes.contains(&found.code.as_str()));
        let Some(digest) = outcome.digest.as_ref().filter(|_| !has(&[NOT_KEPT])) else { return };
        let kept =
            KeptLayer { inventory, size: outcome.size, kept: outcome.kept, diff_id: outcome.diff_id.clone() };
        self.put("layer", &self.key(&digest.to_string()), &kept);
        // The same bytes may come uncompressed, or compressed otherwise.
        if let Some(diff_id) = outcome.diff_id.as_ref().filter(|id| *id != digest && !has(&OF_STORED)) {
            self.put("layer", &self.key(&diff_id.to_string()), &kept);
        }
    }

    /// What an image is kept by; `None` when one of its layers has no digest.
    pub(crate) fn image_key(&self, image: &Image) -> Option<Digest> {
        let is_named = |layer: &LayerInfo| layer.digest.is_some() || layer.diff_id.is_some();
        if image.layers().is_empty() || !image.layers().iter().all(is_named) {
            return None;
        }
        let made_of =
            (image.subject(), image.config(), image.layers(), image.diagnostics(), self.verify_diff_ids);
        let made_of = canonical_json(&made_of).ok()?;
        Some(self.key(&Digest::sha256(&made_of).to_string()))
    }

    /// The inventory of an image that was read before. Its profile, which may be far larger, is not even looked at.
    pub(crate) fn inventory(&self, key: &Digest) -> Option<Inventory> {
        self.get("inventory", key)
    }

    /// An image that was read before.
    pub(crate) fn image(&self, key: &Digest) -> Option<(Inventory, ImageProfile)> {
        // Both are looked at, so that both are healed.
        let (inventory, profile) = (self.get("inventory", key), self.get("profile", key));
        Some((inventory?, profile?))
    }

    /// Keeps an image all of whose layers could be kept.
    pub(crate) fn keep_image(&self, key: &Digest, inventory: &Inventory, profile: &ImageProfile) {
        let is_kept =
            |code: &str| !matches!(code, NOT_KEPT | "limit-image-size" | "lazy-layer" | "lazy-fallback");
        if !inventory.diagnostics.iter().all(|found| is_kept(&found.code)) {
            return;
        }
        self.put("profile", key, profile);
        self.put("inventory", key, inventory);
    }

    fn get<T: DeserializeOwned>(&self, kind: &str, key: &Digest) -> Option<T> {
        serde_json::from_slice(&self.cache.get(kind, key)?).ok()
    }

    /// A cache that cannot be written costs time and nothing else.
    fn put<T: Serialize>(&self, kind: &str, key: &Digest, value: &T) {
        if let Ok(bytes) = serde_json::to_vec(value) {
            let _ = self.cache.put(kind, key, &bytes);
        }
    }
}
