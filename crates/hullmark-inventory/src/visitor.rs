//! Reading all layers of an image.

use std::collections::BTreeMap;
use std::sync::Arc;

use hullmark_image::{Image, ImageError, ImageVisitor, LayerOutcome, Memory, Progress};
use hullmark_types::{Diagnostic, ImageConfig, ImageProfile, Inventory, LayerInfo, Subject};

use crate::{LayerCollector, LayerInventory, merge};

/// Takes in the layers of an image.
#[derive(Default)]
pub struct InventoryVisitor {
    memory: Memory,
    layers: BTreeMap<u32, Arc<LayerInventory>>,
}

impl InventoryVisitor {
    /// A visitor that reads files within `memory`.
    pub fn new(memory: Memory) -> Self {
        Self { memory, layers: BTreeMap::new() }
    }

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

impl ImageVisitor for InventoryVisitor {
    type Layer = LayerCollector;
    type Output = Arc<LayerInventory>;

    fn begin(&self) -> LayerCollector {
        LayerCollector::new(self.memory.clone())
    }

    fn finish(&self, layer: LayerCollector, outcome: &LayerOutcome) -> Arc<LayerInventory> {
        Arc::new(layer.finish(outcome.diagnostics.clone()))
    }

    fn end_layer(&mut self, layer: u32, output: Arc<LayerInventory>) {
        self.layers.insert(layer, output);
    }
}

/// Takes the inventory of an image: reads every layer once, and merges.
///
/// # Errors
/// When the image cannot be read, or its bytes are not those that their digests name.
pub fn build(image: &mut Image, progress: &dyn Progress) -> Result<Inventory, ImageError> {
    Ok(build_with_profile(image, progress)?.0)
}

/// The same as [`build`], with the runtime profile of the image.
///
/// # Errors
/// As [`build`].
pub fn build_with_profile(
    image: &mut Image,
    progress: &dyn Progress,
) -> Result<(Inventory, ImageProfile), ImageError> {
    let mut visitor = InventoryVisitor::new(image.memory().clone());
    image.walk(&mut visitor, progress)?;
    Ok(visitor.finish(
        image.subject().clone(),
        image.config().cloned(),
        image.layers().to_vec(),
        image.diagnostics().to_vec(),
    ))
}
