//! CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>): writing an inventory, and reading one back.

mod read;
mod write;
mod write_xml;
mod xml;

pub use read::{SbomError, parse_cyclonedx};
pub use write::cyclonedx;
pub(crate) use write::{text, uuid};
pub use write_xml::cyclonedx_xml;
pub(crate) use xml::parse_xml;

/// Names of the properties that carry what CycloneDX has no field for.
pub(crate) mod property {
    pub(crate) const INVENTORY: &str = "hullmark:inventory";
    pub(crate) const PACKAGE: &str = "hullmark:package";
    pub(crate) const LAYER: &str = "hullmark:layer";
    pub(crate) const LAYER_DIGEST: &str = "hullmark:layer-digest";
    pub(crate) const DIAGNOSTIC: &str = "hullmark:diagnostic";
}
