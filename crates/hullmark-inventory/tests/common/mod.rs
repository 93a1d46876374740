//! Layers written by hand, and short forms of inventories.
#![expect(dead_code, clippy::unwrap_used, reason = "tests; each binary uses a part of it")]

use hullmark_image::{Entry, EntryKind, LayerVisitor};
use hullmark_inventory::{InventoryVisitor, LayerCollector, LayerInventory};
use hullmark_types::{DiagnosticLevel, ImageProfile, Inventory, LayerInfo, Subject, SubjectKind};

/// The entries of one layer, in their order.
#[derive(Clone, Default)]
pub struct Layer(Vec<(String, EntryKind, u32, Vec<u8>)>);

impl Layer {
    pub fn new() -> Self {
        Self::default()
    }

    fn with(mut self, path: &str, kind: EntryKind, mode: u32, content: &[u8]) -> Self {
        self.0.push((path.to_owned(), kind, mode, content.to_owned()));
        self
    }

    pub fn file(self, path: &str, content: &str) -> Self {
        self.with(path, EntryKind::File, 0o644, content.as_bytes())
    }

    pub fn program(self, path: &str, content: &[u8]) -> Self {
        self.with(path, EntryKind::File, 0o755, content)
    }

    pub fn file_with_mode(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.with(path, EntryKind::File, mode, content)
    }

    pub fn directory(self, path: &str) -> Self {
        self.with(path, EntryKind::Directory, 0o755, b"")
    }

    pub fn link(self, path: &str, target: &str) -> Self {
        self.with(path, EntryKind::Symlink { target: target.to_owned() }, 0o777, b"")
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.with(path, EntryKind::Hardlink { target: target.to_owned() }, 0o644, b"")
    }

    pub fn whiteout(self, path: &str) -> Self {
        self.with(path, EntryKind::Whiteout, 0, b"")
    }

    pub fn opaque(self, path: &str) -> Self {
        self.with(path, EntryKind::OpaqueDirectory, 0, b"")
    }

    /// Walks the entries as the reader of a tar would.
    pub fn read(&self) -> LayerInventory {
        let mut collector = LayerCollector::default();
        self.visit(&mut collector);
        collector.finish(Vec::new())
    }

    pub fn visit(&self, visitor: &mut LayerCollector) {
        for (path, kind, mode, content) in &self.0 {
            let entry =
                Entry { path: path.clone(), kind: kind.clone(), mode: *mode, size: content.len() as u64 };
            visitor.entry(&entry, &mut content.as_slice()).unwrap();
        }
    }
}

pub fn subject() -> Subject {
    Subject {
        kind: SubjectKind::Image,
        name: "test".to_owned(),
        references: Vec::new(),
        index: None,
        manifest: None,
        config: None,
        platform: None,
    }
}

pub fn layer_infos(count: usize) -> Vec<LayerInfo> {
    let info = |index| LayerInfo { index, digest: None, diff_id: None, size: None, created_by: None };
    (0..u32::try_from(count).unwrap()).map(info).collect()
}

pub fn inventory(layers: &[Layer]) -> Inventory {
    inventory_in_order(layers, 0..layers.len())
}

/// The layers arrive in this order.
pub fn inventory_in_order(layers: &[Layer], order: impl IntoIterator<Item = usize>) -> Inventory {
    read_in_order(layers, order).0
}

pub fn profile(layers: &[Layer]) -> ImageProfile {
    read_in_order(layers, 0..layers.len()).1
}

fn read_in_order(layers: &[Layer], order: impl IntoIterator<Item = usize>) -> (Inventory, ImageProfile) {
    use hullmark_image::{ImageVisitor, LayerOutcome};
    let mut visitor = InventoryVisitor::default();
    for position in order {
        let index = u32::try_from(position).unwrap();
        let mut layer = visitor.begin();
        layers[position].visit(&mut layer);
        let output = ImageVisitor::finish(&visitor, layer, &LayerOutcome::default());
        visitor.end_layer(index, output);
    }
    visitor.finish(subject(), None, layer_infos(layers.len()), Vec::new())
}

/// `kind name version since LAYER in PATH@LAYER ...` for each package.
pub fn packages(inventory: &Inventory) -> Vec<String> {
    let line = |package: &hullmark_types::Package| {
        let places: Vec<_> =
            package.locations.iter().map(|place| format!("{}@{}", place.path, place.layer)).collect();
        format!(
            "{} {} {} since {} in {}",
            package.kind,
            package.name,
            package.version,
            package.layer,
            places.join(" ")
        )
    };
    inventory.packages.iter().map(line).collect()
}

/// `level code` for each diagnostic.
pub fn codes(inventory: &Inventory) -> Vec<String> {
    let line = |diagnostic: &hullmark_types::Diagnostic| match diagnostic.level {
        DiagnosticLevel::Note => format!("note {}", diagnostic.code),
        DiagnosticLevel::Gap => format!("gap {}", diagnostic.code),
    };
    inventory.diagnostics.iter().map(line).collect()
}
