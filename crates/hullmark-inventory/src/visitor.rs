//! Reading all layers of an image.

use std::collections::BTreeMap;

use hullmark_image::{Image, ImageError, ImageVisitor, Progress};
use hullmark_types::{Diagnostic, ImageConfig, ImageProfile, Inventory, LayerInfo, Subject};

use crate::{LayerCollector, LayerInventory, merge};

/// Takes in the layers of an image, in any order.
#[derive(Default)]
pub struct InventoryVisitor {
    layers: BTreeMap<u32, LayerInventory>,
}

impl InventoryVisitor {
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

    fn begin_layer(&mut self, _layer: u32) -> LayerCollector {
        LayerCollector::default()
    }

    fn end_layer(&mut self, layer: u32, visitor: LayerCollector, diagnostics: Vec<Diagnostic>) {
        self.layers.insert(layer, visitor.finish(diagnostics));
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
    let mut visitor = InventoryVisitor::default();
    image.walk(&mut visitor, progress)?;
    Ok(visitor.finish(
        image.subject().clone(),
        image.config().cloned(),
        image.layers().to_vec(),
        image.diagnostics().to_vec(),
    ))
}
