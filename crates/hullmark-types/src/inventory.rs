//! Everything found in an image.

use serde::{Deserialize, Serialize};

use crate::{BaseImage, Diagnostic, Distribution, ImageConfig, LayerInfo, Origin, Package, Subject};

/// The version of the inventory's form; it is part of the digest of every inventory.
pub const INVENTORY_SCHEMA: u32 = 1;

/// Everything found in an image: the input of matching and of the policy. Packages and diagnostics are sorted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// [`INVENTORY_SCHEMA`].
    pub schema: u32,
    /// What was scanned.
    pub subject: Subject,
    /// The distribution, when it could be found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// The image configuration, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ImageConfig>,
    /// The image that it was built on, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseImage>,
    /// The layers, base first.
    pub layers: Vec<LayerInfo>,
    /// The packages, sorted.
    pub packages: Vec<Package>,
    /// What could not be read, sorted.
    pub diagnostics: Vec<Diagnostic>,
}

impl Inventory {
    /// Who brought what is in a layer.
    pub fn origin(&self, layer: u32) -> Origin {
        match self.base.as_ref().and_then(|base| base.layers) {
            Some(layers) if layer < layers => Origin::Base,
            Some(_) => Origin::Own,
            None => Origin::Unknown,
        }
    }
}
