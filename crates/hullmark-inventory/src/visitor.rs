//! Reading all layers of an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use hullmark_cache::Cache;
use hullmark_image::{Entry, Image, ImageError, ImageVisitor, LayerOutcome, Memory, Progress, Recalled};
use hullmark_types::{Diagnostic, ImageConfig, ImageProfile, Inventory, LayerInfo, Subject, SubjectKind};

use crate::extractors::wanting;
use crate::known::Known;
use crate::{FileFacts, LayerCollector, LayerInventory, merge};

/// Takes in the layers of an image.
#[derive(Default)]
pub struct InventoryVisitor<'a> {
    memory: Memory,
    known: Option<&'a Known<'a>>,
    layers: BTreeMap<u32, Arc<LayerInventory>>,
    projects: bool,
}

impl InventoryVisitor<'_> {
    /// The inventory and the runtime profile of the layers taken in. A layer of which nothing came is empty.
    pub fn finish(
        mut self,
        subject: Subject,
        config: Option<ImageConfig>,
        layers: Vec<LayerInfo>,
        diagnostics: Vec<Diagnostic>,
    ) -> (Inventory, ImageProfile) {
        let count = self.layers.keys().next_back().map_or(0, |last| last.saturating_add(1));
        let count = count.max(u32::try_from(layers.len()).unwrap_or(u32::MAX));
        let contents: Vec<_> =
            (0..count).map(|index| self.layers.remove(&index).unwrap_or_default()).collect();
        merge(subject, config, layers, &contents, diagnostics)
    }
}

impl ImageVisitor for InventoryVisitor<'_> {
    type Layer = LayerCollector;
    type Output = Arc<LayerInventory>;

    fn begin(&self) -> LayerCollector {
        LayerCollector::new(self.memory.clone()).with_projects(self.projects)
    }

    fn finish(&self, layer: LayerCollector, outcome: &LayerOutcome) -> Arc<LayerInventory> {
        let layer = layer.finish(outcome.diagnostics.clone());
        if let Some(known) = self.known {
            known.keep_layer(&layer, outcome);
        }
        Arc::new(layer)
    }

    fn recall(&self, layer: &LayerInfo) -> Option<Recalled<Arc<LayerInventory>>> {
        let Recalled { output, size, kept } = self.known?.layer(layer)?;
        Some(Recalled { output: Arc::new(output), size, kept })
    }

    fn wants(&self, entry: &Entry) -> bool {
        let facts = FileFacts { path: &entry.path, size: entry.size, mode: entry.mode };
        wanting(&facts, self.projects).next().is_some()
    }

    fn end_layer(&mut self, layer: u32, output: Arc<LayerInventory>) {
        self.layers.insert(layer, output);
    }
}

/// Takes the inventory of an image: reads every layer once, and merges. What `cache` knows of the image is not read again, and
/// what it does not know is kept there.
///
/// # Errors
/// When the image cannot be read, or its bytes are not those that their digests name.
pub fn build(
    image: &mut Image,
    progress: &dyn Progress,
    cache: Option<&Cache>,
) -> Result<Inventory, ImageError> {
    let known = cache.map(|cache| Known::new(cache, image.limits(), image.verifies_diff_ids()));
    let taken = known.and_then(|known| known.inventory(&known.image_key(image)?));
    match taken {
        Some(inventory) => {
            image.layers().iter().for_each(|layer| progress.layer_recalled(layer));
            Ok(inventory)
        }
        None => Ok(build_with_profile(image, progress, cache)?.0),
    }
}

/// The same as [`build`], with the runtime profile of the image.
///
/// # Errors
/// As [`build`].
pub fn build_with_profile(
    image: &mut Image,
    progress: &dyn Progress,
    cache: Option<&Cache>,
) -> Result<(Inventory, ImageProfile), ImageError> {
    let known = cache.map(|cache| Known::new(cache, image.limits(), image.verifies_diff_ids()));
    let key = known.as_ref().and_then(|known| known.image_key(image));
    if let (Some(known), Some(key)) = (&known, &key)
        && let Some(taken) = known.image(key)
    {
        image.layers().iter().for_each(|layer| progress.layer_recalled(layer));
        return Ok(taken);
    }
    let mut visitor = InventoryVisitor {
        memory: image.memory().clone(),
        known: known.as_ref(),
        layers: BTreeMap::new(),
        projects: image.subject().kind == SubjectKind::Directory,
    };
    image.walk(&mut visitor, progress)?;
    let (inventory, profile) = visitor.finish(
        image.subject().clone(),
        image.config().cloned(),
        image.layers().to_vec(),
        image.diagnostics().to_vec(),
    );
    if let (Some(known), Some(key)) = (&known, &key) {
        known.keep_image(key, &inventory, &profile);
    }
    Ok((inventory, profile))
}
